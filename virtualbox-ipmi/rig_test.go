package main

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/drivertest"
	"provision-plugins/shared/model"
	"provision-plugins/sim/vbox"
	"provision-plugins/virtualbox-ipmi/bootonce"
	manage "provision-plugins/virtualbox-ipmi/vbox"
)

// simOptions are a host whose VMs close their sessions late, as they do.
func simOptions() vbox.Options {
	return vbox.Options{Behaviour: vbox.Behaviour{SessionLag: 150 * time.Millisecond}}
}

// nightly reports whether what needs repetition or real time is tried in full.
func nightly() bool { return os.Getenv("OOB_NIGHTLY") == "1" }

// startHost is a simulated host until the test ends.
func startHost(tb testing.TB, o vbox.Options) *vbox.Host {
	tb.Helper()
	program, err := helperPath()
	if err != nil {
		tb.Fatal(err)
	}
	o.Program = program
	h, err := vbox.New(tb.TempDir(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := h.Close(); err != nil {
			tb.Error(err)
		}
	})
	return h
}

// vboxOptions reach a simulated host. More commands than by default run at once:
// the suite's many actions are not what the bound is for.
func vboxOptions(tb testing.TB, h *vbox.Host) manage.Options {
	tb.Helper()
	return manage.Options{Command: h.Command(), LockDir: tb.TempDir(), Concurrency: 32}
}

// newVM makes a VM on a host and returns its UUID.
func newVM(tb testing.TB, h *vbox.Host, name string) string {
	tb.Helper()
	uuid, err := h.Create(name)
	if err != nil {
		tb.Fatal(err)
	}
	return uuid
}

// look looks at a VM, as it is and not as it is told.
func look(tb testing.TB, h *vbox.Host, uuid string) vbox.VM {
	tb.Helper()
	vm, err := h.VM(uuid)
	if err != nil {
		tb.Fatal(err)
	}
	return vm
}

// plugin is a plugin on a host until the test ends.
func startPlugin(tb testing.TB, o manage.Options) *impl {
	tb.Helper()
	i := newImpl()
	i.driver.manage(o)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := i.Stop(ctx); err != nil {
			tb.Error(err)
		}
	})
	return i
}

