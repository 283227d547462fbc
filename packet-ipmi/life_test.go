package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
	"provision-plugins/sim/packet"
)

// site is an endpoint, an API, and the plugin as a process between them.
type site struct {
	t        testing.TB
	endpoint *fakeEndpoint
	sim      *packet.Server
	state    string
	params   model.Params
	logs     *logs
	process  *plugin.Process
}

// logs are the lines of the plugin.
type logs struct {
	mu    sync.Mutex // guards lines
	lines []string
}

// Log keeps a line.
func (l *logs) Log(line *model.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line.Level+" "+line.Message)
}

// Publish takes no events.
func (*logs) Publish(*model.Event) {}

// all is all that was logged.
func (l *logs) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// newSite starts one. What the plugin keeps outlives its process.
func newSite(t testing.TB, o packet.Options, params model.Params) *site {
	t.Helper()
	s := &site{t: t, endpoint: newEndpoint(t), sim: startSim(t, o), state: t.TempDir(), logs: &logs{}}
	s.params = model.Params{
		"Name": "metal", paramURL: s.sim.URL(), paramKey: goodKey, paramPoll: 0.05, paramSettle: 0.3, paramRate: 1000, paramSync: 3600,
	}
	for name, v := range params {
		s.params[name] = v
	}
	s.start()
	t.Cleanup(func() {
		if text := s.logs.all(); strings.Contains(text, goodKey) {
			t.Errorf("the key is logged: %s", text)
		}
		s.kill()
	})
	return s
}

