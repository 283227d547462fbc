package redfish_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"provision-plugins/sim/redfish"
)

// TestRefusals: each status a fault answers; what was asked for was not done.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403, 404, 405, 409, 412, 429, 500, 503, 418} {
		b, p, _ := one(t, redfish.Options{})
		b.SetFaults(redfish.Faults{Requests: []redfish.Fault{{On: "reset", Status: status, RetryAfter: 7 * time.Second}}})
		r := p.reset("On")
		if r.status != status || r.header.Get("Retry-After") != "7" || messageID(r) == "" {
			t.Errorf("status %d, %v: %s", r.status, r.header, r.raw)
		}
		executed(t, b, "reset On", 0)
		if b.Power() {
			t.Errorf("%d, and it is on", status)
		}
		if r = p.reset("On"); r.status != http.StatusNoContent || !b.Power() {
			t.Errorf("%d: the next time: %d", status, r.status)
		}
	}
}

// TestFaultThatActs: what was asked for was done, and the answer says otherwise; or
// nothing was done, and the answer says it was.
func TestFaultThatActs(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{})
	b.SetFaults(redfish.Faults{Requests: []redfish.Fault{{On: "reset", Status: 500, Acts: true}, {On: "reset", Lies: true}}})
	if r := p.reset("On"); r.status != 500 || !b.Power() {
		t.Errorf("status %d, on: %v", r.status, b.Power())
	}
	executed(t, b, "reset On", 1)
	if r := p.reset("ForceOff"); r.status != 204 || !b.Power() {
		t.Errorf("status %d, on: %v", r.status, b.Power())
	}
	executed(t, b, "reset ForceOff", 0)
}

// TestClosedConnections: the connection ends before, or after, it was done.
func TestClosedConnections(t *testing.T) {
	t.Parallel()
	for _, acts := range []bool{false, true} {
		b, p, _ := one(t, redfish.Options{})
		b.SetFaults(redfish.Faults{Requests: []redfish.Fault{{On: "reset", Close: true, Acts: acts}}})
		r, err := p.try(http.MethodPost, p.system()+"/Actions/ComputerSystem.Reset", object{"ResetType": "On"})
		if err == nil {
			t.Fatalf("status %d", r.status)
		}
		if b.Power() != acts {
			t.Errorf("acts %v, and on is %v", acts, b.Power())
		}
		p.get(p.system())
	}
}

// TestDamagedBodies: bodies that no client can read.
func TestDamagedBodies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body   string
		status int
		fails  bool // reading the body ends with an error
		starts string
	}{
		{redfish.HTML, 200, false, "<!DOCTYPE html>"},
		{redfish.Truncated, 200, true, `{"@odata.etag"`},
		{redfish.CutJSON, 200, false, `{"@odata.etag"`},
		{redfish.Garbage, 200, false, `[`},
		{redfish.Empty, 200, false, ""},
	} {
		b, p, _ := one(t, redfish.Options{})
		b.SetFaults(redfish.Faults{Requests: []redfish.Fault{{On: "get system", Body: c.body}}})
		r, err := p.try(http.MethodGet, p.system(), nil)
		if r.status != c.status || (err != nil) != c.fails || !strings.HasPrefix(string(r.raw), c.starts) || r.body != nil {
			t.Errorf("%s: status %d, %v: %q", c.body, r.status, err, r.raw)
		}
		if c.body == redfish.Empty && len(r.raw) > 0 {
			t.Errorf("empty: %q", r.raw)
		}
		if tree := p.get(p.system()); tree["Id"] != "1" {
			t.Errorf("%s: the next time: %v", c.body, tree)
		}
	}
}

// TestEndlessBody: a body goes on until the client leaves, and the fleet can be
// closed while it does.
func TestEndlessBody(t *testing.T) {
	t.Parallel()
	f := start(t, redfish.Options{})
	f.BMC(0).SetFaults(redfish.Faults{Requests: []redfish.Fault{{Body: redfish.Endless, Count: redfish.Always}}})
	p := dial(t, f, 0, nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.b.URL()+"/redfish/v1", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if n, err := io.CopyN(io.Discard, resp.Body, 4<<20); err != nil {
		t.Errorf("it ends after %d bytes: %v", n, err)
	}
	if err = f.Close(); err != nil {
		t.Error(err)
	}
	if _, err = io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("a body that ended as if it were whole")
	}
}

