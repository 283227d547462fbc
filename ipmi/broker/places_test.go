package broker

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"provision-plugins/ipmi/rmcp"
	"provision-plugins/sim/bmc"
)

// order is the names of jobs in the order they were done.
type order struct {
	mu    sync.Mutex // guards names
	names []string
}

// add makes a job of that name.
func (r *order) add(name string, change bool) *job {
	return &job{change: change, work: func(context.Context, *place) ([]byte, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.names = append(r.names, name)
		return nil, nil
	}}
}

// TestChangesFirstInTheFleet: with all places taken, a change to one BMC goes
// before reads of others that came before, also if its own BMC already waited
// with a read.
func TestChangesFirstInTheFleet(t *testing.T) {
	f := startFleet(t, bmc.Options{Count: 4})
	b := newBroker(t, Options{Work: 1})
	release := heldUp(t, b, f.BMC(0))
	defer release()
	var (
		all sync.WaitGroup
		got order
	)
	ask := func(i int, name string, change bool) {
		o, _, err := b.use(&Target{Peer: f.BMC(i).Addr(), Login: login, Interval: -1})
		if err != nil {
			t.Fatal(err)
		}
		before := queued(b, f.BMC(i))
		all.Go(func() {
			defer b.unuse(o)
			if _, err := o.do(bounded(t), got.add(name, change)); err != nil {
				t.Error(err)
			}
		})
		eventually(t, name+" waits", func() bool { return queued(b, f.BMC(i)) == before+1 })
	}
	ask(1, "read 1", false)
	ask(2, "read 2", false)
	ask(3, "change 3", true)
	ask(2, "change 2", true)
	ask(2, "change 2 again", true)
	release()
	all.Wait()
	want := []string{"change 3", "change 2", "change 2 again", "read 1", "read 2"}
	if !slices.Equal(got.names, want) {
		t.Errorf("in the order %v", got.names)
	}
	if free(b) != 1 {
		t.Errorf("%d places free, want 1", free(b))
	}
}

