package driver_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/internal/toy"
	"provision-plugins/shared/model"
)

// quirky is a driver whose sessions are made by a function from the toy's.
type quirky struct {
	*toy.Driver
	open func(n int, s *toy.NativeSession) (driver.Session, error)
	n    *int // sessions asked for; opened by one action at a time
}

func (q quirky) Open(ctx context.Context, t *driver.Target) (driver.Session, error) {
	s, err := q.Driver.Open(ctx, t)
	if err != nil {
		return nil, err
	}
	*q.n++
	made, err := q.open(*q.n, s.(*toy.NativeSession))
	if err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return made, nil
}

// withQuirk runs a test on a driver with a quirk.
func withQuirk(t *testing.T, open func(n int, s *toy.NativeSession) (driver.Session, error), test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(newRig(t, toy.Native, func(d *toy.Driver) driver.Driver { return quirky{d, open, new(int)} }))
	})
}

func TestNoSlotYet(t *testing.T) {
	slots := func(free int) func(int, *toy.NativeSession) (driver.Session, error) {
		return func(n int, s *toy.NativeSession) (driver.Session, error) {
			if n < free {
				return nil, model.Errorf(model.Busy, "all session slots are taken").After(2 * time.Second)
			}
			return s, nil
		}
	}
	withQuirk(t, slots(6), func(r *rig) {
		ans := <-r.start(r.Context(), model.PowerStatus, nil)
		if ans.err != nil || ans.took < 10*time.Second { // five times as long as it was asked to wait
			r.Errorf("after %v: %v", ans.took, ans.err)
		}
	})
	withQuirk(t, slots(1000), func(r *rig) {
		ans := <-r.start(r.Context(), model.PowerStatus, nil)
		wantErr(r.T, ans.err, model.Busy, "cannot powerstatus m1: open session: all session slots are taken")
		if e := model.AsError(ans.err); e.RetryAfter != 2*time.Second || ans.took < 12*time.Second || ans.took > 15*time.Second {
			r.Errorf("retry after %v, took %v", e.RetryAfter, ans.took)
		}
	})
}

// mute is a session that reads nothing back.
type mute struct{ inner *toy.NativeSession }

func (m mute) Close(ctx context.Context) error                { return m.inner.Close(ctx) }
func (m mute) SetPower(ctx context.Context, on bool) error    { return m.inner.SetPower(ctx, on) }
func (m mute) PowerSoft(ctx context.Context) error            { return m.inner.PowerSoft(ctx) }
func (m mute) PowerCycle(ctx context.Context) error           { return m.inner.PowerCycle(ctx) }
func (m mute) BootDevices(persistent bool) []model.BootDevice { return m.inner.BootDevices(persistent) }
func (m mute) SetBoot(ctx context.Context, d model.BootDevice, persistent bool) error {
	return m.inner.SetBoot(ctx, d, persistent)
}

func TestDeviceThatTellsNothing(t *testing.T) {
	open := func(_ int, s *toy.NativeSession) (driver.Session, error) { return mute{s}, nil }
	for command, note := range map[string]string{
		model.PowerOff:   "the device does not tell its state",
		model.PowerSoft:  "the device does not tell its state",
		model.PowerCycle: `the device confirmed the cycle, but off was not seen; no state was read`,
		model.NextBootCD: "the device does not tell its boot override",
	} {
		withQuirk(t, open, func(r *rig) {
			res, err := r.run(command, nil)
			wantResult(r.T, res, err, `{"outcome":"acknowledged","attempts":1,"tookMs":0,"driver":"toy","note":"`+note+`"}`)
		})
	}
	withQuirk(t, open, func(r *rig) {
		r.device.SetFault(toy.LoseReply, model.PowerCycle)
		_, err := r.run(model.PowerCycle, nil)
		wantErr(r.T, err, model.UnknownOutcome,
			`cannot powercycle m1: no reply to "cycle", which was sent once, and off was not seen; no state was read`)
		r.wantExecuted(map[string]int{model.PowerCycle: 1})
	})
	withQuirk(t, open, func(r *rig) {
		_, err := r.run(model.PowerReset, nil)
		wantErr(r.T, err, model.Unsupported, "cannot powerreset m1: driver toy does not have this action in this mode, but in mode native, steps")
	})
}

