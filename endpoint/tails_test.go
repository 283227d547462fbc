package endpoint

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// followLog opens the live log of a run on the unix socket.
func (r *rig) followLog(run string) *bufio.Reader {
	r.t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", r.e.Socket())
	}}}
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://unix"+apiRoot+"/runs/"+run+"/log?follow", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		r.t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	r.t.Cleanup(func() { _ = resp.Body.Close() }) // it has ended by itself
	return bufio.NewReader(resp.Body)
}

// The log of a run can be read while it goes on, and ends with it.
func TestALogIsFollowed(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	reply := r.holdCycle("m1")
	live := r.followLog(reply.Run)
	line, err := live.ReadString('\n')
	if err != nil || !strings.HasSuffix(line, "info toy executes powercycle\n") {
		t.Fatalf("%q, %v", line, err)
	}
	if resp, raw := r.ask("GET", apiRoot+"/runs/"+reply.Run+"/log", r.e.token, ""); resp.StatusCode != 200 || string(raw) != line {
		t.Errorf("so far: %d %q", resp.StatusCode, raw)
	}
	r.put("go", "")
	if rest, err := io.ReadAll(live); err != nil || strings.Contains(string(rest), "toy executes") {
		t.Errorf("the rest: %q, %v", rest, err)
	}
	var run model.Run
	eventually(t, "done", func() bool { return r.c.Get(t.Context(), "runs/"+reply.Run, &run) == nil && run.State == model.RunDone })
	if !strings.HasPrefix(run.Log, line) {
		t.Errorf("in the record: %q", run.Log)
	}
	if resp, raw := r.ask("GET", apiRoot+"/runs/none/log", r.e.token, ""); resp.StatusCode != 404 {
		t.Errorf("of no run: %d %s", resp.StatusCode, raw)
	}
	if l := r.e.api.actions.tails; len(l.open) != 0 {
		t.Errorf("%d tails are left", len(l.open))
	}
}

// Who follows a log does not keep the endpoint from stopping.
func TestAFollowerDoesNotHoldAStop(t *testing.T) {
	t.Parallel()
	r := newRig(t, "toy")
	r.open()
	r.ready("toy")
	r.machine("m1", nil)
	reply := r.holdCycle("m1")
	live := r.followLog(reply.Run)
	if _, err := live.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	r.put("go", "")
	r.stop()
	if _, err := io.ReadAll(live); err != nil && !strings.Contains(err.Error(), "EOF") {
		t.Error(err)
	}
}

func TestACancelledScan(t *testing.T) {
	t.Parallel()
	r := newRig(t, "scanner")
	r.start()
	r.ready("toy")
	r.machine("m1", nil)
	r.put("hold", "")
	for _, method := range []string{"DELETE", "POST"} {
		reply, err := r.act("m1", "scan", model.Params{"oob/wait": false})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "it scans", func() bool { return strings.Contains(r.e.api.actions.tails.text(reply.Run), "toy executes scan") })
		path := apiRoot + "/runs/" + reply.Run
		if method == "POST" {
			path += "/cancel"
		}
		resp, raw := r.ask(method, path, r.e.token, "")
		if resp.StatusCode != 200 || !strings.Contains(string(raw), `"State":"failed"`) || !strings.Contains(string(raw), "cancelled by user:"+adminName) {
			t.Errorf("%s: %d %s", method, resp.StatusCode, raw)
		}
	}
	reply, err := r.act("m1", "powercycle", model.Params{"oob/wait": false})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it cycles", func() bool { return strings.Contains(strings.Join(r.executed(), " "), "powercycle") })
	resp, raw := r.ask("DELETE", apiRoot+"/runs/"+reply.Run, r.e.token, "")
	if resp.StatusCode != 409 || !strings.Contains(string(raw), "already sent, ends by 20") {
		t.Errorf("cancel of a cycle: %d %s", resp.StatusCode, raw)
	}
	r.put("go", "")
}

func TestTailsAreBounded(t *testing.T) {
	t.Parallel()
	book := newTails()
	run := &model.Run{ID: "r1", Plugin: "toy", State: model.RunSent}
	book.follow(nil, run)
	l := book.get("r1")
	for i := range 5000 {
		l.add(fmt.Sprintf("line %d\n", i))
	}
	text := book.text("r1")
	if len(text) > maxTail || len(text) < maxTail/2 || !strings.HasPrefix(text, "line ") || !strings.HasSuffix(text, "line 4999\n") {
		t.Errorf("%d bytes, %.20q", len(text), text)
	}
	got, next, more := l.read(0)
	if !strings.HasPrefix(got, "...\nline ") || more == nil {
		t.Errorf("from the start: %.20q", got)
	}
	l.add(strings.Repeat("x", 3*maxTail) + "\n")
	if got, _, _ := l.read(next); len(got) > maxTail+4 {
		t.Errorf("a huge line leaves %d bytes", len(got))
	}
	undone := 0
	if !l.tie(func() { undone++ }) {
		t.Error("not tied")
	}
	ended := *run
	ended.State = model.RunDone
	book.follow(run, &ended)
	book.follow(&ended, &ended) // a record that only releases
	l.add("too late\n")
	if got, _, more := l.read(next); more != nil || strings.Contains(got, "too late") || undone != 1 || book.get("r1") != nil || book.text("r1") != "" {
		t.Errorf("after the end: %.20q, undone %d times", got, undone)
	}
	book.follow(nil, &ended) // found in the log at start
	if len(book.open) != 0 {
		t.Errorf("left: %v", book.open)
	}
}

