package bmc

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

var callSDRReserve = call{0x0a, 0x22}

// recordCall asks for a part of a record of the repository.
func recordCall(reservation, id uint16, at, n byte) call {
	q := binary.LittleEndian.AppendUint16(call{0x0a, 0x23}, reservation)
	return append(binary.LittleEndian.AppendUint16(q, id), at, n)
}

// Each record names the next, and its header its length; a part of one takes a
// reservation.
func TestRepository(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	info := c.must(call{0x0a, 0x20})
	if n := int(binary.LittleEndian.Uint16(info[1:])); n != len(StandardSensors()) {
		t.Errorf("%d records", n)
	}
	id, seen := uint16(0), 0
	for _, s := range StandardSensors() {
		got := c.must(recordCall(0, id, 0, 0xff))
		record := got[2:]
		if Kind(record[3]) != s.Kind || int(record[4]) != len(record)-5 || !bytes.HasSuffix(record, []byte(s.Name)) {
			t.Errorf("%s: %x", s.Name, record)
		}
		id = binary.LittleEndian.Uint16(got)
		seen++
	}
	if id != 0xffff || seen != len(StandardSensors()) {
		t.Errorf("%d records, then %d", seen, id)
	}
	c.refused(recordCall(0, 1, 5, 16), 0xc5)
	r := binary.LittleEndian.Uint16(c.must(callSDRReserve))
	if part := c.must(recordCall(r, 2, 5, 16)); len(part) != 18 {
		t.Errorf("%x", part)
	}
	b.SetFaults(Faults{Odd: Odd{LosesReservations: 1, RecordMost: 20}})
	c.refused(recordCall(r, 2, 5, 16), 0xc5)
	c.refused(recordCall(r, 2, 0, 0xff), 0xca)
	c.refused(recordCall(r, 99, 0, 0xff), 0xcb)
	c.refused(recordCall(0, 1, 0xf0, 16), 0xc5)
	c.refused(call{0x0a, 0x23}, 0xc7)
	r = binary.LittleEndian.Uint16(c.must(callSDRReserve))
	c.refused(recordCall(r, 1, 0xf0, 16), 0xc9)
	if last := c.must(recordCall(r, 0xffff, 0, 5)); Kind(last[5]) != FRULocator {
		t.Errorf("the last record: %x", last)
	}
}

// What sensors tell: readings, the thresholds they are beyond, states, and that
// there is nothing to tell.
func TestSensorReadings(t *testing.T) {
	b, _ := newOne(t, Options{On: true})
	c := operator(t, b)
	for _, row := range []struct {
		name   string
		number uint8
		state  SensorState
		want   []byte
	}{
		{"normal", InletTemp, SensorState{Reading: 23}, []byte{23, 0xc0, 0xc0}},
		{"below zero", InletTemp, SensorState{Reading: 0xfb}, []byte{0xfb, 0xc0, 0xc3}},
		{"too hot", InletTemp, SensorState{Reading: 43}, []byte{43, 0xc0, 0xd8}},
		{"unavailable", InletTemp, SensorState{Unavailable: true}, []byte{0, 0xe0, 0xc3}},
		{"not scanned", InletTemp, SensorState{Reading: 1, Unscanned: true}, []byte{1, 0x80, 0xc1}},
		{"no upper bounds", Fan1, SensorState{Reading: 0xff}, []byte{0xff, 0xc0, 0xc0}},
		{"states", PS1Status, SensorState{States: 0x0109}, []byte{0, 0xc0, 0x09, 0x81}},
	} {
		b.SetSensor(row.number, row.state)
		if got := c.must(call{4, 0x2d, row.number}); !bytes.Equal(got, row.want) {
			t.Errorf("%s: %x, want %x", row.name, got, row.want)
		}
	}
	if got := c.must(call{4, 0x2d, CPUTemp}); got[1] != 0xc0 {
		t.Errorf("while on: %x", got)
	}
	b.SetPower(false)
	if got := c.must(call{4, 0x2d, CPUTemp}); got[1] != 0xe0 {
		t.Errorf("while off: %x", got)
	}
	c.refused(call{4, 0x2d, 0x99}, 0xcb)
	c.refused(call{4, 0x2d, ButtonLog}, 0xcb)
	c.refused(call{4, 0x2d}, 0xc7)
	c.refused(call{4, 0x27}, 0xc7)
	c.refused(call{4, 0x27, 0x99}, 0xcb)
	c.refused(call{4, 0x27, PS1Status}, 0xcd)
	if got := c.must(call{4, 0x27, Fan1}); !bytes.Equal(got, []byte{7, 14, 10, 5, 0, 0, 0}) {
		t.Errorf("thresholds %x", got)
	}
}

