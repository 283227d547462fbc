package broker

import (
	"context"
	"slices"
)

// task is a job whose turn has come.
type task struct {
	job   *job
	place *place
	ctx   context.Context
}

// start begins the owner's first job. mu is held.
func (b *Broker) start(o *owner, taken bool) {
	j := o.queue[0]
	o.queue = slices.Delete(o.queue, 0, 1)
	o.state, o.running = working, j
	if !j.first || o.interval > DefaultInterval { // a weak BMC rests after a login, too
		o.next = b.clock.Now().Add(o.interval)
	}
	p := &place{owner: o, taken: taken}
	if taken {
		b.free--
	}
	// It ends with the last caller, or with Close, which both call cancel.
	ctx, cancel := context.WithCancelCause(context.Background())
	j.cancel = cancel
	b.employ(&task{j, p, ctx})
}

// employ has a task done by a worker that waits for one, or by a new one. mu is
// held.
func (b *Broker) employ(t *task) {
	b.busy++
	if n := len(b.workers); n > 0 {
		next := b.workers[n-1]
		b.workers = b.workers[:n-1]
		next <- t
		return
	}
	b.work.Go(func() { b.toil(t) })
}

// toil does tasks. A worker that has done one waits for another while others are
// at work: a goroutine grows its stack in its first job, which costs more than
// all else about it. With the last job under way all of them end.
func (b *Broker) toil(t *task) {
	next := make(chan *task, 1) // closed for the end
	for t != nil {
		data, err := t.job.work(t.ctx, t.place)
		t.job.cancel(nil)
		b.finish(t, next, data, err)
		t = <-next
	}
}

// finish ends a job: its callers are told, and the next may begin. The worker is
// then told by next what to do.
func (b *Broker) finish(t *task, next chan *task, data []byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j, o := t.job, t.place.owner
	j.answer, j.err = answer{data: data}, err
	if o.session != nil {
		j.in = o.id
	}
	o.state, o.running = resting, nil
	if len(o.queue) == 0 {
		o.queue = nil // at rest it takes no memory
	}
	if answered(err) {
		o.trouble = ""
	}
	close(j.done)
	b.busy--
	b.workers = append(b.workers, next)
	b.arrange(o)
	b.vacate(t.place)
	b.dismiss()
}

// dismiss ends workers that wait: all when no job is under way, else those beyond
// as many as can be at work. mu is held.
func (b *Broker) dismiss() {
	keep := b.places
	if b.busy == 0 {
		keep = 0
	}
	for len(b.workers) > keep {
		close(b.workers[0])
		b.workers = slices.Delete(b.workers, 0, 1)
	}
	if len(b.workers) == 0 {
		b.workers = nil
	}
}
