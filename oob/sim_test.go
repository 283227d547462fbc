package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

func TestBMCOptions(t *testing.T) {
	tests := []struct {
		name string
		o    simBMCOptions
		want bmc.Options
	}{
		{"least", simBMCOptions{count: 1, cycleOff: time.Second}, bmc.Options{Count: 1, CycleOff: time.Second}},
		{"no time off", simBMCOptions{count: 1}, bmc.Options{Count: 1, CycleOff: -1}},
		{"all", simBMCOptions{count: 3, host: "127.1.2.3", port: 623, username: "u", passwordFile: "-", powerDelay: time.Second, cycleOff: time.Minute, on: true},
			bmc.Options{Count: 3, Host: netip.MustParseAddr("127.1.2.3"), Port: 623, Username: "u", Password: "hunter2", PowerDelay: time.Second, CycleOff: time.Minute, On: true}},
	}
	for _, tt := range tests {
		a, _, _ := testApp("hunter2\n")
		got, err := a.bmcOptions(tt.o)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, %v", tt.name, got, err)
		}
	}
	for _, o := range []simBMCOptions{{}, {count: -1}, {count: 1, host: "h"}, {count: 1, passwordFile: "/does/not/exist"}} {
		a, _, _ := testApp("")
		if _, err := a.bmcOptions(o); exitCode(err) != 2 {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestSimAddressTaken starts simulators where somebody else listens.
func TestSimAddressTaken(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	_, port, _ := strings.Cut(udp.LocalAddr().String(), ":")
	for line, want := range map[string]string{
		"sim bmc --host 127.0.0.1 --port " + port:   "address already in use; choose another by --port or --host\n",
		"sim slack --listen " + tcp.Addr().String(): "address already in use; choose another by --listen\n",
	} {
		stdout, stderr, code := runLine(t.Context(), line)
		if code != model.Conflict.Info().Exit || stdout != "" || !strings.HasPrefix(stderr, "Error: cannot simulate ") || !strings.HasSuffix(stderr, want) {
			t.Errorf("%s: exit code %d, %s%s", line, code, stdout, stderr)
		}
	}
}

func TestUnlessEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	other := errors.New("other")
	if err := unlessEnded(ctx, context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("before the end: %v", err)
	}
	cancel()
	if err := unlessEnded(ctx, fmt.Errorf("waiting: %w", context.Canceled)); err != nil {
		t.Errorf("after the end: %v", err)
	}
	if err := unlessEnded(ctx, other); !errors.Is(err, other) {
		t.Errorf("another error: %v", err)
	}
}

func TestSimCannotPrint(t *testing.T) {
	for _, args := range [][]string{{"sim", "slack"}, {"sim", "bmc"}, {"sim", "bmc", "--json"}} {
		a, _, stderr := testApp("")
		a.stdout = brokenWriter{}
		if code := run(t.Context(), a, args); code != model.Internal.Info().Exit || !strings.HasPrefix(stderr.String(), "Error: cannot simulate ") && !strings.Contains(stderr.String(), "\nError: cannot ") {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
}
