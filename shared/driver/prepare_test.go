package driver_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"provision-plugins/shared/driver/internal/toy"
	"provision-plugins/shared/model"
)

// A read that was prepared is one as any other, however often it is run.
func TestPreparedReads(t *testing.T) {
	r := newRig(t, toy.Native, nil)
	a := r.action(model.PowerStatus, nil)
	read, err := r.provider.PrepareRead(a)
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	for range 20 {
		work.Go(func() {
			got, err := read(t.Context())
			if res, ok := got.(model.Result); err != nil || !ok || res.Power != model.StateOn || res.Driver == "" {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	work.Wait()
	if a.Params["toy/password"] != r.device.Password {
		t.Errorf("the action was changed: %v", a.Params)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := read(gone); err == nil {
		t.Error("it goes on without its caller")
	}
	if err := r.provider.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := read(t.Context()); model.KindOf(err) != model.Busy || !strings.Contains(err.Error(), "shutting down") {
		t.Errorf("after the end: %v", err)
	}
}

// What cannot be prepared says what the action itself would; a change is never
// prepared.
func TestReadsThatCannotBePrepared(t *testing.T) {
	r := newRig(t, toy.Native, nil)
	for name, change := range map[string]func(*model.Action){
		"no such action": func(a *model.Action) { a.Command = "dance" },
		"no object":      func(a *model.Action) { a.Model = nil },
		"a bad param":    func(a *model.Action) { a.Params["oob/timeout"] = "soon" },
		"a bad object":   func(a *model.Action) { a.Model = []int{1} },
	} {
		a := r.action(model.PowerStatus, nil)
		change(a)
		_, want := r.provider.Action(t.Context(), a)
		read, err := r.provider.PrepareRead(a)
		if read != nil || err == nil || want == nil || err.Error() != want.Error() {
			t.Errorf("%s: %v, and run %v", name, err, want)
		}
	}
	for _, command := range []string{model.PowerOn, model.PowerOff, model.PowerCycle, model.Identify} {
		if read, err := r.provider.PrepareRead(r.action(command, nil)); read != nil || model.KindOf(err) != model.Internal {
			t.Errorf("%s: %v", command, err)
		}
	}
	if _, err := r.provider.PrepareRead(nil); model.KindOf(err) != model.Invalid {
		t.Errorf("nothing: %v", err)
	}
}
