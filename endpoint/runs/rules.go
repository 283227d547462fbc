package runs

import (
	"time"

	"provision-plugins/shared/model"
)

const (
	// lostWithin is how long after its end a run answers a repetition whose
	// first reply was lost.
	lostWithin = 60 * time.Second
	// untoldWithin is the same where nobody knows what became of the reply, for
	// what must not happen twice.
	untoldWithin = 10 * time.Second
)

// sibling is a run beside the one that is asked for, as it stands.
type sibling struct {
	*entry
	run  *model.Run
	over time.Duration // see term
}

// verdict is what the rules say about a request: a ticket for a run that is
// there, an unknown run to be released first, or nothing, which means go.
type verdict struct {
	ticket *Ticket
	free   *entry
}

// rule looks at a request beside the runs of its object, oldest first. It
// settles the matter with a ticket or an error, or leaves it to the next rule.
type rule func(m *Manager, r *Request, runs []sibling) (verdict, error)

// repeats are the rules about requests that were made before, in their order.
var repeats = [...]rule{byIdempotencyKey, joinSame, finishedSame}

// obstacles are the rules about other runs of the same object, in their order.
var obstacles = [...]rule{liveRun, unknownRun}

// decide applies the rules. The caller holds obj.mu and the object is fresh.
func (m *Manager) decide(obj *object, r *Request) (*Ticket, *entry, error) {
	runs := m.siblings(obj)
	rules := repeats[:]
	if obj.prefix != systemPrefix {
		// One live run is a rule of machines; the endpoint itself is not one.
		rules = append(rules[:len(rules):len(rules)], obstacles[:]...)
	}
	for _, rule := range rules {
		v, err := rule(m, r, runs)
		if err != nil || v.ticket != nil || v.free != nil {
			return v.ticket, v.free, err
		}
	}
	return nil, nil, nil
}

// byIdempotencyKey finds the run that the client gave this key to.
func byIdempotencyKey(m *Manager, r *Request, runs []sibling) (verdict, error) {
	if r.IdempotencyKey == "" {
		return verdict{}, nil
	}
	for _, s := range runs {
		if s.idem != r.IdempotencyKey || s.run.Principal != r.Principal {
			continue
		}
		if !r.sameAction(s.entry, s.run) {
			return verdict{}, model.Errorf(model.Conflict,
				"cannot start %s: its idempotency key was used for run %s, %s", r.Command, s.id, s.run.Command).On(r.Prefix, r.Key)
		}
		return verdict{ticket: m.retake(s.entry)}, nil
	}
	return verdict{}, nil
}

// joinSame joins the same request in flight, whatever its class.
func joinSame(m *Manager, r *Request, runs []sibling) (verdict, error) {
	for _, s := range runs {
		if !s.run.State.Terminal() && r.same(s.entry, s.run) {
			return verdict{ticket: m.retake(s.entry)}, nil
		}
	}
	return verdict{}, nil
}

// finishedSame finds the newest run of the same request if it ended a short
// while ago and its reply may not have arrived.
func finishedSame(m *Manager, r *Request, runs []sibling) (verdict, error) {
	var newest, own sibling
	for _, s := range runs {
		if r.same(s.entry, s.run) {
			newest = s
		}
		if s.run.Principal == r.Principal {
			own = s
		}
	}
	if newest.entry == nil || !r.repeats(newest, own) {
		return verdict{}, nil
	}
	age := m.elapsed() - newest.over
	open, lost := newest.delivery.counts()
	if lost > 0 && age < lostWithin || open > 0 && r.Class == model.Once && age < untoldWithin {
		return verdict{ticket: m.retake(newest.entry)}, nil
	}
	return verdict{}, nil
}

// repeats reports whether a request may be the repetition of a finished run; own
// is the caller's newest run of that object.
func (r *Request) repeats(s, own sibling) bool {
	switch {
	case s.id == r.AfterUnknown:
		return false
	case r.Class == model.Idempotent:
		// Who has gone on to something else wants it done anew. An unknown
		// outcome helps nobody where a second time changes nothing.
		return s.entry == own.entry && s.run.State != model.RunUnknown
	case s.run.State == model.RunUnknown && r.Prefix != "":
		// While nobody has looked, unknownRun tells so. When the caller has, the
		// request is a new one. When somebody else has, the caller may be a
		// program that posts again by itself: it hears of the outcome first.
		return s.run.Released != "" && !releasedBy(s.run, r.Principal)
	}
	return true
}

// liveRun lets one run at a time change an object. The same idempotent action
// joins it.
func liveRun(m *Manager, r *Request, runs []sibling) (verdict, error) {
	for _, s := range runs {
		if s.run.State.Terminal() {
			continue
		}
		if r.Class == model.Idempotent && s.run.Class == model.Idempotent && r.sameAction(s.entry, s.run) {
			return verdict{ticket: m.join(r, s)}, nil
		}
		return verdict{}, model.Errorf(model.Conflict, "cannot start %s: %s by %s is in progress (run %s); it ends by %s",
			r.Command, s.run.Command, s.run.Principal, s.id, EndsBy(s.run)).On(r.Prefix, r.Key)
	}
	return verdict{}, nil
}

// EndsBy is when a live run ends at the latest, for people. A queued one will
// have been sent by then, or has failed.
func EndsBy(run *model.Run) string {
	if run.State == model.RunQueued {
		return clock(run.StartBy)
	}
	return clock(run.Deadline)
}

// unknownRun holds back what must not happen twice while the newest such run
// may or may not have happened and nobody has looked.
func unknownRun(_ *Manager, r *Request, runs []sibling) (verdict, error) {
	s := blocking(runs)
	switch {
	case r.Class != model.Once || s.entry == nil:
		return verdict{}, nil
	case r.AfterUnknown == s.id:
		return verdict{free: s.entry}, nil
	}
	return verdict{}, model.Errorf(model.Conflict,
		"cannot start %s: nobody knows whether %s by %s was executed (run %s); look at it (powerstatus), or repeat with oob/after-unknown=%s",
		r.Command, s.run.Command, s.run.Principal, s.id, s.id).On(r.Prefix, r.Key)
}

// blocking returns the newest run of class once if it is unknown and was not
// released.
func blocking(runs []sibling) sibling {
	for i := len(runs) - 1; i >= 0; i-- {
		if s := runs[i]; s.run.Class == model.Once {
			if s.run.State == model.RunUnknown && s.run.Released == "" {
				return s
			}
			break
		}
	}
	return sibling{}
}