func TestLogLines(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 12, 0, 0, 5e6, time.UTC)
	got := logLine(&model.Line{Time: at, Level: "warn"}, "a\x1b[31m\tb\nc\x00")
	if got != "12:00:00.005 warn a [31m\tb\nc \n" {
		t.Errorf("%q", got)
	}
	if got := logLine(&model.Line{Level: "info"}, "x"); len(got) != len("12:00:00.005 info x\n") {
		t.Errorf("without a time: %q", got)
	}
}

// Only the plugin that a run was sent to writes into its log.
func TestAForeignTokenTiesNothing(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	u := r.e.sup.unit("toy")
	book := r.e.sup.tails
	book.follow(nil, &model.Run{ID: "r1", Plugin: "else", State: model.RunSent})
	book.follow(nil, &model.Run{ID: "r2", Plugin: "toy", State: model.RunSent})
	h := newHandler(u)
	for group, run := range []string{"r1", "r2", "r3"} {
		h.Log(&model.Line{Group: int64(group), Level: "error", Message: "Log token: " + run})
		h.Log(&model.Line{Group: int64(group), Level: "info", Message: "words for " + run})
	}
	if got := book.text("r1") + book.text("r2"); !strings.HasSuffix(got, "info words for r2\n") || strings.Contains(got, "r1") {
		t.Errorf("%q", got)
	}
	book.follow(nil, &model.Run{ID: "r2", State: model.RunDone})
	if len(h.groups) != 0 {
		t.Errorf("left: %v", h.groups)
	}
}

// A run keeps its lines also where the plugin sends more than the endpoint's log
// takes; there is a bound to that, too.
func TestRunsKeepLinesBeyondTheLog(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	book := r.e.sup.tails
	book.follow(nil, &model.Run{ID: "r1", Plugin: "toy", State: model.RunSent})
	h := newHandler(r.e.sup.unit("toy"))
	h.Log(&model.Line{Group: 7, Level: "info", Message: "Log token: r1"})
	for range 2 * lineBurst {
		h.Log(&model.Line{Group: 8, Level: "info", Message: "a line of nobody"})
	}
	h.Log(&model.Line{Group: 7, Level: "info", Message: "a line of the run"})
	if got := book.text("r1"); !strings.Contains(got, "a line of the run") {
		t.Errorf("%q", got)
	}
	for range 2 * runLineBurst {
		h.Log(&model.Line{Group: 7, Level: "info", Message: "a line of the run"})
	}
	if got := strings.Count(r.log.String(), "log lines about runs a second: those beyond are dropped"); got != 1 {
		t.Errorf("told %d times of too many lines of a run", got)
	}
}

// A plugin that says for ever that its lines belong to a run grows nothing, and a
// run that ends meanwhile keeps none of them.
func TestTiesAreBounded(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	book := r.e.sup.tails
	book.follow(nil, &model.Run{ID: "r1", Plugin: "toy", State: model.RunSent})
	h := newHandler(r.e.sup.unit("toy"))
	say := func(group int64, text string) { h.Log(&model.Line{Group: group, Level: "info", Message: text}) }
	l := book.get("r1")
	for range 3 * maxTies { // the same one
		say(1, "Log token: r1")
	}
	if len(l.untie) != 1 || len(h.groups) != 1 {
		t.Errorf("one group is tied %d times, %d groups", len(l.untie), len(h.groups))
	}
	for group := range int64(3 * maxTies) {
		say(group, "Log token: r1")
	}
	if len(l.untie) != maxTies || len(h.groups) != maxTies {
		t.Errorf("tied %d times, %d groups", len(l.untie), len(h.groups))
	}
	for range 3 * lineBurst { // what is not taken as a tie is a line as any other
		say(5*maxTies, "Log token: r1")
	}
	if got := strings.Count(r.log.String(), "Log token: r1"); got < lineBurst/2 || got > 2*lineBurst {
		t.Errorf("%d lines logged", got)
	}
	book.follow(nil, &model.Run{ID: "r2", Plugin: "toy", State: model.RunSent})
	say(1, "Log token: r2") // the group is used again
	book.follow(nil, &model.Run{ID: "r1", State: model.RunDone})
	if len(h.groups) != 1 || h.groups[1] != book.get("r2") {
		t.Errorf("after the end of the first: %d groups", len(h.groups))
	}
	if l.tie(func() {}) {
		t.Error("a run that has ended is tied")
	}
}
