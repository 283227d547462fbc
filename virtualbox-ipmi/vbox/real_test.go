package vbox

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// TestReal takes a virtual machine of its own through the VBoxManage of this
// computer, where OOB_VBOX=1 asks for it.
func TestReal(t *testing.T) {
	if os.Getenv("OOB_VBOX") != "1" {
		return // who wants it says so: it starts a virtual machine
	}
	m := New(Options{LockDir: t.TempDir() + "/locks"})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	v, err := m.Version(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("VirtualBox %s", v.Text)
	name := fmt.Sprintf("oob test/%d", time.Now().UnixNano())
	run := func(args ...string) {
		t.Helper()
		if _, err := m.Run(ctx, args...); err != nil {
			t.Fatal(err)
		}
	}
	run("createvm", "--name", name, "--ostype", "Linux_64", "--register")
	defer func() {
		// Also after a failure: with a context of its own.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := m.Run(ctx, "unregistervm", name, "--delete"); err != nil {
			t.Error(err)
		}
	}()
	info, err := m.Info(ctx, name)
	if err != nil || info.Name != name || !info.Idle() || info.State.Word != WordPowerOff {
		t.Fatalf("%+v, %v", info, err)
	}
	run("modifyvm", info.UUID, "--memory", "64", "--boot1", "net", "--boot2", "disk", "--boot3", "none", "--boot4", "none")
	if err := m.SetExtraData(ctx, info.UUID, "drp/test", "a;b"); err != nil {
		t.Fatal(err)
	}
	if value, set, err := m.ExtraData(ctx, info.UUID, "drp/test"); value != "a;b" || !set || err != nil {
		t.Errorf("%q, %v, %v", value, set, err)
	}
	if info, err = m.Info(ctx, info.UUID); err != nil || info.Boot != [4]string{"net", "disk", "none", "none"} || info.MemoryMB != 64 {
		t.Errorf("%+v, %v", info, err)
	}
	if _, err := m.Run(ctx, "controlvm", info.UUID, "poweroff"); ClassOf(err) != InvalidState {
		t.Errorf("power off of one that is off: %v", err)
	}
	if _, err := m.Info(ctx, "11111111-2222-3333-4444-555555555555"); ClassOf(err) != NotFound {
		t.Errorf("one that is not there: %v", err)
	}
	run("startvm", info.UUID, "--type", "headless")
	if info, err = m.Info(ctx, info.UUID); err != nil || info.State.Power != model.StateOn {
		t.Errorf("started: %+v, %v", info, err)
	}
	run("controlvm", info.UUID, "poweroff")
	for {
		if info, err = m.Info(ctx, info.UUID); err != nil || info.Idle() || !pause(ctx, 200*time.Millisecond) {
			break
		}
	}
	if err != nil || !info.Idle() {
		t.Errorf("stopped: %+v, %v", info, err)
	}
}
