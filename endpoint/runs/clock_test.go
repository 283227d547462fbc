package runs

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// jumpy is a clock that somebody sets, while time goes by as ever.
type jumpy struct {
	clockwork
	gone clockwork
}

// pass lets time go by.
func (j *jumpy) pass(d time.Duration) {
	j.forward(d)
	j.gone.forward(d)
}

// set sets the clock, by so much.
func (j *jumpy) set(d time.Duration) { j.forward(d) }

// elapsed is how much time has gone by.
func (j *jumpy) elapsed() time.Duration { return j.gone.Now().Sub(time.Time{}) }

// newJumpyRig is newRig with a clock that can be set.
func newJumpyRig(t *testing.T) (*rig, *jumpy) {
	t.Helper()
	j := &jumpy{}
	j.clockwork.now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	r := &rig{t: t, dir: t.TempDir(), clock: &j.clockwork, gone: j.elapsed, log: &logBuffer{}}
	r.openStore()
	r.start(nil, "boot-1")
	t.Cleanup(func() { r.stop() })
	return r, j
}

// jumps are how far the clock is set.
var jumps = map[string]time.Duration{"an hour forward": time.Hour, "an hour back": -time.Hour, "a year back": -365 * 24 * time.Hour}

// everyJump runs a test for each of them.
func everyJump(t *testing.T, try func(t *testing.T, r *rig, j *jumpy, jump time.Duration)) {
	for name, jump := range jumps {
		t.Run(name, func(t *testing.T) {
			r, j := newJumpyRig(t)
			try(t, r, j, jump)
		})
	}
}

// A run has its time, whoever sets the clock meanwhile: not less, and not more.
func TestADeadlineBesideAClockThatIsSet(t *testing.T) {
	everyJump(t, func(t *testing.T, r *rig, j *jumpy, jump time.Duration) {
		p := newPlugin()
		q := request(model.PowerCycle, p)
		q.Timeout = 5 * time.Second
		ticket := r.submit(q)
		p.reached(t)
		j.pass(20 * time.Second)
		j.set(jump)
		r.tick()
		r.state(ticket.ID(), model.RunSent)
		j.pass(5 * time.Second)
		r.tick()
		r.state(ticket.ID(), model.RunSent)
		j.pass(time.Second)
		r.tick()
		if run := r.wait(ticket); run.State != model.RunUnknown {
			t.Errorf("it ended %s: %v", run.State, run.Error)
		}
		p.answers(`{}`) // it comes back too late
		r.eventually("the late answer", func() bool { return len(r.activeRuns()) == 0 })
	})
}

// A run waits for its plugin for a minute.
func TestAQueueBesideAClockThatIsSet(t *testing.T) {
	everyJump(t, func(t *testing.T, r *rig, j *jumpy, jump time.Duration) {
		p := newPlugin()
		q := request(model.PowerCycle, p)
		q.Ready = func() bool { return false }
		ticket := r.submit(q)
		j.set(jump)
		j.pass(59 * time.Second)
		r.tick()
		r.state(ticket.ID(), model.RunQueued)
		j.pass(time.Second)
		r.tick()
		if run := r.wait(ticket); run.State != model.RunFailed || len(p.called) != 0 {
			t.Errorf("it ended %s, %v, and was sent %d times", run.State, run.Error, len(p.called))
		}
	})
}

// A run that has waited for its plugin has all of its time from when it was sent, and
// no more, whatever the clock was when it was made.
func TestADeadlineAfterAQueue(t *testing.T) {
	everyJump(t, func(t *testing.T, r *rig, j *jumpy, jump time.Duration) {
		p := newPlugin()
		var up atomic.Bool
		q := request(model.PowerCycle, p)
		q.Timeout, q.Ready = 5*time.Second, up.Load
		ticket := r.submit(q)
		j.pass(50 * time.Second)
		j.set(jump)
		up.Store(true)
		r.tick()
		p.reached(t)
		j.pass(25 * time.Second)
		r.tick()
		r.state(ticket.ID(), model.RunSent)
		j.pass(time.Second)
		r.tick()
		if run := r.wait(ticket); run.State != model.RunUnknown {
			t.Errorf("it ended %s: %v", run.State, run.Error)
		}
		p.answers(`{}`)
		r.eventually("the late answer", func() bool { return len(r.activeRuns()) == 0 })
	})
}

