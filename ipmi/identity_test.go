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

// noGUID is a BMC that has no GUID at all.
func noGUID() bmc.Odd {
	return bmc.Odd{NilGUID: true, Codes: map[string]uint8{bmc.DeviceGUID: 0xc1}}
}

// withSerials is one that has no GUID, and these serial numbers.
func withSerials(board, product, chassis string) bmc.Odd {
	odd := noGUID()
	odd.Serials = map[string]string{bmc.FRUBoard: board, bmc.FRUProduct: product, bmc.FRUChassis: chassis}
	return odd
}

// answering refuses commands.
func answering(code uint8, names ...string) bmc.Odd {
	odd := bmc.Odd{Codes: map[string]uint8{}}
	for _, name := range names {
		odd.Codes[name] = code
	}
	return odd
}

func TestIdentityOfOddBMCs(t *testing.T) {
	t.Parallel()
	byWords := withSerials("ZM11-22", "", "")
	byWords.FRUWords = true
	for name, tc := range map[string]struct {
		odd  bmc.Odd
		want string // identity for people, or a part of it or of the error
	}{
		"nil GUID":            {bmc.Odd{NilGUID: true}, "(device GUID)"},
		"no system GUID":      {answering(0xc1, bmc.SystemGUID), "(device GUID)"},
		"denied":              {answering(0xd4, bmc.SystemGUID), "(device GUID)"},
		"no GUID":             {answering(0xc1, bmc.SystemGUID, bmc.DeviceGUID), "(board serial number)"},
		"serials":             {withSerials("ZM11-22", "CZ1", "C1"), "ZM11-22 (board serial number)"},
		"by words":            {byWords, "ZM11-22 (board serial number)"},
		"no board serial":     {withSerials("To be filled by O.E.M.", "CZJ1", "C123"), "CZJ1 (product serial number)"},
		"chassis serial only": {withSerials("", "0123456789", "C123"), "C123 (chassis serial number)"},
		"duds":                {withSerials("0000000", "x1", "Default string"), "its inventory has no serial number"},
		"control characters":  {withSerials("a\x1b[2Jbc", "", ""), "its inventory has no serial number"},
		"nothing": {
			answering(0xc1, bmc.SystemGUID, bmc.DeviceGUID, bmc.FRUInfo),
			"tells nothing of its own: system GUID: Get System GUID refused with completion code C1h; device GUID: Get Device GUID refused with completion code C1h; " +
				"Get FRU Inventory Area Info refused with completion code C1h",
		},
		"nil and unreadable": {
			bmc.Odd{NilGUID: true, Codes: map[string]uint8{bmc.DeviceGUID: 0xc1, bmc.FRURead: 0xcb}},
			"system GUID 00000000-0000-0000-0000-000000000000, which many boards have",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBMC(t, bmc.Options{})
			b.SetFaults(bmc.Faults{Odd: tc.odd})
			id, err := identityOf(t, b)
			if err == nil && !strings.Contains(id.String(), tc.want) {
				t.Errorf("%s, want %s", id, tc.want)
			}
			if err != nil && (model.KindOf(err) != model.Unsupported || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

// A BMC that is busy, or just starting, may have what it does not tell now:
// nothing else is taken for its identity meanwhile.
func TestIdentityOfBusyBMC(t *testing.T) {
	t.Parallel()
	for name, odd := range map[string]bmc.Odd{
		"busy": answering(0xc0, bmc.SystemGUID), "starting": answering(0xd2, bmc.SystemGUID), "in doubt": answering(0xff, bmc.SystemGUID),
		"busy at the second": {NilGUID: true, Codes: map[string]uint8{bmc.DeviceGUID: 0xc0}},
		"busy inventory":     {NilGUID: true, Codes: map[string]uint8{bmc.DeviceGUID: 0xc1, bmc.FRURead: 0xc0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBMC(t, bmc.Options{On: true})
			b.SetFaults(bmc.Faults{Odd: odd})
			p := newProvider(t)
			mustAct(t, p, model.PowerStatus, b.Addr()) // the time below is for the identity
			id, err := ask(p, model.GetIdentity, b.Addr(), model.Params{"oob/timeout": 2})
			if kind := model.KindOf(err); kind != model.Busy && kind != model.Timeout {
				t.Errorf("%+v, %v", id, err)
			}
			_, err = act(p, model.PowerOff, b.Addr(), model.Params{"oob/timeout": 2, model.ParamIdentity: "x"})
			if kind := model.KindOf(err); kind == model.Conflict || err == nil || b.Executed(bmc.PowerOff) != 0 {
				t.Errorf("busy is not another machine: %v", err)
			}
		})
	}
}

// A machine is pinned by its serial number, too.
func TestPinnedBySerial(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true})
	b.SetFaults(bmc.Faults{Odd: withSerials("ZM11-22", "", "")})
	mustAct(t, newProvider(t), model.PowerOff, b.Addr(), model.Params{model.ParamIdentity: "zm11-22"})
	_, err := act(newProvider(t), model.PowerOn, b.Addr(), model.Params{model.ParamIdentity: "ZM11-23"})
	if model.KindOf(err) != model.Conflict || b.Executed(bmc.PowerOn) != 0 {
		t.Errorf("another board: %v", err)
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
