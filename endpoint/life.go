package endpoint

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

// listenerGrace is how long a plugin without actions has to stop, before each
// signal.
const listenerGrace = 5 * time.Second

// life is what a unit's loop knows; nobody else touches it.
type life struct {
	*unit
	child   *plugin.Process
	binary  *binary // what the child runs, or what was tried last
	trusted bool    // it was started with a token that may do everything
	config  string  // the revision that the child was configured with
	pump    *pump
	crashes []time.Time
	tries   int       // failures since the last success, for the backoff
	next    time.Time // not before then
	open    string    // the revision at which the circuit opened, or ""
	refused string    // the revision that the child refused last, or ""
	faulty  bool      // a fault was told, and not its end
}

// loop brings the process to what is wanted, again and again, until the unit
// ends.
func (u *unit) loop() {
	defer func() {
		u.sup.ended(u)
		close(u.done)
	}()
	l := &life{unit: u}
	for {
		want := u.wanted()
		if want == nil || u.ctx.Err() != nil {
			l.endPump()
			l.renew(nil)
			u.become(broken, nil, "it was stopped")
		}
		if u.ctx.Err() != nil {
			return
		}
		l.wait(l.step(want))
	}
}

// wait returns when there may be something to do: at the latest after delay, if
// that is not 0.
func (l *life) wait(delay time.Duration) {
	var timer <-chan time.Time
	if delay > 0 {
		t := time.NewTimer(delay)
		defer t.Stop()
		timer = t.C
	}
	var gone <-chan struct{}
	if l.child != nil {
		gone = l.child.Done()
	}
	select {
	case <-l.wake:
	case <-timer:
	case <-gone:
	}
}

// step does the next thing to do and returns after how long to look again; 0
// means when something happens.
func (l *life) step(want *desired) time.Duration {
	if want == nil {
		return 0
	}
	if l.child != nil && exited(l.child) {
		l.crashed(want, fmt.Sprintf("it ended: %v", l.child.Err()))
	}
	if l.binary != want.binary || l.trusted != want.trusted || want.problem != "" {
		l.renew(want.binary)
		l.trusted = want.trusted
	}
	if l.open != "" && l.open != want.revision {
		l.crashes, l.open, l.tries, l.next = nil, "", 0, time.Time{}
	}
	if l.refused != "" && l.refused != want.revision { // what it refused is not what it gets now
		l.refused, l.tries, l.next = "", 0, time.Time{}
		l.become(starting, nil, "its params have changed")
	}
	switch {
	case want.problem != "":
		l.become(broken, nil, want.problem)
		return 0
	case l.open == want.revision:
		return 0
	case time.Now().Before(l.next):
		return time.Until(l.next)
	case l.child == nil:
		if !l.launch(want) {
			return l.pause()
		}
	}
	if l.config == want.revision {
		return 0
	}
	return l.configure(want)
}

// renew forgets the old binary, its process and its crashes.
func (l *life) renew(b *binary) {
	l.stop()
	l.binary, l.crashes, l.open, l.tries, l.next = b, nil, "", 0, time.Time{}
}

// stop ends the process politely and waits for it.
func (l *life) stop() {
	if l.child == nil {
		return
	}
	l.become(starting, nil, "it is being replaced")
	// The process's own bounds apply, and it is waited for in any case: its
	// runs end with what it answers.
	if err := l.child.Stop(context.Background()); err != nil {
		l.sup.log.Warn("plugin did not stop politely", "plugin", l.name, "error", err)
	}
	l.sup.tokens.revoke(l.name)
	l.child, l.config = nil, ""
}

// endPump hands out the events that still wait, and ends their flow.
func (l *life) endPump() {
	if l.pump != nil {
		l.pump.stop()
		l.pump = nil
	}
}

// pause is how long to wait before the next look after a failure.
func (l *life) pause() time.Duration { return max(time.Until(l.next), time.Millisecond) }

// failed sets the time of the next try: twice as long after every failure, with
// jitter so that plugins that failed together do not come back together.
func (l *life) failed() {
	t := l.sup.timing
	base := min(t.backoffMin<<min(l.tries, 20), t.backoffMax)
	l.tries++
	l.next = time.Now().Add(base/2 + rand.N(base/2+1))
}

