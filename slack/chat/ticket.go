package chat

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"provision-plugins/shared/keep"
	"provision-plugins/slack/chat/button"
	"provision-plugins/slack/chat/command"
)

const (
	// ticketLife is how long a request waits to be confirmed.
	ticketLife = 120 * time.Second
	// ticketKept is how long it is remembered after that: a click that comes again is
	// told what became of it.
	ticketKept = 24 * time.Hour
	// maxTickets bounds how many are kept.
	maxTickets = 5000
)

// state is where a ticket stands.
type state string

// The states. From asked there is one way on, and it is on disk before anything
// is done.
const (
	asked       state = "asked"
	taken       state = "taken" // confirmed; being done
	done        state = "done"
	cancelled   state = "cancelled"
	expired     state = "expired"
	interrupted state = "interrupted" // the plugin ended while it was being done
)

// frozen is a machine as it was when it was asked for.
type frozen struct{ Uuid, Name string }

// ticket is a request that is to be confirmed, or is being done.
type ticket struct {
	ID       string
	State    state
	Command  command.Command
	Machines []frozen

	// User asked, of Team, in Channel, where TS is the message with the buttons.
	User, Team, Channel, TS string

	Typed, Second  bool
	Asked, Expires time.Time

	// By confirmed or cancelled it.
	By string `json:",omitempty"`
}

// claim is what a button of the ticket stands for.
func (t *ticket) claim(verb string) button.Claim {
	return button.Claim{
		Verb: verb, ID: t.ID, Expires: t.Expires, Requester: t.User, Channel: t.Channel,
		Subject: []any{t.Team, t.Command, t.Machines, t.Typed, t.Second},
	}
}

// names are those of the machines.
func (t *ticket) names() []string {
	out := make([]string, len(t.Machines))
	for i, m := range t.Machines {
		out[i] = m.Name
	}
	return out
}

// book keeps the tickets, on disk.
type book struct {
	store *keep.Store[ticket]

	mu  sync.Mutex // guards all, and the order of what is written
	all map[string]ticket
}

// openBook reads what an earlier one of the folder left. What cannot be read is
// told of by the error, beside a book of the rest.
func openBook(dir string) (*book, error) {
	store, err := keep.Open[ticket](filepath.Join(dir, "requests"))
	if err != nil {
		return nil, err
	}
	b := &book{store: store}
	b.all, err = store.All()
	if b.all == nil {
		b.all = map[string]ticket{}
	}
	return b, err
}

// put writes a ticket.
func (b *book) put(t ticket) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.all[t.ID]; !known && len(b.all) >= maxTickets {
		return fmt.Errorf("%d requests are kept; try again later", len(b.all))
	}
	if err := b.store.Put(t.ID, t); err != nil {
		return err
	}
	b.all[t.ID] = t
	return nil
}

// get finds a ticket.
func (b *book) get(id string) (ticket, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t, ok := b.all[id]
	return t, ok
}

// move takes a ticket from asked to another state, once: of two who try, one gets
// it. When it returns nil it is on disk.
func (b *book) move(id string, to state, by string, now time.Time) (ticket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t, ok := b.all[id]
	switch {
	case !ok:
		return t, errors.New("this request is not there any more")
	case t.State != asked:
		return t, t.over()
	case to == taken && !now.Before(t.Expires):
		return t, errors.New("this request has expired; ask again")
	}
	t.State, t.By = to, by
	if err := b.store.Put(id, t); err != nil {
		return t, fmt.Errorf("cannot note the decision, so nothing was done: %w", err)
	}
	b.all[id] = t
	return t, nil
}

// over is the refusal of a click on what was decided before.
func (t *ticket) over() error {
	words := map[state]string{
		taken: "was confirmed already, and is being done", done: "was confirmed already, and is done",
		cancelled: "was cancelled", expired: "has expired; ask again", interrupted: "was confirmed, and cut short by a restart",
	}
	return errors.New("this request " + words[t.State])
}

// finish notes how a ticket ended.
func (b *book) finish(id string, to state) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	t, ok := b.all[id]
	if !ok {
		return nil
	}
	t.State = to
	b.all[id] = t
	return b.store.Put(id, t)
}

// in lists the tickets of a state, the oldest first.
func (b *book) in(s state) []ticket {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []ticket
	for _, t := range b.all {
		if t.State == s {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(x, y ticket) int { return x.Asked.Compare(y.Asked) })
	return out
}

// forget drops what is past its time.
func (b *book) forget(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, t := range b.all {
		if t.State == asked || t.State == taken || now.Sub(t.Expires) < ticketKept {
			continue
		}
		if err := b.store.Delete(id); err != nil {
			return err
		}
		delete(b.all, id)
	}
	return nil
}
