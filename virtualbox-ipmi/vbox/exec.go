package vbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"sync"
	"syscall"
	"time"

	"provision-plugins/shared/model"
)

// Bounds of what a command may print. A log may be longer than what is kept of
// it; of anything else the rest would be missed.
const (
	maxOut = 4 << 20
	maxErr = 64 << 10
)

// drainFor is how long the output of a command that has ended is waited for,
// while a child of it still holds the pipe.
const drainFor = 500 * time.Millisecond

// exec runs a command once, within its bounds.
func (m *Manager) exec(ctx context.Context, c *call) ([]byte, error) {
	select {
	case m.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, notRun(ctx, c)
	}
	free := sync.OnceFunc(func() { <-m.slots })
	argv, err := m.argv(c.args)
	if err != nil {
		free()
		return nil, &Error{Command: c.name(), Class: NoCommand, Text: err.Error(), Exit: -1, cause: err}
	}
	if ctx.Err() != nil {
		free()
		return nil, notRun(ctx, c)
	}
	limited, cancel := context.WithTimeout(ctx, m.timeout(c))
	defer cancel()
	o := outcome{call: c, stdout: &capped{most: maxOut}, stderr: &capped{most: maxErr}}
	began := time.Now()
	m.process(limited, argv, &o, free)
	o.took, o.stopped = time.Since(began), limited.Err() != nil
	err = m.judge(&o)
	m.opts.Logger.Debug("VBoxManage", "args", c.args, "took", o.took, "error", err)
	return o.stdout.bytes(), err
}

// notRun is the error of a command that was not run, because ctx ended first.
func notRun(ctx context.Context, c *call) error {
	return model.Errorf(model.Timeout, "cannot run VBoxManage %s: waited for other commands: %w", c.name(), context.Cause(ctx))
}

// errUnkillable is how the wait for a process ends that we may not kill, such as
// sudo's when we are not root.
var errUnkillable = errors.New("it cannot be killed, and goes on")

// process runs argv and waits for its end. When ctx ends first, the process and
// all of its group are killed. One that cannot be killed keeps its place among
// those that run at once until it ends; free gives it back.
func (m *Manager) process(ctx context.Context, argv []string, o *outcome, free func()) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = environ()
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = o.stdout, o.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = drainFor
	cmd.Cancel = func() error {
		err := m.kill(-cmd.Process.Pid)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
	if o.err = cmd.Start(); o.err != nil {
		free()
		return
	}
	o.started = true
	ended := make(chan error, 1)
	go func() { // ends with the process
		defer free()
		err := cmd.Wait()
		if errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success() {
			err = nil // it ended well; only a service it started still holds its output
		}
		ended <- err
	}()
	select {
	case o.err = <-ended:
		return
	case <-ctx.Done():
	}
	grace := time.NewTimer(4 * drainFor)
	defer grace.Stop()
	select {
	case o.err = <-ended:
	case <-grace.C:
		o.err = errUnkillable
	}
}

// argv is the whole command line: VBoxManage, through sudo for another user.
func (m *Manager) argv(args []string) ([]string, error) {
	command, err := m.command()
	if err != nil {
		return nil, err
	}
	other, err := m.otherUser()
	if err != nil || !other {
		return append([]string{command}, args...), err
	}
	sudo, err := exec.LookPath("sudo")
	if err != nil {
		return nil, fmt.Errorf("cannot act as user %s: %w", m.opts.User, err)
	}
	return append([]string{sudo, "-n", "-H", "-u", m.opts.User, "--", command}, args...), nil
}

// command finds VBoxManage.
func (m *Manager) command() (string, error) {
	if m.opts.Command != "" {
		return exec.LookPath(m.opts.Command)
	}
	path, err := exec.LookPath("VBoxManage")
	if err != nil {
		if lower, also := exec.LookPath("vboxmanage"); also == nil {
			return lower, nil
		}
	}
	return path, err
}

// otherUser reports whether commands run as somebody else.
func (m *Manager) otherUser() (bool, error) {
	if m.opts.User == "" {
		return false, nil
	}
	self, err := user.Current()
	if err != nil {
		return false, fmt.Errorf("cannot tell who we are: %w", err)
	}
	return m.opts.User != self.Username && m.opts.User != self.Uid, nil
}

// passed are the variables that VirtualBox finds its settings, its service and
// a display by.
var passed = []string{
	"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "VBOX_USER_HOME", "VBOX_IPC_SOCKETID",
	"DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY",
}

// environ is the environment of a command: nothing but what it needs, in the one
// language that keeps its text whole.
func environ() []string {
	env := []string{"LC_ALL=C.UTF-8"}
	have := map[string]string{}
	for _, name := range passed {
		if value, ok := os.LookupEnv(name); ok {
			have[name] = value
		}
	}
	if self, err := user.Current(); err == nil {
		fill(have, "HOME", self.HomeDir)
		fill(have, "USER", self.Username)
		fill(have, "LOGNAME", self.Username)
	}
	fill(have, "PATH", "/usr/local/bin:/usr/bin:/bin")
	for _, name := range passed {
		if value, ok := have[name]; ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// fill sets what is missing.
func fill(have map[string]string, name, value string) {
	if have[name] == "" {
		have[name] = value
	}
}

// capped keeps the first bytes written to it, and counts the rest.
type capped struct {
	most int

	mu      sync.Mutex // guards what follows: a process that was given up may still write
	buf     bytes.Buffer
	dropped int
}

// Write keeps what there is room for. It never fails, so that the command does
// not end by a broken pipe.
func (c *capped) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	room := min(len(p), c.most-c.buf.Len())
	c.dropped += len(p) - room
	c.buf.Write(p[:room])
	return len(p), nil
}

// bytes is a copy of what was kept.
func (c *capped) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.buf.Bytes())
}

// over is how much was not kept.
func (c *capped) over() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped
}
