package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// knowing is a machines that asks an endpoint of a few objects; down has that
// endpoint refuse, and asked counts what it was asked by path.
func knowing(t *testing.T) (m *machines, down *atomic.Bool, asked func(part string) int32) {
	t.Helper()
	down = new(atomic.Bool)
	var params, runs, known atomic.Int32
	answers := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		var text string
		switch path := r.URL.Path; {
		case down.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
			text = `{"Type":"busy","Messages":["later"]}`
		case strings.HasSuffix(path, "/params"):
			params.Add(1)
			text = `[{"Name":"site/pin","Secure":true},{"Name":"site/rack","Secure":false}]`
		case strings.HasSuffix(path, "/runs/r1"):
			runs.Add(1)
			text = `{"ID":"r1","Log":"the end of the log"}`
		case strings.HasSuffix(path, "/machines/u1"):
			known.Add(1)
			text = `{"Name":"m1","Uuid":"u1","Profiles":["web"],"Params":{"site/rack":7}}`
		default:
			w.WriteHeader(http.StatusNotFound)
			text = `{"Type":"not-found","Messages":["nothing here"]}`
		}
		// A client that went away does not want the answer.
		_, _ = w.Write([]byte(text))
	}
	server := httptest.NewServer(http.HandlerFunc(answers))
	c, err := client.New(client.Options{Endpoint: server.URL, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		server.Close()
	})
	return newMachines(c), down, func(part string) int32 {
		return map[string]*atomic.Int32{"params": &params, "runs": &runs, "machines": &known}[part].Load()
	}
}

// The names of Secure params are asked for once in a while, and the last that were
// heard count while the endpoint is away.
func TestSecureNames(t *testing.T) {
	m, down, asked := knowing(t)
	for range 3 {
		if !m.secure("site/pin") || m.secure("site/rack") || m.secure("unheard/of") {
			t.Errorf("known are %v", m.names)
		}
	}
	if n := asked("params"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	down.Store(true)
	m.until = time.Time{}
	if !m.secure("site/pin") || m.until.After(time.Now().Add(factsLife)) {
		t.Errorf("while it is away: %v until %v", m.names, m.until)
	}
	if newMachines(nil).secure("site/pin") {
		t.Error("without an endpoint nothing is known")
	}
}

func TestLogOfARun(t *testing.T) {
	m, down, asked := knowing(t)
	if got := m.log("r1"); got != "the end of the log" || m.log("r2") != "" || m.log("") != "" {
		t.Errorf("the log is %q", got)
	}
	down.Store(true)
	if m.log("r1") != "" || asked("runs") != 1 || newMachines(nil).log("r1") != "" {
		t.Error("a log that cannot be asked for is empty")
	}
}

// What is known of a machine is asked for once a while.
func TestFactsOfAMachine(t *testing.T) {
	m, down, asked := knowing(t)
	for range 3 {
		profiles, params, err := m.facts("u1")
		if err != nil || len(profiles) != 1 || profiles[0] != "web" || params["site/rack"] == nil {
			t.Fatalf("%v, %v, %v", profiles, params, err)
		}
	}
	if n := asked("machines"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if _, _, err := m.facts("u2"); model.KindOf(err) != model.NotFound {
		t.Errorf("a machine that is not there: %v", err)
	}
	down.Store(true)
	m.known["u1"] = machineFacts{read: time.Now().Add(-2 * factsLife)}
	if _, _, err := m.facts("u1"); err == nil {
		t.Error("what was known long ago counts")
	}
	if _, _, err := newMachines(nil).facts("u1"); model.KindOf(err) != model.Unreachable {
		t.Errorf("without an endpoint: %v", err)
	}
	down.Store(false)
	for i := range maxFacts {
		m.known[strings.Repeat("x", i%7)+time.Unix(int64(i), 0).String()] = machineFacts{}
	}
	if _, _, err := m.facts("u1"); err != nil || len(m.known) > maxFacts {
		t.Errorf("%d machines are known, %v", len(m.known), err)
	}
}

// A Secure param that has no secret's name is masked under an endpoint that sends
// it in clear, and so is all that tells of it later.
func TestSecureParamOfAForeignEndpoint(t *testing.T) {
	m, _, _ := knowing(t)
	sim, n := office(t, "")
	n.place.secure, n.place.log = m.secure, m.log
	machine := map[string]any{"Name": "m1", "Uuid": "u-m1", "Params": map[string]any{"site/pin": "4711-0815", "site/rack": "rack seven"}}
	for _, e := range []*model.Event{
		{Type: "machines", Action: "save", Key: "u-m1", Object: machine},
		{Type: "runs", Action: "update", Key: "r1", Object: model.Run{ID: "r1", Key: "u-m1", Prefix: "machines", Name: "m1", Command: "poweron",
			State: model.RunFailed, Error: model.Errorf(model.DeviceAuth, "pin 4711-0815 of rack seven refused")}},
	} {
		if err := n.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
	got := sim.Text("C1")
	if strings.Contains(got, "4711") || !strings.Contains(got, "pin "+model.Masked+" of rack seven refused") || !strings.Contains(got, "the end of the log") {
		t.Errorf("told\n%s", got)
	}
}
