package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"provision-plugins/oob/bar/bartest"
)

// terminal is a pseudo terminal with oob on it.
type terminal struct {
	t       *testing.T
	master  *os.File
	command *exec.Cmd
	ended   chan error
	copied  chan struct{} // closed when all that was printed is on the screen

	mu     sync.Mutex // guards what follows
	screen *bartest.Screen
	raw    strings.Builder
	grown  chan struct{} // closed and replaced at every write
}

// openPTY opens a pseudo terminal.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// startOn runs oob on a new terminal of a width.
func startOn(t *testing.T, width int, env []string, args ...string) *terminal {
	t.Helper()
	master, slave := openPTY(t)
	tt := &terminal{t: t, master: master, screen: bartest.New(width), grown: make(chan struct{}), ended: make(chan error, 1), copied: make(chan struct{})}
	tt.resize(width)
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tt.command = &exec.Cmd{
		Path: binary, Args: append([]string{"oob"}, args...),
		Env:   append([]string{"HOME=" + t.TempDir(), "TERM=xterm", "PATH=" + os.Getenv("PATH"), "GORACE=" + noExitSleep}, env...),
		Stdin: slave, Stdout: slave, Stderr: slave,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: true},
	}
	if err := tt.command.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	go func() {
		defer close(tt.copied)
		buffer := make([]byte, 4096)
		for {
			n, err := master.Read(buffer)
			tt.print(buffer[:n])
			if err != nil { // EIO: nobody is left on the terminal
				return
			}
		}
	}()
	go func() { tt.ended <- tt.command.Wait() }()
	t.Cleanup(func() {
		_ = tt.command.Process.Kill()
		<-tt.copied
	})
	return tt
}

// print puts on the screen what was printed.
func (tt *terminal) print(p []byte) {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	tt.raw.Write(p)
	if _, err := tt.screen.Write(p); err != nil {
		tt.t.Error(err)
	}
	close(tt.grown)
	tt.grown = make(chan struct{})
}

// resize changes the width of the terminal.
func (tt *terminal) resize(width int) {
	tt.t.Helper()
	tt.mu.Lock()
	defer tt.mu.Unlock()
	tt.screen.Resize(width)
	if err := unix.IoctlSetWinsize(int(tt.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(width)}); err != nil {
		tt.t.Fatal(err)
	}
}

// look returns what is on the screen, and a channel that closes when it changes.
// What the terminal echoes of an interrupt is left out: the bar may have been
// drawn over it.
func (tt *terminal) look() (string, <-chan struct{}) {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	return strings.ReplaceAll(strings.Join(tt.screen.Lines(), "\n"), "^C", ""), tt.grown
}

// awaits waits until a text is on the screen.
func (tt *terminal) awaits(want string) {
	tt.t.Helper()
	timeout := time.After(bound)
	for {
		text, grown := tt.look()
		if strings.Contains(text, want) {
			return
		}
		select {
		case <-grown:
		case <-tt.copied:
			if text, _ = tt.look(); !strings.Contains(text, want) {
				tt.t.Fatalf("the screen never showed %q, but at the end\n%s", want, text)
			}
			return
		case <-timeout:
			tt.t.Fatalf("the screen does not show %q, but\n%s", want, text)
		}
	}
}

// types types on the terminal's keyboard.
func (tt *terminal) types(text string) {
	tt.t.Helper()
	if _, err := tt.master.WriteString(text); err != nil {
		tt.t.Fatal(err)
	}
}

// ends waits for the end, and compares exit code and screen.
func (tt *terminal) ends(code int, want string) {
	tt.t.Helper()
	select {
	case <-tt.ended:
	case <-time.After(bound):
		tt.t.Fatal("oob does not end")
	}
	<-tt.copied
	text, _ := tt.look()
	if got := tt.command.ProcessState.ExitCode(); got != code || text != want {
		tt.t.Errorf("exit code %d, want %d; the screen shows\n%s\nwant\n%s", got, code, text, want)
	}
}

// held are machines that answer when they are let go.
const held = `[
	{"Name": "m1", "Uuid": "u1", "Answers": {"poweron": {"Hold": true, "Body": {"power": "on"}}}},
	{"Name": "m2", "Uuid": "u2", "Answers": {"poweron": {"Hold": true, "Body": {"power": "on"}}}},
	{"Name": "m3", "Uuid": "u3", "Answers": {"poweron": {"Hold": true, "Status": 424, "Body": {"Type": "device-auth", "Messages": ["refused"]}}}}]`

func TestTerminalShowsProgress(t *testing.T) {
	f, _ := startIn(t, map[string]string{"machines.json": held})
	tt := startOn(t, 70, nil, "power", "on", "m[1-3]", "--socket", f.socket)
	tt.awaits("power on 3 machines: m[1-3]. Continue? [y/N]")
	tt.types("y\n")
	tt.awaits("power on [------------------------------] 0/3")
	f.release <- struct{}{}
	tt.awaits("] 1/3")
	tt.resize(40)
	f.release <- struct{}{}
	tt.awaits("] 2/3")
	tt.resize(16)
	tt.awaits("power on 2/3")
	tt.resize(70)
	f.release <- struct{}{}
	tt.ends(8, "power on 3 machines: m[1-3]. Continue? [y/N] y\nm[1-2]: on\nm3: device-auth: refused\nError: power on did not succeed on 1 of 3 machines")
}

