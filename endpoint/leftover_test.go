package endpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// idle starts a process in a group of its own that does nothing.
func idle(t *testing.T) (*exec.Cmd, <-chan struct{}) {
	t.Helper()
	if startTime(os.Getpid()) == "" {
		t.Skip("no /proc here")
	}
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // it is killed
	}()
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		<-done
	})
	return cmd, done
}

func TestALeftoverIsWaitedForBeforeALaunch(t *testing.T) {
	t.Parallel()
	r := newRig(t, "toy")
	cmd, _ := idle(t)
	state := filepath.Join(r.opts.DataDir, "state", "toy")
	if err := errors.Join(os.MkdirAll(state, 0o700), os.Chmod(r.opts.DataDir, 0o700), noteProcess(state, cmd.Process.Pid)); err != nil {
		t.Fatal(err)
	}
	r.start()
	eventually(t, "waiting", func() bool { return strings.Contains(r.log.String(), "waiting for a process") })
	if got := r.lines("config-toy"); got != nil {
		t.Errorf("configured beside the leftover: %v", got)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	r.ready("toy")
}

func TestALeftoverThatStaysIsKilled(t *testing.T) {
	t.Parallel()
	cmd, done := idle(t)
	dir := t.TempDir()
	if err := noteProcess(dir, cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := awaitLeftover(t.Context(), dir, time.Millisecond, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	<-done
}

func TestWaitingForALeftoverEndsWithItsContext(t *testing.T) {
	t.Parallel()
	cmd, _ := idle(t)
	dir := t.TempDir()
	if err := noteProcess(dir, cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := awaitLeftover(ctx, dir, time.Hour, slog.New(slog.DiscardHandler)); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsNoLeftover(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "words": "hello world", "init": "1 1", "negative": "-5 7",
		"another process with that pid": fmt.Sprintf("%d 1", os.Getpid()), "no start": fmt.Sprint(os.Getpid()),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, processFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if pid, err := leftover(dir); pid != 0 || err != nil {
			t.Errorf("%s: %d, %v", name, pid, err)
		}
	}
	if pid, err := leftover(t.TempDir()); pid != 0 || err != nil {
		t.Errorf("no file: %d, %v", pid, err)
	}
}
