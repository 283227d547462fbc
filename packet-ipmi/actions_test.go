package main

import (
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/sim/packet"
)

// States of the API in the words of the suite; one that nobody knows is unknown, never
// off.
func TestStates(t *testing.T) {
	t.Parallel()
	l := newLab(t, packet.Options{}, packet.Device{})
	for told, want := range map[string]model.PowerState{
		packet.Active: model.StateOn, packet.Inactive: model.StateOff, packet.PoweringOn: model.StateTransition, packet.PoweringOff: model.StateTransition,
		packet.Queued: model.StateTransition, packet.Provisioning: model.StateTransition, packet.Reinstalling: model.StateTransition,
		packet.Deprovisioning: model.StateTransition, packet.Failed: model.StateUnknown, "asleep": model.StateUnknown,
	} {
		l.sim.SetIll(l.id, packet.Ill{Tells: told})
		if res := l.result(t, model.PowerStatus, nil); res.Power != want || res.Raw != told {
			t.Errorf("%s: %+v", told, res)
		}
	}
	l.sim.SetIll(l.id, packet.Ill{Tells: packet.Deleted})
	l.refused(t, model.NotFound, "is deleted", model.PowerStatus, nil)
	l.sim.SetFaults(packet.Fault{On: "get", Status: 403, Times: packet.Always})
	l.refused(t, model.NotFound, "the device is gone", model.PowerOn, nil)
	l.sim.SetFaults()
	l.sim.Remove(l.id)
	l.refused(t, model.NotFound, "Not found", model.PowerOff, nil)
	l.refused(t, model.Unsupported, "does not have this action", model.PowerSoft, nil)
}

// A device that is busy with itself is waited for, and then switched.
func TestBusyDeviceIsWaitedFor(t *testing.T) {
	t.Parallel()
	l := newLab(t, packet.Options{Timing: packet.Timing{PoweringOff: 200 * time.Millisecond, PoweringOn: 100 * time.Millisecond}}, packet.Device{})
	l.sim.Change(l.id, func(d *packet.Device) { d.State = packet.PoweringOff })
	var all sync.WaitGroup
	all.Go(func() {
		until(t, "the driver looks", func() bool { return l.sim.Requests() > 2 })
		l.sim.Change(l.id, func(d *packet.Device) { d.State = packet.Inactive })
	})
	if res := l.result(t, model.PowerOn, nil); res.Power != model.StateOn {
		t.Errorf("%+v", res)
	}
	all.Wait()
	res := l.result(t, model.PowerCycle, nil)
	if res.Outcome != model.Verified || l.sim.Executed(l.id, "power_off") != 1 || l.sim.Executed(l.id, "power_on") != 2 || l.sim.Executed(l.id, "reboot") != 0 {
		t.Errorf("%+v, executed %v", res, l.sim.AllExecuted(l.id))
	}
	l.sim.Change(l.id, func(d *packet.Device) { d.State = packet.Failed })
	soon := model.Params{"oob/timeout": 6}
	l.refused(t, model.Conflict, "the device is failed", model.PowerOff, soon)
	l.sim.Change(l.id, func(d *packet.Device) { d.State, d.Locked = packet.Active, true })
	l.refused(t, model.Conflict, "locked device", model.PowerOff, soon)
}

// A device cannot be made to boot from the network by an operating system that does
// not: the refusal says how to mend it.
func TestBootNeedsCustomIPXE(t *testing.T) {
	t.Parallel()
	l := newLab(t, packet.Options{}, packet.Device{OS: "debian_12"})
	for _, command := range []string{model.NextBootPXE, model.ForceBootPXE} {
		l.refused(t, model.Conflict, "reinstall it with custom_ipxe", command, nil)
	}
	for _, command := range []string{model.NextBootDisk, model.ForceBootDisk} {
		if res := l.result(t, command, nil); res.Boot == nil || res.Boot.Device != model.BootDisk {
			t.Errorf("%s: %+v", command, res)
		}
	}
	if l.device(t).AlwaysPXE {
		t.Error("always_pxe was set")
	}
}

