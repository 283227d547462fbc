package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"provision-plugins/shared/model"
)

// pacing bounds how many machines are changed at once, and how many may fail
// before the others are left alone.
type pacing struct {
	batch       int
	pause       seconds
	maxFailures int
}

// addFlags adds the flags of commands that change machines.
func (p *pacing) addFlags(fs *pflag.FlagSet) {
	fs.IntVar(&p.batch, "batch", 0, "change at most this many machines, wait for their answers, then go on with the next ones (default: no batches)")
	fs.Var(&p.pause, "pause", "wait this long between two batches, such as 30s")
	fs.IntVar(&p.maxFailures, "max-failures", 0, "send nothing more once this many machines have failed (default: no bound)")
}

// check refuses what cannot be meant.
func (p *pacing) check() error {
	switch {
	case p.batch < 0:
		return usage("--batch must be at least 1, not %d; 0 means no batches", p.batch)
	case p.pause > 0 && p.batch == 0:
		return usage("--pause is between batches: give --batch N too")
	case p.maxFailures < 0:
		return usage("--max-failures must be at least 1, not %d; 0 means no bound", p.maxFailures)
	}
	return nil
}

// errNotSent is the cause of errors about machines to which nothing was sent.
var errNotSent = errors.New("not sent")

// notSent is the error for a machine whose turn had not come when the command
// was interrupted.
func notSent() *model.Error {
	return model.Errorf(model.Busy, "%w: interrupted before its turn", errNotSent)
}

// tooManyFailed is the error for the machines that are left alone.
func tooManyFailed(failed int) *model.Error {
	return model.Errorf(model.Busy, "%w: %s failed before its turn (--max-failures)", errNotSent, count(failed, "machine"))
}

// silentAfter is when a machine that was only asked gives up its place among those
// at work: one that answers does so sooner.
const silentAfter = 100 * time.Millisecond

// fanOut sends to each machine as r is paced, and gives r the answers. An
// interrupt has no more machines sent to: what was sent is waited for, until the
// second interrupt.
func fanOut[T any](ctx context.Context, r *report, parallel int, items []T, machineOf func(T) machine, call func(context.Context, T) answer) error {
	work, done := ctx, func() {}
	if r.patient {
		work, done = r.app.patient(ctx)
	}
	defer done()
	patience := silentAfter
	if r.patient || r.pace.batch > 0 { // how many are changed at once is a promise
		patience = 0
	}
	fan[T, answer]{
		parallel: parallel,
		patience: patience,
		batch:    r.pace.batch,
		pause:    time.Duration(r.pace.pause),
		call:     func(item T) answer { return call(work, item) },
		skip:     func(item T, why *model.Error) answer { return answer{machine: machineOf(item), err: why} },
		enough:   r.enough,
		each:     r.add,
		tick:     r.progress,
		ending:   r.ending,
	}.run(ctx, items)
	return r.finish()
}

// patient returns a context for what was sent already. It outlives ctx, which
// the first interrupt ends: the second one ends it, and so does the first if
// it is a signal that wants the process gone.
func (a *app) patient(ctx context.Context) (context.Context, func()) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	signals, stop := a.signals()
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for seen := 0; seen < 2; seen++ {
			select {
			case s := <-signals:
				if s != os.Interrupt {
					seen = 2
				}
			case <-quit:
				return
			}
		}
		// From here on a signal has its usual effect.
		stop()
		cancel()
	}()
	return work, func() {
		close(quit)
		<-ended
		stop()
		cancel()
	}
}

// ending tells that an interrupt was heard, and what is waited for.
func (r *report) ending(atWork int) {
	if !r.patient {
		return
	}
	r.bar.Clear()
	fmt.Fprintf(r.app.stderr, "interrupted: nothing more is sent; waiting for the answers of %s (interrupt again to stop waiting)\n", count(atWork, "machine"))
}