// booter reads another override than was set.
type booter struct {
	*toy.NativeSession
	got model.BootOverride
	err error
}

func (b booter) Boot(context.Context) (model.BootOverride, error) { return b.got, b.err }

func TestBootReadBack(t *testing.T) {
	for _, row := range []struct {
		got  model.BootOverride
		err  error
		kind model.Kind
		text string
	}{
		{model.BootOverride{Device: model.BootDisk, Valid: true}, nil, model.Timeout,
			"cannot nextbootpxe m1: the override pxe, next boot only was taken, but reads back as disk, next boot only"},
		{model.BootOverride{Device: model.BootPXE, Valid: true, Persistent: true}, nil, model.Timeout,
			"cannot nextbootpxe m1: the override pxe, next boot only was taken, but reads back as pxe, every boot"},
		{model.BootOverride{Device: model.BootPXE, Raw: "00 04"}, nil, model.Timeout,
			`cannot nextbootpxe m1: the override pxe, next boot only was taken, but reads back as pxe, next boot only, not valid ("00 04")`},
		{model.BootOverride{}, model.Errorf(model.Conflict, "not now"), model.Conflict,
			"cannot nextbootpxe m1: the override was taken, but cannot be read back: read boot override: not now"},
		{model.BootOverride{}, model.Errorf(model.Unsupported, "cannot say"), "", ""},
	} {
		open := func(_ int, s *toy.NativeSession) (driver.Session, error) { return booter{s, row.got, row.err}, nil }
		withQuirk(t, open, func(r *rig) {
			res, err := r.run(model.NextBootPXE, nil)
			if row.kind != "" {
				wantErr(r.T, err, row.kind, row.text)
			} else {
				wantResult(r.T, res, err, `{"outcome":"acknowledged","attempts":1,"tookMs":0,"driver":"toy","note":"the device does not tell its boot override"}`)
			}
			r.wantExecuted(map[string]int{"setboot": 1})
		})
	}
}

// flighty is a machine that goes off by itself before a cycle arrives.
type flighty struct {
	*toy.NativeSession
	before func()
}

func (f flighty) PowerCycle(ctx context.Context) error {
	f.before()
	return f.NativeSession.PowerCycle(ctx)
}

func TestCycleOfAMachineThatJustWentOff(t *testing.T) {
	var r *rig
	open := func(_ int, s *toy.NativeSession) (driver.Session, error) {
		return flighty{s, func() { r.device.SetPower(false) }}, nil
	}
	withQuirk(t, open, func(made *rig) {
		r = made
		res, err := r.run(model.PowerCycle, nil)
		wantResult(r.T, res, err, `{"power":"on","raw":"power is on","changed":true,"outcome":"verified","evidence":"state on at 0.1s","attempts":1,"tookMs":150,"driver":"toy","note":"it was off: switched on instead of cycled"}`)
		r.wantExecuted(map[string]int{model.PowerOn: 1})
	})
}

// cyclist can only cycle and read.
type cyclist struct{ inner *toy.NativeSession }

func (c cyclist) Close(ctx context.Context) error      { return c.inner.Close(ctx) }
func (c cyclist) PowerCycle(ctx context.Context) error { return c.inner.PowerCycle(ctx) }
func (c cyclist) PowerState(ctx context.Context) (driver.Reading, error) {
	return c.inner.PowerState(ctx)
}
func (c cyclist) PowerSoft(ctx context.Context) error { return c.inner.PowerSoft(ctx) }

