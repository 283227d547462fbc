package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"provision-plugins/shared/model"
	manage "provision-plugins/virtualbox-ipmi/vbox"
)

// spyName is the name of a link to this program that stands before a VBoxManage:
// it notes what it was run with, and may kill who runs it.
const spyName = "VBoxSpy"

// Files of a spy's folder. A clean environment hands nothing else on.
const (
	spyReal = "real" // the path of the VBoxManage behind it
	spyKill = "kill" // "N before" or "N after": whoever runs the N-th command is killed
	spyLog  = "log"  // a line of JSON for each command that ended well
	spyRuns = "runs" // a byte for each command
)

// spy is a VBoxManage that is watched.
type spy struct{ dir string }

// newSpy stands before the VBoxManage at real.
func newSpy(tb testing.TB, real string) *spy {
	tb.Helper()
	s := &spy{dir: tb.TempDir()}
	program, err := helperPath()
	if err == nil {
		err = errors.Join(os.Symlink(program, filepath.Join(s.dir, spyName)), os.WriteFile(filepath.Join(s.dir, spyReal), []byte(real), 0o600))
	}
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// command is the spy's path.
func (s *spy) command() string { return filepath.Join(s.dir, spyName) }

// killAt has whoever runs the n-th command from now, counted from 0, killed before
// or after it.
func (s *spy) killAt(tb testing.TB, n int, when string) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, spyKill), fmt.Appendf(nil, "%d %s", n+s.runs(tb), when), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// runs counts the commands.
func (s *spy) runs(tb testing.TB) int {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir, spyRuns))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		tb.Fatal(err)
	}
	return len(raw)
}

// done lists the commands that ended well.
func (s *spy) done(tb testing.TB) (all [][]string) {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir, spyLog))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		tb.Fatal(err)
	}
	for line := range bytes.Lines(raw) {
		var args []string
		if err := json.Unmarshal(line, &args); err != nil {
			tb.Fatal(err)
		}
		all = append(all, args)
	}
	return all
}

// spyMain is the spy's process.
func spyMain(argv []string) int {
	dir := filepath.Dir(argv[0])
	number, err := appendTo(filepath.Join(dir, spyRuns), []byte("x"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "spy:", err)
		return 99
	}
	at, when := -1, ""
	if raw, err := os.ReadFile(filepath.Join(dir, spyKill)); err == nil {
		text, rest, _ := strings.Cut(string(raw), " ")
		if n, err := strconv.Atoi(text); err == nil {
			at, when = n, rest
		}
	}
	real, err := os.ReadFile(filepath.Join(dir, spyReal))
	if err != nil {
		return 99
	}
	if at == int(number) && when == "before" {
		_ = syscall.Kill(os.Getppid(), syscall.SIGKILL) // who is gone already is as good as killed
		return 1
	}
	cmd := exec.Command(string(real), argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	if err == nil {
		line, _ := json.Marshal(argv[1:]) // strings always encode
		if _, err := appendTo(filepath.Join(dir, spyLog), append(line, '\n')); err != nil {
			return 99
		}
	}
	if at == int(number) && when == "after" {
		_ = syscall.Kill(os.Getppid(), syscall.SIGKILL)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// appendTo appends to a file under a lock and returns how long it was before.
func appendTo(path string, text []byte) (before int64, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	_, err = f.Write(text)
	return info.Size(), err
}

// envActions makes this program a plugin's process that runs actions; its value
// is a plan in JSON.
const envActions = "VBOX_TEST_ACTIONS"

// errand is what such a process does.
type errand struct {
	Command, LockDir string
	Actions          []string
	Params           model.Params
	Plugin           bool // the actions are on the plugin, not on a machine
}

// actionsMain runs the actions one after the other. Its exit code is 0 only if
// all succeeded.
func actionsMain([]string) int {
	var e errand
	if err := json.Unmarshal([]byte(os.Getenv(envActions)), &e); err != nil {
		return 2
	}
	i := newImpl()
	i.driver.manage(manage.Options{Command: e.Command, LockDir: e.LockDir})
	for _, command := range e.Actions {
		a := &model.Action{Command: command, Params: e.Params, Model: &model.Machine{Name: "m1", Uuid: "8d1e0d8a-5f0f-4d0b-9d53-1f9d3f1a0c11"}}
		if e.Plugin {
			a.Model = &model.Plugin{Name: name}
		}
		if _, err := i.Action(context.Background(), a); err != nil {
			fmt.Fprintln(os.Stderr, command+":", err)
			return 1
		}
	}
	return 0
}

// runErrand runs such a process and reports whether it was killed. Any other end
// than that and success fails the test.
func runErrand(tb testing.TB, e errand) (killed bool) {
	tb.Helper()
	raw, err := json.Marshal(e)
	if err != nil {
		tb.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), envActions+"="+string(raw))
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL && ctx.Err() == nil:
		return true
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		tb.Log(lines.Text())
	}
	tb.Fatalf("the plugin's process ended otherwise than by the kill: %v", err)
	return false
}
