package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// inProcess runs oob for scripts in this process: under the race detector, to
// start it takes longer than most of what the scripts ask of it.
type inProcess struct {
	home string     // the directory of the tests
	mu   sync.Mutex // guards the working directory, which a process has one of
}

// newInProcess is what runs oob for the scripts of a test.
func newInProcess(t *testing.T) *inProcess {
	t.Helper()
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return &inProcess{home: home}
}

// run runs oob in the directory and the environment of a script.
func (p *inProcess) run(ts *testscript.TestScript, args []string) (code int, stdout, stderr string) {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	a, out, errs := testApp("")
	a.getenv = ts.Getenv
	ts.Check(p.within(ts.MkAbs("."), func() { code = run(ctx, a, args) }))
	return code, out.String(), errs.String()
}

// within calls fn with another working directory.
func (p *inProcess) within(dir string, fn func()) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := os.Chdir(dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Chdir(p.home)) }()
	fn()
	return nil
}

// show makes what was printed that of the script's command.
func show(ts *testscript.TestScript, stdout, stderr string) {
	_, outErr := ts.Stdout().Write([]byte(stdout))
	_, errsErr := ts.Stderr().Write([]byte(stderr))
	ts.Check(errors.Join(outErr, errsErr))
}

// TestInProcess: what runs in this process has the directory it is given, which
// is left again.
func TestInProcess(t *testing.T) {
	p := newInProcess(t)
	dir := t.TempDir()
	var here string
	err := p.within(dir, func() { here, _ = os.Getwd() })
	after, errAfter := os.Getwd()
	if err != nil || errAfter != nil || here != dir || after != p.home {
		t.Errorf("ran in %s and went back to %s: %v, %v", here, after, err, errAfter)
	}
	if err := p.within(dir+"/none", func() { t.Error("was called") }); err == nil {
		t.Error("a directory that is not there is no error")
	}
	var out bytes.Buffer
	a, _, _ := testApp("")
	a.stdout = &out
	if code := run(t.Context(), a, []string{"version"}); code != 0 || out.String() != version+"\n" {
		t.Errorf("exit code %d, printed %q", code, out.String())
	}
}