func TestCyclerThatCannotSwitch(t *testing.T) {
	open := func(_ int, s *toy.NativeSession) (driver.Session, error) { return cyclist{s}, nil }
	withQuirk(t, open, func(r *rig) {
		if res, err := r.run(model.PowerCycle, nil); err != nil || res.Outcome != model.Verified {
			r.Errorf("from on: %+v, %v", res, err)
		}
		_, err := r.run(model.PowerSoft, model.Params{"oob/force-after": 5})
		wantErr(r.T, err, model.Unsupported, "cannot powersoft m1: param oob/force-after needs a device that can be switched off; nothing was sent")
		r.device.SetPower(false)
		_, err = r.run(model.PowerCycle, nil)
		wantErr(r.T, err, model.Conflict, "cannot powercycle m1: the machine is off, and driver toy can only cycle one that is on; nothing was sent")
		r.wantExecuted(map[string]int{model.PowerCycle: 1})
	})
}

func TestDeviceThatDiesInMidPlan(t *testing.T) {
	for _, row := range []struct{ mode, command, text string }{
		{toy.Steps, model.PowerCycle, `cannot powercycle m1: off not seen, and on was sent without a reply: open session: no answer from pipe; ` +
			`last state on ("power is on") at 0.9s, not readable since: no answer from pipe; switch it on`},
		{toy.Native, model.PowerOff, `cannot poweroff m1: the order "power off" was taken, but off was not seen within 1m30s; ` +
			`last state on ("power is on") at 0.7s, not readable since: no answer from pipe`},
		{toy.Native, model.PowerCycle, ""},
	} {
		bubble(t, row.mode, func(r *rig) {
			r.device.PowerDelay = 10 * time.Second
			ended := r.start(r.Context(), row.command, nil)
			after(time.Second)
			r.device.SetFault(toy.Silent, "")
			ans := <-ended
			if row.text == "" { // confirmed, and nothing to be read: no more can be said
				if ans.err != nil || ans.res.Outcome != model.Acknowledged || !strings.Contains(ans.res.Note, "not readable since") {
					r.Errorf("%s: %+v, %v", row.command, ans.res, ans.err)
				}
				return
			}
			kind := model.Timeout
			if row.command == model.PowerCycle {
				kind = model.UnknownOutcome
			}
			wantErr(r.T, ans.err, kind, row.text)
		})
	}
}

// fading is a session that answers one reading only.
type fading struct {
	*toy.NativeSession
	reads *int
}

func (f fading) PowerState(ctx context.Context) (driver.Reading, error) {
	if *f.reads++; *f.reads > 1 {
		return driver.Reading{}, model.Errorf(model.Unreachable, "no answer")
	}
	return f.NativeSession.PowerState(ctx)
}

func TestLoginRefusedInMidPlan(t *testing.T) {
	var reads, opened int
	open := func(n int, s *toy.NativeSession) (driver.Session, error) {
		opened = n
		if n > 1 {
			return nil, model.Errorf(model.DeviceAuth, "the password was changed")
		}
		return fading{s, &reads}, nil
	}
	withQuirk(t, open, func(r *rig) {
		_, err := r.run(model.PowerOff, nil)
		wantErr(r.T, err, model.DeviceAuth, `cannot poweroff m1: the order "power off" was taken, but its effect cannot be seen; `+
			`last state on ("power is on") at 0.0s, not readable since: the password was changed`)
		if opened != 2 {
			r.Errorf("%d logins, want no more after the one that was refused", opened)
		}
	})
}

func TestModeChangesInMidPlan(t *testing.T) {
	open := func(n int, s *toy.NativeSession) (driver.Session, error) {
		if n == 1 {
			return s, nil
		}
		return mute{s}, nil
	}
	withQuirk(t, open, func(r *rig) {
		r.device.SetFault(toy.LoseReply, model.PowerReset)
		_, err := r.run(model.PowerReset, nil)
		if model.KindOf(err) != model.UnknownOutcome {
			r.Errorf("want unknown-outcome, got %v", err)
		}
		r.wantExecuted(map[string]int{model.PowerReset: 1})
	})
}

