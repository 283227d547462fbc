package sdr

import (
	"errors"
	"fmt"
	"math"

	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/facts"
)

// The formats of a reading, in the two highest bits of the first byte of units (IPMI
// 2.0 §43.1, byte 21).
const (
	onesComplement = 0x40
	twosComplement = 0x80
	notAnalog      = 0xc0
	formatMask     = 0xc0
	percent        = 0x01
)

// threshold is the event/reading type of a sensor with thresholds.
const threshold = 0x01

// Factors make a number of a raw reading (IPMI 2.0 §36.3).
type Factors struct{ M, B, RExp, BExp int }

// ParseFactors reads the answer to Get Sensor Reading Factors (IPMI 2.0 §35.5).
func ParseFactors(data []byte) (Factors, error) {
	const size = 7
	if len(data) < size {
		return Factors{}, fmt.Errorf("the factors of a reading have %d bytes, not %d", size, len(data))
	}
	return parseFactors(data[1:]), nil
}

// Analog reports whether the sensor measures something.
func (r *Record) Analog() bool { return r.Kind == Full && r.units[0]&formatMask != notAnalog }

// Factors are the record's own.
func (r *Record) Factors() Factors { return r.factors }

// Linear reports whether the record itself has the factors of all readings. One that
// is not linear has to be asked for those of each (IPMI 2.0 §36.2).
func (r *Record) Linear() bool { return r.linear < nonLinear }

// nonLinear is the first linearization that is none.
const nonLinear = 0x70

// Value is what a raw reading means, by the record's own factors; ok is false if it
// means no number.
func (r *Record) Value(raw uint8) (value float64, ok bool) { return r.ValueBy(r.factors, raw) }

// ValueBy is Value by other factors.
func (r *Record) ValueBy(f Factors, raw uint8) (value float64, ok bool) {
	if !r.Analog() {
		return 0, false
	}
	x := float64(raw)
	switch r.units[0] & formatMask {
	case twosComplement:
		x = float64(int8(raw))
	case onesComplement:
		if raw >= 1<<7 {
			x = -float64(^raw)
		}
	}
	y := (float64(f.M)*x + float64(f.B)*math.Pow10(f.BExp)) * math.Pow10(f.RExp)
	y = r.linearize(y)
	if math.IsNaN(y) || math.IsInf(y, 0) {
		return 0, false
	}
	return round(y), true
}

// linearize applies the record's function.
func (r *Record) linearize(y float64) float64 {
	const exp10 = types.LinearizationFunc_EXP10
	if l := types.LinearizationFunc(r.linear); l != exp10 {
		return l.Apply(y)
	}
	return math.Pow(10, y) // of which go-ipmi takes the whole part only
}

// round drops what a computation in binary adds: a raw reading has eight bits.
func round(y float64) float64 {
	const digits = 6
	if y == 0 {
		return 0
	}
	scale := math.Pow10(digits - int(math.Ceil(math.Log10(math.Abs(y)))))
	if rounded := math.Round(y*scale) / scale; !math.IsNaN(rounded) && !math.IsInf(rounded, 0) {
		return rounded
	}
	return y
}

// Unit is what the sensor measures in; empty if it does not.
func (r *Record) Unit() string {
	const rateShift, rateMask, relationShift, relationMask = 3, 0x07, 1, 0x03
	if !r.Analog() {
		return ""
	}
	return types.SensorUnit{
		AnalogDataFormat: types.SensorAnalogUnitFormat(r.units[0] >> 6),
		RateUnit:         types.SensorRateUnit(r.units[0] >> rateShift & rateMask),
		ModifierRelation: types.SensorModifierRelation(r.units[0] >> relationShift & relationMask),
		Percentage:       r.units[0]&percent != 0,
		BaseUnit:         types.SensorUnitType(r.units[1]), ModifierUnit: types.SensorUnitType(r.units[2]),
	}.String()
}

