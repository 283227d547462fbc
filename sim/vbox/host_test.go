package vbox

import (
	"bytes"
	"fmt"
	"image/png"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// field reads one key of showvminfo.
func field(t testing.TB, h *Host, vm, key string) string {
	t.Helper()
	a := ask(h, "showvminfo", vm, "--machinereadable")
	if a.code != 0 {
		t.Fatalf("showvminfo: %+v", a)
	}
	for line := range strings.Lines(a.out) {
		if value, ok := strings.CutPrefix(line, key+"="); ok {
			return strings.Trim(value, "\"\n")
		}
	}
	return ""
}

// until waits for something, which must come soon.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	timeout := time.NewTimer(20 * time.Second)
	defer timeout.Stop()
	for !is() {
		select {
		case <-look.C:
		case <-timeout.C:
			t.Fatalf("%s did not come", what)
		}
	}
}

// TestHostStays: a host that is opened again is as it was left.
func TestHostStays(t *testing.T) {
	h := newHost(t, Options{Version: "7.1.10r169112", Warning: true})
	vm := create(t, h, "a/b \"c\"")
	again, err := New(h.Dir(), Options{Version: "5.2.0r1"})
	check(t, err)
	a := ask(again, "--version")
	if !strings.HasPrefix(a.out, "WARNING: ") || !strings.HasSuffix(a.out, "7.1.10r169112\n") {
		t.Errorf("%+v", a)
	}
	if got, err := again.VM(vm); err != nil || got.Name != "a/b \"c\"" || got.State != "poweroff" || got.Boot[0] != "disk" {
		t.Errorf("%+v, %v", got, err)
	}
	if vms, err := again.VMs(); err != nil || !slices.Equal(vms, []string{vm}) {
		t.Errorf("%v, %v", vms, err)
	}
	if media, err := again.Media(); err != nil || len(media) != 1 || filepath.Base(media[0]) != "a_b _c_.vdi" {
		t.Errorf("%v, %v", media, err)
	}
	check(t, again.Set(func(o *Options) { o.Warning = false }))
	if a := ask(h, "list", "vms"); a.out != "\"a/b \"c\"\" {"+vm+"}\n" {
		t.Errorf("%+v", a)
	}
	if _, err := h.Create("a/b \"c\""); err == nil {
		t.Error("two of one name")
	}
	for _, err := range []error{h.Crash("nobody"), h.Behave("nobody", Behaviour{}), h.Force("nobody", "x"), h.Break("nobody", true)} {
		if err == nil {
			t.Error("did something to a virtual machine that is not there")
		}
	}
	if _, err := New("/dev/null/x", Options{}); err == nil {
		t.Error("a host in a folder that cannot be")
	}
}

// TestDamagedState is told, and not taken for an empty host.
func TestDamagedState(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, stateFile), []byte("{"), 0o600))
	if _, err := New(dir, Options{}); err == nil || !strings.Contains(err.Error(), "cannot read the simulated host") {
		t.Errorf("%v", err)
	}
	if a := ask(&Host{dir}, "list", "vms"); a.code != 1 || a.err == "" {
		t.Errorf("%+v", a)
	}
}