// The next boot only: the device boots from the network once, whatever made it start,
// and from its disk afterwards.
func TestBootOnce(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(l *lab){
		"cycle": func(l *lab) { l.result(t, model.PowerCycle, nil) },
		"reset": func(l *lab) { l.result(t, model.PowerReset, nil) },
		"somebody else": func(l *lab) {
			l.sim.Change(l.id, func(d *packet.Device) {
				d.State, d.Events = packet.Active, append(d.Events, packet.Event{ID: "e", Type: "instance.rebooted"})
				d.Boots = append(d.Boots, packet.Boot{PXE: d.AlwaysPXE})
			})
		},
	} {
		l := newLab(t, packet.Options{}, packet.Device{})
		if res := l.result(t, model.NextBootPXE, model.Params{paramScript: "http://boot.example/x"}); res.Boot == nil || res.Boot.Persistent || res.Boot.Device != model.BootPXE {
			t.Errorf("%s: %+v", name, res)
		}
		if d := l.device(t); !d.AlwaysPXE || d.IPXEScriptURL != "http://boot.example/x" {
			t.Errorf("%s: %+v", name, d)
		}
		start(l)
		until(t, "always_pxe is restored", func() bool { return !l.device(t).AlwaysPXE && l.driver.boots.Note(l.id) == nil })
		l.result(t, model.PowerReset, nil)
		if boots := l.device(t).Boots; len(boots) != 2 || !boots[0].PXE || boots[1].PXE {
			t.Errorf("%s: booted %v", name, boots)
		}
		if res := l.result(t, model.BootStatus, nil); !res.Boot.Persistent || res.Boot.Device != model.BootDisk {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

// A second start while the first is under way boots from the disk: the override was
// for the first, and is restored before the second is ordered.
func TestSecondStartBootsFromDisk(t *testing.T) {
	t.Parallel()
	l := newLab(t, packet.Options{}, packet.Device{})
	conf, api := l.driver.now()
	o := conf.boots(nil)
	o.Settle = time.Hour
	if err := l.driver.boots.Start(t.TempDir(), api.Key(goodKey), o); err != nil {
		t.Fatal(err)
	}
	l.result(t, model.NextBootPXE, nil)
	l.result(t, model.PowerReset, nil)
	l.result(t, model.PowerReset, nil)
	if boots := l.device(t).Boots; len(boots) != 2 || !boots[0].PXE || boots[1].PXE {
		t.Errorf("booted %v", boots)
	}
	l.result(t, model.NextBootPXE, nil)
	l.result(t, model.ForceBootPXE, nil)
	l.result(t, model.PowerReset, nil)
	l.result(t, model.PowerReset, nil)
	if d := l.device(t); !d.AlwaysPXE || !d.Boots[3].PXE || l.driver.boots.Note(l.id) != nil {
		t.Errorf("%+v", d)
	}
	if res := l.result(t, model.NextBootDisk, nil); res.Boot.Device != model.BootDisk || res.Boot.Persistent {
		t.Errorf("%+v", res)
	}
	l.result(t, model.PowerReset, nil)
	l.result(t, model.PowerReset, nil)
	if d := l.device(t); !d.AlwaysPXE || d.Boots[4].PXE || !d.Boots[5].PXE {
		t.Errorf("%+v", d.Boots)
	}
}

// A start that somebody else began, or that the plugin was killed in, is looked for
// before the device is told to start again: the next one boots from the disk.
func TestStartOfSomebodyElseCounts(t *testing.T) {
	t.Parallel()
	l := newLab(t, packet.Options{}, packet.Device{})
	conf, api := l.driver.now()
	o := conf.boots(nil)
	o.Settle, o.Poll = time.Hour, time.Hour // it is not looked at in the background
	if err := l.driver.boots.Start(t.TempDir(), api.Key(goodKey), o); err != nil {
		t.Fatal(err)
	}
	l.result(t, model.NextBootPXE, nil)
	l.sim.Change(l.id, func(d *packet.Device) {
		d.Events = append(d.Events, packet.Event{ID: "e", Type: "instance.rebooted"})
		d.Boots = append(d.Boots, packet.Boot{PXE: d.AlwaysPXE})
	})
	l.sim.SetFaults(packet.Oops("events", packet.Always))
	n := l.sim.Executed(l.id, "reboot")
	if _, err := l.act(t, model.PowerReset, model.Params{"oob/timeout": 10}); err == nil || l.sim.Executed(l.id, "reboot") != n {
		t.Errorf("%v; it was told to start although nobody knows whether the boot has begun", err)
	}
	l.sim.SetFaults()
	l.result(t, model.PowerReset, nil)
	if boots := l.device(t).Boots; len(boots) != 2 || !boots[0].PXE || boots[1].PXE || l.driver.boots.Note(l.id) != nil {
		t.Errorf("booted %v", boots)
	}
}

func TestUpdatePXE(t *testing.T) {
	t.Parallel()
	l := newLab(t, packet.Options{}, packet.Device{})
	l.refused(t, model.Invalid, "nothing to change", "updatepxe", nil)
	l.refused(t, model.Invalid, paramAlwaysPXE, "updatepxe", model.Params{paramAlwaysPXE: "x"})
	res := l.result(t, "updatepxe", model.Params{paramAlwaysPXE: true, paramScript: "http://boot.example/x"})
	if d := l.device(t); !d.AlwaysPXE || d.IPXEScriptURL != "http://boot.example/x" || res.Outcome != model.Verified {
		t.Errorf("%+v, %+v", d, res)
	}
	l.result(t, "updatepxe", model.Params{paramScript: "http://boot.example/y"})
	if d := l.device(t); !d.AlwaysPXE || d.IPXEScriptURL != "http://boot.example/y" {
		t.Errorf("%+v", d)
	}
	l.sim.Change(l.id, func(d *packet.Device) { d.OS = "debian_12" })
	if res := l.result(t, "updatepxe", model.Params{paramAlwaysPXE: false}); !strings.Contains(res.Note, "no effect") {
		t.Errorf("%+v", res)
	}
}

// A reinstallation erases the disks: it wants the machine's name in the request, is
// sent once, and tells its events when it fails.
func TestReinstall(t *testing.T) {
	t.Parallel()
	l := newLab(t, packet.Options{Timing: packet.Timing{Reinstalling: 50 * time.Millisecond}}, packet.Device{})
	for _, confirm := range []any{nil, "", "m2", true} {
		l.refused(t, model.Invalid, paramConfirm, "reinstall", model.Params{paramConfirm: confirm})
	}
	ok := model.Params{paramConfirm: "m1", paramSystem: "debian_12"}
	l.sim.Change(l.id, func(d *packet.Device) { d.Events = nil })
	res := l.result(t, "reinstall", ok)
	if d := l.device(t); res.Outcome != model.Verified || !strings.HasPrefix(res.Evidence, "state reinstalling, then active with debian_12") || d.OS != "debian_12" || l.sim.Executed(l.id, "reinstall") != 1 {
		t.Errorf("%+v, %+v", res, d)
	}
	l.sim.SetIll(l.id, packet.Ill{Stuck: true})
	l.sim.Change(l.id, func(d *packet.Device) { d.State = packet.Provisioning })
	l.refused(t, model.Busy, "provisioning", "reinstall", ok)
	l.sim.Change(l.id, func(d *packet.Device) { d.State = packet.Inactive })
	stuck := model.Params{paramConfirm: "m1", "oob/timeout": 3}
	l.refused(t, model.Timeout, "active was not seen in time; last state inactive (100 %); provisioning.101", "reinstall", stuck)
	var all sync.WaitGroup
	before := l.sim.Executed(l.id, "reinstall")
	all.Go(func() {
		until(t, "it is ordered", func() bool { return l.sim.Executed(l.id, "reinstall") > before })
		l.sim.Change(l.id, func(d *packet.Device) { d.State = packet.Failed })
	})
	l.refused(t, model.Conflict, "the device failed: provisioning.101 Provisioning started", "reinstall", ok)
	all.Wait()
	l.sim.SetIll(l.id, packet.Ill{})
	l.sim.Change(l.id, func(d *packet.Device) { d.State = packet.Active })
	for fault, kind := range map[*packet.Fault]model.Kind{
		{LoseReply: true}: model.UnknownOutcome, {Status: 422, Body: `{"errors":["Operating system is not valid"]}`}: model.Invalid,
		{Status: 502, Body: "<html>", Type: "text/html"}: model.UnknownOutcome,
	} {
		fault.On, fault.Times = "reinstall", packet.Always
		l.sim.SetFaults(*fault)
		before := l.sim.Requests()
		l.refused(t, kind, "", "reinstall", ok)
		if n := l.sim.Requests() - before; n > 3 {
			t.Errorf("%+v: %d requests", fault, n)
		}
		l.sim.Change(l.id, func(d *packet.Device) { d.State, d.Steps = packet.Active, nil })
	}
}

// That a device is active proves no reinstallation of one that was: another state does,
// or an event, and without them it is no success. A device that failed can be installed
// again.
func TestReinstallIsSeen(t *testing.T) {
	t.Parallel()
	confirm := model.Params{paramConfirm: "m1", "oob/timeout": 3}
	l := newLab(t, packet.Options{}, packet.Device{}) // takes no time: no state between can be seen
	l.sim.Change(l.id, func(d *packet.Device) {
		d.Events = []packet.Event{{ID: "e1", Type: "instance.reinstalled"}, {ID: "e2", Type: "provisioning.109"}}
	})
	if res := l.result(t, "reinstall", confirm); !strings.HasPrefix(res.Evidence, "event provisioning.109, then active") {
		t.Errorf("%+v", res)
	}
	l.sim.SetIll(l.id, packet.Ill{Stuck: true})
	l.refused(t, model.Timeout, "nothing showed that it was carried out; the device is active as before", "reinstall", confirm)
	l.sim.SetIll(l.id, packet.Ill{})
	l.sim.SetFaults(packet.Oops("events", packet.Always))
	n := l.sim.Executed(l.id, "reinstall")
	l.refused(t, model.Unreachable, "list the events", "reinstall", model.Params{paramConfirm: "m1", "oob/timeout": 10})
	if got := l.sim.Executed(l.id, "reinstall"); got != n {
		t.Error("it was ordered although its beginning could not be seen")
	}
	l.sim.SetFaults()
	l.sim.Change(l.id, func(d *packet.Device) { d.State, d.Steps = packet.Failed, nil })
	if res := l.result(t, "reinstall", confirm); !strings.HasPrefix(res.Evidence, "state active, then active") {
		t.Errorf("%+v", res)
	}
}

// What a device tells.
func TestReads(t *testing.T) {
	t.Parallel()
	l := newLab(t, packet.Options{}, packet.Device{Events: []packet.Event{{ID: "e1", Type: "provisioning.101", Body: "Provisioning started", At: time.Unix(0, 0)}}})
	for command, want := range map[string]string{
		"events":     `[{"body":"Provisioning started","id":"e1","time":"1970-01-01T00:00:00Z","type":"provisioning.101"}]`,
		"health":     `{"health_rollup":"ok"}`,
		"console":    `"command":"ssh ` + l.id + `@sos.ewr1.platformequinix.com"`,
		"screenshot": `"type":"image/png"`,
		"status":     `"Status":"OK"`,
		"doctor":     `{"name":"device","verdict":"ok","found":"host-` + l.id[:8] + ` (` + l.id + `)"}`,
	} {
		got, err := l.act(t, command, nil)
		if err != nil || !strings.Contains(text(t, got), want) {
			t.Errorf("%s: %s, %v; want %s", command, text(t, got), err, want)
		}
		d := l.device(t)
		if strings.Contains(text(t, got), d.Password()) {
			t.Errorf("%s tells the password", command)
		}
	}
	l.sim.SetIll(l.id, packet.Ill{NoDiagnostics: true})
	l.refused(t, model.Unsupported, "not supported on this device", "screenshot", nil)
	got, err := l.act(t, "status", nil)
	if err != nil || !strings.Contains(text(t, got), `"Status":""`) {
		t.Errorf("status: %v, %v", got, err)
	}
	if n := l.sim.AllExecuted(l.id); len(n) != 0 {
		t.Errorf("reads executed %v", n)
	}
}

// Each rung of the doctor's ladder, with its cause and its mend.
func TestDoctor(t *testing.T) {
	t.Parallel()
	l := newLab(t, packet.Options{}, packet.Device{IPXEScriptURL: "http://x/y"})
	rung := func(name string, verdict model.Verdict, says string, params model.Params) {
		t.Helper()
		got, err := l.act(t, model.Doctor, params)
		if err != nil {
			t.Error(err)
			return
		}
		c := got.(*model.Checkup).Check(name)
		if c == nil || c.Verdict != verdict || !strings.Contains(c.Found+c.Cause+c.Mend, says) {
			t.Errorf("%s: %s", name, text(t, got))
		}
	}
	rung("boot", model.VerdictOK, "always_pxe=false", nil)
	rung("health", model.VerdictOK, "ok", nil)
	rung("login", model.VerdictFailed, paramKey, model.Params{paramKey: "wrong"})
	rung("device", model.VerdictFailed, paramUUID, model.Params{paramUUID: "00000000-0000-4000-8000-000000000000"})
	l.sim.SetIll(l.id, packet.Ill{Health: "critical", Tells: packet.Failed})
	rung("health", model.VerdictWarning, "critical", nil)
	rung("state", model.VerdictFailed, "it is failed", nil)
	l.sim.SetIll(l.id, packet.Ill{NoDiagnostics: true, Tells: packet.Provisioning})
	rung("health", model.VerdictSkipped, "Not found", nil)
	rung("state", model.VerdictWarning, "wait until", nil)
	l.sim.Change(l.id, func(d *packet.Device) { d.OS, d.Locked = "debian_12", true })
	rung("boot", model.VerdictWarning, "reinstall it", nil)
	rung("lock", model.VerdictWarning, "unlock", nil)
	l.sim.Close()
	rung("reach", model.VerdictFailed, paramURL, nil)
	l.driver.configure(&config{}, nil, nil)
	rung("address", model.VerdictFailed, "2026-06-30", nil)
}

// What disturbs a machine is refused where its own params protect it.
func TestProtected(t *testing.T) {
	t.Parallel()
	l := newLab(t, packet.Options{}, packet.Device{})
	for _, command := range []string{"rescue", "reinstall"} {
		_, err := l.provider.Action(t.Context(), &model.Action{
			Model:   map[string]any{"Name": "m1", "Uuid": "u1", "Params": map[string]any{paramUUID: l.id, paramProtected: true}},
			Command: command, Params: model.Params{paramProtected: false, paramConfirm: "m1"},
		})
		if model.KindOf(err) != model.Forbidden {
			t.Errorf("%s: %v", command, err)
		}
	}
	if res := l.result(t, "rescue", nil); res.Outcome != model.Acknowledged || l.sim.Executed(l.id, "rescue") != 1 {
		t.Errorf("%+v", res)
	}
}

// 64 calls at once, reads and changes (the race detector looks on).
func TestManyCallsAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, packet.Options{Latency: time.Millisecond}, packet.Device{})
	ids := l.sim.Add("default", 64, packet.Device{})
	var all sync.WaitGroup
	for i, id := range ids {
		all.Go(func() {
			command := []string{model.PowerStatus, model.PowerOff, model.PowerCycle, model.NextBootPXE}[i%4]
			_, err := l.provider.Action(t.Context(), &model.Action{
				Model: map[string]any{"Name": id, "Uuid": id, "Params": map[string]any{paramUUID: id}}, Command: command,
			})
			if err != nil {
				t.Errorf("%s: %v", command, err)
			}
		})
	}
	all.Wait()
	if n := l.sim.PeakConnections(); n > 20 { // one that is closed may be counted a moment longer
		t.Errorf("%d connections at a time", n)
	}
	for op, want := range map[string]int{"power_off": 32, "power_on": 16, "update": 16} {
		if n := l.sim.Executed("", op); n != want {
			t.Errorf("%s was executed %d times, want %d", op, n, want)
		}
	}
}
