package runs

import (
	"context"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

func TestIdempotencyKeyReturnsTheFirstRun(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	q := request(model.PowerCycle, p)
	q.IdempotencyKey = "k1"
	first := r.submit(q)
	p.reached(t)
	if again := r.submit(q); again.ID() != first.ID() || !again.Repeated() || first.Repeated() {
		t.Error("in flight: another run")
	}
	p.answers(`{"power":"on"}`)
	r.wait(first)
	first.Delivered()
	r.clock.forward(time.Hour)
	again := r.submit(q)
	if again.ID() != first.ID() || string(r.wait(again).Result) != `{"power":"on"}` {
		t.Error("finished and delivered: another run")
	}
	r.crash("boot-2")
	if again := r.submit(q); again.ID() != first.ID() {
		t.Error("after a restart: another run")
	}
	if len(p.called) != 0 {
		t.Fatal("it was sent again")
	}
	// A key belongs to who gave it, and to what it was given for.
	r.done(by("bob", q), p)
	other := request(model.PowerReset, p)
	other.IdempotencyKey = "k1"
	wantText(t, r.refused(other), "its idempotency key was used for run "+first.ID())
	q.IdempotencyKey = "k2"
	r.done(q, p)
}

func TestIdempotencyKeyComesBeforeTheUnknownRule(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	q := request(model.PowerCycle, p)
	q.IdempotencyKey = "k1"
	first := r.unknown(q, p)
	r.clock.forward(time.Hour)
	if again := r.submit(q); again.ID() != first.ID() {
		t.Error("another run")
	}
}

func TestIdenticalRequestJoinsTheRunInFlight(t *testing.T) {
	for _, command := range []string{model.PowerCycle, model.PowerOn} {
		r := newRig(t)
		p := newPlugin()
		first := r.submit(request(command, p))
		p.reached(t)
		second := r.submit(request(command, p))
		if second.ID() != first.ID() || !second.Repeated() {
			t.Errorf("%s: the second request did not join", command)
		}
		p.answers(`{}`)
		r.wait(first)
		r.wait(second)
		if len(p.called) != 0 {
			t.Errorf("%s was sent twice", command)
		}
	}
}

func TestIdenticalRequestAfterTheEnd(t *testing.T) {
	delivered, lost, untold := (*Ticket).Delivered, (*Ticket).Lost, func(*Ticket) {}
	for _, c := range []struct {
		name    string
		command string
		told    func(*Ticket)
		after   time.Duration
		same    bool
	}{
		{"once, reply delivered", model.PowerCycle, delivered, 0, false},
		{"once, reply lost", model.PowerCycle, lost, 59 * time.Second, true},
		{"once, reply lost long ago", model.PowerCycle, lost, 60 * time.Second, false},
		{"once, untold", model.PowerCycle, untold, 9 * time.Second, true},
		{"once, untold for 10 s", model.PowerCycle, untold, 10 * time.Second, false},
		{"idempotent, reply delivered", model.PowerOn, delivered, 0, false},
		{"idempotent, reply lost", model.PowerOn, lost, 59 * time.Second, true},
		{"idempotent, reply lost long ago", model.PowerOn, lost, 60 * time.Second, false},
		{"idempotent, untold", model.PowerOn, untold, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			p := newPlugin()
			first := r.done(request(c.command, p), p)
			c.told(first)
			r.clock.forward(c.after)
			if !c.same {
				if again := r.done(request(c.command, p), p); again.ID() == first.ID() {
					t.Error("the finished run came again")
				}
				return
			}
			again := r.submit(request(c.command, p))
			if again.ID() != first.ID() || string(r.wait(again).Result) != `{"power":"on"}` {
				t.Error("it is another run")
			}
			if len(p.called) != 0 {
				t.Error("it was sent again")
			}
		})
	}
}

func TestIdenticalMeansPrincipalMachineCommandAndParams(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	first := r.done(request(model.PowerCycle, p), p)
	first.Lost()
	for name, spoil := range map[string]func(*Request){
		"principal": func(q *Request) { q.Principal = "bob" },
		"machine":   func(q *Request) { q.Key = "u2" },
		"command":   func(q *Request) { q.Command = model.PowerReset },
		"params":    func(q *Request) { q.Digest = "e" },
	} {
		q := request(model.PowerCycle, p)
		spoil(&q)
		if other := r.done(q, p); other.ID() == first.ID() {
			t.Errorf("another %s: the same run", name)
		}
	}
}

