package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"provision-plugins/shared/driver/drivertest"
	"provision-plugins/shared/model"
)

// vmConfig makes ipmi_sim the BMC of a virtual machine: it starts and ends QEMU,
// and speaks with it over a serial line of its own. Address, port, port of the
// line, script and user are filled in.
const vmConfig = `name "vm"
set_working_mc 0x20
startlan 1
  addr %s %d
  priv_limit admin
  allowed_auths_callback none md2 md5 straight
  allowed_auths_user none md2 md5 straight
  allowed_auths_operator none md2 md5 straight
  allowed_auths_admin none md2 md5 straight
  guid a123456789abcdefa123456789abcdef
endlan
serial 15 127.0.0.1 %d codec VM
startcmd "%s"
startnow false
poweroff_wait 1
kill_wait 2
user 1 true "" "" user 10 none md2 md5 straight
user 2 true "%s" "%s" operator 10 none md2 md5 straight
`

// vmScript becomes QEMU, without a disk or anything else that it need not have,
// and says under which process id. Port of the line and folder are filled in.
const vmScript = `#!/bin/sh
cd %[2]q
echo $$ >>pids
exec qemu-system-x86_64 -machine pc,accel=tcg -bios firmware -m 16 -nodefaults -display none -no-user-config -net none \
	-chardev socket,id=line,host=127.0.0.1,port=%[1]d,reconnect=1 \
	-device ipmi-bmc-extern,id=bmc,chardev=line -device isa-ipmi-kcs,bmc=bmc \
	-qmp unix:qmp.$$,server=on,wait=off >>qemu.log 2>&1
`

// vmFirmware is what the machine runs: at the address where a processor begins,
// 16 bytes before the end, it stops for ever (cli; hlt; jmp to the hlt). Real
// firmware would reset the machine by itself.
func vmFirmware() string {
	const size = 64 << 10
	code := "\xfa\xf4\xeb\xfd"
	return strings.Repeat("\xf4", size-16) + code + strings.Repeat("\xf4", 16-len(code))
}

// virtualMachine is a virtual machine behind ipmi_sim.
type virtualMachine struct {
	*ipmiSim
	t       *testing.T
	pidFile string
}

// startVM makes a virtual machine that is off. Its process, and ipmi_sim, end
// with the test.
func startVM(t *testing.T) *virtualMachine {
	t.Helper()
	needTool(t, "qemu-system-x86_64", "qemu-system-x86")
	dir := t.TempDir()
	vm := &virtualMachine{t: t, pidFile: filepath.Join(dir, "pids")}
	t.Cleanup(vm.kill)
	line := drivertest.FreeAddr(t, "tcp", netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	vm.ipmiSim = startSim(t, dir, func(dir string, addr netip.AddrPort) map[string]string {
		return map[string]string{
			"start": fmt.Sprintf(vmScript, line.Port(), dir), "pids": "", "firmware": vmFirmware(),
			"lan.conf": fmt.Sprintf(vmConfig, addr.Addr(), addr.Port(), line.Port(), filepath.Join(dir, "start"), testUser, simPassword),
		}
	})
	return vm
}

// kill ends what is left when ipmi_sim has ended.
func (vm *virtualMachine) kill() {
	for _, pid := range vm.pids() {
		if running(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		eventually(vm.t, "the machine ends", func() bool { return !running(pid) })
	}
}

// pids are the process ids that the machine has had.
func (vm *virtualMachine) pids() []int {
	raw, err := os.ReadFile(vm.pidFile)
	if err != nil {
		vm.t.Error(err)
	}
	var out []int
	for _, word := range strings.Fields(string(raw)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			vm.t.Error(err)
		}
		out = append(out, pid)
	}
	return out
}

// running reports whether a process runs QEMU.
func running(pid int) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(raw), "qemu-system")
}

// only waits until the machine's n-th process, counted from 1, is the only one
// that runs; none for 0. It returns the process id.
func (vm *virtualMachine) only(n int) int {
	vm.t.Helper()
	pid := 0
	eventually(vm.t, fmt.Sprintf("process %d of the machine runs alone", n), func() bool {
		pids := vm.pids()
		for i, p := range pids {
			if running(p) != (i+1 == n) {
				return false
			}
		}
		if n > 0 && n <= len(pids) {
			pid = pids[n-1]
		}
		return n == 0 || pid != 0
	})
	return pid
}

