package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startIn starts a fake endpoint that serves files, and returns an app that
// speaks to it.
func startIn(t *testing.T, files map[string]string) (*fake, *app) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := startFake(filepath.Join(dir, "s"), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	a, _, _ := testApp("")
	a.flags.socket = f.socket
	return f, a
}

// TestInterrupt interrupts a command with one machine at work and two that
// wait for their turn.
func TestInterrupt(t *testing.T) {
	f, a := startIn(t, map[string]string{"machines.json": `[
		{"Name": "m1", "Uuid": "u1", "Answers": {"powercycle": {"Hang": true}, "powerstatus": {"Hang": true}, "poweron": {"Hold": true, "Body": {"power": "on"}}}},
		{"Name": "m2", "Uuid": "u2", "Answers": {"powercycle": {"Hang": true}}},
		{"Name": "m3", "Uuid": "u3", "Answers": {"powercycle": {"Hang": true}}}]`})
	const waiting = "interrupted: nothing more is sent; waiting for the answers of 1 machine (interrupt again to stop waiting)\n"
	const lost = "m1: unknown-outcome: interrupted while waiting; what was begun goes on: `oob runs list` shows how it ends\n"
	const notSent = "m[2-3]: not sent: interrupted before its turn\n"
	tests := []struct {
		args    string
		signals []os.Signal
		code    int
		want    string
	}{
		{"power cycle m[1-3] --yes -j 1", []os.Signal{os.Interrupt, os.Interrupt}, 12,
			waiting + lost + notSent + "Error: power cycle did not succeed on 3 of 3 machines: 1 failed, 2 not sent\n"},
		{"power cycle m[1-3] --yes --batch 1", []os.Signal{syscall.SIGTERM}, 12,
			waiting + lost + notSent + "Error: power cycle did not succeed on 3 of 3 machines: 1 failed, 2 not sent\n"},
		// What was sent answers while it is waited for.
		{"power on m[1-3] --yes -j 1", []os.Signal{os.Interrupt, nil}, 6,
			waiting + notSent + "Error: power on did not succeed on 2 of 3 machines: 2 not sent\n"},
		// Nobody waits for a read.
		{"power status m1", []os.Signal{os.Interrupt}, 10, "m1: timeout: interrupted while waiting\n"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			stderr := &lineBuffer{grown: make(chan struct{})}
			heard := make(chan os.Signal)
			a.stderr = stderr
			a.signals = func() (<-chan os.Signal, func()) { return heard, func() {} }
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan int, 1)
			go func() { done <- run(ctx, a, append(strings.Fields(tt.args), "--socket", f.socket)) }()
			<-f.noted
			cancel()
			if strings.HasPrefix(tt.want, waiting) {
				awaitText(t, stderr, waiting)
			}
			for _, s := range tt.signals {
				switch {
				case s == nil:
					f.release <- struct{}{}
				case strings.HasPrefix(tt.want, waiting):
					heard <- s
				}
			}
			code := <-done
			if text, _ := stderr.look(); code != tt.code || text != tt.want {
				t.Errorf("exit code %d, printed\n%swant\n%s", code, text, tt.want)
			}
		})
	}
}

// awaitText waits for a text in what is printed.
func awaitText(t *testing.T, b *lineBuffer, want string) {
	t.Helper()
	timeout := time.After(bound)
	for {
		text, grown := b.look()
		if strings.Contains(text, want) {
			return
		}
		select {
		case <-grown:
		case <-timeout:
			t.Fatalf("printed %q, and never %q", text, want)
		}
	}
}
