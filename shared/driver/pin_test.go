package driver_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/internal/toy"
	"provision-plugins/shared/model"
)

// pinnedTo runs an action on a machine whose own params pin it.
func (r *rig) pinnedTo(pin any, command string, params model.Params) (model.Result, error) {
	r.Helper()
	a := r.action(command, params)
	a.Model = map[string]any{"Name": "m1", "Uuid": "u1", "Params": map[string]any{model.ParamIdentity: pin}}
	result, err := r.provider.Action(r.Context(), a)
	res, _ := result.(model.Result)
	return res, err
}

// identities counts how often the identity is read, and changes what is read.
type identities struct {
	*toy.Driver
	reads *int
	read  func(n int, id model.Identity, err error) (model.Identity, error)
}

func (d identities) Open(ctx context.Context, t *driver.Target) (driver.Session, error) {
	s, err := d.Driver.Open(ctx, t)
	if native, ok := s.(*toy.NativeSession); ok {
		return identified{native, d}, err
	}
	return s, err
}

func (d identities) Modes() []driver.Mode {
	return []driver.Mode{{Name: toy.Native, Session: identified{NativeSession: &toy.NativeSession{}}}, {Name: toy.Bare, Session: &toy.BareSession{}}}
}

type identified struct {
	*toy.NativeSession
	driver identities
}

func (s identified) Identity(ctx context.Context) (model.Identity, error) {
	*s.driver.reads++
	id, err := s.NativeSession.Identity(ctx)
	if s.driver.read != nil {
		return s.driver.read(*s.driver.reads, id, err)
	}
	return id, err
}

// newCountedRig makes a rig that counts readings of the identity.
func newCountedRig(t *testing.T, read func(n int, id model.Identity, err error) (model.Identity, error)) (*rig, *int) {
	reads := new(int)
	return newRig(t, toy.Native, func(d *toy.Driver) driver.Driver { return identities{d, reads, read} }), reads
}

func TestPinnedMachineWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, reads := newCountedRig(t, nil)
		if _, err := r.pinnedTo(" toy-1 ", model.PowerCycle, nil); err != nil {
			t.Fatal(err)
		}
		if *reads != 1 {
			t.Errorf("the identity was read %d times in one session", *reads)
		}
		r.wantExecuted(map[string]int{model.PowerCycle: 1})
	})
}

func TestOtherMachineIsNotTouched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newCountedRig(t, nil)
		for _, info := range model.Actions() {
			_, err := r.pinnedTo("TOY-2", info.Command, nil)
			if info.Class == model.Read || info.Command == model.Identify {
				if err != nil {
					t.Errorf("%s: %v", info.Command, err)
				}
				continue
			}
			wantErr(t, err, model.Conflict, "cannot "+info.Command+" m1: oob/identity says TOY-2, "+
				"and the device there is TOY-1 (serial number), another machine; nothing was sent")
		}
		r.wantExecuted(map[string]int{model.Identify: 1})
	})
}

// Even what would change nothing is not said of another machine.
func TestOtherMachineThatIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newCountedRig(t, nil)
		r.device.SetPower(false)
		if res, err := r.pinnedTo("TOY-2", model.PowerOff, nil); model.KindOf(err) != model.Conflict {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

func TestDeviceWithoutIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newCountedRig(t, nil)
		r.device.Serial = ""
		_, err := r.pinnedTo("TOY-1", model.PowerOff, nil)
		wantErr(t, err, model.Conflict, "cannot poweroff m1: oob/identity says TOY-1, "+
			"and the device does not tell its identity (the device has no serial number); nothing was sent")
		_, err = r.run(model.GetIdentity, nil)
		wantErr(t, err, model.Unsupported, "cannot getIdentity m1: read identity: the device has no serial number")
		r.wantExecuted(nil)
	})
}

// unnamed hides what a session could tell of its identity.
type unnamed struct {
	driver.Session
	driver.PowerReader
	driver.PowerSetter
}

type unnamedDriver struct{ *toy.Driver }

func (unnamedDriver) Modes() []driver.Mode {
	s := &toy.NativeSession{}
	return []driver.Mode{{Name: toy.Native, Session: unnamed{s, s, s}}}
}

