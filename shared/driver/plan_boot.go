package driver

import (
	"context"
	"fmt"
	"time"

	"provision-plugins/shared/model"
)

// bootSettle is how long a device may take to show the override it took.
const bootSettle = 5 * time.Second

// planBoot returns the plan that sets the boot override and reads it back. An
// override that reads back otherwise is a timeout: the state asked for was not
// seen.
func planBoot(device model.BootDevice, persistent bool) plan {
	want := model.BootOverride{Device: device, Persistent: persistent}
	return func(ctx context.Context, r *run) (any, error) {
		st := step{name: "set boot", changes: true, call: with(func(ctx context.Context, s BootSetter) error {
			return s.SetBoot(ctx, device, persistent)
		})}
		st.seen = func(ctx context.Context) bool { return r.bootSeen(ctx, want) }
		if err := r.do(ctx, st); err != nil {
			return nil, err
		}
		if r.sess == nil || !has[BootReader](r.sess) {
			r.note("the device does not tell its boot override")
			return r.result(model.Result{Outcome: model.Acknowledged}), nil
		}
		got, err := r.bootIs(ctx, want)
		if model.KindOf(err) == model.Unsupported {
			r.note("the device does not tell its boot override")
			return r.result(model.Result{Outcome: model.Acknowledged}), nil
		}
		if err != nil {
			return nil, err
		}
		return r.result(model.Result{Boot: got, Outcome: model.Verified, Evidence: "override reads " + overrideText(*got)}), nil
	}
}

// bootSeen reports whether the override is want although nobody confirmed it.
func (r *run) bootSeen(ctx context.Context, want model.BootOverride) bool {
	if r.openOnce(ctx) != nil || !has[BootReader](r.sess) {
		return false
	}
	var got model.BootOverride
	err := r.take(ctx, readBootStep(&got), 1)
	if err != nil || !sameBoot(got, want) {
		return false
	}
	r.note("the reply to \"set boot\" was lost")
	return true
}

// sameBoot reports whether an override that was read is the one that was asked
// for, and will be honoured.
func sameBoot(got, want model.BootOverride) bool {
	return got.Valid && got.Device == want.Device && got.Persistent == want.Persistent
}

// bootIs reads the override until it is want.
func (r *run) bootIs(ctx context.Context, want model.BootOverride) (*model.BootOverride, error) {
	settle, cancel := context.WithTimeout(ctx, min(bootSettle, r.req.timeout/2))
	defer cancel()
	for gap := firstGap; ; gap = min(gap*3/2, maxGap) {
		got, err := r.readBoot(ctx)
		if err != nil {
			return nil, model.Errorf(model.KindOf(err), "the override was taken, but cannot be read back: %s", textOf(err))
		}
		if sameBoot(*got, want) {
			return got, nil
		}
		if !pause(settle, gap) {
			want.Valid = true
			return nil, model.Errorf(model.Timeout, "the override %s was taken, but reads back as %s",
				overrideText(want), overrideText(*got))
		}
	}
}

// readBoot reads the override, with more than one try.
func (r *run) readBoot(ctx context.Context) (*model.BootOverride, error) {
	var got model.BootOverride
	err := r.do(ctx, readBootStep(&got))
	return &got, err
}

// readBootStep reads the override into got.
func readBootStep(got *model.BootOverride) step {
	return step{name: "read boot override", call: with(func(ctx context.Context, s BootReader) error {
		b, err := s.Boot(ctx)
		*got = b
		return err
	})}
}

// overrideText is an override for people.
func overrideText(b model.BootOverride) string {
	text := string(b.Device) + ", next boot only"
	if b.Persistent {
		text = string(b.Device) + ", every boot"
	}
	if !b.Valid {
		text += ", not valid"
	}
	if b.Raw != "" {
		text += fmt.Sprintf(" (%q)", b.Raw)
	}
	return text
}

// planBootStatus reads the override.
func planBootStatus(ctx context.Context, r *run) (any, error) {
	got, err := r.readBoot(ctx)
	if err != nil {
		return nil, err
	}
	return r.result(model.Result{Boot: got, Evidence: "read from the device"}), nil
}
