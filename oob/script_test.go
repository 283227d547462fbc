package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// leakChecked runs the tests and looks for goroutines they left.
type leakChecked struct{ m *testing.M }

// Run runs the tests.
func (l leakChecked) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestMain(m *testing.M) {
	os.Exit(testscript.RunMain(leakChecked{m}, map[string]func() int{
		"oob": mainCode, "toy": toyMain, "VBoxManage": simVBoxMain, "VBoxHeadless": simVBoxMain,
	}))
}

// noExitSleep is the value of GORACE that has a process under the race detector
// exit at once: it would sleep for a second, a few hundred times.
const noExitSleep = "atexit_sleep_ms=0"

// TestScripts runs each script against a fake endpoint that serves the
// script's own files.
func TestScripts(t *testing.T) {
	here := newInProcess(t)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join(here.home, "testdata", "fake"),
		Setup: func(env *testscript.Env) error {
			f, err := startFake(filepath.Join(env.WorkDir, "oob.sock"), env.WorkDir)
			if err != nil {
				return err
			}
			env.Defer(f.close)
			env.Values[fakeKey{}] = f
			for name, value := range map[string]string{
				"OOB_SOCKET": f.socket, "OOB_ENDPOINT": "", "OOB_TOKEN": "", "HOME": env.WorkDir, "TZ": "UTC", "GORACE": noExitSleep,
			} {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":  here.cmdExits,
			"sent":   cmdSent,
			"forget": func(ts *testscript.TestScript, _ bool, _ []string) { ts.Value(fakeKey{}).(*fake).takeSent() },
		},
	})
}

// fakeKey is the key of a script's fake endpoint.
type fakeKey struct{}

// cmdExits runs oob in this process and wants it to exit with a code:
// exits CODE oob ARGS...
func (p *inProcess) cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || args[1] != "oob" {
		ts.Fatalf("usage: exits CODE oob ARGS...")
	}
	code, stdout, stderr := p.run(ts, args[2:])
	show(ts, stdout, stderr)
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// cmdSent compares what the fake endpoint was asked to change since the last
// time with a file: sent FILE; without a file it wants nothing.
func cmdSent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: sent [FILE]")
	}
	want := ""
	if len(args) == 1 {
		want = ts.ReadFile(args[0])
	}
	if got := ts.Value(fakeKey{}).(*fake).takeSent(); got != want {
		ts.Fatalf("the endpoint was sent:\n%swant:\n%s", got, want)
	}
}
