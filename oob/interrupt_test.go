package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		{"Name": "m1", "Uuid": "u1", "Answers": {"powercycle": {"Hang": true}, "powerstatus": {"Hang": true}}},
		{"Name": "m2", "Uuid": "u2", "Answers": {"powercycle": {"Hang": true}}},
		{"Name": "m3", "Uuid": "u3", "Answers": {"powercycle": {"Hang": true}}}]`})
	tests := []struct {
		args string
		code int
		want string
	}{
		{"power cycle m[1-3] --yes -j 1", 12,
			"m1: unknown-outcome: interrupted while waiting; what was begun goes on: `oob runs list` shows how it ends\n" +
				"m[2-3]: unreachable: interrupted before it was sent: nothing was done\n" +
				"Error: power cycle did not succeed on 3 of 3 machines\n"},
		{"power status m1", 10, "m1: timeout: interrupted while waiting\n"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var stderr strings.Builder
			a.stderr = &stderr
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan int, 1)
			go func() { done <- run(ctx, a, append(strings.Fields(tt.args), "--socket", f.socket)) }()
			<-f.noted
			cancel()
			if code := <-done; code != tt.code || stderr.String() != tt.want {
				t.Errorf("exit code %d, printed\n%swant\n%s", code, stderr.String(), tt.want)
			}
		})
	}
}
