package bmc

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/types"
)

// Event is a record of the event log without its ID and its time, which the BMC
// gives (IPMI 2.0 §32.1).
type Event struct {
	// Kind is the type of the record; 0 is a system event, 02h. From C0h on the
	// manufacturer says what Raw means.
	Kind uint8
	// Sensor, Type and Trigger are the sensor's number, its type and its
	// event/reading type.
	Sensor, Type, Trigger uint8
	// Deasserted is an event that ends.
	Deasserted bool
	// Data is event data 1 to 3.
	Data [3]byte
	// Raw is what a manufacturer's record holds behind its time; from E0h on
	// behind its type.
	Raw []byte
}

// The layout and the bounds of the event log (IPMI 2.0 §31 and §32).
const (
	selVersion   = 0x51
	selRecord    = 16
	selRoom      = 64 // records that fit unless Options say otherwise
	selEvent     = 0x02
	selTimedOEM  = 0xc0
	selBareOEM   = 0xe0
	selMessages  = 0x04 // the format of the event message, IPMI 1.5 and later
	selFirst     = 0x0000
	selLast      = 0xffff
	selOverflow  = 0x80
	selReserves  = 0x02
	selNever     = math.MaxUint32
	selInitiate  = 0xaa
	selErased    = 0x01
	ownAddress   = 0x20
	deasserted   = 0x80
	wholeRecord  = 0xff
	erasingState = 0x00
)

// selLog is the event log of a BMC. The mutex of its BMC guards it.
type selLog struct {
	records     [][selRecord]byte // the oldest first
	next        uint16            // the ID of the next record, less one
	reservation uint16            // the last one that was given; 0 before
	valid       bool              // it was not cancelled
	overflow    bool
	added       time.Time
	erased      time.Time
	erasing     time.Time // until when an erasure goes on
}

// Log puts an event into the BMC's log, as its hardware does; it reports whether
// there was room.
func (b *BMC) Log(e Event) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log(e)
}

// Logged returns the number of records in the event log.
func (b *BMC) Logged() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sel.records)
}

// selSize is how many records there is room for.
func (b *BMC) selSize() int {
	if b.opts.EventRoom > 0 {
		return b.opts.EventRoom
	}
	return selRoom
}

// log is Log with the mutex held.
func (b *BMC) log(e Event) bool {
	l := &b.sel
	if len(l.records) >= b.selSize() {
		l.overflow = true
		if !b.faults.Odd.LogWraps {
			return false
		}
		l.records = append(l.records[:0], l.records[1:]...)
		l.valid = false // a record was deleted (IPMI 2.0 §31.4.1)
	}
	if l.next++; l.next == selLast {
		l.next = 1
	}
	now := b.opts.Clock.Now()
	l.records = append(l.records, e.record(l.next, b.selClock(now)))
	l.added = now
	return true
}

// record is the event as it is kept.
func (e Event) record(id uint16, at uint32) (r [selRecord]byte) {
	binary.LittleEndian.PutUint16(r[:], id)
	r[2] = e.Kind
	switch {
	case e.Kind >= selBareOEM:
		copy(r[3:], e.Raw)
		return r
	case e.Kind >= selTimedOEM:
		binary.LittleEndian.PutUint32(r[3:], at)
		copy(r[7:], e.Raw)
		return r
	case e.Kind == 0:
		r[2] = selEvent
	}
	binary.LittleEndian.PutUint32(r[3:], at)
	r[7], r[9], r[10], r[11], r[12] = ownAddress, selMessages, e.Type, e.Sensor, e.Trigger
	if e.Deasserted {
		r[12] |= deasserted
	}
	copy(r[13:], e.Data[:])
	return r
}

// selClock is a time as the clock of the log tells it.
func (b *BMC) selClock(at time.Time) uint32 {
	if b.faults.ClockUnset {
		return selNever
	}
	return uint32(at.Add(b.faults.ClockSkew).Unix())
}

// selBusy reports whether the log is being erased.
func (b *BMC) selBusy() bool { return b.opts.Clock.Now().Before(b.sel.erasing) }

// selStamp is the time of a change of the log.
func (b *BMC) selStamp(at time.Time) uint32 {
	if at.IsZero() {
		return selNever
	}
	return b.selClock(at)
}

