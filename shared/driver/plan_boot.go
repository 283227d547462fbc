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
	return func(ctx context.Context, r *run) (any, error) {
		want := bootWant{BootOverride: model.BootOverride{Device: device, Persistent: persistent, Valid: true}}
		st := step{name: "set boot", changes: true, call: with(func(ctx context.Context, s BootSetter) error {
			err := s.SetBoot(ctx, device, persistent)
			want = want.on(s) // setting it may have taught what the device is
			return err
		})}
		st.seen = func(ctx context.Context) bool { return r.bootSeen(ctx, want) }
		if err := r.do(ctx, st); err != nil {
			return nil, err
		}
		if r.sess == nil || !has[BootReader](r.sess) {
			return r.bootUntold(), nil
		}
		got, err := r.bootIs(ctx, want)
		if model.KindOf(err) == model.Unsupported {
			return r.bootUntold(), nil
		}
		if err != nil {
			return nil, err
		}
		r.saw(SawOverride, "override reads %s", overrideText(*got))
		if got.UEFI != want.UEFI {
			r.note("it was set as %s and reads %s; set detected-bios-mode to say which is right", firmware(want.UEFI), firmware(got.UEFI))
		}
		return r.conclude(r.req.info.Command, model.Result{Boot: got}), nil
	}
}

// bootUntold is the result of a device that does not tell its override.
func (r *run) bootUntold() model.Result {
	r.note("the device does not tell its boot override")
	return r.conclude(r.req.info.Command, model.Result{})
}

// bootWant is an override as it was asked for.
type bootWant struct {
	model.BootOverride
	told bool // the kind of firmware was asked for, too
}

// on returns the override as a session sets it.
func (w bootWant) on(s BootSetter) bootWant {
	if u, ok := s.(UEFIBooter); ok {
		w.UEFI, w.told = u.BootUEFI()
	}
	return w
}

// is reports whether an override that was read is the one that was asked for,
// and will be honoured.
func (w bootWant) is(got model.BootOverride) bool {
	return got.Valid && got.Device == w.Device && got.Persistent == w.Persistent && (got.UEFI == w.UEFI || !w.told)
}

// firmware names a kind of firmware.
func firmware(uefi bool) string {
	if uefi {
		return "UEFI"
	}
	return "legacy"
}

// bootSeen reports whether the override is want although nobody confirmed it.
func (r *run) bootSeen(ctx context.Context, want bootWant) bool {
	if r.reopen(ctx) != nil || !has[BootReader](r.sess) {
		return false
	}
	var got model.BootOverride
	err := r.take(ctx, readBootStep(&got), 1)
	if err != nil || !want.is(got) {
		return false
	}
	r.note("the reply to \"set boot\" was lost")
	return true
}

// bootIs reads the override until two readings in a row tell that it is want.
func (r *run) bootIs(ctx context.Context, want bootWant) (*model.BootOverride, error) {
	settle, cancel := context.WithTimeout(ctx, min(bootSettle, r.req.timeout/2))
	defer cancel()
	held := false // the reading before told it
	for gap := firstGap; ; gap = min(gap*3/2, maxGap) {
		got, err := r.readBoot(ctx)
		if err != nil {
			return nil, model.Errorf(model.KindOf(err), "the override was taken, but cannot be read back: %s", textOf(err))
		}
		is, until := want.is(*got), settle
		if is && held {
			return got, nil
		}
		if held = is; is {
			until = ctx // once more, however long the first one took
		}
		if !pause(until, gap) {
			return nil, model.Errorf(model.Timeout, "the override %s was taken, but reads back as %s%s",
				overrideText(want.BootOverride), overrideText(*got), map[bool]string{true: ", once only"}[is])
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
	if b.UEFI {
		text += ", for UEFI"
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
