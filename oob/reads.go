package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// readAll asks many machines by one request, if the endpoint takes such, and
// gives r the answers. It reports whether it did: then r is complete.
func readAll(ctx context.Context, r *report, c *client.Client, inv invocation) bool {
	return newSweep(inv).run(ctx, r, c)
}

// readSelected asks all machines of a selection that names none, by one request,
// if the endpoint takes such: which they are it knows itself. It reports whether it
// did.
func readSelected(ctx context.Context, a *app, c *client.Client, inv invocation) (done bool, err error) {
	return askAll(ctx, a, c, inv, overEndpoint) // it shows every few seconds that it is there
}

// askAll is readSelected of an endpoint that shows at least so often that it is there.
func askAll(ctx context.Context, a *app, c *client.Client, inv invocation, longest time.Duration) (done bool, err error) {
	filters, err := parseFilters(inv.o.filters)
	if err != nil {
		return true, err
	}
	s := newSweep(inv)
	s.all = &allMachines{filters: filters, count: make(chan int, 1), seen: map[string]bool{}}
	s.longest = longest
	defer s.begin(ctx, c)()
	n, err := s.counted()
	switch {
	case err != nil:
		return !client.CannotReadMany(err), err
	case n == 0:
		return true, errNoMatch()
	}
	r := inv.report(a, n)
	s.take(r)
	s.all.name(ctx, s, c, r)
	s.give(r, <-s.ended)
	return true, r.finish()
}

// counted waits until it is known how many machines will be answered; the error is
// that of a request which ended before.
func (s *sweep) counted() (n int, err error) {
	select {
	case n = <-s.all.count:
		return n, nil
	case err = <-s.ended:
	}
	select {
	case n = <-s.all.count: // all the answers are there already
		s.ended <- err
		return n, nil
	default:
		return 0, err
	}
}

// sweep is one request for many machines.
type sweep struct {
	inv     invocation
	longest time.Duration
	left    map[string][]machine // those that are not answered, by UUID
	all     *allMachines         // nil if they are named
	answers chan client.ReadAnswer
	ended   chan error
}

// newSweep prepares the request of an action on its machines.
func newSweep(inv invocation) *sweep {
	s := &sweep{
		inv: inv, left: make(map[string][]machine, len(inv.machines)),
		answers: make(chan client.ReadAnswer, defaultParallel), ended: make(chan error, 1),
	}
	for _, m := range inv.machines {
		s.longest = max(s.longest, inv.bound(m))
		s.left[m.uuid] = append(s.left[m.uuid], m)
	}
	return s
}

// run sends it and gives r the answers, unless the endpoint takes no such request.
func (s *sweep) run(ctx context.Context, r *report, c *client.Client) bool {
	defer s.begin(ctx, c)()
	s.take(r)
	err := <-s.ended
	if client.CannotReadMany(err) {
		return false
	}
	s.give(r, err)
	return true
}

// begin sends it; end ends it, and with it all that waits for answers.
func (s *sweep) begin(ctx context.Context, c *client.Client) (end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	// The endpoint bounds each action; one that hangs sends no line for as long as
	// the longest may take.
	hangs := time.AfterFunc(s.longest, func() { cancel(fmt.Errorf("waited %s", s.longest)) })
	request := s.request()
	request.Alive = func() { hangs.Reset(s.longest) }
	go func() {
		defer close(s.answers)
		s.ended <- c.ReadMany(ctx, request, func(a client.ReadAnswer) error {
			s.answers <- a // it is taken until it is closed
			return nil
		})
	}()
	return func() {
		hangs.Stop()
		cancel(nil)
		for range s.answers { // those that nobody wants any more
		}
	}
}

// request is what is sent.
func (s *sweep) request() client.ReadRequest {
	out := client.ReadRequest{
		Command: s.inv.call.command, Plugin: s.inv.o.plugin, Params: s.inv.call.params,
		Parallel: s.inv.o.parallel, Machines: make([]string, len(s.inv.machines)),
	}
	for i, m := range s.inv.machines {
		out.Machines[i] = m.uuid
	}
	if s.all != nil {
		out.All, out.Filters, out.Count = true, s.all.filters, func(n int) { s.all.count <- n }
	}
	return out
}

// take gives r the answers as they come. What they print is written when none waits
// to be taken.
func (s *sweep) take(r *report) {
	out := bufio.NewWriterSize(r.app.stdout, printAtOnce)
	unbuffered := r.app.stdout
	r.app.stdout = out
	defer func() {
		r.app.stdout = unbuffered
		r.printed(out.Flush())
	}()
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		if len(s.answers) == 0 {
			r.printed(out.Flush())
		}
		select {
		case a, more := <-s.answers:
			if !more {
				return
			}
			s.answered(r, a)
		case <-ticker.C:
			r.progress()
		}
	}
}

// answered gives r one answer; one that nobody waits for is dropped.
func (s *sweep) answered(r *report, a client.ReadAnswer) {
	waiting := s.left[a.Key]
	delete(s.left, a.Key)
	if s.all != nil {
		waiting = s.all.answered(a)
	}
	for _, m := range waiting {
		out := answer{machine: m, raw: a.Result}
		if a.Error != nil {
			out.err = actionError(a.Error, s.inv.call.command, m.name)
		}
		r.add(out)
	}
}

// printAtOnce is how many bytes are printed by one call of the system at most.
const printAtOnce = 64 << 10

// errLeftOut is why a machine has no answer although all went well.
var errLeftOut = errors.New("it left the machine out")

// give gives r the machines that were not answered, and why.
func (s *sweep) give(r *report, err error) {
	if err == nil {
		err = model.Errorf(model.Internal, "cannot tell what the endpoint found: %w", errLeftOut)
	}
	for _, m := range s.inv.machines {
		for range s.left[m.uuid] {
			failed := *model.AsError(err)
			r.add(answer{machine: m, err: actionError(&failed, s.inv.call.command, m.name)})
		}
		delete(s.left, m.uuid)
	}
}
