package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/drivertest"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
	simredfish "provision-plugins/sim/redfish"
)

// startRedfish runs one simulated BMC of Redfish until the test ends.
func startRedfish(tb testing.TB, o simredfish.Options) *simredfish.BMC {
	tb.Helper()
	o.Username, o.Password, o.On = testUser, testPassword, true
	if o.CycleOff == 0 {
		o.CycleOff = 800 * time.Millisecond
	}
	f, err := simredfish.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	})
	return f.BMC(0)
}

// redfishParamsOf reach a simulated BMC, whose certificate is pinned.
func redfishParamsOf(tb testing.TB, b *simredfish.BMC) model.Params {
	tb.Helper()
	cert, err := b.Certificate()
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(cert.Raw)
	return model.Params{
		paramMode: modeRedfish, paramAddress: b.Addr().Addr().String(), paramRedfishPort: int64(b.Addr().Port()),
		paramUsername: testUser, paramPassword: testPassword, paramTLSPin: hex.EncodeToString(sum[:]),
	}
}

// asked runs an action with those params and no others.
func asked(p *driver.Provider, command string, params model.Params) (any, error) {
	params = maps.Clone(params)
	params["oob/timeout"] = 20
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return p.Action(ctx, &model.Action{Model: &model.Machine{Name: "m1", Uuid: "u1"}, Command: command, Params: params})
}

// TestRedfishMode: the mode's params reach a BMC, and what it does is done.
func TestRedfishMode(t *testing.T) {
	t.Parallel()
	b := startRedfish(t, simredfish.Options{Dialect: "idrac"})
	p := newProvider(t)
	params := redfishParamsOf(t, b)
	for _, command := range []string{model.PowerStatus, model.PowerOff, model.PowerOn, model.PowerCycle, model.NextBootPXE, model.Identify, model.Status} {
		if _, err := asked(p, command, params); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
	if n := b.Executed("reset PowerCycle"); n != 1 {
		t.Errorf("%d power cycles, want 1", n)
	}
	if n := b.Executed("session open"); n != 1 {
		t.Errorf("%d sessions were opened for seven actions, want 1", n)
	}
	stop(t, p)
	if n := b.Sessions(); n != 0 {
		t.Errorf("%d sessions are left on the BMC", n)
	}
}

// TestRedfishTrust: nothing is sent to who does not show the right certificate.
func TestRedfishTrust(t *testing.T) {
	t.Parallel()
	b := startRedfish(t, simredfish.Options{})
	p := newProvider(t)
	for name, tc := range map[string]struct {
		params model.Params
		kind   model.Kind
		want   string
	}{
		"not signed by who is trusted": {model.Params{paramTLSPin: nil}, model.Conflict, "getTlsPin"},
		"another pin":                  {model.Params{paramTLSPin: strings.Repeat("ab", 32)}, model.Conflict, "not the pinned one"},
		"no pin":                       {model.Params{paramTLS: "pin", paramTLSPin: nil}, model.Invalid, "getTlsPin"},
		"a pin that is none":           {model.Params{paramTLSPin: "abc"}, model.Invalid, paramTLSPin},
		"a mode that is none":          {model.Params{paramTLS: "hope"}, model.Invalid, paramTLS},
		"verify with a pin":            {model.Params{paramTLS: "verify"}, "", ""},
		"insecure":                     {model.Params{paramTLS: "insecure", paramTLSPin: nil}, "", ""},
	} {
		params := redfishParamsOf(t, b)
		maps.Copy(params, tc.params)
		before := b.Executed("session open")
		_, err := asked(p, model.PowerStatus, params)
		if tc.kind == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if model.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s with %q", name, err, tc.kind, tc.want)
		}
		if b.Executed("session open") != before {
			t.Errorf("%s: logged in all the same", name)
		}
	}
}

// TestGetTLSPin: what it tells is what the pin is compared with.
func TestGetTLSPin(t *testing.T) {
	t.Parallel()
	b := startRedfish(t, simredfish.Options{})
	p := newProvider(t)
	params := redfishParamsOf(t, b)
	got, err := asked(p, getTLSPin, params)
	if err != nil {
		t.Fatal(err)
	}
	var cert struct {
		Pin      string
		Verified bool
		Problem  string
	}
	if err := model.Remarshal(got, &cert); err != nil {
		t.Fatal(err)
	}
	if cert.Pin != params[paramTLSPin] || cert.Verified || cert.Problem == "" {
		t.Errorf("told %+v", cert)
	}
	if b.Executed("session open") != 0 {
		t.Error("it logged in")
	}
}

