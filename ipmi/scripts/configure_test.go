package scripts

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What tools answer, as recorded.
const (
	mcInfo = `Device ID                 : %d
Device Revision           : 1
Firmware Revision         : 2.14
IPMI Version              : 2.0
Manufacturer ID           : %d
Manufacturer Name         : Unknown (0x%X)
Product ID                : %d (0x0001)
Product Name              : Unknown (0x1)
`
	lanDHCP = `Set in Progress         : Set Complete
IP Address Source       : DHCP Address
IP Address              : 10.0.0.77
Subnet Mask             : 255.255.255.0
MAC Address             : 52:54:00:aa:bb:cc
Default Gateway IP      : 10.0.0.1
Default Gateway MAC     : 00:00:00:00:00:00
`
	lanStatic = `IP Address Source       : Static Address
IP Address              : 10.0.0.9
Subnet Mask             : 255.255.255.0
MAC Address             : 52:54:00:aa:bb:cc
Default Gateway IP      : 10.0.0.1
`
	userList = `1,,true,false,false,NO ACCESS
2,root,true,true,true,ADMINISTRATOR
3,,true,false,false,NO ACCESS
4,,true,false,false,NO ACCESS
`
)

// device answers as a BMC with these numbers.
func device(id, maker, product int) answer {
	return says("ipmitool mc info", fmt.Sprintf(mcInfo, id, maker, maker, product))
}

// board is a BMC without quirks, with one LAN channel and two users.
func board(more ...answer) []answer {
	return append([]answer{
		device(1, 99999, 1),
		says("ipmitool channel info 1", "Channel 0x1 info:\n  Channel Medium Type   : 802.3 LAN\n"),
		says("ipmitool lan print 1", lanDHCP),
		always("ipmitool lan6 print *"),
		says("ipmitool -c user list 1", userList),
	}, more...)
}

// static are the params of a static address.
func static(more params) params {
	out := params{
		"ipmi/configure/network": true, "ipmi/configure/ip-mode": "static",
		"ipmi/configure/address": "10.0.0.9", "ipmi/configure/netmask": "255.255.255.0", "ipmi/configure/gateway": "10.0.0.1",
	}
	for k, v := range more {
		out[k] = v
	}
	return out
}

func TestConfigureNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, board()...)
	r.ok(r.run("ipmi-configure", nil), "nothing to do")
	r.wantChanges()
	r.set("ipmi/enabled", false)
	r.ok(r.run("ipmi-configure", static(nil)), "the machine has no BMC")
	r.wantChanges()
}

func TestConfigureStatic(t *testing.T) {
	t.Parallel()
	r := newRig(t, board()...)
	r.ok(r.run("ipmi-configure", static(nil)), "the BMC is configured\n")
	r.wantChanges("lan set 1 ipsrc static", "lan set 1 ipaddr 10.0.0.9")
	if got := r.calls("sleep"); !slices.Equal(got, []string{"1", "1"}) {
		t.Errorf("waited %v", got)
	}
	// What is so already is not written again.
	r = newRig(t, board(says("ipmitool lan print 1", lanStatic))...)
	r.ok(r.run("ipmi-configure", static(nil)), "the BMC was configured already")
	r.wantChanges()
}

func TestConfigureDHCP(t *testing.T) {
	t.Parallel()
	r := newRig(t, board(says("ipmitool lan print 1", lanStatic))...)
	r.ok(r.run("ipmi-configure", params{"ipmi/configure/network": true}), "the BMC is configured")
	r.wantChanges("lan set 1 ipsrc dhcp")
	r = newRig(t, board()...)
	r.ok(r.run("ipmi-configure", params{"ipmi/configure/network": true, "ipmi/force-lan-chan": 1}), "configured already")
	r.wantChanges()
}

