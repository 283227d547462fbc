package redfish

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/sim/redfish"
)

// doing is what a row of the fault table asks for.
type doing struct {
	command string
	on      string // the requests that the fault hits, as the simulator names them
	counted string // what the simulator counts when it is done
}

var (
	reading  = doing{model.PowerStatus, "", ""}
	reset    = doing{model.PowerReset, "reset", "reset ForceRestart"}
	off      = doing{model.PowerOff, "reset", "reset ForceOff"}
	booting  = doing{model.NextBootPXE, "patch *", "set boot"}
	anything = redfish.Always
)

// faultTable is every fault with what was executed then, and what was reported.
var faultTable = []struct {
	name     string
	do       doing
	fault    redfish.Fault
	all      redfish.Faults // instead of fault
	executed int
	kind     model.Kind // "" is success
	text     string
}{
	{"read 401 once: a new session", reading, redfish.Fault{Status: 401, Path: "/redfish/v1/Systems/*"}, redfish.Faults{}, 0, "", ""},
	{"read 401 always", reading, redfish.Fault{Status: 401, Count: anything, Path: "/redfish/v1/Systems*"}, redfish.Faults{}, 0, model.DeviceAuth, "ipmi/password"},
	{"read 403", reading, redfish.Fault{Status: 403, Count: anything, Path: "/redfish/v1/Systems*"}, redfish.Faults{}, 0, model.DeviceAuth, "role"},
	{"read 404", reading, redfish.Fault{Status: 404, Count: anything, Path: "/redfish/v1/Systems/*"}, redfish.Faults{}, 0, model.NotFound, "404"},
	{"read 405", reading, redfish.Fault{Status: 405, Count: anything, Path: "/redfish/v1/Systems/*"}, redfish.Faults{}, 0, model.Unsupported, "405"},
	{"read 429 once: waits as long as it is asked to", reading, redfish.Fault{Status: 429, RetryAfter: time.Second}, redfish.Faults{}, 0, "", ""},
	{"read 500", reading, redfish.Fault{Status: 500, Count: anything, Path: "/redfish/v1/Systems/*"}, redfish.Faults{}, 0, model.Unreachable, "500"},
	{"read 503 once", reading, redfish.Fault{Status: 503, RetryAfter: time.Second}, redfish.Faults{}, 0, "", ""},
	{"read html", reading, redfish.Fault{Body: redfish.HTML, Count: anything}, redfish.Faults{}, 0, model.Unreachable, "page for browsers"},
	{"read cut JSON", reading, redfish.Fault{Body: redfish.CutJSON, Count: anything}, redfish.Faults{}, 0, model.Unreachable, "no JSON"},
	{"read truncated", reading, redfish.Fault{Body: redfish.Truncated, Count: anything}, redfish.Faults{}, 0, model.Unreachable, "breaks off"},
	{"read endless", reading, redfish.Fault{Body: redfish.Endless, Count: anything}, redfish.Faults{}, 0, model.Unreachable, "longer than"},
	{"read garbage", reading, redfish.Fault{Body: redfish.Garbage, Count: anything}, redfish.Faults{}, 0, model.Unreachable, "JSON"},
	{"read empty", reading, redfish.Fault{Body: redfish.Empty, Count: anything}, redfish.Faults{}, 0, model.Unreachable, "not Redfish"},
	{"sessions are full", reading, redfish.Fault{}, redfish.Faults{SessionsFull: true}, 0, model.Busy, "session"},
	{"a wrong password", reading, redfish.Fault{}, redfish.Faults{WrongPassword: true}, 0, model.DeviceAuth, "ipmi/password"},
	{"no systems", reading, redfish.Fault{}, redfish.Faults{NoSystems: true}, 0, model.Unsupported, "no computer system"},
	{"TLS expired", reading, redfish.Fault{}, redfish.Faults{Expired: true}, 0, model.Conflict, "expired"},
	{"silent", reading, redfish.Fault{}, redfish.Faults{Silent: true}, 0, model.Unreachable, "ipmi/address"},

	{"reset 401", reset, redfish.Fault{Status: 401, Count: anything}, redfish.Faults{}, 0, model.Unreachable, "nothing was done"},
	{"reset 403", reset, redfish.Fault{Status: 403, Count: anything}, redfish.Faults{}, 0, model.DeviceAuth, "role"},
	{"reset 404", reset, redfish.Fault{Status: 404, Count: anything}, redfish.Faults{}, 0, model.NotFound, "404"},
	{"reset 405", reset, redfish.Fault{Status: 405, Count: anything}, redfish.Faults{}, 0, model.Unsupported, "405"},
	{"reset 409", reset, redfish.Fault{Status: 409, Count: anything}, redfish.Faults{}, 0, model.Conflict, "409"},
	{"reset 412", reset, redfish.Fault{Status: 412, Count: anything}, redfish.Faults{}, 0, model.Conflict, "412"},
	{"reset 429 is not sent again", reset, redfish.Fault{Status: 429, RetryAfter: time.Second, Count: anything}, redfish.Faults{}, 0, model.RateLimited, "429"},
	{"reset 500, not done", reset, redfish.Fault{Status: 500, Count: anything}, redfish.Faults{}, 0, model.UnknownOutcome, "sent once"},
	{"reset 503, not done", reset, redfish.Fault{Status: 503, Count: anything}, redfish.Faults{}, 0, model.UnknownOutcome, "sent once"},
	{"reset lost", reset, redfish.Fault{Close: true, Count: anything}, redfish.Faults{}, 0, model.UnknownOutcome, "sent once"},
	{"reset task fails", reset, redfish.Fault{Task: true, Count: anything}, redfish.Faults{TasksFail: true}, 0, model.UnknownOutcome, "sent once"},
	{"reset task never ends", reset, redfish.Fault{Task: true, Count: anything}, redfish.Faults{TasksHang: true}, 0, model.UnknownOutcome, "sent once"},

	{"off 409", off, redfish.Fault{Status: 409, Count: anything}, redfish.Faults{}, 0, model.Conflict, "last state on"},
	{"off 429 once", off, redfish.Fault{Status: 429, RetryAfter: time.Second}, redfish.Faults{}, 1, "", ""},
	{"off 500, done", off, redfish.Fault{Status: 500, Acts: true}, redfish.Faults{}, 1, "", ""},
	{"off lies", off, redfish.Fault{Lies: true, Count: anything}, redfish.Faults{}, 0, model.Timeout, "last state on"},
	{"off by a task", off, redfish.Fault{Task: true}, redfish.Faults{}, 1, "", ""},
	{"off, its session over", off, redfish.Fault{Status: 401}, redfish.Faults{}, 1, "", ""},

	{"boot 412 once: read again", booting, redfish.Fault{Status: 412}, redfish.Faults{}, 1, "", ""},
	{"boot 412 always", booting, redfish.Fault{Status: 412, Count: anything}, redfish.Faults{}, 0, model.Conflict, "412"},
	{"boot wants a tag", booting, redfish.Fault{}, redfish.Faults{NeedsETag: true}, 1, "", ""},
	{"boot forgotten", booting, redfish.Fault{}, redfish.Faults{ForgetsBoot: true}, 1, model.Timeout, "taken, but"},
	{"boot by a task", booting, redfish.Fault{Task: true}, redfish.Faults{}, 1, "", ""},
	{"boot task fails", booting, redfish.Fault{Task: true, Count: anything}, redfish.Faults{TasksFail: true}, 0, model.Timeout, "task"},
}

