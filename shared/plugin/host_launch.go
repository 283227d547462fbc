package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"provision-plugins/shared/model"
)

// The defaults of LaunchOptions.
const (
	defaultReadyTimeout = 10 * time.Second
	defaultTermAfter    = 15 * time.Second
	defaultKillAfter    = 10 * time.Second
)

// The two sockets in a process's folder, and the file descriptors at which a
// plugin finds the lifeline and the key: the first after the standard three.
const (
	socketTo   = "to"
	socketFrom = "from"
	lifelineFD = 3
	keyFD      = 4
)

// withDefaults fills what is not set.
func (o LaunchOptions) withDefaults() LaunchOptions {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = o.Logger.With("plugin", o.Name)
	if o.Handler == nil {
		o.Handler = quietHandler{o.Logger}
	}
	o.ReadyTimeout = cmp.Or(o.ReadyTimeout, defaultReadyTimeout)
	o.TermAfter = cmp.Or(o.TermAfter, defaultTermAfter)
	o.KillAfter = cmp.Or(o.KillAfter, defaultKillAfter)
	return o
}

// Launch starts a plugin process and returns when it is READY. The process is
// not bound to ctx; Stop ends it.
func Launch(ctx context.Context, o LaunchOptions) (*Process, error) {
	p := &Process{options: o.withDefaults(), key: newKey(), done: make(chan struct{})}
	p.printed = newPrinted(p.options.Logger)
	if err := p.start(); err != nil {
		p.clean()
		return nil, model.Errorf(model.Unreachable, "cannot launch plugin %s (%s): %w", o.Name, o.Path, err)
	}
	if err := p.awaitReady(ctx); err != nil {
		p.killed.Store(true)
		_ = signalGroup(p.Pid(), syscall.SIGKILL) // it may have ended by itself
		<-p.done
		return nil, model.Errorf(model.Unreachable, "cannot launch plugin %s (%s): %w%s", o.Name, o.Path, err, p.printed.why())
	}
	return p, nil
}

// later adds a step to clean, which runs them last first.
func (p *Process) later(step func()) { p.cleanups = append(p.cleanups, step) }

// clean undoes start. It is called once.
func (p *Process) clean() {
	for i := len(p.cleanups) - 1; i >= 0; i-- {
		p.cleanups[i]()
	}
}

// start makes the sockets and starts the process.
func (p *Process) start() error {
	dir, err := os.MkdirTemp(p.options.RuntimeDir, "p")
	if err != nil {
		return fmt.Errorf("cannot make a folder for its sockets: %w", err)
	}
	p.later(func() { _ = os.RemoveAll(dir) })
	p.later(p.resting.close)
	p.later(p.stream.end)
	p.socket = filepath.Join(dir, socketTo)
	from := filepath.Join(dir, socketFrom)
	if len(from) > maxSocketPath {
		return fmt.Errorf("the runtime directory's path is too long: %s has %d bytes, a unix socket may have %d", from, len(from), maxSocketPath)
	}
	l, err := net.Listen("unix", from)
	if err != nil {
		return err
	}
	in := &inbound{handler: p.options.Handler, logger: p.options.Logger}
	hs := in.server()
	served := serveInbound(hs, l)
	p.later(func() {
		_ = hs.Close() // what the dead plugin's connections held is lost with it
		<-served
	})
	return p.spawn(from)
}

// spawn starts the process with its pipes, and what waits for its end.
func (p *Process) spawn(from string) error {
	var pipes pipes
	defer pipes.closeChildEnds()
	for _, writes := range []bool{true, true, false, false} {
		if err := pipes.add(writes); err != nil {
			pipes.closeOwnEnds()
			return err
		}
	}
	life, key, stdout, stderr := pipes[0], pipes[1], pipes[2], pipes[3]
	_, err := key.w.Write(p.key) // a new pipe has room for it
	if err != nil {
		pipes.closeOwnEnds()
		return fmt.Errorf("cannot hand the key over: %w", err)
	}
	// Not bound to a context: the process outlives the call that launched it.
	cmd := p.options.command(context.Background(), "listen", p.socket, from)
	cmd.Env = append(cmd.Env, EnvLifeline+"="+strconv.Itoa(lifelineFD), EnvPrincipalKey+"="+strconv.Itoa(keyFD))
	if p.options.StateDir != "" {
		cmd.Env = append(cmd.Env, EnvStateDir+"="+p.options.StateDir)
	}
	cmd.ExtraFiles = []*os.File{life.r, key.r}
	cmd.Stdout, cmd.Stderr = stdout.w, stderr.w
	if err := p.options.start(cmd, filepath.Dir(from), p.options.StateDir); err != nil {
		pipes.closeOwnEnds()
		return err
	}
	p.cmd = cmd
	_ = key.w.Close() // what was written stays readable
	p.later(func() { _ = life.w.Close() })
	go p.reap(stdout.r, stderr.r)
	return nil
}

// pipe is an os.Pipe; own is the end the host keeps.
type pipe struct{ r, w, own *os.File }

// pipes are those of one process: lifeline, key, stdout and stderr.
type pipes []pipe

// add makes one more, of which the host keeps the end that writes or the other.
func (ps *pipes) add(writes bool) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("cannot make a pipe: %w", err)
	}
	own := r
	if writes {
		own = w
	}
	*ps = append(*ps, pipe{r, w, own})
	return nil
}

// closeChildEnds closes the ends that the process has.
func (ps *pipes) closeChildEnds() {
	for _, p := range *ps {
		if p.own == p.r {
			_ = p.w.Close() // closing an end of a pipe does not fail
		} else {
			_ = p.r.Close()
		}
	}
}

// closeOwnEnds closes the ends that the host kept.
func (ps *pipes) closeOwnEnds() {
	for _, p := range *ps {
		_ = p.own.Close()
	}
}

// awaitReady waits until the process listens.
func (p *Process) awaitReady(ctx context.Context) error {
	late := time.NewTimer(p.options.ReadyTimeout)
	defer late.Stop()
	select {
	case <-p.printed.ready:
		return nil
	case <-p.done:
		return fmt.Errorf("it ended before it was ready: %w", p.Err())
	case <-late.C:
		return fmt.Errorf("it was not ready within %v", p.options.ReadyTimeout)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// reap follows the process's output, waits for its end and cleans up.
func (p *Process) reap(stdout, stderr *os.File) {
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		errorsDone := make(chan struct{})
		go func() {
			defer close(errorsDone)
			p.printed.follow(stderr, slog.LevelWarn, false)
		}()
		p.printed.follow(stdout, slog.LevelInfo, true)
		<-errorsDone
	}()
	err := p.cmd.Wait()
	// Children of the plugin may hold its output open; they are not waited for.
	grace := time.NewTimer(pipeGrace)
	select {
	case <-followed:
	case <-grace.C:
	}
	grace.Stop()
	_ = stdout.Close()
	_ = stderr.Close()
	<-followed
	p.err = p.verdict(err)
	p.clean()
	close(p.done)
}

// verdict words the end of the process, nil for a stop in order.
func (p *Process) verdict(err error) error {
	switch {
	case p.killed.Load() && err != nil:
		return errors.New("it had to be killed")
	case err != nil:
		return err
	case !p.stopping.Load():
		return errors.New("it ended without being told to")
	}
	return nil
}
