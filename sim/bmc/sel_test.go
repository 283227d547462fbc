package bmc

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"
)

var (
	callSELInfo    = call{0x0a, 0x40}
	callSELReserve = call{0x0a, 0x42}
)

// entryCall asks for a record, in whole.
func entryCall(reservation, id uint16) call {
	q := binary.LittleEndian.AppendUint16(call{0x0a, 0x43}, reservation)
	return append(binary.LittleEndian.AppendUint16(q, id), 0, 0xff)
}

// clearCall erases the log, or asks how far that is.
func clearCall(reservation uint16, action byte) call {
	q := binary.LittleEndian.AppendUint16(call{0x0a, 0x47}, reservation)
	return append(q, 'C', 'L', 'R', action)
}

// reserve reserves the log.
func reserve(c *console) uint16 { return binary.LittleEndian.Uint16(c.must(callSELReserve)) }

// fanEvent is a fan that is too slow.
var fanEvent = Event{Sensor: Fan1, Type: 4, Trigger: 1, Data: [3]byte{0x52, 9, 10}}

// The records come in the order in which they were logged, each with the ID of the
// next, and are those that were logged.
func TestEventLog(t *testing.T) {
	b, clock := newOne(t, Options{})
	c := operator(t, b)
	c.refused(entryCall(0, selFirst), 0xcb)
	started := clock.Now()
	for _, e := range []Event{
		fanEvent,
		{Sensor: PS2Status, Type: 8, Trigger: 0x6f, Deasserted: true, Data: [3]byte{3}},
		{Kind: 0xc1, Raw: []byte{1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{Kind: 0xe0, Raw: []byte("thirteen bytes")},
	} {
		if !b.Log(e) {
			t.Fatalf("%+v was not logged", e)
		}
	}
	stamp := binary.LittleEndian.AppendUint32(nil, uint32(started.Unix()))
	id := uint16(selFirst)
	for i, want := range [][]byte{
		append(append([]byte{1, 0, 2}, stamp...), 0x20, 0, 4, 4, Fan1, 1, 0x52, 9, 10),
		append(append([]byte{2, 0, 2}, stamp...), 0x20, 0, 4, 8, PS2Status, 0xef, 3, 0, 0),
		append(append([]byte{3, 0, 0xc1}, stamp...), 1, 2, 3, 4, 5, 6, 7, 8, 9),
		append([]byte{4, 0, 0xe0}, "thirteen byte"...),
	} {
		got := c.must(entryCall(0, id))
		id = binary.LittleEndian.Uint16(got)
		if !bytes.Equal(got[2:], want) {
			t.Errorf("record %d: %x, want %x", i+1, got[2:], want)
		}
	}
	if id != selLast {
		t.Errorf("after the last comes %d", id)
	}
	info := c.must(callSELInfo)
	if n, free := binary.LittleEndian.Uint16(info[1:]), binary.LittleEndian.Uint16(info[3:]); n != 4 || free != (selRoom-4)*selRecord || info[13] != selReserves {
		t.Errorf("%d records, %d bytes free, %x", n, free, info)
	}
	if last := c.must(entryCall(0, selLast)); last[2] != 4 {
		t.Errorf("the last record is %x", last)
	}
	executed(t, b, SELEntry, 5)
}

// Parts of a record, and erasing, take a reservation; another one cancels it.
func TestEventLogReservations(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	b.Log(fanEvent)
	part := call{0x0a, 0x43, 0, 0, 0, 0, 3, 4}
	c.refused(part, 0xc5)
	first := reserve(c)
	binary.LittleEndian.PutUint16(part[2:], first)
	if got := c.must(part); len(got) != 6 {
		t.Errorf("%x in place of 4 bytes", got)
	}
	second := reserve(c)
	c.refused(part, 0xc5)
	c.refused(clearCall(first, 0xaa), 0xc5)
	c.refused(entryCall(first, selFirst), 0xc5)
	b.SetFaults(Faults{Odd: Odd{LosesReservations: 1}})
	c.refused(clearCall(second, 0xaa), 0xc5)
	if b.Logged() != 1 {
		t.Fatal("erased without a reservation")
	}
	if got := c.must(clearCall(reserve(c), 0xaa)); got[0] != selErased || b.Logged() != 0 {
		t.Errorf("%x, and %d records left", got, b.Logged())
	}
	c.refused(call{0x0a, 0x47, 0, 0, 'C', 'L', 'X', 0xaa}, 0xcc)
	c.refused(call{0x0a, 0x47}, 0xc7)
	c.refused(call{0x0a, 0x43}, 0xc7)
	c.refused(call{0x0a, 0x44}, 0xc7)
	executed(t, b, SELClear, 1)
}

// An erasure that takes its time says so, and answers nothing else meanwhile.
func TestEventLogErasing(t *testing.T) {
	b, clock := newOne(t, Options{})
	c := operator(t, b)
	b.Log(fanEvent)
	b.SetFaults(Faults{Odd: Odd{EraseTime: 2 * time.Second}})
	r := reserve(c)
	if got := c.must(clearCall(r, 0xaa)); got[0] != erasingState {
		t.Fatalf("erased at once: %x", got)
	}
	c.refused(callSELInfo, 0x81)
	c.refused(entryCall(0, selFirst), 0x81)
	c.refused(callSELReserve, 0x81)
	if got := c.must(clearCall(r, 0)); got[0] != erasingState {
		t.Errorf("%x while it is erased", got)
	}
	clock.advance(2 * time.Second)
	if got := c.must(clearCall(r, 0)); got[0] != selErased {
		t.Errorf("%x after it was erased", got)
	}
	info := c.must(callSELInfo)
	if erased := binary.LittleEndian.Uint32(info[9:]); erased == selNever || erased >= uint32(clock.Now().Unix()) {
		t.Errorf("erased at %d", erased)
	}
}

// A full log takes nothing more and says so, or loses the oldest.
func TestEventLogFull(t *testing.T) {
	b, _ := newOne(t, Options{EventRoom: 3})
	c := operator(t, b)
	for i := range 4 {
		if took := b.Log(fanEvent); took != (i < 3) {
			t.Errorf("event %d was taken: %t", i+1, took)
		}
	}
	if info := c.must(callSELInfo); info[1] != 3 || info[13]&selOverflow == 0 {
		t.Errorf("%x", info)
	}
	c.refused(append(call{0x0a, 0x44}, make([]byte, 16)...), 0xc4)
	b.SetFaults(Faults{Odd: Odd{LogWraps: true}})
	r := reserve(c)
	if !b.Log(fanEvent) || b.Logged() != 3 {
		t.Errorf("%d records", b.Logged())
	}
	if got := c.must(entryCall(0, selFirst)); got[2] != 2 {
		t.Errorf("the oldest is %x", got)
	}
	c.refused(entryCall(r, selFirst), 0xc5) // a record was deleted
}

// What the console adds is kept as it was sent, under an ID and a time of the BMC's.
func TestEventLogAdd(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	for i, kind := range []byte{2, 0xc0, 0xe5} {
		sent := append([]byte{0xff, 0xff, kind}, "0123456789abc"...)
		id := c.must(append(call{0x0a, 0x44}, sent...))
		got := c.must(entryCall(0, binary.LittleEndian.Uint16(id)))[2:]
		if kept := bytes.Equal(got[3:], sent[3:]); got[0] != byte(i+1) || got[2] != kind || kept != (kind >= selBareOEM) || !bytes.Equal(got[7:], sent[7:]) {
			t.Errorf("%x was kept as %x", sent, got)
		}
	}
}

// ipmitool reads the log, and erases it.
func TestEventLogPeer(t *testing.T) {
	t.Parallel()
	b := newFleet(t, Options{}).BMC(0)
	b.Log(fanEvent)
	b.Log(Event{Sensor: PS2Status, Type: 8, Trigger: 0x6f, Data: [3]byte{1}})
	ask := ipmitool(t, b, 17)
	for _, row := range []struct {
		args []string
		want []string
	}{
		{[]string{"sel", "info"}, []string{"Entries          : 2", "Overflow         : false"}},
		{[]string{"sel", "elist"}, []string{"Fan Fan 1 | Lower Critical going low", "540 < Threshold 600", "PS2 Status | Failure detected | Asserted"}},
		{[]string{"sel", "clear"}, []string{"Clearing SEL"}},
		{[]string{"sel", "list"}, []string{"SEL has no entries"}},
	} {
		out, _ := ask(row.args...)
		for _, want := range row.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in %s", row.args, want, out)
			}
		}
	}
	executed(t, b, SELClear, 1)
}
