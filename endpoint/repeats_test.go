package endpoint

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

func TestARepeatJoinsTheRunInFlight(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	r.put("hold", "")
	first, err := r.act("m1", "powercycle", model.Params{"oob/wait": false})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "one execution", func() bool { return len(r.executed()) == 1 })
	second, err := r.act("m1", "powercycle", model.Params{"oob/wait": false})
	if err != nil {
		t.Fatal(err)
	}
	if second.Run != first.Run {
		t.Errorf("the repeat got %s, want run %s", second.Run, first.Run)
	}
	r.put("go", "")
	eventually(t, "its end", func() bool { return r.newestRun().State == model.RunDone })
	if got := r.executed(); len(got) != 1 {
		t.Errorf("executed %v", got)
	}
}

func TestADeliveredReplyEndsTheRepeat(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	seen := map[string]bool{}
	for range 3 { // the same connection each time
		reply, err := r.act("m1", "powercycle", nil)
		if err != nil {
			t.Fatal(err)
		}
		seen[reply.Run] = true
	}
	if len(seen) != 3 || len(r.executed()) != 3 {
		t.Errorf("%d runs, executed %v", len(seen), r.executed())
	}
}

func TestAnOrderlyCloseOverTLSIsDelivery(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	post := func() string {
		t.Helper()
		resp, raw := r.ask("POST", apiRoot+"/machines/"+uuid+"/actions/powercycle", r.e.token, "{}")
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("status %d: %s", resp.StatusCode, raw)
		}
		r.https.CloseIdleConnections()
		return resp.Header.Get(RunHeader)
	}
	first := post()
	// The close of one connection and the request on the next are not ordered.
	eventually(t, "a new run", func() bool { return post() != first })
	if got := len(r.executed()); got != 2 {
		t.Errorf("executed %d times", got)
	}
}

// A client that is killed, or whose network breaks, may post again: it must find
// its run and not start another.
func TestAResetIsNoDelivery(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	post := func() string {
		t.Helper()
		conn, err := net.Dial("unix", r.e.Socket())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "POST %s/machines/%s/actions/powercycle HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", apiRoot, uuid); err != nil {
			t.Fatal(err)
		}
		// Closing with the reply unread resets the connection.
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		return r.newestRun().ID
	}
	first := post()
	for range 3 {
		if again := post(); again != first {
			t.Errorf("a new run %s after %s", again, first)
		}
	}
	if got := len(r.executed()); got != 1 {
		t.Errorf("executed %d times", got)
	}
}

func TestAnIdempotencyKeyFindsItsRun(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	post := func(key, body string) (string, int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+r.e.Addr()+apiRoot+"/machines/"+uuid+"/actions/powercycle", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Idempotency-Key", key)
		resp, raw := r.do(req, r.e.token)
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusBadRequest {
			t.Fatalf("status %d: %s", resp.StatusCode, raw)
		}
		return resp.Header.Get(RunHeader), resp.StatusCode
	}
	first, _ := post("k1", "{}")
	again, _ := post("k1", "{}")
	other, _ := post("k2", "{}")
	if first == "" || again != first || other == first {
		t.Errorf("runs %q, %q, %q", first, again, other)
	}
	// Who would not wait for it is not told that it is on its way.
	if again, status := post("k1", `{"oob/wait":false}`); again != first || status != http.StatusOK {
		t.Errorf("run %q again: status %d", again, status)
	}
	if _, status := post(strings.Repeat("k", maxKeyLength+1), "{}"); status != http.StatusBadRequest {
		t.Errorf("a long key: status %d", status)
	}
	if got := r.executed(); len(got) != 2 {
		t.Errorf("executed %v", got)
	}
}

func TestAPluginKilledInMidActionLeavesAnUnknownRun(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	r.put("state", "on")
	first := pidOf(t, r, "toy")
	_, err := r.act("m1", "crash", nil)
	wantError(t, err, model.UnknownOutcome, "toy", "powerstatus")
	run := r.newestRun()
	if run.State != model.RunUnknown || run.Command != "crash" {
		t.Fatalf("run %+v", run)
	}
	r.replaced("toy", first)
	// Another once action must not follow before somebody has looked, by the one
	// action that looks.
	if _, err := r.act("m1", "getParams", model.Params{"power": "on"}); err != nil {
		t.Fatal(err)
	}
	_, err = r.act("m1", "powercycle", nil)
	wantError(t, err, model.Conflict, run.ID)
	if _, err := r.act("m1", "powerstatus", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := r.act("m1", "powercycle", nil); err != nil {
		t.Errorf("after looking: %v", err)
	}
	if got := strings.Join(r.executed(), " "); got != "crash powercycle" {
		t.Errorf("executed %s", got)
	}
}

func TestAfterUnknownReleases(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	first := pidOf(t, r, "toy")
	_, err := r.act("m1", "crash", nil)
	wantError(t, err, model.UnknownOutcome)
	unknown := r.newestRun().ID
	r.replaced("toy", first)
	if _, err := r.act("m1", "powercycle", model.Params{"oob/after-unknown": unknown}); err != nil {
		t.Error(err)
	}
	var run model.Run
	if err := r.c.Get(t.Context(), "runs/"+unknown, &run); err != nil || run.Released == "" {
		t.Errorf("released %q, %v", run.Released, err)
	}
}