// TestFaults holds what was executed and what was reported, fault by fault.
func TestFaults(t *testing.T) {
	for _, row := range faultTable {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f, b := startBMC(t, redfish.Options{On: true})
			p := driver.NewProvider(&reach{newPool(f), targetOf(b)}, driver.Options{})
			t.Cleanup(func() { _ = p.Stop(context.Background()) })
			faults := row.all
			if row.fault != (redfish.Fault{}) {
				fault := row.fault
				fault.On = row.do.on
				faults.Requests = []redfish.Fault{fault}
			}
			b.SetFaults(faults)
			before := b.Executed("session open")
			err := carryOut(p, row.do.command, 4*time.Second)
			if row.kind == "" && err != nil || row.kind != "" && model.KindOf(err) != row.kind {
				t.Errorf("reported %v, want kind %q", err, row.kind)
			}
			if err != nil && (!strings.Contains(err.Error(), row.text) || strings.Contains(err.Error(), testPassword) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("reported %q, want one line with %q and no password", err, row.text)
			}
			if n := b.Executed(row.do.counted); row.do == reset && n != row.executed || (n > 0) != (row.executed > 0) {
				t.Errorf("executed %d times, want %d", n, row.executed)
			}
			if n := b.Executed("session open") - before; n > 3 {
				t.Errorf("%d sessions were opened for one action", n)
			}
		})
	}
}

