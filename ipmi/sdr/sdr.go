// Package sdr reads the records in which a BMC describes its sensors, and what the
// sensors tell, as IPMI 2.0 §36 and §43 lay them out. Every byte of it is somebody
// else's.
package sdr

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/fru"
)

// HeaderSize is the size of a record's header, and MaxSize that of the longest
// record (IPMI 2.0 §43): its fifth byte is how much follows.
const (
	HeaderSize = 5
	MaxSize    = HeaderSize + 255
	lengthAt   = 4
)

// Kind is the type of a record.
type Kind uint8

// The kinds that are read; all others are passed over.
const (
	Full       Kind = 0x01
	Compact    Kind = 0x02
	EventOnly  Kind = 0x03
	FRULocator Kind = 0x11
	MCLocator  Kind = 0x12
)

// Record is one sensor, or one device.
type Record struct {
	Kind Kind
	// Owner and LUN are who has the sensor, Number is its number; of an inventory
	// device Number is the device's.
	Owner, LUN, Number uint8
	Name               string
	Entity, Instance   uint8
	// Type and Trigger are the sensor's type and its event/reading type.
	Type, Trigger uint8
	// Logical tells of an inventory device that it is read by commands.
	Logical bool

	units    [3]uint8
	linear   uint8
	factors  Factors
	readable uint8    // which thresholds can be read, as bits
	bounds   [6]uint8 // lower non-critical, critical, non-recoverable, then the upper ones
	share    uint8    // how many sensors the record is of
	modifier uint8    // how their names differ
}

// layout is where in a record of a kind things stand, from its first byte on; 0 is
// nowhere.
type layout struct {
	number, entity, sensorType, units, linear, bounds, share, name int
}

// layouts are those of the kinds that are read (IPMI 2.0 §43.1 to §43.9).
var layouts = map[Kind]layout{
	Full:       {number: 7, entity: 8, sensorType: 12, units: 20, linear: 23, bounds: 36, name: 47},
	Compact:    {number: 7, entity: 8, sensorType: 12, units: 20, share: 23, name: 31},
	EventOnly:  {number: 7, entity: 8, sensorType: 10, share: 12, name: 16},
	FRULocator: {number: 6, entity: 12, name: 15},
	MCLocator:  {number: 5, entity: 12, name: 15},
}

// Length returns how long the record is that begins with a header.
func Length(header []byte) (int, error) {
	if len(header) < HeaderSize {
		return 0, fmt.Errorf("the header of a record has %d bytes, not %d", HeaderSize, len(header))
	}
	return HeaderSize + int(header[lengthAt]), nil
}

// Parse reads a record. Known is false if it is of a kind that is passed over.
func Parse(raw []byte) (r Record, known bool, err error) {
	size, err := Length(raw)
	if err != nil {
		return r, false, err
	}
	r.Kind = Kind(raw[3])
	at, known := layouts[r.Kind]
	if !known {
		return r, false, nil
	}
	if len(raw) < size || size <= at.name {
		return r, false, fmt.Errorf("a record of type %02xh is cut off after %d bytes", raw[3], len(raw))
	}
	raw = raw[:size]
	r.Owner, r.LUN, r.Number = raw[5], raw[6], raw[at.number]
	r.Entity, r.Instance = raw[at.entity], raw[at.entity+1]
	r.Name = text(raw[at.name:])
	const logical = 0x80
	r.Logical = r.Kind == FRULocator && raw[7]&logical != 0
	if at.sensorType != 0 {
		r.sensor(raw, at)
	}
	return r, true, nil
}

// sensor reads what only sensors have.
func (r *Record) sensor(raw []byte, at layout) {
	const lunMask, readableAt, shareMask, offsetMask, accessShift, accessMask, capabilitiesAt = 0x03, 18, 0x0f, 0x7f, 2, 0x03, 11
	r.LUN &= lunMask
	r.Type, r.Trigger = raw[at.sensorType], raw[at.sensorType+1]
	r.share = 1
	if at.units != 0 {
		copy(r.units[:], raw[at.units:])
	} else {
		r.units[0] = notAnalog
	}
	if at.share != 0 {
		r.share, r.modifier = raw[at.share]&shareMask, raw[at.share+1]&offsetMask
	}
	if at.linear == 0 {
		return
	}
	const linearMask = 0x7f
	r.linear = raw[at.linear] & linearMask
	r.factors = parseFactors(raw[at.linear+1:])
	if r.Trigger == threshold && raw[capabilitiesAt]>>accessShift&accessMask != 0 {
		r.readable = raw[readableAt]
	}
	for i := range r.bounds { // the record has the upper ones first, the widest first
		r.bounds[i] = raw[at.bounds+len(r.bounds)-1-i]
	}
}

