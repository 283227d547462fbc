// Package garbage says how much of it a process that stays lets lie.
//
// Go collects when the heap has grown by a percentage of what lives. A small
// percentage keeps a large heap small, but has a small heap collected every few
// megabytes: a tenth of the processor time of a plugin that asks a thousand BMCs.
package garbage

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// live is the name of what the last collection found to live, in bytes.
const live = "/gc/heap/live:bytes"

// pacer sets the percentage anew after each collection.
type pacer struct {
	percent int
	room    uint64

	mu      sync.Mutex // guards what follows, and the percentage
	stopped bool
}

// Keep lets the heap grow by percent of what lives, and always by room bytes. It
// goes on until stop is called, which leaves the percentage as it is.
func Keep(percent int, room uint64) (stop func()) {
	p := &pacer{percent: percent, room: room}
	p.pace()
	return p.stop
}

// mark is what a collection finds dead. It is no tiny object, of which several
// share a block and its life.
type mark struct{ _ [4]*byte }

// pace sets the percentage for what lives now, and again after the next collection.
func (p *pacer) pace() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	sample := []metrics.Sample{{Name: live}}
	metrics.Read(sample)
	debug.SetGCPercent(p.share(sample[0].Value.Uint64()))
	runtime.AddCleanup(&mark{}, (*pacer).pace, p)
}

// stop ends the pacing.
func (p *pacer) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
}

// least is the smallest heap that is reckoned with: before the first collection
// nothing is known to live, and Go itself takes 4 MiB for the least.
const least = 4 << 20

// share is the percentage by which a heap with so many living bytes may grow.
func (p *pacer) share(living uint64) int {
	return max(p.percent, int(p.room*100/max(living, least)))
}
