package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// callers is how many wait for the first job of the BMC, under way or not.
func callers(b *Broker, sim *bmc.BMC, running bool) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.owners[sim.Addr()]
	switch {
	case running && o.running != nil:
		return o.running.callers
	case !running && len(o.queue) > 0:
		return o.queue[0].callers
	}
	return 0
}

// poll is one of many reads that are not the same.
func poll(ctx context.Context, h *Handle, i int) error {
	var res chassis.GetSystemBootOptionsParamResponse
	return h.Do(ctx, &Call{Operator: true, Call: rmcp.Call{
		Request: &chassis.GetSystemBootOptionsParamRequest{
			ParamSelector: types.BootOptionParamSelector_BootFlags, SetSelector: uint8(i),
		},
		Response: &res, Class: model.Read,
	}})
}

// TestSameReadOnce: three hundred callers that ask the same at once cost one
// exchange, and all are told.
func TestSameReadOnce(t *testing.T) {
	sim := startFleet(t, bmc.Options{On: true}).BMC(0)
	b := newBroker(t, Options{})
	h := open(t, b, sim.Addr())
	release := heldUp(t, b, sim)
	defer release()
	var all sync.WaitGroup
	for range 300 {
		all.Go(func() {
			if on, err := status(bounded(t), h); err != nil || !on {
				t.Errorf("on = %v, %v", on, err)
			}
		})
	}
	eventually(t, "all wait for one job", func() bool { return callers(b, sim, false) == 300 })
	if got := queued(b, sim); got != 1 {
		t.Errorf("%d jobs, want 1", got)
	}
	release()
	all.Wait()
	if got := sim.Executed(bmc.ChassisStatus); got != 1 {
		t.Errorf("%d reads, want 1", got)
	}
}

// TestOtherReadsApart: what differs is not the same.
func TestOtherReadsApart(t *testing.T) {
	sim := startFleet(t, bmc.Options{On: true}).BMC(0)
	b := newBroker(t, Options{})
	h := open(t, b, sim.Addr())
	release := heldUp(t, b, sim)
	defer release()
	raised := func() error {
		var res chassis.GetChassisStatusResponse
		return h.Do(bounded(t), &Call{Operator: true, Call: rmcp.Call{
			Request: &chassis.GetChassisStatusRequest{}, Response: &res, Class: model.Read,
		}})
	}
	lenient := func() error {
		var res chassis.GetChassisStatusResponse
		return h.Do(bounded(t), &Call{Call: rmcp.Call{
			Request: &chassis.GetChassisStatusRequest{}, Response: &res, Class: model.Read, Lenient: true,
		}})
	}
	asks := []func() error{
		func() error { _, err := status(bounded(t), h); return err },
		raised, lenient,
		func() error { return poll(bounded(t), h, 1) },
		func() error { return poll(bounded(t), h, 2) },
		func() error { return control(bounded(t), h, chassis.ChassisControlHardReset, model.Once) },
		func() error { return control(bounded(t), h, chassis.ChassisControlHardReset, model.Once) },
	}
	var all sync.WaitGroup
	for range 2 { // the five reads join in the second round, the changes never do
		for i, ask := range asks {
			all.Go(func() {
				if err := ask(); err != nil {
					t.Errorf("%d: %v", i, err)
				}
			})
		}
	}
	eventually(t, "all wait", func() bool { return queued(b, sim) == 5+4 })
	release()
	all.Wait()
	for name, want := range map[string]int{bmc.ChassisStatus: 3, bmc.GetBoot: 2, bmc.PowerReset: 4} {
		if got := sim.Executed(name); got != want {
			t.Errorf("%s: %d times, want %d", name, got, want)
		}
	}
}

// TestLeaversEndNothing: who leaves is told at once, and the others get their
// answer. The last to leave ends it.
func TestLeaversEndNothing(t *testing.T) {
	sim := startFleet(t, bmc.Options{On: true}).BMC(0)
	b := newBroker(t, Options{FirstTry: brisk})
	h := open(t, b, sim.Addr())
	sim.SetFaults(bmc.Faults{DropReplies: map[string]int{bmc.ChassisStatus: 1}})
	first, leave := context.WithCancelCause(bounded(t))
	gone := make(chan error, 1)
	stays := make(chan error, 1)
	go func() {
		_, err := status(first, h)
		gone <- err
	}()
	eventually(t, "the read is under way", func() bool { return callers(b, sim, true) == 1 })
	go func() {
		_, err := status(bounded(t), h)
		stays <- err
	}()
	eventually(t, "another joined", func() bool { return callers(b, sim, true) == 2 })
	why := errors.New("lost interest")
	leave(why)
	if err := <-gone; reasonIn(err) != rmcp.Cancelled || !errors.Is(err, why) {
		t.Errorf("who left: %v", err)
	}
	if err := <-stays; err != nil {
		t.Errorf("who stayed: %v", err)
	}

	sim.SetFaults(bmc.Faults{Silent: true})
	last, leave := context.WithCancelCause(bounded(t))
	go func() {
		_, err := status(last, h)
		gone <- err
	}()
	eventually(t, "the read is under way", func() bool { return callers(b, sim, true) == 1 })
	leave(why)
	if err := <-gone; reasonIn(err) != rmcp.Cancelled || !errors.Is(err, why) {
		t.Errorf("the last: %v", err)
	}
	eventually(t, "nothing is under way", func() bool { return callers(b, sim, true) == 0 && free(b) == 128 })
}

