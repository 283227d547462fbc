package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/drivertest"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// examine runs the doctor on b.
func examine(tb testing.TB, p *driver.Provider, b *bmc.BMC, more ...model.Params) *model.Checkup {
	tb.Helper()
	result, err := ask(p, model.Doctor, b.Addr(), more...)
	c, ok := result.(*model.Checkup)
	if err != nil || !ok {
		tb.Fatalf("doctor: %v, %v", result, err)
	}
	for _, check := range c.Checks {
		text := check.Found + check.Cause + check.Mend
		if strings.ContainsAny(text, "\n") || strings.Contains(text, testPassword) || len(text) > 400 {
			tb.Errorf("%s: not one plain line each: %+v", check.Name, check)
		}
		if check.Verdict != model.VerdictOK && check.Cause == "" {
			tb.Errorf("%s: no cause: %+v", check.Name, check)
		}
		if check.Verdict == model.VerdictFailed && check.Mend == "" {
			tb.Errorf("%s: no mend: %+v", check.Name, check)
		}
	}
	return c
}

// verdicts are the checks whose verdict is not ok, in one line.
func verdicts(c *model.Checkup) string {
	var out []string
	for _, check := range c.Checks {
		if check.Verdict != model.VerdictOK {
			out = append(out, check.Name+" "+string(check.Verdict))
		}
	}
	return strings.Join(out, ", ")
}

func TestDoctorOfAHealthyBMC(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true, Watts: 210, Device: bmc.Device{Manufacturer: 674, Product: 256, Major: 2, Minor: 7}})
	c := examine(t, newProvider(t), b)
	if c.Verdict != model.VerdictOK || len(c.Checks) != len(ladder) {
		t.Errorf("%s: %+v", verdicts(c), c)
	}
	for name, want := range map[string]string{
		rungName:            "127.0.0.1 is an address",
		rungRoute:           "from 127.0.0.1 to 127.0.0.1",
		"auth capabilities": "IPMI 2.0",
		"cipher suites":     "lists 3, 17",
		rungBreaker:         "closed: no refused login",
		rungLogin:           "with cipher suite 17, round trip ",
		rungPrivilege:       "OPERATOR",
		"session slots":     "1 of 4 in use",
		"clock":             "within a minute",
		"power reading":     "210 W",
		"boot flags":        "no override",
		"quirks":            "Dell, product 256, firmware 2.07; quirks of its product: offerrors",
		"identity":          "(system GUID), not pinned",
	} {
		if check := c.Check(name); check == nil || !strings.Contains(check.Found, want) {
			t.Errorf("%s: %+v, want %q", name, check, want)
		}
	}
	if n := b.Executed(bmc.SessionOpen); n != 1 {
		t.Errorf("%d logins", n)
	}
	for _, name := range []string{bmc.PowerOn, bmc.PowerOff, bmc.SetBoot, bmc.SetBootTimer, bmc.ChassisIdentify} {
		if b.Executed(name) != 0 {
			t.Errorf("the doctor executed %s", name)
		}
	}
}

// sick is a BMC in a state that the doctor must name.
type sick struct {
	options bmc.Options
	faults  bmc.Faults
	params  model.Params
	want    string // the verdicts that are not ok
	rung    string // the one that tells it
	cause   string
	mend    string
	kind    model.Kind
	refused int // logins
}

const noPower = ", power reading skipped"

