package bmc

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tool returns the path of an outside program, or skips the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	for _, candidate := range []string{name, filepath.Join("/usr/sbin", name)} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	if os.Getenv("TEST_STRICT") == "1" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// run runs an outside program and returns what it printed and its exit code.
// Its own retransmissions are put off, so that a slow machine does not look
// like a lost datagram.
func run(t *testing.T, path string, args ...string) (output string, exit int) {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "IPMITOOL_PASSWORD=password", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if exitErr := (*exec.ExitError)(nil); errors.As(err, &exitErr) {
		return string(out), exitErr.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out), 0
}

// ipmitool returns how to run ipmitool against b.
func ipmitool(t *testing.T, b *BMC, suite int) func(args ...string) (string, int) {
	t.Helper()
	path := tool(t, "ipmitool")
	options := []string{
		"-I", "lanplus", "-C", fmt.Sprint(suite), "-H", b.Addr().Addr().String(),
		"-p", fmt.Sprint(b.Addr().Port()), "-U", "admin", "-E", "-N", "30", "-R", "1",
	}
	return func(args ...string) (string, int) {
		t.Helper()
		return run(t, path, append(options, args...)...)
	}
}

// step is one use of ipmitool.
type step struct {
	args    string
	want    []string      // in the output
	fails   bool          // with exit code 1
	advance time.Duration // of the clock, afterwards
}

func TestIpmitool(t *testing.T) {
	const second = time.Second
	steps := []step{
		{args: "chassis status", want: []string{"System Power         : off"}},
		{args: "power cycle", want: []string{"Command not supported in present state"}, fails: true},
		{args: "power on", want: []string{"Chassis Power Control: Up/On"}},
		{args: "power status", want: []string{"Chassis Power is off"}, advance: second},
		{args: "power status", want: []string{"Chassis Power is on"}},
		{args: "power cycle", want: []string{"Chassis Power Control: Cycle"}, advance: second},
		{args: "power status", want: []string{"Chassis Power is off"}, advance: second},
		{args: "power status", want: []string{"Chassis Power is on"}},
		{args: "power reset", want: []string{"Chassis Power Control: Reset"}, advance: second},
		{args: "power diag", want: []string{"Chassis Power Control: Diag"}},
		{args: "chassis restart_cause", want: []string{"chassis power control command"}},
		{args: "chassis bootdev pxe options=persistent,efiboot", want: []string{"Set Boot Device to pxe"}},
		{args: "chassis bootparam get 5", want: []string{
			"data: e004000000", "Boot Flag Valid", "all future boots", "BIOS EFI boot", "Force PXE",
		}},
		{args: "chassis bootdev disk", want: []string{"Set Boot Device to disk"}},
		{args: "chassis bootparam get 5", want: []string{
			"data: 8008000000", "Boot Flag Valid", "only next boot", "legacy", "default Hard-Drive",
		}},
		{args: "chassis bootdev bios options=efiboot", want: []string{"Set Boot Device to bios"}},
		{args: "chassis bootparam get 5", want: []string{"data: a018000000", "BIOS Setup"}},
		{args: "chassis bootdev cdrom options=persistent", want: []string{"Set Boot Device to cdrom"}},
		{args: "chassis bootparam get 5", want: []string{"data: c014000000", "CD/DVD"}},
		{args: "chassis bootparam get 3", want: []string{"valid/unlocked"}},
		{args: "chassis identify 7", want: []string{"7 seconds"}},
		{args: "chassis status", want: []string{"System Power         : on"}},
		{args: "mc info", want: []string{"IPMI Version              : 2.0", "Chassis Device"}},
		{args: "mc guid", want: []string{"GUID"}},
		{args: "power soft", want: []string{"Soft"}, advance: second},
		{args: "power off", want: []string{"Down/Off"}, advance: second},
		{args: "power status", want: []string{"Chassis Power is off"}},
	}
	for _, suite := range []int{17, 3} {
		t.Run(fmt.Sprintf("suite %d", suite), func(t *testing.T) {
			b, clock := newOne(t, Options{PowerDelay: second, CycleOff: second})
			ipmi := ipmitool(t, b, suite)
			for _, s := range steps {
				checkStep(t, ipmi, s)
				clock.advance(s.advance)
			}
			if got := b.Identify(); !got.On || got.Forced {
				// Two seconds of the seven are over since.
				t.Errorf("the light is %+v", got)
			}
			checkLedger(t, b, map[string]int{
				PowerOn: 1, PowerOff: 1, PowerCycle: 1, PowerReset: 1, PowerDiag: 1, PowerSoft: 1,
				SetBoot: 4, GetBoot: 5, ChassisIdentify: 1, LoginRefused: 0, RestartCause: 1,
				SessionOpen: len(steps), SessionClose: len(steps),
			})
			if got := b.Sessions(); got != 0 {
				t.Errorf("%d sessions left", got)
			}
		})
	}
}