// start starts the plugin and configures it.
func (s *site) start() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	run, err := os.MkdirTemp("", "pk")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { os.RemoveAll(run) })
	s.process, err = plugin.Launch(ctx, plugin.LaunchOptions{
		Exec: plugin.Exec{Path: os.Args[0], Env: []string{asPlugin + "=1", "RS_ENDPOINT=" + s.endpoint.URL, "RS_TOKEN=t", "RS_FILESERVER=http://files.example/"}},
		Name: "metal", RuntimeDir: run, StateDir: s.state, Handler: s.logs, ReadyTimeout: 30 * time.Second,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.process.Config(ctx, s.params); err != nil {
		s.t.Fatal(err)
	}
}

// kill kills the plugin, as a power cut would.
func (s *site) kill() {
	if s.process == nil {
		return
	}
	_ = syscall.Kill(s.process.Pid(), syscall.SIGKILL) // it may have ended
	<-s.process.Done()
	s.process = nil
}

// ours adds a machine that is to have a device.
func (s *site) ours(name string, params model.Params) *model.Machine {
	s.t.Helper()
	p := model.Params{paramMachinePlug: "metal"}
	for name, v := range params {
		p[name] = v
	}
	return s.endpoint.add(s.t, name, p)
}

// ready waits until a machine has its device, for good, and returns both.
func (s *site) ready(id string) (*model.Machine, packet.Device) {
	s.t.Helper()
	var d packet.Device
	until(s.t, "the machine has its device", func() bool {
		m := s.endpoint.machine(id)
		device, _ := m.Params.String(paramUUID, "")
		d, _ = s.sim.Device(device)
		return d.State == packet.Active && m.Params[paramState] == packet.Active && s.left("jobs") == 0
	})
	return s.endpoint.machine(id), d
}

// left counts the records of a kind that the plugin keeps.
func (s *site) left(kind string) int {
	list, err := filepath.Glob(filepath.Join(s.state, kind, "*.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(list)
}

// act runs an action on a machine of a device.
func (s *site) act(command, device string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := s.process.Action(ctx, &model.Action{
		Model: map[string]any{"Name": "m1", "Uuid": "u1", "Params": map[string]any{paramUUID: device}}, Command: command, Params: model.Params{},
	})
	return err
}

func TestDeviceOfAMachine(t *testing.T) {
	t.Parallel()
	s := newSite(t, packet.Options{Timing: packet.Every(100 * time.Millisecond)}, model.Params{paramTags: []any{"lab"}})
	s.endpoint.global[paramMetro] = "am"
	m := s.ours("m1", model.Params{paramUserdata: "#!ipxe"})
	mc, d := s.ready(m.Uuid)
	if d.Hostname != "m1" || d.Metro != "am" || d.Plan != "baremetal_0" || d.OS != "custom_ipxe" || !d.AlwaysPXE || d.IPXEScriptURL != "http://files.example/default.ipxe" ||
		d.UserData != "#!ipxe" || !slices.Equal(d.Tags, []string{"lab", "oob-machine:" + m.Uuid}) {
		t.Errorf("device %+v", d)
	}
	if mc.Address == "" || len(mc.HardwareAddrs) != 2 || !slices.Contains(mc.Profiles, "packet-console") || mc.Params[paramFacility] != "ams1" ||
		mc.Params[paramProject] != s.sim.ProjectID("default") || !strings.HasPrefix(mc.Params[paramSOS].(string), d.ID+"@") {
		t.Errorf("machine %+v", mc)
	}
	if strings.Contains(text(t, mc), d.Password()) || strings.Contains(text(t, mc), goodKey) {
		t.Error("the machine tells a secret")
	}
	s.endpoint.tell("create", m) // once more: nothing follows
	s.endpoint.drop(m.Uuid)
	until(t, "the device is gone", func() bool { _, there := s.sim.Device(d.ID); return !there && s.left("jobs") == 0 })
	if n := s.sim.Executed("", "create"); n != 1 {
		t.Errorf("%d devices were created", n)
	}
}

// Machines of others, and those that have a device, are left alone; a device that was
// not made for its machine survives it.
func TestOthersAreLeftAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t, packet.Options{}, nil)
	theirs := s.sim.Add("default", 1, packet.Device{Tags: []string{"oob-machine:another"}})[0]
	for name, params := range map[string]model.Params{
		"a": nil, "b": {paramMachinePlug: "virtualbox-ipmi"}, "c": {paramMachinePlug: "metal", paramUUID: theirs}, "d": {paramMachinePlug: "metal", paramUUID: "no uuid"},
	} {
		m := s.endpoint.add(t, name, params)
		s.endpoint.drop(m.Uuid)
	}
	last := s.ours("last", nil)
	s.ready(last.Uuid)
	until(t, "nothing is left to do", func() bool { return s.left("jobs") == 0 })
	if d, there := s.sim.Device(theirs); !there || d.State != packet.Active || s.sim.Executed("", "delete") != 0 || s.sim.Executed("", "create") != 1 {
		t.Errorf("%+v, executed %v", d, s.sim.AllExecuted(""))
	}
}

// A plugin that is killed at any step of a creation makes one device, and the machine
// gets it.
func TestKilledWhileCreating(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		fault packet.Fault
		patch bool // the endpoint holds patches
	}{
		{"before it looks", packet.Fault{On: "list", Silent: true}, false},
		{"before it is created", packet.Fault{On: "create", Silent: true}, false},
		{"after it is created", packet.Fault{On: "create", Silent: true, Executed: true}, false},
		{"while it is followed", packet.Fault{On: "get", Silent: true}, false},
		{"while the machine is told", packet.Fault{}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, packet.Options{Timing: packet.Every(50 * time.Millisecond)}, model.Params{paramProject: ""})
			row.fault.Times = packet.Always
			if row.patch {
				s.endpoint.hold = make(chan struct{})
			} else {
				s.sim.SetFaults(row.fault)
			}
			m := s.ours("m1", nil)
			until(t, "the step is reached", func() bool {
				return s.left("jobs") == 1 && (!row.patch && s.sim.Hits() > 0 || row.patch && s.endpoint.told("PATCH") > 0)
			})
			s.kill()
			s.sim.SetFaults()
			if row.patch {
				s.endpoint.mu.Lock()
				close(s.endpoint.hold)
				s.endpoint.hold = nil
				s.endpoint.mu.Unlock()
			}
			s.start()
			_, d := s.ready(m.Uuid)
			if n := len(s.sim.Devices()); n != 1 || s.sim.Executed("", "create") != 1 {
				t.Errorf("%d devices, %d created", n, s.sim.Executed("", "create"))
			}
			s.sim.SetFaults(packet.Fault{On: "delete", Silent: true, Times: packet.Always})
			before := s.sim.Hits()
			s.endpoint.drop(m.Uuid)
			until(t, "it is being deleted", func() bool { return s.sim.Hits() > before })
			s.kill()
			s.sim.SetFaults()
			s.start()
			until(t, "the device is gone", func() bool { _, there := s.sim.Device(d.ID); return !there && s.left("jobs") == 0 })
		})
	}
}

