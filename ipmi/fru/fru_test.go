package fru

import (
	"bytes"
	"strings"
	"testing"
)

// header makes a header whose checksum is right.
func header(version, chassis, board, product byte) []byte {
	h := []byte{version, 0, chassis, board, product, 0, 0, 0}
	h[HeaderSize-1] = -sum(h)
	return h
}

// area makes an area of fields, with fixed bytes before them.
func area(fixed int, fields ...[]byte) []byte {
	out := make([]byte, fixed)
	for _, f := range fields {
		out = append(out, f...)
	}
	out = append(out, noMore)
	for len(out)%8 != 0 {
		out = append(out, 0)
	}
	out[0], out[1] = 1, byte(len(out)/8)
	return out
}

// field makes one field of a type.
func field(kind byte, text string) []byte {
	return append([]byte{kind<<6 | byte(len(text))}, text...)
}

func TestParseHeader(t *testing.T) {
	areas, err := ParseHeader(header(1, 2, 9, 20))
	if err != nil || len(areas) != 3 {
		t.Fatalf("%+v, %v", areas, err)
	}
	for i, want := range []struct {
		name   string
		offset int
	}{{"board", 72}, {"product", 160}, {"chassis", 16}} {
		if areas[i].Name != want.name || areas[i].Offset != want.offset {
			t.Errorf("area %d is %+v, want %+v", i, areas[i], want)
		}
	}
	if areas, err = ParseHeader(header(1, 0, 1, 0)); err != nil || len(areas) != 1 || areas[0].Name != "board" {
		t.Errorf("%+v, %v", areas, err)
	}
	broken := header(1, 2, 9, 20)
	broken[3]++
	for name, raw := range map[string][]byte{
		"header has 8 bytes": header(1, 0, 0, 0)[:7],
		"format 2":           header(2, 1, 1, 1),
		"format 15":          bytes.Repeat([]byte{0xff}, 8),
		"wrong checksum":     broken,
		"format 0":           make([]byte, 8),
	} {
		if _, err := ParseHeader(raw); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%x: %v, want %q", raw, err, name)
		}
	}
}

func TestSerial(t *testing.T) {
	const text, six, bcd, binary = 3, 2, 1, 0
	all, err := ParseHeader(header(1, 1, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	board, product, chassis := all[0], all[1], all[2]
	none := field(text, "")
	long := field(text, strings.Repeat("x", 63))
	for name, tc := range map[string]struct {
		area Area
		raw  []byte
		want string
	}{
		"board":               {board, area(6, field(text, "maker"), field(text, "name"), field(text, "ZM1234"), field(text, "part")), "ZM1234"},
		"product":             {product, area(3, none, none, none, none, field(text, "CZJ0001")), "CZJ0001"},
		"chassis":             {chassis, area(3, none, field(text, "C-77")), "C-77"},
		"blanks around":       {chassis, area(3, none, field(text, "  C-77 \x00\x00")), "C-77"},
		"longest before":      {product, area(3, long, long, long, long, field(text, "far")), "far"},
		"six bits":            {chassis, area(3, none, field(six, "\x29\xdc\xa6")), "IPMI"},
		"decimals":            {chassis, area(3, none, field(bcd, "\x12\x3b\x4c")), "123-4."},
		"binary":              {chassis, area(3, none, field(binary, "\xca\xfe")), "cafe"},
		"latin":               {chassis, area(3, none, field(text, "S\xe4ge")), "S\u00e4ge"},
		"empty":               {chassis, area(3, none, none), ""},
		"no such field":       {board, area(6, none, none), ""},
		"control characters":  {chassis, area(3, none, field(text, "a\x1b[2Jb")), ""},
		"zeros inside":        {chassis, area(3, none, field(text, "a\x00b")), ""},
		"beyond the area":     {chassis, area(3, field(text, "12345678"), []byte{0xff, 'a'}), ""},
		"no area":             {chassis, nil, ""},
		"cut off":             {board, []byte{1, 1, 0, 0, 0}, ""},
		"length of nothing":   {chassis, append([]byte{1, 0, 0}, field(text, "abcd")...), ""},
		"more than it says":   {chassis, append(area(3, none), field(text, "beyond")...), ""},
		"shorter than fields": {board, []byte{1, 0, 0, 0, 0, 0, 0, 0}, ""},
	} {
		if got, ok := tc.area.Serial(tc.raw); got != tc.want && ok || ok != (tc.want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, ok, tc.want)
		}
	}
}

// A serial number at the far end of the longest fields is within what is read.
func TestMaxArea(t *testing.T) {
	long := field(3, strings.Repeat("x", 63))
	raw := area(3, long, long, long, long, long)
	if got, ok := layouts[1].area.Serial(raw[:min(len(raw), MaxArea)]); !ok || len(got) != 63 {
		t.Errorf("%q, %v", got, ok)
	}
}

func FuzzSerial(f *testing.F) {
	f.Add(header(1, 1, 1, 1), area(6, field(3, "a"), field(2, "b"), field(1, "cde")))
	f.Add(header(1, 0, 2, 0), []byte{1, 255, 0, 0, 0, 0, 0xff})
	f.Fuzz(func(t *testing.T, head, raw []byte) {
		areas, err := ParseHeader(head)
		if err != nil {
			return
		}
		for _, a := range areas {
			if a.Offset < HeaderSize || a.Offset > 255*8 {
				t.Errorf("%s begins at %d", a.Name, a.Offset)
			}
			if got, ok := a.Serial(raw); ok && (got == "" || len([]rune(got)) > 126 || strings.ContainsAny(got, "\x00\n\x1b")) {
				t.Errorf("%s: %q", a.Name, got)
			}
		}
	})
}
