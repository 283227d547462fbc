package endpoint

import (
	"context"
	"encoding/json"
	"time"

	"provision-plugins/endpoint/events"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

// pump carries every event to one plugin, in order, through a bounded queue. It
// outlives a crash of the plugin: what happens meanwhile waits.
type pump struct {
	sub    *events.Subscription
	again  bool // what the plugin may have seen is handed to it again
	cancel context.CancelFunc
	done   chan struct{}
}

// handTries is how often an event is handed to a plugin that may have seen it: one
// that ends its process each time is given up.
const handTries = 3

// endGrace is how long the process of a plugin that lost an event may take to be
// seen to end.
const endGrace = 500 * time.Millisecond

// chosenQueue and chosenBytes bound what waits for a plugin that says which events
// it wants: a bulk operation on thousands of machines comes at once, and each event
// of it is to be told of.
const (
	chosenQueue = 32_768
	chosenBytes = 64 << 20
)

// drainTime is how long an ending pump hands out what is queued.
const drainTime = 3 * time.Second

// startPump subscribes a unit's plugin to the events that its provider wants: to
// all where it does not say.
func startPump(u *unit, p *model.PluginProvider) *pump {
	patterns, again := []string{"*.*.*"}, false
	if text := p.Meta[model.MetaEvents]; text != "" {
		if err := json.Unmarshal([]byte(text), &patterns); err != nil {
			u.sup.log.Error("cannot read which events a plugin wants; it gets all", "plugin", u.name, "key", model.MetaEvents, "error", err)
			patterns = []string{"*.*.*"}
		} else {
			again = true
		}
	}
	sub, err := u.sup.hub.Subscribe(patterns...)
	if err != nil {
		u.sup.log.Error("cannot subscribe plugin to events", "plugin", u.name, "error", err)
		return nil
	}
	if again {
		sub.Widen(chosenQueue, chosenBytes)
	}
	sub.OnMissed(func() { u.sup.count.EventDropped(u.name) })
	u.mu.Lock()
	u.waiting = sub.Waiting
	u.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	made := &pump{sub: sub, again: again, cancel: cancel, done: make(chan struct{})}
	go made.run(ctx, u)
	return made
}

// stop lets the plugin have what is queued, for a while, and ends the pump.
func (p *pump) stop() {
	p.sub.Close()
	grace := time.NewTimer(drainTime)
	defer grace.Stop()
	select {
	case <-p.done:
	case <-grace.C:
	}
	p.cancel()
	<-p.done
}

// run hands on events until the pump is stopped.
func (p *pump) run(ctx context.Context, u *unit) {
	defer close(p.done)
	for {
		e, err := p.sub.Next(ctx)
		if err != nil {
			return
		}
		for tries := 1; !p.hand(ctx, u, e, &tries) && ctx.Err() == nil; {
		}
	}
}

// hand gives one event to the plugin and reports whether that is settled. An
// event that was never sent, because the plugin is away, is not; nor is one that
// it may have seen, where it may be sent again, for a number of tries.
func (p *pump) hand(ctx context.Context, u *unit, e *model.Event, tries *int) bool {
	proc, err := u.await(ctx)
	if err != nil {
		return !p.rest(ctx, u)
	}
	bounded, cancel := context.WithTimeout(ctx, u.sup.timing.publish)
	defer cancel()
	if u.sup.traffic.on() {
		u.sup.traffic.show("to plugin", "publish", asSent(e), "plugin", u.name)
	}
	err = proc.Publish(bounded, e)
	if err == nil || ctx.Err() != nil {
		return true
	}
	if plugin.NeverSent(err) {
		return !p.rest(ctx, u)
	}
	lost := model.KindOf(err) == model.Unreachable
	if lost {
		awaitEnd(ctx, proc)
	}
	if p.again && *tries < handTries && (lost || model.KindOf(err) == model.Timeout || model.KindOf(err) == model.Busy) {
		*tries++
		return !p.rest(ctx, u)
	}
	// What it may have seen is not sent a second time, nor what it refused.
	u.sup.log.Warn("plugin did not take an event", "plugin", u.name,
		"event", e.Type+"."+e.Action+"."+e.Key, "error", model.AsError(err).Text())
	return true
}

// awaitEnd waits a moment for the end of a process that lost an event: what is
// handed to one that is about to end is lost too.
func awaitEnd(ctx context.Context, proc *plugin.Process) {
	grace := time.NewTimer(endGrace)
	defer grace.Stop()
	select {
	case <-proc.Done():
	case <-grace.C:
	case <-ctx.Done():
	}
}

// rest waits for the plugin to come back, and reports whether to try again.
func (p *pump) rest(ctx context.Context, u *unit) bool {
	_, _, _, changed := u.look()
	pause := time.NewTimer(u.sup.timing.backoffMin)
	defer pause.Stop()
	select {
	case <-changed:
	case <-pause.C:
	case <-ctx.Done():
		return false
	}
	return true
}
