package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"provision-plugins/shared/model"
)

// testApp is an app that prints into buffers.
func testApp(in string) (a *app, stdout, stderr *bytes.Buffer) {
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	a = &app{
		stdin: strings.NewReader(in), stdout: stdout, stderr: stderr,
		getenv:  func(string) string { return "" },
		signals: func() (<-chan os.Signal, func()) { return nil, func() {} },
	}
	return a, stdout, stderr
}

// wide is the width of a terminal.
func wide() int { return 80 }

// result is an answer with a result.
func result(name, raw string) answer {
	return answer{machine: machine{name: name}, raw: []byte(raw)}
}

// fault is an answer with an error.
func fault(name string, kind model.Kind, text string) answer {
	return answer{machine: machine{name: name}, err: model.Errorf(kind, "%s", text)}
}

func TestReportFolds(t *testing.T) {
	a, stdout, stderr := testApp("")
	r := newReport(a, "power cycle", 11, false)
	for i := range 4 {
		r.add(result(fmt.Sprintf("n%d", 12-i), fmt.Sprintf(`{"power":"on","outcome":"verified","evidence":"on at %d.0s"}`, i)))
	}
	r.add(result("m1", `{"power":"on","outcome":"verified","evidence":"on at 1.0s","note":"it was off"}`))
	r.add(fault("x2", model.Unreachable, "x2: no answer from 10.0.0.2:623"))
	r.add(fault("x1", model.Unreachable, "x1: no answer from 10.0.0.1:623"))
	r.add(fault("y2", model.DeviceAuth, "y2: refused"))
	r.add(fault("y1", model.DeviceAuth, "y1: refused"))
	r.add(fault("z1", model.Busy, "wait 3s for 10.0.0.9"))
	r.add(fault("z2", model.Busy, "wait 3s for 10.0.0.9"))
	err := r.finish()
	wantOut := "m1: on (verified: on at 1.0s); it was off\nn[9-12]: on (verified)\n"
	wantErr := "x[1-2]: unreachable: no answer from ADDRESS\ny[1-2]: device-auth: refused\nz[1-2]: busy: wait 3s for 10.0.0.9\n"
	if stdout.String() != wantOut || stderr.String() != wantErr {
		t.Errorf("printed\n%s%swant\n%s%s", stdout, stderr, wantOut, wantErr)
	}
	if exitCode(err) != 9 || errorLine(err) != "Error: power cycle did not succeed on 6 of 11 machines" {
		t.Errorf("got %d, %s", exitCode(err), errorLine(err))
	}
}

func TestReportOfOneMachine(t *testing.T) {
	a, stdout, stderr := testApp("")
	r := newReport(a, "power on", 1, false)
	r.add(fault("m1", model.Timeout, "still off at 60s"))
	err := r.finish()
	if stdout.String() != "" || stderr.String() != "m1: timeout: still off at 60s\n" {
		t.Errorf("printed %q, %q", stdout, stderr)
	}
	if exitCode(err) != 10 || errorLine(err) != "" {
		t.Errorf("got %d, %q", exitCode(err), errorLine(err))
	}
}

func TestReportJSONIsOneObjectALine(t *testing.T) {
	a, stdout, stderr := testApp("")
	a.flags.json, a.columns = true, wide
	r := newReport(a, "power on", 3, false)
	r.add(result("m1", `{"power":"on"}`))
	r.add(result("m2", ``))
	r.add(fault("m3", model.Busy, "x"))
	r.progress()
	err := r.finish()
	want := `{"machine":"m1","result":{"power":"on"}}
{"machine":"m2","result":null}
{"machine":"m3","error":{"Model":"","Key":"","Type":"busy","Messages":["x"],"Code":429}}
`
	if stdout.String() != want || stderr.String() != "" || exitCode(err) != 6 {
		t.Errorf("printed %s%s, exit code %d", stdout, stderr, exitCode(err))
	}
}

func TestReportProgress(t *testing.T) {
	a, stdout, stderr := testApp("")
	a.columns = wide
	r := newReport(a, "power on", 2, false)
	r.progress()
	r.add(fault("m1", model.Busy, "x"))
	r.progress()
	r.add(result("m2", `"on"`))
	if err := r.finish(); exitCode(err) != 6 {
		t.Errorf("got %v", err)
	}
	const erase = "\r\x1b[K"
	want := erase + "\x1b[?7lpower on [------------------------------] 0/2\x1b[?7h\r" +
		erase + "\x1b[?7lpower on [###############---------------] 1/2, 1 failed\x1b[?7h\r" +
		erase + "m1: busy: x\n"
	if stderr.String() != want || stdout.String() != "m2: on\n" {
		t.Errorf("printed %q, %q", stderr, stdout)
	}
}

// brokenWriter fails every write.
type brokenWriter struct{}