func TestConfigureIPv6(t *testing.T) {
	t.Parallel()
	set := params{
		"ipmi/configure/network": true, "ipmi/configure/ip-mode": "static",
		"ipmi/configure/address": "2001:db8::9", "ipmi/configure/netmask": "64", "ipmi/configure/gateway": "2001:db8::1",
	}
	want := []string{"lan6 set 1 nolock enables both", "lan6 set 1 nolock static_addr 0 enable 2001:db8::9 64", "lan6 set 1 nolock rtr_cfg static", "lan6 set 1 nolock static_rtr 1 addr 2001:db8::1"}
	r := newRig(t, board(says("ipmitool lan6 print 1", ""))...)
	r.ok(r.run("ipmi-configure", set), "the BMC is configured")
	r.wantChanges(want...)

	r = newRig(t, board(says("ipmitool lan6 print 1", "IPv6 Static Address 0:\n    Enabled:        yes\n    Address:        2001:db8::9/64\n    Status:         active\n"))...)
	r.ok(r.run("ipmi-configure", set), "configured already")
	r.wantChanges()

	r = newRig(t, board(says("ipmitool lan6 print 1", ""))...)
	r.ok(r.run("ipmi-configure", params{"ipmi/configure/network": true, "ipmi/force-protocol": "v6"}), "configured")
	r.wantChanges("lan6 set 1 nolock enables both", "lan6 set 1 nolock rtr_cfg dynamic")
}

// What would cut the BMC off is refused before anything is written.
func TestConfigureRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		set  params
		more []answer
		want string
	}{
		"gateway elsewhere": {static(params{"ipmi/configure/gateway": "10.0.1.1"}), nil, "10.0.0.9 and its gateway 10.0.1.1 are not in one subnet"},
		"no netmask":        {static(params{"ipmi/configure/netmask": ""}), nil, "ipmi/configure/netmask are needed"},
		"bad netmask":       {static(params{"ipmi/configure/netmask": "255.0.255.0"}), nil, "is no IPv4 address"},
		"bad address":       {static(params{"ipmi/configure/address": "10.0.0.256"}), nil, "is no IPv4 address"},
		"bad IPv6":          {static(params{"ipmi/configure/address": "2001::db8::1", "ipmi/configure/netmask": "64"}), nil, "is no IPv6 address"},
		"other protocol":    {static(params{"ipmi/force-protocol": "v6"}), nil, "not of the protocol"},
		"port":              {static(params{"ipmi/configure/port": "shared"}), nil, "no command is known for it"},
		"no channel":        {static(nil), []answer{says("ipmitool channel info 1", "IPMB")}, "set ipmi/force-lan-chan"},
		"no ids":            {static(nil), []answer{says("ipmitool mc info", "what")}, "its answer has no ids"},
		"no print":          {static(nil), []answer{always("ipmitool lan print 1")}, "lan print 1 failed"},
		"no IPv6":           {params{"ipmi/configure/network": true, "ipmi/force-protocol": "v6"}, []answer{device(33, 343, 1)}, "this one has none"},
		"slot 1":            {params{"ipmi/configure/user": true, "ipmi/configure/userid": 1, "ipmi/configure/password": "secret-secret"}, nil, "slot 1 cannot be set"},
		"long password":     {params{"ipmi/configure/user": true, "ipmi/configure/password": "123456789012345678901"}, nil, "1 to 20 characters"},
		"umlaut":            {params{"ipmi/configure/user": true, "ipmi/configure/password": "pässwort-pass"}, nil, "only printable ASCII"},
		"long name":         {params{"ipmi/configure/user": true, "ipmi/configure/username": "a-name-that-is-too-long", "ipmi/configure/password": "secret-secret"}, nil, "names of 1 to 16"},
		"masked":            {params{"ipmi/configure/user": true, "ipmi/configure/password": "******"}, nil, "needs getSecure"},
		"no list":           {params{"ipmi/configure/user": true, "ipmi/configure/password": "secret-secret"}, []answer{always("ipmitool -c user list 1")}, "user list 1 failed"},
		"no slot":           {params{"ipmi/configure/user": true, "ipmi/configure/username": "x", "ipmi/configure/password": "secret-secret"}, []answer{says("ipmitool -c user list 1", "2,root\n")}, "no free slot"},
		"no endpoint":       {params{"ipmi/configure/user": true}, []answer{always("drpcli machines get *ipmi/configure/password*")}, "the endpoint does not tell it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, board(tc.more...)...)
			if name == "masked" {
				r.set("ipmi/configure/password", "******")
				r.failed(r.runScript(render(t, "ipmi-configure", params{"ipmi/configure/user": true})), tc.want)
			} else {
				r.failed(r.run("ipmi-configure", tc.set), tc.want)
			}
			r.wantChanges()
		})
	}
}

