package bmc

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"strings"
	"testing"
)

// readAll reads the inventory in pieces.
func readAll(c *console, size, piece, grain int) []byte {
	var out []byte
	for at := 0; at < size; at += piece * grain {
		got := c.must(call{0x0a, 0x11, 0, byte(at / grain), byte(at / grain >> 8), byte(piece)})
		if int(got[0])*grain != len(got)-1 {
			c.t.Errorf("%d bytes at %d, and it says %d", len(got)-1, at, got[0])
		}
		out = append(out, got[1:]...)
	}
	return out
}

func TestInventory(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	info := c.must(call{0x0a, 0x10, 0})
	size := int(binary.LittleEndian.Uint16(info))
	plain := readAll(c, size, 16, 1)
	if len(plain) != size || info[2] != 0 || !bytes.Contains(plain, []byte(b.serial(FRUBoard))) {
		t.Errorf("%d bytes of %d: %q", len(plain), size, plain)
	}
	b.SetFaults(Faults{Odd: Odd{FRUWords: true}})
	if info = c.must(call{0x0a, 0x10, 0}); info[2] != 1 {
		t.Errorf("%x: not by words", info)
	}
	if words := readAll(c, size, 8, 2); !bytes.Equal(words, plain) {
		t.Errorf("by words %q, by bytes %q", words, plain)
	}
	b.SetFaults(Faults{})
	for _, row := range []struct {
		q  call
		cc byte
	}{
		{call{0x0a, 0x10}, 0xc7},
		{call{0x0a, 0x10, 2}, 0xcb},
		{call{0x0a, 0x11, 0, 0, 0}, 0xc7},
		{call{0x0a, 0x11, 2, 0, 0, 8}, 0xcb},
		{call{0x0a, 0x11, 0, 0, 0, 33}, 0xca},
		{call{0x0a, 0x11, 0, 0xff, 0xff, 8}, 0xc9},
	} {
		c.refused(row.q, row.cc)
	}
}

// ipmitool reads the inventory as it is meant, checksums included.
func TestIpmitoolReadsTheInventory(t *testing.T) {
	b, _ := newOne(t, Options{})
	b.SetFaults(Faults{Odd: Odd{Serials: map[string]string{FRUProduct: "CZJ0001", FRUChassis: strings.Repeat("x", 99)}}})
	told, exit := ipmitool(t, b, 17)("fru", "print", "0")
	out := regexp.MustCompile(" +").ReplaceAllString(told, " ")
	for name, want := range map[string]string{
		"Board Serial": b.serial(FRUBoard), "Product Serial": "CZJ0001", "Chassis Serial": strings.Repeat("x", fruMaxText),
	} {
		if line := name + " : " + want + "\n"; exit != 0 || !strings.Contains(out, line) {
			t.Errorf("exit %d, %q is not in:\n%s", exit, line, out)
		}
	}
	if strings.Contains(strings.ToLower(out), "checksum") || strings.Contains(out, "Extra") {
		t.Errorf("not as it is meant:\n%s", out)
	}
}
