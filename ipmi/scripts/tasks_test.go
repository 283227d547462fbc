package scripts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestInstall(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok(r.run("ipmi-install", nil), "ipmitool is installed already")
	for manager, want := range map[string][]string{
		"apt-get": {"update -qq", "install -y -qq --no-install-recommends ipmitool"},
		"dnf":     {"install -y -q ipmitool"},
		"yum":     {"install -y -q ipmitool"},
		"zypper":  {"--non-interactive --quiet install ipmitool"},
		"apk":     {"add --quiet ipmitool"},
	} {
		r := newRig(t)
		r.remove("ipmitool")
		r.write(0o700, "#!/bin/sh\nPATH=/usr/bin:/bin\nprintf '%s\\n' \""+manager+" $*\" >>\"$RIG/calls\"\ncase \"$*\" in *ipmitool) ln -s ../stub \"$RIG/bin/ipmitool\" ;; esac\n", "bin", manager)
		r.ok(r.run("ipmi-install", nil), "ipmitool is installed\n")
		if got := r.calls(manager); !slices.Equal(got, want) {
			t.Errorf("%s was called with %q", manager, got)
		}
	}
}

func TestInstallFails(t *testing.T) {
	t.Parallel()
	r := newRig(t, always("yum *"))
	r.remove("ipmitool")
	r.failed(r.run("ipmi-install", nil), "none of apt-get, dnf, yum, zypper and apk is here")
	r.install("yum")
	r.failed(r.run("ipmi-install", nil), "yum failed three times")
	if len(r.calls("yum")) != 3 || !slices.Equal(r.calls("sleep"), []string{"5", "10"}) {
		t.Errorf("called %q, waited %q", r.calls("yum"), r.calls("sleep"))
	}
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		failures int
		calls    []string // of ipmitool
		found    bool
	}{
		{"at once", 0, []string{"mc info"}, true},
		{"at the fifth try", 4, []string{"mc info", "mc info", "mc info", "mc info", "mc info"}, true},
		{"after a reset", 5, []string{"mc info", "mc info", "mc info", "mc info", "mc info", "mc reset cold", "mc info"}, true},
		{"never", 99, slices.Concat(slices.Repeat([]string{"mc info"}, 5), []string{"mc reset cold"}, slices.Repeat([]string{"mc info"}, 5)), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, fails("ipmitool mc info", tc.failures), always("modprobe -q ipmi_ssif"))
			r.must(removeFile(r.path("params", file("ipmi/enabled"))))
			res := r.run("ipmi-discover", nil)
			r.ok(res, "kernel module ipmi_ssif is not loaded")
			if r.param("ipmi/enabled") != tc.found || !slices.Equal(r.calls("ipmitool"), tc.calls) {
				t.Errorf("ipmi/enabled is %v after %q", r.param("ipmi/enabled"), r.calls("ipmitool"))
			}
			if got := r.calls("modprobe"); !slices.Equal(got, []string{"-q ipmi_msghandler", "-q ipmi_devintf", "-q ipmi_si", "-q ipmi_ssif"}) {
				t.Errorf("modprobe was called with %q", got)
			}
		})
	}
}

func TestDiscoverFatal(t *testing.T) {
	t.Parallel()
	r := newRig(t, always("ipmitool *"))
	r.failed(r.run("ipmi-discover", params{"ipmi/configure/no-bmc-fatal": true}), "find a BMC: none answers")
	if r.param("ipmi/enabled") != false {
		t.Errorf("ipmi/enabled is %v", r.param("ipmi/enabled"))
	}
	r = newRig(t, always("drpcli machines set *"))
	r.set("ipmi/enabled", false)
	r.failed(r.run("ipmi-discover", nil), "set ipmi/enabled: the endpoint refused")
}

// lan6 is what ipmitool tells of a BMC with a link-local and a routed address.
const lan6 = `IPv6 Static Address 0:
    Enabled:        no
    Address:        ::/0
    Status:         disabled
IPv6 Dynamic Address 0:
    Source/Type:    SLAAC
    Address:        fe80::5054:ff:feaa:bbcc/64
    Status:         active
IPv6 Dynamic Address 1:
    Source/Type:    DHCPv6
    Address:        2001:db8::77/64
    Status:         active
IPv6 Dynamic Router Info IP Address:
IPv6 Static Router 1 IP Address: 2001:db8::1
`