// A machine that is deleted while its device is created leaves none behind.
func TestDeletedWhileCreating(t *testing.T) {
	t.Parallel()
	s := newSite(t, packet.Options{Timing: packet.Every(200 * time.Millisecond)}, nil)
	s.sim.SetFaults(packet.Fault{On: "create", Slow: 300 * time.Millisecond, Times: packet.Always})
	m := s.ours("m1", nil)
	until(t, "it is created", func() bool { return s.sim.Executed("", "create") == 1 })
	s.endpoint.drop(m.Uuid)
	until(t, "the device is gone", func() bool { return len(s.sim.Devices()) == 0 && s.left("jobs") == 0 })
	if s.sim.Executed("", "create") != 1 || s.sim.Executed("", "delete") != 1 {
		t.Errorf("executed %v", s.sim.AllExecuted(""))
	}
}

// An order that is refused, or goes wrong in any way, is told to the machine; what may
// go better is tried again, and never are two devices made.
func TestCreationFails(t *testing.T) {
	t.Parallel()
	s := newSite(t, packet.Options{}, nil)
	bad := s.ours("bad", model.Params{paramPlan: "steam"})
	until(t, "it is refused for good", func() bool {
		p := s.endpoint.machine(bad.Uuid).Params
		text, _ := p.String(paramProblem, "")
		return p[paramState] == packet.Failed && strings.Contains(text, "Plan is not valid") && s.left("jobs") == 0
	})
	s.sim.SetFaults(
		packet.Oops("create", 1), packet.BadGateway("create", 1), packet.TooMany("create", 1, "0"), packet.Fault{On: "create", Times: 1, LoseReply: true},
		packet.Fault{On: "list", Times: 2, Status: 500}, packet.Fault{On: "get", Times: 4, Status: 502, Body: "<html>", Type: "text/html"},
	)
	m := s.ours("m1", nil)
	mc, _ := s.ready(m.Uuid)
	if text, _ := mc.Params.String(paramProblem, ""); text != "" || s.sim.Executed("", "create") != 1 || len(s.sim.Devices()) != 1 {
		t.Errorf("%v, executed %v", mc.Params, s.sim.AllExecuted(""))
	}
}

// A device that fails is told with its events, and is deleted with its machine.
func TestDeviceFails(t *testing.T) {
	t.Parallel()
	s := newSite(t, packet.Options{Timing: packet.Timing{Provisioning: 600 * time.Millisecond}}, nil)
	m := s.ours("m1", nil)
	until(t, "it is created", func() bool { return len(s.sim.Devices()) == 1 })
	d := s.sim.Devices()[0]
	s.sim.SetIll(d.ID, packet.Ill{Fails: true})
	until(t, "the machine is told", func() bool {
		text, _ := s.endpoint.machine(m.Uuid).Params.String(paramProblem, "")
		return strings.Contains(text, "the device failed: provisioning.101 Provisioning started")
	})
	s.endpoint.drop(m.Uuid)
	until(t, "the device is gone", func() bool { return len(s.sim.Devices()) == 0 })
}

