package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestReal runs each script with the real daemon and a toy plugin.
func TestReal(t *testing.T) { runScripts(t, "real", installToy) }

// TestWhole runs each script with the real daemon and the ipmi plugin.
func TestWhole(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "ipmi")
	buildPlugin(t, binary)
	runScripts(t, "whole", func(dir string) error { return installPlugin(binary, dir) })
}

// runScripts runs each script of a folder, with the plugins that install puts
// into the plugin directory.
func runScripts(t *testing.T, dir string, install func(dir string) error) {
	here := newInProcess(t)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join(here.home, "testdata", dir),
		Setup: func(env *testscript.Env) error {
			d := &daemons{running: map[string]*daemon{}}
			env.Values[daemonsKey{}] = d
			env.Defer(d.killAll)
			for name, value := range map[string]string{
				"OOB_SOCKET": filepath.Join(env.WorkDir, "d", "oob.sock"), "OOB_ENDPOINT": "", "OOB_TOKEN": "", "HOME": env.WorkDir, "TZ": "UTC", "GORACE": noExitSleep,
			} {
				env.Setenv(name, value)
			}
			return install(filepath.Join(env.WorkDir, "plugins"))
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":      here.cmdExits,
			"start":      cmdStart,
			"term":       cmdTerm,
			"eventually": here.cmdEventually,
			"until":      here.cmdUntil,
			"setoutput":  cmdSetOutput,
			"setstdout":  cmdSetStdout,
		},
	})
}

// installToy puts the toy plugin into a plugin directory.
func installToy(dir string) error {
	binary, err := exec.LookPath("toy")
	if err != nil {
		return err
	}
	return installPlugin(binary, dir)
}

// installPlugin puts a plugin's binary into a plugin directory.
func installPlugin(binary, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, filepath.Base(binary))
	if os.Link(binary, path) != nil {
		raw, err := os.ReadFile(binary)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, raw, 0o755); err != nil {
			return err
		}
	}
	// Not writable by others, whatever the umask, and old: a file that was
	// changed a moment ago is watched for a second before it is run. The time is
	// the same in every script, since they may share the file.
	old := time.Unix(1_000_000_000, 0)
	return errors.Join(os.Chmod(dir, 0o755), os.Chmod(path, 0o755), os.Chtimes(path, old, old))
}

// bound is how long a script waits for what must come.
const bound = 60 * time.Second

// daemonsKey is the key of a script's daemons.
type daemonsKey struct{}

// daemons are the processes a script has started, by name.
type daemons struct{ running map[string]*daemon }

// daemon is a process in the background.
type daemon struct {
	cmd   *exec.Cmd
	lines *lineBuffer
	ended chan error
}

// lineBuffer keeps output and tells when it grows.
type lineBuffer struct {
	mu    sync.Mutex // guards what follows
	text  bytes.Buffer
	grown chan struct{} // closed and replaced at every write
}

// Write keeps output.
func (b *lineBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(p)
	close(b.grown)
	b.grown = make(chan struct{})
	return len(p), nil
}

// look returns the output so far, and a channel that closes when it grows.
func (b *lineBuffer) look() (string, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String(), b.grown
}

// killAll ends what a script has left running.
func (d *daemons) killAll() {
	for _, p := range d.running {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(bound):
			_ = p.cmd.Process.Kill()
			<-p.ended
		}
	}
}