func TestTerminalStreamsAboveTheBar(t *testing.T) {
	f, _ := startIn(t, map[string]string{"machines.json": held})
	tt := startOn(t, 70, nil, "power", "on", "m[1-2]", "--yes", "--each", "-j1", "--socket", f.socket)
	f.release <- struct{}{}
	tt.awaits("m1: on\npower on [###############---------------] 1/2")
	f.release <- struct{}{}
	tt.ends(0, "power on 2 machines: m[1-2]\nm1: on\nm2: on")
}

func TestTerminalInterrupt(t *testing.T) {
	f, _ := startIn(t, map[string]string{"machines.json": held})
	const begun = "power on 3 machines: m[1-3]\ninterrupted: nothing more is sent; waiting for the answers of 1 machine (interrupt again to stop waiting)\n"
	for name, tt := range map[string]struct {
		again bool
		code  int
		want  string
	}{
		"once": {false, 6, begun + "m1: on\nm[2-3]: not sent: interrupted before its turn\nError: power on did not succeed on 2 of 3 machines: 2 not sent"},
		"twice": {true, 12, begun + "m1: unknown-outcome: interrupted while waiting; what was begun goes on: `oob runs list` shows how it ends\n" +
			"m[2-3]: not sent: interrupted before its turn\nError: power on did not succeed on 3 of 3 machines: 1 failed, 2 not sent"},
	} {
		t.Run(name, func(t *testing.T) {
			term := startOn(t, 200, nil, "power", "on", "m[1-3]", "--yes", "--batch", "1", "--socket", f.socket)
			term.awaits("] 0/3")
			term.types("\x03")
			term.awaits("(interrupt again to stop waiting)")
			if tt.again {
				term.types("\x03")
			} else {
				f.release <- struct{}{}
			}
			term.ends(tt.code, tt.want)
		})
	}
}

func TestTerminalWithoutBar(t *testing.T) {
	f, _ := startIn(t, map[string]string{"machines.json": held})
	for name, tt := range map[string]struct {
		env  []string
		args []string
		want string
	}{
		"dumb":     {[]string{"TERM=dumb"}, nil, "power on 2 machines: m[1-2]\nm[1-2]: on"},
		"no color": {[]string{"NO_COLOR=1"}, nil, "power on 2 machines: m[1-2]\nm[1-2]: on"},
		"json":     {nil, []string{"--json"}, "power on 2 machines: m[1-2]\n{\"machine\":\"m1\",\"result\":{\"power\":\"on\"}}\n{\"machine\":\"m2\",\"result\":{\"power\":\"on\"}}"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"power", "on", "m[1-2]", "--yes", "-j1", "--socket", f.socket}, tt.args...)
			term := startOn(t, 70, tt.env, args...)
			for range 2 {
				f.release <- struct{}{}
			}
			term.ends(0, tt.want)
			if strings.Contains(term.raw.String(), "\x1b") {
				t.Errorf("printed %q", term.raw.String())
			}
		})
	}
}

func TestTerminalNotConfirmed(t *testing.T) {
	f, _ := startIn(t, map[string]string{"machines.json": held})
	for _, typed := range []string{"n\n", "\n", "\x04", "\x03"} {
		term := startOn(t, 70, nil, "power", "off", "m1", "--socket", f.socket)
		term.awaits("power off 1 machine: m1. Continue? [y/N]")
		term.types(typed)
		<-term.copied
		if text, _ := term.look(); !strings.HasSuffix(text, "Error: not confirmed: nothing was sent") {
			t.Errorf("typed %q, the screen shows\n%s", typed, text)
		}
	}
	if sent := f.takeSent(); sent != "" {
		t.Errorf("sent %q", sent)
	}
}

func TestTerminalAsksForPasswords(t *testing.T) {
	f, _ := startIn(t, map[string]string{"users.json": `[{"Name": "ada"}]`})
	for name, tt := range map[string]struct {
		first, second string
		code          int
		want          string
	}{
		"the same":    {"s3cr3t-pw\n", "s3cr3t-pw\n", 0, "ada: password set"},
		"not":         {"s3cr3t-pw\n", "s3cr3t-qw\n", 2, "Error: the two are not the same: nothing was done"},
		"empty":       {"\n", "\n", 2, "Error: no password was given: nothing was done"},
		"interrupted": {"s3cr3t-pw\n", "\x03", 2, "Error: interrupted: nothing was done"},
	} {
		t.Run(name, func(t *testing.T) {
			term := startOn(t, 70, nil, "user", "password", "ada", "--socket", f.socket)
			term.awaits("New password of ada:")
			term.types(tt.first)
			term.awaits("Again:")
			term.types(tt.second)
			term.ends(tt.code, "New password of ada:\nAgain:\n"+tt.want)
			if strings.Contains(term.raw.String(), "s3cr3t") {
				t.Errorf("the password is on the screen: %q", term.raw.String())
			}
			want := ""
			if tt.code == 0 {
				want = `PUT users/ada/password {"Password":"s3cr3t-pw"}` + "\n"
			}
			if sent := f.takeSent(); sent != want {
				t.Errorf("sent %q", sent)
			}
		})
	}
}
