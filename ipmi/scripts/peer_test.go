package scripts

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"provision-plugins/sim/bmc"
)

// adminPassword is that of the account with which the tests reach the simulated BMC.
const adminPassword = "a-Heron-at-noon"

// reach puts the real ipmitool in place of the stub, which speaks to a simulated
// BMC over the network as it would to the one of its own machine.
func (r *rig) reach(b *bmc.BMC) {
	r.t.Helper()
	real := tool(r.t, "ipmitool")
	r.remove("ipmitool")
	r.write(0o600, adminPassword+"\n", "admin-password")
	r.write(0o700, fmt.Sprintf("#!/bin/bash\nprintf '%%s\\n' \"ipmitool $*\" >>\"$RIG/calls\"\nexec %s -I lanplus -H %s -p %d -U admin -f \"$RIG/admin-password\" \"$@\"\n",
		real, b.Addr().Addr(), b.Addr().Port()), "bin", "ipmitool")
}

// startBMC runs one simulated BMC until the test ends.
func startBMC(t *testing.T) *bmc.BMC {
	t.Helper()
	f, err := bmc.New(bmc.Options{Count: 1, Username: "admin", Password: adminPassword})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f.BMC(0)
}

// loginAs asks the BMC for its power state with an account.
func (r *rig) loginAs(b *bmc.BMC, name, password string) error {
	r.t.Helper()
	r.write(0o600, password+"\n", "login-password")
	cmd := exec.CommandContext(r.t.Context(), tool(r.t, "ipmitool"), "-I", "lanplus", "-N", "5", "-H", b.Addr().Addr().String(), "-p", fmt.Sprint(b.Addr().Port()),
		"-U", name, "-f", r.path("login-password"), "chassis", "power", "status")
	cmd.Env = append(os.Environ(), "HOME="+r.dir)
	return cmd.Run()
}

// The real ipmitool makes a user on a simulated BMC, and that user can log in with
// a password that no shell and no line of a file would leave as it is.
func TestRealToolMakesUser(t *testing.T) {
	t.Parallel()
	b := startBMC(t)
	r := newRig(t)
	r.reach(b)
	const password = `#'"$(x)\ ; *`
	set := params{"ipmi/configure/user": true, "ipmi/configure/username": "ops", "ipmi/configure/password": password}
	r.ok(r.run("ipmi-configure", set), "user ops is in slot 3")
	if n := b.Executed(bmc.SetPassword); n < 2 {
		t.Errorf("the BMC was given %d passwords", n)
	}
	if err := r.loginAs(b, "ops", password); err != nil {
		t.Errorf("the new user cannot log in: %v", err)
	}
	if err := r.loginAs(b, "ops", password+"x"); err == nil {
		t.Error("the new user can log in with another password")
	}
	r.ok(r.run("ipmi-configure", set), "user ops has its password already")
}

func TestRealToolRunsCommands(t *testing.T) {
	t.Parallel()
	b := startBMC(t)
	r := newRig(t)
	r.reach(b)
	r.ok(r.run("ipmi-discover", nil), "a BMC answers")
	set := params{"ipmi/extra-ipmi-commands": []any{"chassis power on", "no such command", "chassis power off"}}
	r.failed(r.run("ipmi-run-commands", set), "run command 2")
	if on, off := b.Executed(bmc.PowerOn), b.Executed(bmc.PowerOff); on != 1 || off != 0 {
		t.Errorf("power on was executed %d times, power off %d times", on, off)
	}
}