// checkStep runs ipmitool once and checks what it says.
func checkStep(t *testing.T, ipmi func(...string) (string, int), s step) {
	t.Helper()
	out, exit := ipmi(strings.Fields(s.args)...)
	if (exit != 0) != s.fails {
		t.Errorf("ipmitool %s: exit code %d\n%s", s.args, exit, out)
	}
	for _, want := range s.want {
		if !strings.Contains(out, want) {
			t.Errorf("ipmitool %s: no %q in\n%s", s.args, want, out)
		}
	}
}

// checkLedger asserts some counts.
func checkLedger(t *testing.T, b *BMC, want map[string]int) {
	t.Helper()
	for name, n := range want {
		executed(t, b, name, n)
	}
}

func TestIpmitoolIsRefused(t *testing.T) {
	b, _ := newOne(t, Options{})
	ipmi := ipmitool(t, b, 17)
	b.SetFaults(Faults{WrongPassword: true})
	if out, exit := ipmi("power", "on"); exit == 0 || !strings.Contains(out, "Unable to establish") {
		t.Errorf("with a wrong password: exit code %d\n%s", exit, out)
	}
	b.SetFaults(Faults{SessionsFull: true})
	if out, exit := ipmi("power", "on"); exit == 0 || !strings.Contains(out, "insufficient resources") {
		t.Errorf("without slots: exit code %d\n%s", exit, out)
	}
	b.SetFaults(Faults{Busy: map[string]int{PowerOn: 1}})
	if out, exit := ipmi("power", "on"); exit == 0 || !strings.Contains(out, "Node busy") {
		t.Errorf("busy: exit code %d\n%s", exit, out)
	}
	b.SetFaults(Faults{})
	if out, exit := ipmi("-L", "USER", "power", "on"); exit == 0 || !strings.Contains(out, "Insufficient privilege level") {
		t.Errorf("as USER: exit code %d\n%s", exit, out)
	}
	executed(t, b, PowerOn, 0)
}

func TestIpmitoolWithKg(t *testing.T) {
	b, _ := newOne(t, Options{Kg: []byte("twenty bytes of key."), On: true})
	ipmi := ipmitool(t, b, 17)
	if out, exit := ipmi("-k", "twenty bytes of key.", "power", "status"); exit != 0 || !strings.Contains(out, "is on") {
		t.Errorf("exit code %d\n%s", exit, out)
	}
	if out, exit := ipmi("power", "status"); exit == 0 {
		t.Errorf("let in without the key\n%s", out)
	}
}

// hosts is the addresses of a fleet on one port, as FreeIPMI writes them.
func hosts(f *Fleet) string {
	var list []string
	for i := range f.Len() {
		list = append(list, f.BMC(i).Addr().String())
	}
	return strings.Join(list, ",")
}

// freeipmi returns how to run a tool of FreeIPMI against a whole fleet; exit
// is the code it is to end with.
func freeipmi(t *testing.T, f *Fleet, name string, suite, exit int) func(args ...string) string {
	t.Helper()
	path := tool(t, name)
	config := filepath.Join(t.TempDir(), "freeipmi.conf") // so that the machine's own has no say
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	options := []string{
		"--config-file", config, "-D", "LAN_2_0", "-I", fmt.Sprint(suite), "-u", "admin", "-p", "password",
		"--session-timeout=60000", "--retransmission-timeout=30000", "-h", hosts(f),
	}
	return func(args ...string) string {
		t.Helper()
		out, got := run(t, path, append(options, args...)...)
		if got != exit {
			t.Errorf("%s %s: exit code %d, want %d\n%s", name, args, got, exit, out)
		}
		return out
	}
}

// said counts the words after the host names in the output of ipmipower.
func said(out string) map[string]int {
	counts := map[string]int{}
	for line := range strings.Lines(out) {
		_, word, _ := strings.Cut(strings.TrimSpace(line), ": ")
		counts[word]++
	}
	return counts
}

