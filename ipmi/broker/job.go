package broker

import (
	"context"
	"slices"

	"provision-plugins/ipmi/rmcp"
)

// job is work alone on one BMC, for one caller or several.
type job struct {
	// work does it. It ends soon when its context does.
	work func(ctx context.Context, p *place) ([]byte, error)
	// change goes before all reads; first goes before those of the same BMC only.
	change, first bool
	// shared lets other callers with the same key join until it is done.
	shared bool
	key    flight

	done chan struct{} // closed with answer and err set
	answer
	err error

	callers int                     // who waits; guarded by Broker.mu
	cancel  context.CancelCauseFunc // set when it is under way; guarded by Broker.mu
}

// answer is what became of a job.
type answer struct {
	data []byte
	in   SessionID // that was open at its end; 0 if none was
}

// flight is what makes two reads the same: all of a Call that the answer depends
// on. The zero command is the opening of a session.
type flight struct {
	login      rmcp.Login
	once       bool
	operator   bool
	lenient    bool
	netFn, cmd uint8
	data       string
}

// overtakes reports whether j goes before k in the queue of one BMC.
func (j *job) overtakes(k *job) bool { return (j.change || j.first) && !k.change && !k.first }

// departure is why a job was left by its last caller: ctx tells whether the time
// was over, cause in whose words.
type departure struct{ ctx, cause error }

// Error is the cause.
func (d departure) Error() string { return d.cause.Error() }

// Unwrap returns both.
func (d departure) Unwrap() []error { return []error{d.ctx, d.cause} }

// do has a job done and returns its result, or that of the same one in flight. A
// caller that leaves ends the job only if nobody else waits for it.
func (o *owner) do(ctx context.Context, j *job) (answer, error) {
	if ctx.Err() != nil {
		return answer{}, o.late(ctx)
	}
	j, err := o.submit(j)
	if err != nil {
		return answer{}, err
	}
	select {
	case <-j.done:
		return j.answer, j.err
	case <-ctx.Done():
	}
	if err := o.leave(ctx, j); err != nil {
		return answer{}, err
	}
	<-j.done // it was done, or is by now ended
	return j.answer, j.err
}

// submit puts a job into the queue, or returns the one to wait for in its place.
func (o *owner) submit(j *job) (*job, error) {
	b := o.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, closing("wait")
	}
	if j.shared {
		if same := o.same(j); same != nil {
			same.callers++
			return same, nil
		}
	}
	j.done, j.callers = make(chan struct{}), 1
	at := slices.IndexFunc(o.queue, j.overtakes)
	if at < 0 {
		at = len(o.queue)
	}
	o.queue = slices.Insert(o.queue, at, j)
	b.arrange(o)
	return j, nil
}

// same returns the job in flight that answers what j asks: one that has not
// ended. Since a BMC does one thing at a time, no change was sent since it
// began. mu is held.
func (o *owner) same(j *job) *job {
	if r := o.running; r != nil && r.shared && r.callers > 0 && r.key == j.key {
		return r
	}
	for _, q := range o.queue {
		if q.shared && q.key == j.key {
			return q
		}
	}
	return nil
}

// leave is called by a caller that cannot wait any longer. Without an error the
// job is done, or will be at once.
func (o *owner) leave(ctx context.Context, j *job) error {
	o.b.mu.Lock()
	defer o.b.mu.Unlock()
	j.callers--
	select {
	case <-j.done:
		return nil
	default:
	}
	cause := context.Cause(ctx)
	switch {
	case o.running != j:
		if j.callers == 0 {
			defer o.forget(j)
		}
		return o.waited(ctx, j)
	case j.callers == 0:
		j.cancel(departure{ctx.Err(), cause})
		return nil
	}
	reason := o.trouble
	if reason == "" && ctx.Err() == context.DeadlineExceeded {
		reason = rmcp.Silent
	} else if reason == "" {
		reason = rmcp.Cancelled
	}
	return &rmcp.Error{Reason: reason, Step: "wait", Err: cause}
}

// forget takes a job out of the queue. mu is held.
func (o *owner) forget(j *job) {
	if i := slices.Index(o.queue, j); i >= 0 {
		o.queue = slices.Delete(o.queue, i, i+1)
	}
	if len(o.queue) == 0 && o.state != working {
		o.calm()
	}
}

// calm ends the waiting of an owner without jobs. mu is held.
func (o *owner) calm() {
	if o.stop != nil {
		o.stop()
	}
	o.state, o.stop, o.queue = resting, nil, nil
}

// shut ends what has not begun. mu is held.
func (o *owner) shut() {
	for _, j := range o.queue {
		j.err = closing("wait")
		close(j.done)
	}
	o.queue = nil
	if o.state != working {
		o.calm()
	}
}

// late is the error of a caller that came when its time was over.
func (o *owner) late(ctx context.Context) error {
	o.b.mu.Lock()
	defer o.b.mu.Unlock()
	return o.waited(ctx, nil)
}

// waited is the error of a caller that went away before its turn. If what kept
// it waiting was the BMC's silence, or its session slots, or nothing but the
// distance to its own last command, so it is told. mu is held.
func (o *owner) waited(ctx context.Context, j *job) error {
	reason := o.trouble
	free := o.state == resting || o.state == pacing && o.queue[0] == j
	switch {
	case reason != "":
	case free && ctx.Err() == context.DeadlineExceeded:
		reason = TimeOver
	default:
		reason = Waiting
	}
	return &rmcp.Error{Reason: reason, Step: "wait", Err: departure{ctx.Err(), context.Cause(ctx)}}
}
