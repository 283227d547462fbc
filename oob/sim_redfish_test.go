package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"provision-plugins/shared/model"
	"provision-plugins/sim/redfish"
)

// TestRedfishOddities: each name changes something, and another is refused.
func TestRedfishOddities(t *testing.T) {
	for _, name := range names(redfishOddities) {
		f, err := redfishFaults([]string{name})
		if err != nil || reflect.DeepEqual(f, redfish.Faults{}) {
			t.Errorf("%s changes nothing: %+v, %v", name, f, err)
		}
	}
	both, err := redfishFaults([]string{"busy", "html"})
	if err != nil || len(both.Requests) != 2 {
		t.Errorf("two names: %+v, %v", both, err)
	}
	if _, err := redfishFaults([]string{"none"}); err == nil || !strings.Contains(err.Error(), "silent") {
		t.Errorf("an unknown name: %v", err)
	}
}

// TestSimRedfishPrints: the address of each BMC is printed, as text or as JSON, and
// the authority is written.
func TestSimRedfishPrints(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	a, stdout, stderr := testApp("")
	args := []string{"sim", "redfish", "--count", "3", "--host", "127.0.7.1", "--dialect", "ilo", "--ca-file", ca, "--cycle-off", "0s", "--odd", "lockout"}
	if code := run(ctx, a, args); code != 0 {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	if n := strings.Count(stdout.String(), "127.0.7."); n != 3 {
		t.Errorf("%d addresses: %s", n, stdout)
	}
	if !strings.Contains(stderr.String(), "simulating 3 BMCs") {
		t.Errorf("stderr: %s", stderr)
	}
	raw, err := os.ReadFile(ca)
	if block, _ := pem.Decode(raw); err != nil || block == nil || block.Type != "CERTIFICATE" {
		t.Errorf("authority: %s, %v", raw, err)
	}
	a, stdout, stderr = testApp("")
	if code := run(ctx, a, []string{"sim", "redfish", "--json"}); code != 0 || !bytes.Contains(stdout.Bytes(), []byte(`"url"`)) {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
}

// TestSimRedfishRefuses: what cannot be simulated is refused, with the flag's name.
func TestSimRedfishRefuses(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--count 0", "--count"},
		{"--systems 0", "--systems"},
		{"--systems 65", "65 systems"},
		{"--host here", "--host"},
		{"--dialect other", "idrac"},
		{"--odd other", "--odd"},
		{"--password-file /does/not/exist", "--password-file"},
	} {
		a, _, stderr := testApp("")
		args := append([]string{"sim", "redfish"}, strings.Fields(c.args)...)
		if code := run(t.Context(), a, args); code != model.Invalid.Info().Exit || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%s: exit code %d, %s", c.args, code, stderr)
		}
	}
	a, _, stderr := testApp("")
	if code := run(t.Context(), a, []string{"sim", "redfish", "--ca-file", t.TempDir()}); code != model.Internal.Info().Exit {
		t.Errorf("a folder for the authority: exit code %d, %s", code, stderr)
	}
}

// TestSimRedfishCannotPrint: a BMC that cannot be told of is not kept.
func TestSimRedfishCannotPrint(t *testing.T) {
	for _, args := range [][]string{{"sim", "redfish"}, {"sim", "redfish", "--json"}} {
		a, _, stderr := testApp("")
		a.stdout = brokenWriter{}
		if code := run(t.Context(), a, args); code != model.Internal.Info().Exit || !strings.Contains(stderr.String(), "Error: cannot ") {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
}
