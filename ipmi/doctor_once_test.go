package main

import (
	"strings"
	"sync"
	"testing"

	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// A session that was open and is lost does not make the doctor log in more often
// than once, where the password was changed meanwhile.
func TestDoctorOfALostSession(t *testing.T) {
	b := startBMC(t, bmc.Options{On: true})
	p := briskProvider(t)
	mustAct(t, p, model.PowerStatus, b.Addr())
	b.SetFaults(bmc.Faults{WrongPassword: true, Reboots: map[string]int{bmc.ChassisStatus: 1}, RebootsEarly: true})
	c := examine(t, p, b)
	if check := c.Check(rungLogin); check.Verdict != model.VerdictFailed || check.Kind != model.DeviceAuth {
		t.Errorf("%+v", check)
	}
	if n := b.Executed(bmc.LoginRefused); n > 1 {
		t.Errorf("%d logins failed", n)
	}
}

// However many doctors there are, and whatever else is tried beside them, an
// account is not locked.
func TestDoctorsTogether(t *testing.T) {
	const doctors, actions, lockout = 20, 10, 3
	b := startBMC(t, bmc.Options{On: true})
	b.SetFaults(bmc.Faults{LockoutAfter: lockout})
	p := newProvider(t)
	wrong := model.Params{paramPassword: "not-the-Heron-at-all"}
	var all sync.WaitGroup
	for range doctors {
		all.Go(func() { examine(t, p, b, wrong) })
	}
	for range actions {
		all.Go(func() {
			if _, err := act(p, model.PowerStatus, b.Addr(), wrong); model.KindOf(err) != model.DeviceAuth {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
	if n := b.Executed(bmc.LoginRefused); n > 2 {
		t.Errorf("%d logins failed", n)
	}
	if c := examine(t, p, b); c.Check(rungLogin).Verdict != model.VerdictOK {
		t.Errorf("the account is locked: %s", verdicts(c))
	}
}

// Doctors of an account that is well do not hinder each other.
func TestHealthyDoctorsTogether(t *testing.T) {
	b := startBMC(t, bmc.Options{On: true})
	p := newProvider(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if c := examine(t, p, b); c.Verdict != model.VerdictOK {
				t.Errorf("%s", verdicts(c))
			}
		})
	}
	all.Wait()
	if n := b.Executed(bmc.SessionOpen); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// Boot flags that are not valid are no override.
func TestDoctorOfFlagsThatAreNotValid(t *testing.T) {
	b := startBMC(t, bmc.Options{On: true})
	p := newProvider(t)
	b.SetFaults(bmc.Faults{Tells: bmc.Tells{NotValid: true}})
	if _, err := act(p, model.NextBootPXE, b.Addr(), brief); err == nil {
		t.Error("flags that are not valid are taken for an override")
	}
	if check := examine(t, p, b).Check("boot flags"); check.Verdict != model.VerdictOK || !strings.Contains(check.Found, "no override in effect: pxe") {
		t.Errorf("%+v", check)
	}
}
