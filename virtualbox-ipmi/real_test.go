package main

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/driver/drivertest"
	"provision-plugins/shared/model"
	"provision-plugins/virtualbox-ipmi/bootonce"
	manage "provision-plugins/virtualbox-ipmi/vbox"
)

// TestReal judges the driver on the VBoxManage of this computer, where OOB_VBOX=1
// asks for it. It makes VMs of its own, without a disk, and removes them.
func TestReal(t *testing.T) {
	if os.Getenv("OOB_VBOX") != "1" {
		return // who wants it says so: it starts VMs
	}
	path, err := exec.LookPath("VBoxManage")
	if err != nil {
		t.Fatal(err)
	}
	realSuite(t, path)
}

// TestRealOnSimulator runs the same on the simulator, so that what is held against
// a real VirtualBox is itself known to hold.
func TestRealOnSimulator(t *testing.T) {
	if nightly() {
		realSuite(t, startHost(t, simOptions()).Command())
	}
}

// realSuite runs the suite on a VBoxManage, which is watched and not made to fail.
func realSuite(t *testing.T, path string) {
	none := "a real VirtualBox is not made to fail"
	drivertest.Run(t, drivertest.Config{
		New:     func(tb testing.TB, _ *slog.Logger) *drivertest.Rig { return realRig(tb, path) },
		Without: without,
		NoFault: map[drivertest.Fault]string{
			drivertest.LoseReply: none, drivertest.LoseRequest: none, drivertest.Refuse: none, drivertest.Silent: none,
			drivertest.Credentials: none, drivertest.Unreachable: none, drivertest.Stuck: none, drivertest.Strange: none,
		},
		Skip: map[string]string{
			"evidence/powersoft": "a VM without an operating system ignores the button",
		},
		Timeout: time.Minute, Short: 10 * time.Second,
	})
}

// realVM is a VM behind a watched VBoxManage.
type realVM struct {
	tb   testing.TB
	spy  *spy
	vm   *manage.Manager // not watched
	uuid string
}

// realRig makes a VM, which is on.
func realRig(tb testing.TB, path string) *drivertest.Rig {
	tb.Helper()
	v := &realVM{tb: tb, spy: newSpy(tb, path), vm: manage.New(manage.Options{Command: path, LockDir: tb.TempDir()}), uuid: newUUID()}
	tb.Cleanup(func() {
		v.SetPower(false)
		v.run("unregistervm", v.uuid, "--delete")
	})
	v.run("createvm", "--name", "oob test/"+v.uuid, "--ostype", "Linux_64", "--register", "--uuid", v.uuid)
	v.run("modifyvm", v.uuid, "--memory", "64", "--vram", "16", "--boot1", "disk", "--boot2", "none", "--boot3", "none", "--boot4", "none", "--nic1", "nat")
	v.SetPower(true)
	return &drivertest.Rig{
		Driver: newDriver(manage.Options{Command: v.spy.command(), LockDir: tb.TempDir(), Concurrency: 8}),
		Params: model.Params{paramID: v.uuid}, Device: v, Fault: func(drivertest.Fault, string) {}, Boot: v.override,
	}
}

// run runs VBoxManage, unwatched.
func (v *realVM) run(args ...string) []byte {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := v.vm.Run(ctx, args...)
	if err != nil {
		v.tb.Error(err)
	}
	return out
}

// info reads the VM.
func (v *realVM) info() *manage.Info {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	info, err := v.vm.Info(ctx, v.uuid)
	if err != nil {
		v.tb.Error(err)
		return &manage.Info{}
	}
	return info
}

// Executed counts what was run of a command of the vocabulary and ended well.
func (v *realVM) Executed(command string) (n int) {
	words := strings.Fields(commandOf[command])
	for _, args := range v.spy.done(v.tb) {
		switch {
		case len(words) == 0, args[0] != words[0], len(words) > 1 && (len(args) < 3 || args[2] != words[1]):
		case command == drivertest.SetBoot && !(len(args) == 4 && args[2] == bootonce.KeyPending):
		default:
			n++
		}
	}
	return n
}

// Power reports whether the VM is on.
func (v *realVM) Power() bool { return v.info().State.Power == model.StateOn }

// SetPower starts or stops the VM, and waits until nobody has it open.
func (v *realVM) SetPower(on bool) {
	switch {
	case on == v.Power():
	case on:
		v.run("startvm", v.uuid, "--type", "headless")
	default:
		v.run("controlvm", v.uuid, "poweroff")
	}
	if !on {
		until(v.tb, "the VM is idle", func() bool { return v.info().Idle() })
	}
}

// override is the boot override as it is kept with the VM.
func (v *realVM) override() model.BootOverride {
	return extradata(manage.ParseAllExtraData(v.run("getextradata", v.uuid, "enumerate"))).state(v.info()).Override()
}

// A watched VBoxManage counts what ended well, and by its VM's command.
func TestSpy(t *testing.T) {
	t.Parallel()
	h := startHost(t, simOptions())
	vm := newVM(t, h, "n1")
	s := newSpy(t, h.Command())
	for _, args := range [][]string{{"startvm", vm, "--type", "headless"}, {"startvm", vm}, {"controlvm", vm, "reset"}} {
		_ = exec.Command(s.command(), args...).Run() // the second is refused
	}
	got := s.done(t)
	if s.runs(t) != 3 || len(got) != 2 || !slices.Equal(got[1], []string{"controlvm", vm, "reset"}) {
		t.Errorf("%d runs, %v", s.runs(t), got)
	}
	v := &realVM{tb: t, spy: s}
	if v.Executed(model.PowerOn) != 1 || v.Executed(model.PowerReset) != 1 || v.Executed(model.PowerOff) != 0 || v.Executed(model.PowerCycle) != 0 {
		t.Errorf("counted wrongly: %v", got)
	}
}