func (d unnamedDriver) Open(ctx context.Context, t *driver.Target) (driver.Session, error) {
	s, err := d.Driver.Open(ctx, t)
	if err != nil {
		return nil, err
	}
	native, ok := s.(*toy.NativeSession)
	if !ok {
		return s, nil
	}
	return unnamed{native, native, native}, nil
}

func TestDriverWithoutIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toy.Native, func(d *toy.Driver) driver.Driver { return unnamedDriver{d} })
		_, err := r.pinnedTo("TOY-1", model.PowerOff, nil)
		wantErr(t, err, model.Conflict, "cannot poweroff m1: oob/identity says TOY-1, "+
			"and the device does not tell its identity (its driver does not read it); nothing was sent")
		_, err = r.run(model.PowerOff, nil)
		if err != nil {
			t.Errorf("without a pin: %v", err)
		}
		r.wantExecuted(map[string]int{model.PowerOff: 1})
	})
}

// A reading that is lost is made again; one that stays away stops the action.
func TestIdentityIsReadAgain(t *testing.T) {
	lost := model.Errorf(model.Unreachable, "no answer from pipe")
	synctest.Test(t, func(t *testing.T) {
		r, reads := newCountedRig(t, func(n int, id model.Identity, err error) (model.Identity, error) {
			if n == 1 {
				return model.Identity{}, lost
			}
			return id, err
		})
		if _, err := r.pinnedTo("TOY-1", model.PowerOff, nil); err != nil || *reads != 2 {
			t.Errorf("%d readings, %v", *reads, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r, _ := newCountedRig(t, func(int, model.Identity, error) (model.Identity, error) { return model.Identity{}, lost })
		_, err := r.pinnedTo("TOY-1", model.PowerOff, nil)
		wantErr(t, err, model.Unreachable, "cannot poweroff m1: compare identity: no answer from pipe")
		r.wantExecuted(nil)
	})
}

// A plan that has begun asks again in a new session, and once in each.
func TestBegunPlanIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, reads := newCountedRig(t, nil)
		r.device.SetFault(toy.LoseReply, model.PowerOff)
		if _, err := r.pinnedTo("TOY-1", model.PowerOff, nil); err != nil {
			t.Fatal(err)
		}
		if *reads != 2 {
			t.Errorf("the identity was read %d times", *reads)
		}
	})
}

func TestPinOfTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newCountedRig(t, nil)
		_, err := r.pinnedTo("TOY-2", model.PowerOff, model.Params{model.ParamIdentity: "TOY-1"})
		if model.KindOf(err) != model.Conflict {
			t.Errorf("the request loosened the pin: %v", err)
		}
		_, err = r.run(model.PowerOff, model.Params{model.ParamIdentity: "TOY-2"})
		if model.KindOf(err) != model.Conflict {
			t.Errorf("the pin of a request does not count: %v", err)
		}
		for _, pin := range []any{7, []any{"TOY-1"}, map[string]any{}} {
			_, err = r.pinnedTo(pin, model.PowerOff, nil)
			if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), model.ParamIdentity) {
				t.Errorf("pin %v: %v", pin, err)
			}
		}
		r.wantExecuted(nil)
	})
}

func TestDoctorOfADriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toy.Native, nil)
		for password, want := range map[string]model.Verdict{r.device.Password: model.VerdictOK, "wrong": model.VerdictFailed} {
			report, err := r.provider.Action(r.Context(), r.action(model.Doctor, model.Params{"toy/password": password}))
			c, ok := report.(*model.Checkup)
			if err != nil || !ok || c.Verdict != want || c.Driver != "toy" || len(c.Checks) != 1 {
				t.Errorf("%+v, %v", report, err)
			}
		}
		if n := r.device.Refused(); n != 1 {
			t.Errorf("%d logins failed", n)
		}
	})
}

// failing is a driver whose doctor has nothing to check.
type failing struct{ *toy.Driver }

func (failing) Doctor(context.Context, *driver.Target) (*model.Checkup, error) {
	return nil, model.Errorf(model.Invalid, "param toy/address is not set")
}

func TestDoctorWithNothingToCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toy.Native, func(d *toy.Driver) driver.Driver { return failing{d} })
		_, err := r.run(model.Doctor, nil)
		wantErr(t, err, model.Invalid, "cannot doctor m1: check: param toy/address is not set")
	})
}
