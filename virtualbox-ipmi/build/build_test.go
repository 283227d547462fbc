package build

import (
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"provision-plugins/shared/model"
	sim "provision-plugins/sim/vbox"
	"provision-plugins/virtualbox-ipmi/vbox"
)

// TestMain lets the test's program be VBoxManage too.
func TestMain(m *testing.M) {
	if sim.Called(os.Args) {
		// Not os.Exit: under the race detector it takes a second, for each VBoxManage.
		syscall.Exit(sim.Main(os.Args))
	}
	goleak.VerifyTestMain(m)
}

// host is a simulated host with a host-only interface.
func host(t *testing.T) (*sim.Host, *vbox.Manager) {
	t.Helper()
	h, err := sim.New(t.TempDir(), sim.Options{Interfaces: []string{"vboxnet0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h, vbox.New(vbox.Options{Command: h.Command(), LockDir: t.TempDir()})
}

// spec describes a VM.
func spec(t *testing.T, uuid string, more model.Params) *Spec {
	t.Helper()
	s, err := ParseSpec(more)
	if err != nil {
		t.Fatal(err)
	}
	s.UUID, s.Name, s.Owner, s.Machine = uuid, "node 01", "tester", uuid
	return s
}

// newUUID makes a UUID that no other test's VM has: processes are told by it.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// A VM reads back as it was described.
func TestCreate(t *testing.T) {
	t.Parallel()
	someUUID := newUUID()
	h, vm := host(t)
	s := spec(t, someUUID, model.Params{ParamCPUs: 3, ParamMemory: 96, ParamFirmware: "efi", ParamFolder: h.Dir() + "/elsewhere"})
	info, made, err := Create(t.Context(), vm, s)
	if err != nil || !made {
		t.Fatal(made, err)
	}
	if info.UUID != someUUID || info.CPUs != 3 || info.MemoryMB != 96 || !info.EFI() || len(info.NICs) != 2 || info.NICs[0].Network != "vboxnet0" ||
		len(info.Controllers) != 1 || len(info.Controllers[0].Media) != 2 || len(info.UARTs) != 1 || !strings.HasSuffix(info.UARTs[0].Path, "/serial.sock") {
		t.Errorf("%+v", info)
	}
	marks, err := ReadMarks(t.Context(), vm, someUUID)
	if err != nil || marks != (Marks{Owner: "tester", Machine: someUUID, Done: true}) {
		t.Errorf("%+v, %v", marks, err)
	}
}

// What is left of one that was not made to the end is cleared away, at whatever
// step that was.
func TestLeftover(t *testing.T) {
	t.Parallel()
	someUUID := newUUID()
	steps := [][]string{
		{"createvm", "--name", "node 01", "--register", "--uuid", someUUID},
		{"setextradata", someUUID, KeyOwner, "tester"},
		{"setextradata", someUUID, KeyStage, stageBegun},
		{"storagectl", someUUID, "--name", controller, "--add", "sata", "--controller", "IntelAHCI"},
		{"createmedium", "disk", "--filename", "", "--size", "64"},
	}
	for n := range steps {
		h, vm := host(t)
		for _, args := range steps[:n+1] {
			args = slices.Clone(args)
			if args[0] == "createmedium" {
				info, err := vm.Info(t.Context(), someUUID)
				if err != nil {
					t.Fatal(err)
				}
				args[3] = diskPath(info)
			}
			if _, err := vm.Run(t.Context(), args...); err != nil {
				t.Fatal(args, err)
			}
		}
		if _, made, err := Create(t.Context(), vm, spec(t, someUUID, nil)); err != nil || !made {
			t.Errorf("after %s: %v, %v", steps[n][0], made, err)
		}
		vms, err := h.VMs()
		media, mediaErr := h.Media()
		if err != nil || mediaErr != nil || len(vms) != 1 || len(media) != 1 {
			t.Errorf("after %s: VMs %v, media %v, %v %v", steps[n][0], vms, media, err, mediaErr)
		}
	}
}

// A VM that somebody else began, or filled, is left alone.
func TestNotLeftover(t *testing.T) {
	t.Parallel()
	someUUID := newUUID()
	for _, step := range [][]string{
		{"setextradata", someUUID, KeyOwner, "another"},
		{"setextradata", someUUID, "GUI/Size", "1"},
		{"storagectl", someUUID, "--name", "IDE", "--add", "ide"},
	} {
		h, vm := host(t)
		for _, args := range [][]string{{"createvm", "--name", "node 01", "--register", "--uuid", someUUID}, step} {
			if _, err := vm.Run(t.Context(), args...); err != nil {
				t.Fatal(args, err)
			}
		}
		_, made, err := Create(t.Context(), vm, spec(t, someUUID, nil))
		if model.KindOf(err) != model.Conflict || made {
			t.Errorf("%v: made %v, %v", step, made, err)
		}
		if vms, err := h.VMs(); err != nil || len(vms) != 1 {
			t.Errorf("%v: VMs %v, %v", step, vms, err)
		}
	}
}

// A VM is removed whatever its state, and only by who made it.
func TestDestroy(t *testing.T) {
	t.Parallel()
	someUUID := newUUID()
	h, vm := host(t)
	for _, state := range []string{"", "running", "paused", "saved", "gurumeditation"} {
		if _, _, err := Create(t.Context(), vm, spec(t, someUUID, nil)); err != nil {
			t.Fatal(err)
		}
		if state != "" {
			run(t, vm, "startvm", someUUID, "--type", "headless")
		}
		switch state {
		case "paused":
			run(t, vm, "controlvm", someUUID, "pause")
		case "saved":
			run(t, vm, "controlvm", someUUID, "savestate")
		case "gurumeditation":
			if err := h.Force(someUUID, state); err != nil {
				t.Fatal(err)
			}
		}
		for _, other := range [][2]string{{"another", someUUID}, {"tester", "another"}} {
			if _, err := Destroy(t.Context(), vm, someUUID, other[0], other[1]); model.KindOf(err) != model.Conflict {
				t.Errorf("%s: removed by %v: %v", state, other, err)
			}
		}
		if gone, err := Destroy(t.Context(), vm, someUUID, "tester", strings.ToUpper(someUUID)); err != nil || !gone {
			t.Errorf("%s: %v, %v", state, gone, err)
		}
		if media, err := h.Media(); err != nil || len(media) > 0 {
			t.Errorf("%s: media %v, %v", state, media, err)
		}
	}
	if gone, err := Destroy(t.Context(), vm, someUUID, "tester", ""); err != nil || gone {
		t.Errorf("one that is not there: %v, %v", gone, err)
	}
}

// run runs VBoxManage.
func run(t *testing.T, vm *vbox.Manager, args ...string) {
	t.Helper()
	if _, err := vm.Run(t.Context(), args...); err != nil {
		t.Fatal(args, err)
	}
}
