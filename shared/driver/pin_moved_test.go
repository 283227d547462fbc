package driver_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/internal/toy"
	"provision-plugins/shared/model"
)

// mover is a driver at whose address another device answers once the first has
// executed something.
type mover struct {
	*toy.Driver
	first, second *toy.Device
	until         string
	steps         bool
}

// device is the one that answers now.
func (m mover) device() *toy.Device {
	if m.first.Executed(m.until) > 0 {
		return m.second
	}
	return m.first
}

func (m mover) Open(ctx context.Context, t *driver.Target) (driver.Session, error) {
	s, err := (&toy.Driver{Dial: m.device().Dial}).Open(ctx, t)
	if native, ok := s.(*toy.NativeSession); ok && m.steps {
		return stepping{native, native, native, native}, err
	}
	return s, err
}

func (m mover) Modes() []driver.Mode {
	if !m.steps {
		return m.Driver.Modes()
	}
	s := &toy.NativeSession{}
	return []driver.Mode{{Name: toy.Native, Session: stepping{s, s, s, s}}}
}

// stepping is a session that cannot cycle, but by off and on.
type stepping struct {
	driver.Session
	driver.PowerReader
	driver.PowerSetter
	driver.IdentityReader
}

// newMovedRig makes a rig whose device is another one after it executed a command
// whose reply was lost.
func newMovedRig(t *testing.T, command string, steps bool) (*rig, *toy.Device) {
	other := toy.NewDevice()
	other.Serial = "TOY-2"
	t.Cleanup(other.Close)
	first := toy.NewDevice()
	t.Cleanup(first.Close)
	r := newRig(t, toy.Native, func(d *toy.Driver) driver.Driver { return mover{d, first, other, command, steps} })
	r.device = first
	r.device.SetFault(toy.LoseReply, command)
	return r, other
}

// changing is what must not be executed by another machine.
var changing = []string{
	model.PowerOn, model.PowerOff, model.PowerSoft, model.PowerCycle, model.PowerReset, model.PowerNMI, "setboot",
}

// wantUntouched holds that a device executed nothing, besides what is excepted.
func wantUntouched(t *testing.T, d *toy.Device, except string) {
	t.Helper()
	for _, command := range changing {
		if n := d.Executed(command); n != 0 && command != except {
			t.Errorf("the other machine executed %s %d times", command, n)
		}
	}
}

// A machine that is not there any more after something was sent is neither sent
// the rest, nor is what is there now taken for it.
func TestDeviceMovesInMidAction(t *testing.T) {
	for _, row := range []struct {
		command, executed string
		params            model.Params
	}{
		{model.PowerOff, model.PowerOff, nil},
		{model.PowerOn, model.PowerOn, nil},
		{model.PowerSoft, model.PowerSoft, nil},
		{model.PowerSoft, model.PowerSoft, model.Params{"oob/force-after": 5}},
		{model.PowerCycle, model.PowerCycle, nil},
		{model.PowerReset, model.PowerReset, nil},
		{model.PowerNMI, model.PowerNMI, nil},
		{model.NextBootPXE, "setboot", nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, other := newMovedRig(t, row.executed, false)
			r.device.SetPower(row.command != model.PowerOn)
			other.SetPower(row.command == model.PowerOn || row.command == model.PowerReset || row.command == model.PowerNMI || row.params != nil)
			begin := time.Now()
			res, err := r.pinnedTo("TOY-1", row.command, row.params)
			if model.KindOf(err) != model.UnknownOutcome {
				t.Errorf("%s: %+v, %v", row.command, res, err)
			}
			if r.device.Executed(row.executed) != 1 {
				t.Errorf("%s: not executed by the right machine: %v", row.command, err)
			}
			if took := time.Since(begin); took > 30*time.Second {
				t.Errorf("%s: known after %v", row.command, took)
			}
			wantUntouched(t, other, "")
		})
	}
}

// The error of it tells both: who is there, and what was sent before.
func TestErrorOfADeviceThatMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newMovedRig(t, model.PowerOff, false)
		_, err := r.pinnedTo("TOY-1", model.PowerOff, nil)
		for _, text := range []string{"oob/identity says TOY-1, and the device there is TOY-2 (serial number), another machine", "power off was sent before, to the right one"} {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%v, want %q in it", err, text)
			}
		}
	})
}

// A power-on that is owed goes out whoever is there: it may be the right machine
// after all, and that one would stay off.
func TestOwedOnIsSentWhoeverIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, other := newMovedRig(t, model.PowerOff, true)
		_, err := r.pinnedTo("TOY-1", model.PowerCycle, nil)
		if model.KindOf(err) != model.UnknownOutcome {
			t.Errorf("%v", err)
		}
		if n := r.device.Executed(model.PowerOn) + other.Executed(model.PowerOn); n == 0 {
			t.Errorf("the power-on that was owed was not sent: %v", err)
		}
		wantUntouched(t, other, model.PowerOn)
	})
}

// Who asks for another pin than that of an action that is under way does not join
// it.
func TestPinsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newCountedRig(t, nil)
		r.device.PowerDelay = 5 * time.Second
		first := r.start(r.Context(), model.PowerOff, nil)
		after(time.Second)
		_, err := r.run(model.PowerOff, model.Params{model.ParamIdentity: "TOY-2"})
		if model.KindOf(err) != model.Busy {
			t.Errorf("joined what is for another device: %v", err)
		}
		if got := <-first; got.err != nil {
			t.Error(got.err)
		}
	})
}

// What the other machine is set to boot from proves nothing, even if it is what was
// asked for.
func TestOverrideOfADeviceThatMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, other := newMovedRig(t, "setboot", false)
		p := driver.NewProvider(&toy.Driver{Dial: other.Dial}, driver.Options{})
		if _, err := p.Action(t.Context(), r.action(model.NextBootPXE, nil)); err != nil {
			t.Fatal(err)
		}
		res, err := r.pinnedTo("TOY-1", model.NextBootPXE, nil)
		if model.KindOf(err) != model.UnknownOutcome || other.Executed("setboot") != 1 {
			t.Errorf("%+v, %v", res, err)
		}
	})
}