// TestAutoMode: who speaks Redfish with a trusted certificate is reached by it, all
// others by IPMI, and it is asked once.
func TestAutoMode(t *testing.T) {
	t.Parallel()
	red := startRedfish(t, simredfish.Options{})
	old := startBMC(t, bmc.Options{On: true})
	p := newProvider(t)
	both := func(port netip.AddrPort, more model.Params) model.Params {
		params := redfishParamsOf(t, red)
		params[paramMode], params[paramPort] = modeAuto, int64(port.Port())
		maps.Copy(params, more)
		return params
	}
	for range 3 {
		if _, err := asked(p, model.PowerStatus, both(old.Addr(), nil)); err != nil {
			t.Fatal(err)
		}
	}
	if n := red.Executed("session open"); n != 1 {
		t.Errorf("%d Redfish sessions, want 1", n)
	}
	other := newProvider(t)
	if _, err := asked(other, model.PowerOff, both(old.Addr(), model.Params{paramTLSPin: strings.Repeat("00", 32)})); err != nil {
		t.Fatalf("a BMC with another certificate is not reached by IPMI: %v", err)
	}
	if old.Power() || !red.Power() {
		t.Error("the wrong BMC was switched off")
	}
	third := newProvider(t)
	_, err := asked(third, model.PowerStatus, both(netip.AddrPortFrom(old.Addr().Addr(), uint16(drivertest.ClosedPort(t, "udp"))),
		model.Params{paramRedfishPort: int64(drivertest.ClosedPort(t, "tcp"))}))
	if model.KindOf(err) != model.Unreachable || !strings.Contains(err.Error(), "Redfish was tried") {
		t.Errorf("neither answers: %v", err)
	}
}

// TestRedfishDoctor: the ladder of the mode stops where it breaks.
func TestRedfishDoctor(t *testing.T) {
	t.Parallel()
	b := startRedfish(t, simredfish.Options{})
	for name, tc := range map[string]struct {
		params model.Params
		failed string
	}{
		"all is well":         {nil, ""},
		"another certificate": {model.Params{paramTLSPin: strings.Repeat("00", 32)}, "service root"},
		"nobody there":        {model.Params{paramRedfishPort: int64(drivertest.ClosedPort(t, "tcp"))}, "certificate"},
		"a wrong password":    {model.Params{paramPassword: "not-the-Heron-at-all"}, rungLogin},
	} {
		params := redfishParamsOf(t, b)
		maps.Copy(params, tc.params)
		got, err := asked(newProvider(t), model.Doctor, params)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var c model.Checkup
		if err := model.Remarshal(got, &c); err != nil {
			t.Fatal(err)
		}
		failed := ""
		if f := c.Failed(); f != nil {
			failed = f.Name
		}
		if failed != tc.failed {
			t.Errorf("%s: %q failed, want %q", name, failed, tc.failed)
		}
	}
}

// TestSpoken: what worked is remembered, also that a login was refused; what does not
// answer any more is asked again; and it stays within bounds.
func TestSpoken(t *testing.T) {
	t.Parallel()
	var s spoken
	for _, step := range []struct {
		mode string
		err  error
		want string
	}{
		{modeRedfish, nil, modeRedfish},
		{modeIPMI, model.Errorf(model.Busy, "busy"), modeRedfish},
		{modeIPMI, model.Errorf(model.Unreachable, "gone"), ""},
		{modeIPMI, model.Errorf(model.DeviceAuth, "refused"), modeIPMI},
		{modeIPMI, model.Errorf(model.Conflict, "another certificate"), ""},
	} {
		s.learn("m", step.mode, step.err)
		if got := s.mode("m"); got != step.want {
			t.Errorf("after %s, %v: %q, want %q", step.mode, step.err, got, step.want)
		}
	}
	for i := range maxSpoken + 10 {
		s.learn(strings.Repeat("x", i%7)+netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String(), modeIPMI, nil)
	}
	if len(s.modes) > maxSpoken {
		t.Errorf("%d machines are remembered", len(s.modes))
	}
}
