package endpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// An endpoint that was killed leaves plugin processes that may still be paying
// what they owe to devices, within five seconds. A new process of the same
// plugin must not act beside them, so each is noted in a file.

// processFile holds the pid and the start time of a plugin's process, in its
// state directory.
const processFile = ".process"

// leftoverPoll is how often a leftover is looked at.
const leftoverPoll = 20 * time.Millisecond

// startTime returns when a process started, in the kernel's ticks, which tells
// it from a later one with the same pid; "" if there is none.
func startTime(pid int) string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The name, in parentheses, may hold anything.
	rest := raw[bytes.LastIndexByte(raw, ')')+1:]
	fields := strings.Fields(string(rest))
	const state, start = 0, 19 // counted from the field after the name
	if len(fields) <= start || fields[state] == "Z" {
		return ""
	}
	return fields[start]
}

// noteProcess records a plugin's process in its state directory.
func noteProcess(dir string, pid int) error {
	return writePrivate(filepath.Join(dir, processFile), fmt.Appendf(nil, "%d %s\n", pid, startTime(pid)))
}

// leftover returns the pid of a process that was recorded and still runs, or 0.
func leftover(dir string) (int, error) {
	raw, err := os.ReadFile(filepath.Join(dir, processFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	first, start, _ := strings.Cut(strings.TrimSpace(string(raw)), " ")
	pid, _ := strconv.Atoi(first) // 0 if it is no number
	if pid <= 1 || start == "" || startTime(pid) != start {
		return 0, nil // it is gone, or the file says nothing
	}
	return pid, nil
}

// awaitLeftover waits for the process that an earlier endpoint left. One that
// does not end by itself within bound is killed, with its process group.
func awaitLeftover(ctx context.Context, dir string, bound time.Duration, log *slog.Logger) error {
	pid, err := leftover(dir)
	if pid == 0 || err != nil {
		return err
	}
	log.Warn("waiting for a process that an earlier endpoint left", "pid", pid)
	tick := time.NewTicker(leftoverPoll)
	defer tick.Stop()
	end := time.NewTimer(bound)
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-end.C:
			log.Warn("killing a process that an earlier endpoint left", "pid", pid)
			if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("cannot kill process %d, which an earlier endpoint left: %w", pid, err)
			}
		case <-tick.C:
		}
		if pid, err = leftover(dir); pid == 0 || err != nil {
			return err
		}
	}
}