// Thresholds are those that the record has; nil if there are none.
func (r *Record) Thresholds() *facts.Thresholds {
	var t facts.Thresholds
	if !r.Linear() {
		return nil
	}
	found := false
	for i, to := range [6]**float64{
		&t.LowerNonCritical, &t.LowerCritical, &t.LowerNonRecoverable,
		&t.UpperNonCritical, &t.UpperCritical, &t.UpperNonRecoverable,
	} {
		if value, ok := r.Value(r.bounds[i]); ok && r.readable&(1<<i) != 0 {
			*to, found = &value, true
		}
	}
	if !found {
		return nil
	}
	return &t
}

// Reading is the answer to Get Sensor Reading (IPMI 2.0 §35.14).
type Reading struct {
	Raw uint8
	// Lacking says why there is no reading; empty if there is one.
	Lacking string
	// states are the thresholds that were crossed, or the states, as bits.
	states uint16
	told   bool // states were sent
}

// ParseReading reads it. What an unavailable reading consists of is no reading.
func ParseReading(data []byte) (Reading, error) {
	const scanned, unavailable, statesAt, moreAt, stateMask = 0x40, 0x20, 2, 3, 0x7fff
	if len(data) < statesAt {
		return Reading{}, errors.New("a reading has two bytes or more")
	}
	r := Reading{Raw: data[0]}
	switch flags := data[1]; {
	case flags&unavailable != 0:
		r.Lacking = "the BMC has no reading of it now"
	case flags&scanned == 0:
		r.Lacking = "the BMC does not look at it"
	}
	if len(data) > statesAt {
		r.states, r.told = uint16(data[statesAt]), true
	}
	if len(data) > moreAt {
		r.states |= uint16(data[moreAt]) << 8
	}
	r.states &= stateMask
	return r, nil
}

// Tell is what the sensor tells. By are the factors of this reading.
func (r *Record) Tell(in Reading, by Factors) facts.Sensor {
	out := r.Describe()
	if in.Lacking != "" {
		out.Unavailable = in.Lacking
		return out
	}
	if value, ok := r.ValueBy(by, in.Raw); ok {
		out.Reading = &value
	} else if r.Analog() {
		out.Unavailable = fmt.Sprintf("reading %02xh means no number", in.Raw)
	}
	if !in.told {
		return out
	}
	if r.Trigger == threshold {
		out.Health = crossed(in.states)
		return out
	}
	const states = 15
	for i := range uint8(states) {
		if in.states&(1<<i) != 0 {
			out.States = append(out.States, EventText(r.Type, r.Trigger, i))
			out.Health = out.Health.Worse(Severity(r.Type, r.Trigger, i, false))
		}
	}
	return out
}

// Describe is what is known of the sensor without its reading.
func (r *Record) Describe() facts.Sensor {
	return facts.Sensor{
		ID: r.ID(), Name: r.Name, Type: r.TypeName(), Entity: r.EntityName(), Unit: r.Unit(), Thresholds: r.Thresholds(),
	}
}

// crossed is the health of a sensor beyond thresholds: lower ones in bits 0 to 2,
// upper ones in bits 3 to 5, each from non-critical on.
func crossed(states uint16) facts.Health {
	const nonCritical, worse = 0x09, 0x36
	switch {
	case states&worse != 0:
		return facts.Critical
	case states&nonCritical != 0:
		return facts.Warning
	}
	return facts.OK
}

// severities are the words of go-ipmi's tables.
var severities = map[types.EventSeverity]facts.Health{
	types.EventSeverityInfo: facts.OK, types.EventSeverityOK: facts.OK,
	types.EventSeverityWarning: facts.Warning, types.EventSeverityDegraded: facts.Warning, types.EventSeverityNonFatal: facts.Warning,
	types.EventSeverityCritical: facts.Critical,
}

// Severity is how bad an event is; empty if that is not known.
func Severity(sensorType, trigger, offset uint8, ended bool) facts.Health {
	kind := types.EventReadingType(trigger)
	if kind.EventForOffset(types.SensorType(sensorType), offset) == nil {
		return ""
	}
	data := types.EventData{EventData1: offset}
	return severities[kind.EventSeverity(types.SensorType(sensorType), data, types.EventDir(ended))]
}
