package endpoint

import (
	"fmt"
	"testing"
	"time"
)

// The endpoint's own clock tells what has gone by whoever sets it: after a jump
// nobody's login waits longer than it should, nor is one that was refused let in
// sooner, for the times of both carry a monotonic reading, which == sees.
func TestLoginsDoNotWaitByTheClockOnTheWall(t *testing.T) {
	t.Parallel()
	e, err := New(newRig(t).opts)
	if err != nil {
		t.Fatal(err)
	}
	if now := e.now(); now == now.Round(0) {
		t.Errorf("%v can be set", now)
	}
}

// What goes by the clock on the wall goes on when it jumps by an hour, either way:
// who logs in gets in, a token lives for its time from then on, and what is asked for
// is done and on record.
func TestWorkGoesOnWhenTheClockJumps(t *testing.T) {
	t.Parallel()
	r, clock := startAt(t, "toy")
	r.user("olga", "operator")
	uuid := r.machine("m1", nil)
	r.put("state", "on")
	for i, jump := range []time.Duration{time.Hour, -time.Hour, -time.Hour, 2 * time.Hour} {
		clock.move(jump)
		token := r.login("olga", "?ttl=60")
		r.wantStatus(200, "POST", "/machines/"+uuid+"/actions/powerstatus", token, "{}")
		r.wantStatus(200, "POST", fmt.Sprintf("/machines/%s/actions/%s", uuid, []string{"poweroff", "poweron"}[i%2]), token, "{}")
		clock.move(time.Minute)
		r.wantStatus(401, "GET", "/machines", token, "")
		r.wantStatus(200, "GET", "/audit/check", r.e.token, "")
	}
	if done := r.executed(); len(done) != 4 {
		t.Errorf("executed %v", done)
	}
}
