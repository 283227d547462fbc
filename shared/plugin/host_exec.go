package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin/sandbox"
)

const (
	// toolTimeout bounds define and unpack where ctx does not.
	toolTimeout = 10 * time.Second
	// maxToolErrors is how much of a tool's stderr is kept.
	maxToolErrors = 64 << 10
	// pipeGrace is how long a dead process's children may keep its output open.
	pipeGrace = time.Second
	// busyWait is how long a binary rests at first that is still being written.
	busyWait = 2 * time.Millisecond
)

// Define runs the binary's define and returns what it printed, checked. It is
// bounded by ctx, and by ten seconds where ctx has no deadline.
func Define(ctx context.Context, e Exec) (*model.PluginProvider, error) {
	out, err := runTool(ctx, e, "define")
	if err != nil {
		return nil, err
	}
	def := &model.PluginProvider{}
	if err := model.Unmarshal(out, def); err != nil {
		return nil, model.Errorf(model.Invalid, "cannot define %s: what it printed is no definition: %s, in %q",
			e.Path, model.AsError(err).Text(), oneLine(string(out[:min(len(out), 1024)]), 80))
	}
	if err := checkDefinition(def); err != nil {
		return nil, model.Errorf(model.Invalid, "cannot define %s: %w", e.Path, err)
	}
	return def, nil
}

// checkDefinition refuses what cannot be a plugin of this protocol.
func checkDefinition(def *model.PluginProvider) error {
	switch {
	case def.Name == "":
		return errors.New("the definition it printed has no Name")
	case len(def.Name) > 255 || strings.ContainsAny(def.Name, "/\\\x00\n"):
		return fmt.Errorf("the definition it printed has a Name that cannot be used: %q", cut(def.Name, 64))
	case def.PluginVersion != model.PluginVersion:
		return fmt.Errorf("it speaks plugin protocol %d; this host speaks %d", def.PluginVersion, model.PluginVersion)
	}
	for _, a := range def.AvailableActions {
		if a.Command == "" {
			return errors.New("the definition it printed has an action without Command")
		}
	}
	return nil
}

// Unpack lets the binary write its files below dir. It is bounded as Define.
func Unpack(ctx context.Context, e Exec, dir string) error {
	if e.Sandbox != nil {
		inside := e.Sandbox.With(sandbox.Rules{Write: []string{dir}})
		e.Sandbox = &inside
	}
	_, err := runTool(ctx, e, "unpack", dir)
	return err
}

// runTool runs the binary to its end and returns its bounded output.
func runTool(ctx context.Context, e Exec, args ...string) ([]byte, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, toolTimeout)
		defer cancel()
	}
	began := time.Now()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stdout := &boundedBuffer{limit: model.MaxBody, full: stop}
	stderr := &boundedBuffer{limit: maxToolErrors}
	run := func() error {
		cmd := e.command(ctx, args...)
		cmd.Stdout, cmd.Stderr = stdout, stderr
		if err := e.start(cmd); err != nil {
			return err
		}
		return cmd.Wait()
	}
	err := run()
	// A program that was started elsewhere at the moment when the file was written
	// holds it open for writing until it is itself: a matter of milliseconds.
	for wait := busyWait; errors.Is(err, syscall.ETXTBSY) && ctx.Err() == nil; wait *= 2 {
		pause(ctx, wait)
		err = run()
	}
	kind := model.Invalid
	switch {
	case stdout.over:
		err = fmt.Errorf("it printed more than %d MiB", model.MaxBody>>20)
	case ctx.Err() != nil:
		kind, err = model.Timeout, fmt.Errorf("it did not end within %v", time.Since(began).Round(time.Millisecond))
	case err != nil && stderr.kept.Len() > 0:
		err = fmt.Errorf("%w: %s", err, complaint(stderr.kept.String()))
	}
	if err != nil {
		return nil, model.Errorf(kind, "cannot %s %s: %w", args[0], e.Path, err)
	}
	return stdout.kept.Bytes(), nil
}

// command prepares the binary with its own environment and process group, all
// of which is killed when ctx ends.
func (e Exec) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.Path, args...)
	cmd.Env = append(make([]string, 0, len(e.Env)+3), e.Env...)
	cmd.Dir = e.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = pipeGrace
	cmd.Cancel = func() error { return signalGroup(cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// start starts a command of the binary inside its sandbox, where it has one.
// more are directories of its own.
func (e Exec) start(cmd *exec.Cmd, more ...string) error {
	if e.Sandbox == nil {
		return cmd.Start()
	}
	own := sandbox.Rules{Run: []string{e.Path}}
	for _, dir := range append(more, e.Dir) {
		if dir != "" {
			own.Write = append(own.Write, dir)
		}
	}
	rules := sandbox.System().With(*e.Sandbox).With(own)
	return sandbox.Start(cmd, &rules)
}

// signalGroup signals a whole process group.
func signalGroup(pid int, sig syscall.Signal) error { return syscall.Kill(-pid, sig) }

// complaint finds the line that says what went wrong: the first that looks like
// an error, else the last.
func complaint(stderr string) string {
	last := ""
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		for _, prefix := range []string{"Error: ", "panic: ", "fatal error: "} {
			if strings.HasPrefix(line, prefix) {
				return oneLine(line, 300)
			}
		}
		if line != "" {
			last = line
		}
	}
	return oneLine(last, 300)
}

// boundedBuffer keeps the first limit bytes. One byte more calls full, if that
// is set. The buffer is no embedded field: its ReadFrom would not be bounded.
type boundedBuffer struct {
	kept  bytes.Buffer
	limit int
	over  bool
	full  func()
}

// Write keeps what fits. It takes everything, so that the writer goes on.
func (b *boundedBuffer) Write(p []byte) (int, error) {
	room := b.limit - b.kept.Len()
	if len(p) <= room {
		return b.kept.Write(p)
	}
	b.kept.Write(p[:room])
	if !b.over && b.full != nil {
		b.full()
	}
	b.over = true
	return len(p), nil
}