func TestIpmipower(t *testing.T) {
	const count = 64
	for _, suite := range []int{17, 3} {
		t.Run(fmt.Sprintf("suite %d", suite), func(t *testing.T) {
			clock := newFakeClock()
			f := newFleet(t, Options{
				Count: count, Host: addr("127.25.0.1"), Clock: clock,
				PowerDelay: time.Second, CycleOff: time.Second, Sessions: 20,
			})
			power := freeipmi(t, f, "ipmipower", suite, 0)
			for _, s := range []struct {
				option, want string
				advance      time.Duration
			}{
				{"--stat", "off", 0}, {"--on", "ok", 0}, {"--stat", "off", time.Second}, {"--stat", "on", 0},
				{"--cycle", "ok", time.Second}, {"--stat", "off", time.Second}, {"--stat", "on", 0},
				{"--reset", "ok", time.Second}, {"--off", "ok", time.Second}, {"--stat", "off", 0},
			} {
				if got, want := said(power(s.option)), map[string]int{s.want: count}; !maps.Equal(got, want) {
					t.Fatalf("ipmipower %s: %v, want %v", s.option, got, want)
				}
				clock.advance(s.advance)
			}
			for i := range count {
				checkLedger(t, f.BMC(i), map[string]int{
					PowerOn: 1, PowerOff: 1, PowerCycle: 1, PowerReset: 1, LoginRefused: 0, SessionOpen: 10,
				})
			}
		})
	}
}

func TestIpmipowerIsRefused(t *testing.T) {
	f := newFleet(t, Options{Count: 2, Host: addr("127.26.0.1")})
	power := freeipmi(t, f, "ipmipower", 17, 1)
	f.BMC(1).SetFaults(Faults{WrongPassword: true})
	if got, want := said(power("--stat")), map[string]int{"off": 1, "password invalid": 1}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	executed(t, f.BMC(1), SessionOpen, 0)
}

func TestIpmiChassis(t *testing.T) {
	const count = 16
	f := newFleet(t, Options{Count: count, Host: addr("127.27.0.1"), Clock: newFakeClock(), Sessions: 20, On: true})
	chassis := freeipmi(t, f, "ipmi-chassis", 17, 0)
	each := func(what string, ok func(*BMC) bool) {
		t.Helper()
		for i := range count {
			if !ok(f.BMC(i)) {
				t.Errorf("%s: not on BMC %d: %+v", what, i, f.BMC(i).Identify())
			}
		}
	}
	chassis("--chassis-identify=FORCE")
	each("forced", func(b *BMC) bool { return b.Identify() == Light{On: true, Forced: true} })
	if out := chassis("--get-chassis-status"); strings.Count(out, "Indefinite on") != count {
		t.Errorf("not all are lit:\n%s", out)
	}
	chassis("--chassis-identify=30")
	each("30 s", func(b *BMC) bool { return b.Identify() == Light{On: true, Left: 30 * time.Second} })
	chassis("--chassis-identify=TURN-OFF")
	each("off", func(b *BMC) bool { return b.Identify() == Light{} })
	chassis("--chassis-control=HARD-RESET")
	if out := chassis("--get-system-restart-cause"); strings.Count(out, "Chassis control command") != count {
		t.Errorf("not all were reset:\n%s", out)
	}
	for i := range count {
		checkLedger(t, f.BMC(i), map[string]int{ChassisIdentify: 3, PowerReset: 1, RestartCause: 1})
	}
}

func TestIpmiChassisConfig(t *testing.T) {
	f := newFleet(t, Options{Clock: newFakeClock()})
	b := f.BMC(0)
	config := freeipmi(t, f, "ipmi-chassis-config", 17, 0)
	const section = "Chassis_Boot_Flags:"
	config("--commit", "-e", section+"Boot_Device=PXE", "-e", section+"BIOS_Boot_Type=EFI",
		"-e", section+"Boot_Flags_Persistent=Yes")
	if got := b.Boot(); !got.Valid || !got.EFI || !got.Persistent || got.Device != "pxe" {
		t.Errorf("%+v", got)
	}
	out := config("--checkout", "-S", "Chassis_Boot_Flags")
	for option, want := range map[string]string{
		"Boot_Device": "PXE", "BIOS_Boot_Type": "EFI", "Boot_Flags_Persistent": "Yes",
	} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), option+" "+want) {
			t.Errorf("no %s %s in\n%s", option, want, out)
		}
	}
}