// TestPlaces: no more BMCs are at work than there are places, and all have
// their turn.
func TestPlaces(t *testing.T) {
	const places, count = 128, 400
	f := startFleet(t, bmc.Options{Count: count})
	b := newBroker(t, Options{})
	var (
		mu             sync.Mutex // guards the rest
		now, most, all int
		wait           = make(chan struct{})
		callers        sync.WaitGroup
	)
	for i := range count {
		o, _, err := b.use(&Target{Peer: f.BMC(i).Addr(), Login: login})
		if err != nil {
			t.Fatal(err)
		}
		callers.Go(func() {
			defer b.unuse(o)
			_, err := o.do(bounded(t), &job{work: func(context.Context, *place) ([]byte, error) {
				mu.Lock()
				now, all = now+1, all+1
				most = max(most, now)
				mu.Unlock()
				<-wait
				mu.Lock()
				now--
				mu.Unlock()
				return nil, nil
			}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all places are taken", func() bool { return free(b) == 0 })
	close(wait)
	callers.Wait()
	if most > places || all != count || free(b) != places {
		t.Errorf("%d at once, %d in all, %d places free; want %d, %d, %d", most, all, free(b), places, count, places)
	}
}

// TestFullStaysSaid: that all slots are taken is told also when the time ends while
// the BMC is asked again; but not of a BMC that was silent since.
func TestFullStaysSaid(t *testing.T) {
	for _, tc := range []struct {
		firstTry time.Duration
		asked    int // how often it is asked before the time ends
		want     rmcp.Reason
	}{{patience, 1, rmcp.NoSlot}, {brisk, 2, rmcp.Silent}} {
		sim := startFleet(t, bmc.Options{}).BMC(0)
		sim.SetFaults(bmc.Faults{SessionsFull: true})
		clock := newClock()
		b := newBroker(t, Options{Clock: clock, FirstTry: tc.firstTry})
		ctx, cancel := context.WithCancelCause(bounded(t))
		failed := make(chan error, 1)
		go func() { failed <- tryOpen(ctx, b, sim, login) }()
		eventually(t, "it waits for a slot", func() bool { return clock.waiting() == 2 }) // beside the sweep
		sim.SetFaults(bmc.Faults{Silent: true})
		before, _ := sim.Datagrams()
		clock.move(time.Second)
		eventually(t, "it asks again", func() bool {
			in, _ := sim.Datagrams()
			return in >= before+tc.asked
		})
		cancel(context.DeadlineExceeded)
		if err := <-failed; reasonIn(err) != tc.want {
			t.Errorf("asked %d times: %v, want %q", tc.asked, err, tc.want)
		}
	}
}

// TestSilentNeedsNoPlace: 128 others at work do not keep a BMC from being asked
// that was silent, nor does it keep a place from them.
func TestSilentNeedsNoPlace(t *testing.T) {
	const others = 128
	f := startFleet(t, bmc.Options{Count: others + 1})
	b := newBroker(t, Options{FirstTry: brisk})
	silent := f.BMC(others)
	silent.SetFaults(bmc.Faults{Silent: true})
	ctx, leave := context.WithCancel(bounded(t))
	failed := make(chan error, 1)
	go func() { failed <- tryOpen(ctx, b, silent, login) }()
	eventually(t, "it is found silent", func() bool { return b.Inspect(silent.Addr(), login).Trouble == rmcp.Silent })
	var releases []func()
	for i := range others { // each takes a place while the silent one is asked
		releases = append(releases, heldUp(t, b, f.BMC(i)))
	}
	leave()
	if err := <-failed; err == nil {
		t.Error("opened")
	}
	if free(b) != 0 {
		t.Errorf("%d places free, want none", free(b))
	}
	silent.SetFaults(bmc.Faults{})
	if err := tryOpen(bounded(t), b, silent, login); err != nil {
		t.Errorf("it answers again: %v", err)
	}
	if got := b.Inspect(silent.Addr(), login).Trouble; got != "" {
		t.Errorf("trouble %q", got)
	}
	for _, release := range releases {
		release()
	}
	eventually(t, "all places are free", func() bool { return free(b) == others })
}

// TestLineIsBounded: a line that is never empty keeps no more than who stands in
// it needs, in their order.
func TestLineIsBounded(t *testing.T) {
	const standing, turns = 50, 100_000
	var (
		l     line
		order []*owner
	)
	join := func() {
		o := &owner{state: lined}
		l.push(o)
		order = append(order, o)
	}
	for range standing {
		join()
	}
	for range turns {
		join()
		if got := l.pop(); got != order[0] {
			t.Fatal("not the first")
		}
		order = order[1:]
	}
	if cap(l.owners) > 8*standing {
		t.Errorf("room for %d of whom %d stand", cap(l.owners), standing)
	}
	for range standing {
		if got := l.pop(); got != order[0] {
			t.Fatal("not the first")
		}
		order = order[1:]
	}
	if l.pop() != nil || l.owners != nil {
		t.Errorf("%d left", len(l.owners))
	}
}

// TestJoinsNoneThatEnds: who asks what another has just left waits for an answer
// of its own, not for that job's end.
func TestJoinsNoneThatEnds(t *testing.T) {
	sim := startFleet(t, bmc.Options{}).BMC(0)
	b := newBroker(t, Options{})
	o, _, err := b.use(&Target{Peer: sim.Addr(), Login: login, Interval: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.unuse(o)
	ends, over := make(chan struct{}), make(chan struct{})
	end := sync.OnceFunc(func() { close(over) })
	defer end()
	read := func(work func(ctx context.Context) ([]byte, error)) *job {
		return &job{shared: true, key: flight{cmd: 1}, work: func(ctx context.Context, _ *place) ([]byte, error) {
			return work(ctx)
		}}
	}
	first, leave := context.WithCancel(bounded(t))
	left := make(chan error, 1)
	go func() {
		_, err := o.do(first, read(func(ctx context.Context) ([]byte, error) {
			<-ctx.Done()
			close(ends)
			<-over
			return nil, ctx.Err()
		}))
		left <- err
	}()
	eventually(t, "it is under way", func() bool { return callers(b, sim, true) == 1 })
	leave()
	<-ends
	told := make(chan string, 1)
	go func() {
		got, err := o.do(bounded(t), read(func(context.Context) ([]byte, error) { return []byte("new"), nil }))
		if err != nil {
			t.Error(err)
		}
		told <- string(got.data)
	}()
	eventually(t, "another waits", func() bool { return queued(b, sim) == 1 })
	end()
	if err := <-left; err == nil {
		t.Error("who left was answered")
	}
	if got := <-told; got != "new" {
		t.Errorf("the answer is %q", got)
	}
}