// carryOut runs an action.
func carryOut(p *driver.Provider, command string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	params := model.Params{"oob/timeout": limit.Seconds()}
	_, err := p.Action(ctx, &model.Action{Model: &model.Machine{Name: "m1", Uuid: "u1"}, Command: command, Params: params})
	return err
}

// TestSeveralSystems: the one that is named is meant, and without a name they are
// listed.
func TestSeveralSystems(t *testing.T) {
	f, b := startBMC(t, redfish.Options{On: true, Systems: 2})
	p := poolOf(t, f)
	for id, want := range map[string]string{"": b.SystemID(0) + ", " + b.SystemID(1), "none": "has no system"} {
		target := targetOf(b)
		target.System = id
		_, err := p.Open(t.Context(), target)
		if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("system %q: %v, want %q", id, err, want)
		}
	}
	target := targetOf(b)
	target.System = b.SystemID(1)
	s, err := p.open(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	if err := s.SetPower(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if !b.System(0).On || b.System(1).On {
		t.Error("the other system was switched off")
	}
}

// TestResetTypes: neither a button nor a restart stands in for what a BMC does not
// take.
func TestResetTypes(t *testing.T) {
	f, b := startBMC(t, redfish.Options{On: true})
	b.SetFaults(redfish.Faults{ResetTypes: []string{"PushPowerButton", "ForceRestart", "GracefulRestart"}})
	p := driver.NewProvider(&reach{newPool(f), targetOf(b)}, driver.Options{})
	t.Cleanup(func() { _ = p.Stop(context.Background()) })
	for _, command := range []string{model.PowerOff, model.PowerCycle, model.PowerSoft} {
		if err := carryOut(p, command, 3*time.Second); model.KindOf(err) != model.Unsupported {
			t.Errorf("%s: %v", command, err)
		}
	}
	b.SetPower(false)
	if err := carryOut(p, model.PowerOn, 3*time.Second); model.KindOf(err) != model.Unsupported {
		t.Errorf("poweron: %v", err)
	}
	for name, n := range b.Counts() {
		if strings.HasPrefix(name, "reset ") {
			t.Errorf("%s was executed %d times", name, n)
		}
	}
}

// TestStatusErrors: each status has a kind, and a message that is more exact goes
// before it.
func TestStatusErrors(t *testing.T) {
	for status := 300; status < 600; status++ {
		e := &statusError{status: status}
		if m := e.meaning(); m.kind == "" || m.kind == model.Internal {
			t.Errorf("%d means %q", status, m.kind)
		}
		if text := e.Error(); !strings.Contains(text, fmt.Sprint(status)) {
			t.Errorf("%d reads %q", status, text)
		}
	}
	e := newStatusError(&http.Response{StatusCode: 400, Header: http.Header{"Retry-After": {"7"}}},
		[]byte(`{"error":{"message":"x","@Message.ExtendedInfo":[{"MessageId":"Base.1.4.ResourceInUse","Message":"In\nuse."}]}}`))
	if e.meaning().kind != model.Conflict || e.after != 7*time.Second || !strings.HasSuffix(e.Error(), "ResourceInUse: In use.") {
		t.Errorf("read %+v: %v", e, e)
	}
}
