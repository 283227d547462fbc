package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/ipmi/broker"
	"provision-plugins/ipmi/udptest"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/drivertest"
	"provision-plugins/shared/model"
)

// ipmiSim is OpenIPMI's BMC simulator with one machine, whose chassis is a
// script that logs each command.
type ipmiSim struct {
	addr netip.AddrPort
	dir  string
}

// chassisScript is called as: script MC get|set NAME [VALUE].
const chassisScript = `#!/bin/sh
dir=$(dirname "$0")
shift
op=$1
shift
case $op in
get)
	for name in "$@"; do
		case $name in
		power) echo "power:$(cat "$dir/power")" ;;
		boot) echo "boot:none" ;;
		*) echo "$name:0" ;;
		esac
	done
	;;
set)
	echo "$@" >>"$dir/log"
	if [ "$1" = power ] && [ ! -s "$dir/stuck" ]; then echo "$2" >"$dir/power"; fi
	if [ "$1" = shutdown ] && [ ! -s "$dir/stuck" ]; then echo 0 >"$dir/power"; fi
	;;
esac
`

// simConfig is its configuration; address, script and user are filled in.
const simConfig = `name "peer"
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
chassis_control "%s 0x20"
user 1 true "" "" user 10 none md2 md5 straight
user 2 true "%s" "%s" operator 10 none md2 md5 straight
`

// simCommands make its one management controller.
const simCommands = `mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02
mc_enable 0x20
`

// simPassword has 16 bytes: the configuration file takes no more.
const simPassword = "Heron-by-a-river"

// simLogin is what an action on it needs.
func simLogin() model.Params { return model.Params{paramPassword: simPassword, "oob/timeout": 6} }

// needTool returns the path of a program of Debian's.
func needTool(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("TEST_STRICT") == "1" {
			t.Fatalf("%s is not installed: install %s", name, debian)
		}
		t.Skipf("%s is not installed", name)
	}
	return path
}

// startIPMISim runs a simulator, with the machine on, until the test ends.
func startIPMISim(t *testing.T) *ipmiSim {
	t.Helper()
	return startSim(t, t.TempDir(), func(dir string, addr netip.AddrPort) map[string]string {
		return map[string]string{
			"chassis": chassisScript, "power": "1\n", "log": "",
			"lan.conf": fmt.Sprintf(simConfig, addr.Addr(), addr.Port(), filepath.Join(dir, "chassis"), testUser, simPassword),
		}
	})
}

// startSim runs a simulator until the test ends, in a folder with these files.
func startSim(t *testing.T, dir string, files func(dir string, addr netip.AddrPort) map[string]string) *ipmiSim {
	t.Helper()
	path := needTool(t, "ipmi_sim", "openipmi")
	// An address of its own: tests run side by side.
	addr := drivertest.FreeAddr(t, "udp", netip.AddrFrom4([4]byte{127, byte(64 + rand.IntN(64)), byte(rand.IntN(256)), byte(1 + rand.IntN(250))}))
	all := files(dir, addr)
	if all["sim.emu"] == "" {
		all["sim.emu"] = simCommands
	}
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	state := filepath.Join(dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-c", filepath.Join(dir, "lan.conf"), "-f", filepath.Join(dir, "sim.emu"), "-s", state, "-n")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("ipmi_sim said: %s", output.String())
		}
	})
	s := &ipmiSim{addr: addr, dir: dir}
	s.await(t)
	return s
}

// await waits for the simulator to answer a presence ping (ASF 2.0 §3.2.4.2).
func (s *ipmiSim) await(t *testing.T) {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(s.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	deadline := time.Now().Add(20 * time.Second)
	buf := make([]byte, 64)
	for time.Now().Before(deadline) {
		_, _ = c.Write([]byte{0x06, 0x00, 0xff, 0x06, 0x00, 0x00, 0x11, 0xbe, 0x80, 0x00, 0x00, 0x00})
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := c.Read(buf)
		if err == nil {
			return
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) { // refused: not listening yet
			<-time.After(10 * time.Millisecond)
		}
	}
	t.Fatal("ipmi_sim does not answer")
}

// executed returns the log of the chassis script.
func (s *ipmiSim) executed(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		t.Error(err)
	}
	return strings.Split(strings.TrimSpace(string(raw)), "\n")
}