var sickTable = map[string]sick{
	"silent": {
		faults: bmc.Faults{Silent: true},
		want:   "udp port failed, auth capabilities skipped, cipher suites skipped, login skipped, privilege skipped, session slots skipped, clock skipped, power reading skipped, boot flags skipped, quirks skipped, identity skipped",
		rung:   rungPort, cause: "is silent: no answer, and no refusal either", mend: "UDP is let through", kind: model.Unreachable,
	},
	"silent to strangers": {
		faults: bmc.Faults{DropRequests: map[string]int{bmc.Ping: bmc.Always, bmc.AuthCapabilities: bmc.Always, bmc.CipherSuites: bmc.Always}},
		want:   "udp port warning, auth capabilities warning, cipher suites skipped" + noPower,
		rung:   rungPort, cause: "it does not say what it is",
	},
	"wrong password": {
		params: model.Params{paramPassword: "not-the-Heron-at-all"},
		want:   "login failed, privilege skipped, session slots skipped, clock skipped, power reading skipped, boot flags skipped, quirks skipped, identity skipped",
		rung:   rungLogin, cause: "username or password invalid", mend: "ipmi/password", kind: model.DeviceAuth, refused: 1,
	},
	"IPMI 1.5 told": {
		faults: bmc.Faults{Odd: bmc.Odd{AuthCapabilities: true}},
		want:   "auth capabilities warning" + noPower,
		rung:   "auth capabilities", cause: "does not speak IPMI 2.0", mend: "authcap",
	},
	"suite 0": {
		faults: bmc.Faults{Odd: bmc.Odd{OffersSuite0: true}},
		want:   "cipher suites warning" + noPower,
		rung:   "cipher suites", cause: "suite 0 lets anybody", mend: "disable cipher suite 0",
	},
	"hashes otherwise": {
		faults: bmc.Faults{Odd: bmc.Odd{OpenPrivilege: true}},
		want:   "login failed, privilege skipped, session slots skipped, clock skipped, power reading skipped, boot flags skipped, quirks skipped, identity skipped",
		rung:   rungLogin, cause: "the password is right", mend: "set ipmi/quirks to opensesspriv", kind: model.Unsupported, refused: 1,
	},
	"wrong checksums": {
		faults: bmc.Faults{Odd: bmc.Odd{BadChecksums: true}},
		want:   "login failed, privilege skipped, session slots skipped, clock skipped, power reading skipped, boot flags skipped, quirks skipped, identity skipped",
		rung:   rungLogin, cause: "wrong checksum", mend: "set ipmi/quirks to nochecksumcheck", kind: model.Unreachable,
	},
	"deaf to suite 17": {
		faults: bmc.Faults{Odd: bmc.Odd{DeafTo: []int{17}}},
		want:   "login failed, privilege skipped, session slots skipped, clock skipped, power reading skipped, boot flags skipped, quirks skipped, identity skipped",
		rung:   rungLogin, cause: "everything but Open Session", mend: "set ipmi/quirks to suite3", kind: model.Unreachable,
	},
	"deaf to all suites": {
		faults: bmc.Faults{Odd: bmc.Odd{DeafTo: []int{17, 3}}},
		params: model.Params{paramQuirks: "suite3"},
		want:   "login failed, privilege skipped, session slots skipped, clock skipped, power reading skipped, boot flags skipped, quirks skipped, identity skipped",
		rung:   rungLogin, cause: "everything but Open Session", mend: "reset the BMC", kind: model.Unreachable,
	},
	"user only": {
		options: bmc.Options{Limit: bmc.User},
		want:    "privilege failed, power reading skipped, boot flags skipped",
		rung:    rungPrivilege, cause: "does not get OPERATOR", mend: "OPERATOR privilege", kind: model.DeviceAuth,
	},
	"no slot left": {
		options: bmc.Options{Sessions: 1},
		want:    "session slots warning" + noPower,
		rung:    "session slots", cause: "the next session will be refused", mend: "close other",
	},
	"slots taken": {
		faults: bmc.Faults{SessionsFull: true},
		want:   "login failed, privilege skipped, session slots skipped, clock skipped, power reading skipped, boot flags skipped, quirks skipped, identity skipped",
		rung:   rungLogin, cause: "no session slot free", mend: "close other sessions", kind: model.Busy,
	},
	"clock behind": {
		faults: bmc.Faults{ClockSkew: -100 * time.Hour},
		want:   "clock warning" + noPower,
		rung:   "clock", cause: "are off by that", mend: "time server",
	},
	"clock in local time": {
		faults: bmc.Faults{ClockSkew: 2 * time.Hour},
		want:   "clock warning" + noPower,
		rung:   "clock", cause: "local time", mend: "time server",
	},
	"clock not set": {
		faults: bmc.Faults{ClockUnset: true},
		want:   "clock warning" + noPower,
		rung:   "clock", cause: "mean nothing", mend: "time server",
	},
	"no clock": {
		faults: bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.SELTime: 0xc1}}},
		want:   "clock skipped" + noPower,
		rung:   "clock", cause: "the BMC does not tell its time (completion code C1h)",
	},
	"no GUID": {
		faults: bmc.Faults{Odd: bmc.Odd{NilGUID: true, Codes: map[string]uint8{bmc.DeviceGUID: 0xc1, bmc.FRUInfo: 0xc1}}},
		want:   "power reading skipped, identity skipped",
		rung:   "identity", cause: "tells nothing of its own",
	},
	"no GUID and pinned": {
		faults: bmc.Faults{Odd: bmc.Odd{NilGUID: true, Codes: map[string]uint8{bmc.DeviceGUID: 0xc1, bmc.FRUInfo: 0xc1}}},
		params: model.Params{model.ParamIdentity: "23f6e177-1d8c-4b3a-9e12-3a4c0fa8c70c"},
		want:   "power reading skipped, identity failed",
		rung:   "identity", cause: "does not tell its identity", mend: "unset oob/identity", kind: model.Conflict,
	},
	"another machine": {
		params: model.Params{model.ParamIdentity: "23f6e177-1d8c-4b3a-9e12-3a4c0fa8c70c"},
		want:   "power reading skipped, identity failed",
		rung:   "identity", cause: "another machine has its address", mend: "correct ipmi/address", kind: model.Conflict,
	},
	"no name": {
		params: model.Params{paramAddress: "no-such-host.invalid"},
		want: "name failed, route skipped, udp port skipped, auth capabilities skipped, cipher suites skipped, breaker skipped, login skipped, " +
			"privilege skipped, session slots skipped, clock skipped, power reading skipped, boot flags skipped, quirks skipped, identity skipped",
		rung: rungName, cause: "does not resolve", mend: "name servers", kind: model.Unreachable,
	},
}

