package driver_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/internal/toy"
	"provision-plugins/shared/model"
)

// busybody is the toy driver with actions of its own.
type busybody struct {
	*toy.Driver
	called chan string // a line for each call
	block  chan struct{}
}

func (b busybody) Extras() []driver.Extra {
	say := func(_ context.Context, t *driver.Target, a *model.Action) (any, error) {
		b.called <- a.Command + " on " + t.Name
		switch a.Params["how"] {
		case "raw":
			return nil, errors.New("it broke")
		case "kind":
			return nil, model.Errorf(model.NotFound, "no disk")
		case "secret":
			return map[string]any{"list": []any{"a " + t.Params["toy/password"].(string)}, "n": 1}, nil
		}
		return map[string]int{"Cores": 4}, nil
	}
	wait := func(ctx context.Context, t *driver.Target, a *model.Action) (any, error) {
		select {
		case <-b.block:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return say(ctx, t, a)
	}
	return []driver.Extra{
		{Prefix: "machines", Command: "getInfo", Class: model.Read, Run: say},
		{Prefix: "machines", Command: "mountDisk", Class: model.Idempotent, Required: []string{"toy/disk"}, Run: say},
		{Prefix: "machines", Command: "rebuild", Class: model.Once, Timeout: 30 * time.Minute, Run: say},
		{Prefix: "plugins", Command: "createVm", Class: model.Once, Optional: []string{"toy/size"}, Run: wait},
		{Prefix: "", Command: "sweep", Class: model.Once, Run: say},
	}
}

// newBusybody makes a rig with extras.
func newBusybody(t *testing.T) (*rig, busybody) {
	b := busybody{called: make(chan string, 10), block: make(chan struct{})}
	r := newRig(t, toy.Native, func(d *toy.Driver) driver.Driver {
		b.Driver = d
		return b
	})
	return r, b
}

func TestDefine(t *testing.T) {
	r, _ := newBusybody(t)
	var got []string
	for _, a := range r.provider.Actions() {
		got = append(got, a.Model+" "+a.Command+" "+strings.Join(a.RequiredParams, ",")+" | "+strings.Join(a.OptionalParams, ","))
	}
	const req = "toy/address,toy/username,toy/password"
	var want []string
	for _, info := range model.Actions() {
		optional := "toy/mode"
		if info.Command == model.Identify {
			optional += ",toy/identify-duration"
		}
		optional += ",oob/timeout"
		if info.Class != model.Read {
			optional += ",oob/wait"
		}
		if info.Command == model.PowerSoft {
			optional += ",oob/force-after"
		}
		want = append(want, "machines "+info.Command+" "+req+" | "+optional)
	}
	want = append(want,
		"machines getInfo "+req+" | toy/mode,oob/timeout",
		"machines mountDisk "+req+",toy/disk | toy/mode,oob/timeout,oob/wait",
		"machines rebuild "+req+" | toy/mode,oob/timeout,oob/wait",
		"plugins createVm "+req+" | toy/mode,toy/size,oob/timeout,oob/wait",
		" sweep "+req+" | toy/mode,oob/timeout,oob/wait",
	)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	classes := `{"createVm":"once","getInfo":"read","mountDisk":"idempotent","rebuild":"once","sweep":"once"}`
	if diff := cmp.Diff(map[string]string{model.MetaClasses: classes, model.MetaTimeouts: `{"rebuild":1800}`}, r.provider.Meta()); diff != "" {
		t.Error(diff)
	}
	if meta := driver.NewProvider(&toy.Driver{}, driver.Options{}).Meta(); meta == nil || len(meta) != 0 {
		t.Errorf("Meta of a driver without extras is %v", meta)
	}
}

// reader is the toy driver with its reading mode alone.
type reader struct{ *toy.Driver }

func (reader) Modes() []driver.Mode {
	return []driver.Mode{{Name: toy.Bare, Session: &toy.BareSession{}}, {Name: toy.Gone}}
}

func TestDriverWithoutAnAction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toy.Bare, func(d *toy.Driver) driver.Driver { return reader{d} })
		if actions := r.provider.Actions(); len(actions) != 2 || actions[0].Command != model.PowerStatus || actions[1].Command != model.Doctor {
			t.Errorf("Actions: %+v", actions)
		}
		_, err := r.run(model.PowerOn, nil)
		wantErr(t, err, model.Unsupported, "cannot poweron m1: driver toy does not have this action")
	})
}

func TestExtras(t *testing.T) {
	for _, row := range []struct {
		command string
		object  any
		params  model.Params
		called  string
		kind    model.Kind
		text    string
	}{
		{"getInfo", map[string]any{"Name": "m1"}, nil, "getInfo on m1", "", ""},
		{"rebuild", map[string]any{"Name": "m1"}, nil, "rebuild on m1", "", ""},
		{"sweep", nil, nil, "sweep on ", "", ""},
		{"sweep", nil, model.Params{"how": "kind"}, "sweep on ", model.NotFound, "cannot sweep: no disk"},
		{"rebuild", map[string]any{"Name": "m1"}, model.Params{"how": "raw"}, "rebuild on m1", model.UnknownOutcome, "cannot rebuild m1: it may have been done: it broke"},
		{"mountDisk", map[string]any{"Name": "m1"}, model.Params{"how": "raw"}, "mountDisk on m1", model.Internal, "cannot mountDisk m1: it broke"},
	} {
		t.Run(row.command, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, b := newBusybody(t)
				result, err := r.provider.Action(t.Context(), &model.Action{Command: row.command, Model: row.object, Params: row.params})
				if row.kind != "" {
					wantErr(t, err, row.kind, row.text)
				} else if diff := cmp.Diff(map[string]int{"Cores": 4}, result); err != nil || diff != "" {
					t.Errorf("%v %s", err, diff)
				}
				if called := <-b.called; called != row.called {
					t.Errorf("called %q", called)
				}
			})
		})
	}
}

func TestExtrasOnPluginsRunSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newBusybody(t)
		done := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := r.provider.Action(t.Context(), &model.Action{Command: "createVm", Model: map[string]any{"Name": "cloud"}})
				done <- err
			}()
		}
		synctest.Wait()
		close(b.block)
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if err := r.provider.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestExtraOnAPluginOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newBusybody(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.provider.Action(ctx, &model.Action{Command: "createVm", Model: map[string]any{"Name": "cloud"}})
		wantErr(t, err, model.UnknownOutcome, "cannot createVm cloud: waiting ended and the action goes on")
		close(b.block)
		if called := <-b.called; called != "createVm on cloud" {
			t.Errorf("called %q", called)
		}
		synctest.Wait()
		if !slices.ContainsFunc(strings.Split(r.logs.String(), "\n"), func(s string) bool {
			return strings.Contains(s, "action ended") && strings.Contains(s, "command=createVm")
		}) {
			t.Errorf("the end is not in the log:\n%s", r.logs)
		}
	})
}

func TestSecretsInAResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newBusybody(t)
		result, err := r.provider.Action(t.Context(), r.action("getInfo", model.Params{"how": "secret"}))
		want := `{"list":["a ******"],"n":1}`
		raw, encodeErr := model.Marshal(result)
		if err != nil || encodeErr != nil || string(raw) != want {
			t.Errorf("want %s, got %s (%v)", want, raw, err)
		}
		<-b.called
	})
}
