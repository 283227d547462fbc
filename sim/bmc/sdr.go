package bmc

import (
	"encoding/binary"
	"math"
)

// Kind is the type of a record of the repository of sensors (IPMI 2.0 §43).
type Kind uint8

// The kinds.
const (
	Full       Kind = 0x01
	Compact    Kind = 0x02
	EventOnly  Kind = 0x03
	FRULocator Kind = 0x11 // Number is the inventory device's
	MCLocator  Kind = 0x12 // Number is the controller's address
)

// Sensor is a sensor, or another device that the repository of sensors names.
type Sensor struct {
	Kind   Kind
	Number uint8
	Name   string // 16 bytes at most
	// Entity and Instance are what it is on (IPMI 2.0 Table 43-13).
	Entity, Instance uint8
	// Type and Trigger are its type and its event/reading type (Tables 42-3, 42-1).
	Type, Trigger uint8

	// Unit is what it measures in (Table 43-15); Signed tells that readings are in
	// 2's complement.
	Unit   uint8
	Signed bool
	// Linearization, M, B and the exponents make a number of a reading (§36.3).
	Linearization uint8
	M, B          int16
	RExp, BExp    int8
	// Bounds are the thresholds: lower non-critical, critical, non-recoverable,
	// then the same three upper ones. Bounded says by its bits which there are.
	Bounds  [6]uint8
	Bounded uint8

	// State is what it tells at first, WhileOn that it tells something only while
	// the machine is on.
	State   SensorState
	WhileOn bool
}

// The numbers of the standard sensors that tests look at.
const (
	InletTemp  = 0x30
	CPUTemp    = 0x31
	Fan1       = 0x40
	Fan2       = 0x41
	P12V       = 0x50
	Airflow    = 0x58
	PS1Status  = 0x60
	PS2Status  = 0x61
	ButtonLog  = 0x70
	allBounded = 0x3f
)

// StandardSensors are the sensors of a small server.
func StandardSensors() []Sensor {
	const (
		temperature, voltage, fan, supply, button, other = 0x01, 0x02, 0x04, 0x08, 0x14, 0x0b
		degrees, volts, rpm, cfm                         = 1, 4, 18, 17
		specific                                         = 0x6f
		board, cpu, fans, supplies, controller           = 7, 3, 29, 10, 6
	)
	return []Sensor{
		{Kind: MCLocator, Number: ownAddress, Name: "BMC", Entity: controller, Instance: 1},
		{
			Kind: Full, Number: InletTemp, Name: "Inlet Temp", Entity: 55, Instance: 1, Type: temperature, Trigger: 1, Unit: degrees, Signed: true, M: 1,
			Bounds: [6]uint8{5, 0, 0xf6, 38, 42, 47}, Bounded: allBounded, State: SensorState{Reading: 23},
		},
		{
			Kind: Full, Number: CPUTemp, Name: "CPU1 Temp", Entity: cpu, Instance: 1, Type: temperature, Trigger: 1, Unit: degrees, Signed: true, M: 1,
			Bounds: [6]uint8{0, 0, 0, 85, 95, 100}, Bounded: 0x38, State: SensorState{Reading: 51}, WhileOn: true,
		},
		{
			Kind: Full, Number: Fan1, Name: "Fan 1", Entity: fans, Instance: 1, Type: fan, Trigger: 1, Unit: rpm, M: 60,
			Bounds: [6]uint8{14, 10, 5, 0, 0, 0}, Bounded: 0x07, State: SensorState{Reading: 90}, WhileOn: true,
		},
		{
			Kind: Full, Number: Fan2, Name: "Fan 2", Entity: fans, Instance: 2, Type: fan, Trigger: 1, Unit: rpm, M: 60,
			Bounds: [6]uint8{14, 10, 5, 0, 0, 0}, Bounded: 0x07, State: SensorState{Reading: 88}, WhileOn: true,
		},
		{
			Kind: Full, Number: P12V, Name: "P12V", Entity: board, Instance: 1, Type: voltage, Trigger: 1, Unit: volts, M: 6, RExp: -2,
			Bounds: [6]uint8{190, 180, 170, 210, 220, 230}, Bounded: allBounded, State: SensorState{Reading: 201}, WhileOn: true,
		},
		{
			Kind: Full, Number: Airflow, Name: "Airflow", Entity: board, Instance: 1, Type: other, Trigger: 1, Unit: cfm, M: 1,
			Linearization: nonLinear, State: SensorState{Reading: 140}, WhileOn: true,
		},
		{Kind: Compact, Number: PS1Status, Name: "PS1 Status", Entity: supplies, Instance: 1, Type: supply, Trigger: specific, State: SensorState{States: 1}},
		{Kind: Compact, Number: PS2Status, Name: "PS2 Status", Entity: supplies, Instance: 2, Type: supply, Trigger: specific, State: SensorState{States: 1}},
		{Kind: EventOnly, Number: ButtonLog, Name: "Power Button", Entity: board, Instance: 1, Type: button, Trigger: specific},
		{Kind: FRULocator, Number: fruDevice, Name: "Builtin FRU", Entity: board, Instance: 1},
		{Kind: FRULocator, Number: fruSupply, Name: "PS1 FRU", Entity: supplies, Instance: 1},
	}
}