func TestDoctorOfSickBMCs(t *testing.T) {
	t.Parallel()
	for name, tc := range sickTable {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.options.On = true
			b := startBMC(t, tc.options)
			b.SetFaults(tc.faults)
			more := model.Params{"oob/timeout": 60}
			for k, v := range tc.params {
				more[k] = v
			}
			p := newProvider(t)
			if f := &tc.faults; f.Silent || len(f.DropRequests)+len(f.Odd.DeafTo) > 0 {
				p = briskProvider(t)
			}
			c := examine(t, p, b, more)
			if got := verdicts(c); got != tc.want {
				t.Errorf("verdicts %q, want %q", got, tc.want)
			}
			check := c.Check(tc.rung)
			if check == nil || !strings.Contains(check.Cause, tc.cause) || !strings.Contains(check.Mend, tc.mend) || check.Kind != tc.kind {
				t.Errorf("%s: %+v, want cause %q, mend %q, kind %q", tc.rung, check, tc.cause, tc.mend, tc.kind)
			}
			if n := b.Executed(bmc.LoginRefused); n > tc.refused {
				t.Errorf("%d logins failed", n)
			}
			if n := b.Executed(bmc.SessionRequest); tc.refused > 0 && n != 1 {
				t.Errorf("%d handshakes", n)
			}
		})
	}
}

// A port that nobody listens on is refused at once, and nothing more is tried.
func TestDoctorOfAClosedPort(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{})
	c := examine(t, newProvider(t), b, model.Params{paramPort: int64(drivertest.ClosedPort(t, "udp"))})
	check := c.Check(rungPort)
	if check.Verdict != model.VerdictFailed || !strings.Contains(check.Cause, "refused: nothing listens there") || c.Check(rungLogin).Verdict != model.VerdictSkipped {
		t.Errorf("%+v", c)
	}
	if model.KindOf(c.Err()) != model.Unreachable {
		t.Errorf("%v", c.Err())
	}
}

// With an open breaker the doctor logs in not at all, and says why.
func TestDoctorWithOpenBreaker(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{})
	p := newProvider(t)
	wrong := model.Params{paramPassword: "not-the-Heron-at-all"}
	if _, err := act(p, model.PowerStatus, b.Addr(), wrong); model.KindOf(err) != model.DeviceAuth {
		t.Fatal(err)
	}
	before := b.Executed(bmc.SessionRequest)
	c := examine(t, p, b, wrong)
	check, login := c.Check(rungBreaker), c.Check(rungLogin)
	if check.Verdict != model.VerdictFailed || !strings.Contains(check.Cause, "refused 2 times") || login.Verdict != model.VerdictSkipped || login.Cause != "breaker failed" {
		t.Errorf("%+v, %+v", check, login)
	}
	if n := b.Executed(bmc.SessionRequest) - before; n != 0 {
		t.Errorf("%d handshakes although the breaker is open", n)
	}
	if c := examine(t, p, b); c.Check(rungLogin).Verdict != model.VerdictOK {
		t.Errorf("the right credentials: %s", verdicts(c))
	}
}

// Two doctors after another with a wrong password are the two handshakes that
// open the breaker; the third does not log in.
func TestDoctorAgainAndAgain(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{})
	p := newProvider(t)
	wrong := model.Params{paramPassword: "not-the-Heron-at-all"}
	for range 4 {
		examine(t, p, b, wrong)
	}
	if n := b.Executed(bmc.SessionRequest); n != 2 {
		t.Errorf("%d handshakes", n)
	}
}

// A session that is open is examined as it is.
func TestDoctorTakesTheOpenSession(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{Sessions: 1})
	p := newProvider(t)
	mustAct(t, p, model.PowerStatus, b.Addr())
	c := examine(t, p, b)
	if check := c.Check(rungLogin); !strings.Contains(check.Found, "a session is open") || b.Executed(bmc.SessionOpen) != 1 {
		t.Errorf("%+v", check)
	}
}

