package fru

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"provision-plugins/ipmi/facts"
)

// seal gives an area its length and its checksum.
func seal(raw ...byte) []byte {
	for len(raw)%8 != 7 {
		raw = append(raw, 0)
	}
	raw[1] = byte((len(raw) + 1) / 8)
	return append(raw, -sum(raw))
}

// plain is a field of plain text.
func plain(text string) []byte { return append([]byte{0xc0 | byte(len(text))}, text...) }

// inventoryOf is an inventory of a chassis, a board and a product.
func inventoryOf() []byte {
	chassis := seal(slices.Concat([]byte{1, 0, 0x17}, plain("CP"), plain("CS"), plain("extra 1"), plain(""), plain("extra 2"), []byte{noMore})...)
	board := seal(slices.Concat([]byte{1, 0, 0, 0x01, 0, 0}, plain("Maker"), plain("Board"), plain("BS"), plain("BP"), plain("file"), []byte{noMore})...)
	product := seal(slices.Concat([]byte{1, 0, 0}, plain("Maker"), plain("Product"), plain("PP"), plain("v1"), plain("PS"), plain("tag"), plain("file"), plain("more"), []byte{noMore})...)
	head := []byte{1, 0, 1, byte(1 + len(chassis)/8), byte(1 + (len(chassis)+len(board))/8), 0, 0}
	return slices.Concat(append(head, -sum(head)), chassis, board, product)
}

// What stands on a device is told, field by field.
func TestParts(t *testing.T) {
	var d facts.Device
	Parse(inventoryOf(), &d)
	got, err := json.Marshal(d)
	const want = `{"id":"","chassis":{"type":"Rack Mount Chassis","partNumber":"CP","serialNumber":"CS","extra":["extra 1","extra 2"]},` +
		`"board":{"manufacturer":"Maker","name":"Board","partNumber":"BP","serialNumber":"BS","made":"1996-01-01T00:01:00Z"},` +
		`"product":{"manufacturer":"Maker","name":"Product","partNumber":"PP","version":"v1","serialNumber":"PS","assetTag":"tag","extra":["more"]}}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
	if at := Offsets(inventoryOf()); len(at) != 3 || End(inventoryOf(), at[2]) == 0 {
		t.Errorf("areas at %d", at)
	}
	if Offsets([]byte("garbage!")) != nil || End(nil, 8) != 0 {
		t.Error("garbage has areas")
	}
}

// What is garbage is told as such; what stands before it is told.
func TestGarbage(t *testing.T) {
	for name, row := range map[string]struct {
		spoil func([]byte) []byte
		note  string
		left  bool // something of the chassis is told
	}{
		"nothing":               {func([]byte) []byte { return nil }, "nothing can be read", false},
		"the header's checksum": {func(b []byte) []byte { b[7]++; return b }, "nothing can be read", false},
		"an area's checksum":    {func(b []byte) []byte { b[9+8]++; return b }, "chassis: it has a wrong checksum", true},
		"an area's format":      {func(b []byte) []byte { b[8] = 3; return b }, "chassis: format 3 is not known", false},
		"a length of 0":         {func(b []byte) []byte { b[9] = 0; return b }, "chassis: it is too short", false},
		"a length too long":     {func(b []byte) []byte { b[9] = 0xff; return b }, "chassis: it is cut off", true},
		"no end of the fields":  {func(b []byte) []byte { b[11] = 0xff; return b }, "chassis: its fields have no end", true},
		"cut off in the header": {func(b []byte) []byte { return b[:8] }, "chassis: it is not there", false},
	} {
		var d facts.Device
		Parse(row.spoil(inventoryOf()), &d)
		if all := strings.Join(d.Notes, "; "); !strings.Contains(all, row.note) || (d.Chassis != nil) != row.left {
			t.Errorf("%s: %q, %+v", name, all, d.Chassis)
		}
	}
}

// No bytes make the parser fail, or tell what cannot be shown.
func FuzzParts(f *testing.F) {
	f.Add(inventoryOf())
	f.Add(inventoryOf()[:30])
	f.Fuzz(func(t *testing.T, raw []byte) {
		var d facts.Device
		Parse(raw, &d)
		for _, at := range Offsets(raw) {
			End(raw, at)
		}
		if out, err := json.Marshal(d); err != nil || strings.Contains(string(out), `\u001b`) {
			t.Errorf("%s, %v", out, err)
		}
	})
}
