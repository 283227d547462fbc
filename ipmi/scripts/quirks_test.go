package scripts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// nic is a static address on the BMC's own port.
var nic = static(params{"ipmi/configure/port": "dedicated"})

func TestQuirkDellDedicatedNIC(t *testing.T) {
	t.Parallel()
	r := newRig(t, board(device(32, 674, 256), says("ipmitool delloem lan get", "shared"))...)
	r.ok(r.run("ipmi-configure", nic), "quirks: ipmi-dell-dedicated-nic ipmi-nodelay")
	r.wantChanges("delloem lan set dedicated", "lan set 1 ipsrc static", "lan set 1 ipaddr 10.0.0.9")
	r = newRig(t, board(device(32, 674, 256), says("ipmitool delloem lan get", "Dedicated"), says("ipmitool lan print 1", lanStatic))...)
	r.ok(r.run("ipmi-configure", nic), "configured already")
	r.wantChanges()
	r = newRig(t, board(device(32, 674, 256), always("ipmitool delloem lan set *"))...)
	r.failed(r.run("ipmi-configure", nic), "delloem lan set failed")
}

// A BMC that needs no pauses gets none; a Dell of another product does.
func TestQuirkNoDelay(t *testing.T) {
	t.Parallel()
	r := newRig(t, board(device(32, 674, 256))...)
	r.ok(r.run("ipmi-configure", static(nil)), "configured")
	if got := r.calls("sleep"); len(got) > 0 {
		t.Errorf("waited %v", got)
	}
	r = newRig(t, board(device(32, 674, 255))...)
	r.ok(r.run("ipmi-configure", static(nil)), "quirks: ipmi-dell-dedicated-nic\n")
	if got := r.calls("sleep"); len(got) != 2 {
		t.Errorf("waited %v", got)
	}
}

// root is the user root with a password.
var root = params{"ipmi/configure/user": true, "ipmi/configure/password": "secret-secret"}

func TestQuirkCrossedAccessChannels(t *testing.T) {
	t.Parallel()
	r := newRig(t, board(device(1, 19046, 1), says("ipmitool channel info 8", "Channel Medium Type   : 802.3 LAN"))...)
	r.ok(r.run("ipmi-configure", root), "slot 2")
	r.wantChanges("exec", "exec", "exec", "channel setaccess 1 2 callin=on ipmi=on link=on privilege=4", "channel setaccess 8 2 callin=on ipmi=on link=on privilege=4", "user enable 2")
}

func TestQuirkHardResetAfterConfig(t *testing.T) {
	t.Parallel()
	quanta := fmt.Sprintf(mcInfo, 1, 7244, 7244, 1)
	// The BMC is away for a while after its restart.
	r := newRig(t, board(answer{"ipmitool mc info", []reply{{out: quanta}, {exit: 1}, {exit: 1}, {out: quanta}}})...)
	r.ok(r.run("ipmi-configure", static(nil)), "the BMC was restarted, and answered at try 3")
	r.wantChanges("lan set 1 ipsrc static", "lan set 1 ipaddr 10.0.0.9", "mc reset cold")
	// Nothing was changed: it is not restarted.
	r = newRig(t, board(device(1, 7244, 1), says("ipmitool lan print 1", lanStatic))...)
	r.ok(r.run("ipmi-configure", static(nil)), "configured already")
	r.wantChanges()
	r = newRig(t, board(answer{"ipmitool mc info", []reply{{out: quanta}, {exit: 1}}})...)
	r.failed(r.run("ipmi-configure", static(nil)), "it does not answer after 150 seconds")
	r = newRig(t, board(device(1, 7244, 1), always("ipmitool mc reset cold"))...)
	r.failed(r.run("ipmi-configure", static(nil)), "ipmitool mc reset cold failed")
}

func TestQuirkImmutableRoot(t *testing.T) {
	t.Parallel()
	r := newRig(t, board(device(1, 111, 1))...)
	r.failed(r.run("ipmi-configure", root), "this BMC lets nobody change it")
	r.wantChanges()
	r = newRig(t, board(device(1, 111, 1), says("ipmitool -c user list 1", "1,\n2,\n3,\n"))...)
	r.ok(r.run("ipmi-configure", root), "slot 3")
	r.wantChanges(userCalls("3", "root")...)
}

func TestQuirkImmutableRootName(t *testing.T) {
	t.Parallel()
	r := newRig(t, board(device(1, 10876, 1), says("ipmitool -c user list 1", "2,ADMIN\n3,\n"))...)
	set := params{"ipmi/configure/user": true, "ipmi/configure/password": "secret-secret", "ipmi/configure/userid": 2}
	r.failed(r.run("ipmi-configure", set), "does not let slot 2 be renamed")
	r.wantChanges()
	set["ipmi/configure/username"] = "ADMIN"
	r.ok(r.run("ipmi-configure", set), "slot 2")
	r.wantChanges(userCalls("2", "")...)
	r = newRig(t, board(device(1, 10876, 1), says("ipmitool -c user list 1", "2,\n3,\n"))...)
	r.ok(r.run("ipmi-configure", root), "slot 3")
}

func TestQuirkNoIPv6(t *testing.T) {
	t.Parallel()
	r := newRig(t, board(device(1, 343, 1), says("ipmitool lan6 print 1", lan6))...)
	r.ok(r.run("ipmi-inventory", params{"ipmi/prefer-v6": true}), "IPv4")
	if r.param("ipmi/address-v6") != nil || slices.Contains(r.calls("ipmitool"), "lan6 print 1") {
		t.Errorf("a BMC without IPv6 was asked for it")
	}
}

// Every row of the table is read, and its columns are what the scripts know.
func TestQuirkTable(t *testing.T) {
	t.Parallel()
	text, _ := pack(t).Sections["templates"]["ipmi-quirks.tsv"]["Contents"].(string)
	known := []string{"ipmi-nodelay", "ipmi-dell-dedicated-nic", "ipmi-crossed-access-channels", "ipmi-hard-reset-after-config", "ipmi-immutable-root", "ipmi-immutable-rootname", "ipmi-no-ipv6"}
	used := map[string]bool{}
	rows := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		rows++
		cells := strings.Split(strings.TrimSpace(line), "\t")
		if len(cells) != 5 || cells[1]+cells[2]+cells[3] == "---" {
			t.Errorf("row %q has not five cells, or matches all", line)
			continue
		}
		for name := range strings.FieldsSeq(cells[4]) {
			name = strings.TrimPrefix(name, "-")
			used[name] = true
			if !slices.Contains(known, name) {
				t.Errorf("row %s: no script knows %s", cells[0], name)
			}
		}
	}
	if rows < 11 || len(used) != len(known) {
		t.Errorf("%d rows use %v", rows, used)
	}
}

// What counts more is applied later: it can take away what a wider row gave.
func TestQuirkScores(t *testing.T) {
	t.Parallel()
	script := render(t, "ipmi-inventory", nil)
	const rows = "more\t-\t5\t7\t-wide own\nwide\t-\t5\t-\twide other\nelse\t9\t5\t7\tnever\ndevice\t1\t-\t-\tdevice\n"
	start, end := strings.Index(script, "<<'QUIRKS'\n"), strings.Index(script, "\nQUIRKS\n")
	if start < 0 || end < start {
		t.Fatal("the script has no table")
	}
	r := newRig(t, board(device(1, 5, 7))...)
	r.ok(r.runScript(script[:start]+"<<'QUIRKS'\n"+rows+script[end+1:]), "quirks: device other own\n")
}