// What was answered a moment ago is not done again because the clock was set, and
// what was answered long ago is no answer.
func TestARepetitionBesideAClockThatIsSet(t *testing.T) {
	everyJump(t, func(t *testing.T, r *rig, j *jumpy, jump time.Duration) {
		p := newPlugin()
		q := request(model.PowerCycle, p)
		p.answers(`{}`)
		first := r.submit(q)
		r.wait(first)
		first.Lost()
		j.set(jump)
		j.pass(59 * time.Second)
		again := r.submit(q)
		if again.ID() != first.ID() {
			t.Fatal("a minute after it was sent again")
		}
		again.Lost()
		j.pass(time.Second)
		p.answers(`{}`)
		if later := r.submit(q); later.ID() == first.ID() {
			t.Error("more than a minute later it is still the answer")
		} else {
			r.wait(later)
		}
	})
}

// A look at a machine after its run became unknown releases it, also when the clock
// says that it was before; one that was before does not, whatever the clock says.
func TestALookBesideAClockThatIsSet(t *testing.T) {
	everyJump(t, func(t *testing.T, r *rig, j *jumpy, jump time.Duration) {
		ctx, p := context.Background(), newPlugin()
		before := r.clock.Now()
		j.pass(time.Second)
		lost := r.unknown(request(model.PowerCycle, p), p)
		look := func(began time.Time) {
			t.Helper()
			must(t, r.ObservedPower(ctx, Observation{Prefix: "machines", Key: "u1", Who: "bob", State: model.StateOn, Began: began}))
		}
		look(before)
		wantText(t, r.refused(request(model.PowerReset, p)), lost.ID())
		j.set(jump)
		j.pass(time.Second)
		look(r.clock.Now())
		r.done(request(model.PowerReset, p), p)
	})
}

// Across a restart the clock decides. What it has in the future it takes for now:
// that lets nobody wait longer than if it were.
func TestARestartBesideAClockThatIsSet(t *testing.T) {
	for name, c := range map[string]struct {
		jump time.Duration
		same bool // the answer of the earlier process is found
	}{
		"not at all":      {0, true},
		"an hour back":    {-time.Hour, true},
		"a year back":     {-365 * 24 * time.Hour, true},
		"an hour forward": {time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, j := newJumpyRig(t)
			p := newPlugin()
			p.answers(`{}`)
			q := request(model.PowerCycle, p)
			first := r.submit(q)
			r.wait(first)
			j.set(c.jump)
			r.crash("boot-2")
			again := r.submit(q)
			if same := again.ID() == first.ID(); same != c.same {
				t.Fatalf("found again: %t, want %t", same, c.same)
			}
			if !c.same {
				p.answers(`{}`)
				r.wait(again)
			}
			j.pass(11 * time.Second)
			p.answers(`{}`)
			later := r.submit(q)
			if r.wait(later); c.same && later.ID() == first.ID() {
				t.Error("the answer of the earlier process is found for longer than ten seconds")
			}
		})
	}
}

// A run that was sent before a restart is unknown after it, and a look releases it,
// however the clock was set.
func TestAnUnknownRunOfAnEarlierProcessBesideAClockThatIsSet(t *testing.T) {
	everyJump(t, func(t *testing.T, r *rig, j *jumpy, jump time.Duration) {
		p := newPlugin()
		q := request(model.PowerCycle, p)
		ticket := r.submit(q)
		p.reached(t)
		j.set(jump)
		r.crash("boot-2")
		r.state(ticket.ID(), model.RunUnknown)
		j.set(jump)
		r.crash("boot-3")
		j.pass(time.Second)
		must(t, r.ObservedPower(context.Background(), Observation{Prefix: "machines", Key: "u1", Who: "bob", State: model.StateOn, Began: r.clock.Now()}))
		p = newPlugin()
		r.done(request(model.PowerReset, p), p)
	})
}

// History is swept once a day, whatever the clock says, and keeps its month by the
// clock: an hour more or less does not empty it.
func TestASweepBesideAClockThatIsSet(t *testing.T) {
	everyJump(t, func(t *testing.T, r *rig, j *jumpy, jump time.Duration) {
		p := newPlugin()
		r.tick() // the sweep of the start
		for range keptRuns + 3 {
			r.done(request(model.PowerCycle, p), p).Delivered()
		}
		j.set(jump)
		j.pass(pruneEvery - time.Minute)
		r.tick()
		if n := len(r.List("machines", "u1")); n != keptRuns+3 {
			t.Fatalf("%d runs before the day is over", n)
		}
		j.pass(time.Minute)
		r.tick()
		if n := len(r.List("machines", "u1")); n != keptRuns {
			t.Errorf("%d runs after the sweep, want %d", n, keptRuns)
		}
	})
}