// TestBootLog: each order of devices leaves its lines, and a reset adds some.
func TestBootLog(t *testing.T) {
	tests := []struct {
		name  string
		b     Behaviour
		setup [][]string
		want  []string
	}{
		{"disk", Behaviour{}, nil, []string{"Boot : bseqnr=1, bootseq=0002", "Booting from Hard Disk..."}},
		{"net, disk", Behaviour{}, [][]string{{"--boot1", "net", "--boot2", "disk"}}, []string{"Boot : bseqnr=1, bootseq=0024", "Booting from LAN..."}},
		{"no server", Behaviour{NoPXE: true}, [][]string{{"--boot1", "net", "--boot2", "disk"}}, []string{
			"Boot : bseqnr=1, bootseq=0024", "Booting from LAN...", "Boot from LAN failed", "Boot : bseqnr=2, bootseq=0002", "Booting from Hard Disk...",
		}},
		{"no network", Behaviour{}, [][]string{{"--boot1", "net"}, {"--nic1", "none"}}, []string{
			"Boot : bseqnr=1, bootseq=0004", "Booting from LAN...", "Boot from LAN failed", "No bootable medium found! System halted.",
		}},
		{"nothing", Behaviour{NoSystem: true}, [][]string{{"--boot2", "dvd"}}, []string{
			"Boot : bseqnr=1, bootseq=0032", "Booting from Hard Disk...", "Boot from Hard Disk 0 failed",
			"Boot : bseqnr=2, bootseq=0003", "Booting from CD-ROM...", "Boot from CD-ROM 0 failed", "No bootable medium found! System halted.",
		}},
		{"EFI", Behaviour{}, [][]string{{"--firmware", "efi"}}, nil},
	}
	for _, tt := range tests {
		h := newHost(t, Options{Behaviour: tt.b})
		vm := create(t, h, "vm")
		for _, args := range tt.setup {
			must(t, h, append([]string{"modifyvm", vm}, args...))
		}
		must(t, h, []string{"startvm", vm, "--type", "headless"})
		if got := biosLines(t, h, vm, "0"); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q", tt.name, got)
		}
		must(t, h, []string{"controlvm", vm, "reset"})
		if got := biosLines(t, h, vm, "0"); len(got) != 2*len(tt.want) {
			t.Errorf("%s: after a reset %q", tt.name, got)
		}
	}
}

// biosLines are the lines of a log that tell of booting.
func biosLines(t *testing.T, h *Host, vm, log string) (all []string) {
	t.Helper()
	for line := range strings.Lines(ask(h, "showvminfo", vm, "--log", log).out) {
		_, text, ok := strings.Cut(strings.TrimSpace(line), "VMMDev: Guest Log: BIOS: ")
		if ok && !strings.HasPrefix(text, "VirtualBox") {
			all = append(all, text)
		}
	}
	return all
}

// TestOldLogs: each start has a log of its own, a saved state boots nothing, and
// the third last is kept.
func TestOldLogs(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	if a := ask(h, "showvminfo", vm, "--log", "0"); a.out != "" || a.code != 0 {
		t.Errorf("before the first start: %+v", a)
	}
	start, save, off := []string{"startvm", vm, "--type", "headless"}, []string{"controlvm", vm, "savestate"}, []string{"controlvm", vm, "poweroff"}
	must(t, h, start, save, start)
	if got := biosLines(t, h, vm, "0"); len(got) != 0 {
		t.Errorf("a saved state booted: %q", got)
	}
	if got := biosLines(t, h, vm, "1"); len(got) != 2 {
		t.Errorf("the log before: %q", got)
	}
	must(t, h, off, start, off, start, off)
	if a := ask(h, "showvminfo", vm, "--log", "3"); a.out == "" || ask(h, "showvminfo", vm, "--log", "4").out != "" || ask(h, "showvminfo", vm, "--log", "x").code != 1 {
		t.Errorf("%+v", a)
	}
}

// TestInaccessible: a virtual machine with damaged settings can be listed and
// unregistered, and nothing else.
func TestInaccessible(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	check(t, h.Break(vm, true))
	if a := ask(h, "list", "vms"); a.out != "\"<inaccessible>\" {"+vm+"}\n" {
		t.Errorf("%+v", a)
	}
	for _, args := range [][]string{{"showvminfo", vm, "--machinereadable"}, {"modifyvm", vm, "--memory", "1"}, {"startvm", vm, "--type", "headless"}, {"controlvm", vm, "reset"}} {
		if a := ask(h, args...); a.code != 1 || !strings.Contains(a.err, "E_ACCESSDENIED (0x80070005)") {
			t.Errorf("%v: %+v", args, a)
		}
	}
	check(t, h.Break(vm, false))
	must(t, h, []string{"showvminfo", vm, "--machinereadable"})
	check(t, h.Break(vm, true))
	must(t, h, []string{"unregistervm", vm})
}