// text reads a name: a byte of type and length, and what it says (IPMI 2.0 §43.15).
func text(raw []byte) string {
	const lengthMask, typeShift = 0x1f, 6
	n := min(int(raw[0]&lengthMask), len(raw)-1)
	if kind := raw[0] >> typeShift; kind != 0 {
		return strings.Map(printable, strings.TrimRight(fru.Text(kind, raw[1:1+n]), " \x00"))
	}
	return strings.Map(printable, strings.TrimRight(string(raw[1:1+n]), " \x00")) // Unicode by name, ASCII in practice
}

// printable drops what cannot be shown.
func printable(r rune) rune {
	if r < ' ' || r >= 0x7f && r <= 0xa0 || r == '\uFFFD' {
		return -1
	}
	return r
}

// maxShare is how many sensors one record can be of.
const maxShare = 15

// Sensors returns the sensors that the record is of: one, or several with numbers in
// a row that share it.
func (r *Record) Sensors() []Record {
	if r.share <= 1 {
		return []Record{*r}
	}
	out := make([]Record, 0, maxShare)
	for i := range min(r.share, maxShare) {
		one := *r
		one.share = 1
		one.Number += i
		one.Name = fmt.Sprintf("%s %d", r.Name, int(r.modifier)+int(i))
		out = append(out, one)
	}
	return out
}

// Sensor reports whether the record is of a sensor with a reading or states that can
// be asked for.
func (r *Record) Sensor() bool { return r.Kind == Full || r.Kind == Compact }

// ID is the sensor's number as it is written, with its owner unless that is the BMC
// itself.
func (r *Record) ID() string {
	const bmc = 0x20
	if r.Owner == bmc && r.LUN == 0 {
		return fmt.Sprintf("0x%02x", r.Number)
	}
	return fmt.Sprintf("0x%02x@0x%02x.%d", r.Number, r.Owner, r.LUN)
}

// EntityName is what the sensor is on.
func (r *Record) EntityName() string {
	const instanceMask = 0x7f
	name := types.EntityID(r.Entity).String()
	if name == "" {
		name = fmt.Sprintf("entity %d", r.Entity)
	}
	return fmt.Sprintf("%s %d", name, r.Instance&instanceMask)
}

// TypeName is the sensor's type.
func (r *Record) TypeName() string { return TypeName(r.Type) }

// TypeName names a type of sensors (IPMI 2.0 Table 42-3).
func TypeName(code uint8) string {
	const oem = 0xc0
	if code >= oem {
		return fmt.Sprintf("OEM %02xh", code)
	}
	if name := types.SensorType(code).String(); name != "" {
		return name
	}
	return fmt.Sprintf("type %02xh", code)
}

// EventText says what the state of an offset means for a sensor of a type and an
// event/reading type (IPMI 2.0 Tables 42-2 and 42-3).
func EventText(sensorType, trigger, offset uint8) string {
	e := types.EventReadingType(trigger).EventForOffset(types.SensorType(sensorType), offset)
	if e == nil || e.EventName == "" {
		return fmt.Sprintf("state %d", offset)
	}
	return e.EventName
}

// parseFactors reads M, B and the exponents of six bytes (IPMI 2.0 §43.1, bytes 25
// to 30).
func parseFactors(raw []byte) Factors {
	const ten, four, highShift, nibble = 10, 4, 2, 0x0f
	return Factors{
		M:    signed(int(raw[0])|int(raw[1]&0xc0)<<highShift, ten),
		B:    signed(int(raw[2])|int(raw[3]&0xc0)<<highShift, ten),
		RExp: signed(int(raw[5]>>four), four),
		BExp: signed(int(raw[5]&nibble), four),
	}
}

// signed reads a number in 2's complement of so many bits.
func signed(v, bits int) int {
	if v >= 1<<(bits-1) {
		v -= 1 << bits
	}
	return v
}

// Stamp tells one state of a repository from another (IPMI 2.0 §33.9).
type Stamp struct {
	Records       uint16
	Added, Erased uint32
}

// ParseStamp reads it from the answer to Get SDR Repository Info.
func ParseStamp(data []byte) (Stamp, error) {
	const size = 14
	if len(data) < size {
		return Stamp{}, fmt.Errorf("the repository tells of itself in %d bytes, not %d", size, len(data))
	}
	return Stamp{
		Records: binary.LittleEndian.Uint16(data[1:]),
		Added:   binary.LittleEndian.Uint32(data[5:]), Erased: binary.LittleEndian.Uint32(data[9:]),
	}, nil
}
