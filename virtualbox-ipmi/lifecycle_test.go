package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/sim/vbox"
	"provision-plugins/virtualbox-ipmi/build"
)

// hosted is a plugin on a host with a host-only interface, configured with an
// endpoint.
func hosted(t *testing.T, more model.Params) (*impl, *vbox.Host, *fakeEndpoint) {
	t.Helper()
	o := simOptions()
	o.Interfaces = []string{"vboxnet0"}
	h := startHost(t, o)
	e, c := startEndpoint(t)
	i := startPlugin(t, vboxOptions(t, h))
	params := model.Params{"Name": "vbox", paramCommand: h.Command()}
	for name, v := range more {
		params[name] = v
	}
	if err := i.Config(t.Context(), c, params); err != nil {
		t.Fatal(err)
	}
	return i, h, e
}

// onPlugin runs an action on the plugin.
func onPlugin(i *impl, command string, params model.Params) (vmResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	got, err := i.Action(ctx, &model.Action{Model: &model.Plugin{Name: "vbox"}, Command: command, Params: params})
	res, _ := got.(vmResult)
	return res, err
}

// empty checks that a host has no VM, no medium and no file of one.
func empty(tb testing.TB, h *vbox.Host) {
	tb.Helper()
	vms, err := h.VMs()
	media, mediaErr := h.Media()
	if err = errors.Join(err, mediaErr); err != nil {
		tb.Fatal(err)
	}
	var files []string
	err = filepath.WalkDir(filepath.Join(h.Dir(), "VirtualBox VMs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return nil
	})
	if err != nil || len(vms)+len(media)+len(files) > 0 {
		tb.Errorf("left: VMs %v, media %v, files %v, %v", vms, media, files, err)
	}
}