// TestSlow: an answer that takes long, all at once or byte by byte, ends when the
// fleet is closed.
func TestSlow(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", redfish.Drip} {
		f := start(t, redfish.Options{})
		b := f.BMC(0)
		b.SetFaults(redfish.Faults{Requests: []redfish.Fault{{Body: body, Delay: time.Hour}, {Body: body, Delay: time.Microsecond}}})
		p := dial(t, f, 0, nil)
		done := make(chan error, 1)
		go func() {
			_, err := p.try(http.MethodGet, "/redfish/v1", nil)
			done <- err
		}()
		for b.Executed("get root") == 0 {
			select {
			case err := <-done:
				t.Fatalf("%q: answered at once: %v", body, err)
			case <-time.After(time.Millisecond):
			}
		}
		if r := p.get("/redfish/v1"); r["Id"] != "RootService" {
			t.Errorf("%q: a short delay: %v", body, r)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatalf("%q: no answer when the fleet has closed", body)
		}
	}
}

// TestFaultsByPathAndCount: which requests a fault strikes.
func TestFaultsByPathAndCount(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{})
	for _, c := range []struct {
		fault redfish.Fault
		want  []int // of three reads of the system
	}{
		{redfish.Fault{Status: 500}, []int{500, 200, 200}},
		{redfish.Fault{Status: 500, Count: 2}, []int{500, 500, 200}},
		{redfish.Fault{Status: 500, Count: redfish.Always}, []int{500, 500, 500}},
		{redfish.Fault{Status: 500, Skip: 1}, []int{200, 500, 200}},
		{redfish.Fault{Status: 500, On: "get system list"}, []int{200, 200, 200}},
		{redfish.Fault{Status: 500, On: "get *"}, []int{500, 200, 200}},
		{redfish.Fault{Status: 500, Path: "/redfish/v1/Systems/*"}, []int{500, 200, 200}},
		{redfish.Fault{Status: 500, Path: "/redfish/v1/Chassis/*"}, []int{200, 200, 200}},
		{redfish.Fault{Status: 500, On: "["}, []int{200, 200, 200}},
	} {
		b.SetFaults(redfish.Faults{Requests: []redfish.Fault{c.fault}})
		for i, want := range c.want {
			if r := p.do(http.MethodGet, p.system(), nil); r.status != want {
				t.Errorf("%+v: read %d is answered %d", c.fault, i, r.status)
			}
		}
	}
}

// TestNoSystems: a service without any computer system.
func TestNoSystems(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{})
	b.SetFaults(redfish.Faults{NoSystems: true})
	if tree := p.get("/redfish/v1/Systems"); len(members(t, tree)) != 0 || tree["Members@odata.count"] != 0.0 {
		t.Errorf("%v", tree)
	}
	p.want(http.StatusNotFound, http.MethodGet, p.system(), nil)
}

// TestSilent: a BMC that takes no connection, and one that is back.
func TestSilent(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{})
	b.SetFaults(redfish.Faults{Silent: true})
	if r, err := p.try(http.MethodGet, "/redfish/v1", nil); err == nil {
		t.Errorf("status %d", r.status)
	}
	b.SetFaults(redfish.Faults{})
	p.get("/redfish/v1")
}

// TestCertificates: each BMC has its own, which can be out of date or change.
func TestCertificates(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := start(t, redfish.Options{Count: 2, Clock: c})
	first, second := f.BMC(0), f.BMC(1)
	one, err := first.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	if other, err := second.Certificate(); err != nil || other.Equal(one) {
		t.Errorf("two BMCs with one certificate: %v", err)
	}
	if again, err := first.Certificate(); err != nil || !again.Equal(one) {
		t.Errorf("the certificate does not last: %v", err)
	}
	p := dial(t, f, 0, c)
	p.get("/redfish/v1")
	first.ChangeCertificate()
	if next, err := first.Certificate(); err != nil || next.Equal(one) {
		t.Errorf("the certificate has not changed: %v", err)
	}
	dial(t, f, 0, c).get("/redfish/v1")

	first.SetFaults(redfish.Faults{Expired: true})
	var expired *tls.CertificateVerificationError
	if _, err = dial(t, f, 0, c).try(http.MethodGet, "/redfish/v1", nil); !errors.As(err, &expired) {
		t.Errorf("an expired certificate: %v", err)
	}
	first.SetFaults(redfish.Faults{})
	dial(t, f, 0, c).get("/redfish/v1")
}
