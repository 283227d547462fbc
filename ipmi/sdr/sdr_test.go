package sdr

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"

	"provision-plugins/ipmi/facts"
)

// full is a record of a temperature sensor, in 2's complement, with all thresholds.
func full() []byte {
	return []byte{
		0x02, 0x00, 0x51, 0x01, 0x35, // header
		0x20, 0x00, 0x30, 0x37, 0x01, 0x7f, 0x44, 0x01, 0x01, // owner to event/reading type
		0, 0, 0, 0, 0x3f, 0, // masks
		0x80, 0x01, 0x00, 0x00, // units, linear
		0x01, 0x00, 0x00, 0x00, 0x00, 0x00, // factors
		0, 0, 0, 0, 0x7f, 0x80, 47, 42, 38, 0xf6, 0, 5, // readings, thresholds
		1, 1, 0, 0, 0, // hysteresis, reserved, OEM
		0xca, 'I', 'n', 'l', 'e', 't', ' ', 'T', 'e', 'm', 'p',
	}
}

// compact is a record of three sensors of power supplies.
func compact() []byte {
	return []byte{
		0x07, 0x00, 0x51, 0x02, 0x1d,
		0x20, 0x00, 0x60, 0x0a, 0x01, 0x7f, 0x40, 0x08, 0x6f,
		0, 0, 0, 0, 0xff, 0x7f, 0xc0, 0, 0,
		0x03, 0x01, 0, 0, 0, 0, 0, 0,
		0xc2, 'P', 'S',
	}
}

// parse is Parse of a record that can be read.
func parse(t *testing.T, raw []byte) Record {
	t.Helper()
	r, known, err := Parse(raw)
	if err != nil || !known {
		t.Fatalf("%x: %t, %v", raw, known, err)
	}
	return r
}