// TestSessionLag: for a while after a stop nothing can be changed, while the
// state is told already.
func TestSessionLag(t *testing.T) {
	h := newHost(t, Options{Behaviour: Behaviour{SessionLag: time.Hour}})
	slow, quick := create(t, h, "slow"), create(t, h, "quick")
	check(t, h.Behave(quick, Behaviour{SessionLag: 20 * time.Millisecond}))
	for _, vm := range []string{slow, quick} {
		must(t, h, []string{"startvm", vm, "--type", "headless"}, []string{"controlvm", vm, "poweroff"})
	}
	if state, session := field(t, h, slow, "VMState"), field(t, h, slow, "SessionName"); state != "poweroff" || session != "headless" {
		t.Errorf("after the stop: %s, %q", state, session)
	}
	if a := ask(h, "modifyvm", slow, "--boot1", "net"); a.code != 1 || !strings.Contains(a.err, "VBOX_E_INVALID_OBJECT_STATE") {
		t.Errorf("%+v", a)
	}
	until(t, "the end of the session", func() bool { return field(t, h, quick, "SessionName") == "" })
	must(t, h, []string{"modifyvm", quick, "--boot1", "net"})
}

// TestSoftOff: a guest shuts down after its time, or ignores the button, and a
// second press changes nothing.
func TestSoftOff(t *testing.T) {
	h := newHost(t, Options{Behaviour: Behaviour{SoftDelay: 50 * time.Millisecond}})
	vm := create(t, h, "vm")
	press, start := []string{"controlvm", vm, "acpipowerbutton"}, []string{"startvm", vm, "--type", "headless"}
	must(t, h, start, press)
	until(t, "off", func() bool { return field(t, h, vm, "VMState") == "poweroff" })
	check(t, h.Behave(vm, Behaviour{SoftIgnored: true}))
	must(t, h, start, press, press)
	if state := field(t, h, vm, "VMState"); state != "running" {
		t.Errorf("it ignores the button and is %s", state)
	}
	if soft, off := executed(t, h, "soft"), executed(t, h, "soft off"); soft != 3 || off != 1 {
		t.Errorf("%d presses, %d times off", soft, off)
	}
}

// TestFlaky: every third command fails that comes while it starts or stops, with
// nothing done, and none later.
func TestFlaky(t *testing.T) {
	h := newHost(t, Options{Behaviour: Behaviour{Flaky: true, SessionLag: time.Hour}})
	vm := create(t, h, "vm")
	must(t, h, []string{"startvm", vm, "--type", "headless"})
	must(t, h, []string{"showvminfo", vm, "--machinereadable"}, []string{"controlvm", vm, "poweroff"})
	var failed []int
	for i := range 7 {
		if a := ask(h, "showvminfo", vm, "--machinereadable"); a.code != 0 {
			failed = append(failed, i)
		}
	}
	if !slices.Equal(failed, []int{0, 3, 6}) {
		t.Errorf("failed: %v", failed)
	}
	check(t, h.Crash(vm))
	for range 4 {
		must(t, h, []string{"showvminfo", vm, "--machinereadable"})
	}
}

// TestLanguage: the text is another, the details are the same; without UTF-8
// nothing is left of the text.
func TestLanguage(t *testing.T) {
	h := newHost(t, Options{Language: "ru"})
	for _, utf8 := range []bool{true, false} {
		var out, errs bytes.Buffer
		code := h.manage([]string{"showvminfo", "nope"}, utf8, &out, &errs)
		first, rest, _ := strings.Cut(errs.String(), "\n")
		if code != 1 || strings.Contains(first, "Could not") || (first == "VBoxManage: error: ") == utf8 || !strings.Contains(rest, "VBOX_E_OBJECT_NOT_FOUND (0x80bb0001)") {
			t.Errorf("%d: %s", code, errs.String())
		}
	}
}