// clear empties the log and switches the machine on.
func (s *ipmiSim) clear(t *testing.T) {
	t.Helper()
	for name, text := range map[string]string{"log": "", "power": "1\n"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// peerLacks is what ipmi_sim cannot do, with what it does instead.
var peerLacks = map[string]struct {
	kind   model.Kind
	reason string
}{
	model.PowerNMI:      {model.Unsupported, "answers CCh to a diagnostic interrupt"},
	model.NextBootPXE:   {model.Timeout, "keeps the selector alone: the valid bit reads 0"},
	model.ForceBootDisk: {model.Timeout, "keeps the selector alone: the valid bit reads 0"},
}

// TestPeer drives OpenIPMI's simulator, which has suite 3 only.
func TestPeer(t *testing.T) {
	t.Parallel()
	s := startIPMISim(t)
	p := newProvider(t)
	for _, step := range []struct {
		command string
		want    model.Outcome
		power   model.PowerState
		log     string
	}{
		{model.PowerStatus, "", model.StateOn, ""},
		{model.PowerOff, model.Verified, model.StateOff, "power 0"},
		{model.PowerOff, model.Verified, model.StateOff, ""},
		{model.PowerStatus, "", model.StateOff, ""},
		{model.PowerOn, model.Verified, model.StateOn, "power 1"},
		{model.PowerCycle, model.Verified, model.StateOn, "power 0,power 1"},
		{model.PowerReset, model.Acknowledged, model.StateOn, "reset 1"},
	} {
		before := len(s.executed(t))
		if s.executed(t)[0] == "" {
			before = 0
		}
		res := mustAct(t, p, step.command, s.addr, simLogin())
		if res.Outcome != step.want || res.Power != step.power {
			t.Errorf("%s: %+v, want outcome %q and power %q", step.command, res, step.want, step.power)
		}
		log := s.executed(t)
		if got := strings.Join(log[min(before, len(log)):], ","); got != step.log {
			t.Errorf("%s: the chassis script ran %q, want %q", step.command, got, step.log)
		}
	}
}

// TestPeerLacks holds the exclusions: one that is no longer true must go.
func TestPeerLacks(t *testing.T) {
	t.Parallel()
	s := startIPMISim(t)
	for command, lack := range peerLacks {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			_, err := act(newProvider(t), command, s.addr, simLogin())
			if model.KindOf(err) != lack.kind {
				t.Errorf("%v, want %s: ipmi_sim %s", err, lack.kind, lack.reason)
			}
		})
	}
}

// TestPeerRefuses holds what is said of wrong credentials.
func TestPeerRefuses(t *testing.T) {
	t.Parallel()
	s := startIPMISim(t)
	p := newProvider(t)
	for want, params := range map[string]model.Params{
		"username invalid":             {paramUsername: "nobody"},
		"username or password invalid": {paramPassword: "wrong"},
	} {
		_, err := act(p, model.PowerStatus, s.addr, simLogin(), params)
		if model.KindOf(err) != model.DeviceAuth || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestPeerCycleLosingEach loses each datagram of a power cycle of OpenIPMI's
// simulator in turn.
func TestPeerCycleLosingEach(t *testing.T) {
	t.Parallel()
	const workers = 12
	first := startIPMISim(t)
	all := peerCycleLosing(t, first, 0)
	todo := make(chan int, all)
	for n := 1; n <= all; n++ {
		todo <- n
	}
	close(todo)
	var wg sync.WaitGroup
	for range workers {
		s := startIPMISim(t)
		wg.Go(func() {
			for n := range todo {
				peerCycleLosing(t, s, n)
			}
		})
	}
	wg.Wait()
}

// peerCycleLosing cycles the machine, loses the n-th datagram (none for 0), and
// returns how many there were.
func peerCycleLosing(t *testing.T, s *ipmiSim, n int) int {
	s.clear(t)
	proxy := udptest.New(t, s.addr, udptest.LoseNth(n))
	d := patientDriver()
	if n > 0 {
		d = newDriver(broker.Options{})
	}
	p := driver.NewProvider(d, driver.Options{})
	res, err := act(p, model.PowerCycle, proxy.Addr(), simLogin())
	all := proxy.Count()
	stop(t, p)
	cycles := 0
	for _, line := range s.executed(t) {
		if line == "power 0" {
			cycles++
		}
	}
	checkOnce(t, fmt.Sprintf("ipmi_sim, datagram %d", n), cycles, res, err)
	if n == 0 && res.Outcome != model.Verified {
		t.Errorf("losing nothing: %+v, %v", res, err)
	}
	if err != nil || res.Outcome != model.Verified {
		t.Logf("losing %d: %+v, %v", n, res, err)
	}
	return all
}
