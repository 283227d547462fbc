package main

import (
	"context"
	"slices"
	"strings"

	"github.com/bougou/go-ipmi/pkg/command/storage"
	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/fru"
	"provision-plugins/shared/model"
)

// serial reads a serial number of the BMC's own inventory (IPMI 2.0 §34). That of
// the board is the first to count: machines that share a chassis may have those of
// the product and of the chassis in common.
func (s *session) serial(ctx context.Context) (model.Identity, error) {
	var info storage.GetFRUInventoryAreaInfoResponse
	if err := s.ask(ctx, &storage.GetFRUInventoryAreaInfoRequest{}, &info); err != nil {
		return model.Identity{}, err
	}
	in := inventory{ask: s.ask, size: int(info.AreaSizeBytes), unit: 1}
	if info.DeviceAccessedByWords {
		in.unit = 2
	}
	head, err := in.read(ctx, 0, fru.HeaderSize)
	if err != nil {
		return model.Identity{}, err
	}
	areas, err := fru.ParseHeader(head)
	if err != nil {
		return model.Identity{}, model.Errorf(model.Unsupported, "its inventory cannot be read: %w", err)
	}
	for _, area := range areas {
		raw, err := in.read(ctx, area.Offset, fru.MaxArea)
		if err != nil {
			return model.Identity{}, err
		}
		if number, ok := area.Serial(raw); ok && !dudSerial(number) {
			return model.Identity{ID: number, Source: area.Name + " serial number"}, nil
		}
	}
	return model.Identity{}, model.Errorf(model.Unsupported, "its inventory has no serial number")
}

// inventory is an FRU device.
type inventory struct {
	ask    func(context.Context, types.Request, types.Response) error
	device uint8
	size   int
	unit   int // 2 if offsets and counts are of words (IPMI 2.0 Table 34-2)
}

// chunk is what one Read FRU Data asks for: any BMC has room for so much in an
// answer.
const chunk = 16

// read reads n bytes, or up to the end.
func (in *inventory) read(ctx context.Context, at, n int) ([]byte, error) {
	var out []byte
	for end := min(at+n, in.size); at < end; {
		var res storage.ReadFRUDataResponse
		req := &storage.ReadFRUDataRequest{FRUDeviceID: in.device, ReadOffset: uint16(at / in.unit), ReadCount: uint8(chunk / in.unit)}
		if left := (in.size - at) / in.unit; left < chunk/in.unit {
			req.ReadCount = uint8(left)
		}
		if err := in.ask(ctx, req, &res); err != nil {
			return nil, err
		}
		if len(res.Data) == 0 || len(res.Data) > chunk {
			return nil, model.Errorf(model.Unsupported, "its inventory cannot be read: %d bytes came for %d", len(res.Data), chunk)
		}
		out = append(out, res.Data...)
		at += len(res.Data)
	}
	return out, nil
}

// minSerial is how short a serial number may be.
const minSerial = 4

// dudSerials are what boards have whose maker did not give them one, in lower
// case.
var dudSerials = []string{
	"to be filled by o.e.m.", "to be filled by oem", "default string", "not specified", "not available", "none", "null", "unknown", "empty",
	"0123456789", "123456789", "1234567890", "12345678", "serial number", "system serial number",
	"base board serial number", "chassis serial number",
}

// dudSerial reports whether a serial number tells nothing apart.
func dudSerial(s string) bool {
	return len(s) < minSerial || strings.Count(s, s[:1]) == len(s) || slices.Contains(dudSerials, strings.ToLower(s))
}
