package main

import (
	"strings"
	"testing"
	"time"

	"provision-plugins/ipmi/facts"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// fanEvent is a fan that is too slow, supplyEvent a power supply that is mended.
var (
	fanEvent    = bmc.Event{Sensor: bmc.Fan1, Type: 4, Trigger: 1, Data: [3]byte{0x52, 9, 10}}
	supplyEvent = bmc.Event{Sensor: bmc.PS2Status, Type: 8, Trigger: 0x6f, Deasserted: true, Data: [3]byte{1}}
)

// answer is what an action answers.
func answer[T any](t *testing.T, command string, b *bmc.BMC, more ...model.Params) T {
	t.Helper()
	result, err := ask(newProvider(t), command, b.Addr(), more...)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	out, ok := result.(T)
	if !ok {
		t.Fatalf("%s: %#v", command, result)
	}
	return out
}

// kindOf is the kind of an error; empty for none.
func kindOf(err error) model.Kind {
	if err == nil {
		return ""
	}
	return model.KindOf(err)
}

// confirm is a request that names its machine once more.
func confirm() model.Params { return model.Params{paramConfirm: "m1"} }

// Events are told in order, with the names of their sensors and what was measured.
func TestEvents(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{})
	b.Log(fanEvent)
	b.Log(supplyEvent)
	b.Log(bmc.Event{Kind: 0xe0, Raw: []byte("thirteen byte")})
	got := answer[*facts.Log](t, getSel, b)
	if len(got.Entries) != 3 || got.Notes != nil || got.Overflow || got.Free == nil || *got.Free != (64-3)*16 {
		t.Fatalf("%+v", got)
	}
	fan, supply, oem := got.Entries[0], got.Entries[1], got.Entries[2]
	if fan.Sensor != "Fan 1" || fan.SensorType != "Fan" || !strings.Contains(fan.Event, "threshold 600 RPM") || fan.Reading == nil || *fan.Reading != 540 || fan.Unit != "RPM" ||
		!*fan.Asserted || fan.Health != facts.Critical || fan.Time == nil || time.Since(*fan.Time) > time.Minute {
		t.Errorf("%+v", fan)
	}
	if supply.Sensor != "PS2 Status" || *supply.Asserted || supply.Reading != nil || supply.ID != "2" {
		t.Errorf("%+v", supply)
	}
	if oem.Kind != "OEM" || oem.Time != nil || oem.Asserted != nil || !strings.HasSuffix(oem.Raw, "62797465") {
		t.Errorf("%+v", oem)
	}
}

// What a log can be while it is read, and what is then told.
func TestEventsOfALogThatChanges(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		room    int
		events  int
		faults  bmc.Faults
		entries int
		note    string
		kind    model.Kind
		starts  int // how often it was begun
	}{
		{name: "empty", starts: 1},
		{name: "the reservation is lost once", events: 3, faults: bmc.Faults{Odd: bmc.Odd{LosesReservations: 1}}, entries: 3, starts: 2},
		{name: "the reservation is lost always", events: 3, faults: bmc.Faults{Odd: bmc.Odd{LosesReservations: 100}}, entries: 3, note: "changed while it was read", starts: 3},
		{name: "no reservations", events: 3, faults: bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.SELReserve: 0xc1}}}, entries: 3},
		{name: "full", room: 2, events: 3, entries: 2, starts: 1},
		{name: "wrapped", room: 2, events: 5, faults: bmc.Faults{Odd: bmc.Odd{LogWraps: true}}, entries: 2, starts: 1},
		{name: "no names", events: 1, faults: bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.SDRInfo: 0xc1}}}, entries: 1, note: "the names of sensors", starts: 1},
		{name: "erased just now", events: 1, faults: bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.SELInfo: 0x81}}}, kind: model.Busy},
		{name: "no log", faults: bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.SELInfo: 0xc1}}}, kind: model.Unsupported},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := startBMC(t, bmc.Options{EventRoom: row.room})
			b.SetFaults(row.faults)
			for range row.events {
				b.Log(fanEvent)
			}
			result, err := ask(newProvider(t), getSel, b.Addr(), model.Params{"oob/timeout": 5})
			if row.kind != "" {
				if kindOf(err) != row.kind {
					t.Errorf("%v, %v", result, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := result.(*facts.Log)
			if len(got.Entries) != row.entries || !strings.Contains(strings.Join(got.Notes, "; "), row.note) || got.Overflow != (row.room > 0) || row.note == "" && got.Notes != nil {
				t.Errorf("%+v", got)
			}
			if n := b.Executed(bmc.SELReserve); n != row.starts {
				t.Errorf("begun %d times, want %d", n, row.starts)
			}
		})
	}
}

// The log is erased once, under a reservation, for who names the machine; what is
// told of it was read.
func TestClearEvents(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name     string
		faults   bmc.Faults
		events   int
		params   model.Params
		kind     model.Kind
		executed int
		evidence string
	}{
		{name: "plain", events: 3, params: confirm(), executed: 1, evidence: "3 events before, 0 after"},
		{name: "empty", params: confirm(), executed: 1, evidence: "0 events before, 0 after"},
		{name: "not confirmed", events: 3, kind: model.Invalid},
		{name: "another machine", events: 3, params: model.Params{paramConfirm: "m2"}, kind: model.Invalid},
		{name: "the reservation is lost", events: 3, params: confirm(), faults: bmc.Faults{Odd: bmc.Odd{LosesReservations: 2}}, executed: 1, evidence: "3 events before"},
		{name: "takes its time", events: 3, params: confirm(), faults: bmc.Faults{Odd: bmc.Odd{EraseTime: 600 * time.Millisecond}}, executed: 1, evidence: "3 events before"},
		{name: "the answer is lost", events: 3, params: confirm(), faults: bmc.Faults{DropReplies: map[string]int{bmc.SELClear: 1}}, executed: 1, evidence: "3 events before"},
		{name: "the order is lost", events: 3, params: confirm(), faults: bmc.Faults{DropRequests: map[string]int{bmc.SELClear: 1}}, kind: model.UnknownOutcome},
		{name: "ignored", events: 3, params: model.Params{paramConfirm: "m1", "oob/timeout": 2}, faults: bmc.Faults{Ignore: map[string]int{bmc.SELClear: 1}}, kind: model.UnknownOutcome},
		{name: "refused", events: 3, params: confirm(), faults: bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.SELClear: 0xd4}}}, kind: model.DeviceAuth},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := startBMC(t, bmc.Options{})
			for range row.events {
				b.Log(fanEvent)
			}
			b.SetFaults(row.faults)
			result, err := ask(newProvider(t), clearSel, b.Addr(), row.params)
			if kindOf(err) != row.kind || b.Executed(bmc.SELClear) != row.executed {
				t.Fatalf("%v, executed %d times", err, b.Executed(bmc.SELClear))
			}
			if row.kind != "" {
				if b.Logged() != row.events {
					t.Errorf("%d events left", b.Logged())
				}
				return
			}
			if got := result.(model.Result); got.Outcome != model.Verified || !strings.Contains(got.Evidence, row.evidence) || b.Logged() != 0 || *got.Changed != (row.events > 0) {
				t.Errorf("%+v, %d events left", got, b.Logged())
			}
		})
	}
}
