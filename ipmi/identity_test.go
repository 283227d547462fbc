package main

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// identityOf reads the identity of the machine at b.
func identityOf(tb testing.TB, b *bmc.BMC) (model.Identity, error) {
	tb.Helper()
	result, err := ask(newProvider(tb), model.GetIdentity, b.Addr())
	id, _ := result.(model.Identity)
	return id, err
}

// The simulator sends its GUID as SMBIOS stores it, as many BMCs do.
func TestIdentity(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{Seed: 7})
	id, err := identityOf(t, b)
	if err != nil || id.Source != "system GUID" || len(id.Aliases) != 2 {
		t.Fatalf("%+v, %v", id, err)
	}
	wire := b.GUID()
	plain := hex.EncodeToString(wire[:])
	if id.ID[14] != '4' || strings.ReplaceAll(id.Aliases[1], "-", "") != plain {
		t.Errorf("%s is not a GUID of version 4, or its aliases not those of %s: %v", id.ID, plain, id.Aliases)
	}
	again, err := identityOf(t, b)
	if err != nil || again.ID != id.ID {
		t.Errorf("the second time it is %+v, %v", again, err)
	}
	if other, _ := identityOf(t, startBMC(t, bmc.Options{Seed: 8})); other.ID == id.ID {
		t.Error("two machines have one identity")
	}
}

func TestIdentityOfOddBMCs(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		odd  bmc.Odd
		want string // source, or part of the error
	}{
		"nil GUID":       {bmc.Odd{NilGUID: true}, "device GUID"},
		"no system GUID": {bmc.Odd{Codes: map[string]uint8{bmc.SystemGUID: 0xc1}}, "device GUID"},
		"denied":         {bmc.Odd{Codes: map[string]uint8{bmc.SystemGUID: 0xd4}}, "device GUID"},
		"none": {
			bmc.Odd{Codes: map[string]uint8{bmc.SystemGUID: 0xc1, bmc.DeviceGUID: 0xc1}},
			"has no GUID of its own: system GUID: Get System GUID refused with completion code C1h and device GUID: ",
		},
		"nil and none": {
			bmc.Odd{NilGUID: true, Codes: map[string]uint8{bmc.DeviceGUID: 0xc1}},
			"system GUID 00000000-0000-0000-0000-000000000000, which many boards have",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := startBMC(t, bmc.Options{})
			b.SetFaults(bmc.Faults{Odd: tc.odd})
			id, err := identityOf(t, b)
			if err == nil && id.Source != tc.want {
				t.Errorf("%+v, want source %s", id, tc.want)
			}
			if err != nil && (model.KindOf(err) != model.Unsupported || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

func TestIdentityOfSilentBMC(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{})
	b.SetFaults(bmc.Faults{DropRequests: map[string]int{bmc.SystemGUID: bmc.Always}})
	_, err := ask(newProvider(t), model.GetIdentity, b.Addr(), model.Params{"oob/timeout": 3})
	if model.KindOf(err) != model.Unreachable {
		t.Errorf("silence is no answer: %v", err)
	}
}

func TestGUIDSpelling(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		wire, id string
		dud      bool
	}{
		"IPMI":      {"0cc7a80f4c3a129e3a4b8c1d77e1f623", "23f6e177-1d8c-4b3a-9e12-3a4c0fa8c70c", false},
		"SMBIOS":    {"77e1f6231d8c3a4b9e123a4c0fa8c70c", "23f6e177-8c1d-4b3a-9e12-3a4c0fa8c70c", false},
		"written":   {"23f6e1778c1d4b0a9e120a4c0fa8c70c", "23f6e177-8c1d-4b0a-9e12-0a4c0fa8c70c", false},
		"no order":  {"00112233445566770099aabbccddeeff", "ffeeddcc-bbaa-9900-7766-554433221100", false},
		"zeros":     {"00000000000000000000000000000000", "00000000-0000-0000-0000-000000000000", true},
		"ones":      {"ffffffffffffffffffffffffffffffff", "ffffffff-ffff-ffff-ffff-ffffffffffff", true},
		"by nobody": {"00020003000400050006000700080009", "09000800-0700-0600-0500-040003000200", true},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := hex.DecodeString(tc.wire)
			if err != nil {
				t.Fatal(err)
			}
			var g guidAnswer
			if err := g.Unpack(raw); err != nil {
				t.Fatal(err)
			}
			id := g.identity("x")
			if id.ID != tc.id || g.dud() != tc.dud {
				t.Errorf("%+v, dud %v; want %s, %v", id, g.dud(), tc.id, tc.dud)
			}
			if slices.Contains(id.Aliases, id.ID) && !tc.dud {
				t.Errorf("an alias is the identity itself: %+v", id)
			}
		})
	}
	var g guidAnswer
	if err := g.Unpack(make([]byte, 15)); err == nil {
		t.Error("15 bytes are a GUID")
	}
}

// One reading of the identity for an action, however many commands it takes.
func TestPinnedPowerCycle(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true})
	id, err := identityOf(t, b)
	if err != nil {
		t.Fatal(err)
	}
	read := b.Executed(bmc.SystemGUID)
	p := newProvider(t)
	mustAct(t, p, model.PowerCycle, b.Addr(), model.Params{model.ParamIdentity: id.ID})
	if n := b.Executed(bmc.SystemGUID) - read; n != 1 {
		t.Errorf("the GUID was read %d times for one action", n)
	}
	_, err = act(p, model.PowerOff, b.Addr(), model.Params{model.ParamIdentity: "23f6e177-8c1d-4b3a-9e12-3a4c0fa8c70c"})
	if model.KindOf(err) != model.Conflict || !strings.Contains(err.Error(), id.ID) {
		t.Errorf("another machine: %v", err)
	}
	if b.Executed(bmc.PowerOff) != 0 || b.Executed(bmc.PowerCycle) != 1 {
		t.Errorf("executed: %v", b.Ledger())
	}
}
