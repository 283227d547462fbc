package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// operations is the page about running an endpoint.
var operations = filepath.Join("..", "docs", "operations.md")

// pagePort is the address that the page has for the API, for which the test has a
// free one.
const pagePort = "127.0.0.1:8092"

// TestOperations follows the page step by step in an empty directory: what is
// installed is what the archive holds, laid out by the archive's own installer.
// OOB_UPDATE=1 writes what is printed into the page.
func TestOperations(t *testing.T) {
	tryPage(t, operations, startOperations)
}

// startOperations unpacks an archive into an empty directory, and returns what runs
// a command there.
func startOperations(t *testing.T) func(transcript) string {
	t.Helper()
	dir := shortDir(t)
	unpackedArchive(t, filepath.Join(dir, "oob-v1.0.0-linux-amd64"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen := l.Addr().String()
	if err := l.Close(); err != nil { // the endpoint of the page takes it
		t.Fatal(err)
	}
	env := map[string]string{
		"PATH": filepath.Join(dir, "root/usr/bin") + ":" + os.Getenv("PATH"), "HOME": dir, "TZ": "UTC", "GORACE": noExitSleep,
		"OOB_SOCKET": filepath.Join(dir, "data", "oob.sock"),
	}
	t.Chdir(dir)
	t.Cleanup(func() { endServed(t, filepath.Join(dir, "serve.pid")) })
	return func(tr transcript) string {
		out := runShell(env, strings.ReplaceAll(tr.command, pagePort, listen))
		out = strings.ReplaceAll(strings.ReplaceAll(out, listen, pagePort), dir, "/home/ada")
		return out
	}
}

// unpackedArchive lays out what an archive holds, with this binary as oob.
func unpackedArchive(t *testing.T, dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	packaging := filepath.Join("..", "packaging")
	for to, from := range map[string]string{
		"bin/oob": self, "install.sh": filepath.Join(packaging, "install.sh"), "systemd/oob.service": filepath.Join(packaging, "oob.service"),
		"systemd/oob.sysusers": filepath.Join(packaging, "oob.sysusers"), "systemd/oob.default": filepath.Join(packaging, "oob.default"),
		"completions/oob.bash": operations, "completions/oob.zsh": operations, "completions/oob.fish": operations, "doc/docs/operations.md": operations,
	} {
		from, err := filepath.Abs(from)
		if err != nil {
			t.Fatal(err)
		}
		to = filepath.Join(dir, to)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.Symlink(from, to)); err != nil {
			t.Fatal(err)
		}
	}
	script, err := os.ReadFile(filepath.Join(dir, "install.sh"))
	if err == nil { // it looks for its files beside itself
		err = errors.Join(os.Remove(filepath.Join(dir, "install.sh")), os.WriteFile(filepath.Join(dir, "install.sh"), script, 0o700), os.MkdirAll(filepath.Join(dir, "plugins"), 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	buildPlugin(t, filepath.Join(dir, "plugins", "ipmi"))
}

// endServed ends an endpoint that the page has left running, by the id that it
// noted.
func endServed(t *testing.T, file string) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || syscall.Kill(pid, syscall.SIGTERM) != nil {
		return // it has ended
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(bound)
	for syscall.Kill(pid, 0) == nil {
		select {
		case <-tick.C:
		case <-timeout:
			t.Errorf("the endpoint %d does not end", pid)
			return
		}
	}
}

// The unit in the page is the one that is shipped, and systemd takes it.
func TestTheUnit(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "packaging", "oob.service"))
	if err != nil {
		t.Fatal(err)
	}
	unit := string(raw)
	for _, line := range []string{"TimeoutStopSec=45", "User=oob", "LoadCredential=oob-master-key", "NoNewPrivileges=yes", "ProtectSystem=strict", "KillMode=mixed", "CapabilityBoundingSet="} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit has no %s", line)
		}
	}
	if strings.Contains(unit, "\nPrivateUsers=") {
		t.Error("with PrivateUsers root on the socket is nobody")
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		return // what follows is systemd's own opinion
	}
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", filepath.Join("..", "packaging", "oob.service")).CombinedOutput()
	if err != nil && strings.Contains(string(out), "Overall exposure") {
		t.Errorf("exposed more than 2.0: %s", out[max(0, len(out)-200):])
	}
}