// TestReadAfterChange: who asks after a change is not told what was before it,
// however many are asking.
func TestReadAfterChange(t *testing.T) {
	sim := startFleet(t, bmc.Options{On: true}).BMC(0)
	b := newBroker(t, Options{})
	h, err := b.Open(bounded(t), Target{Peer: sim.Addr(), Login: login, Interval: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ctx, end := context.WithCancel(bounded(t))
	var others sync.WaitGroup
	for range 8 {
		others.Go(func() {
			for ctx.Err() == nil {
				_, _ = status(ctx, h)
			}
		})
	}
	for i := range 100 {
		order, want := chassis.ChassisControlPowerDown, false
		if i%2 == 1 {
			order, want = chassis.ChassisControlPowerUp, true
		}
		if err := control(bounded(t), h, order, model.Idempotent); err != nil {
			t.Fatal(err)
		}
		if on, err := status(bounded(t), h); err != nil || on != want {
			t.Fatalf("after change %d: on = %v, %v", i, on, err)
		}
	}
	end()
	others.Wait()
}

// TestReadIsNew: a read that has ended answers nobody else.
func TestReadIsNew(t *testing.T) {
	sim := startFleet(t, bmc.Options{On: true}).BMC(0)
	h := open(t, newBroker(t, Options{}), sim.Addr())
	for i := range 4 {
		want := i%2 == 0
		sim.SetPower(want)
		if on, err := status(bounded(t), h); err != nil || on != want {
			t.Fatalf("read %d: on = %v, %v", i, on, err)
		}
	}
}

// TestChangeOvertakes: a change goes before fifty polls that came before it, one
// change after the other.
func TestChangeOvertakes(t *testing.T) {
	sim := startFleet(t, bmc.Options{On: true}).BMC(0)
	clock := newClock()
	b := newBroker(t, Options{Clock: clock})
	h, err := b.Open(bounded(t), Target{Peer: sim.Addr(), Login: login, Interval: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var all sync.WaitGroup
	ask := func(n int, do func() error) {
		all.Go(func() {
			if err := do(); err != nil {
				t.Error(err)
			}
		})
		eventually(t, "it waits", func() bool { return queued(b, sim) == n })
	}
	for i := range 50 {
		ask(i+1, func() error { return poll(bounded(t), h, i) })
	}
	ask(51, func() error { return control(bounded(t), h, chassis.ChassisControlHardReset, model.Once) })
	ask(52, func() error { return control(bounded(t), h, chassis.ChassisControlDiagnosticInterrupt, model.Once) })
	ledger := func() [3]int {
		return [3]int{sim.Executed(bmc.PowerReset), sim.Executed(bmc.PowerDiag), sim.Executed(bmc.GetBoot)}
	}
	raisedAt(t, clock, sim, time.Second)
	for step := range 52 {
		clock.move(time.Second)
		want := [3]int{1, min(step, 1), max(step-1, 0)}
		eventually(t, fmt.Sprintf("after step %d: %v", step, want), func() bool { return ledger() == want && free(b) == 128 })
	}
	all.Wait()
}

// raisedAt moves the clock to where the first job raises the privilege, and waits
// until it rests after that: the privilege is a command of its own.
func raisedAt(tb testing.TB, clock *handClock, sim *bmc.BMC, apart time.Duration) {
	tb.Helper()
	sweep := clock.waiting() - 1 // all but the job's own timer
	clock.move(apart)
	eventually(tb, "it rests after the raise", func() bool {
		return sim.Executed(bmc.SetPrivilege) == 1 && clock.waiting() == sweep+1
	})
}

// TestIntervalWithinAJob: the raise of the privilege and the change that needs it
// are one job and two commands; the one after them keeps its distance, too.
func TestIntervalWithinAJob(t *testing.T) {
	sim := startFleet(t, bmc.Options{On: true}).BMC(0)
	clock := newClock()
	b := newBroker(t, Options{Clock: clock})
	h := open(t, b, sim.Addr())
	done := make(chan error, 2)
	go func() {
		done <- control(bounded(t), h, chassis.ChassisControlHardReset, model.Once)
		done <- poll(bounded(t), h, 1)
	}()
	for i, row := range []struct {
		before, after [2]int // resets and reads
	}{
		{[2]int{0, 0}, [2]int{1, 0}},
		{[2]int{1, 0}, [2]int{1, 1}},
	} {
		ledger := func() [2]int { return [2]int{sim.Executed(bmc.PowerReset), sim.Executed(bmc.GetBoot)} }
		eventually(t, "it waits", func() bool { return sim.Executed(bmc.SetPrivilege) == 1 && clock.waiting() == 2 })
		clock.move(DefaultInterval - time.Millisecond)
		if got := ledger(); got != row.before {
			t.Errorf("command %d too soon: %v", i, got)
		}
		clock.move(time.Millisecond)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := ledger(); got != row.after {
			t.Errorf("after command %d: %v, want %v", i, got, row.after)
		}
	}
}

// TestIntervalWithinAJobEndsWithTheCaller: whose time is over while it waits has
// sent no change, and leaves the session as it is.
func TestIntervalWithinAJobEndsWithTheCaller(t *testing.T) {
	sim := startFleet(t, bmc.Options{On: true}).BMC(0)
	clock := newClock() // it stands still
	b := newBroker(t, Options{Clock: clock})
	h := open(t, b, sim.Addr())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- control(ctx, h, chassis.ChassisControlHardReset, model.Once) }()
	eventually(t, "it waits", func() bool { return sim.Executed(bmc.SetPrivilege) == 1 && clock.waiting() == 2 })
	cancel()
	var e *rmcp.Error
	if err := <-done; !errors.As(err, &e) || e.Sent || e.Reason != rmcp.Cancelled {
		t.Errorf("it ended with %v", err)
	}
	if got := sim.Executed(bmc.PowerReset); got != 0 {
		t.Errorf("%d resets", got)
	}
	if !b.Inspect(sim.Addr(), login).Session {
		t.Error("the session was given up")
	}
}

// TestInterval: commands to one BMC begin a distance apart; another BMC does not
// wait for it.
func TestInterval(t *testing.T) {
	f := startFleet(t, bmc.Options{Count: 2, On: true})
	clock := newClock()
	b := newBroker(t, Options{Clock: clock})
	const apart = 700 * time.Millisecond
	h, err := b.Open(bounded(t), Target{Peer: f.BMC(0).Addr(), Login: login, Interval: apart})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	done := make(chan error, 2)
	go func() { done <- poll(bounded(t), h, 1) }()
	eventually(t, "it waits", func() bool { return queued(b, f.BMC(0)) == 1 })
	go func() { done <- poll(bounded(t), h, 2) }()
	eventually(t, "both wait", func() bool { return queued(b, f.BMC(0)) == 2 })

	other, err := b.Open(bounded(t), Target{Peer: f.BMC(1).Addr(), Login: login, Interval: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for range 3 {
		if _, err := status(bounded(t), other); err != nil {
			t.Fatal(err)
		}
	}
	raisedAt(t, clock, f.BMC(0), apart)
	for n := range 2 {
		eventually(t, "it waits for its turn", func() bool { return clock.waiting() == 2 })
		clock.move(apart - time.Millisecond)
		if got := f.BMC(0).Executed(bmc.GetBoot); got != n {
			t.Errorf("%d commands too soon", got-n)
		}
		clock.move(time.Millisecond)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestIntervalAfterLogin: the first command need not wait for the login before
// it, unless a longer interval than the default was asked for.
func TestIntervalAfterLogin(t *testing.T) {
	f := startFleet(t, bmc.Options{Count: 2, On: true})
	clock := newClock() // it stands still
	b := newBroker(t, Options{Clock: clock})
	h := open(t, b, f.BMC(0).Addr())
	if _, err := status(bounded(t), h); err != nil {
		t.Fatal(err)
	}
	weak, err := b.Open(bounded(t), Target{Peer: f.BMC(1).Addr(), Login: login, Interval: 2 * DefaultInterval})
	if err != nil {
		t.Fatal(err)
	}
	defer weak.Close()
	done := make(chan error, 1)
	go func() {
		_, err := status(bounded(t), weak)
		done <- err
	}()
	eventually(t, "it waits", func() bool { return queued(b, f.BMC(1)) == 1 })
	clock.move(2 * DefaultInterval)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestIntervalOf is what a Target means.
func TestIntervalOf(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{0: DefaultInterval, -1: 0, time.Second: time.Second} {
		if got := (&Target{Interval: asked}).interval(); got != want {
			t.Errorf("%v is %v, want %v", asked, got, want)
		}
	}
}

// TestWaiting tells a caller whose turn does not come why, and that nothing was
// sent.
func TestWaiting(t *testing.T) {
	sim := startFleet(t, bmc.Options{}).BMC(0)
	clock := newClock()
	b := newBroker(t, Options{Work: 1, Clock: clock})
	h, err := b.Open(bounded(t), Target{Peer: sim.Addr(), Login: login, Interval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	left, cancel := context.WithCancel(context.Background())
	cancel()
	over, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	check := func(what string, ctx context.Context, want rmcp.Reason) {
		t.Helper()
		err := control(ctx, h, chassis.ChassisControlHardReset, model.Once)
		var e *rmcp.Error
		if !errors.As(err, &e) || e.Reason != want || e.Sent || !errors.Is(err, ctx.Err()) {
			t.Errorf("%s: %v, want %q and nothing sent", what, err, want)
		}
	}
	check("too late", over, TimeOver)
	check("left", left, Waiting)

	soon, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	check("nothing before it", soon, TimeOver)
	if queued(b, sim) != 0 {
		t.Error("it still waits")
	}

	clock.move(time.Minute)
	release := heldUp(t, b, sim)
	soon, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	check("turn taken", soon, Waiting)
	for _, why := range []rmcp.Reason{rmcp.Silent, rmcp.NoSlot} {
		b.mu.Lock()
		h.owner.trouble = why
		b.mu.Unlock()
		soon, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		check("turn taken by who gets no answer", soon, why)
	}
	release()
	if got := sim.Executed(bmc.PowerReset); got != 0 {
		t.Errorf("%d resets", got)
	}
}

// TestCloseEndsQueues: who waits is told, and nothing is left.
func TestCloseEndsQueues(t *testing.T) {
	sim := startFleet(t, bmc.Options{}).BMC(0)
	b := New(Options{Work: 1, Clock: newClock()})
	h, err := b.Open(bounded(t), Target{Peer: sim.Addr(), Login: login, Interval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 10)
	for i := range cap(failed) {
		go func() { failed <- poll(bounded(t), h, i) }()
	}
	eventually(t, "all wait", func() bool { return queued(b, sim) == cap(failed) })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for range cap(failed) {
		if err := <-failed; reasonIn(err) != rmcp.Closed {
			t.Errorf("%v, want %q", err, rmcp.Closed)
		}
	}
	if err := poll(bounded(t), h, 1); reasonIn(err) != rmcp.Closed {
		t.Errorf("afterwards: %v, want %q", err, rmcp.Closed)
	}
	h.Close()
	eventually(t, "the session is closed", func() bool { return sim.Sessions() == 0 })
}

// TestCloseWaitsForWork: when Close returns nothing is at work any more, however
// long it takes to end.
func TestCloseWaitsForWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Options{})
		o, _, err := b.use(&Target{Peer: peerAt(1), Interval: -1})
		if err != nil {
			t.Fatal(err)
		}
		end := make(chan struct{})
		go func() {
			_, _ = o.do(t.Context(), &job{work: func(ctx context.Context, _ *place) ([]byte, error) {
				<-ctx.Done()
				<-end
				return nil, nil
			}})
		}()
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- b.Close() }()
		synctest.Wait()
		select {
		case err := <-closed:
			t.Errorf("closed, with %v, beside a job", err)
			closed <- nil
		default:
		}
		close(end)
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

// TestAnswersAreTheirOwn: callers of one read do not share memory.
func TestAnswersAreTheirOwn(t *testing.T) {
	sim := startFleet(t, bmc.Options{On: true}).BMC(0)
	b := newBroker(t, Options{})
	h := open(t, b, sim.Addr())
	release := heldUp(t, b, sim)
	defer release()
	answers := []keptAnswer{{}, {fail: true}}
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			err := h.Do(bounded(t), &Call{Call: rmcp.Call{
				Request: &chassis.GetChassisStatusRequest{}, Response: &answers[i], Class: model.Read,
			}})
			if (err != nil) != (i == 1) || err != nil && reasonIn(err) != rmcp.Protocol {
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	eventually(t, "both wait", func() bool { return callers(b, sim, false) == 2 })
	release()
	all.Wait()
	clear(answers[0].data)
	if slices.Max(answers[1].data) == 0 {
		t.Error("one caller's memory is another's")
	}
}

// keptAnswer keeps the very bytes it is given, and may not like them.
type keptAnswer struct {
	data []byte
	fail bool
}

// Unpack keeps the bytes.
func (k *keptAnswer) Unpack(data []byte) error {
	k.data = data
	if k.fail {
		return errors.New("not understood")
	}
	return nil
}

// Format is not used.
func (*keptAnswer) Format() string { return "" }