// A sensor that is not linear has other factors for other readings.
func TestSensorFactors(t *testing.T) {
	b, _ := newOne(t, Options{On: true})
	c := operator(t, b)
	for reading, want := range map[byte]byte{0x7f: 1, 0x80: 2} {
		if got := c.must(call{4, 0x23, Airflow, reading}); got[1] != want || got[0] != reading {
			t.Errorf("at %d: %x", reading, got)
		}
	}
	c.refused(call{4, 0x23, Airflow}, 0xc7)
	c.refused(call{4, 0x23, 0x99, 0}, 0xcb)
	c.refused(call{4, 0x23, PS1Status, 0}, 0xcd)
}

// The factors are as the specification packs them, negative ones too.
func TestFactors(t *testing.T) {
	for _, row := range []struct {
		s    Sensor
		want []byte
	}{
		{Sensor{M: 1}, []byte{1, 0, 0, 0, 0, 0}},
		{Sensor{M: 300, B: 7, RExp: -2, BExp: 1}, []byte{0x2c, 0x40, 7, 0, 0, 0xe1}},
		{Sensor{M: -1, B: -512, RExp: 7, BExp: -8}, []byte{0xff, 0xc0, 0, 0x80, 0, 0x78}},
	} {
		if got := row.s.factors(); !bytes.Equal(got, row.want) {
			t.Errorf("%+v: %x, want %x", row.s, got, row.want)
		}
	}
}

// A BMC may have no sensors at all.
func TestNoSensors(t *testing.T) {
	b, _ := newOne(t, Options{Sensors: []Sensor{}})
	c := operator(t, b)
	if info := c.must(call{0x0a, 0x20}); info[1] != 0 {
		t.Errorf("%x", info)
	}
	c.refused(recordCall(0, 0, 0, 0xff), 0xcb)
}

// ipmitool reads all of it: sensors, inventories, what the machine takes.
func TestSensorsPeer(t *testing.T) {
	t.Parallel()
	b := newFleet(t, Options{On: true, Watts: 230, WattsLimit: 500}).BMC(0)
	b.SetSensor(Fan2, SensorState{Unavailable: true})
	b.SetFaults(Faults{Odd: Odd{RecordMost: 24}})
	ask := ipmitool(t, b, 17)
	for _, row := range []struct {
		args []string
		want []string
	}{
		{[]string{"sdr", "elist", "all"}, []string{"5400 RPM", "12.06 Volts", "280 CFM", "Presence detected", "Fan 2            | 41h | ns", "Event-Only", "Logical FRU @01h"}},
		{[]string{"sensor", "list"}, []string{"-10.000   | 0.000     | 5.000     | 38.000    | 42.000    | 47.000", "Fan 2            | na"}},
		{[]string{"fru", "print"}, []string{"Rack Mount Chassis", "PSU 750W", "PSU-0001"}},
		{[]string{"dcmi", "power", "reading"}, []string{"230 Watts"}},
		{[]string{"dcmi", "power", "get_limit"}, []string{"500 Watts"}},
	} {
		out, _ := ask(row.args...)
		for _, want := range row.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in %s", row.args, want, out)
			}
		}
	}
}
