package main

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/app"

	"provision-plugins/ipmi/broker"
	"provision-plugins/ipmi/quirks"
	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/model"
)

// paramQuirks says how a BMC differs from IPMI 2.0, over what is known of its
// product.
const paramQuirks = "ipmi/quirks"

// parseQuirks reads the param.
func parseQuirks(p model.Params) (quirks.Override, error) {
	text, err := p.String(paramQuirks, "")
	if err != nil {
		return quirks.Override{}, err
	}
	o, err := quirks.Parse(text)
	if err != nil {
		return o, model.Errorf(model.Invalid, "param %s: %w", paramQuirks, err)
	}
	return o, nil
}

// slowInterval is the distance between commands for a BMC that is slow. It is
// less than how long a session counts as proven: what proves it must not have to
// be sent again right before the command.
const slowInterval = 700 * time.Millisecond

// quirksOf are the quirks of a BMC as far as they are known without asking it.
func (d *devices) quirksOf(peer netip.AddrPort, o quirks.Override) quirks.Set {
	return o.Apply(quirks.Of(d.get(peer).device))
}

// ways are the quirks that session setup must know of.
func ways(s quirks.Set) rmcp.Ways {
	w := rmcp.Ways{OpenPrivilege: s.Has(quirks.OpenSessPriv), NoChecksum: s.Has(quirks.NoChecksumCheck)}
	switch {
	case s.Has(quirks.Suite3):
		w.Suite = 3
	case s.Has(quirks.Suite17):
		w.Suite = 17
	}
	return w
}

// device reads what the BMC is, for what is known of such.
func (s *session) device(ctx context.Context) (quirks.Device, error) {
	res, err := s.deviceID(ctx)
	if err != nil {
		return quirks.Device{}, err
	}
	return deviceOf(res), nil
}

// deviceOf is what tells a BMC's quirks.
func deviceOf(res *app.GetDeviceIDResponse) quirks.Device {
	return quirks.Device{
		Manufacturer: res.ManufacturerID, Product: res.ProductID,
		Major: res.MajorFirmwareRevision, Minor: res.MinorFirmwareRevision,
	}
}

// deviceID reads what the BMC is (IPMI 2.0 §20.1), and remembers it. That one answer
// may have a wrong checksum: it tells whether all have.
func (s *session) deviceID(ctx context.Context) (*app.GetDeviceIDResponse, error) {
	res := &app.GetDeviceIDResponse{}
	call := &broker.Call{Call: rmcp.Call{
		Request: &app.GetDeviceIDRequest{}, Response: res, Class: model.Read, Lenient: true,
	}}
	if err := s.handle.Do(ctx, call); err != nil {
		return nil, explain(s.peer, err, model.Read)
	}
	s.devices.put(s.peer, heard{deviceOf(res), call.In})
	return res, nil
}

// learn makes use of an answer with a wrong checksum: what the BMC is tells
// whether that is its way, and the next session takes it.
func (s *session) learn(ctx context.Context, err error) {
	var e *rmcp.Error
	if errors.As(err, &e) && e.Reason == rmcp.Checksum {
		_, _ = s.device(ctx) // without it, the error says what to set
	}
}

// has reports whether the BMC has a quirk. The BMC is asked what it is when that
// decides, once in each session: at the same address there may be another by now.
// If it does not say, what was said there before holds.
func (s *session) has(ctx context.Context, q quirks.Set) bool {
	if on, decided := s.override.Decides(q); decided {
		return on
	}
	if h := s.devices.get(s.peer); h.in == 0 || h.in != s.handle.Session() {
		_, _ = s.device(ctx) // asked again the next time
	}
	return s.devices.quirksOf(s.peer, s.override).Has(q)
}