// A tool that fails half-way ends the task, and is not tried again.
func TestConfigureFails(t *testing.T) {
	t.Parallel()
	r := newRig(t, board(always("ipmitool lan set 1 ipaddr *"))...)
	r.failed(r.run("ipmi-configure", static(nil)), "set ipaddr of the BMC: ipmitool lan set failed")
	r.wantChanges("lan set 1 ipsrc static", "lan set 1 ipaddr 10.0.0.9")
	r = newRig(t, board()...)
	r.remove("ipmitool")
	r.failed(r.run("ipmi-configure", static(nil)), "ipmitool is not installed here")
}

// userCalls is how a user in a slot is made.
func userCalls(slot, name string) []string {
	out := []string{"exec", "exec", "exec", "channel setaccess 1 " + slot + " callin=on ipmi=on link=on privilege=4", "user enable " + slot}
	if name != "" {
		out = append([]string{"user set name " + slot + " " + name}, out...)
	}
	return out
}

func TestConfigureUser(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"sixteen-chars-##", "more than 16: '\"$#", "short"} {
		r := newRig(t, board()...)
		set := params{"ipmi/configure/user": true, "ipmi/configure/password": password}
		r.ok(r.run("ipmi-configure", set), "user root is in slot 2")
		r.wantChanges(userCalls("2", "")...)
		if got := r.password("2"); got != password {
			t.Errorf("the BMC has password %q, want %q", got, password)
		}
		if r.param("ipmi/username") != "root" || r.param("ipmi/password") != password {
			t.Errorf("the machine has %v", r.param("ipmi/username"))
		}
		if modes := r.read("modes"); strings.Trim(modes, "60\n") != "" {
			t.Errorf("files with a secret have modes %q", modes)
		}
		// Once more: the password is tested, and not set again.
		before := len(r.changes())
		r.ok(r.run("ipmi-configure", set), "user root has its password already")
		if got := r.changes()[before:]; len(got) != 3 {
			t.Errorf("the second run called %q", got)
		}
	}
}

// password returns what the stub of the BMC was given as password of a slot.
func (r *rig) password(slot string) string {
	r.t.Helper()
	var out []byte
	fields := strings.Fields(r.read("users", slot))
	for _, f := range fields[min(1, len(fields)):] {
		var b byte
		if _, err := fmt.Sscanf(f, "0x%02x", &b); err != nil {
			r.t.Fatal(err)
		}
		if b != 0 {
			out = append(out, b)
		}
	}
	return string(out)
}

func TestConfigureNewUser(t *testing.T) {
	t.Parallel()
	r := newRig(t, board()...)
	r.ok(r.run("ipmi-configure", params{"ipmi/configure/user": true, "ipmi/configure/username": "ops", "ipmi/configure/password": "secret-secret"}), "user ops is in slot 3")
	r.wantChanges(userCalls("3", "ops")...)
	r = newRig(t, board()...)
	r.ok(r.run("ipmi-configure", params{"ipmi/configure/user": true, "ipmi/configure/username": "ops", "ipmi/configure/userid": 4, "ipmi/configure/password": "secret-secret"}), "slot 4")
	r.wantChanges(userCalls("4", "ops")...)
}