// While a device is created, a thousand other events are handled: none waits for it.
func TestOtherEventsDoNotWait(t *testing.T) {
	t.Parallel()
	s := newSite(t, packet.Options{}, nil)
	created := make(chan struct{})
	s.sim.SetFaults(packet.Fault{On: "create", Hold: created, Times: 1})
	m := s.ours("m1", nil)
	until(t, "it is being created", func() bool { return s.sim.Hits() == 1 })
	for range 1000 { // each is looked up at the endpoint, which shows that it was handled
		other := model.NewMachine("other")
		other.Uuid = "10000000-0000-4000-8000-000000000001"
		s.endpoint.tell("create", other)
	}
	until(t, "all are handled", func() bool { return s.endpoint.told("GET "+paramMachinePlug) == 1000 })
	if s.endpoint.machine(m.Uuid).Params.Has(paramUUID) {
		t.Error("the creation did not take as long as the others")
	}
	close(created)
	s.ready(m.Uuid)
	if n := s.sim.Executed("", "create"); n != 1 {
		t.Errorf("%d devices were created", n)
	}
}

// Devices without a machine get one, if that is asked for; those that are gone mark
// theirs, and delete it only if that is asked for, and there is no doubt.
func TestComparison(t *testing.T) {
	t.Parallel()
	s := newSite(t, packet.Options{Projects: []string{"default", "second"}}, model.Params{paramImport: true, paramSync: 0.05})
	id := s.sim.Add("default", 1, packet.Device{Hostname: "old"})[0]
	other := s.sim.Add("second", 1, packet.Device{Hostname: "old"})[0]
	until(t, "both have machines", func() bool { return len(s.endpoint.all()) == 2 })
	byDevice := map[any]*model.Machine{}
	for _, m := range s.endpoint.all() {
		byDevice[m.Params[paramUUID]] = m
	}
	m := byDevice[id]
	if m == nil || byDevice[other] == nil || m.Params[paramMachinePlug] != "metal" || m.Params[paramProject] != s.sim.ProjectID("default") || m.Address == "" {
		t.Fatalf("%v", text(t, s.endpoint.all()))
	}
	state := func() any { return s.endpoint.machine(m.Uuid).Params[paramState] }
	passes := func() {
		t.Helper()
		lists := s.endpoint.told("LIST")
		until(t, "it is compared again", func() bool { return s.endpoint.told("LIST") > lists+2 })
	}
	s.sim.SetFaults(packet.Fault{On: "list", Times: packet.Always, Status: 500}, packet.Fault{On: "get", Device: id, Times: packet.Always, Status: 404})
	requests := s.sim.Requests()
	until(t, "listings fail", func() bool { return s.sim.Requests() > requests+3 })
	if state() == "gone" {
		t.Error("marked although a listing failed")
	}
	s.sim.Remove(id)
	s.sim.SetFaults()
	until(t, "it is marked", func() bool { return state() == "gone" })
	passes()
	if s.endpoint.machine(m.Uuid) == nil {
		t.Fatal("deleted although nobody asked for that")
	}
	back := s.sim.Add("default", 1, packet.Device{ID: id, Hostname: "old"})[0]
	until(t, "it is back", func() bool { return state() == packet.Active })

	s.kill()
	s.params[paramPrune], s.params[paramImport] = true, false
	s.sim.SetFaults(packet.Fault{On: "get", Device: back, Times: packet.Always, Status: 403})
	s.sim.Change(back, func(d *packet.Device) { d.Project = "elsewhere" })
	s.start()
	until(t, "it is marked", func() bool { return state() == "gone" })
	passes()
	if s.endpoint.machine(m.Uuid) == nil {
		t.Fatal("deleted although the key may only not see it")
	}
	s.sim.Change(other, func(d *packet.Device) { d.Project = "elsewhere" }) // an empty account
	passes()
	s.sim.SetFaults()
	s.sim.Remove(back)
	passes()
	if s.endpoint.machine(m.Uuid) == nil {
		t.Fatal("deleted although the listing is empty")
	}
	second := s.sim.ProjectID("second")
	s.sim.Change(other, func(d *packet.Device) { d.Project = second })
	s.sim.Add("default", 1, packet.Device{Hostname: "new"})
	until(t, "it is deleted", func() bool { return s.endpoint.machine(m.Uuid) == nil })
	if len(s.endpoint.all()) != 1 || s.sim.Executed("", "delete") != 0 {
		t.Errorf("%s, executed %v", text(t, s.endpoint.all()), s.sim.AllExecuted(""))
	}
}