func TestInventory(t *testing.T) {
	t.Parallel()
	r := newRig(t, board(says("ipmitool lan6 print 1", lan6))...)
	r.ok(r.run("ipmi-inventory", nil), "the BMC is at the IPv4 address on channel 1")
	for name, want := range map[string]any{
		"ipmi/macaddr": "52:54:00:aa:bb:cc", "ipmi/address": "10.0.0.77", "ipmi/netmask": "255.255.255.0", "ipmi/gateway": "10.0.0.1", "ipmi/ipsrc": "DHCP Address",
		"ipmi/address-v4": "10.0.0.77", "ipmi/netmask-v4": "255.255.255.0", "ipmi/gateway-v4": "10.0.0.1", "ipmi/ipsrc-v4": "DHCP Address",
		"ipmi/address-v6": "2001:db8::77/64", "ipmi/netmask-v6": "64", "ipmi/gateway-v6": "2001:db8::1", "ipmi/ipsrc-v6": "DHCPv6",
	} {
		if got := r.param(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	r.wantChanges()
	if got := r.read("reservation"); !strings.Contains(got, `"Addr": "10.0.0.77"`) || !strings.Contains(got, `"Token": "52:54:00:aa:bb:cc"`) {
		t.Errorf("reserved is %q", got)
	}
	// What is set already is not set again.
	sets := func() int {
		return len(slices.DeleteFunc(r.calls("drpcli"), func(c string) bool { return !strings.HasPrefix(c, "machines set ") }))
	}
	before := sets()
	r.answers = append(r.answers, says("drpcli reservations exists *", ""))
	r.ok(r.run("ipmi-inventory", nil), "IPv4")
	if got := sets() - before; got != 0 {
		t.Errorf("%d params were set again", got)
	}
}

func TestInventoryWithoutAddress(t *testing.T) {
	t.Parallel()
	r := newRig(t, board(says("ipmitool lan print 1", strings.NewReplacer("10.0.0.77", "0.0.0.0", "10.0.0.1", "0.0.0.0").Replace(lanDHCP)))...)
	r.failed(r.run("ipmi-inventory", nil), "it has no address")
	if r.param("ipmi/address") != nil || r.param("ipmi/macaddr") != "52:54:00:aa:bb:cc" {
		t.Errorf("ipmi/address is %v", r.param("ipmi/address"))
	}
	r = newRig(t, board(always("drpcli reservations create *"))...)
	res := r.run("ipmi-inventory", nil)
	r.ok(res, "IPv4")
	if !strings.Contains(res.errs, "warning: 10.0.0.77 is not reserved") {
		t.Errorf("said %q", res.errs)
	}
	r = newRig(t, board(always("drpcli reservations *"))...)
	r.ok(r.run("ipmi-inventory", params{"ipmi/configure/reserve-ip": false}), "IPv4")
	if got := strings.Join(r.calls("drpcli"), "\n"); strings.Contains(got, "reservations") {
		t.Errorf("drpcli was called with %q", got)
	}
}

// subnets are addresses, gateways and netmasks, and whether they belong together.
var subnets = []struct {
	address, gateway, netmask string
	ok                        bool
}{
	{"10.0.0.9", "10.0.0.1", "255.255.255.0", true},
	{"10.0.0.9", "10.0.1.1", "255.255.255.0", false},
	{"10.0.0.9", "10.0.1.1", "255.255.254.0", true},
	{"10.0.0.9", "10.1.0.1", "0.0.0.0", true},
	{"10.0.0.9", "10.0.0.9", "255.255.255.255", true},
	{"10.0.0.9", "10.0.0.8", "255.255.255.255", false},
	{"010.0.0.9", "10.0.0.1", "255.255.255.0", true},
	{"10.0.0.256", "10.0.0.1", "255.255.255.0", false},
	{"10.0.0.9", "10.0.0.1", "", false},
	{"10.0.0.9", "10.0.0.1", "255.0.255.0", false},
	{"10.0.0.9", "x", "255.255.255.0", false},
	{"10.0.0.9", "a[$(exit)]", "255.255.255.0", false},
	{"2001:db8::9", "2001:db8::1", "64", true},
	{"2001:db8::9", "2001:db8:0:1::1", "64", false},
	{"2001:db8:0:2::9", "2001:db8:0:3::1", "63", true},
	{"2001:db8:0:2::9", "fe80::1", "64", true},
	{"2001:db8::9", "2001:db8::1", "129", false},
	{"2001:db8::9", "2001:db8::1::", "64", false},
	{"2001:db8::9", "2001:db8::12345", "64", false},
	{"1:2:3:4:5:6:7", "1:2:3:4:5:6:7:9", "64", false},
	{"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:9", "126", true},
	{"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:9", "128", false},
	{"2001:db8::9", "10.0.0.1", "64", false},
	{"2001:DB8::9", "2001:db8:0:0:0:0:0:1", "64", true},
}

func TestSameSubnet(t *testing.T) {
	t.Parallel()
	lib, _, ok := strings.Cut(render(t, "ipmi-network-validation", nil), "\nneed jq")
	if !ok {
		t.Fatal("the script has changed")
	}
	var script, want strings.Builder
	script.WriteString(lib + "\n")
	for _, tc := range subnets {
		fmt.Fprintf(&script, "if same_subnet '%s' '%s' '%s'; then r=true; else r=false; fi\nsay '%s %s %s' \"$r\"\n", tc.address, tc.gateway, tc.netmask, tc.address, tc.gateway, tc.netmask)
		fmt.Fprintln(&want, tc.address, tc.gateway, tc.netmask, tc.ok)
	}
	r := newRig(t)
	if res := r.runScript(script.String()); res.out != want.String() {
		t.Errorf("%s\ngives\n%s", res.errs, diff(res.out, want.String()))
	}
}

// diff lists the lines of got that are not those of want.
func diff(got, want string) string {
	var out strings.Builder
	lines := strings.Split(want, "\n")
	for i, line := range strings.Split(got, "\n") {
		if i >= len(lines) || line != lines[i] {
			fmt.Fprintln(&out, line)
		}
	}
	return out.String()
}

func TestNetworkValidation(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.failed(r.run("ipmi-network-validation", nil), "ipmi/address is not set")
	found := params{"ipmi/address": "10.0.0.9", "ipmi/gateway": "0.0.0.0", "ipmi/netmask": "255.255.255.0"}
	r.ok(r.run("ipmi-network-validation", found), "the BMC has no gateway")
	found["ipmi/gateway"] = "10.0.0.1"
	r.ok(r.run("ipmi-network-validation", found), "10.0.0.9 and its gateway 10.0.0.1 are in one subnet")
	found["ipmi/gateway"] = "10.0.9.1"
	r.failed(r.run("ipmi-network-validation", found), "10.0.0.9 and its gateway 10.0.9.1 are not in one subnet with netmask 255.255.255.0")
}

func TestRunCommands(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok(r.run("ipmi-run-commands", nil), "nothing to do")
	set := params{"ipmi/extra-ipmi-commands": []any{"sol set enabled true 1", "ipmitool  chassis policy always-on ", " ", "raw 0x06 0x01 $(touch x) * ; true"}}
	r.ok(r.run("ipmi-run-commands", set), "command 4 of 4 is done")
	r.wantChanges("sol set enabled true 1", "chassis policy always-on", "raw 0x06 0x01 $(touch x) * ; true")
	r = newRig(t, always("ipmitool chassis *"))
	r.failed(r.run("ipmi-run-commands", set), "run command 2 of ipmi/extra-ipmi-commands: ipmitool failed; those after it were not run")
	r.wantChanges("sol set enabled true 1", "chassis policy always-on")
	r.answers = append(r.answers, always("drpcli machines get *extra*"))
	r.failed(r.run("ipmi-run-commands", set), "the endpoint does not tell it")
}

func TestStatusValidation(t *testing.T) {
	t.Parallel()
	health := func(memory string) string {
		return fmt.Sprintf(`{"Status":"OK","ProcessorStatus":"OK","MemoryStatus":%q,"EthernetStatus":"","StorageStatus":"OK","SimpleStorageStatus":"OK"}`, memory)
	}
	run := "drpcli machines runaction " + machineID + " status ipmi/mode redfish"
	check := params{"ipmi/skip-status-validation": false}
	r := newRig(t, says(run, health("Critical")))
	r.ok(r.run("ipmi-status-validation", nil), "nothing to check")
	r.failed(r.run("ipmi-status-validation", check), "accept the machine: MemoryStatus Critical")
	r = newRig(t, says(run, health("OK")))
	r.ok(r.run("ipmi-status-validation", check), "all is well")
	r = newRig(t, says(run, "what"))
	r.failed(r.run("ipmi-status-validation", check), "the answer of status is not known")
	r = newRig(t, says(run, "[]"))
	r.failed(r.run("ipmi-status-validation", check), "the answer of status is not known")
	r = newRig(t, always(run))
	r.failed(r.run("ipmi-status-validation", check), "the action status failed")
}