// TestModifyIsWhole: a command that fails changes nothing, whatever came before
// the option it failed at.
func TestModifyIsWhole(t *testing.T) {
	h := newHost(t, Options{Interfaces: []string{"vboxnet0"}})
	vm := create(t, h, "vm")
	before := ask(h, "showvminfo", vm, "--machinereadable").out
	for _, args := range [][]string{
		{"--memory", "99", "--boot1", "cdrom"}, {"--boot1", "net", "--boot5", "disk"}, {"--memory", "99", "--frob", "1"}, {"--memory", "99", "--boot1"},
		{"--nic1", "hostonly", "--nic9", "nat"}, {"--uart1", "0x3F8"}, {"--uart1", "x", "4"}, {"--uart9", "off"}, {"--uartmode1", "server"},
		{"--uartmode9", "disconnected"}, {"--firmware", "bios9"}, {"--memory", "99", "x"}, {"--nictype0", "x"},
	} {
		if a := ask(h, append([]string{"modifyvm", vm}, args...)...); a.code == 0 || !strings.HasPrefix(a.err, "VBoxManage: error: ") {
			t.Errorf("%v: %+v", args, a)
		}
		if after := ask(h, "showvminfo", vm, "--machinereadable").out; after != before {
			t.Fatalf("%v changed something", args)
		}
	}
	must(t, h, []string{"modifyvm", vm, "--nic1=hostonly", "--host-only-adapter1", "vboxnet0", "--nic2", "intnet", "--intnet2", "prov", "--nic3", "bridged",
		"--bridge-adapter3=eth0", "--mac-address3", "080027aabbcc", "--cable-connected3", "off", "--nat-enable-tftp1", "on", "--name", "other",
		"--hardware-uuid", strings.ToUpper(nodeID), "--vrde", "on", "--nicbootprio3", "1", "--ostype", "Debian_64", "--chipset", "ich9"})
	for key, want := range map[string]string{
		"name": "other", "nic1": "hostonly", "hostonlyadapter1": "vboxnet0", "nic2": "intnet", "intnet2": "prov", "bridgeadapter3": "eth0",
		"macaddress3": "080027AABBCC", "cableconnected3": "off", "hardwareuuid": nodeID, "vrdeports": "3389", "ostype": "Debian (64-bit)", "chipset": "ich9",
	} {
		if got := field(t, h, vm, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if n := executed(t, h, "modify"); n != 1 {
		t.Errorf("%d changes were executed", n)
	}
}

// TestStorage: media are attached, changed while the virtual machine runs, and
// kept from being deleted while somebody has them.
func TestStorage(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	iso := file(h, "x.iso")
	check(t, os.WriteFile(iso, []byte("iso"), 0o600))
	drive := func(medium string, more ...string) []string {
		return append([]string{"storageattach", vm, "--storagectl", "SATA Controller", "--port", "1", "--device", "0", "--medium", medium}, more...)
	}
	must(t, h, []string{"startvm", vm, "--type", "headless"}, drive(iso, "--type", "dvddrive"))
	if got := field(t, h, vm, `"SATA Controller-1-0"`); got != iso {
		t.Errorf("the drive has %q", got)
	}
	must(t, h, drive("emptydrive", "--forceunmount"))
	if got := field(t, h, vm, `"SATA Controller-1-0"`); got != "emptydrive" {
		t.Errorf("the drive has %q", got)
	}
	must(t, h, []string{"controlvm", vm, "poweroff"}, drive("none"))
	if got := field(t, h, vm, `"SATA Controller-1-0"`); got != "none" {
		t.Errorf("the port has %q", got)
	}
	if a := ask(h, drive(iso, "--type")...); a.code == 0 {
		t.Errorf("%+v", a)
	}
	if a := ask(h, "storageattach", vm, "--storagectl", "nope", "--port", "0", "--device", "0", "--medium", "none"); a.code != 1 || !strings.Contains(a.err, "OBJECT_NOT_FOUND") {
		t.Errorf("%+v", a)
	}
	media, err := h.Media()
	check(t, err)
	if a := ask(h, "closemedium", "disk", media[0]); a.code != 1 || !strings.Contains(a.err, "OBJECT_IN_USE") {
		t.Errorf("a disk in use: %+v", a)
	}
	must(t, h, []string{"storagectl", vm, "--name", "SATA Controller", "--remove"}, []string{"closemedium", "disk", media[0], "--delete"})
	if _, err := os.Stat(media[0]); !os.IsNotExist(err) {
		t.Errorf("the disk is there: %v", err)
	}
	for _, args := range [][]string{
		{"storagectl", vm, "--name", "SATA Controller", "--remove"}, {"storagectl", vm, "--name", "x", "--add", "frob"}, {"closemedium", "disk", "/nope"},
		{"createmedium", "disk", "--filename", "relative", "--size", "1"}, {"createmedium", "disk", "--filename", file(h, "x.vdi"), "--size", "x"},
	} {
		if a := ask(h, args...); a.code == 0 {
			t.Errorf("%v: %+v", args, a)
		}
	}
}

// TestUnregister: files stay or go as asked, and what stays blocks the name.
func TestUnregister(t *testing.T) {
	h := newHost(t, Options{})
	for _, remove := range []bool{false, true} {
		name := fmt.Sprint("vm", remove)
		vm := create(t, h, name)
		args := []string{"unregistervm", vm}
		if remove {
			args = append(args, "--delete")
		}
		must(t, h, args)
		_, err := os.Stat(filepath.Join(h.Dir(), vmsFolder, name))
		if os.IsNotExist(err) != remove {
			t.Errorf("removed %v: %v", remove, err)
		}
		if a := ask(h, "createvm", "--name", name, "--register"); (a.code == 0) != remove {
			t.Errorf("again after removed %v: %+v", remove, a)
		}
	}
	// A disk that is not the virtual machine's alone is no reason to fail, and one
	// that is registered no more is not deleted twice.
	if media, err := h.Media(); err != nil || len(media) != 1 {
		t.Errorf("media %v, %v", media, err)
	}
	// One that is not registered is only a file.
	if a := ask(h, "createvm", "--name", "file"); a.code != 0 || strings.Contains(a.out, "registered") || ask(h, "showvminfo", "file").code == 0 {
		t.Errorf("%+v", a)
	}
}

// TestOrphanFile: a UUID that is taken leaves a settings file, which then blocks
// the name, as VirtualBox does.
func TestOrphanFile(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	args := []string{"createvm", "--name", "other", "--register", "--uuid", vm}
	if a := ask(h, args...); a.code != 1 || !strings.Contains(a.err, "NS_ERROR_INVALID_ARG") {
		t.Errorf("%+v", a)
	}
	if a := ask(h, args...); a.code != 1 || !strings.Contains(a.err, "VBOX_E_FILE_ERROR") {
		t.Errorf("%+v", a)
	}
}

// TestScreenshot is a PNG.
func TestScreenshot(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	must(t, h, []string{"startvm", vm, "--type", "headless"}, []string{"controlvm", vm, "screenshotpng", file(h, "s.png")})
	raw, err := os.ReadFile(file(h, "s.png"))
	check(t, err)
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil || img.Bounds().Dx() != screenWidth || img.Bounds().Dy() != screenHeight {
		t.Errorf("%v, %v", img, err)
	}
}

// TestData: what is kept, the counters of a run, and the debugger's order.
func TestData(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	must(t, h, []string{"setextradata", vm, "k", "a\nb"}, []string{"setextradata", vm, "l", "x"}, []string{"setextradata", vm, "l"},
		[]string{"startvm", vm, "--type", "headless"}, []string{"controlvm", vm, "reset"}, []string{"controlvm", vm, "reset"},
		[]string{"controlvm", vm, "pause"}, []string{"controlvm", vm, "resume"}, []string{"debugvm", vm, "injectnmi"}, []string{"setextradata", vm, "m", "y"})
	if a := ask(h, "getextradata", vm, "enumerate"); a.out != "Key: k, Value: a\nb\nKey: m, Value: y\n" {
		t.Errorf("%+v", a)
	}
	if a := ask(h, "guestproperty", "enumerate", vm); !strings.Contains(a.out, "ResetCounter  = '2'") || !strings.Contains(a.out, "ResumeCounter = '1'") {
		t.Errorf("%+v", a)
	}
	if executed(t, h, "nmi") != 1 || executed(t, h, "reset") != 2 || executed(t, h, "start") != 1 {
		t.Error("the ledger lacks something")
	}
	for _, args := range [][]string{{"setextradata", vm}, {"guestproperty", "frob", vm}, {"debugvm", vm, "frob"}, {"controlvm", vm, "frob"}, {"list", "frob"}, {"frob"}, {}, {"showvminfo", vm, "--frob"}, {"snapshot", vm, "take"}} {
		if a := ask(h, args...); a.code == 0 {
			t.Errorf("%v: %+v", args, a)
		}
	}
	for _, args := range [][]string{{"list", "hostonlyifs"}, {"list", "bridgedifs"}, {"showvminfo", vm}} {
		must(t, h, args)
	}
}

// TestManyAtOnce: processes that change the host at once lose nothing of each
// other's.
func TestManyAtOnce(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			out, err := exec.CommandContext(t.Context(), h.Command(), "setextradata", vm, fmt.Sprint("k", i), "v").CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	all.Wait()
	if got, err := h.VM(vm); err != nil || len(got.Extra) != 10 || executed(t, h, "extradata") != 10 {
		t.Errorf("%d kept, %v", len(got.Extra), err)
	}
}

// TestProcess: a virtual machine's process is there while it runs, its serial
// port answers, and it is aborted when the process is killed.
func TestProcess(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	socket := file(h, "s")
	start := []string{"startvm", vm, "--type", "headless"}
	must(t, h, []string{"modifyvm", vm, "--uart1", "0x3F8", "4", "--uartmode1", "server", socket}, start)
	got, err := h.VM(vm)
	check(t, err)
	if got.Pid == 0 || !alive(got.Pid, vm) {
		t.Fatalf("%+v has no process", got)
	}
	c, err := net.Dial("unix", socket)
	check(t, err)
	if _, err := c.Write([]byte("root\r")); err != nil {
		t.Error(err)
	}
	said := make([]byte, 0, 200)
	check(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	for !bytes.Contains(said, []byte("root\r\n")) {
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		check(t, err)
		said = append(said, buf[:n]...)
	}
	check(t, c.Close())
	check(t, endProcess(got.Pid))
	until(t, "aborted", func() bool { return field(t, h, vm, "VMState") == "aborted" })
	must(t, h, start)
	again, err := h.VM(vm)
	check(t, err)
	check(t, h.Crash(vm))
	until(t, "the end of the process", func() bool { return !alive(again.Pid, vm) })
	if state := field(t, h, vm, "VMState"); state != "aborted" {
		t.Errorf("crashed and %s", state)
	}
}

// TestTCPPort serves a serial port by TCP, and a start fails whose port is taken.
func TestTCPPort(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	check(t, err)
	must(t, h, []string{"modifyvm", vm, "--uart1", "0x3F8", "4", "--uartmode1", "tcpserver", port})
	if a := ask(h, "startvm", vm, "--type", "headless"); a.code != 1 {
		t.Errorf("with its port taken: %+v", a)
	}
	check(t, l.Close())
	check(t, h.Crash(vm))
	must(t, h, []string{"startvm", vm, "--type", "headless"})
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	check(t, err)
	check(t, c.Close())
}

// TestServiceKilled: with VBoxSVC gone a virtual machine that runs is told to be
// off, and a start makes a second process.
func TestServiceKilled(t *testing.T) {
	h := newHost(t, Options{Behaviour: Behaviour{Process: true}})
	vm := create(t, h, "vm")
	start := []string{"startvm", vm, "--type", "headless"}
	must(t, h, start)
	check(t, h.KillService())
	if a := ask(h, "list", "vms"); a.code != 1 || !strings.Contains(a.err, "NS_ERROR_FACTORY_NOT_REGISTERED (0x80040154)") {
		t.Errorf("%+v", a)
	}
	got, err := h.VM(vm)
	if err != nil || got.State != "poweroff" || got.Pid != 0 || len(got.Orphans) != 1 || !alive(got.Orphans[0], vm) {
		t.Fatalf("%+v, %v", got, err)
	}
	must(t, h, start)
	if executed(t, h, "second process") != 1 {
		t.Error("the second process was not noted")
	}
	check(t, h.Close())
	until(t, "the end of both", func() bool { return !alive(got.Orphans[0], vm) })
}

// TestForce: any state can be told, also one that nobody knows.
func TestForce(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	must(t, h, []string{"startvm", vm, "--type", "headless"})
	for _, state := range []string{"gurumeditation", "stopping", "frobnicating"} {
		check(t, h.Force(vm, state))
		if got := field(t, h, vm, "VMState"); got != state {
			t.Errorf("%s is told as %s", state, got)
		}
		if a := ask(h, "controlvm", vm, "reset"); a.code != 1 || !strings.Contains(a.err, "VBOX_E_INVALID_VM_STATE") {
			t.Errorf("%s: %+v", state, a)
		}
	}
}

// TestCalled knows the names it is called by.
func TestCalled(t *testing.T) {
	for name, want := range map[string]bool{"VBoxManage": true, "/a/VBoxManage": true, "VBoxHeadless": true, "oob": false, "/VBoxManage/oob": false, "": false} {
		if Called([]string{name}) != want {
			t.Errorf("%q: not %v", name, want)
		}
	}
	if Called(nil) {
		t.Error("called by nothing")
	}
}
