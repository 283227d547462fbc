package fru

import (
	"fmt"
	"strings"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/facts"
)

// MaxSize is how much of an inventory there can be that the offsets of its header
// reach (FRU §8): the longest area behind the furthest offset.
const MaxSize = 2 * 255 * 8

// maxExtra bounds the fields that a manufacturer adds.
const maxExtra = 32

// part is how an area of an inventory is laid out (FRU §10 to §12).
type part struct {
	name   string
	at     int // where the header has its offset
	fields int // where its fields begin
	to     func(*facts.Device) **facts.Part
	own    func(p *facts.Part, raw []byte)
	texts  []func(*facts.Part) *string // nil for one that is not told
}

// parts is every area that is read, in the order in which they are told.
func parts() []part {
	maker := func(p *facts.Part) *string { return &p.Manufacturer }
	name := func(p *facts.Part) *string { return &p.Name }
	number := func(p *facts.Part) *string { return &p.PartNumber }
	version := func(p *facts.Part) *string { return &p.Version }
	serial := func(p *facts.Part) *string { return &p.SerialNumber }
	asset := func(p *facts.Part) *string { return &p.AssetTag }
	return []part{
		{
			name: "chassis", at: 2, fields: 3, to: func(d *facts.Device) **facts.Part { return &d.Chassis },
			own:   func(p *facts.Part, raw []byte) { p.Type = types.ChassisType(raw[2]).String() },
			texts: []func(*facts.Part) *string{number, serial},
		},
		{
			name: "board", at: 3, fields: 6, to: func(d *facts.Device) **facts.Part { return &d.Board }, own: made,
			texts: []func(*facts.Part) *string{maker, name, serial, number, nil},
		},
		{
			name: "product", at: 4, fields: 3, to: func(d *facts.Device) **facts.Part { return &d.Product },
			own:   func(*facts.Part, []byte) {},
			texts: []func(*facts.Part) *string{maker, name, number, version, serial, asset, nil},
		},
	}
}

// made reads when a board was made: minutes since 1996 (FRU §11).
func made(p *facts.Part, raw []byte) {
	if minutes := int(raw[3]) | int(raw[4])<<8 | int(raw[5])<<16; minutes != 0 {
		at := time.Date(1996, time.January, 1, 0, minutes, 0, 0, time.UTC)
		p.Made = &at
	}
}

// Offsets returns where the areas begin that a header names, the first first. A
// header that cannot be read names none.
func Offsets(head []byte) []int {
	areas, err := ParseHeader(head)
	if err != nil {
		return nil
	}
	var out []int
	for _, a := range areas {
		out = append(out, a.Offset)
	}
	return out
}

// End returns where the area ends that begins at an offset, as far as that is there
// to be read.
func End(data []byte, at int) int {
	const unit = 8
	if at+1 >= len(data) {
		return len(data)
	}
	return at + int(data[at+1])*unit
}

// Parse reads an inventory into d, with notes of what is garbage.
func Parse(data []byte, d *facts.Device) {
	const unit = 8
	if _, err := ParseHeader(data); err != nil {
		d.Notes = append(d.Notes, "nothing can be read: "+err.Error())
		return
	}
	for _, p := range parts() {
		at := int(data[p.at]) * unit
		if at == 0 {
			continue
		}
		out, notes := p.parse(data[min(at, len(data)):])
		*p.to(d) = out
		for _, n := range notes {
			d.Notes = append(d.Notes, p.name+": "+n)
		}
	}
}

// parse reads one area, which begins where raw does. What is before the first bad
// byte is told.
func (p *part) parse(raw []byte) (*facts.Part, []string) {
	const unit, version = 8, 1
	if len(raw) <= p.fields {
		return nil, []string{"it is not there"}
	}
	if raw[0]&0x0f != version {
		return nil, []string{fmt.Sprintf("format %d is not known", raw[0]&0x0f)}
	}
	var notes []string
	size := int(raw[1]) * unit
	switch {
	case size > len(raw):
		notes = append(notes, "it is cut off")
	case size <= p.fields:
		return nil, []string{"it is too short"}
	case sum(raw[:size]) != 0:
		notes = append(notes, "it has a wrong checksum")
	}
	raw = raw[:min(size, len(raw))]
	var out facts.Part
	p.own(&out, raw)
	texts, ended := fields(raw[p.fields:])
	if !ended {
		notes = append(notes, "its fields have no end")
	}
	for i, text := range texts {
		switch {
		case i >= len(p.texts) && text != "":
			out.Extra = append(out.Extra, text)
		case i < len(p.texts) && p.texts[i] != nil:
			*p.texts[i](&out) = text
		}
	}
	return &out, notes
}

// fields reads the texts of an area; ended is false if there is no end of them.
func fields(raw []byte) (texts []string, ended bool) {
	const lenMask, typeShift = 0x3f, 6
	for at := 0; at < len(raw) && len(texts) < maxExtra; {
		head := raw[at]
		if head == noMore {
			return texts, true
		}
		length := int(head & lenMask)
		at++
		if at+length > len(raw) {
			return texts, false
		}
		texts = append(texts, shown(Text(head>>typeShift, raw[at:at+length])))
		at += length
	}
	return texts, false
}

// shown is a text without what cannot be shown.
func shown(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r <= 0xa0 {
			return -1
		}
		return r
	}, text))
}
