package bmc

import (
	"encoding/binary"
	"fmt"

	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/types"
)

// The areas of the inventory whose serial number Odd.Serials may give.
const (
	FRUBoard   = "board"
	FRUProduct = "product"
	FRUChassis = "chassis"
)

// The layout of an inventory (Platform Management FRU Information Storage
// Definition 1.0 §8 to §13).
const (
	fruVersion = 1
	fruUnit    = 8
	fruText    = 0xc0 // the type of a field of plain text
	fruEnd     = 0xc1
	fruMaxText = 63
	fruDevice  = 0 // the BMC's own
	fruSupply  = 1 // a power supply's
)

// serial is the serial number of an area of the inventory.
func (b *BMC) serial(area string) string {
	if s, ok := b.faults.Odd.Serials[area]; ok {
		return s[:min(len(s), fruMaxText)]
	}
	return fmt.Sprintf("SIM-%c%X", area[0]-'a'+'A', b.ipmi.GUID[10:])
}

// inventory is what is on an inventory device; nil if there is no such device.
func (b *BMC) inventory(device uint8) []byte {
	switch {
	case device == fruSupply && len(b.opts.Sensors) > 0:
		return supplyInventory()
	case device != fruDevice:
		return nil
	case b.faults.Odd.Inventory != nil:
		return b.faults.Odd.Inventory
	}
	return b.ownInventory()
}

// supplyInventory is what is on the inventory device of a power supply: a product
// and nothing else.
func supplyInventory() []byte {
	const productAt = 4
	out := make([]byte, fruUnit)
	out[0], out[productAt] = fruVersion, 1
	out[fruUnit-1] = fruChecksum(out[:fruUnit-1])
	return append(out, fruArea([]byte{0}, []string{"Simulated", "PSU 750W", "P-750", "A0", "PSU-0001", "", ""})...)
}

// ownInventory is what is on the BMC's own.
func (b *BMC) ownInventory() []byte {
	english := []byte{0}
	out := make([]byte, fruUnit)
	out[0] = fruVersion
	for _, area := range []struct {
		at     int
		fixed  []byte
		fields []string
	}{
		{2, []byte{0x17}, []string{"", b.serial(FRUChassis)}}, // a rack mount chassis
		{3, append(english, 0, 0, 0), []string{"Simulated", "Board", b.serial(FRUBoard), "", ""}},
		{4, english, []string{"Simulated", "Machine", "", "1.0", b.serial(FRUProduct), "", ""}},
	} {
		out[area.at] = byte(len(out) / fruUnit)
		out = append(out, fruArea(area.fixed, area.fields)...)
	}
	out[fruUnit-1] = fruChecksum(out[:fruUnit-1])
	return out
}

// fruArea is one area.
func fruArea(fixed []byte, fields []string) []byte {
	out := append([]byte{fruVersion, 0}, fixed...)
	for _, f := range fields {
		if len(f) == 1 { // one character would be read as the end
			f += " "
		}
		out = append(append(out, fruText|byte(len(f))), f...)
	}
	out = append(out, fruEnd)
	for len(out)%fruUnit != fruUnit-1 {
		out = append(out, 0)
	}
	out[1] = byte((len(out) + 1) / fruUnit)
	return append(out, fruChecksum(out))
}

// fruChecksum makes the sum of all bytes 0.
func fruChecksum(raw []byte) (sum byte) {
	for _, b := range raw {
		sum -= b
	}
	return sum
}

// fruGrain is how many bytes offsets and counts are of.
func (b *BMC) fruGrain() int {
	if b.faults.Odd.FRUWords {
		return 2
	}
	return 1
}

// fruInfo is Get FRU Inventory Area Info (IPMI 2.0 §34.1).
func fruInfo(b *BMC, _ *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
	switch {
	case len(data) < 1:
		return nil, types.CodeRequestDataLengthInvalid
	case b.inventory(data[0]) == nil:
		return nil, types.CodeRequestedDataNotPresent
	}
	resp := binary.LittleEndian.AppendUint16(nil, uint16(len(b.inventory(data[0]))))
	return append(resp, byte(b.fruGrain()-1)), types.CodeOK
}

// fruRead is Read FRU Data (IPMI 2.0 §34.2).
func fruRead(b *BMC, _ *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
	const size, most = 4, 32
	switch {
	case len(data) < size:
		return nil, types.CodeRequestDataLengthInvalid
	case b.inventory(data[0]) == nil:
		return nil, types.CodeRequestedDataNotPresent
	}
	all, grain := b.inventory(data[0]), b.fruGrain()
	at, n := int(binary.LittleEndian.Uint16(data[1:]))*grain, int(data[3])*grain
	switch {
	case n > most:
		return nil, types.CodeCannotReturnRequestedDataBytes
	case at >= len(all):
		return nil, types.CodeParameterOutOfRange
	}
	part := all[at:min(at+n, len(all))]
	return append([]byte{byte(len(part) / grain)}, part...), types.CodeOK
}
