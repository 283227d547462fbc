package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/sim/packet"
)

// faultRow is something that goes wrong with every request of an operation.
type faultRow struct {
	name  string
	fault packet.Fault
	// read and change are the kinds of the errors of a read and of what is sent once.
	read, change []model.Kind
}

// faultRows are the answers that an API, or what is before it, may give.
var faultRows = []faultRow{
	{"refused key", packet.Fault{Status: 401, Body: `{"error":"Invalid authentication token"}`}, []model.Kind{model.DeviceAuth}, []model.Kind{model.DeviceAuth}},
	{"not seen any more", packet.Fault{Status: 403}, []model.Kind{model.NotFound}, []model.Kind{model.NotFound}},
	{"gone", packet.Fault{Status: 404}, []model.Kind{model.NotFound}, []model.Kind{model.NotFound}},
	{"in another state", packet.Fault{Status: 422, Body: `{"errors":["Device must be powered on"]}`}, []model.Kind{model.Conflict}, []model.Kind{model.Conflict}},
	{"a value", packet.Fault{Status: 422, Body: `{"errors":{"operating_system":["is not valid"]}}`}, []model.Kind{model.Invalid}, []model.Kind{model.Invalid}},
	{"too many", packet.TooMany("", 0, "3600"), []model.Kind{model.RateLimited}, []model.Kind{model.RateLimited}},
	{"its own error", packet.Oops("", 0), []model.Kind{model.Unreachable}, []model.Kind{model.UnknownOutcome}},
	{"a proxy's page", packet.BadGateway("", 0), []model.Kind{model.Unreachable}, []model.Kind{model.UnknownOutcome}},
	{"no answer", packet.Fault{LoseRequest: true}, []model.Kind{model.Unreachable}, []model.Kind{model.UnknownOutcome}},
	{"a redirect", packet.Fault{Status: 302, Body: "x", Headers: map[string]string{"Location": "https://elsewhere.example/"}}, []model.Kind{model.Invalid}, []model.Kind{model.Invalid}},
}

// TestReadsMeetFaults has each action that only reads meet each fault: the kind is
// right, the error says where, and nothing was executed.
func TestReadsMeetFaults(t *testing.T) {
	t.Parallel()
	reads := map[string]string{"events": "events", "screenshot": "read screenshot", "health": "read health", "console": "get", model.BootStatus: "get", model.PowerStatus: "get", model.GetIdentity: "get"}
	for action, op := range reads {
		for _, row := range faultRows {
			t.Run(action+"/"+row.name, func(t *testing.T) {
				t.Parallel()
				l := newLab(t, packet.Options{}, packet.Device{})
				f := row.fault
				f.On, f.Times = op, packet.Always
				l.sim.SetFaults(f)
				got, err := l.act(t, action, model.Params{"oob/timeout": 10})
				if !slices.Contains(row.read, model.KindOf(err)) && !(op == "read screenshot" && row.read[0] == model.NotFound && model.KindOf(err) == model.DeviceAuth) {
					t.Errorf("%v, %v; want %v", got, err, row.read)
				}
				if err != nil && (!strings.HasPrefix(model.AsError(err).Text(), "cannot "+action+" m1: ") || strings.Contains(err.Error(), goodKey)) {
					t.Errorf("error %v", err)
				}
				if n := l.sim.AllExecuted(l.id); len(n) > 0 {
					t.Errorf("executed %v", n)
				}
			})
		}
	}
}

// TestOnceMeetsFaults has each action that is sent once meet each fault: it is sent
// once, and its kind tells whether it may have been executed.
func TestOnceMeetsFaults(t *testing.T) {
	t.Parallel()
	for action, op := range map[string]string{model.PowerReset: "reboot", "rescue": "rescue", "reinstall": "reinstall"} {
		for _, row := range faultRows {
			t.Run(action+"/"+row.name, func(t *testing.T) {
				t.Parallel()
				l := newLab(t, packet.Options{}, packet.Device{})
				f := row.fault
				f.On, f.Times = op, packet.Always
				l.sim.SetFaults(f)
				got, err := l.act(t, action, model.Params{"oob/timeout": 10, paramConfirm: "m1"})
				if !slices.Contains(row.change, model.KindOf(err)) {
					t.Errorf("%v, %v; want %v", got, err, row.change)
				}
				if n := l.sim.Hits(); n != 1 {
					t.Errorf("sent %d times", n)
				}
				if n := l.sim.Executed(l.id, op); n != 0 {
					t.Errorf("executed %d times", n)
				}
			})
		}
	}
}