// clingy is a session that does not close well.
type clingy struct{ *toy.NativeSession }

func (c clingy) Close(ctx context.Context) error {
	return errors.Join(c.NativeSession.Close(ctx), errors.New("bad close"))
}

func TestOddSessions(t *testing.T) {
	withQuirk(t, func(_ int, s *toy.NativeSession) (driver.Session, error) { return clingy{s}, nil }, func(r *rig) {
		if _, err := r.run(model.PowerStatus, nil); err != nil {
			r.Error(err)
		}
		wantLogged(r.T, r, "session did not close well", "bad close")
	})
	nothing := func(_ int, s *toy.NativeSession) (driver.Session, error) {
		return nil, s.Close(context.Background())
	}
	withQuirk(t, nothing, func(r *rig) {
		_, err := r.run(model.PowerStatus, nil)
		wantErr(r.T, err, model.Internal, "cannot powerstatus m1: open session: driver toy opened nothing")
	})
}

// plain is the toy driver without its optional interfaces.
type plain struct{ inner *toy.Driver }

func (p plain) Name() string         { return "plain" }
func (p plain) Modes() []driver.Mode { return p.inner.Modes() }
func (p plain) Open(ctx context.Context, t *driver.Target) (driver.Session, error) {
	return p.inner.Open(ctx, t)
}

func TestDriverWithoutOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toy.Native, func(d *toy.Driver) driver.Driver { return plain{d} })
		if _, err := r.run(model.Identify, nil); err != nil || r.device.Lit() != "15" {
			t.Errorf("lit for %q, %v", r.device.Lit(), err)
		}
		for _, a := range r.provider.Actions() {
			if a.RequiredParams != nil || a.OptionalParams[0] != "oob/timeout" {
				t.Errorf("%+v", a)
			}
		}
		if err := r.provider.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// slowly is a session whose device takes its time to answer.
type slowly struct{ *toy.NativeSession }

func (s slowly) linger(ctx context.Context) error {
	select {
	case <-time.After(12 * time.Second):
		return nil
	case <-ctx.Done():
		return model.Errorf(model.UnknownOutcome, "no reply")
	}
}

func (s slowly) SetPower(ctx context.Context, on bool) error {
	if err := s.linger(ctx); err != nil {
		return err
	}
	return s.NativeSession.SetPower(ctx, on)
}

func (s slowly) Health(ctx context.Context) (any, error) { return "fine", s.linger(ctx) }

func TestSlowDevicesAreWaitedFor(t *testing.T) {
	withQuirk(t, func(_ int, s *toy.NativeSession) (driver.Session, error) { return slowly{s}, nil }, func(r *rig) {
		if res, err := r.run(model.PowerOff, nil); err != nil || res.Attempts != 1 || res.Note != "" {
			r.Errorf("poweroff: %+v, %v", res, err)
		}
		if _, err := r.run(model.Status, nil); err != nil {
			r.Errorf("status: %v", err)
		}
		r.wantExecuted(map[string]int{model.PowerOff: 1})
	})
}

// sleepy is a session that is dead until it was prepared often enough.
type sleepy struct {
	*toy.NativeSession
	opened int
}

func (s sleepy) Prepare(context.Context) error {
	if s.opened < 3 {
		return model.Errorf(model.Unreachable, "no answer")
	}
	return nil
}

// TestSessionsArePreparedForWhatIsSentOnce: what comes before a command that is
// sent once may be tried again, the command itself not.
func TestSessionsArePreparedForWhatIsSentOnce(t *testing.T) {
	opened := 0
	withQuirk(t, func(n int, s *toy.NativeSession) (driver.Session, error) {
		opened = n
		return sleepy{NativeSession: s, opened: n}, nil
	}, func(r *rig) {
		if _, err := r.run(model.PowerReset, nil); err != nil {
			t.Error(err)
		}
		r.wantExecuted(map[string]int{model.PowerReset: 1})
	})
	if opened < 3 {
		t.Errorf("opened %d times", opened)
	}
}
