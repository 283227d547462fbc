package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"provision-plugins/shared/model"
)

// Process is a running plugin.
type Process struct {
	options  LaunchOptions
	cmd      *exec.Cmd
	socket   string // the one to the plugin
	key      []byte // what signs for principals
	printed  *printed
	cleanups []func()
	resting  resting
	stream   readStream

	stopOnce sync.Once
	stopping atomic.Bool // stop was asked: nothing more is sent
	killed   atomic.Bool // SIGKILL was sent

	done chan struct{}
	err  error // set before done is closed
}

// Done is closed when the process has ended and its sockets are removed.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err tells why the process ended, once Done is closed; nil after a stop in
// order.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Pid is the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Config sends the plugin's params. "Name" is set to the plugin object's name.
// The error is the plugin's own, or of kind unreachable if it did not answer.
func (p *Process) Config(ctx context.Context, params model.Params) error {
	body := model.Params{}
	for name, v := range params {
		body[name] = v
	}
	body[nameParam] = p.options.Name
	return p.tell(ctx, "configure", pathConfig, body)
}

// Publish sends one event, once. The error is as that of Config; NeverSent tells
// whether the plugin may have seen the event.
func (p *Process) Publish(ctx context.Context, e *model.Event) error {
	return p.tell(ctx, "publish to", pathPublish, e)
}

// NeverSent reports whether an error of Config, Action or Publish says that not
// one byte of the request was written: the plugin cannot have seen it. The
// plugin's own errors say no such thing, whatever their kind.
func NeverSent(err error) bool {
	var unsent *neverSent
	return errors.As(err, &unsent)
}

// tell sends what has no result.
func (p *Process) tell(ctx context.Context, verb, path string, body any) error {
	if err := p.sendable(); err != nil {
		return p.unreachable(verb, &neverSent{err})
	}
	a, err := (&exchange{p.socket, path, body}).do(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return model.Errorf(model.Timeout, "cannot %s plugin %s: %w", verb, p.options.Name, err)
	case err != nil:
		return p.unreachable(verb, err)
	case !a.ok():
		return unnested(a.failure())
	}
	return nil
}

// Action sends one action, once, and returns the plugin's answer. Its error is
// the plugin's own as answered; or of kind unreachable ("never sent") if not
// one byte of the request was written; or of kind unknown-outcome if the
// plugin was lost, or ctx ended, after that.
func (p *Process) Action(ctx context.Context, a *model.Action) (json.RawMessage, error) {
	if err := p.sendable(); err != nil {
		return nil, p.neverSent(a, &neverSent{err})
	}
	got, err := (&exchange{p.socket, pathAction, a}).do(ctx)
	return p.outcome(a, got, err)
}

// outcome is what an action came to.
func (p *Process) outcome(a *model.Action, got *answer, err error) (json.RawMessage, error) {
	switch {
	case NeverSent(err):
		return nil, p.neverSent(a, err)
	case err != nil:
		return nil, p.lost(a, err)
	case !got.ok():
		return nil, got.failure()
	}
	v, err := got.value()
	if err != nil {
		return nil, p.lost(a, err)
	}
	return v, nil
}

// sendable tells why nothing can be sent any more.
func (p *Process) sendable() error {
	select {
	case <-p.done:
		return errors.New("its process has ended")
	default:
	}
	if p.stopping.Load() {
		return errors.New("it is being stopped")
	}
	return nil
}

// unreachable is the error of a request without result.
func (p *Process) unreachable(verb string, cause error) error {
	return model.Errorf(model.Unreachable, "cannot %s plugin %s: %w", verb, p.options.Name, cause)
}

// neverSent is the error of an action that no plugin has seen.
func (p *Process) neverSent(a *model.Action, cause error) error {
	return model.Errorf(model.Unreachable, "cannot %s: never sent, plugin %s cannot be reached: %w", a.Command, p.options.Name, cause)
}

// lost is the error of an action that may have been executed.
func (p *Process) lost(a *model.Action, cause error) error {
	return model.Errorf(model.UnknownOutcome, "cannot tell whether %s was executed: plugin %s was lost: %w", a.Command, p.options.Name, cause)
}

// Stop ends the process and waits for it: a polite request, SIGTERM after
// TermAfter, SIGKILL after another KillAfter. The end of ctx brings SIGKILL at
// once. It may be called again, and then waits too. The error is nil if the
// plugin ended in order.
func (p *Process) Stop(ctx context.Context) error {
	p.stopping.Store(true)
	p.stopOnce.Do(func() { go p.escalate() })
	select {
	case <-p.done:
	case <-ctx.Done():
		p.kill()
		<-p.done
	}
	if p.err != nil {
		return model.Errorf(model.Internal, "plugin %s did not stop in order: %w", p.options.Name, p.err)
	}
	return nil
}

// escalate asks the process to end, ever less politely. It ends with the
// process.
func (p *Process) escalate() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		// Whatever it answers, what counts is that the process ends.
		_, _ = (&exchange{p.socket, pathStop, nil}).do(ctx)
	}()
	defer func() {
		cancel()
		<-asked
	}()
	if p.endsWithin(p.options.TermAfter) {
		return
	}
	p.options.Logger.Warn("plugin does not stop: sending SIGTERM")
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended meanwhile
	if p.endsWithin(p.options.KillAfter) {
		return
	}
	p.options.Logger.Warn("plugin does not stop: sending SIGKILL")
	p.kill()
	<-p.done
}

// kill ends the process and what it started.
func (p *Process) kill() {
	p.killed.Store(true)
	_ = signalGroup(p.Pid(), syscall.SIGKILL) // it may have ended meanwhile
}

// endsWithin waits for the process's end, at most d.
func (p *Process) endsWithin(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.done:
		return true
	case <-t.C:
		return false
	}
}