// TestOnceIsNotRepeatedAfterALostReply has the reply of each lost: it was executed,
// once, and nobody says that it was not.
func TestOnceIsNotRepeatedAfterALostReply(t *testing.T) {
	t.Parallel()
	for action, op := range map[string]string{model.PowerReset: "reboot", "rescue": "rescue", "reinstall": "reinstall"} {
		for _, fault := range []packet.Fault{{LoseReply: true}, {Status: 502, Body: "<html>", Type: "text/html", Executed: true}, {Status: 500, Executed: true}} {
			t.Run(fmt.Sprintf("%s/%d", action, fault.Status), func(t *testing.T) {
				t.Parallel()
				l := newLab(t, packet.Options{}, packet.Device{})
				fault.On, fault.Times = op, packet.Always
				l.sim.SetFaults(fault)
				got, err := l.act(t, action, model.Params{"oob/timeout": 10, paramConfirm: "m1"})
				if model.KindOf(err) != model.UnknownOutcome || l.sim.Executed(l.id, op) != 1 {
					t.Errorf("%v, %v, executed %d times", got, err, l.sim.Executed(l.id, op))
				}
			})
		}
	}
}

// TestPowerSurvivesFaults has on and off meet faults that pass: the state is reached,
// and the order was executed once.
func TestPowerSurvivesFaults(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]packet.Fault{
		"reads fail twice":         {packet.Oops("get", 1), packet.BadGateway("get", 1)},
		"an order is not executed": {packet.Oops("power_off", 1), packet.Oops("power_on", 1)},
		"a reply is lost":          {{On: "power_off", Times: 1, LoseReply: true}, {On: "power_on", Times: 1, LoseReply: true}},
		"an order is lost":         {{On: "power_off", Times: 1, LoseRequest: true}, {On: "power_on", Times: 1, LoseRequest: true}},
		"too many requests":        {packet.TooMany("power_off", 1, "0"), packet.TooMany("get", 2, "0")},
		"executed, and an error":   {{On: "power_off", Times: 1, Status: 500, Executed: true}, {On: "power_on", Times: 1, Status: 502, Executed: true}},
		"slow":                     {{On: "", Times: 6, Slow: 20 * time.Millisecond}},
		"answers are cut off":      {{On: "get", Times: 2, Truncate: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, packet.Options{Timing: packet.Every(20 * time.Millisecond)}, packet.Device{})
			l.sim.SetFaults(faults...)
			for _, step := range []struct {
				action, op string
				want       model.PowerState
			}{{model.PowerOff, "power_off", model.StateOff}, {model.PowerOn, "power_on", model.StateOn}} {
				res := l.result(t, step.action, nil)
				if res.Power != step.want || res.Outcome != model.Verified || l.sim.Executed(l.id, step.op) != 1 {
					t.Errorf("%s: %+v, executed %v", step.action, res, l.sim.AllExecuted(l.id))
				}
			}
		})
	}
}

// TestBootMeetsFaults has the setting of the next boot meet faults: what was refused
// leaves no note, what may have arrived leaves one, and the device is as it is told.
func TestBootMeetsFaults(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		fault packet.Fault
		kind  model.Kind // "" for success
		noted bool
		set   bool
	}{
		{"refused", packet.Fault{On: "update", Times: packet.Always, Status: 422, Body: `{"errors":["no"]}`}, model.Conflict, false, false},
		{"refused key", packet.Fault{On: "update", Times: packet.Always, Status: 401}, model.DeviceAuth, false, false},
		{"lost once", packet.Fault{On: "update", Times: 1, LoseRequest: true}, "", true, true},
		{"reply lost once", packet.Fault{On: "update", Times: 1, LoseReply: true}, "", true, true},
		{"an error once", packet.Oops("update", 1), "", true, true},
		{"an error always", packet.Oops("update", packet.Always), model.UnknownOutcome, true, false},
		{"events cannot be read once", packet.Oops("events", 1), "", true, true},
		{"events cannot be read", packet.Oops("events", packet.Always), model.Unreachable, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, packet.Options{}, packet.Device{})
			l.sim.SetFaults(row.fault)
			res, err := l.act(t, model.NextBootPXE, model.Params{"oob/timeout": 6})
			if row.kind == "" && err != nil || row.kind != "" && model.KindOf(err) != row.kind {
				t.Errorf("%v, %v; want %q", res, err, row.kind)
			}
			if noted := l.driver.boots.Note(l.id) != nil; noted != row.noted || l.device(t).AlwaysPXE != row.set {
				t.Errorf("noted %t, always_pxe %t", noted, l.device(t).AlwaysPXE)
			}
		})
	}
}
