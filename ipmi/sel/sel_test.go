package sel

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"provision-plugins/ipmi/sdr"
)

// names are those of a fan that counts in 60 rpm.
func names(t testing.TB) Names {
	t.Helper()
	fan := []byte{
		0x02, 0x00, 0x51, 0x01, 0x30, 0x20, 0x00, 0x40, 0x1d, 0x01, 0x7f, 0x44, 0x04, 0x01, 0, 0, 0, 0, 0x07, 0,
		0x00, 0x12, 0x00, 0x00, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 5, 10, 14, 1, 1, 0, 0, 0, 0xc5, 'F', 'a', 'n', ' ', '1',
	}
	r, known, err := sdr.Parse(fan)
	if err != nil || !known {
		t.Fatal(known, err)
	}
	return NewNames([]sdr.Record{r, {Kind: sdr.FRULocator, Owner: 0x20, Number: 0x41}})
}

// record reads hex.
func record(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Records are told in words, those of a manufacturer as they are.
func TestEntries(t *testing.T) {
	for name, row := range map[string]struct{ raw, want string }{
		"a threshold": {
			"0100 02 00e1f505 2000 04 04 40 01 52 09 0a",
			`{"id":"1","kind":"event","sensor":"Fan 1","sensorType":"Fan","event":"Lower Critical - going low (threshold 600 RPM)","asserted":true,"health":"Critical","reading":540,"unit":"RPM","raw":`,
		},
		"it is over": {
			"0200 02 00f15365 2000 04 04 40 81 02 ff ff",
			`{"id":"2","time":"2023-11-14T22:13:20Z","kind":"event","sensor":"Fan 1","sensorType":"Fan","event":"Lower Critical - going low","asserted":false,"health":"Warning","raw":`,
		},
		"a sensor without a name": {
			"0300 02 ffffffff 2000 04 08 61 6f 01 ff ff",
			`{"id":"3","kind":"event","sensor":"sensor 0x61","sensorType":"Power Supply","event":"Power Supply Failure detected","asserted":true,"health":"Critical","raw":`,
		},
		"another controller's": {
			"0400 02 00f15365 2c01 04 04 40 01 52 09 0a",
			`{"id":"4","time":"2023-11-14T22:13:20Z","kind":"event","sensor":"sensor 0x40","sensorType":"Fan","event":"Lower Critical - going low","asserted":true,"health":"Critical","raw":`,
		},
		"an event nobody knows": {
			"0500 02 00f15365 2000 04 c1 40 70 0e ff ff",
			`{"id":"5","time":"2023-11-14T22:13:20Z","kind":"event","sensor":"Fan 1","sensorType":"OEM c1h","event":"state 14","asserted":true,"raw":`,
		},
		"OEM with a time":    {"0600 c0 00f15365 a20200 010203040506", `{"id":"6","time":"2023-11-14T22:13:20Z","kind":"OEM","event":"record of type c0h","raw":`},
		"OEM without a time": {"0700 e0 0102030405060708090a0b0c0d", `{"id":"7","kind":"OEM","event":"record of type e0h","raw":`},
		"of a type that is none yet": {
			"0800 03 00f15365 2000 04 04 40 01 52 09 0a",
			`{"id":"8","time":"2023-11-14T22:13:20Z","kind":"unknown","event":"record of type 03h","raw":`,
		},
	} {
		raw := record(t, row.raw)
		r, err := Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(r.Entry(names(t)))
		if want := row.want + `"` + hex.EncodeToString(raw) + `"}`; err != nil || string(got) != want {
			t.Errorf("%s: %s, %v\nwant %s", name, got, err, want)
		}
	}
}

// A record has 16 bytes.
func TestRecordsOfAnotherSize(t *testing.T) {
	for n := range 40 {
		if _, err := Parse(make([]byte, n)); (err == nil) != (n == Size) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// A time of before the clock was set is none.
func TestTimes(t *testing.T) {
	for stamp, want := range map[uint32]bool{0: false, 1: false, 0x20000000: false, 0x20000001: true, 1_700_000_000: true, 0xffffffff: false} {
		if got := Time(stamp); (got != nil) != want {
			t.Errorf("%d: %v", stamp, got)
		}
	}
}

// No bytes make the parser fail otherwise than by an error.
func FuzzRecord(f *testing.F) {
	f.Add(record(f, "0100 02 00e1f505 2000 04 04 40 01 52 09 0a"))
	f.Add(record(f, "0700 e0 0102030405060708090a0b0c0d"))
	known := names(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Parse(raw)
		if err != nil {
			return
		}
		e := r.Entry(known)
		if out, err := json.Marshal(e); err != nil || e.Raw != hex.EncodeToString(raw) {
			t.Errorf("%s, %v", out, err)
		}
	})
}
