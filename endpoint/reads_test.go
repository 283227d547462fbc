package endpoint

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// readAll asks for the reads of a request, and returns the answers by key.
func (r *rig) readAll(c *client.Client, in client.ReadRequest) map[string]client.ReadAnswer {
	r.t.Helper()
	got := map[string]client.ReadAnswer{}
	err := c.ReadMany(r.t.Context(), in, func(a client.ReadAnswer) error {
		if _, twice := got[a.Key]; twice {
			r.t.Errorf("%s is answered twice", a.Key)
		}
		got[a.Key] = a
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if len(got) != len(in.Machines) {
		r.t.Errorf("%d answers of %d machines: %v", len(got), len(in.Machines), got)
	}
	return got
}

// wantKind checks the kind and the text of an answer's error.
func wantKind(t *testing.T, a client.ReadAnswer, kind model.Kind, text string) {
	t.Helper()
	if a.Error == nil || a.Result != nil {
		t.Errorf("%s: %s, want an error", a.Key, a.Result)
		return
	}
	wantError(t, a.Error, kind, text)
}

func TestReadsOfManyMachines(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.put("state", "on")
	m1 := r.machine("m1", nil)
	r.machine("m2", nil)
	r.machine("bare", model.Params{"toy/address": ""})
	got := r.readAll(r.c, client.ReadRequest{Command: "powerstatus", Machines: []string{m1, "Name:m2", "Name:bare", "nobody", "Colour:red"}, Parallel: 2})
	for _, key := range []string{m1, "Name:m2"} {
		if text := string(got[key].Result); !strings.HasPrefix(text, `{"power":"on","raw":"is on"`) {
			t.Errorf("%s: %s, %v", key, text, got[key].Error)
		}
	}
	wantKind(t, got["nobody"], model.NotFound, "Not Found")
	wantKind(t, got["Colour:red"], model.Invalid, "no such index")
	// What was seen is what a single action's is: kept, shown, told of.
	var kept []model.Run
	if err := r.c.Get(t.Context(), "runs?Class=read&Command=powerstatus", &kept); err != nil || len(kept) != 3 || kept[0].Principal == "" {
		t.Errorf("kept %d reads: %v, %v", len(kept), kept, err)
	}
	if seen := r.e.api.power.all(); seen[m1].Power != model.StateOn {
		t.Errorf("seen %v", seen)
	}
}

// Each line is what the single action answers, of results and of errors.
func TestReadsAnswerAsSingleActions(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	m1 := r.machine("m1", nil)
	for _, command := range []string{"powerstatus", "getParams", "getModel", "getLabel", "nonesuch"} {
		for _, params := range []model.Params{nil, {"toy/port": 7}, {"toy/port": "x"}, {"toy/address": "192.0.2.9"}, {"oob/timeout": "soon"}, {"oob/protected": true}} {
			reply, err := r.c.Invoke(t.Context(), client.ActionRequest{Prefix: "machines", Key: m1, Command: command, Params: params})
			a := r.readAll(r.c, client.ReadRequest{Command: command, Machines: []string{m1}, Params: params})[m1]
			if err == nil {
				if string(a.Result) != string(reply.Result) || a.Error != nil {
					t.Errorf("%s %v: %s (%v), and alone %s", command, params, a.Result, a.Error, reply.Result)
				}
				continue
			}
			var alone *model.Error
			if command == "nonesuch" && a.Error != nil { // by either name it is not there
				continue
			}
			if !errors.As(err, &alone) || a.Error == nil || a.Error.Error() != alone.Error() || a.Error.Code != alone.Code || a.Error.RetryAfter != alone.RetryAfter {
				t.Errorf("%s %v: %v (%s), and alone %v", command, params, a.Error, a.Result, err)
			}
		}
	}
}

func TestReadsChangeNothing(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	m1 := r.machine("m1", nil)
	for _, command := range []string{"poweron", "powercycle", "crash", "leak"} {
		a := r.readAll(r.c, client.ReadRequest{Command: command, Machines: []string{m1}})[m1]
		wantKind(t, a, model.Invalid, "it is no action that changes nothing")
	}
	if done := r.executed(); len(done) > 0 {
		t.Errorf("executed %v", done)
	}
	var list []model.Run
	if err := r.c.Get(t.Context(), "runs", &list); err != nil || len(list) != 0 {
		t.Errorf("runs %v, %v", list, err)
	}
}

func TestReadsHideSecrets(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	keys := []string{r.machine("m1", nil), r.machine("m2", model.Params{"toy/password": "other-s3cret"})}
	for _, command := range []string{"getParams", "getModel"} {
		for key, a := range r.readAll(r.c, client.ReadRequest{Command: command, Machines: keys}) {
			if text := string(a.Result); a.Error != nil || strings.Contains(text, "s3cret") || strings.Contains(text, "s3cr3t") || !strings.Contains(text, model.Masked) {
				t.Errorf("%s of %s: %s, %v", command, key, text, a.Error)
			}
		}
	}
	var kept []model.Run
	if err := r.c.Get(t.Context(), "runs?Class=read", &kept); err != nil || len(kept) == 0 || strings.Contains(fmt.Sprint(kept), "s3cr") {
		t.Errorf("kept %v, %v", kept, err)
	}
}

// Without names those are asked that a list would have.
func TestReadsOfAllMachines(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.put("state", "on")
	for _, name := range []string{"m1", "m2", "other"} {
		r.machine(name, nil)
	}
	if err := r.c.Post(t.Context(), "machines", model.Machine{Name: "bare", Address: "192.0.2.7"}, nil); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                             "bare@192.0.2.7 m1@ m2@ other@",
		"Name=Re(^m)":                  "m1@ m2@",
		"Name=m2":                      "m2@",
		"Name=nobody":                  "",
		"toy/address=Re(.)&Name=other": "other@",
	} {
		var filters []client.Filter
		for f := range strings.SplitSeq(text, "&") {
			if field, value, ok := strings.Cut(f, "="); ok {
				filters = append(filters, client.Where(field, client.AsGiven, value))
			}
		}
		got, announced := []string{}, -1
		err := r.c.ReadMany(t.Context(), client.ReadRequest{
			Command: "powerstatus", All: true, Filters: filters, Count: func(n int) { announced = n },
		}, func(a client.ReadAnswer) error {
			got = append(got, a.Name+"@"+a.Address)
			if ok := a.Error == nil; ok != (a.Name != "bare") || a.Key == a.Name {
				t.Errorf("%s: %+v", text, a)
			}
			return nil
		})
		slices.Sort(got)
		if all := strings.Join(got, " "); err != nil || announced != len(got) || all != want {
			t.Errorf("%q: %d of %s, %v; want %s", text, announced, all, err, want)
		}
	}
	for _, query := range []string{"?Name=Re([)", "?limit=x", "?Name=%zz"} {
		r.wantStatus(400, "POST", "/reads"+query, r.e.token, `{"Command":"powerstatus","All":true}`)
	}
}

// Whoever may not list the machines may not ask all of them.
func TestReadsOfAllNeedTheListsClaim(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	for name, claims := range map[string][]model.Claim{
		"reader": {{Scope: "machines", Action: "action:powerstatus", Specific: "*"}},
		"lister": {{Scope: "machines", Action: "list", Specific: "*"}},
	} {
		if err := r.c.Post(t.Context(), "roles", model.Role{Name: name, Claims: claims}, nil); err != nil {
			t.Fatal(err)
		}
		r.user(name, name)
		raw := r.wantStatus(map[string]int{"reader": 403, "lister": 200}[name], "POST", "/reads", r.login(name, ""), `{"Command":"powerstatus","All":true}`)
		if !strings.Contains(string(raw), "Access Denied") { // of the list, or of each machine
			t.Errorf("%s: %s", name, raw)
		}
	}
}

// Each machine needs its own claim, whatever it is called by.
func TestReadsNeedAClaimPerMachine(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.put("state", "on")
	m1, m2 := r.machine("m1", nil), r.machine("m2", nil)
	role := model.Role{Name: "one", Claims: []model.Claim{{Scope: "machines", Action: "action:powerstatus", Specific: m1}}}
	if err := r.c.Post(t.Context(), "roles", role, nil); err != nil {
		t.Fatal(err)
	}
	for _, u := range []struct {
		name, role string
		may        []string
	}{{"alice", "one", []string{m1, "Name:m1"}}, {"bob", "viewer", nil}, {"carol", "operator", []string{m1, m2, "Name:m1", "Name:m2"}}} {
		r.user(u.name, u.role)
		c := r.clientOf(u.name)
		keys := []string{m1, m2, "Name:m1", "Name:m2"}
		for key, a := range r.readAll(c, client.ReadRequest{Command: "powerstatus", Machines: keys}) {
			if may := slices.Contains(u.may, key); may != (a.Error == nil) {
				t.Errorf("%s on %s: %s, %v", u.name, key, a.Result, a.Error)
			}
			if a.Error != nil {
				wantKind(t, a, model.Forbidden, "Access Denied: user:"+u.name)
			}
		}
	}
	r.wantStatus(401, "POST", "/reads", "", `{"Command":"powerstatus"}`)
}

// clientOf is a client of a user.
func (r *rig) clientOf(user string) *client.Client {
	r.t.Helper()
	c, err := client.New(client.Options{Endpoint: "https://" + r.e.Addr(), Token: r.login(user, "")})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestReadsThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, c := range []struct {
		body   string
		status int
		text   string
	}{
		{`{"Command":"powerstatus"}`, 200, ""},
		{`{"Command":"powerstatus","Machines":[]}`, 200, ""},
		{``, 400, "no Command"},
		{`{"Machines":["m1"]}`, 400, "no Command"},
		{`{"Command":7}`, 400, "cannot parse JSON"},
		{`{"Command":"powerstatus"}{}`, 400, "more than one value"},
		{`[`, 400, "cannot parse JSON"},
		{strings.Repeat("[", 300), 400, "nested deeper"},
		{`{"Command":"powerstatus","All":true,"Machines":["m1"]}`, 400, "both All and Machines"},
		{`{"Command":"powerstatus","Parallel":-1}`, 400, "Parallel must be"},
		{`{"Command":"powerstatus","Parallel":4097}`, 400, "Parallel must be"},
		{`{"Command":"powerstatus","Machines":[` + strings.Repeat(`"",`, maxReadKeys) + `""]}`, 400, "more than 100000"},
	} {
		raw := r.wantStatus(c.status, "POST", "/reads", r.e.token, c.body)
		if !strings.Contains(string(raw), c.text) || c.status == 200 && len(raw) > 0 {
			t.Errorf("%.60s: %.200s", c.body, raw)
		}
	}
	r.wantStatus(404, "GET", "/reads", r.e.token, "")
	line := r.wantStatus(200, "POST", "/reads", r.e.token, `{"Command":"\u001b[2J","Machines":["\n"]}`)
	if bytes.Count(line, []byte("\n")) != 1 || bytes.ContainsRune(line, 0x1b) {
		t.Errorf("answered %q", line)
	}
}

// A read is nothing for the audit trail, one by one or many.
func TestReadsAreNotAudited(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	m1 := r.machine("m1", nil)
	before := r.wantStatus(200, "GET", "/audit", r.e.token, "")
	r.readAll(r.c, client.ReadRequest{Command: "powerstatus", Machines: []string{m1}})
	if after := r.wantStatus(200, "GET", "/audit", r.e.token, ""); string(after) != string(before) {
		t.Errorf("the trail has %s, and had %s", after, before)
	}
}

// Who goes away has no more machines asked, and those at work ended.
func TestReadsEndWithTheirClient(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	var begun atomic.Int32
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("nobody-", i)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	errGone := errors.New("gone")
	err := r.c.ReadMany(ctx, client.ReadRequest{Command: "powerstatus", Machines: keys, Parallel: 1}, func(client.ReadAnswer) error {
		begun.Add(1)
		return errGone
	})
	if !errors.Is(err, errGone) || begun.Load() != 1 {
		t.Errorf("%d answers, %v", begun.Load(), err)
	}
}

// brokenWriter is a client that is gone after so many bytes.
type brokenWriter struct {
	*httptest.ResponseRecorder
	mu   sync.Mutex // guards left
	left int
}

// Write takes what it can.
func (w *brokenWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left -= len(p); w.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return w.ResponseRecorder.Write(p)
}

// SetWriteDeadline bounds nothing.
func (*brokenWriter) SetWriteDeadline(time.Time) error { return nil }

func TestLinesToAClientThatIsGone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ room, line int }{{10, 20}, {1000, 1 << 20}, {0, 1}} {
		lines := make(chan []byte, 1)
		lines <- bytes.Repeat([]byte("x"), c.line)
		close(lines)
		w := &brokenWriter{ResponseRecorder: httptest.NewRecorder(), left: c.room}
		if err := sendLines(w, lines); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := sendLines(httptest.NewRecorder(), nil); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("a connection that cannot be bounded: %v", err)
	}
}

