package vbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"syscall"
	"time"
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
		defer func() { <-m.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("cannot run VBoxManage %s: waited for other commands: %w", c.name(), context.Cause(ctx))
	}
	argv, err := m.argv(c.args)
	if err != nil {
		return nil, &Error{Command: c.name(), Class: NoCommand, Text: err.Error(), Exit: -1, cause: err}
	}
	limit := m.timeout(c)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stdout, stderr := &capped{most: maxOut}, &capped{most: maxErr}
	began := time.Now()
	err = m.process(ctx, argv, stdout, stderr)
	took := time.Since(began)
	o := outcome{call: c, stdout: stdout, stderr: stderr, err: err, took: took, stopped: ctx.Err() != nil}
	err = m.judge(&o)
	m.opts.Logger.Debug("VBoxManage", "args", c.args, "took", took, "error", err)
	return stdout.Bytes(), err
}

// process runs argv to its end. When ctx ends first, the process and all of its
// group are killed.
func (m *Manager) process(ctx context.Context, argv []string, stdout, stderr *capped) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = m.environ()
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = drainFor
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState != nil && cmd.ProcessState.Success() {
		// It ended well; only a service it started still holds its output.
		return nil
	}
	return err
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
func (m *Manager) environ() []string {
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
	bytes.Buffer
	most    int
	dropped int
}

// Write keeps what there is room for. It never fails, so that the command does
// not end by a broken pipe.
func (c *capped) Write(p []byte) (int, error) {
	room := min(len(p), c.most-c.Len())
	c.dropped += len(p) - room
	c.Buffer.Write(p[:room])
	return len(p), nil
}