// A VM is made as its params say, started, stopped and removed, with its machine.
func TestCreateToDestroy(t *testing.T) {
	t.Parallel()
	i, h, e := hosted(t, nil)
	res, err := onPlugin(i, actionCreateVM, model.Params{
		build.ParamName: "web/01 \"blue\"", build.ParamCPUs: 3, build.ParamMemory: 512, build.ParamDisk: 64,
		build.ParamNICs: []any{map[string]any{"kind": "hostonly"}, map[string]any{"kind": "intnet", "network": "prov", "mac": "08:00:27:aa:bb:cc"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	vm := look(t, h, res.ID)
	if vm.Name != "web/01 \"blue\"" || vm.Boot != [4]string{"net", "disk", "none", "none"} || !res.Changed || !strings.HasPrefix(res.Result, "Created ") {
		t.Errorf("%+v, %+v", res, vm)
	}
	m := e.get(res.Machine)
	if m == nil || m.Name != "web-01 -blue-" || m.Params[paramID] != strings.ToUpper(res.ID) || m.Params[build.ParamName] != vm.Name ||
		m.Params[paramMachinePlugin] != "vbox" || m.Params[paramMadeBy] != "vbox" || len(m.HardwareAddrs) != 2 || m.HardwareAddrs[1] != "08:00:27:aa:bb:cc" {
		t.Fatalf("the machine is %+v", m)
	}
	for _, row := range []struct {
		command, state string
		changed        bool
	}{{actionStartVM, "running", true}, {actionStartVM, "running", false}, {actionStopVM, "poweroff", true}, {actionStopVM, "poweroff", false}} {
		got, err := onPlugin(i, row.command, model.Params{build.ParamName: vm.Name})
		if err != nil || got.Changed != row.changed || look(t, h, res.ID).State != row.state {
			t.Errorf("%s: %+v, %v", row.command, got, err)
		}
	}
	if _, err := onPlugin(i, actionStartVM, model.Params{paramID: res.ID}); err != nil {
		t.Error(err)
	}
	gone, err := onPlugin(i, actionDestroyVM, model.Params{paramID: res.ID})
	if err != nil || !gone.Changed || e.get(res.Machine) != nil {
		t.Errorf("destroyVm: %+v, %v", gone, err)
	}
	empty(t, h)
	if again, err := onPlugin(i, actionDestroyVM, model.Params{paramID: res.ID}); err != nil || again.Changed {
		t.Errorf("destroyVm again: %+v, %v", again, err)
	}
}

// Asked twice for one UUID, it is made once.
func TestCreateTwice(t *testing.T) {
	t.Parallel()
	i, h, e := hosted(t, nil)
	params := model.Params{paramID: newUUID(), build.ParamName: "twin"}
	first, err := onPlugin(i, actionCreateVM, params)
	if err != nil {
		t.Fatal(err)
	}
	second, err := onPlugin(i, actionCreateVM, params)
	if err != nil || second.Changed || second.ID != first.ID || second.Machine != first.Machine || len(e.all()) != 1 {
		t.Errorf("%+v, then %+v, %v", first, second, err)
	}
	if n := executed(t, h, "", "create"); n != 1 {
		t.Errorf("made %d times", n)
	}
	_, err = onPlugin(i, actionCreateVM, model.Params{build.ParamName: "twin"})
	want(t, err, model.Conflict, "is there already", first.ID)
	_, err = onPlugin(i, actionCreateVM, model.Params{})
	want(t, err, model.Invalid, paramID, build.ParamName)
}

// What cannot be is refused before anything is made, by name.
func TestCreateRefused(t *testing.T) {
	t.Parallel()
	i, h, _ := hosted(t, nil)
	theirs := newVM(t, h, "theirs")
	for _, row := range []struct {
		params model.Params
		kind   model.Kind
		says   string
	}{
		{model.Params{build.ParamNICs: []any{map[string]any{"kind": "hostonly", "network": "vboxnet7"}}}, model.Conflict, "vboxnet7"},
		{model.Params{paramID: theirs}, model.Conflict, "was not made by"},
		{model.Params{build.ParamCPUs: 0}, model.Invalid, build.ParamCPUs},
		{model.Params{paramISO: "x.iso"}, model.Invalid, paramISO},
	} {
		row.params[build.ParamName] = "n1"
		_, err := onPlugin(i, actionCreateVM, row.params)
		want(t, err, row.kind, row.says)
	}
	_, err := onPlugin(i, actionCreateVM, model.Params{build.ParamName: "n1", paramISO: "/nonexistent/none.iso"})
	want(t, err, model.Conflict, "what was made of it was removed")
	if vms, err := h.VMs(); err != nil || !slices.Equal(vms, []string{theirs}) {
		t.Errorf("the VMs are %v, %v", vms, err)
	}
	_, err = onPlugin(i, actionDestroyVM, model.Params{paramID: theirs})
	want(t, err, model.Conflict, "was not made by")
	_, err = onPlugin(i, actionStartVM, model.Params{build.ParamName: "nobody"})
	want(t, err, model.NotFound, "nobody")
}

// makingSteps are the commands of which a VM is made.
var makingSteps = []string{"createvm", "setextradata", "storagectl", "createmedium", "storageattach", "modifyvm"}

// When any step fails nothing is left, and the next time it is made.
func TestCreateUndone(t *testing.T) {
	t.Parallel()
	for _, step := range makingSteps {
		for skip := range 2 {
			if skip > 0 && !nightly() {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", step, skip), func(t *testing.T) {
				t.Parallel()
				i, h, e := hosted(t, nil)
				if err := h.SetFaults(vbox.Fault{Kind: vbox.FaultZero, Command: step, Skip: skip, Count: 1}); err != nil {
					t.Fatal(err)
				}
				params := model.Params{build.ParamName: "n1", paramID: newUUID()}
				if _, err := onPlugin(i, actionCreateVM, params); err != nil {
					want(t, err, model.Conflict, "createVm")
					empty(t, h)
					if len(e.all()) > 0 {
						t.Errorf("a machine is left: %+v", e.all())
					}
				} else if skip == 0 {
					t.Error("the fault was not met")
				}
				if _, err := onPlugin(i, actionCreateVM, params); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// Without a machine for it there is no VM.
func TestCreateWithoutMachine(t *testing.T) {
	t.Parallel()
	i, h, e := hosted(t, nil)
	e.refusing(true)
	_, err := onPlugin(i, actionCreateVM, model.Params{build.ParamName: "n1"})
	want(t, err, model.Conflict, "the VM was removed")
	empty(t, h)
}

// A plugin that is killed while it makes a VM leaves what the next one clears away:
// then there is one VM, with one disk.
func TestCreateKilled(t *testing.T) {
	t.Parallel()
	id := newUUID()
	try := func(t *testing.T, n int, when string) (commands int) {
		o := simOptions()
		o.Interfaces = []string{"vboxnet0"}
		h := startHost(t, o)
		s := newSpy(t, h.Command())
		s.killAt(t, n, when)
		params := model.Params{paramID: id, build.ParamName: "node 01"}
		if killed := runErrand(t, errand{Command: s.command(), LockDir: t.TempDir(), Actions: []string{actionCreateVM}, Params: params, Plugin: true}); killed != (n >= 0) {
			t.Errorf("killed is %v", killed)
		}
		commands = s.runs(t)
		i := startPlugin(t, vboxOptions(t, h))
		if _, err := onPlugin(i, actionCreateVM, params); err != nil {
			t.Fatal(err)
		}
		vms, err := h.VMs()
		media, mediaErr := h.Media()
		if err = errors.Join(err, mediaErr); err != nil || !slices.Equal(vms, []string{id}) || len(media) != 1 {
			t.Errorf("VMs %v, media %v, %v", vms, media, err)
		}
		if _, err := onPlugin(i, actionDestroyVM, params); err != nil {
			t.Error(err)
		}
		empty(t, h)
		return commands
	}
	steps := try(t, -1, "")
	if steps < 12 {
		t.Fatalf("only %d steps", steps)
	}
	stride := 5
	if nightly() {
		stride = 1
	}
	for n := 2; n < steps; n += stride {
		for i, when := range []string{"before", "after"} {
			if !nightly() && i != n%2 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", when, n), func(t *testing.T) {
				t.Parallel()
				try(t, n, when)
			})
		}
	}
}

// A machine that is protected is not stopped or removed by way of the plugin.
func TestProtectedVM(t *testing.T) {
	t.Parallel()
	i, h, e := hosted(t, nil)
	res, err := onPlugin(i, actionCreateVM, model.Params{build.ParamName: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	m := e.get(res.Machine)
	m.Params["oob/protected"] = true
	e.add(m)
	if _, err := onPlugin(i, actionStartVM, model.Params{paramID: res.ID}); err != nil {
		t.Error(err)
	}
	for _, command := range []string{actionStopVM, actionDestroyVM} {
		_, err := onPlugin(i, command, model.Params{paramID: res.ID})
		want(t, err, model.Forbidden, "oob/protected")
	}
	if look(t, h, res.ID).State != "running" {
		t.Error("it was stopped")
	}
}

// event is an event of a machine.
func event(action string, m *model.Machine) *model.Event {
	return &model.Event{Type: "machines", Action: action, Key: m.Uuid, Object: m}
}

// fresh is a machine that the plugin is to make.
func fresh(name, plugin string) *model.Machine {
	m := model.NewMachine(name)
	m.Uuid = newUUID()
	m.Params = model.Params{paramMachinePlugin: plugin}
	return m
}

// A machine that is created has a VM made of its UUID and started; one that is
// deleted has it removed.
func TestEvents(t *testing.T) {
	t.Parallel()
	i, h, e := hosted(t, model.Params{build.ParamMemory: 256})
	m := e.add(fresh("node 7", "vbox"))
	for range 2 { // an event may come twice
		if err := i.Publish(t.Context(), event("create", m)); err != nil {
			t.Fatal(err)
		}
	}
	if vm := look(t, h, m.Uuid); vm.Name != "node 7" || vm.State != "running" {
		t.Errorf("the VM is %+v", vm)
	}
	now := e.get(m.Uuid)
	if now.Params[paramID] != strings.ToUpper(m.Uuid) || now.Params[paramMadeBy] != "vbox" || len(now.HardwareAddrs) != 2 {
		t.Errorf("the machine is %+v", now)
	}
	if !slices.ContainsFunc(e.asked, func(q string) bool { return strings.Contains(q, "aggregate=true") }) {
		t.Errorf("params were asked for by %v", e.asked)
	}
	if n := executed(t, h, "", "create"); n != 1 {
		t.Errorf("made %d times", n)
	}
	if err := i.Publish(t.Context(), event("create", now)); err != nil { // that of createVm itself
		t.Error(err)
	}
	if err := i.Publish(t.Context(), event("delete", now)); err != nil {
		t.Error(err)
	}
	empty(t, h)
	if err := i.Publish(t.Context(), event("delete", now)); err != nil { // again
		t.Error(err)
	}
}

// Machines that come at once get a VM each, and lose it.
func TestEventsAtOnce(t *testing.T) {
	t.Parallel()
	crowd := 3
	if nightly() {
		crowd = 12
	}
	i, h, e := hosted(t, nil)
	var all sync.WaitGroup
	for n := range crowd {
		m := e.add(fresh(fmt.Sprintf("n%d", n), "vbox"))
		all.Go(func() {
			if err := i.Publish(t.Context(), event("create", m)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if vms, err := h.VMs(); err != nil || len(vms) != crowd || executed(t, h, "", "start") != crowd {
		t.Errorf("%d VMs, %d starts, %v", len(vms), executed(t, h, "", "start"), err)
	}
	for _, m := range e.all() {
		all.Go(func() {
			if err := i.Publish(t.Context(), event("delete", m)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	empty(t, h)
}

// What is not the plugin's own business is left alone.
func TestOtherEvents(t *testing.T) {
	t.Parallel()
	i, h, e := hosted(t, nil)
	theirs := newVM(t, h, "theirs")
	other := e.add(fresh("n1", "packet"))
	unasked := fresh("n2", "vbox")
	unasked.Params[paramID] = strings.ToUpper(theirs)
	imported := fresh("n3", "vbox")
	imported.Params = model.Params{paramMachinePlugin: "vbox", paramID: strings.ToUpper(theirs)}
	for _, ev := range []*model.Event{
		event("create", other), event("create", unasked), event("save", other), event("delete", imported),
		{Type: "profiles", Action: "create", Key: "x", Object: "x"},
	} {
		if err := i.Publish(t.Context(), ev); err != nil {
			t.Errorf("%s.%s: %v", ev.Type, ev.Action, err)
		}
	}
	forged := fresh("n4", "vbox") // it says that the plugin made the VM, and the VM does not
	forged.Params[paramID], forged.Params[paramMadeBy] = theirs, "vbox"
	want(t, i.Publish(t.Context(), event("delete", forged)), model.Conflict, "was not made by")
	want(t, i.Publish(t.Context(), &model.Event{Type: "machines", Action: "create", Object: "x"}), model.Invalid)
	bad := fresh("n5", "vbox")
	bad.Uuid = "../x"
	want(t, i.Publish(t.Context(), event("create", bad)), model.Invalid, "not a UUID")
	if vms, err := h.VMs(); err != nil || !slices.Equal(vms, []string{theirs}) {
		t.Errorf("the VMs are %v, %v", vms, err)
	}
}

// A VM made for one machine stays when another that claims it is deleted.
func TestDeleteOfAnotherMachine(t *testing.T) {
	t.Parallel()
	i, h, e := hosted(t, nil)
	m := e.add(fresh("n1", "vbox"))
	if err := i.Publish(t.Context(), event("create", m)); err != nil {
		t.Fatal(err)
	}
	thief := fresh("n2", "vbox")
	thief.Params[paramID], thief.Params[paramMadeBy] = strings.ToUpper(m.Uuid), "vbox"
	want(t, i.Publish(t.Context(), event("delete", thief)), model.Conflict, "was made for machine")
	if look(t, h, m.Uuid).State != "running" {
		t.Error("it was touched")
	}
}

// Import makes a machine of each VM that has none, when asked, with the names as
// they are.
func TestImport(t *testing.T) {
	t.Parallel()
	o := simOptions()
	h := startHost(t, o)
	for _, name := range []string{"node 01_a", "a/b", "with \"quotes\""} {
		newVM(t, h, name)
	}
	known, broken := newVM(t, h, "known"), newVM(t, h, "broken")
	if err := h.Break(broken, true); err != nil {
		t.Fatal(err)
	}
	e, c := startEndpoint(t)
	m := fresh("known already", "x")
	m.Params[paramID] = strings.ToUpper(known)
	e.add(m)
	i := startPlugin(t, vboxOptions(t, h))
	params := model.Params{"Name": "vbox", paramCommand: h.Command()}
	if err := i.Config(t.Context(), c, params); err != nil || len(e.all()) != 1 {
		t.Errorf("unasked: %d machines, %v", len(e.all()), err)
	}
	params[paramImport] = true
	if err := i.Config(t.Context(), c, params); err != nil {
		t.Fatal(err)
	}
	until(t, "all VMs are imported", func() bool { return len(e.all()) == 4 })
	names := map[string]string{}
	for _, m := range e.all() {
		if m.Params.Has(paramMadeBy) {
			t.Errorf("%s is told to be made by the plugin", m.Name)
		}
		if vm, ok := m.Params[build.ParamName].(string); ok {
			names[vm] = m.Name
		}
	}
	for vm, machine := range map[string]string{"node 01_a": "node 01_a", "a/b": "a-b", "with \"quotes\"": "with -quotes-"} {
		if names[vm] != machine {
			t.Errorf("%q is %q, want %q", vm, names[vm], machine)
		}
	}
	if err := i.Config(t.Context(), c, params); err != nil { // configured anew
		t.Fatal(err)
	}
	i.imports.close()
	if len(e.all()) != 4 {
		t.Errorf("imported twice: %d machines", len(e.all()))
	}
}

// until polls a condition.
func until(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			tb.Fatalf("not in time: %s", what)
		}
	}
}

// The plugin's own params are checked when it is configured.
func TestConfig(t *testing.T) {
	t.Parallel()
	for param, bad := range map[string]any{
		"Name": 7, paramCommand: true, paramUser: "-x", paramImport: "yes", build.ParamFirmware: "coreboot",
	} {
		i := newImpl()
		want(t, i.Config(t.Context(), nil, model.Params{param: bad}), model.Invalid, param)
	}
	i := newImpl()
	if err := i.Config(t.Context(), nil, model.Params{paramUser: "vbox"}); err != nil || i.driver.vm().user != "vbox" || i.driver.served() != name {
		t.Errorf("%v, user %q, name %q", err, i.driver.vm().user, i.driver.served())
	}
	want(t, i.Publish(t.Context(), event("create", fresh("n1", name))), model.Unreachable)
	if got := i.SelectEvents(); !slices.Equal(got, []string{"machines.create.*", "machines.delete.*"}) {
		t.Errorf("events %v", got)
	}
}

func TestMachineName(t *testing.T) {
	t.Parallel()
	for vm, machine := range map[string]string{"a": "a", " x ": "x", "a/b": "a-b", "-a": "vm-a", "é 1": "é 1", "/": "vm-", "": "vm"} {
		if got := machineName(vm); got != machine {
			t.Errorf("%q is %q, want %q", vm, got, machine)
		}
	}
}

// A machine's address is found by what the guest sees of its VM.
func TestHardwareUUID(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	hardware := newUUID()
	run(t, h, "modifyvm", vm, "--hardwareuuid", hardware)
	res := mustAct(t, i, model.PowerOn, hardware)
	if res.Outcome != model.Verified || look(t, h, vm).State != "running" {
		t.Errorf("poweron by the hardware UUID: %+v", res)
	}
	got, err := act(i, model.GetIdentity, vm)
	if id, _ := got.(model.Identity); err != nil || !id.Is(hardware) || !id.Is(strings.ToUpper(vm)) {
		t.Errorf("getIdentity: %+v, %v", got, err)
	}
	twin := newVM(t, h, "twin")
	run(t, h, "modifyvm", twin, "--hardwareuuid", hardware)
	_, err = act(startPlugin(t, vboxOptions(t, h)), model.PowerOff, hardware)
	want(t, err, model.Conflict, vm, twin)
}
