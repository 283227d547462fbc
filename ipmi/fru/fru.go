// Package fru finds the serial numbers in the inventory that a device keeps of
// itself, as IPMI's Platform Management FRU Information Storage Definition 1.0
// (in short: FRU) lays it out. Every byte of it is somebody else's.
package fru

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// HeaderSize is the size of the common header (FRU §8).
const HeaderSize = 8

// MaxArea is how much of an area is of interest: its serial number stands before
// that, however long the fields in front of it are.
const MaxArea = 6 + 5*64

// Area is one part of an inventory.
type Area struct {
	// Name is whose serial number stands in it: "board", "product", "chassis".
	Name string
	// Offset is where it begins.
	Offset int

	fields int // where its fields begin
	serial int // which of them is the serial number, from 0
}

// layouts is the areas that have a serial number, and where the header has the
// offset of each (FRU §10 to §12).
var layouts = []struct {
	at   int
	area Area
}{
	{3, Area{Name: "board", fields: 6, serial: 2}},
	{4, Area{Name: "product", fields: 3, serial: 4}},
	{2, Area{Name: "chassis", fields: 3, serial: 1}},
}

// ParseHeader reads the common header, and returns the areas that there are: the
// board's first, then the product's, then the chassis'.
func ParseHeader(raw []byte) ([]Area, error) {
	const version, unit = 1, 8
	if len(raw) < HeaderSize {
		return nil, fmt.Errorf("a header has %d bytes, not %d", HeaderSize, len(raw))
	}
	raw = raw[:HeaderSize]
	if raw[0]&0x0f != version {
		return nil, fmt.Errorf("format %d is not known", raw[0]&0x0f)
	}
	if sum(raw) != 0 {
		return nil, errors.New("the header has a wrong checksum")
	}
	var areas []Area
	for _, l := range layouts {
		if raw[l.at] != 0 {
			l.area.Offset = int(raw[l.at]) * unit
			areas = append(areas, l.area)
		}
	}
	return areas, nil
}

// sum is the sum of bytes that a checksum makes 0.
func sum(raw []byte) (s byte) {
	for _, b := range raw {
		s += b
	}
	return s
}

// noMore is the type/length byte after the last field (FRU §13).
const noMore = 0xc1

// Serial returns the serial number that stands in an area, of which raw is the
// beginning. The area's own checksum is not looked at: devices get it wrong.
func (a Area) Serial(raw []byte) (string, bool) {
	const unit, lenMask, typeShift = 8, 0x3f, 6
	if len(raw) < a.fields {
		return "", false
	}
	raw = raw[:min(len(raw), int(raw[1])*unit)]
	for at, n := a.fields, 0; at < len(raw) && raw[at] != noMore; n++ {
		kind, length := raw[at]>>typeShift, int(raw[at]&lenMask)
		at++
		if at+length > len(raw) {
			return "", false
		}
		if n == a.serial {
			text := strings.Trim(decoders[kind](raw[at:at+length]), " \x00")
			return text, printable(text)
		}
		at += length
	}
	return "", false
}

// printable reports whether a text is one that can be shown.
func printable(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f && r <= 0xa0 })
}

// Text reads a field of a type, the two highest bits of its first byte (FRU §13).
func Text(kind uint8, raw []byte) string { return decoders[kind&3](raw) }

// decoders reads a field by its type (FRU §13).
var decoders = [4]func([]byte) string{hex.EncodeToString, bcdPlus, sixBit, latin1}

// bcdPlus reads two digits in each byte.
func bcdPlus(raw []byte) string {
	const digits = "0123456789 -.???"
	out := make([]byte, 0, 2*len(raw))
	for _, b := range raw {
		out = append(out, digits[b>>4], digits[b&0x0f])
	}
	return string(out)
}

// sixBit reads four characters from each three bytes, the lowest bits first.
func sixBit(raw []byte) string {
	const bits, mask, first = 6, 0x3f, ' '
	var out []byte
	acc, have := 0, 0
	for _, b := range raw {
		acc |= int(b) << have
		for have += 8; have >= bits; have -= bits {
			out = append(out, first+byte(acc&mask))
			acc >>= bits
		}
	}
	return string(out)
}

// latin1 reads a character in each byte.
func latin1(raw []byte) string {
	out := make([]rune, len(raw))
	for i, b := range raw {
		out[i] = rune(b)
	}
	return string(out)
}
