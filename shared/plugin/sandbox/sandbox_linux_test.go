package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// envTries is the variable that makes the test binary the confined process: it
// has the directory that it may write, the one that it may not reach, and the
// process outside.
const envTries = "SANDBOX_TEST_TRIES"

func TestMain(m *testing.M) {
	if text := os.Getenv(envTries); text != "" {
		os.Exit(try(text))
	}
	if mode := os.Getenv(envClosed); mode != "" {
		os.Exit(beClosed(mode))
	}
	goleak.VerifyTestMain(m)
}

// tries is what the confined process is told.
type tries struct {
	Own, Other, Abstract, TCP string
	Outside                   int
}

// try does what a plugin might, wants to or must not, and prints which of it
// worked.
func try(text string) int {
	var in tries
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	worked := map[string]bool{}
	all := attempts(in)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		worked[name] = all[name]() == nil
	}
	raw, err := json.Marshal(worked)
	if err == nil {
		_, err = os.Stdout.Write(raw)
	}
	if err != nil {
		return 1
	}
	return 0
}

// attempts are named after what should become of them.
func attempts(in tries) map[string]func() error {
	dial := func(network, addr string) func() error {
		return func() error {
			c, err := net.Dial(network, addr)
			if err == nil {
				err = c.Close()
			}
			return err
		}
	}
	read := func(path string) func() error {
		return func() error { _, err := os.ReadFile(path); return err }
	}
	write := func(path string) func() error { return func() error { return os.WriteFile(path, []byte("x"), 0o600) } }
	return map[string]func() error{
		"may write its own":          write(filepath.Join(in.Own, "state")),
		"may make directories":       func() error { return os.MkdirAll(filepath.Join(in.Own, "a", "b"), 0o700) },
		"may rename":                 func() error { return renamed(in.Own) },
		"may listen on its socket":   func() error { return listened(filepath.Join(in.Own, "s")) },
		"may run programs":           func() error { return exec.Command("/bin/sh", "-c", "true").Run() },
		"may read the names":         read("/etc/hosts"),
		"may read its own process":   read("/proc/self/status"),
		"may write to nowhere":       write("/dev/null"),
		"may connect":                dial("tcp", in.TCP),
		"may find users":             func() error { _, err := user.Current(); return err },
		"not read a secret":          read(filepath.Join(in.Other, "secret")),
		"not list a directory":       func() error { _, err := os.ReadDir(in.Other); return err },
		"not write elsewhere":        write(filepath.Join(in.Other, "new")),
		"not truncate":               func() error { return os.Truncate(filepath.Join(in.Other, "long"), 0) },
		"not remove":                 func() error { return os.Remove(filepath.Join(in.Other, "secret")) },
		"not run what it wrote":      func() error { return ranOwn(in.Own) },
		"not reach abstract sockets": dial("unix", in.Abstract),
		"not signal":                 func() error { return syscall.Kill(in.Outside, 0) },
		"not see the memory":         read(fmt.Sprintf("/proc/%d/mem", in.Outside)),
		"not see the program":        func() error { _, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", in.Outside)); return err },
		"not link it in":             func() error { return linked(in) },
	}
}

// renamed renames a file between two directories of its own.
func renamed(dir string) error {
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "in", "to")
	if err := os.WriteFile(from, nil, 0o600); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// listened listens on a unix socket for a moment.
func listened(path string) error {
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	return l.Close()
}

// ranOwn runs a program that it has just written.
func ranOwn(dir string) error {
	path := filepath.Join(dir, "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\ntrue\n"), 0o700); err != nil {
		return err
	}
	return exec.Command(path).Run()
}

// linked gives a file that it may not reach a name that it may.
func linked(in tries) error {
	own := filepath.Join(in.Own, "link")
	if err := os.Symlink(filepath.Join(in.Other, "linked"), own); err != nil {
		return err
	}
	_, err := os.ReadFile(own)
	return err
}

// confined runs the test binary within rules and returns what worked.
func confined(t *testing.T, in tries, rules *Rules) map[string]bool {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if rules != nil {
		more := System().With(*rules).With(Rules{Run: []string{self}})
		rules = &more
	}
	cmd := exec.Command(self)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = []string{envTries + "=" + string(raw), "GORACE=atexit_sleep_ms=0"}, &out, &errs
	if err := Start(cmd, rules); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, &errs)
	}
	var worked map[string]bool
	if err := json.Unmarshal(out.Bytes(), &worked); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	return worked
}