func TestDoctorOfBootFlags(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true})
	p := newProvider(t)
	for _, row := range []struct {
		action, bios, found, cause string
		verdict                    model.Verdict
	}{
		{model.NextBootPXE, "uefi", "pxe by UEFI at the next boot", "it stays until the machine boots", model.VerdictWarning},
		{model.ForceBootDisk, "legacy-bios", "disk at every boot", "", model.VerdictOK},
	} {
		mustAct(t, p, row.action, b.Addr(), model.Params{paramBIOSMode: row.bios})
		check := examine(t, p, b).Check("boot flags")
		if check.Verdict != row.verdict || check.Found != row.found || !strings.Contains(check.Cause, row.cause) {
			t.Errorf("%s: %+v", row.action, check)
		}
	}
	quick := model.Params{paramQuirks: "noparam3"}
	other := startBMC(t, bmc.Options{On: true})
	mustAct(t, p, model.NextBootPXE, other.Addr(), quick)
	if check := examine(t, p, other).Check("boot flags"); check.Verdict != model.VerdictWarning || !strings.Contains(check.Cause, "within 60 seconds") {
		t.Errorf("with the timer on: %+v", check)
	}
}

func TestDoctorRefusesBadParams(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{})
	p := newProvider(t)
	for name, more := range map[string]model.Params{
		paramQuirks:         {paramQuirks: "fast"},
		paramMode:           {paramMode: "racadm"},
		paramAddress:        {paramAddress: 7},
		model.ParamIdentity: {model.ParamIdentity: []any{}},
	} {
		_, err := ask(p, model.Doctor, b.Addr(), more)
		if kind := model.KindOf(err); kind != model.Invalid && kind != model.Unsupported || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if in, _ := b.Datagrams(); in != 0 {
		t.Errorf("%d datagrams were sent", in)
	}
}

// age makes all that the plugin remembers of refused logins older, as another
// process could that shares the folder.
func age(t *testing.T, dir string, by time.Duration) {
	t.Helper()
	path := filepath.Join(dir, "refused-logins.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stamp := regexp.MustCompile(`"at": "([^"]*)"`)
	raw = stamp.ReplaceAllFunc(raw, func(m []byte) []byte {
		at, err := time.Parse(time.RFC3339Nano, string(stamp.FindSubmatch(m)[1]))
		if err != nil {
			t.Error(err)
		}
		return fmt.Appendf(nil, `"at": %q`, at.Add(-by).Format(time.RFC3339Nano))
	})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// After the account was mended on the BMC a doctor that is told so tries the login
// again, once; the param does not count on a machine. If it works, all does.
func TestDoctorTriesAgain(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true})
	b.SetFaults(bmc.Faults{WrongPassword: true, LockoutAfter: 4})
	dir := t.TempDir()
	plug, _ := newPlugin(t, dir)
	p := plug.Provider
	again := model.Params{paramTryAgain: true}
	if _, err := act(p, model.PowerStatus, b.Addr()); model.KindOf(err) != model.DeviceAuth {
		t.Fatal(err)
	}
	handshakes := func(step string, want int) {
		t.Helper()
		if got := b.Executed(bmc.RAKP1); got != want {
			t.Errorf("%s: %d handshakes, want %d", step, got, want)
		}
	}
	if c := examine(t, p, b, again); c.Check(rungLogin).Verdict != model.VerdictFailed {
		t.Errorf("%s", verdicts(c))
	}
	handshakes("in the same minute", 2)
	age(t, dir, 2*time.Minute)
	kept := paramsOf(b.Addr())
	kept[paramTryAgain] = true
	if _, err := p.Action(t.Context(), &model.Action{Model: &model.Machine{Name: "m1", Uuid: "m1", Params: kept}, Command: model.Doctor}); err != nil {
		t.Error(err)
	}
	handshakes("kept on the machine", 2)
	for range 3 {
		c := examine(t, p, b, again)
		if c.Check(rungBreaker).Verdict != model.VerdictWarning || c.Check(rungLogin).Verdict != model.VerdictFailed {
			t.Errorf("%s", verdicts(c))
		}
	}
	handshakes("still refused", 3)
	_, err := act(p, model.PowerStatus, b.Addr())
	if model.KindOf(err) != model.DeviceAuth || !strings.Contains(err.Error(), paramTryAgain) {
		t.Errorf("%v", err)
	}
	handshakes("others", 3)

	age(t, dir, 2*time.Minute)
	b.SetFaults(bmc.Faults{})
	if c := examine(t, p, b, again); c.Check(rungLogin).Verdict != model.VerdictOK {
		t.Errorf("mended: %s", verdicts(c))
	}
	handshakes("mended", 4)
	mustAct(t, p, model.PowerStatus, b.Addr())
}

func TestDoctorRefusesABadTryAgain(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{})
	params := paramsOf(b.Addr())
	params[paramTryAgain] = "soon"
	_, err := newProvider(t).Action(t.Context(), &model.Action{Model: &model.Machine{Name: "m1"}, Command: model.Doctor, Params: params})
	if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), paramTryAgain) {
		t.Errorf("%v", err)
	}
}
