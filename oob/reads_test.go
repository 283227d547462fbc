package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// manyMachines are the machines of an endpoint that reads many at once.
var manyMachines = []model.Machine{{Name: "m1", Uuid: "u1"}, {Name: "m2", Uuid: "u2"}, {Name: "m3", Uuid: "u3"}}

// serveReads serves the machines, and reads of many by reads. It returns an app
// that speaks to it, and what it prints.
func serveReads(t *testing.T, reads http.HandlerFunc) (a *app, out, errs *bytes.Buffer) {
	t.Helper()
	return serveListed(t, reads, func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, manyMachines) })
}

// serveListed is serveReads with a list of its own.
func serveListed(t *testing.T, reads, list http.HandlerFunc) (a *app, out, errs *bytes.Buffer) {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v3/machines", list)
	mux.HandleFunc("GET /api/v3/profiles", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, []model.Profile{}) })
	mux.HandleFunc("POST /api/v3/reads", reads)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("asked %s %s", r.Method, r.URL.Path)
		http.NotFound(w, r)
	})
	srv := &http.Server{Handler: mux}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(ln)
	}()
	t.Cleanup(func() {
		srv.Close()
		<-served
	})
	a, out, errs = testApp("")
	a.flags.socket = ln.Addr().String()
	return a, out, errs
}

// lines answers a body of lines.
func lines(text ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, strings.Join(text, "\n"))
	}
}

// byName makes an endpoint that does not know how to ask all machines.
func byName(reads http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in client.ReadRequest
		if json.NewDecoder(r.Body).Decode(&in) == nil && in.All {
			return
		}
		reads(w, r)
	}
}

const (
	on1  = `{"Key":"u1","Result":{"power":"on"}}`
	on2  = `{"Key":"u2","Result":{"power":"on"}}`
	off3 = `{"Key":"u3","Result":{"power":"off"}}`
	bad2 = `{"Key":"u2","Error":{"Type":"unreachable","Messages":["no answer"],"Code":502}}`
	lack = `{"Key":"u3","Error":{"Type":"invalid","Messages":["Action powerstatus Missing Parameter ipmi/password"],"Code":400}}`
)

func TestReadsByOneRequest(t *testing.T) {
	for _, c := range []struct {
		name  string
		reads http.HandlerFunc
		args  string
		code  int
		want  string
	}{
		{"folded", lines(off3, on1, on2), "power status --all", 0, "m[1-2]: on\nm3: off\n"},
		{"as they come", lines(off3, on1, on2), "power status --all --json", 0,
			`{"machine":"m3","result":{"power":"off"}}` + "\n" + `{"machine":"m1","result":{"power":"on"}}` + "\n" + `{"machine":"m2","result":{"power":"on"}}` + "\n"},
		{"errors", lines(on1, bad2, lack), "power status --all", 9, "m1: on\nm2: unreachable: no answer\n" +
			"m3: invalid: Action powerstatus Missing Parameter ipmi/password; set it by `oob machine set m3 --param-file ipmi/password=FILE`\n" +
			"Error: power status did not succeed on 2 of 3 machines\n"},
		{"one left out", lines(on1, on2), "power status --all", 11,
			"m[1-2]: on\nm3: internal: cannot tell what the endpoint found: it left the machine out\nError: power status did not succeed on 1 of 3 machines\n"},
		{"strangers and repeats", lines(on1, on1, `{"Key":"u9","Result":{}}`, on2, off3, bad2), "power status --all", 0, "m[1-2]: on\nm3: off\n"},
		{"refused", func(w http.ResponseWriter, _ *http.Request) { reply(w, 401, model.Errorf(model.Forbidden, "no token")) }, "power status --all", 7,
			"Error: no token; oob takes it from $OOB_TOKEN or --token-file\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, out, errs := serveReads(t, c.reads)
			code := run(t.Context(), a, append(strings.Fields(c.args), "--socket", a.flags.socket))
			if got := out.String() + errs.String(); code != c.code || got != c.want {
				t.Errorf("exit %d, want %d:\n%s\nwant\n%s", code, c.code, got, c.want)
			}
		})
	}
}