// surroundings are what a confined process tries itself on.
func surroundings(t *testing.T) tries {
	t.Helper()
	in := tries{Own: t.TempDir(), Other: t.TempDir(), Abstract: fmt.Sprintf("@sandbox-test-%d-%s", os.Getpid(), t.Name()), Outside: os.Getpid()}
	for _, name := range []string{"secret", "linked", "long"} {
		if err := os.WriteFile(filepath.Join(in.Other, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for network, addr := range map[string]*string{"unix": &in.Abstract, "tcp": &in.TCP} {
		at := *addr
		if network == "tcp" {
			at = "127.0.0.1:0"
		}
		l, err := net.Listen(network, at)
		if err != nil {
			t.Fatal(err)
		}
		*addr = l.Addr().String()
		t.Cleanup(func() { _ = l.Close() }) // nothing is read from it
	}
	return in
}

// What a confined process may and may not do, on a kernel with all of it.
func TestConfined(t *testing.T) {
	if Available() < Processes {
		t.Logf("nothing is shown: this kernel has no Landlock of version 6: %s", Available())
		return
	}
	in := surroundings(t)
	for name, ok := range confined(t, in, &Rules{Write: []string{in.Own}}) {
		if ok != strings.HasPrefix(name, "may ") {
			t.Errorf("%s: %t", name, ok)
		}
	}
}

// Without rules everything works, so that the test above shows something.
func TestUnconfined(t *testing.T) {
	in := surroundings(t)
	for name, ok := range confined(t, in, nil) {
		if !ok && name != "not see the memory" { // its first page is none
			t.Errorf("%s: did not work", name)
		}
	}
}

// The limits are the child's, and neither a thread of ours nor the next child has
// them.
func TestOthersAreNotConfined(t *testing.T) {
	in := surroundings(t)
	for range 4 {
		confined(t, in, &Rules{Write: []string{in.Own}})
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		raw, err := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
		if err != nil {
			continue // it has ended
		}
		if strings.Contains(string(raw), "NoNewPrivs:\t1") && !strings.Contains(string(raw), "State:\tZ") && !strings.Contains(string(raw), "State:\tX") {
			t.Errorf("thread %s is confined", task.Name())
		}
	}
	if ok := confined(t, in, nil)["not read a secret"]; !ok {
		t.Error("the next child is confined")
	}
}

// Who was started within rules is known by it, and so is what it starts.
func TestMarked(t *testing.T) {
	rules := System()
	for _, c := range []struct {
		rules *Rules
		want  bool
	}{{nil, false}, {&rules, true}} {
		cmd := exec.Command("/bin/sh", "-c", "echo $$; (setsid sh -c 'echo $$; read x') & read y; wait")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := Start(cmd, c.rules); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			var pid int
			if _, err := fmt.Fscanln(out, &pid); err != nil {
				t.Fatal(err)
			}
			if got, err := Marked(pid); got != c.want || err != nil {
				t.Errorf("process %d: %t, %v; want %t", pid, got, err, c.want)
			}
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if got := strings.Contains(string(status), "NoNewPrivs:\t1"); got != c.want || err != nil {
				t.Errorf("process %d gains no privileges: %t, %v; want %t", pid, got, err, c.want)
			}
		}
		var limit unix.Rlimit
		if err := unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_CORE, nil, &limit); err != nil || c.want && limit.Max != 0 {
			t.Errorf("it may leave a core of %d bytes, %v", limit.Max, err)
		}
		_ = in.Close()
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()         // killed
	}
	if _, err := Marked(1 << 30); err == nil {
		t.Error("a process that there is not")
	}
}

// A binary that cannot be started is an error as it always is.
func TestNoSuchProgram(t *testing.T) {
	rules := System()
	if err := Start(exec.Command("/nonexistent"), &rules); !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
}

// Each version of Landlock is asked for what it knows.
func TestVersions(t *testing.T) {
	for v, want := range map[uintptr]Level{0: None, 1: Files, 2: Files, 3: Files, 4: Files, 5: Files, 6: Processes, 7: Processes, 99: Processes} {
		files, scoped := handled(v)
		got := None
		if files != 0 {
			got = Files
		}
		if scoped != 0 {
			got = Processes
		}
		if got != want {
			t.Errorf("version %d: %s", v, got)
		}
	}
	words := map[string]bool{}
	for l := None; l <= Processes; l++ {
		words[l.String()] = true
	}
	if len(words) != 4 {
		t.Errorf("%v", words)
	}
}
