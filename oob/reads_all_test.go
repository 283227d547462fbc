package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

const (
	three    = `{"Machines":3}`
	namedOn1 = `{"Key":"u1","Name":"m1","Result":{"power":"on"}}`
	namedOn2 = `{"Key":"u2","Name":"m2","Result":{"power":"on"}}`
	named3   = `{"Key":"u3","Name":"m3","Address":"192.0.2.3","Error":{"Type":"unreachable","Messages":["cannot reach 192.0.2.3"],"Code":502}}`
)

// withoutList makes an endpoint that tells nobody which machines it has.
func withoutList(reads http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in client.ReadRequest
		if json.NewDecoder(r.Body).Decode(&in) == nil && !in.All {
			reply(w, 500, model.Errorf(model.Internal, "asked by name"))
			return
		}
		reads(w, r)
	}
}

// The machines of a selection that names none are asked for, and named, by one
// request.
func TestAllMachinesByOneRequest(t *testing.T) {
	for _, c := range []struct {
		name  string
		reads http.HandlerFunc
		args  string
		code  int
		want  string
	}{
		{"folded", lines(three, namedOn2, "", namedOn1, named3), "power status --all", 9,
			"m[1-2]: on\nm3: unreachable: cannot reach 192.0.2.3\nError: power status did not succeed on 1 of 3 machines\n"},
		{"as they come", lines(`{"Machines":2}`, namedOn2, namedOn1), "power status --filter Name=Re(m[12]) --json", 0,
			`{"machine":"m2","result":{"power":"on"}}` + "\n" + `{"machine":"m1","result":{"power":"on"}}` + "\n"},
		{"one", lines(`{"Machines":1}`, named3), "power status --all", 9, "m3: unreachable: cannot reach 192.0.2.3\n"},
		{"one without a name", lines(`{"Machines":1}`, on1), "power status --all", 0, "u1: on\n"},
		{"none", lines(`{"Machines":0}`), "power status --filter Name=x", 3, "Error: no machine matches; `oob machine list` lists them\n"},
		{"repeats", lines(three, namedOn1, namedOn1, namedOn2, named3), "power status --all --each", 9,
			"m1: on\nm2: on\nm3: unreachable: cannot reach 192.0.2.3\nError: power status did not succeed on 1 of 3 machines\n"},
		{"one left out", lines(three, namedOn1, namedOn2), "power status --all", 11,
			"m[1-2]: on\nm3: internal: cannot tell what the endpoint found: it left the machine out\nError: power status did not succeed on 1 of 3 machines\n"},
		{"broken off", lines(three, namedOn1, "{"), "power status --all", 11, ""},
		{"a filter that is none", nil, "power status --filter x", 2, "Error: --filter \"x\" is not FIELD=VALUE\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, out, errs := serveReads(t, withoutList(c.reads))
			code := run(t.Context(), a, append(strings.Fields(c.args), "--socket", a.flags.socket))
			if got := out.String() + errs.String(); code != c.code || c.want != "" && got != c.want {
				t.Errorf("exit %d, want %d:\n%s\nwant\n%s", code, c.code, got, c.want)
			}
			if c.want == "" && !strings.HasPrefix(errs.String(), "m[2-3]: ") {
				t.Errorf("%s%s", out, errs)
			}
		})
	}
}

// Without the list nobody can tell which machines were left out.
func TestMachinesThatNobodyCanName(t *testing.T) {
	a, out, errs := serveListed(t, lines(three, namedOn1), func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 500, model.Errorf(model.Internal, "no list"))
	})
	code := run(t.Context(), a, []string{"--socket", a.flags.socket, "power", "status", "--all"})
	if code == 0 || out.String() != "m1: on\n" || !strings.Contains(errs.String(), "cannot tell which 2 machines have no answer") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}

// An interrupt ends the waiting; the machines without an answer are named.
func TestAllMachinesInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a, out, errs := serveReads(t, func(w http.ResponseWriter, r *http.Request) {
		lines(three+"\n"+namedOn1+"\n")(w, r)
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	})
	code := run(ctx, a, append(strings.Fields("power status --all --json"), "--socket", a.flags.socket))
	if text := out.String(); code == 0 || text != "" && strings.Count(text, "interrupted while waiting") < 2 {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}

// An endpoint that shows that it is there is waited for, one that hangs is not.
func TestAllMachinesOfAnEndpointThatHangs(t *testing.T) {
	a, out, _ := serveReads(t, func(w http.ResponseWriter, r *http.Request) {
		lines(three+"\n"+namedOn1+"\n")(w, r)
		for range 30 {
			_, _ = w.Write([]byte("\n"))
			_ = http.NewResponseController(w).Flush()
			<-time.After(50 * time.Millisecond)
		}
		_, _ = w.Write([]byte(namedOn2 + "\n"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	a.flags.json = true
	err := a.withClient(func(c *client.Client) error {
		done, err := askAll(t.Context(), a, c, invocation{call: actionCall{verb: "power status", command: model.PowerStatus}}, time.Second)
		if !done {
			t.Error("not asked at once")
		}
		return err
	})
	if err == nil || strings.Count(out.String(), `"power":"on"`) != 2 || strings.Count(out.String(), "waited 1s") != 1 {
		t.Errorf("%v: %s", err, out)
	}
}