// What breaks off, or is no answer, fails the machines that were not answered.
func TestReadsThatBreakOff(t *testing.T) {
	for name, reads := range map[string]http.HandlerFunc{
		"a line that is none": lines(on1, "{", on2),
		"a connection that is lost": func(w http.ResponseWriter, r *http.Request) {
			lines(on1+"\n")(w, r)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		a, out, errs := serveReads(t, reads)
		code := run(t.Context(), a, append(strings.Fields("power status --all"), "--socket", a.flags.socket))
		if code == 0 || out.String() != "m1: on\n" || !strings.HasPrefix(errs.String(), "m[2-3]: ") || !strings.HasSuffix(errs.String(), "2 of 3 machines\n") {
			t.Errorf("%s: exit %d: %s%s", name, code, out, errs)
		}
	}
}

// The request carries what the single ones would.
func TestTheRequestForManyReads(t *testing.T) {
	var got client.ReadRequest
	a, _, errs := serveReads(t, func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, on1+"\n"+on2+"\n"+off3)
	})
	code := run(t.Context(), a, append(strings.Fields("power status --all -j 7 --plugin p --timeout 2"), "--socket", a.flags.socket))
	slices.Sort(got.Machines)
	if code != 0 || got.Command != "powerstatus" || got.Parallel != 7 || got.Plugin != "p" || fmt.Sprint(got.Machines) != "[u1 u2 u3]" || fmt.Sprint(got.Params) != "map[oob/timeout:2]" {
		t.Errorf("exit %d: %+v: %s", code, got, errs)
	}
}

// An interrupt ends the waiting; what was answered counts.
func TestReadsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a, out, errs := serveReads(t, byName(func(w http.ResponseWriter, r *http.Request) {
		lines(on1+"\n")(w, r)
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	}))
	code := run(ctx, a, append(strings.Fields("power status --all --json"), "--socket", a.flags.socket))
	if code != 10 || strings.Count(out.String(), "interrupted while waiting") < 2 {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}

// An endpoint that hangs is not waited for longer than the longest action takes.
func TestReadsOfAnEndpointThatHangs(t *testing.T) {
	a, out, _ := serveReads(t, func(w http.ResponseWriter, r *http.Request) {
		lines(on1+"\n")(w, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	c, err := a.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a.flags.json = true
	s := newSweep(invocation{call: actionCall{verb: "power status", command: model.PowerStatus}, machines: []machine{{name: "m1", uuid: "u1"}, {name: "m2", uuid: "u2"}, {name: "m3", uuid: "u3"}}})
	if s.longest != overEndpoint {
		t.Errorf("waits %v", s.longest)
	}
	s.longest = 50 * time.Millisecond
	r := newReport(a, "power status", 3, false)
	if !s.run(t.Context(), r, c) || r.done != 3 || r.failed != 2 || strings.Count(out.String(), "waited 50ms") != 2 {
		t.Errorf("%d answers, %d failed: %s", r.done, r.failed, out)
	}
}

// What is answered is printed when nothing more is there to be taken, not at the
// end.
func TestManyAtOnceArePrintedAsTheyCome(t *testing.T) {
	second := make(chan struct{})
	a, _, _ := serveReads(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, `{"Key":"u1","Result":{"power":"on"}}`+"\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-second:
		case <-r.Context().Done():
			return
		}
		_, _ = io.WriteString(w, `{"Key":"u2","Result":{"power":"on"}}`+"\n"+`{"Key":"u3","Result":{"power":"on"}}`+"\n")
	})
	in, out := io.Pipe()
	a.stdout, a.flags.json = out, true
	done := make(chan error, 1)
	go func() {
		done <- a.withClient(func(c *client.Client) error {
			r := newReport(a, "power status", len(manyMachines), false)
			inv := invocation{call: actionCall{command: model.PowerStatus}, o: actionOptions{selection: selection{parallel: 1}}, least: time.Minute}
			for i := range manyMachines {
				inv.machines = append(inv.machines, newMachine(&manyMachines[i]))
			}
			if !readAll(t.Context(), r, c, inv) {
				t.Error("not asked at once")
			}
			return r.finish()
		})
		_ = out.Close()
	}()
	printed := bufio.NewReader(in)
	for n := range len(manyMachines) {
		line, err := printed.ReadString('\n')
		if err != nil || !strings.Contains(line, `"power":"on"`) {
			t.Fatalf("line %d is %q, %v", n, line, err)
		}
		if n == 0 {
			close(second)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