// A key of another account deletes and marks nothing.
func TestKeyOfAnotherAccount(t *testing.T) {
	t.Parallel()
	s := newSite(t, packet.Options{
		Accounts: []packet.Account{{Key: goodKey, Projects: []string{"theirs"}}, {Key: "ours"}}, Projects: []string{"default", "theirs"},
	}, model.Params{paramPrune: true, paramSync: 0.05})
	s.sim.Add("theirs", 1, packet.Device{})
	id := s.sim.Add("default", 1, packet.Device{})[0]
	m := s.endpoint.add(t, "m1", model.Params{paramMachinePlug: "metal", paramUUID: id, paramProject: s.sim.ProjectID("default")})
	lists := s.endpoint.told("LIST")
	until(t, "it is compared", func() bool { return s.endpoint.told("LIST") > lists+3 })
	if mc := s.endpoint.machine(m.Uuid); mc == nil || mc.Params.Has(paramState) {
		t.Errorf("%+v", mc)
	}
}

// A machine that was made while the plugin was away gets its device all the same.
func TestMadeMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSite(t, packet.Options{}, nil)
	s.kill()
	m := s.ours("m1", nil)
	s.start()
	s.ready(m.Uuid)
}

// A plugin that is killed at any step of a boot-once restores always_pxe in the end.
func TestKilledWhileBootingOnce(t *testing.T) {
	t.Parallel()
	silent := func(on string, executed bool) *packet.Fault {
		return &packet.Fault{On: on, Silent: true, Executed: executed, Times: packet.Always}
	}
	for _, row := range []struct {
		name    string
		at      *packet.Fault // during nextbootpxe
		reset   *packet.Fault // during powerreset
		restore *packet.Fault // during the restoring
		pxe     bool          // whether the device boots from the network once
	}{
		{"before it is set", silent("events", false), nil, nil, false},
		{"while it is set, not arrived", silent("update", false), nil, nil, false},
		{"while it is set, arrived", silent("update", true), nil, nil, true},
		{"after it was set", nil, nil, nil, true},
		{"while it is started, not arrived", nil, silent("reboot", false), nil, true},
		{"while it is started, arrived", nil, silent("reboot", true), nil, true},
		{"while it is restored, not arrived", nil, nil, silent("update", false), true},
		{"while it is restored, arrived", nil, nil, silent("update", true), true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, packet.Options{}, nil)
			id := s.sim.Add("default", 1, packet.Device{})[0]
			var running sync.WaitGroup
			defer running.Wait()
			meet := func(f *packet.Fault, command string) bool {
				if f == nil {
					if err := s.act(command, id); err != nil {
						t.Fatal(err)
					}
					return false
				}
				s.sim.SetFaults(*f)
				p := s.process
				running.Go(func() {
					_, _ = p.Action(context.Background(), &model.Action{ // it is killed meanwhile
						Model: map[string]any{"Name": "m1", "Uuid": "u1", "Params": map[string]any{paramUUID: id}}, Command: command, Params: model.Params{},
					})
				})
				until(t, "the step is reached", func() bool { return s.sim.Hits() > 0 })
				return true
			}
			killed := meet(row.at, model.NextBootPXE)
			if !killed && row.reset != nil {
				killed = meet(row.reset, model.PowerReset)
			}
			if !killed && row.restore != nil {
				s.sim.SetFaults(*row.restore)
				if err := s.act(model.PowerReset, id); err != nil {
					t.Fatal(err)
				}
				until(t, "the step is reached", func() bool { return s.sim.Hits() > 0 })
			}
			s.kill()
			s.sim.SetFaults()
			s.start()
			if err := s.act(model.PowerReset, id); err != nil {
				t.Fatal(err)
			}
			until(t, "always_pxe is restored", func() bool { d, _ := s.sim.Device(id); return !d.AlwaysPXE })
			if row.pxe {
				until(t, "the note is gone", func() bool { return s.left("boots") == 0 })
			}
			d, _ := s.sim.Device(id)
			fromNet := 0
			for _, b := range d.Boots {
				if b.PXE {
					fromNet++
				}
			}
			if fromNet != map[bool]int{true: 1}[row.pxe] {
				t.Errorf("booted %+v", d.Boots)
			}
		})
	}
}