// selInfo is Get SEL Info (IPMI 2.0 §31.2).
func selInfo(b *BMC, _ *handlers.HandlerContext, _ []byte) ([]byte, types.CompletionCode) {
	if b.selBusy() {
		return nil, types.CodeSELEraseInProgress
	}
	l := &b.sel
	resp := binary.LittleEndian.AppendUint16([]byte{selVersion}, uint16(len(l.records)))
	resp = binary.LittleEndian.AppendUint16(resp, uint16(selRecord*(b.selSize()-len(l.records))))
	resp = binary.LittleEndian.AppendUint32(resp, b.selStamp(l.added))
	resp = binary.LittleEndian.AppendUint32(resp, b.selStamp(l.erased))
	support := byte(selReserves)
	if l.overflow {
		support |= selOverflow
	}
	return append(resp, support), types.CodeOK
}

// selReserve is Reserve SEL (IPMI 2.0 §31.4).
func selReserve(b *BMC, _ *handlers.HandlerContext, _ []byte) ([]byte, types.CompletionCode) {
	l := &b.sel
	if b.selBusy() {
		return nil, types.CodeSELEraseInProgress
	}
	if l.reservation++; l.reservation == 0 {
		l.reservation = 1
	}
	l.valid = true
	return binary.LittleEndian.AppendUint16(nil, l.reservation), types.CodeOK
}

// selReserved reports whether a reservation is the one that counts.
func (b *BMC) selReserved(id uint16) bool {
	if b.faults.Odd.LosesReservations > 0 {
		b.faults.Odd.LosesReservations--
		b.sel.valid = false
	}
	return b.sel.valid && id == b.sel.reservation
}

// selEntry is Get SEL Entry (IPMI 2.0 §31.5).
func selEntry(b *BMC, _ *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
	const size = 6
	if len(data) < size {
		return nil, types.CodeRequestDataLengthInvalid
	}
	reservation, id := binary.LittleEndian.Uint16(data), binary.LittleEndian.Uint16(data[2:])
	at, n := int(data[4]), int(data[5])
	switch {
	case b.selBusy():
		return nil, types.CodeSELEraseInProgress
	case (at != 0 || reservation != 0) && !b.selReserved(reservation):
		return nil, types.CodeReservationCanceled
	case at >= selRecord:
		return nil, types.CodeParameterOutOfRange
	}
	i := b.sel.find(id)
	if i < 0 {
		return nil, types.CodeRequestedDataNotPresent
	}
	next := uint16(selLast)
	if i+1 < len(b.sel.records) {
		next = binary.LittleEndian.Uint16(b.sel.records[i+1][:])
	}
	if n == wholeRecord {
		n = selRecord
	}
	resp := binary.LittleEndian.AppendUint16(nil, next)
	return append(resp, b.sel.records[i][at:min(at+n, selRecord)]...), types.CodeOK
}

// find returns the index of a record, or -1.
func (l *selLog) find(id uint16) int {
	switch id {
	case selFirst:
		return min(0, len(l.records)-1)
	case selLast:
		return len(l.records) - 1
	}
	for i, r := range l.records {
		if binary.LittleEndian.Uint16(r[:]) == id {
			return i
		}
	}
	return -1
}

// selAdd is Add SEL Entry (IPMI 2.0 §31.6).
func selAdd(b *BMC, _ *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
	switch {
	case len(data) < selRecord:
		return nil, types.CodeRequestDataLengthInvalid
	case b.selBusy():
		return nil, types.CodeSELEraseInProgress
	case !b.log(Event{}):
		return nil, types.CodeOutOfSpace
	}
	last := &b.sel.records[len(b.sel.records)-1]
	copy(last[2:3], data[2:3])
	copy(last[7:], data[7:])
	if data[2] >= selBareOEM { // the time is the sender's own
		copy(last[3:], data[3:])
	}
	return binary.LittleEndian.AppendUint16(nil, b.sel.next), types.CodeOK
}

// selClear is Clear SEL (IPMI 2.0 §31.9): it erases, or tells how far that is.
func selClear(b *BMC, _ *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
	const size, actionAt = 6, 5
	if len(data) < size {
		return nil, types.CodeRequestDataLengthInvalid
	}
	l := &b.sel
	switch {
	case string(data[2:actionAt]) != "CLR" || data[actionAt] != selInitiate && data[actionAt] != 0:
		return nil, types.CodeRequestDataFieldInvalid
	case !b.selReserved(binary.LittleEndian.Uint16(data)):
		return nil, types.CodeReservationCanceled
	case data[actionAt] == selInitiate && !b.selBusy():
		now := b.opts.Clock.Now()
		l.records, l.overflow, l.erased = nil, false, now
		l.erasing = now.Add(b.faults.Odd.EraseTime)
	}
	if b.selBusy() {
		return []byte{erasingState}, types.CodeOK
	}
	return []byte{selErased}, types.CodeOK
}
