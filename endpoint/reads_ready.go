package endpoint

import (
	"context"
	"encoding/json"

	"provision-plugins/endpoint/recent"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

// readyCall is a call that was resolved and encoded, and what it came from. It is
// shared by all who ask the same, and only read.
type readyCall struct {
	*call
	of   store.Object // the machine as it was
	from grounds
}

// grounds are what a call comes from, besides its machine and its request. Nothing
// of it is ever changed in place.
type grounds struct {
	catalog, binaries uint64 // changes so far
	objects           [3][]*store.Object
}

// grounds are those of now.
func (a *actions) grounds() grounds {
	g := grounds{catalog: a.cat.epoch.Load(), binaries: a.sup.changes.Load()}
	for i, prefix := range [...]string{"plugins", "profiles", "stages"} {
		g.objects[i] = a.objects.store.Snapshot(prefix)
	}
	return g
}

// same reports whether nothing has changed between two of them.
func (g *grounds) same(other *grounds) bool {
	if g.catalog != other.catalog || g.binaries != other.binaries {
		return false
	}
	for i, list := range g.objects {
		if !sameList(list, other.objects[i]) {
			return false
		}
	}
	return true
}

// sameList reports whether two snapshots are one.
func sameList(a, b []*store.Object) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// askedFor is what a request asks of every machine, as a key; "" for one that must
// be resolved anew each time: it holds a secret, or its log is to be followed.
func (a *actions) askedFor(in invocation) string {
	if in.logLevel != "" || in.prefix != "machines" {
		return ""
	}
	for name := range in.body {
		if a.cat.secret(name) {
			return ""
		}
	}
	raw, err := model.Marshal([]any{in.command, in.plugin, in.override, in.body})
	if err != nil || len(raw) > maxAsked {
		return ""
	}
	return string(raw)
}

// maxAsked bounds the requests that are kept, in bytes.
const maxAsked = 1024

// resolveRead is resolve for what changes nothing. What it was resolved to when the
// same was asked last is taken, if nothing has changed that it came from.
func (a *actions) resolveRead(in invocation) (*call, error) {
	if in.asked == "" {
		return a.resolve(in)
	}
	now := a.grounds() // before anything is looked at
	found, err := a.objects.find(a.objects.kinds.get(in.prefix), in.key)
	if err != nil {
		return nil, err
	}
	key := recent.Key{Object: found.ID, Asked: in.asked}
	known, ok := a.recent.Get(key, func(c *readyCall) bool {
		return c.of.Rev == found.Rev && sameText(c.of.Value, found.Value) && c.from.same(&now)
	})
	if ok {
		return known.call, nil
	}
	c, err := a.resolve(in)
	if err != nil || c.info.Class != model.Read {
		return c, err
	}
	of := c.subject.stored
	if err := a.encode(c); err != nil {
		return nil, err
	}
	a.recent.Put(key, &readyCall{c, of, now})
	return c, nil
}

// sameText reports whether two texts are one in memory.
func sameText(a, b json.RawMessage) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// encode makes a call ready to be sent many times, and lets go of what it was made
// from.
func (a *actions) encode(c *call) error {
	q, err := plugin.NewQuestion(c.action)
	if err != nil {
		return model.Errorf(model.Invalid, "cannot %s: %w", c.command, err).On(c.prefix, c.subject.id)
	}
	c.question, c.action = q, nil
	c.body = model.RedactParams(c.body, a.cat.secure)
	s := &subject{prefix: c.subject.prefix, id: c.subject.id, name: c.subject.name}
	if c.subject.machine != nil {
		s.machine = &model.Machine{}
	}
	c.subject = s
	return nil
}

// shownBody are a call's params without secrets. Those of one that is ready have
// none any more.
func (a *actions) shownBody(c *call) model.Params {
	if c.question != nil {
		return c.body
	}
	return model.RedactParams(c.body, a.cat.secure)
}

// perform has a plugin execute a call.
func (c *call) perform(ctx context.Context, proc *plugin.Process) (json.RawMessage, error) {
	switch {
	case c.question != nil:
		return proc.AskAgain(ctx, c.question)
	case c.info.Class == model.Read:
		return proc.Ask(ctx, c.action)
	}
	return proc.Action(ctx, c.action)
}

// sent is what goes over the socket.
func (c *call) sent() []byte {
	if c.question != nil {
		return c.question.Body()
	}
	return asSent(c.action)
}
