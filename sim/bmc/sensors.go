package bmc

import (
	"encoding/binary"
	"maps"

	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/types"
)

// SensorState is what a sensor tells.
type SensorState struct {
	// Reading is what it measures, as a raw number.
	Reading uint8
	// States are the states it tells if it measures nothing, bit n for state n.
	States uint16
	// Unavailable tells that there is no reading now; Reading is then sent all
	// the same, as BMCs do.
	Unavailable bool
	// Unscanned tells that the BMC does not look at the sensor.
	Unscanned bool
}

// SetSensor sets what the sensor of that number tells.
func (b *BMC) SetSensor(number uint8, s SensorState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	own := maps.Clone(b.sensors)
	if own == nil {
		own = map[uint8]SensorState{}
	}
	own[number] = s
	b.sensors = own
}

// sensor returns the sensor of that number, and what it tells now.
func (b *BMC) sensor(number uint8) (*Sensor, SensorState) {
	for i := range b.opts.Sensors {
		s := &b.opts.Sensors[i]
		if s.Number != number || s.Kind > EventOnly {
			continue
		}
		state, own := b.sensors[number]
		if !own {
			state = s.State
			state.Unavailable = state.Unavailable || s.WhileOn && !b.chassis.on
		}
		return s, state
	}
	return nil, SensorState{}
}

// The bits of an answer to Get Sensor Reading (IPMI 2.0 §35.14).
const (
	readingEvents      = 0x80
	readingScanned     = 0x40
	readingUnavailable = 0x20
	readingReserved    = 0xc0
)

// sensorReading is Get Sensor Reading (IPMI 2.0 §35.14).
func sensorReading(b *BMC, _ *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
	if len(data) < 1 {
		return nil, types.CodeRequestDataLengthInvalid
	}
	s, state := b.sensor(data[0])
	if s == nil || s.Kind == EventOnly {
		return nil, types.CodeRequestedDataNotPresent
	}
	flags := byte(readingEvents | readingScanned)
	if state.Unavailable {
		flags |= readingUnavailable
	}
	if state.Unscanned {
		flags &^= readingScanned
	}
	resp := []byte{state.Reading, flags}
	if s.threshold() {
		return append(resp, s.crossed(state.Reading)|readingReserved), types.CodeOK
	}
	return binary.LittleEndian.AppendUint16(resp, state.States|1<<15), types.CodeOK
}

// crossed tells which thresholds a reading is at or beyond: the lower ones in bits
// 0 to 2, the upper ones in bits 3 to 5.
func (s *Sensor) crossed(reading uint8) (bits byte) {
	const uppers = 3
	for i, bound := range s.Bounds {
		if !s.bounded(i) {
			continue
		}
		is, at := s.number(reading), s.number(bound)
		if i < uppers && is <= at || i >= uppers && is >= at {
			bits |= 1 << i
		}
	}
	return bits
}

// number is a raw reading as a number, by the sensor's format.
func (s *Sensor) number(raw uint8) int {
	if s.Signed {
		return int(int8(raw))
	}
	return int(raw)
}

// sensorThresholds is Get Sensor Thresholds (IPMI 2.0 §35.9).
func sensorThresholds(b *BMC, _ *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
	if len(data) < 1 {
		return nil, types.CodeRequestDataLengthInvalid
	}
	s, _ := b.sensor(data[0])
	switch {
	case s == nil:
		return nil, types.CodeRequestedDataNotPresent
	case !s.threshold():
		return nil, types.CodeIllegalCommand
	}
	return append([]byte{s.readable()}, s.Bounds[:]...), types.CodeOK
}

// sensorFactors is Get Sensor Reading Factors (IPMI 2.0 §35.5): those of a sensor
// that is not linear are other ones for other readings.
func sensorFactors(b *BMC, _ *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
	const size = 2
	if len(data) < size {
		return nil, types.CodeRequestDataLengthInvalid
	}
	s, _ := b.sensor(data[0])
	switch {
	case s == nil:
		return nil, types.CodeRequestedDataNotPresent
	case s.Kind != Full || !s.threshold():
		return nil, types.CodeIllegalCommand
	}
	f := *s
	if s.Linearization >= nonLinear && data[1] >= steep {
		f.M *= 2
	}
	return append([]byte{data[1]}, f.factors()...), types.CodeOK
}

// A sensor that is not linear counts double from the middle on.
const (
	nonLinear = 0x70 // of the linearization (IPMI 2.0 §43.1)
	steep     = 0x80
)

// reservation is the right to read records in parts. The mutex of its BMC guards
// it.
type reservation struct {
	id    uint16 // the last one that was given; 0 before
	valid bool
}

// sdrInfo is Get SDR Repository Info (IPMI 2.0 §33.9).
func sdrInfo(b *BMC, _ *handlers.HandlerContext, _ []byte) ([]byte, types.CompletionCode) {
	const reserves, unspecified, made = 0x02, 0xffff, 1_700_000_000
	resp := binary.LittleEndian.AppendUint16([]byte{selVersion}, uint16(len(b.opts.records)))
	resp = binary.LittleEndian.AppendUint16(resp, unspecified)
	resp = binary.LittleEndian.AppendUint32(resp, made+uint32(b.faults.Odd.RepositoryAge))
	resp = binary.LittleEndian.AppendUint32(resp, made)
	return append(resp, reserves), types.CodeOK
}

// sdrReserve is Reserve SDR Repository (IPMI 2.0 §33.11).
func sdrReserve(b *BMC, _ *handlers.HandlerContext, _ []byte) ([]byte, types.CompletionCode) {
	if b.sdr.id++; b.sdr.id == 0 {
		b.sdr.id = 1
	}
	b.sdr.valid = true
	return binary.LittleEndian.AppendUint16(nil, b.sdr.id), types.CodeOK
}

// sdrReserved reports whether a reservation is the one that counts.
func (b *BMC) sdrReserved(id uint16) bool {
	if b.faults.Odd.LosesReservations > 0 {
		b.faults.Odd.LosesReservations--
		b.sdr.valid = false
	}
	return b.sdr.valid && id == b.sdr.id
}

// sdrGet is Get SDR (IPMI 2.0 §33.12). The ID of a record is its place, from 1.
func sdrGet(b *BMC, _ *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
	const size, last = 6, 0xffff
	if len(data) < size {
		return nil, types.CodeRequestDataLengthInvalid
	}
	i := int(binary.LittleEndian.Uint16(data[2:]))
	switch i {
	case 0:
		i = 1
	case last:
		i = len(b.opts.records)
	}
	at, n := int(data[4]), int(data[5])
	switch {
	case at != 0 && !b.sdrReserved(binary.LittleEndian.Uint16(data)):
		return nil, types.CodeReservationCanceled
	case i < 1 || i > len(b.opts.records):
		return nil, types.CodeRequestedDataNotPresent
	}
	record := b.opts.records[i-1]
	if at >= len(record) {
		return nil, types.CodeParameterOutOfRange
	}
	part := record[at:min(at+n, len(record))]
	if most := b.faults.Odd.RecordMost; most > 0 && len(part) > most {
		return nil, types.CodeCannotReturnRequestedDataBytes
	}
	next := uint16(last)
	if i < len(b.opts.records) {
		next = uint16(i + 1)
	}
	return append(binary.LittleEndian.AppendUint16(nil, next), part...), types.CodeOK
}
