package driver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"provision-plugins/shared/model"
)

// run is one action while it is carried out, in one goroutine.
type run struct {
	p        *Provider
	req      *request
	ticket   *ticket // nil for a read
	log      *slog.Logger
	started  time.Time
	deadline time.Time

	sess    Session // open, or nil
	matched bool    // the device behind it is the one that the machine is pinned to

	stranger error // why the device behind the last session is not; nil if it is, or nobody knows
	owes     bool  // what is sent now is a power-on that is owed

	last    Reading       // the last state read
	lastAt  time.Duration // when, since started
	looked  bool          // last is set
	lookErr error         // why the latest reading failed; nil if it did not
	blind   bool          // reading again will not help

	sent     []string  // state-changing steps, in order
	attempts int       // tries of the step that took most
	seen     []sighted // since the first of them
	notes    []string
}

// newRun returns the run of a request.
func (p *Provider) newRun(req *request, t *ticket) *run {
	now := time.Now()
	r := &run{p: p, req: req, ticket: t, log: p.log.Load(), started: now, deadline: now.Add(req.timeout)}
	if t != nil {
		r.deadline = t.ends
	}
	return r
}

// commit marks the first state-changing step and records each of them. Its
// error means that the step must not be taken.
func (r *run) commit(step string) error {
	if r.ticket == nil {
		return model.Errorf(model.Internal, "a read must not change anything")
	}
	if err := r.p.gate.commit(r.ticket); err != nil {
		return err
	}
	if len(r.sent) == 0 {
		r.seen = nil // what was seen before proves nothing
	}
	if n := len(r.sent); n == 0 || r.sent[n-1] != step {
		r.sent = append(r.sent, step)
	}
	return nil
}

// committed reports whether a state-changing step was taken.
func (r *run) committed() bool { return len(r.sent) > 0 }

// stopping reports whether the plan was cut short.
func (r *run) stopping(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), errStopping)
}

// since is the time the run has taken.
func (r *run) since() time.Duration { return time.Since(r.started) }

// note adds a remark for the result.
func (r *run) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// result fills what all results have.
func (r *run) result(res model.Result) model.Result {
	if r.looked && res.Boot == nil {
		res.Power, res.Raw = r.last.State, r.last.Raw
	}
	res.Attempts = r.attempts
	res.TookMs = r.since().Milliseconds()
	res.Driver = r.p.driver.Name()
	res.Note = strings.Join(r.notes, "; ")
	return res
}

// lastState tells the last state read, for errors.
func (r *run) lastState() string {
	if !r.looked {
		if r.lookErr != nil {
			return "the state cannot be read: " + textOf(r.lookErr)
		}
		return "no state was read"
	}
	text := fmt.Sprintf("last state %s", r.last.State)
	if r.last.Raw != "" && r.last.Raw != string(r.last.State) {
		text += fmt.Sprintf(" (%q)", r.last.Raw)
	}
	if r.lookErr != nil {
		text += fmt.Sprintf(" at %.1fs, not readable since: %s", r.lastAt.Seconds(), textOf(r.lookErr))
	}
	return text
}

// fail turns what stopped a plan into the action's error.
func (r *run) fail(ctx context.Context, err error) *model.Error {
	stopping := r.stopping(ctx) || errors.Is(err, errStopping)
	switch {
	case errors.Is(err, errAbandoned), errors.Is(context.Cause(ctx), errAbandoned):
		return r.req.errorf(model.Timeout, "%s", leftBefore)
	case stopping && !r.committed():
		return shuttingDown(r.req)
	case stopping && model.KindOf(err) != model.UnknownOutcome:
		return r.req.errorf(model.UnknownOutcome, "the plugin is stopping: %s sent; %s",
			strings.Join(r.sent, " and "), r.lastState())
	}
	return r.req.wrap(err)
}

// panicked is the error of a driver that panicked: an id for the caller, the
// stack for the log.
func (r *run) panicked(v any) *model.Error {
	id := rand.Text()[:8]
	r.log.Error("driver panicked", "machine", r.req.target.Name, "command", r.req.info.Command, "id", id,
		"panic", r.req.secrets.text(fmt.Sprint(v)), "stack", r.req.secrets.text(string(debug.Stack())))
	kind := model.Internal
	if r.committed() {
		kind = model.UnknownOutcome
	}
	return r.req.errorf(kind, "driver %s failed; the log has the details under id %s", r.p.driver.Name(), id)
}

// logEnd writes the one line of a finished action.
func (r *run) logEnd(ctx context.Context, err error) {
	level := slog.LevelInfo
	if r.req.info.Class == model.Read {
		level = slog.LevelDebug
	}
	if err != nil {
		level = slog.LevelWarn
	}
	if !r.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("machine", r.req.target.Name), slog.String("command", r.req.info.Command),
		slog.Duration("took", r.since()),
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", textOf(err)))
	}
	r.log.LogAttrs(ctx, level, "action ended", attrs...)
}
