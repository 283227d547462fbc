package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"provision-plugins/ipmi/facts"
	"provision-plugins/shared/model"
)

// sensorCommands give OpenIPMI's simulator an event log and a sensor in its
// repository.
const sensorCommands = simCommands + `sel_enable 0x20 1000 0x0a
sensor_add 0x20 0 1 1 1
sensor_set_value 0x20 0 1 0x60 0
sensor_set_event_support 0x20 0 1 enable scanning per-state 000111111111111 000111111111111 000111111111111 000111111111111
main_sdr_add 0x20 0x00 0x00 0x51 0x01 0x34 0x20 0x00 0x01 0x03 0x01 0x67 0x88 0x01 0x01 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x01 0x00 0x00 0x01 0x00 0x00 0x00 0x00 0x00 0x00 0x60 0xb0 0x00 0xb0 0x00 0xa0 0x90 0x66 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0xc9 0x44 0x4a 0x20 0x53 0x65 0x6e 0x73 0x6f 0x72
`

// toolOn runs ipmitool on OpenIPMI's simulator.
func toolOn(t *testing.T, addr netip.AddrPort, args ...string) string {
	t.Helper()
	options := []string{"-I", "lanplus", "-C", "3", "-H", addr.Addr().String(), "-p", fmt.Sprint(addr.Port()), "-U", testUser, "-L", "OPERATOR", "-E", "-N", "30", "-R", "1"}
	cmd := exec.CommandContext(t.Context(), needTool(t, "ipmitool", "ipmitool"), append(options, args...)...)
	cmd.Env = append(os.Environ(), "IPMITOOL_PASSWORD="+simPassword, "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ipmitool %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// What OpenIPMI's simulator keeps in its log and tells of its sensor is told as
// ipmitool tells it, and its log is erased.
func TestPeerReads(t *testing.T) {
	t.Parallel()
	s := startSim(t, t.TempDir(), func(dir string, addr netip.AddrPort) map[string]string {
		return map[string]string{
			"chassis": chassisScript, "power": "1\n", "log": "", "sim.emu": sensorCommands,
			"lan.conf": fmt.Sprintf(simConfig, addr.Addr(), addr.Port(), filepath.Join(dir, "chassis"), testUser, simPassword),
		}
	})
	events := filepath.Join(t.TempDir(), "events")
	if err := os.WriteFile(events, []byte("0x04 0x01 0x01 0x01 0x59 0x91 0x90 # too hot\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	toolOn(t, s.addr, "sel", "add", events)
	p := newProvider(t)
	result, err := ask(p, getSensors, s.addr, simLogin())
	if err != nil {
		t.Fatal(err)
	}
	sensors := result.(*facts.Sensors).Sensors
	if len(sensors) != 1 || sensors[0].Name != "DJ Sensor" || sensors[0].Reading == nil || !strings.Contains(toolOn(t, s.addr, "sdr", "list"), fmt.Sprintf("%g", *sensors[0].Reading)) {
		t.Errorf("%+v, and ipmitool tells %s", sensors, toolOn(t, s.addr, "sdr", "list"))
	}
	result, err = ask(p, getSel, s.addr, simLogin())
	if err != nil {
		t.Fatal(err)
	}
	log := result.(*facts.Log)
	if told := toolOn(t, s.addr, "sel", "list"); len(log.Entries) != strings.Count(told, "\n") || len(log.Entries) == 0 {
		t.Fatalf("%+v, and ipmitool tells %s", log, told)
	}
	// ipmitool sends it in its own name, and not in that of the sensor.
	if e := log.Entries[len(log.Entries)-1]; e.Sensor != "sensor 0x01" || e.SensorType != "Temperature" || !*e.Asserted {
		t.Errorf("%+v", e)
	}
	result, err = ask(p, clearSel, s.addr, simLogin(), confirm())
	if err != nil || result.(model.Result).Outcome != model.Verified {
		t.Errorf("%+v, %v", result, err)
	}
	if told := toolOn(t, s.addr, "sel", "list"); strings.Contains(told, "Temperature") {
		t.Errorf("ipmitool tells %s", told)
	}
}