func TestEveryReplyMustHaveArrived(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	first := r.submit(request(model.PowerCycle, p))
	p.reached(t)
	second := r.submit(request(model.PowerCycle, p))
	p.answers(`{}`)
	r.wait(first)
	first.Lost()
	second.Delivered()
	second.Lost() // the first word counts
	again := r.submit(request(model.PowerCycle, p))
	if again.ID() != first.ID() {
		t.Fatal("a lost reply was not made up for")
	}
	again.Delivered()
	if next := r.done(request(model.PowerCycle, p), p); next.ID() == first.ID() {
		t.Error("everybody has the reply, and the run came again")
	}
}

// TestALostReplyIsMadeUpForByJoining has a client post again while its run is
// still in flight, and get the reply: what it posts afterwards is new.
func TestALostReplyIsMadeUpForByJoining(t *testing.T) {
	for name, key := range map[string]string{"plain": "", "with a key": "k"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			p := newPlugin()
			q := request(model.PowerCycle, p)
			q.IdempotencyKey = key
			first := r.submit(q)
			p.reached(t)
			first.Lost()
			second := r.submit(q)
			p.answers(`{}`)
			r.wait(second)
			second.Delivered()
			if open, lost := second.e.delivery.counts(); open != 0 || lost != 0 {
				t.Errorf("%d replies open, %d lost", open, lost)
			}
			q.IdempotencyKey = ""
			if next := r.done(q, p); next.ID() == first.ID() {
				t.Error("a new request was answered with the run before")
			}
		})
	}
}

// TestAReplyToSomebodyElseDoesNotCount has bob join ada's run and go away.
func TestAReplyToSomebodyElseDoesNotCount(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	first := r.submit(request(model.PowerOn, p))
	p.reached(t)
	joined := r.submit(by("bob", request(model.PowerOn, p)))
	p.answers(`{}`)
	r.wait(first)
	first.Delivered()
	joined.Lost()
	if next := r.done(request(model.PowerOn, p), p); next.ID() == first.ID() {
		t.Error("ada was taken for bob")
	}
}

func TestFinishedRunOfAnEarlierProcessIsFoundAgain(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	first := r.done(request(model.PowerCycle, p), p)
	r.crash("boot-2")
	r.clock.forward(9 * time.Second)
	again := r.submit(request(model.PowerCycle, p))
	if again.ID() != first.ID() || string(r.wait(again).Result) != `{"power":"on"}` {
		t.Error("it is another run")
	}
	r.clock.forward(time.Second)
	r.done(request(model.PowerCycle, p), p)
}

func TestOneLiveRunPerMachine(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	first := r.submit(request(model.PowerOff, p))
	p.reached(t)
	if joined := r.submit(by("bob", request(model.PowerOff, p))); joined.ID() != first.ID() || !joined.Repeated() {
		t.Error("the same idempotent action of somebody else did not join")
	}
	holder := "poweroff by ada is in progress (run " + first.ID() + ")"
	wantText(t, r.refused(request(model.PowerCycle, p)), "cannot start powercycle", holder,
		"it ends by "+clock(r.clock.Now().Add(model.ActionOf(model.PowerOff, nil).Timeout+margin)), "machines/u1")
	wantText(t, r.refused(request(model.NextBootPXE, p)), holder)
	other := request(model.PowerOff, p)
	other.Digest = "e"
	wantText(t, r.refused(other), holder)
	elsewhere := request(model.PowerCycle, p)
	elsewhere.Key = "u2"
	p.answers(`{}`)
	p.answers(`{}`)
	r.wait(r.submit(elsewhere))
	r.wait(first)
	if live := r.Live("machines", "u1"); live != nil {
		t.Errorf("a live run after its end: %+v", live)
	}
	r.done(request(model.NextBootPXE, p), p)
}

func TestOnceActionOfSomebodyElseDoesNotJoin(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	first := r.submit(request(model.PowerCycle, p))
	p.reached(t)
	if live := r.Live("machines", "u1"); live == nil || live.ID != first.ID() {
		t.Errorf("Live = %+v", live)
	}
	wantText(t, r.refused(by("bob", request(model.PowerCycle, p))), "powercycle by ada is in progress (run "+first.ID()+")")
	p.answers(`{}`)
	r.wait(first)
}

