// Package sel reads the records of a BMC's event log, as IPMI 2.0 §32 lays them out.
// Every byte of it is somebody else's.
package sel

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"provision-plugins/ipmi/facts"
	"provision-plugins/ipmi/sdr"
)

// Size is the size of a record.
const Size = 16

// The types of records (IPMI 2.0 §32.1 to §32.3).
const (
	system   = 0x02
	timedOEM = 0xc0
	bareOEM  = 0xe0
)

// Record is one record.
type Record struct {
	ID   uint16
	Type uint8
	// Stamp is when it came, by the clock of the log; 0 if it does not say.
	Stamp uint32
	// Owner and LUN are whose sensor it is of; Sensor is the sensor's number,
	// SensorType and Trigger its type and its event/reading type.
	Owner, LUN, Sensor, SensorType, Trigger uint8
	Deasserted                              bool
	Data                                    [3]uint8

	raw [Size]byte
}

// Parse reads a record.
func Parse(raw []byte) (Record, error) {
	if len(raw) != Size {
		return Record{}, fmt.Errorf("a record has %d bytes, not %d", Size, len(raw))
	}
	r := Record{ID: binary.LittleEndian.Uint16(raw), Type: raw[2], raw: [Size]byte(raw)}
	if r.Type < bareOEM {
		r.Stamp = binary.LittleEndian.Uint32(raw[3:])
	}
	if r.Type >= timedOEM {
		return r, nil
	}
	const lunMask, ended = 0x03, 0x80
	r.Owner, r.LUN = raw[7], raw[8]&lunMask
	r.SensorType, r.Sensor = raw[10], raw[11]
	r.Trigger, r.Deasserted = raw[12]&^ended, raw[12]&ended != 0
	r.Data = [3]uint8(raw[13:])
	return r, nil
}

// sinceStart is what a clock counts up to that was not set since the BMC started
// (IPMI 2.0 §37.1).
const sinceStart = 0x20000000

// Time returns a time of the log; nil if the clock was not set.
func Time(stamp uint32) *time.Time {
	if stamp <= sinceStart || stamp == math.MaxUint32 {
		return nil
	}
	t := time.Unix(int64(stamp), 0).UTC()
	return &t
}

// Names are the sensors that are known, by who has them and their numbers.
type Names map[Key]*sdr.Record

// Key tells a sensor from all others of a BMC.
type Key struct{ Owner, LUN, Number uint8 }

// NewNames returns the names of sensors.
func NewNames(records []sdr.Record) Names {
	n := Names{}
	for i := range records {
		if r := &records[i]; r.Sensor() || r.Kind == sdr.EventOnly {
			n[Key{r.Owner, r.LUN, r.Number}] = r
		}
	}
	return n
}

// Entry is the record for people. A sensor that is not among the names is told by its
// number.
func (r *Record) Entry(names Names) facts.Entry {
	out := facts.Entry{ID: fmt.Sprint(r.ID), Time: Time(r.Stamp), Kind: "event", Raw: hex.EncodeToString(r.raw[:])}
	if r.Type != system {
		out.Kind = "OEM"
		out.Event = fmt.Sprintf("record of type %02xh", r.Type)
		if r.Type < timedOEM {
			out.Kind = "unknown"
		}
		return out
	}
	const offsetMask = 0x0f
	began, offset := !r.Deasserted, r.Data[0]&offsetMask
	out.Asserted = &began
	out.SensorType = sdr.TypeName(r.SensorType)
	out.Event = sdr.EventText(r.SensorType, r.Trigger, offset)
	out.Health = sdr.Severity(r.SensorType, r.Trigger, offset, r.Deasserted)
	out.Sensor = fmt.Sprintf("sensor 0x%02x", r.Sensor)
	if s := names[Key{r.Owner, r.LUN, r.Sensor}]; s != nil {
		out.Sensor = s.Name
		r.measured(s, &out)
	}
	return out
}

// measured adds what an event of a threshold says was measured (IPMI 2.0 §29.7).
func (r *Record) measured(s *sdr.Record, out *facts.Entry) {
	const threshold, has, reading, shift, boundShift = 0x01, 0x03, 0x01, 6, 4
	if r.Trigger != threshold || !s.Linear() || r.Data[0]>>shift&has != reading {
		return
	}
	value, ok := s.Value(r.Data[1])
	if !ok {
		return
	}
	out.Reading, out.Unit = &value, s.Unit()
	if r.Data[0]>>boundShift&has != reading {
		return
	}
	if bound, ok := s.Value(r.Data[2]); ok {
		out.Event = strings.TrimSpace(fmt.Sprintf("%s (threshold %g %s)", out.Event, bound, out.Unit))
	}
}
