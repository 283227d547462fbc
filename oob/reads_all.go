package main

import (
	"cmp"
	"context"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// allMachines are the machines of a selection that names none. The endpoint tells
// which they are, each with its answer.
type allMachines struct {
	filters []client.Filter
	count   chan int // takes how many there are, before the first answer
	seen    map[string]bool
}

// answered is the machine of an answer, unless it is a repeat.
func (l *allMachines) answered(a client.ReadAnswer) []machine {
	if l.seen[a.Key] {
		return nil
	}
	l.seen[a.Key] = true
	return []machine{{name: cmp.Or(a.Name, a.Key), uuid: a.Key, address: a.Address}}
}

// nameWithin bounds the search for the names of machines without an answer.
const nameWithin = 5 * time.Second

// name finds out which machines have no answer, if there are any, as the sweep's
// own. Where that cannot be found out it is the report's error.
func (l *allMachines) name(ctx context.Context, s *sweep, c *client.Client, r *report) {
	missing := r.total - r.done
	if missing <= 0 {
		return
	}
	// Whoever interrupts wants to know of what nothing is known.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), nameWithin)
	defer cancel()
	machines, err := listMachines(ctx, c, s.inv.o.filters, true)
	if err != nil && r.err == nil {
		r.err = model.Errorf(model.KindOf(err), "cannot tell which %s have no answer: %w", count(missing, "machine"), err)
	}
	for _, m := range machines {
		if missing > 0 && !l.seen[m.uuid] {
			missing--
			s.inv.machines = append(s.inv.machines, m)
			s.left[m.uuid] = append(s.left[m.uuid], m)
		}
	}
}
