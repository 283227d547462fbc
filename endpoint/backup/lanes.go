package backup

import (
	"context"
	"hash/fnv"
	"sync"
)

const (
	// writers is how many writes are under way at once: the store writes what comes
	// together with one sync of the disk.
	writers = 256
	// laneLength is how many wait for each.
	laneLength = 4
)

// step is one write, with the number of its lane.
type step func(ctx context.Context, lane int) error

// lanes carry writes out, many at once, and those of one object in their order.
type lanes struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	queues [writers]chan step
	work   sync.WaitGroup
}

// newLanes returns lanes that end with ctx, with the first error, or with wait.
func newLanes(ctx context.Context) *lanes {
	l := &lanes{}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	for i := range l.queues {
		l.queues[i] = make(chan step, laneLength)
		l.work.Go(func() { l.run(i) })
	}
	return l
}

// run carries out what is in one lane. After an error it is passed over.
func (l *lanes) run(lane int) {
	for do := range l.queues[lane] {
		if l.ctx.Err() != nil {
			continue
		}
		if err := do(l.ctx, lane); err != nil {
			l.cancel(err)
		}
	}
}

// do has a write of an object carried out, or tells why one before was not.
func (l *lanes) do(prefix, id string, s step) error {
	h := fnv.New32a()
	_, _ = h.Write([]byte(prefix + "\x00" + id)) // never fails
	select {
	case l.queues[h.Sum32()%writers] <- s:
		return nil
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	}
}

// wait waits until what was given is written. Nothing more may be given.
func (l *lanes) wait() error {
	for _, queue := range l.queues {
		close(queue)
	}
	l.work.Wait()
	defer l.cancel(nil)
	return context.Cause(l.ctx)
}