// crashed counts a crash and opens the circuit after too many.
func (l *life) crashed(want *desired, why string) {
	t := l.sup.timing
	now := time.Now()
	recent := l.crashes[:0]
	for _, at := range l.crashes {
		if now.Sub(at) < t.crashWindow {
			recent = append(recent, at)
		}
	}
	l.crashes = append(recent, now)
	l.sup.tokens.revoke(l.name)
	l.child, l.config = nil, ""
	l.failed()
	why = model.Redact(why, l.secretValues())
	if len(l.crashes) >= t.maxCrashes {
		l.open = want.revision
		why = fmt.Sprintf("%d crashes in %s, the last: %s; change or update the plugin to have it started again", len(l.crashes), t.crashWindow, why)
		l.become(broken, nil, why)
	} else {
		l.become(starting, nil, why)
	}
	l.sup.count.Crashed(l.name)
	l.faulty = true
	l.sup.fault(l.name, why)
}

// launch starts the process.
func (l *life) launch(want *desired) bool {
	proc, err := l.sup.launch(l.ctx, l.unit, want)
	if err != nil {
		if l.ctx.Err() == nil {
			l.crashed(want, err.Error())
		}
		return false
	}
	l.child, l.config = proc, ""
	return true
}

// configure sends the params and, once the plugin took them, opens it for
// actions.
func (l *life) configure(want *desired) time.Duration {
	params := model.Params{"Name": l.name}
	for name, v := range want.params {
		params[name] = v
	}
	secrets := model.SecretValues(want.params, l.sup.cat.secure)
	if l.sup.traffic.on() {
		l.sup.traffic.show("to plugin", "config", asSent(params), "plugin", l.name)
	}
	l.mu.Lock()
	l.secrets = secrets
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(l.ctx, l.sup.timing.config)
	defer cancel()
	if err := l.child.Config(ctx, params); err != nil {
		if l.ctx.Err() != nil || exited(l.child) {
			return time.Millisecond // it ended: the next step says why
		}
		why := "it refused its config: " + model.Redact(model.AsError(err).Text(), secrets)
		l.sup.log.Error("plugin refused its config", "plugin", l.name, "error", why)
		l.failed()
		l.refused = want.revision
		l.become(broken, nil, why)
		return l.pause()
	}
	l.refused = ""
	l.tries, l.next, l.config = 0, time.Time{}, want.revision
	l.become(ready, l.child, "")
	if l.faulty {
		l.faulty = false
		l.sup.recovered(l.name)
	}
	if !want.binary.provider.HasPublish {
		l.endPump()
	} else if l.pump == nil {
		l.pump = startPump(l.unit, want.binary.provider)
	}
	return 0
}

// launch starts a process for a unit.
func (s *supervisor) launch(ctx context.Context, u *unit, want *desired) (*plugin.Process, error) {
	state := filepath.Join(s.dirs.state, u.name)
	scratch := filepath.Join(s.dirs.scratch, u.name)
	for _, dir := range []string{state, scratch} {
		if err := os.MkdirAll(dir, privateDir); err != nil {
			return nil, model.Errorf(model.Internal, "cannot make %s: %w", dir, cause(err))
		}
	}
	log := s.log.With("plugin", u.name)
	if err := awaitLeftover(ctx, state, s.timing.leftover, log); err != nil {
		return nil, err
	}
	grant, err := pluginGrant(want.binary.provider, want.trusted)
	if err != nil {
		return nil, err
	}
	o := plugin.LaunchOptions{
		Exec:       plugin.Exec{Path: want.binary.path, Env: s.env(s.tokens.issue(u.name, grant)), Dir: scratch, Sandbox: s.rules(want.binary.provider, want.trusted)},
		Name:       u.name,
		RuntimeDir: s.dirs.runtime,
		StateDir:   state,
		Handler:    newHandler(u),
		Logger:     slog.New(&discreet{log.Handler(), u.redact}),
		ReadStream: want.binary.provider.Meta[model.MetaReadStream] == "true",
	}
	if onlyListens(want.binary.provider) { // and is stopped after those that act
		o.TermAfter, o.KillAfter = listenerGrace, listenerGrace
	}
	proc, err := plugin.Launch(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := noteProcess(state, proc.Pid()); err != nil {
		log.Warn("cannot note the plugin's process", "error", err)
	}
	return proc, nil
}
