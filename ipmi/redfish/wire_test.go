package redfish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"provision-plugins/shared/model"
	"provision-plugins/sim/redfish"
)

// odd is a BMC that a test writes by hand: it has a session and one system, and what
// the test says for the rest.
type odd struct {
	server *httptest.Server
	posts  atomic.Int64 // resets that came
}

// newOdd starts one whose answers to what is neither session nor system are given.
func newOdd(tb testing.TB, rest http.HandlerFunc) (*odd, *Target) {
	tb.Helper()
	o := &odd{}
	mux := http.NewServeMux()
	tell := func(path, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
	}
	tell("GET /redfish/v1/", `{"RedfishVersion":"1.6.0","Systems":{"@odata.id":"/redfish/v1/Systems"},"Links":{"Sessions":{"@odata.id":"/redfish/v1/Sessions"}}}`)
	tell("GET /redfish/v1/Systems", `{"Members":[{"@odata.id":"/redfish/v1/Systems/1"}]}`)
	tell("GET /redfish/v1/Systems/1", `{"PowerState":"On"}`)
	mux.HandleFunc("POST /redfish/v1/Sessions", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Auth-Token", "t")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"@odata.id":"/redfish/v1/Sessions/1"}`)
	})
	mux.HandleFunc("DELETE /redfish/v1/Sessions/1", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("POST /redfish/v1/Systems/1/Actions/ComputerSystem.Reset", func(w http.ResponseWriter, r *http.Request) {
		o.posts.Add(1)
		rest(w, r)
	})
	mux.HandleFunc("/odd", rest)
	o.server = httptest.NewTLSServer(mux)
	tb.Cleanup(o.server.Close)
	u, err := url.Parse(o.server.URL)
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(o.server.Certificate().Raw)
	trust, err := ParseTrust("", hex.EncodeToString(sum[:]))
	if err != nil {
		tb.Fatal(err)
	}
	peer := netip.MustParseAddrPort(u.Host)
	return o, &Target{Peer: peer, Host: peer.Addr().String(), Username: testUser, Password: testPassword, Trust: trust}
}

// anyone is a pool that lets everybody in.
func anyone(tb testing.TB) *Pool {
	tb.Helper()
	p := NewPool(Options{Admit: (&admission{refused: map[string]int{}}).admit})
	tb.Cleanup(func() { stop(tb, p) })
	return p
}

// hangUp closes the connection in place of an answer.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// TestOnceIsSentOnce: a reset whose connection is closed after it was carried out is
// not sent again, however warm the connection was; nor is one that is redirected.
func TestOnceIsSentOnce(t *testing.T) {
	for name, rest := range map[string]http.HandlerFunc{
		"closed": hangUp,
		"moved": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusPermanentRedirect)
		},
		"asked for patience": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
		},
	} {
		o, target := newOdd(t, rest)
		s := mustOpen(t, anyone(t), target)
		if err := s.Prepare(t.Context()); err != nil { // warms a connection
			t.Fatal(err)
		}
		if err := s.PowerReset(t.Context()); model.KindOf(err) != model.UnknownOutcome {
			t.Errorf("%s: %v", name, err)
		}
		if n := o.posts.Load(); n != 1 {
			t.Errorf("%s: the reset came %d times, want 1", name, n)
		}
	}
}

// TestElsewhere: nothing follows a BMC to another host, by a redirect or by a path.
func TestElsewhere(t *testing.T) {
	var stranger atomic.Int64
	other := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stranger.Add(1) }))
	t.Cleanup(other.Close)
	_, target := newOdd(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/redfish/v1/", http.StatusFound)
	})
	s := mustOpen(t, anyone(t), target)
	host := strings.TrimPrefix(other.URL, "https://")
	for _, path := range []string{"/odd", "@" + host + "/x", ".example.com/x"} {
		var into map[string]any
		if _, err := s.bmc.get(t.Context(), path, &into); err == nil || strings.Contains(err.Error(), testPassword) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if stranger.Load() != 0 {
		t.Error("another host was asked")
	}
}

// TestBodies: what is no JSON object of a bounded size is refused.
func TestBodies(t *testing.T) {
	for body, want := range map[string]string{
		"":                                      "nothing in it",
		"<html>":                                "page for browsers",
		`[1]`:                                   "no JSON object",
		`{"a":`:                                 "no JSON object",
		`{"a":"` + strings.Repeat("x", maxBody): "longer than",
	} {
		_, target := newOdd(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		s := mustOpen(t, anyone(t), target)
		var into map[string]any
		if _, err := s.bmc.get(t.Context(), "/odd", &into); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", body, err, want)
		}
	}
}

// TestProxyIsNotUsed: a proxy of the environment does not see the password.
func TestProxyIsNotUsed(t *testing.T) {
	w := newWire(&Target{Peer: netip.MustParseAddrPort("192.0.2.1:443"), Host: "bmc"}, nil)
	if w.kept.Proxy != nil || w.fresh.Proxy != nil {
		t.Error("the environment's proxy would be used")
	}
}