func TestUnknownRunHoldsTheNextOnceActionBack(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	lost := r.unknown(request(model.PowerCycle, p), p)
	wantText(t, lost.Run().Error.Text(), "no reply", "powerstatus", "oob/after-unknown="+lost.ID())
	r.clock.forward(time.Hour)
	why := "powercycle by ada was executed (run " + lost.ID() + ")"
	wantText(t, r.refused(request(model.PowerCycle, p)), "cannot start powercycle", why, "oob/after-unknown="+lost.ID())
	wantText(t, r.refused(by("bob", request(model.PowerReset, p))), "cannot start powerreset", why)
	r.done(request(model.PowerOn, p), p) // what may happen twice goes on, and releases nothing
	wantText(t, r.refused(request(model.PowerCycle, p)), why)
	q := request(model.PowerCycle, p)
	q.AfterUnknown = "some other run"
	wantText(t, r.refused(q), why)
	r.crash("boot-2")
	wantText(t, r.refused(request(model.PowerCycle, p)), why)
	elsewhere := request(model.PowerCycle, p)
	elsewhere.Key = "u2"
	r.done(elsewhere, p)
}

func TestUnknownIdempotentRunHoldsNothingBack(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	r.unknown(request(model.PowerOff, p), p)
	r.done(request(model.PowerCycle, p), p)
}

func TestAfterUnknownReleases(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	lost := r.unknown(request(model.PowerCycle, p), p)
	r.told()
	q := by("bob", request(model.PowerCycle, p))
	q.AfterUnknown = lost.ID()
	next := r.done(q, p)
	if next.ID() == lost.ID() {
		t.Fatal("the unknown run came again")
	}
	if got := r.told(); got != "powercycle: unknown -> unknown released, powercycle:  -> sent, powercycle: sent -> done" {
		t.Errorf("told: %s", got)
	}
	if run := r.state(lost.ID(), model.RunUnknown); run.Released != "bob: oob/after-unknown" {
		t.Errorf("released as %q", run.Released)
	}
	r.done(request(model.PowerReset, p), p)
}

// TestUnknownRunIsNoAnswerToARepetition has the same request come again at once:
// it is held back while nobody has looked, and a new run once its caller has,
// whatever became of the first reply.
func TestUnknownRunIsNoAnswerToARepetition(t *testing.T) {
	ctx := context.Background()
	for name, told := range map[string]func(*Ticket){
		"delivered": (*Ticket).Delivered, "lost": (*Ticket).Lost, "untold": func(*Ticket) {},
	} {
		for how, look := range map[string]func(*rig, *Request, string){
			"after-unknown": func(_ *rig, q *Request, id string) { q.AfterUnknown = id },
			"release":       func(r *rig, _ *Request, id string) { must(t, r.Release(ctx, id, "ada", "saw on")) },
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				r := newRig(t)
				p := newPlugin()
				lost := r.unknown(request(model.PowerCycle, p), p)
				told(lost)
				wantText(t, r.refused(request(model.PowerCycle, p)), "was executed (run "+lost.ID()+")")
				q := request(model.PowerCycle, p)
				look(r, &q, lost.ID())
				if next := r.done(q, p); next.ID() == lost.ID() {
					t.Error("who has looked got the unknown run again")
				}
			})
		}
	}
}

// TestALookOfSomebodyElseStartsNothing has a caller that did not get its reply
// post again by itself, after somebody else's look: it must hear of the outcome
// before the same is done a second time.
func TestALookOfSomebodyElseStartsNothing(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	lost := r.unknown(request(model.PowerCycle, p), p)
	lost.Lost()
	must(t, r.Release(context.Background(), lost.ID(), "adam", "saw on"))
	again := r.submit(request(model.PowerCycle, p))
	if again.ID() != lost.ID() || r.wait(again).State != model.RunUnknown {
		t.Fatal("a repetition got another run")
	}
	again.Delivered()
	if next := r.done(request(model.PowerCycle, p), p); next.ID() == lost.ID() {
		t.Error("who has heard got the unknown run again")
	}
}

// TestAnUnknownActionOfTheEndpointIsFoundAgain has no other rule to hold it back.
func TestAnUnknownActionOfTheEndpointIsFoundAgain(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	q := request("rotate", p)
	q.Prefix, q.Key, q.Name = "", "", ""
	lost := r.unknown(q, p)
	lost.Lost()
	if again := r.submit(q); again.ID() != lost.ID() {
		t.Error("a repetition got another run")
	}
	q.AfterUnknown = lost.ID()
	if next := r.done(q, p); next.ID() == lost.ID() {
		t.Error("who has looked got the unknown run again")
	}
}

