package vbox

import (
	"bytes"
	"fmt"
	"image/png"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// headless starts a virtual machine.
func headless(vm string) []string { return []string{"startvm", vm, "--type", "headless"} }

// refused checks that a command is refused with a code, and that nothing is
// noted as done.
func refused(t *testing.T, h *Host, code string, args ...string) {
	t.Helper()
	before, err := h.Ledger()
	check(t, err)
	a := ask(h, args...)
	after, err := h.Ledger()
	check(t, err)
	if a.code == 0 || !strings.Contains(a.err, code) {
		t.Errorf("%q: want a refusal with %q, got %+v", args, code, a)
	}
	if len(after) != len(before) {
		t.Errorf("%q was refused, and %v was done", args, after[len(before):])
	}
}

// TestClosingSession: while the session of a virtual machine that is off closes,
// it can be read and its extradata set, and neither changed, started nor removed.
func TestClosingSession(t *testing.T) {
	h := newHost(t, Options{Behaviour: Behaviour{SessionLag: time.Hour}})
	vm := create(t, h, "vm")
	must(t, h, headless(vm), []string{"controlvm", vm, "poweroff"})
	if state, session := field(t, h, vm, "VMState"), field(t, h, vm, "SessionName"); state != "poweroff" || session == "" {
		t.Errorf("state %q, session %q", state, session)
	}
	refused(t, h, "VBOX_E_INVALID_OBJECT_STATE (0x80bb0007)", "modifyvm", vm, "--boot1", "net")
	refused(t, h, "VBOX_E_INVALID_OBJECT_STATE (0x80bb0007)", headless(vm)...)
	refused(t, h, "VBOX_E_INVALID_OBJECT_STATE (0x80bb0007)", "unregistervm", vm, "--delete")
	must(t, h, []string{"setextradata", vm, "drp/x", "1"})
	got, err := h.VM(vm)
	if err != nil || got.Extra["drp/x"] != "1" || got.Boot[0] != "disk" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestSilentGuest: a guest that ignores the button is told to have been asked, and
// goes on.
func TestSilentGuest(t *testing.T) {
	h := newHost(t, Options{})
	vm, other := create(t, h, "vm"), create(t, h, "other")
	check(t, h.Behave(vm, Behaviour{SoftIgnored: true}))
	must(t, h, headless(vm), headless(other), []string{"controlvm", vm, "acpipowerbutton"}, []string{"controlvm", other, "acpipowerbutton"})
	if state := field(t, h, vm, "VMState"); state != "running" || executed(t, h, "soft") != 2 {
		t.Errorf("the one that ignores it is %s, %d pressed", state, executed(t, h, "soft"))
	}
	until(t, "the other one to shut down", func() bool { return field(t, h, other, "VMState") == "poweroff" })
}

// TestStuckGuest: in a guru meditation only a power off works.
func TestStuckGuest(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	must(t, h, headless(vm))
	check(t, h.Force(vm, "gurumeditation"))
	for _, verb := range []string{"reset", "acpipowerbutton", "pause", "savestate"} {
		refused(t, h, "VBOX_E_INVALID_VM_STATE (0x80bb0002)", "controlvm", vm, verb)
	}
	refused(t, h, "VBOX_E_INVALID_OBJECT_STATE", headless(vm)...)
	if a := ask(h, "list", "runningvms"); a.code != 0 || a.out != "" {
		t.Errorf("runningvms lists it: %+v", a)
	}
	must(t, h, []string{"controlvm", vm, "poweroff"}, headless(vm))
}

// TestAborted: a virtual machine whose process was killed is aborted at once, and
// starts again.
func TestAborted(t *testing.T) {
	h := newHost(t, Options{Behaviour: Behaviour{Process: true, SessionLag: time.Hour}})
	vm := create(t, h, "vm")
	must(t, h, headless(vm))
	pid := mustVM(t, h, vm).Pid
	check(t, h.Crash(vm))
	if now := mustVM(t, h, vm); now.State != "aborted" || now.Session != "" || now.Pid != 0 {
		t.Errorf("%+v", now)
	}
	until(t, "its end", func() bool { return !alive(pid, vm) })
	must(t, h, headless(vm))
	if n := executed(t, h, "second process"); n != 0 {
		t.Errorf("%d second processes", n)
	}
}

// mustVM looks at a virtual machine.
func mustVM(t *testing.T, h *Host, vm string) VM {
	t.Helper()
	now, err := h.VM(vm)
	check(t, err)
	return now
}

// TestSavedIsFixed: a saved virtual machine is neither changed nor switched off,
// and goes on without a boot.
func TestSavedIsFixed(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	must(t, h, headless(vm), []string{"controlvm", vm, "savestate"})
	logs := func() int {
		all, err := filepath.Glob(filepath.Join(h.Dir(), "VirtualBox VMs", "vm", "Logs", "*"))
		check(t, err)
		booted := 0
		for _, path := range all {
			raw, err := os.ReadFile(path)
			check(t, err)
			booted += bytes.Count(raw, []byte("Booting from"))
		}
		return booted
	}
	before := logs()
	refused(t, h, "VBOX_E_INVALID_VM_STATE (0x80bb0002)", "modifyvm", vm, "--boot1", "net")
	refused(t, h, "is not currently running", "controlvm", vm, "poweroff")
	must(t, h, headless(vm))
	if state := field(t, h, vm, "VMState"); state != "running" || logs() != before {
		t.Errorf("it is %s, and its logs tell of %d boots, before %d", state, logs(), before)
	}
}

// TestUnreadable: an inaccessible virtual machine is listed without its name, and
// everything else of it is refused until it is whole again.
func TestUnreadable(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	check(t, h.Break(vm, true))
	if a := ask(h, "list", "vms"); a.out != fmt.Sprintf("\"<inaccessible>\" {%s}\n", vm) {
		t.Errorf("%+v", a)
	}
	refused(t, h, "E_ACCESSDENIED (0x80070005)", headless(vm)...)
	refused(t, h, "E_ACCESSDENIED (0x80070005)", "modifyvm", vm, "--cpus", "2")
	check(t, h.Break(vm, false))
	must(t, h, headless(vm))
}

// TestOtherWords: in another language the text differs, and the codes do not.
func TestOtherWords(t *testing.T) {
	english, other := newHost(t, Options{}), newHost(t, Options{Language: "ru"})
	a, b := ask(english, "showvminfo", "nobody"), ask(other, "showvminfo", "nobody")
	const code = "VBOX_E_OBJECT_NOT_FOUND (0x80bb0001)"
	if a.code != 1 || b.code != 1 || !strings.Contains(a.err, code) || !strings.Contains(b.err, code) {
		t.Errorf("%+v, %+v", a, b)
	}
	if a.err == b.err || !strings.Contains(a.err, "Could not find a registered machine") || strings.Contains(b.err, "Could not find") {
		t.Errorf("%q, %q", a.err, b.err)
	}
}

// TestSerialSocket: the serial port is a socket as long as the virtual machine
// runs, and has two ways.
func TestSerialSocket(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	path := file(h, "s")
	must(t, h, []string{"modifyvm", vm, "--uart1", "0x3F8", "4", "--uartmode1", "server", path})
	if _, err := net.Dial("unix", path); err == nil {
		t.Error("there is a console before the start")
	}
	must(t, h, headless(vm))
	var c net.Conn
	until(t, "the console", func() (ok bool) {
		var err error
		c, err = net.Dial("unix", path)
		return err == nil
	})
	defer c.Close()
	check(t, c.SetDeadline(time.Now().Add(time.Minute)))
	if _, err := c.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if n, err := c.Read(make([]byte, 64)); n == 0 || err != nil {
		t.Errorf("nothing comes of the guest: %v", err)
	}
	must(t, h, []string{"controlvm", vm, "poweroff"})
	until(t, "the end of the console", func() bool {
		again, err := net.Dial("unix", path)
		if err == nil {
			_ = again.Close()
		}
		return err != nil
	})
}

// TestPicture: what is written is a picture, and only of a screen that is on.
func TestPicture(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	path := file(h, "screen.png")
	refused(t, h, "is not currently running", "controlvm", vm, "screenshotpng", path)
	must(t, h, headless(vm), []string{"controlvm", vm, "screenshotpng", path})
	raw, err := os.ReadFile(path)
	check(t, err)
	if img, err := png.Decode(bytes.NewReader(raw)); err != nil || img.Bounds().Empty() {
		t.Errorf("%v, %v", img, err)
	}
}

// TestLedgerOrder: what was done is noted in its order and with its words; what
// was only looked at is not counted as done to it.
func TestLedgerOrder(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	must(t, h, headless(vm), []string{"showvminfo", vm, "--machinereadable"}, []string{"controlvm", vm, "reset"}, []string{"controlvm", vm, "poweroff"})
	all, err := h.Ledger()
	check(t, err)
	var done []string
	for _, e := range all {
		if e.What == "start" || e.What == "reset" || e.What == "stop" {
			done = append(done, e.What+" "+e.Args[0])
		}
	}
	if got := strings.Join(done, ", "); got != "start startvm, reset controlvm, stop controlvm" {
		t.Errorf("the ledger tells %s", got)
	}
}

// TestProcessesAtOnce: of several processes that start one virtual machine one
// does, and no change of others is lost.
func TestProcessesAtOnce(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	const many = 6
	var all sync.WaitGroup
	started := make(chan bool, many)
	for n := range many {
		all.Go(func() {
			started <- exec.Command(h.Command(), headless(vm)...).Run() == nil
			if err := exec.Command(h.Command(), "setextradata", vm, fmt.Sprintf("key%d", n), "x").Run(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	close(started)
	ok := 0
	for one := range started {
		if one {
			ok++
		}
	}
	if ok != 1 || executed(t, h, "start") != 1 {
		t.Errorf("%d starts succeeded, and %d were done", ok, executed(t, h, "start"))
	}
	if extra := mustVM(t, h, vm).Extra; len(extra) != many {
		t.Errorf("%d of %d values were kept: %v", len(extra), many, extra)
	}
}