// threshold reports whether the sensor has a reading.
func (s *Sensor) threshold() bool { return s.Trigger == 1 }

// bounded reports whether it has the threshold of that place.
func (s *Sensor) bounded(i int) bool { return s.Bounded&(1<<i) != 0 }

// readable is which thresholds it has, as bits of the wire: the lower ones in bits
// 0 to 2, the upper ones in bits 3 to 5.
func (s *Sensor) readable() byte { return s.Bounded }

// repository is the records of sensors as they are sent.
func repository(sensors []Sensor) [][]byte {
	records := make([][]byte, 0, len(sensors))
	for i := range sensors {
		records = append(records, sensors[i].record(uint16(i+1)))
	}
	return records
}

// record is the sensor as it stands in the repository.
func (s *Sensor) record(id uint16) []byte {
	const header = 5
	var body []byte
	switch s.Kind {
	case Full:
		body = s.fullBody()
	case Compact:
		body = append(s.sensorBody(), 1, 0, 0, 0, 0, 0, 0, 0)
	case EventOnly:
		body = []byte{ownAddress, 0, s.Number, s.Entity, s.Instance, s.Type, s.Trigger, 1, 0, 0, 0}
	case FRULocator:
		const logical, eeprom = 0x80, 0x10
		body = []byte{ownAddress, s.Number, logical, 0, 0, eeprom, 0, s.Entity, s.Instance, 0}
	case MCLocator:
		body = []byte{s.Number, 0, 0, sensorDevice | sdrDevice | selDevice | fruSupport, 0, 0, 0, s.Entity, s.Instance, 0}
	}
	name := s.Name[:min(len(s.Name), maxName)]
	body = append(append(body, fruText|byte(len(name))), name...)
	out := binary.LittleEndian.AppendUint16(make([]byte, 0, header+len(body)), id)
	return append(append(out, selVersion, byte(s.Kind), byte(len(body))), body...)
}

// sensorBody is what the records of sensors with a reading begin with (IPMI 2.0
// §43.1, bytes 6 to 23).
func (s *Sensor) sensorBody() []byte {
	const initialized, rearms, boundsReadable, notAnalog, signed = 0x7f, 0x40, 0x04, 0xc0, 0x80
	const allStates = 0x7fff
	capabilities, format := byte(rearms), byte(notAnalog)
	mask := binary.LittleEndian.AppendUint16(nil, allStates)
	if s.threshold() {
		capabilities, format, mask = rearms|boundsReadable, 0, []byte{s.readable(), 0}
		if s.Signed {
			format = signed
		}
	}
	body := []byte{ownAddress, 0, s.Number, s.Entity, s.Instance, initialized, capabilities, s.Type, s.Trigger, 0, 0, 0, 0}
	return append(append(body, mask...), format, s.Unit, 0)
}

// fullBody is the record of a sensor that may have a reading (IPMI 2.0 §43.1).
func (s *Sensor) fullBody() []byte {
	body := append(s.sensorBody(), s.Linearization)
	body = append(body, s.factors()...)
	most, least := byte(math.MaxUint8), byte(0)
	if s.Signed {
		most, least = math.MaxInt8, byte(1<<7)
	}
	body = append(body, 0, 0, 0, 0, most, least) // no nominal and normal readings
	for _, i := range []int{5, 4, 3, 2, 1, 0} {
		body = append(body, s.Bounds[i])
	}
	return append(body, 1, 1, 0, 0, 0) // hysteresis, reserved, OEM
}

// factors is M, B and the exponents (IPMI 2.0 §43.1, bytes 25 to 30).
func (s *Sensor) factors() []byte {
	const high, nibble = 0xc0, 0x0f
	m, b := uint16(s.M), uint16(s.B)
	return []byte{
		byte(m), byte(m>>2) & high, byte(b), byte(b>>2) & high, 0,
		byte(s.RExp)<<4 | byte(s.BExp)&nibble,
	}
}