// monitor follows what a QEMU process says by its machine protocol (QMP).
type monitor struct {
	conn net.Conn

	mu     sync.Mutex // guards all below
	resets int        // RESET events
	lined  bool       // the serial line to the BMC is up
}

// monitor connects to a process, and waits until its line to the BMC is up.
func (vm *virtualMachine) monitor(pid int) *monitor {
	vm.t.Helper()
	m := &monitor{}
	eventually(vm.t, "QEMU takes a QMP connection", func() bool {
		var err error
		m.conn, err = net.Dial("unix", filepath.Join(vm.dir, fmt.Sprintf("qmp.%d", pid)))
		return err == nil
	})
	var reader sync.WaitGroup
	reader.Go(m.read)
	vm.t.Cleanup(func() {
		_ = m.conn.Close()
		reader.Wait()
	})
	for _, command := range []string{"qmp_capabilities", "query-chardev"} {
		m.say(vm.t, command)
	}
	eventually(vm.t, "QEMU's line to the BMC is up", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		if !m.lined {
			m.say(vm.t, "query-chardev")
		}
		return m.lined
	})
	return m
}

// say sends a command.
func (m *monitor) say(t *testing.T, command string) {
	t.Helper()
	if _, err := fmt.Fprintf(m.conn, "{\"execute\":%q}\n", command); err != nil {
		t.Fatal(err)
	}
}

// read takes answers and events until the connection ends.
func (m *monitor) read() {
	lines := bufio.NewScanner(m.conn)
	for lines.Scan() {
		var said struct {
			Event  string          `json:"event"`
			Return json.RawMessage `json:"return"`
		}
		if json.Unmarshal(lines.Bytes(), &said) != nil {
			continue
		}
		m.mu.Lock()
		if said.Event == "RESET" {
			m.resets++
		}
		if text := string(said.Return); strings.Contains(text, `"line"`) {
			m.lined = !strings.Contains(text, "disconnected")
		}
		m.mu.Unlock()
	}
}

// count returns how many resets there were.
func (m *monitor) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.resets
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.NewTimer(time.Minute)
	defer end.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("did not come within a minute: %s", what)
		}
	}
}

// TestVirtualMachine switches a machine that really runs: QEMU, whose BMC is
// ipmi_sim. What is answered is held against the process.
func TestVirtualMachine(t *testing.T) {
	t.Parallel()
	vm := startVM(t)
	p := newProvider(t)
	do := func(command string, want model.Outcome, power model.PowerState) {
		t.Helper()
		res := mustAct(t, p, command, vm.addr, simLogin(), model.Params{"oob/timeout": 60})
		t.Logf("%-12s %s %s, evidence %q, note %q", command, res.Power, res.Outcome, res.Evidence, res.Note)
		if res.Outcome != want || res.Power != power {
			t.Errorf("%s: %+v, want outcome %q and power %q", command, res, want, power)
		}
	}
	do(model.PowerStatus, "", model.StateOff)
	vm.only(0)
	do(model.PowerOn, model.Verified, model.StateOn)
	first := vm.only(1)
	before := vm.monitor(first)

	do(model.PowerCycle, model.Verified, model.StateOn)
	second := vm.only(2)
	if second == first || before.count() != 0 {
		t.Errorf("process %d, then %d, and %d resets: want another process and no reset", first, second, before.count())
	}

	after := vm.monitor(second)
	do(model.PowerStatus, "", model.StateOn) // the BMC has taken up the line by then
	do(model.PowerReset, model.Acknowledged, model.StateOn)
	eventually(t, "QEMU tells of the reset", func() bool { return after.count() > 0 })
	if pid := vm.only(2); pid != second {
		t.Errorf("process %d after the reset, want %d", pid, second)
	}

	do(model.PowerOff, model.Verified, model.StateOff)
	vm.only(0)
	if n := after.count(); n != 1 {
		t.Errorf("%d resets, want 1", n)
	}
	do(model.PowerOff, model.Verified, model.StateOff)
	do(model.PowerCycle, model.Verified, model.StateOn)
	vm.only(3)
	if n := len(vm.pids()); n != 3 {
		t.Errorf("the machine was started %d times, want 3", n)
	}
}