// A BMC that takes a password only at the third try has it then; one that never
// does fails, and what was the login before stays so.
func TestConfigureUserRetries(t *testing.T) {
	t.Parallel()
	set := params{"ipmi/configure/user": true, "ipmi/configure/password": "secret-secret"}
	r := newRig(t, board(answer{"ipmitool exec *", []reply{{"", 1}, {"", 1}, {"", 1}, {}}})...)
	r.ok(r.run("ipmi-configure", set), "user root is in slot 2")
	r = newRig(t, board(always("ipmitool exec *"))...)
	r.set("ipmi/username", "old")
	r.set("ipmi/password", "old-password")
	r.failed(r.run("ipmi-configure", set), "set the password of user root: the BMC does not take it")
	if r.param("ipmi/username") != "old" || r.param("ipmi/password") != "old-password" {
		t.Error("the login was replaced by one that does not work")
	}
	if got := r.calls("sleep"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("waited %v", got)
	}
}

// A random password is kept on the endpoint before it is set, so that a run that
// is cut off in between goes on with it.
func TestConfigureRandomPassword(t *testing.T) {
	t.Parallel()
	set := params{"ipmi/configure/user": true, "ipmi/configure/generate-random-password": true}
	r := newRig(t, board(always("ipmitool exec *"))...)
	r.setIn("profile", "ipmi/configure/password", "known-to-all")
	r.failed(r.run("ipmi-configure", set), "does not take it")
	kept, _ := r.param("ipmi/configure/password").(string)
	if !regexp.MustCompile(`^[!-~]{16,20}$`).MatchString(kept) || kept == "known-to-all" {
		t.Fatalf("kept is %q", kept)
	}
	r.answers = board()
	r.ok(r.run("ipmi-configure", set), "user root is in slot 2")
	if r.password("2") != kept || r.param("ipmi/password") != kept {
		t.Error("the second run does not go on with the password of the first")
	}
}

// Settings of random passwords hold, and others are refused.
func TestRandomPasswordSettings(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]string{
		"":                                   `^[A-Za-z2-9!%+.:=@_-]{16}$`,
		"length=20, upper=9":                 `^(.*[A-Z]){9}.*$`,
		"length=18, special_chars=6":         `^(.*[!%+.:=@_-]){6}.*$`,
		"length=10, special_char_list=#$":    `^[^!%+.:=@_-]{16}$`,
		"req_nums=5,length=16, padding=None": `^(.*[0-9]){5}.*$`,
	} {
		r := newRig(t, board()...)
		set := params{"ipmi/configure/user": true, "ipmi/configure/generate-random-password": true, "ipmi/configure/random-password-settings": settings}
		r.ok(r.run("ipmi-configure", set), "slot 2")
		if got := r.password("2"); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%q gives %q", settings, got)
		}
	}
	for settings, want := range map[string]string{"length=21": "20 characters at most", "length=x": "no number", "upper=y": "no number", "lower=19": "more characters than length"} {
		r := newRig(t, board()...)
		set := params{"ipmi/configure/user": true, "ipmi/configure/generate-random-password": true, "ipmi/configure/random-password-settings": settings}
		r.failed(r.run("ipmi-configure", set), want)
		r.wantChanges()
	}
}

func TestConfigureServiceUser(t *testing.T) {
	t.Parallel()
	r := newRig(t, board()...)
	set := params{"ipmi/configure/user": true, "ipmi/configure/password": "of-the-operator", "ipmi/service-user": true}
	r.ok(r.run("ipmi-configure", set), "user oob-service is in slot 3")
	if r.param("ipmi/username") != "oob-service" || r.param("ipmi/password") != r.password("3") || r.password("2") != "of-the-operator" {
		t.Errorf("the machine logs in as %v", r.param("ipmi/username"))
	}
	first := r.password("3")
	r.answers = append(r.answers, says("ipmitool -c user list 1", "2,root\n3,oob-service\n"))
	r.ok(r.run("ipmi-configure", set), "user oob-service has its password already")
	if r.password("3") != first {
		t.Error("the second run has made another password")
	}
}
