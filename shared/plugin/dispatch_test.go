package plugin

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"provision-plugins/shared/model"
)

// about is the nth event about an object.
func about(key string, n int) *model.Event {
	return &model.Event{Type: "machines", Action: fmt.Sprint(n), Key: key}
}

// Events about one object are handled in their order, never two at a time, and
// those about many by a bounded number of workers.
func TestEventsAreInOrderPerObject(t *testing.T) {
	const objects, each = 40, 50
	var mu sync.Mutex // guards the below
	seen := map[string]int{}
	active := map[string]bool{}
	var most, now atomic.Int64
	var out []string
	d := newDispatcher(func(e *model.Event) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		mu.Lock()
		if active[e.Key] {
			out = append(out, "two at a time: "+e.Key)
		}
		active[e.Key] = true
		if want := fmt.Sprint(seen[e.Key]); e.Action != want {
			out = append(out, "got "+e.Action+", want "+want)
		}
		mu.Unlock()
		mu.Lock()
		seen[e.Key]++
		active[e.Key] = false
		mu.Unlock()
	}, time.Minute)
	for n := range each {
		for o := range objects {
			if !d.add(t.Context(), about(fmt.Sprint(o), n)) {
				t.Fatal("an event was dropped")
			}
		}
	}
	d.close()
	<-d.idle
	if len(out) > 0 || len(seen) != objects || most.Load() > eventWorkers {
		t.Errorf("%v, %d objects, %d workers", out, len(seen), most.Load())
	}
	for key, n := range seen {
		if n != each {
			t.Errorf("%s: %d events", key, n)
		}
	}
	if d.waiting != 0 || d.bytes != 0 || len(d.objects) != 0 || d.add(t.Context(), about("late", 0)) {
		t.Errorf("left: %d events, %d bytes, %d objects", d.waiting, d.bytes, len(d.objects))
	}
}

// held is a dispatcher whose handler waits for release.
func held(t *testing.T, patience time.Duration) (d *dispatcher, handled *atomic.Int64, release func()) {
	t.Helper()
	gate := make(chan struct{})
	handled = &atomic.Int64{}
	d = newDispatcher(func(*model.Event) {
		<-gate
		handled.Add(1)
	}, patience)
	return d, handled, sync.OnceFunc(func() { close(gate) })
}

// A slow object does not hold up the others.
func TestOneObjectDoesNotHoldUpTheOthers(t *testing.T) {
	slow := make(chan struct{})
	others := make(chan string, 3)
	d := newDispatcher(func(e *model.Event) {
		if e.Key == "slow" {
			<-slow
			return
		}
		others <- e.Key
	}, time.Minute)
	for _, key := range []string{"slow", "slow", "a", "b", "c"} {
		d.add(t.Context(), about(key, 0))
	}
	for range 3 {
		<-others
	}
	close(slow)
	d.close()
	<-d.idle
}

func TestEventsThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, handled, release := held(t, 10*time.Second)
		defer release()
		for i := range maxWaitingEvents {
			if !d.add(t.Context(), about("m", i)) {
				t.Fatalf("event %d was dropped", i)
			}
		}
		began := time.Now()
		if d.add(t.Context(), about("m", 0)) || time.Since(began) != 10*time.Second {
			t.Errorf("one too many: after %v", time.Since(began))
		}
		if d.add(t.Context(), about("m", 0)) || time.Since(began) != 10*time.Second {
			t.Errorf("the next: after %v", time.Since(began))
		}
		release()
		synctest.Wait()
		if !d.add(t.Context(), about("m", 0)) {
			t.Error("no room after all were handled")
		}
		d.close()
		<-d.idle
		if n := handled.Load(); n != maxWaitingEvents+1 {
			t.Errorf("%d handled", n)
		}
	})
}

// While there is no room the stream is held up, for a moment.
func TestAddWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _, release := held(t, 10*time.Second)
		big := about("big", 0)
		big.Object = map[string]any{"a": []any{strings.Repeat("x", maxWaitingBytes)}}
		if !d.add(t.Context(), big) {
			t.Fatal("one alone has room")
		}
		added := make(chan bool, 1)
		go func() { added <- d.add(t.Context(), about("m", 0)) }()
		synctest.Wait()
		if len(added) != 0 {
			t.Error("it did not wait")
		}
		release()
		if !<-added {
			t.Error("dropped although there was room in time")
		}
		d.close()
		<-d.idle
	})
}

func TestAddEndsWithItsContext(t *testing.T) {
	d, _, release := held(t, time.Minute)
	for range maxWaitingEvents {
		d.add(t.Context(), about("m", 0))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d.add(ctx, about("m", 0)) {
		t.Error("added")
	}
	release()
	d.close()
	<-d.idle
}

func TestDiscard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, handled, release := held(t, time.Minute)
		for n := range 3 {
			for o := range eventWorkers + 4 {
				d.add(t.Context(), about(fmt.Sprint(o), n))
			}
		}
		synctest.Wait()
		d.close()
		if n := d.discard(); n != 3*(eventWorkers+4)-eventWorkers {
			t.Errorf("%d events discarded", n)
		}
		release()
		<-d.idle
		if handled.Load() != eventWorkers || d.waiting != 0 || d.bytes != 0 {
			t.Errorf("%d handled, %d wait, %d bytes", handled.Load(), d.waiting, d.bytes)
		}
	})
}
