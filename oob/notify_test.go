package main

import (
	"bytes"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Who asks is told in one datagram, at a path or at an abstract name.
func TestNotify(t *testing.T) {
	for name, addr := range map[string]string{
		"a path":           filepath.Join(t.TempDir(), "n"),
		"an abstract name": "@oob-test-" + filepath.Base(filepath.Dir(t.TempDir())),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: addr, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			a := &app{getenv: func(string) string { return addr }}
			for _, state := range []string{notifyReady, notifyStopping} {
				a.notify(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), state)
				got := make([]byte, 100)
				n, err := conn.Read(got)
				if err != nil || string(got[:n]) != state || log.Len() != 0 {
					t.Errorf("%q, %v, log %s", got[:n], err, &log)
				}
			}
		})
	}
}

// Nobody is told who has not asked, and one that is gone does no harm.
func TestNotifyNobody(t *testing.T) {
	for addr, logged := range map[string]bool{"": false, filepath.Join(t.TempDir(), "gone"): true, strings.Repeat("x", 200): true} {
		var log bytes.Buffer
		a := &app{getenv: func(name string) string {
			if name != "NOTIFY_SOCKET" {
				t.Errorf("asked for %s", name)
			}
			return addr
		}}
		a.notify(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), notifyReady)
		if (log.Len() > 0) != logged {
			t.Errorf("%q: logged %q", addr, &log)
		}
	}
}
