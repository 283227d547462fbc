package scripts

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The tests of this file are named after defects that the reference's content has.

func removeFile(name string) error { return os.Remove(name) }

// The certificate is written to the file that the tool is given.
func TestBugCertificateNeverWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t, board()...)
	r.vendor = "Dell Inc."
	r.install("racadm")
	r.ok(r.run("ipmi-install-cert-or-key", params{"ipmi/configure/certificate": certificate}), "the certificate is installed")
	if got := r.read("given.racadm"); got != certificate+"\n" {
		t.Errorf("racadm was given %q", got)
	}
}

// Which protocol is used depends on what the BMC has and what the params ask for.
func TestBugProtocolChoiceAlwaysTrue(t *testing.T) {
	t.Parallel()
	none := strings.NewReplacer("10.0.0.77", "0.0.0.0").Replace(lanDHCP)
	for _, tc := range []struct {
		name, v4, v6 string
		set          params
		want         any
	}{
		{"both", lanDHCP, lan6, nil, "10.0.0.77"},
		{"both, 6 preferred", lanDHCP, lan6, params{"ipmi/prefer-v6": true}, "2001:db8::77"},
		{"both, 6 forced", lanDHCP, lan6, params{"ipmi/force-protocol": "v6"}, "2001:db8::77"},
		{"both, 4 forced", lanDHCP, lan6, params{"ipmi/prefer-v6": true, "ipmi/force-protocol": "v4"}, "10.0.0.77"},
		{"4 alone, 6 preferred", lanDHCP, "", params{"ipmi/prefer-v6": true}, "10.0.0.77"},
		{"6 alone", none, lan6, nil, "2001:db8::77"},
		{"6 alone, 4 forced", none, lan6, params{"ipmi/force-protocol": "v4"}, nil},
		{"4 alone, 6 forced", lanDHCP, "", params{"ipmi/force-protocol": "v6"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, board(says("ipmitool lan print 1", tc.v4), says("ipmitool lan6 print 1", tc.v6))...)
			res := r.run("ipmi-inventory", tc.set)
			if got := r.param("ipmi/address"); got != tc.want || (res.exit == 0) != (tc.want != nil) {
				t.Errorf("ipmi/address is %v, want %v: %s", got, tc.want, res.errs)
			}
		})
	}
}

// All quirks of a row hold, and those of every row that matches.
func TestBugOnlyFirstQuirkKept(t *testing.T) {
	t.Parallel()
	r := newRig(t, board(device(32, 674, 256))...)
	r.ok(r.run("ipmi-inventory", nil), "quirks: ipmi-dell-dedicated-nic ipmi-nodelay\n")
	r = newRig(t, board(device(32, 7244, 1))...)
	r.ok(r.run("ipmi-inventory", nil), "quirks: ipmi-hard-reset-after-config ipmi-immutable-rootname\n")
}

// The password of the service user has no part that is known, and enough that is not.
func TestBugWeakServicePassword(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 4 {
		r := newRig(t, board()...)
		r.ok(r.run("ipmi-configure", params{"ipmi/service-user": true}), "user oob-service is in slot 3")
		got := r.password("3")
		if !regexp.MustCompile(`^[A-Za-z0-9]{16}$`).MatchString(got) || seen[got] || strings.HasPrefix(got, "dR") || strings.HasSuffix(got, "0!") {
			t.Errorf("the password is %q", got)
		}
		seen[got] = true
	}
	// No character is always at one place.
	for i := range 16 {
		at := map[byte]bool{}
		for s := range seen {
			at[s[i]] = true
		}
		if len(at) == 1 {
			t.Errorf("character %d is the same in all of %d passwords", i, len(seen))
		}
	}
}

// No secret has a default, and a user is not made with one.
func TestBugPublicDefaultPassword(t *testing.T) {
	t.Parallel()
	for name, p := range pack(t).Sections["params"] {
		raw, err := json.Marshal(p["Schema"])
		if err != nil {
			t.Fatal(err)
		}
		if secure, _ := p["Secure"].(bool); secure && strings.Contains(string(raw), "default") {
			t.Errorf("%s is secret and has a default", name)
		}
	}
	r := newRig(t, board()...)
	r.failed(r.run("ipmi-configure", params{"ipmi/configure/user": true}), "set ipmi/configure/password, or ipmi/configure/generate-random-password")
	r.wantChanges()
}