// A record is told as it describes its sensor.
func TestFullRecord(t *testing.T) {
	r := parse(t, full())
	got, err := json.Marshal(r.Describe())
	const want = `{"id":"0x30","name":"Inlet Temp","type":"Temperature","entity":"air inlet 1","unit":"degrees C",` +
		`"thresholds":{"lowerNonRecoverable":-10,"lowerCritical":0,"lowerNonCritical":5,"upperNonCritical":38,"upperCritical":42,"upperNonRecoverable":47}}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
	if !r.Sensor() || !r.Analog() || !r.Linear() || len(r.Sensors()) != 1 {
		t.Errorf("%+v", r)
	}
}

// A record of several sensors is told as each of them.
func TestSharedRecord(t *testing.T) {
	r := parse(t, compact())
	all := r.Sensors()
	if len(all) != 3 || r.Analog() || r.Unit() != "" || r.Thresholds() != nil {
		t.Fatalf("%+v", all)
	}
	for i, want := range []string{"PS 1", "PS 2", "PS 3"} {
		if all[i].Name != want || all[i].Number != uint8(0x60+i) || len(all[i].Sensors()) != 1 {
			t.Errorf("%+v, want %s", all[i], want)
		}
	}
}

// The other kinds of records, and those that are passed over.
func TestOtherRecords(t *testing.T) {
	event := parse(t, []byte{1, 0, 0x51, 3, 13, 0x20, 0, 0x70, 7, 1, 0x14, 0x6f, 1, 0, 0, 0, 0xc1, 'B', 0})
	if event.Sensor() || event.Type != 0x14 || event.Name != "B" || event.Number != 0x70 {
		t.Errorf("%+v", event)
	}
	fru := parse(t, []byte{1, 0, 0x51, 0x11, 13, 0x20, 5, 0x80, 0, 0, 0x10, 0, 10, 2, 0, 0xc2, 'P', 'S'})
	if !fru.Logical || fru.Number != 5 || fru.Name != "PS" || fru.EntityName() != "power supply 2" {
		t.Errorf("%+v", fru)
	}
	mc := parse(t, []byte{1, 0, 0x51, 0x12, 14, 0x24, 0, 0, 0, 0, 0, 0, 6, 1, 0, 0xc3, 'B', 'M', 'C'})
	if mc.Number != 0x24 || mc.Name != "BMC" || mc.Sensor() {
		t.Errorf("%+v", mc)
	}
	for _, kind := range []byte{0, 0x08, 0x0a, 0x10, 0x13, 0x14, 0xc0, 0xff} {
		if r, known, err := Parse([]byte{1, 0, 0x51, kind, 0}); known || err != nil {
			t.Errorf("type %02xh: %+v, %v", kind, r, err)
		}
	}
	other := parse(t, append(full()[:5:5], append([]byte{0x2c, 0x01}, full()[7:]...)...))
	if other.ID() != "0x30@0x2c.1" {
		t.Errorf("of another controller: %s", other.ID())
	}
}

// A record that is cut off anywhere is an error, and no half sensor.
func TestCutOffRecords(t *testing.T) {
	for _, whole := range [][]byte{full(), compact()} {
		for n := range len(whole) {
			if r, known, err := Parse(whole[:n]); err == nil || known {
				t.Errorf("%d of %d bytes: %+v", n, len(whole), r)
			}
		}
		short := bytes.Clone(whole)
		short[lengthAt] = 10
		if _, _, err := Parse(short); err == nil {
			t.Errorf("a length of 10 is taken for type %02xh", short[3])
		}
	}
}

// Names are of what can be shown, whatever they are written in.
func TestNames(t *testing.T) {
	for _, row := range []struct {
		raw  []byte
		want string
	}{
		{[]byte{0xc3, 'a', 0x1b, 'b'}, "ab"},
		{[]byte{0xc3, 'a', 'b', 0}, "ab"},
		{[]byte{0x42, 0x12, 0x3a}, "123"}, // BCD plus, of which the last is a space
		{[]byte{0x83, 0x29, 0xdc, 0xa6}, "IPMI"},
		{[]byte{0xdf, 'x'}, "x"},
		{[]byte{0xc0}, ""},
		{[]byte{0x02, 'u', 'c'}, "uc"},
	} {
		if got := text(row.raw); got != row.want {
			t.Errorf("%x: %q, want %q", row.raw, got, row.want)
		}
	}
}

// What a raw reading means: formats, factors and functions (IPMI 2.0 §36.3).
func TestValues(t *testing.T) {
	const unsigned = 0
	for _, row := range []struct {
		name   string
		format byte
		linear byte
		f      Factors
		raw    byte
		want   float64
	}{
		{"unsigned", unsigned, 0, Factors{M: 1}, 200, 200},
		{"2's complement", twosComplement, 0, Factors{M: 1}, 0xff, -1},
		{"1's complement", onesComplement, 0, Factors{M: 1}, 0xfe, -1},
		{"1's complement, positive", onesComplement, 0, Factors{M: 1}, 0x7f, 127},
		{"factors", unsigned, 0, Factors{M: 6, RExp: -2}, 201, 12.06},
		{"an offset", unsigned, 0, Factors{M: 1, B: -5, BExp: 1}, 70, 20},
		{"a negative factor", unsigned, 0, Factors{M: -2, B: 100}, 10, 80},
		{"exp10 of a fraction", unsigned, 5, Factors{M: 1, RExp: -1}, 5, 3.16228},
		{"1/x", unsigned, 7, Factors{M: 1}, 4, 0.25},
		{"sqr", unsigned, 8, Factors{M: 1}, 9, 81},
		{"cube root", unsigned, 0x0b, Factors{M: 1}, 27, 3},
	} {
		r := Record{Kind: Full, units: [3]byte{row.format}, linear: row.linear, factors: row.f}
		if got, ok := r.Value(row.raw); !ok || math.Abs(got-row.want) > 1e-5*math.Abs(row.want) {
			t.Errorf("%s: %v, %t, want %v", row.name, got, ok, row.want)
		}
	}
	for name, r := range map[string]Record{
		"1/0": {Kind: Full, linear: 7, factors: Factors{M: 1}}, "ln 0": {Kind: Full, linear: 1, factors: Factors{M: 1}},
		"no numbers": {Kind: Full, units: [3]byte{notAnalog}}, "compact": {Kind: Compact},
	} {
		if got, ok := r.Value(0); ok {
			t.Errorf("%s is %v", name, got)
		}
	}
}

// The factors are unpacked as the specification packs them.
func TestFactors(t *testing.T) {
	for _, row := range []struct {
		raw  []byte
		want Factors
	}{
		{[]byte{0, 1, 0, 0, 0, 0, 0}, Factors{M: 1}},
		{[]byte{9, 0x2c, 0x40, 7, 0, 0, 0xe1}, Factors{M: 300, B: 7, RExp: -2, BExp: 1}},
		{[]byte{9, 0xff, 0xff, 0, 0x80, 0xff, 0x78}, Factors{M: -1, B: -512, RExp: 7, BExp: -8}},
	} {
		if got, err := ParseFactors(row.raw); err != nil || got != row.want {
			t.Errorf("%x: %+v, %v, want %+v", row.raw, got, err, row.want)
		}
	}
	if _, err := ParseFactors(make([]byte, 6)); err == nil {
		t.Error("six bytes are taken")
	}
}

// A reading that is not there is told as such, and not as the number that was sent.
func TestReadings(t *testing.T) {
	temperature, supply := parse(t, full()), parse(t, compact())
	for _, row := range []struct {
		name    string
		r       *Record
		raw     []byte
		value   float64
		lacking bool
		health  facts.Health
		states  int
	}{
		{"plain", &temperature, []byte{23, 0xc0, 0xc0}, 23, false, facts.OK, 0},
		{"zero", &temperature, []byte{0, 0xc0, 0xc3}, 0, false, facts.Critical, 0},
		{"warning", &temperature, []byte{40, 0xc0, 0xc8}, 40, false, facts.Warning, 0},
		{"no comparison", &temperature, []byte{40, 0xc0}, 40, false, "", 0},
		{"unavailable", &temperature, []byte{0, 0xe0, 0xc7}, 0, true, "", 0},
		{"not scanned", &temperature, []byte{0, 0x80, 0xc7}, 0, true, "", 0},
		{"states", &supply, []byte{0, 0xc0, 0x03, 0x80}, 0, false, facts.Critical, 2},
		{"no states", &supply, []byte{0, 0xc0}, 0, false, "", 0},
		{"a state nobody knows", &supply, []byte{0, 0xc0, 0, 0x40}, 0, false, "", 1},
	} {
		in, err := ParseReading(row.raw)
		if err != nil {
			t.Fatal(err)
		}
		got := row.r.Tell(in, row.r.Factors())
		if (got.Unavailable != "") != row.lacking || got.Health != row.health || len(got.States) != row.states {
			t.Errorf("%s: %+v", row.name, got)
		}
		if has := row.r == &temperature && !row.lacking; (got.Reading != nil) != has || has && *got.Reading != row.value {
			t.Errorf("%s: reading of %+v", row.name, got)
		}
	}
	if _, err := ParseReading([]byte{1}); err == nil {
		t.Error("one byte is a reading")
	}
}

// The stamp of a repository tells its states apart.
func TestStamp(t *testing.T) {
	raw := []byte{0x51, 12, 0, 0xff, 0xff, 1, 0, 0, 0, 2, 0, 0, 0, 2}
	if got, err := ParseStamp(raw); err != nil || got != (Stamp{Records: 12, Added: 1, Erased: 2}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ParseStamp(raw[:13]); err == nil {
		t.Error("13 bytes are taken")
	}
}

// What the tables do not have is told by its number.
func TestUnknownWords(t *testing.T) {
	for got, want := range map[string]string{
		TypeName(0xc5): "OEM c5h", EventText(0x08, 0x6f, 14): "state 14", EventText(0xc0, 0x70, 1): "state 1",
		(&Record{Entity: 7, Instance: 0x82}).EntityName(): "system board 2",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// No bytes make the parser fail otherwise than by an error, or a number of what is
// none.
func FuzzRecord(f *testing.F) {
	f.Add(full(), []byte{23, 0xc0, 0xc0}, []byte{0, 1, 0, 0, 0, 0, 0})
	f.Add(compact(), []byte{0, 0xe0, 3, 0x80}, []byte{})
	f.Fuzz(func(t *testing.T, record, reading, factors []byte) {
		r, known, err := Parse(record)
		if err != nil || !known {
			return
		}
		in, err := ParseReading(reading)
		if err != nil {
			return
		}
		by, err := ParseFactors(factors)
		if err != nil {
			by = r.Factors()
		}
		for _, one := range r.Sensors() {
			got := one.Tell(in, by)
			if in.Lacking != "" && got.Reading != nil {
				t.Errorf("a reading that is not there is %v", *got.Reading)
			}
			if _, err := json.Marshal(got); err != nil {
				t.Error(err)
			}
		}
	})
}
