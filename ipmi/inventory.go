package main

import (
	"context"
	"fmt"

	"github.com/bougou/go-ipmi/pkg/command/storage"
	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/facts"
	"provision-plugins/ipmi/fru"
	"provision-plugins/ipmi/sdr"
)

// maxInventories bounds how many inventory devices of one machine are read.
const maxInventories = 64

// inventories reads all inventory devices (IPMI 2.0 §34): the BMC's own, and those
// that its records of sensors name. What is garbage on one is told as such, and the
// others are read all the same.
func (s *session) inventories(ctx context.Context) (*facts.Inventory, error) {
	out := &facts.Inventory{Devices: []facts.Device{}}
	named := []sdr.Record{{Kind: sdr.FRULocator, Name: "the BMC's own", Logical: true}}
	all, err := s.repository(ctx)
	switch {
	case err == nil:
		named = locators(named, all.records)
		if all.note != "" {
			out.Notes = append(out.Notes, all.note)
		}
	case lacking(err):
		out.Notes = append(out.Notes, "devices besides the BMC's own: "+reason(err))
	default:
		return nil, err
	}
	for i := range named {
		if i == maxInventories {
			out.Notes = append(out.Notes, fmt.Sprintf("more than %d devices; the rest was not read", maxInventories))
			break
		}
		d, err := s.inventoryOf(ctx, &named[i])
		if err != nil {
			return nil, err
		}
		out.Devices = append(out.Devices, d)
	}
	return out, nil
}

// locators adds the inventory devices that records name, each once. That of number 0
// is the BMC's own.
func locators(named, records []sdr.Record) []sdr.Record {
	seen := map[uint8]int{0: 0}
	for _, r := range records {
		if r.Kind != sdr.FRULocator || !r.Logical || r.Owner != ownAddress {
			continue
		}
		if at, again := seen[r.Number]; again {
			named[at].Name = r.Name
			continue
		}
		seen[r.Number] = len(named)
		named = append(named, r)
	}
	return named
}

// inventoryOf reads one inventory device.
func (s *session) inventoryOf(ctx context.Context, r *sdr.Record) (facts.Device, error) {
	out := facts.Device{ID: fmt.Sprint(r.Number), Name: r.Name}
	data, err := s.inventoryData(ctx, r.Number)
	if err != nil {
		if !lacking(err) {
			return out, err
		}
		out.Notes = append(out.Notes, reason(err))
		return out, nil
	}
	fru.Parse(data, &out)
	return out, nil
}

// inventoryData reads what is on a device, as far as its header says that there is
// something.
func (s *session) inventoryData(ctx context.Context, number uint8) ([]byte, error) {
	var info storage.GetFRUInventoryAreaInfoResponse
	if err := s.read(ctx, false, &storage.GetFRUInventoryAreaInfoRequest{FRUDeviceID: number}, &info); err != nil {
		return nil, err
	}
	in := inventory{ask: s.readOnly, device: number, size: min(int(info.AreaSizeBytes), fru.MaxSize), unit: 1}
	if info.DeviceAccessedByWords {
		in.unit = 2
	}
	data, err := in.read(ctx, 0, fru.HeaderSize)
	if err != nil {
		return nil, err
	}
	for _, at := range fru.Offsets(data) {
		// The second byte of an area is how long it is.
		head, err := in.upTo(ctx, data, at+2)
		if err != nil {
			return data, err
		}
		if data, err = in.upTo(ctx, head, fru.End(head, at)); err != nil {
			return data, err
		}
	}
	return data, nil
}

// upTo reads on until so much of the inventory is there, or all of it.
func (in *inventory) upTo(ctx context.Context, data []byte, end int) ([]byte, error) {
	if end <= len(data) {
		return data, nil
	}
	more, err := in.read(ctx, len(data), end-len(data))
	return append(data, more...), err
}

// readOnly is read at USER.
func (s *session) readOnly(ctx context.Context, req types.Request, res types.Response) error {
	return s.read(ctx, false, req, res)
}