// Write fails.
func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestReportCannotPrint(t *testing.T) {
	for _, asJSON := range []bool{true, false} {
		a, _, _ := testApp("")
		a.stdout, a.flags.json = brokenWriter{}, asJSON
		r := newReport(a, "power on", 1, false)
		r.add(result("m1", `"on"`))
		if err := r.finish(); !errors.Is(err, io.ErrClosedPipe) || exitCode(err) != 11 {
			t.Errorf("JSON %v: got %v", asJSON, err)
		}
	}
}

func TestErrorLines(t *testing.T) {
	tests := []struct {
		err  error
		code int
		line string
	}{
		{nil, 0, ""},
		{errors.New("unknown flag: --x"), 2, "Error: unknown flag: --x"},
		{&failure{code: 9}, 9, ""},
		{&failure{9, "2 of 3 failed"}, 9, "Error: 2 of 3 failed"},
		{model.Errorf(model.Forbidden, "no"), 7, "Error: no"},
		{fmt.Errorf("while at it: %w", model.Errorf(model.Forbidden, "no")), 7, "Error: no"},
		{model.Errorf(model.NotFound, "Not Found").On("runs", "r7"), 3, "Error: runs/r7: Not Found"},
		{model.Errorf(model.NotFound, "no run r7").On("runs", "r7"), 3, "Error: no run r7"},
		{model.Errorf(model.Unreachable, "cannot reach s: %w", fs.ErrNotExist), 9, "Error: cannot reach s: file does not exist; is `oob serve` running?"},
		{model.Errorf(model.Unreachable, "cannot reach s: %w", syscall.ECONNREFUSED), 9, "Error: cannot reach s: connection refused; is `oob serve` running?"},
		{model.Errorf(model.Unreachable, "cannot reach s: %w", syscall.EACCES), 9,
			"Error: cannot reach s: permission denied; only the user of `oob serve` and root may use its socket: others give --endpoint and a token"},
		{model.Errorf(model.Invalid, "cannot read f: %w", fs.ErrNotExist), 2, "Error: cannot read f: file does not exist"},
		{&model.Error{Key: "machines", Type: "forbidden", Messages: []string{"Access Denied: send a token"}, Code: 401}, 7,
			"Error: machines: Access Denied: send a token; oob takes it from $OOB_TOKEN or --token-file"},
		{&model.Error{Type: "forbidden", Messages: []string{"Access Denied"}, Code: 403}, 7, "Error: Access Denied"},
		{context.Canceled, 10, "Error: context canceled"},
		{model.Errorf(model.Internal, "m1 \u202edelrevni\u2066"), 11, "Error: m1 ?delrevni?"},
		{model.Errorf(model.Internal, "a\nb\x1b[2J\tc\n"), 11, "Error: a b?[2J c"},
	}
	for _, tt := range tests {
		if exitCode(tt.err) != tt.code || errorLine(tt.err) != tt.line {
			t.Errorf("%v: got %d, %q; want %d, %q", tt.err, exitCode(tt.err), errorLine(tt.err), tt.code, tt.line)
		}
	}
}

func TestReportNamesWhatWasNotSent(t *testing.T) {
	a, stdout, stderr := testApp("")
	r := newReport(a, "power cycle", 5, true)
	r.pace.maxFailures = 2
	r.add(result("m1", `"on"`))
	r.add(fault("m2", model.DeviceAuth, "refused"))
	if err := r.enough(); err != nil {
		t.Fatalf("one failure of two is enough: %v", err)
	}
	r.add(fault("m3", model.DeviceAuth, "refused"))
	why := r.enough()
	if why == nil {
		t.Fatal("two failures of two are not enough")
	}
	for _, name := range []string{"m5", "m4"} {
		r.add(answer{machine: machine{name: name}, err: why})
	}
	err := r.finish()
	wantErr := "m2: device-auth: refused\nm3: device-auth: refused\nm[4-5]: not sent: 2 machines failed before its turn (--max-failures)\n"
	if stdout.String() != "m1: on\n" || stderr.String() != wantErr {
		t.Errorf("printed %q, %q", stdout, stderr)
	}
	// The kind of what failed decides: what was not sent is only its consequence.
	if exitCode(err) != 8 || errorLine(err) != "Error: power cycle did not succeed on 4 of 5 machines: 2 failed, 2 not sent" {
		t.Errorf("exit code %d, %s", exitCode(err), errorLine(err))
	}
}

func TestReportJSONTellsWhatWasNotSent(t *testing.T) {
	a, stdout, _ := testApp("")
	a.flags.json = true
	r := newReport(a, "power on", 1, false)
	r.add(answer{machine: machine{name: "m1"}, err: notSent()})
	if err := r.finish(); exitCode(err) != 6 {
		t.Errorf("exit code %d", exitCode(err))
	}
	const want = `{"machine":"m1","error":{"Model":"","Key":"","Type":"busy","Messages":["not sent: interrupted before its turn"],"Code":429},"notSent":true}` + "\n"
	if stdout.String() != want {
		t.Errorf("printed %s", stdout)
	}
}