// cmdStart starts oob in the background and waits for a line of its output:
// start NAME REGEXP ARGS...
func cmdStart(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: start NAME REGEXP ARGS...")
	}
	path, err := exec.LookPath("oob")
	ts.Check(err)
	p := &daemon{cmd: exec.Command(path, args[2:]...), ended: make(chan error, 1)}
	p.lines = &lineBuffer{grown: make(chan struct{})}
	p.cmd.Dir = ts.MkAbs(".")
	p.cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("WORK"), "OOB_SOCKET="+ts.Getenv("OOB_SOCKET"), "TZ=UTC", "GORACE="+noExitSleep)
	log := &bytes.Buffer{}
	p.cmd.Stdout, p.cmd.Stderr = p.lines, io.Writer(log)
	ts.Check(p.cmd.Start())
	go func() { p.ended <- p.cmd.Wait() }()
	ts.Value(daemonsKey{}).(*daemons).running[args[0]] = p
	wanted := regexp.MustCompile("(?m)" + args[1])
	timeout := time.After(bound)
	for {
		text, grown := p.lines.look()
		if wanted.MatchString(text) {
			return
		}
		select {
		case <-grown:
		case err := <-p.ended:
			p.ended <- err
			ts.Fatalf("%s ended: %v\n%s%s", args[0], err, text, log)
		case <-timeout:
			ts.Fatalf("%s does not print %s:\n%s", args[0], args[1], text)
		}
	}
}

// cmdTerm ends a process by SIGTERM and wants it to exit with 0; its stdout
// goes to a file: term NAME FILE
func cmdTerm(ts *testscript.TestScript, _ bool, args []string) {
	all := ts.Value(daemonsKey{}).(*daemons)
	p := all.running[args[0]]
	ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-p.ended:
		delete(all.running, args[0])
		ts.Check(err)
	case <-time.After(bound):
		ts.Fatalf("%s does not end", args[0])
	}
	text, _ := p.lines.look()
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// cmdSetOutput sets a variable to what a regexp's group finds in the output of
// a daemon: setoutput VAR NAME REGEXP
func cmdSetOutput(ts *testscript.TestScript, _ bool, args []string) {
	text, _ := ts.Value(daemonsKey{}).(*daemons).running[args[1]].lines.look()
	found := regexp.MustCompile("(?m)" + args[2]).FindStringSubmatch(text)
	if found == nil {
		ts.Fatalf("%s is not in:\n%s", args[2], text)
	}
	ts.Setenv(args[0], found[1])
}

// cmdSetStdout sets a variable to what a regexp's group finds in what the last
// command printed: setstdout VAR REGEXP
func cmdSetStdout(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile("stdout")
	found := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(text)
	if found == nil {
		ts.Fatalf("%s is not in:\n%s", args[1], text)
	}
	ts.Setenv(args[0], found[1])
}

// cmdEventually runs oob again and again until its output matches:
// eventually REGEXP oob ARGS...
func (p *inProcess) cmdEventually(ts *testscript.TestScript, _ bool, args []string) {
	p.repeat(ts, args, func(printed string) string { return printed })
}

// cmdUntil runs oob again and again until the output of a daemon matches:
// until NAME REGEXP oob ARGS...
func (p *inProcess) cmdUntil(ts *testscript.TestScript, _ bool, args []string) {
	d := ts.Value(daemonsKey{}).(*daemons).running[args[0]]
	p.repeat(ts, args[1:], func(string) string {
		text, _ := d.lines.look()
		return text
	})
}

// repeat runs oob, whether or not it fails, until what output makes of what it
// printed matches. %ATTEMPT in an argument is how often it was run: what is set
// to the value that it has is no event.
func (p *inProcess) repeat(ts *testscript.TestScript, args []string, output func(printed string) string) {
	if len(args) < 3 || args[1] != "oob" {
		ts.Fatalf("want REGEXP oob ARGS..., not %q", args)
	}
	wanted := regexp.MustCompile("(?m)" + args[0])
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(bound)
	for attempt := 1; ; attempt++ {
		command := slices.Clone(args[2:])
		for i := range command {
			command[i] = strings.ReplaceAll(command[i], "%ATTEMPT", strconv.Itoa(attempt))
		}
		_, stdout, stderr := p.run(ts, command)
		if wanted.MatchString(output(stdout + stderr)) {
			show(ts, stdout, stderr)
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			ts.Fatalf("%s: never %s, but:\n%s", strings.Join(args[1:], " "), args[0], output(stdout+stderr))
		}
	}
}
