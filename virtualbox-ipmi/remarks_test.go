package main

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"

	"provision-plugins/shared/model"
	"provision-plugins/virtualbox-ipmi/vbox"
)

// What a session has to say stands in the result, each thing once, behind what
// stood there.
func TestRemarks(t *testing.T) {
	t.Parallel()
	got, err := withRemarks(model.PowerCycle, func(ctx context.Context) (any, error) {
		if wantsProof(ctx) {
			t.Error("a power cycle wants the proof of a boot")
		}
		remark(ctx, "one")
		remark(ctx, "one")
		remark(ctx, "two")
		prove(ctx, "seen")
		return model.Result{Note: "first", Evidence: "state on"}, nil
	})(t.Context())
	res, _ := got.(model.Result)
	if err != nil || res.Note != "first; one; two" || res.Evidence != "state on; seen" {
		t.Errorf("%+v, %v", res, err)
	}
}

// Other results, and errors, stay as they are; without anybody who gathers them
// remarks are lost, and nothing else.
func TestNoRemarks(t *testing.T) {
	t.Parallel()
	perform := func(v any, err error) (any, error) {
		return withRemarks(model.BootStatus, func(ctx context.Context) (any, error) {
			if !wantsProof(ctx) {
				t.Error("bootstatus wants no proof")
			}
			remark(ctx, "one")
			return v, err
		})(t.Context())
	}
	if got, err := perform(picture{Data: "x"}, nil); err != nil || !reflect.DeepEqual(got, picture{Data: "x"}) {
		t.Errorf("%+v, %v", got, err)
	}
	failed := errors.New("no")
	if got, err := perform(model.Result{}, failed); got != nil || !errors.Is(err, failed) {
		t.Errorf("%+v, %v", got, err)
	}
	remark(t.Context(), "nobody hears it")
	prove(t.Context(), "nobody sees it")
	if wantsProof(t.Context()) {
		t.Error("nobody wants a proof")
	}
}

// A plan may go on, and remark, when its caller has left with the result.
func TestRemarksAfterwards(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for range 8 {
		_, err := withRemarks(model.PowerOn, func(ctx context.Context) (any, error) {
			all.Go(func() { remark(ctx, "late") })
			return model.Result{}, nil
		})(t.Context())
		if err != nil {
			t.Error(err)
		}
	}
	all.Wait()
}

// A boot log is told in the words of the BIOS, and that of a guest that boots for
// ever in few.
func TestBootText(t *testing.T) {
	t.Parallel()
	if got := bootText(&vbox.BootLog{}); got != "" {
		t.Errorf("an empty log says %q", got)
	}
	log := &vbox.BootLog{Attempts: []vbox.BootAttempt{{Word: "LAN", Failed: true}, {Word: "Hard Disk"}}}
	if got := bootText(log); !strings.HasSuffix(got, "Booting from LAN... failed, Booting from Hard Disk...") {
		t.Error(got)
	}
	for range 1000 {
		log.Attempts = append(log.Attempts, vbox.BootAttempt{Word: "LAN"})
	}
	if got := bootText(log); len(got) > 300 || !strings.Contains(got, "more)") {
		t.Errorf("%d bytes: %.300s", len(got), got)
	}
}

// Addresses are written as endpoints write them; what is none is left out.
func TestAddresses(t *testing.T) {
	t.Parallel()
	info := &vbox.Info{NICs: []vbox.NIC{{MAC: "080027AABBCC"}, {MAC: "0800"}, {MAC: ""}, {MAC: "080027aabbc"}}}
	if got := addresses(info); !reflect.DeepEqual(got, []string{"08:00:27:aa:bb:cc"}) {
		t.Errorf("%v", got)
	}
	if got := addresses(&vbox.Info{}); got == nil || len(got) != 0 {
		t.Errorf("no adapters are %v, not an empty list", got)
	}
}

// Params are laid over those of the plugin, and a null sets nothing.
func TestUnder(t *testing.T) {
	t.Parallel()
	got := under(model.Params{"a": 1, "b": 2}, model.Params{"b": 3, "a": nil, "c": 4})
	if !reflect.DeepEqual(got, model.Params{"a": 1, "b": 3, "c": 4}) {
		t.Errorf("%v", got)
	}
}