// A line does not wait for the next one.
func TestLinesAreSentAtOnce(t *testing.T) {
	t.Parallel()
	lines := make(chan []byte)
	sent := make(chan error, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { sent <- sendLines(w, lines) }))
	defer srv.Close()
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); kind != "application/x-ndjson" {
		t.Errorf("type %q", kind)
	}
	body := bufio.NewReader(resp.Body)
	for _, text := range []string{"one\n", "two\n"} {
		lines <- []byte(text)
		if got, err := body.ReadString('\n'); err != nil || got != text {
			t.Fatalf("%q, %v", got, err)
		}
	}
	close(lines)
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// What nobody answers for long is followed by signs of life.
func TestLinesShowThatSomebodyIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines, sent := make(chan []byte), make(chan error, 1)
		w := &brokenWriter{ResponseRecorder: httptest.NewRecorder(), left: 3}
		go func() { sent <- sendLines(w, lines) }()
		<-time.After(3*aliveEvery + aliveEvery/2)
		synctest.Wait()
		w.mu.Lock()
		if got := w.Body.String(); got != "\n\n\n" {
			t.Errorf("sent %q", got)
		}
		w.mu.Unlock()
		// One who is gone is noticed by it.
		if err := <-sent; !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	})
}

// A line that is put together is what the encoder makes of it.
func TestLinesOfResults(t *testing.T) {
	t.Parallel()
	for _, target := range []readTarget{{key: "Name:m1.example"}, {key: "u-1", name: []byte(`"m\"1"`), address: []byte(`"192.0.2.1"`)}, {key: "x", name: []byte(`""`)}} {
		for _, raw := range []string{`{"power":"on"}`, `"<on> & \u0001"`, "null", "7"} {
			want, err := model.Marshal(readLine{Key: target.key, Name: target.name, Address: target.address, Result: []byte(raw)})
			if got := string(target.resultLine([]byte(raw))); err != nil || got != string(want)+"\n" || !plainKey(target.key) {
				t.Errorf("%s, want %s", got, want)
			}
		}
	}
	for _, key := range []string{`a"`, "a\n", `a\`, "ä", "a b", "\x00", "a/b"} {
		if plainKey(key) {
			t.Errorf("%q is taken for plain", key)
		}
	}
}

func FuzzParseReads(f *testing.F) {
	for _, text := range []string{"", "{}", `{"Command":"powerstatus","Machines":["a","a"],"Params":{"x":1},"Parallel":5}`, `{"Command":"x","Parallel":1e9}`, `{"Machines":{}}`, "null", "[]", `{"Command":"x","All":true}`, `{"Command":"x","All":true,"Machines":["a"]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		in, err := parseReads(raw)
		if err != nil {
			if model.KindOf(err) != model.Invalid {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		if in.Command == "" || in.Parallel < 1 || in.Parallel > maxReads || len(in.Machines) > maxReadKeys || in.All && len(in.Machines) > 0 {
			t.Errorf("%q: %+v", raw, in)
		}
	})
}
