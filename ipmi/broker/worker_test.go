package broker

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"provision-plugins/ipmi/rmcp"
	"provision-plugins/sim/bmc"
)

// staff is how many workers wait, and how many jobs are under way.
func staff(b *Broker) (waiting, busy int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.workers), b.busy
}

// idleOwner is a BMC that no job speaks with.
func idleOwner(tb testing.TB, b *Broker, i byte) *owner {
	tb.Helper()
	peer := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 9, 9, i}), 623)
	o, _, err := b.use(&Target{Peer: peer, Login: login, Interval: -1})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { b.unuse(o) })
	return o
}

// instant is a job that is done at once.
func instant(context.Context, *place) ([]byte, error) { return nil, nil }

// TestWorkersAreUsedAgain: while a job is under way, all that come one after
// another are done by one more worker; with the last job all workers go.
func TestWorkersAreUsedAgain(t *testing.T) {
	b := newBroker(t, Options{})
	sim := startFleet(t, bmc.Options{On: true}).BMC(0)
	release := heldUp(t, b, sim)
	defer release()
	o := idleOwner(t, b, 1)
	for i := range 50 {
		if _, err := o.do(bounded(t), &job{work: instant}); err != nil {
			t.Fatal(err)
		}
		if waiting, busy := staff(b); waiting != 1 || busy != 1 {
			t.Fatalf("after job %d: %d workers wait, %d jobs are under way", i, waiting, busy)
		}
	}
	release()
	eventually(t, "all workers have gone", func() bool {
		waiting, busy := staff(b)
		return waiting == 0 && busy == 0
	})
}

// TestWorkersBeyondThePlacesGo: no more of them wait than can be at work at once,
// however many BMCs were slow together.
func TestWorkersBeyondThePlacesGo(t *testing.T) {
	const places, slow = 2, 20
	b := newBroker(t, Options{Work: places})
	sim := startFleet(t, bmc.Options{On: true}).BMC(0)
	release := heldUp(t, b, sim)
	defer release()
	end, done := make(chan struct{}), make(chan error, slow)
	var begun atomic.Int32
	for i := range slow {
		o := idleOwner(t, b, byte(i))
		go func() {
			_, err := o.do(bounded(t), &job{work: func(_ context.Context, p *place) ([]byte, error) {
				p.silent() // it gives its place to the next
				begun.Add(1)
				<-end
				return nil, nil
			}})
			done <- err
		}()
	}
	eventually(t, "all are under way", func() bool { return begun.Load() == slow })
	close(end)
	for range slow {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	eventually(t, "the others have gone", func() bool {
		waiting, busy := staff(b)
		return waiting == places && busy == 1
	})
}

// TestCloseEndsWorkers: also a worker that waits ends, and a job under way is
// told why.
func TestCloseEndsWorkers(t *testing.T) {
	b := newBroker(t, Options{})
	begun, told := make(chan struct{}), make(chan error, 1)
	stuck, quick := idleOwner(t, b, 1), idleOwner(t, b, 2)
	done := make(chan error, 1)
	go func() {
		_, err := stuck.do(bounded(t), &job{work: func(ctx context.Context, _ *place) ([]byte, error) {
			close(begun)
			<-ctx.Done()
			told <- context.Cause(ctx)
			return nil, closing("wait")
		}})
		done <- err
	}()
	<-begun
	if _, err := quick.do(bounded(t), &job{work: instant}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if cause := <-told; !errors.Is(cause, net.ErrClosed) {
		t.Errorf("the job ended because: %v", cause)
	}
	var e *rmcp.Error
	if err := <-done; !errors.As(err, &e) || e.Reason != rmcp.Closed {
		t.Errorf("the caller got %v", err)
	}
	if waiting, busy := staff(b); waiting != 0 || busy != 0 {
		t.Errorf("%d workers wait, %d jobs are under way", waiting, busy)
	}
}

// BenchmarkJob is one job that does nothing, beside one that is under way.
func BenchmarkJob(b *testing.B) {
	broker := newBroker(b, Options{})
	sim := startFleet(b, bmc.Options{On: true}).BMC(0)
	release := heldUp(b, broker, sim)
	defer release()
	o := idleOwner(b, broker, 1)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := o.do(ctx, &job{work: instant}); err != nil {
			b.Fatal(err)
		}
	}
}
