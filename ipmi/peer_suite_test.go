package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"provision-plugins/ipmi/udptest"
	"provision-plugins/shared/driver/drivertest"
	"provision-plugins/shared/model"
)

// TestPeerConformance judges the driver by the same suite on OpenIPMI's
// simulator, which is made by others: what it cannot do is left out by name.
func TestPeerConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Config{
		New: newPeerRig, Skip: peerSkips(),
		Short: 3 * time.Second, // a refused login takes it two handshakes, in each of two suites
		NoFault: map[drivertest.Fault]string{
			drivertest.Strange:     "the state is one bit on the wire",
			drivertest.LoseRequest: "commands are encrypted: what stands between cannot tell one from another before it is executed",
			drivertest.Refuse:      "never refuses a chassis command because of the state (D5h)",
		},
	})
}

// peerSkips are the cases that ipmi_sim cannot pass, each with the reason.
func peerSkips() map[string]string {
	out := map[string]string{
		"powercycle/from-on":      "its chassis script sees a cycle as off and on, so that the counts of all three are those of each; TestPeer holds it",
		"cancel/after/powercycle": "as powercycle/from-on",
		"stuck/powercycle":        "its script is told the second half of a cycle a second after the first; the case counts it before",
	}
	for _, boot := range []string{model.NextBootPXE, model.NextBootDisk, model.NextBootCD, model.NextBootBIOS, model.ForceBootPXE, model.ForceBootDisk} {
		out["boot/"+boot] = "keeps the selector alone: the valid bit reads 0"
	}
	for _, nmi := range []string{"powernmi", "lost-reply/" + model.PowerNMI} {
		out[nmi] = "answers CCh to a diagnostic interrupt"
	}
	return out
}

// newPeerRig is one simulator of its own, behind a relay that can be made to
// lose datagrams.
func newPeerRig(tb testing.TB, _ *slog.Logger) *drivertest.Rig {
	t, ok := tb.(*testing.T)
	if !ok {
		tb.Fatal("no test")
	}
	s := &peerDevice{ipmiSim: startIPMISim(t), t: t}
	proxy := udptest.New(t, s.addr, udptest.Pass)
	params := paramsOf(proxy.Addr())
	params[paramPassword] = simPassword
	return &drivertest.Rig{
		Driver: patientDriver(), Params: params, Device: s,
		Fault: func(f drivertest.Fault, command string) { s.breakIt(proxy, f, command) },
		Meets: map[drivertest.Fault]model.Params{
			drivertest.Credentials: {paramPassword: "not-the-Heron"},
			drivertest.Unreachable: {paramPort: int64(drivertest.ClosedPort(tb, "udp"))},
		},
	}
}

// peerDevice is ipmi_sim as the suite looks at it.
type peerDevice struct {
	*ipmiSim
	t *testing.T
}

// peerLines are what the chassis script is told for a command, at first: a cycle
// is an off and an on.
var peerLines = map[string]string{
	model.PowerOn: "power 1", model.PowerOff: "power 0", model.PowerReset: "reset 1", model.PowerSoft: "shutdown 1",
	model.PowerCycle: "power 0", drivertest.SetBoot: "boot", model.Identify: "identify",
}

// Executed counts a command in the log of the chassis script.
func (d *peerDevice) Executed(command string) int {
	if command == model.PowerCycle {
		return strings.Count(strings.Join(d.executed(d.t), "\n"), "power 0\npower 1")
	}
	return d.begun(command)
}

// begun counts the first line of a command in the log.
func (d *peerDevice) begun(command string) int {
	line, ok := peerLines[command]
	n := 0
	for _, l := range d.executed(d.t) {
		if ok && strings.HasPrefix(l, line) {
			n++
		}
	}
	return n
}

// Power reports whether the machine is on.
func (d *peerDevice) Power() bool {
	raw, err := os.ReadFile(filepath.Join(d.dir, "power"))
	if err != nil {
		d.t.Error(err)
	}
	return strings.TrimSpace(string(raw)) == "1"
}

// SetPower puts the machine on or off.
func (d *peerDevice) SetPower(on bool) {
	d.write("power", map[bool]string{true: "1\n", false: "0\n"}[on])
}

// write replaces a file of the chassis script.
func (d *peerDevice) write(name, text string) {
	// In one step: the script reads it at any time.
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		d.t.Error(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		d.t.Error(err)
	}
}

// breakIt arranges a fault: those of the machine by a file that the chassis
// script looks for, those of the network by the relay.
func (d *peerDevice) breakIt(proxy *udptest.Proxy, f drivertest.Fault, command string) {
	stuck := ""
	if f == drivertest.Stuck {
		stuck = "1"
	}
	d.write("stuck", stuck)
	filter := udptest.Pass
	switch f {
	case drivertest.Silent:
		filter = func(udptest.Datagram) [][]byte { return nil }
	case drivertest.LoseReply:
		filter = d.losingReplies(command)
	}
	proxy.SetFilter(filter)
}

// losingReplies loses the first answer after each execution of a command, which
// is the answer to it: a BMC is asked one thing at a time.
func (d *peerDevice) losingReplies(command string) udptest.Filter {
	told := d.begun(command)
	return func(g udptest.Datagram) [][]byte {
		if g.Direction == udptest.ToServer {
			return udptest.Pass(g)
		}
		if n := d.begun(command); n > told {
			told = n
			return nil
		}
		return udptest.Pass(g)
	}
}