// vmSite is the plugin in this process, with an endpoint.
func vmSite(t *testing.T) (*fakeEndpoint, *packet.Server, func(command string, params model.Params) (any, error)) {
	t.Helper()
	e, sim := newEndpoint(t), startSim(t, packet.Options{Timing: packet.Every(60 * time.Millisecond)})
	t.Setenv(plugin.EnvEndpoint, e.URL)
	t.Setenv(plugin.EnvStateDir, t.TempDir())
	d := newDriver()
	p := driver.NewProvider(d, driver.Options{})
	i := newImpl(d, p, slog.New(slog.DiscardHandler))
	config := model.Params{"Name": "metal", paramURL: sim.URL(), paramKey: goodKey, paramPoll: 0.05, paramRate: 1000}
	for range 2 { // a second time is as the first
		if err := i.Config(t.Context(), e.client(t), config); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if err := d.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e, sim, func(command string, params model.Params) (any, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		return p.Action(ctx, &model.Action{Model: map[string]any{"Name": "metal"}, Command: command, Params: params})
	}
}

// The reference's actions of the plugin.
func TestVMs(t *testing.T) {
	e, sim, act := vmSite(t)
	got, err := act("createVm", model.Params{paramName: "vm1", paramFacility: "sjc1"})
	id, isText := strings.CutPrefix(got.(string), "Created ")
	if err != nil || !isText {
		t.Fatalf("%v, %v", got, err)
	}
	var mc *model.Machine
	until(t, "its machine is ready", func() bool {
		all := e.all()
		mc = all[0]
		return len(all) == 1 && mc.Params[paramUUID] == id && mc.Params[paramState] == packet.Active
	})
	if d, _ := sim.Device(id); d.Hostname != "vm1" || d.Facility != "sjc1" || mc.Name != "vm1" {
		t.Errorf("%+v, %+v", d, mc)
	}
	for command, state := range map[string]string{"stopVm": packet.Inactive, "startVm": packet.Active} {
		sim.Change(id, func(d *packet.Device) {
			d.State = map[string]string{"stopVm": packet.Active, "startVm": packet.Inactive}[command]
		})
		got, err := act(command, model.Params{paramUUID: id})
		if d, _ := sim.Device(id); err != nil || got != "Success" || d.State != state {
			t.Errorf("%s: %v, %v: %s", command, got, err, d.State)
		}
	}
	sim.Change(id, func(d *packet.Device) { d.State, d.Steps = packet.Active, nil })
	e.mu.Lock()
	e.machines[mc.Uuid].Params[paramProtected] = true
	e.mu.Unlock()
	if _, err := act("destroyVm", model.Params{paramUUID: id}); model.KindOf(err) != model.Forbidden {
		t.Errorf("a protected one: %v", err)
	}
	e.mu.Lock()
	delete(e.machines[mc.Uuid].Params, paramProtected)
	e.mu.Unlock()
	if got, err := act("destroyVm", model.Params{paramUUID: id}); err != nil || got != "Destroyed "+id || len(e.all()) != 0 {
		t.Errorf("%v, %v, %d machines", got, err, len(e.all()))
	}
	for what, params := range map[string]model.Params{"Plan is not valid": {paramPlan: "steam"}, paramTags: {paramTags: "a"}, paramName: {paramName: 7}} {
		if got, err := act("createVm", params); model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), what) || len(e.all()) != 0 {
			t.Errorf("%v: %v, %v, %d machines", params, got, err, len(e.all()))
		}
	}
	if _, err := act("startVm", model.Params{}); model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), paramUUID) {
		t.Error(err)
	}
}
