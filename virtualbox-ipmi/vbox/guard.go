package vbox

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// maxCommandLine is how much of a process's command line is looked at.
const maxCommandLine = 64 << 10

// Process returns the process that runs a virtual machine, 0 if none does. It
// asks the system and not VirtualBox, which takes a virtual machine for off when
// VBoxSVC was killed under it: a start would then put a second process on its
// disks.
func (m *Manager) Process(ctx context.Context, uuid string) (pid int, err error) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(lines) == 0 {
		return psProcess(ctx, uuid)
	}
	for _, path := range lines {
		raw, err := os.ReadFile(path)
		if err != nil || !startsVM(strings.Split(string(raw[:min(len(raw), maxCommandLine)]), "\x00"), uuid) {
			continue // it ended, or is not of this kind
		}
		return strconv.Atoi(filepath.Base(filepath.Dir(path)))
	}
	return 0, nil
}

// psProcess looks where there is no /proc.
func psProcess(ctx context.Context, uuid string) (int, error) {
	out, err := exec.CommandContext(ctx, "ps", "-axo", "pid=,args=").Output()
	if err != nil {
		return 0, fmt.Errorf("cannot list processes: %w", err)
	}
	for line := range bytes.Lines(out) {
		words := strings.Fields(string(line))
		if len(words) > 1 && startsVM(words[1:], uuid) {
			return strconv.Atoi(words[0])
		}
	}
	return 0, nil
}

// startsVM reports whether a command line is that of a virtual machine's
// process.
func startsVM(argv []string, uuid string) bool {
	for i, arg := range argv {
		if arg == "--startvm" && i+1 < len(argv) && strings.EqualFold(argv[i+1], uuid) {
			return true
		}
	}
	return false
}
