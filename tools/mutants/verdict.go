package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"provision-plugins/shared/model"
)

const (
	// testLimit bounds the tests of one package. A test that hangs because of a
	// patch has noticed it.
	testLimit = "2m"
	// goLimit bounds one call of go test, compiling included.
	goLimit = 15 * time.Minute
	// killAfter is how long an interrupted go test has to end its tests.
	killAfter = 10 * time.Second
)

// Verdict is what the tests say to a patch.
type Verdict struct {
	// Test is the first test that failed; empty if the patch survived. What
	// fails outside of every test, such as the check for leaks, is TestMain.
	Test string
	// Package is where the test is.
	Package string
	// Took is the time from the start to the end, compiling included.
	Took time.Duration
}

// Caught reports whether a test failed.
func (v Verdict) Caught() bool { return v.Test != "" }

// Test runs the tests that must notice the patch, with it in. They are taken to
// pass without it. scratch is a folder for the patched copy.
func (p *Patch) Test(ctx context.Context, root, scratch string) (Verdict, error) {
	overlay, err := p.overlay(root, scratch)
	if err != nil {
		return Verdict{}, err
	}
	args := []string{"test", "-json", "-overlay", overlay, "-count=1", "-failfast", "-vet=off", "-p=1", "-parallel=1", "-timeout=" + testLimit}
	if p.Pattern != "" {
		args = append(args, "-run", p.Pattern)
	}
	ctx, cancel := context.WithTimeout(ctx, goLimit)
	defer cancel()
	began := time.Now()
	cmd := exec.CommandContext(ctx, "go", append(args, p.Packages...)...)
	cmd.Dir = root
	// What is compiled without cgo needs no C compiler, and links faster.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = killAfter
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, runErr := cmd.Output()
	if err := ctx.Err(); err != nil {
		return Verdict{}, model.Errorf(model.Timeout, "cannot test patch %s: %w", p.Name, err)
	}
	told, err := listen(bytes.NewReader(out))
	switch {
	case err != nil:
		return Verdict{}, model.Errorf(model.Internal, "cannot read the tests of patch %s: %w", p.Name, err)
	case told.broken != "":
		return Verdict{}, model.Errorf(model.Invalid, "cannot compile patch %s: %s", p.Name, told.broken)
	case runErr != nil && !told.verdict.Caught():
		return Verdict{}, model.Errorf(model.Invalid, "cannot test patch %s: %w: %s", p.Name, runErr, strings.TrimSpace(stderr.String()))
	case told.tests == 0 && !told.verdict.Caught():
		return Verdict{}, model.Errorf(model.Invalid, "cannot test patch %s: no test in %s is called %q", p.Name, strings.Join(p.Packages, " "), p.Pattern)
	}
	told.verdict.Took = time.Since(began)
	return told.verdict, nil
}

// event is a line of go test -json.
type event struct {
	Action      string
	Package     string
	Test        string
	Output      string
	FailedBuild string
}

// told is what go test said.
type told struct {
	verdict Verdict
	tests   int      // how many were run
	open    []string // those that have not ended, the one started last at the end
	broken  string   // what the compiler said, if it failed
}

// ends are the actions with which a test, or a package, ends.
var ends = []string{"pass", "fail", "skip"}

// listen reads the events of go test -json.
func listen(r io.Reader) (told, error) {
	var t told
	var compiler strings.Builder
	failedBuild := false
	lines := json.NewDecoder(r)
	for {
		var e event
		err := lines.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return t, err
		}
		switch e.Action {
		case "build-output":
			compiler.WriteString(e.Output)
		case "run":
			t.tests++
			t.open = append(t.open, e.Test)
		case "fail":
			failedBuild = failedBuild || e.FailedBuild != ""
			t.failed(e)
		}
		if slices.Contains(ends, e.Action) {
			t.open = slices.DeleteFunc(t.open, func(name string) bool { return name == e.Test || e.Test == "" })
		}
	}
	if failedBuild {
		t.broken = strings.Join(strings.Fields(compiler.String()), " ")
	}
	return t, nil
}

// failed notes the first failure. A test fails before the test it is part of,
// and that before its package. A package that dies in the middle of a test, as
// when its time is over, fails in that test.
func (t *told) failed(e event) {
	if t.verdict.Caught() || e.FailedBuild != "" {
		return
	}
	t.verdict.Test, t.verdict.Package = e.Test, e.Package
	if e.Test != "" {
		return
	}
	t.verdict.Test = "TestMain"
	if n := len(t.open); n > 0 {
		t.verdict.Test = t.open[n-1]
	}
}