// TestAnOldResultIsNotForWhoHasGoneOn switches on, off and on again within the
// time in which the first run answers a repetition.
func TestAnOldResultIsNotForWhoHasGoneOn(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	first := r.done(request(model.PowerOn, p), p)
	first.Lost()
	r.done(by("bob", request(model.PowerOff, p)), p).Delivered()
	if again := r.submit(request(model.PowerOn, p)); again.ID() != first.ID() {
		t.Error("a repetition undid what somebody else did since")
	} else {
		again.Lost()
	}
	r.done(request(model.PowerOff, p), p).Delivered()
	if again := r.done(request(model.PowerOn, p), p); again.ID() == first.ID() {
		t.Error("who had switched off meanwhile was told that it is on")
	}
}

func TestUnknownIdempotentRunIsDoneAnew(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	lost := r.unknown(request(model.PowerOn, p), p)
	lost.Lost()
	if again := r.done(request(model.PowerOn, p), p); again.ID() == lost.ID() {
		t.Error("the unknown run came again")
	}
}

// TestAKeyRepeatsNoOther has requests that are the same but for their keys.
func TestAKeyRepeatsNoOther(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	keyed := func(command, key string) Request {
		q := request(command, p)
		q.IdempotencyKey = key
		return q
	}
	r.done(keyed(model.PowerCycle, "k1"), p).Lost()
	r.done(keyed(model.PowerCycle, "k2"), p).Lost()
	live := r.submit(keyed(model.PowerCycle, ""))
	p.reached(t)
	wantText(t, r.refused(keyed(model.PowerCycle, "k3")), live.ID())
	p.answers(`{}`)
	r.wait(live)
	// What may happen twice has one run for all.
	on := r.submit(keyed(model.PowerOn, "k4"))
	p.reached(t)
	if joined := r.submit(keyed(model.PowerOn, "k5")); joined.ID() != on.ID() {
		t.Error("the same idempotent action with another key did not join")
	}
	p.answers(`{}`)
	r.wait(on)
}

func TestPowerStatusReleases(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	p := newPlugin()
	lost := r.unknown(request(model.PowerCycle, p), p)
	ended := r.clock.Now()
	r.clock.forward(time.Minute)
	look := func(state model.PowerState, began time.Time) {
		t.Helper()
		must(t, r.ObservedPower(ctx, Observation{Prefix: "machines", Key: "u1", Who: "bob", State: state, Began: began}))
	}
	must(t, r.ObservedPower(ctx, Observation{Prefix: "machines", Key: "nobody", State: model.StateOn, Began: r.clock.Now()}))
	look(model.StateOn, ended.Add(-time.Second))
	look(model.StateOn, ended) // not after it became unknown
	look(model.StateTransition, r.clock.Now())
	look(model.StateUnknown, r.clock.Now())
	wantText(t, r.refused(request(model.PowerReset, p)), lost.ID())
	r.told()
	look(model.StateOff, ended.Add(time.Millisecond))
	look(model.StateOn, r.clock.Now()) // one record is enough
	if got := r.told(); got != "powercycle: unknown -> unknown released" {
		t.Errorf("told: %s", got)
	}
	if run := r.state(lost.ID(), model.RunUnknown); run.Released != "bob: saw off" {
		t.Errorf("released as %q", run.Released)
	}
	r.crash("boot-2")
	r.done(request(model.PowerReset, p), p)
	last, err := r.store.LastRecord(ctx, "machines", "u1")
	must(t, err)
	look(model.StateOn, r.clock.Now())
	if now, err := r.store.LastRecord(ctx, "machines", "u1"); err != nil || now.Seq != last.Seq {
		t.Errorf("a read wrote with nothing to release: %d after %d, %v", now.Seq, last.Seq, err)
	}
}

func TestReleaseBesideALiveRun(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	p := newPlugin()
	lost := r.unknown(request(model.PowerCycle, p), p)
	on := r.submit(request(model.PowerOn, p))
	p.reached(t)
	must(t, r.Release(ctx, lost.ID(), "bob", "saw on"))
	must(t, r.Release(ctx, lost.ID(), "eve", "saw off")) // the first stays
	p.answers(`{}`)
	if run := r.wait(on); run.State != model.RunDone {
		t.Errorf("the live run ended %s: %v", run.State, run.Error)
	}
	if run := r.state(lost.ID(), model.RunUnknown); run.Released != "bob: saw on" {
		t.Errorf("released as %q", run.Released)
	}
	if err := r.Release(ctx, on.ID(), "bob", "saw on"); model.KindOf(err) != model.Conflict {
		t.Errorf("a run that is not unknown was released: %v", err)
	}
	if err := r.Release(ctx, "nothing", "bob", "saw on"); model.KindOf(err) != model.NotFound {
		t.Errorf("a run that is not there was released: %v", err)
	}
}