// act runs an action on a VM.
func act(i *impl, command, uuid string, more ...model.Params) (any, error) {
	params := model.Params{paramID: uuid}
	for _, m := range more {
		for name, v := range m {
			params[name] = v
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return i.Action(ctx, &model.Action{Model: &model.Machine{Name: "m1", Uuid: uuid}, Command: command, Params: params})
}

// mustAct is act that must succeed, of a power or boot action.
func mustAct(tb testing.TB, i *impl, command, uuid string, more ...model.Params) model.Result {
	tb.Helper()
	got, err := act(i, command, uuid, more...)
	if err != nil {
		tb.Fatalf("%s: %v", command, err)
	}
	res, _ := got.(model.Result)
	return res
}

// want checks the kind and the text of an error.
func want(tb testing.TB, err error, kind model.Kind, says ...string) {
	tb.Helper()
	if model.KindOf(err) != kind || err == nil {
		tb.Errorf("want an error of kind %s, got %v", kind, err)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			tb.Errorf("the error does not say %q: %v", s, err)
		}
	}
}

// executed counts what a host did with a VM.
func executed(tb testing.TB, h *vbox.Host, uuid, what string) int {
	tb.Helper()
	n, err := h.Executed(uuid, what)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// far is a VM as the suite sees it.
type far struct {
	tb   testing.TB
	host *vbox.Host
	uuid string

	mu   sync.Mutex // guards ours
	ours int        // starts by SetPower
}

// Names of what a host does, by the vocabulary's.
var hostNames = map[string]string{
	model.PowerOn: "start", model.PowerOff: "stop", model.PowerSoft: "soft", model.PowerReset: "reset", model.PowerNMI: "nmi",
}

// Executed counts a command of the vocabulary.
func (f *far) Executed(command string) int {
	if command == drivertest.SetBoot {
		return f.recorded()
	}
	what := hostNames[command]
	if what == "" {
		return 0
	}
	n, err := f.host.Executed(f.uuid, what)
	if err != nil {
		f.tb.Error(err)
	}
	if command == model.PowerOn {
		f.mu.Lock()
		defer f.mu.Unlock()
		n -= f.ours
	}
	return n
}

// recorded counts how often a boot override was asked for.
func (f *far) recorded() (n int) {
	all, err := f.host.Ledger()
	if err != nil {
		f.tb.Error(err)
	}
	for _, e := range all {
		if e.What == "extradata" && len(e.Args) == 4 && e.Args[2] == bootonce.KeyPending {
			n++
		}
	}
	return n
}

// Power reports whether the VM is on.
func (f *far) Power() bool {
	vm, err := f.host.VM(f.uuid)
	if err != nil {
		f.tb.Error(err)
	}
	return slices.Contains([]string{"running", "paused", "gurumeditation", "starting"}, vm.State)
}

// SetPower starts the VM, or kills it.
func (f *far) SetPower(on bool) {
	var err error
	switch {
	case on == f.Power():
	case on:
		f.mu.Lock()
		f.ours++
		f.mu.Unlock()
		err = exec.Command(f.host.Command(), "startvm", f.uuid, "--type", "headless").Run()
	default:
		err = f.host.Crash(f.uuid)
	}
	if err != nil {
		f.tb.Error(err)
	}
}

// override is the boot override as it is kept with the VM.
func (f *far) override() model.BootOverride {
	vm, err := f.host.VM(f.uuid)
	if err != nil {
		f.tb.Error(err)
	}
	return bootonce.State{
		Order: vm.Boot, Pending: vm.Extra[bootonce.KeyPending], Restore: vm.Extra[bootonce.KeyRestore], Once: vm.Extra[bootonce.KeyOnce],
	}.Override()
}

// commandOf is a command of the vocabulary as VBoxManage knows it.
var commandOf = map[string]string{
	model.PowerOn: "startvm", model.PowerOff: "controlvm poweroff", model.PowerSoft: "controlvm acpipowerbutton",
	model.PowerReset: "controlvm reset", model.PowerNMI: "debugvm injectnmi", drivertest.SetBoot: "setextradata",
}

// fault arranges a fault of the suite.
func (f *far) fault(fault drivertest.Fault, command string) {
	hit := func(kind string) []vbox.Fault { return []vbox.Fault{{Kind: kind, Command: commandOf[command]}} }
	var faults []vbox.Fault
	switch fault {
	case drivertest.None:
	case drivertest.LoseReply:
		faults = hit(vbox.FaultHangAfter)
	case drivertest.LoseRequest:
		faults = hit(vbox.FaultHang)
	case drivertest.Refuse:
		faults = hit(vbox.FaultZero)
	case drivertest.Silent:
		faults = []vbox.Fault{{Kind: vbox.FaultHang}}
	case drivertest.Unreachable:
		faults = []vbox.Fault{{Kind: vbox.FaultService}}
	case drivertest.Stuck:
		for _, stuck := range []string{"startvm", "controlvm poweroff", "controlvm acpipowerbutton", "controlvm reset"} {
			faults = append(faults, vbox.Fault{Kind: vbox.FaultStuck, Command: stuck})
		}
	case drivertest.Strange:
		faults = []vbox.Fault{{Kind: vbox.FaultIgnored, Command: "controlvm poweroff"}}
		if err := f.host.Force(f.uuid, "hesitating"); err != nil {
			f.tb.Error(err)
		}
	default:
		f.tb.Errorf("the rig cannot make the fault %q", fault)
	}
	if err := f.host.SetFaults(faults...); err != nil {
		f.tb.Error(err)
	}
}

// simRig is one simulated VM, which is on, and a driver of its own.
func simRig(tb testing.TB) *drivertest.Rig {
	h := startHost(tb, simOptions())
	f := &far{tb: tb, host: h, uuid: newVM(tb, h, "node 01_a")}
	f.SetPower(true)
	d := newDriver(vboxOptions(tb, h))
	var _ driver.Driver = d
	return &drivertest.Rig{
		Driver: d, Params: model.Params{paramID: f.uuid}, Device: f, Fault: f.fault, Boot: f.override,
	}
}
