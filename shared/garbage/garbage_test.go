package garbage

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

func TestShare(t *testing.T) {
	for _, c := range []struct {
		name   string
		living uint64
		want   int
	}{
		{"nothing known", 0, 400},
		{"the least", 4 << 20, 400},
		{"small", 8 << 20, 200},
		{"where both are one", 32 << 20, 50},
		{"large", 64 << 20, 50},
		{"very large", 1 << 40, 50},
	} {
		p := pacer{percent: 50, room: 16 << 20}
		if got := p.share(c.living); got != c.want {
			t.Errorf("%s: %d %%, want %d", c.name, got, c.want)
		}
	}
}

// percentage reads what is set.
func percentage() uint64 {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// collectUntil collects until the percentage is as wanted.
func collectUntil(t *testing.T, what string, ok func(uint64) bool) {
	t.Helper()
	bound := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for runtime.GC(); !ok(percentage()); runtime.GC() {
		select {
		case <-tick.C:
		case <-bound:
			t.Fatalf("%s: the percentage stays at %d", what, percentage())
		}
	}
}

// TestKeepFollowsTheHeap: what lives is looked at after each collection.
func TestKeepFollowsTheHeap(t *testing.T) {
	stop := Keep(50, 16<<20)
	collectUntil(t, "a small heap", func(p uint64) bool { return p > 50 })
	func() {
		ballast := make([]byte, 64<<20)
		defer runtime.KeepAlive(ballast)
		collectUntil(t, "a large heap", func(p uint64) bool { return p == 50 })
	}()
	collectUntil(t, "a small heap again", func(p uint64) bool { return p > 50 })

	stop()
	large := make([]byte, 64<<20)
	before := percentage()
	for range 5 { // the one that was under way, and some that must change nothing
		runtime.GC()
	}
	if got := percentage(); got != before {
		t.Errorf("after its end the percentage went from %d to %d", before, got)
	}
	runtime.KeepAlive(large)
}