// TestParseTrust: the default verifies, a pin is wanted whole.
func TestParseTrust(t *testing.T) {
	pin := strings.Repeat("Ab:", 31) + "Ab"
	for _, tc := range []struct {
		mode, pin, want string
		kind            model.Kind
	}{
		{"", "", Verify, ""}, {"verify", "", Verify, ""}, {"", pin, Pin, ""}, {"verify", pin, Pin, ""}, {"pin", pin, Pin, ""},
		{"insecure", "", Insecure, ""}, {"insecure", pin, Insecure, ""},
		{"pin", "", "", model.Invalid}, {"pin", "ab", "", model.Invalid}, {"none", "", "", model.Invalid},
	} {
		got, err := ParseTrust(tc.mode, tc.pin)
		if (err == nil) != (tc.kind == "") || err != nil && model.KindOf(err) != tc.kind || err == nil && got.mode != tc.want {
			t.Errorf("%q, %.6q: %q, %v", tc.mode, tc.pin, got.mode, err)
		}
	}
	if (Trust{}).config("bmc", nil).InsecureSkipVerify {
		t.Error("the zero value verifies nothing")
	}
}

// TestChangedCertificate: a BMC that shows another certificate than the pinned one is
// told nothing.
func TestChangedCertificate(t *testing.T) {
	f, b := startBMC(t, redfish.Options{On: true})
	p := poolOf(t, f)
	c, err := p.Certificate(t.Context(), targetOf(b))
	if err != nil || !c.Verified {
		t.Fatalf("%+v, %v", c, err)
	}
	target := targetOf(b)
	if target.Trust, err = ParseTrust(Pin, c.Pin); err != nil {
		t.Fatal(err)
	}
	s, err := p.Open(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close(t.Context())
	b.ChangeCertificate()
	p = poolOf(t, f)
	before := b.Executed("session open")
	if _, err := p.Open(t.Context(), target); model.KindOf(err) != model.Conflict || !strings.Contains(err.Error(), "not the pinned one") {
		t.Errorf("%v", err)
	}
	if b.Executed("session open") != before {
		t.Error("it logged in")
	}
}

// FuzzBodies: no answer of a BMC makes more of it than an error.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		`{"PowerState":"On","Boot":{"BootSourceOverrideEnabled":"Once"},"Links":{"ManagedBy":[{"@odata.id":"/x"}]}}`,
		`{"error":{"code":"x","message":"y","@Message.ExtendedInfo":[{"MessageId":"Base.1.0.ResourceInUse"}]}}`,
		`{"TaskState":"Exception","Messages":[{"Message":"no"}]}`, `{"Members":[null,{"@odata.id":5}]}`, `[`, `<html>`, "",
	} {
		f.Add([]byte(seed), 200, "3")
		f.Add([]byte(seed), 400, "")
	}
	f.Fuzz(func(t *testing.T, raw []byte, status int, after string) {
		status = 200 + (status&0x7fff)%400
		res := &http.Response{
			StatusCode: status, Header: http.Header{"Retry-After": {after}},
			Body: io.NopCloser(bytes.NewReader(raw)), Request: &http.Request{Method: http.MethodGet},
		}
		if err := settleBody(res); err != nil {
			text := explain(netip.MustParseAddrPort("192.0.2.1:443"), err, false).Error()
			if strings.ContainsAny(text, "\n\r") {
				t.Errorf("more than one line: %q", text)
			}
			return
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		a := &answer{status, res.Header, body}
		for _, into := range []any{&system{}, &collection{}, &taskBody{}, &medium{}} {
			_ = a.decode(into)
		}
		if where := monitorOf(a); where != "" {
			_ = fmt.Sprint(where)
		}
		_ = a.tag()
	})
}

// TestSecrets: neither password nor token is in an error or in what is printed of a
// session.
func TestSecrets(t *testing.T) {
	f, b := startBMC(t, redfish.Options{})
	p := poolOf(t, f)
	target := targetOf(b)
	if text := fmt.Sprintf("%v %+v %#v", target, *target, target.Password); strings.Contains(text, testPassword) {
		t.Errorf("a target shows its password: %s", text)
	}
	for _, faults := range []redfish.Faults{
		{WrongPassword: true}, {Silent: true}, {SessionsFull: true},
		{Requests: []redfish.Fault{{Count: redfish.Always, Status: 500}}}, {Requests: []redfish.Fault{{Count: redfish.Always, Close: true}}},
	} {
		b.SetFaults(faults)
		_, err := p.Open(context.WithoutCancel(t.Context()), target)
		if err == nil {
			t.Fatalf("%+v: no error", faults)
		}
		if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, testPassword) {
			t.Errorf("an error shows the password: %s", text)
		}
	}
}
