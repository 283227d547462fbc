package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/broker"
	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

var _ driver.IdentityReader = (*session)(nil)

// guidCommands read the GUID, the first that has one counts: of the system (IPMI
// 2.0 §22.14), else of the BMC itself (§20.8), which is another machine's too only
// if the board was moved.
var guidCommands = []struct {
	command types.Command
	source  string
}{
	{types.CommandGetSystemGUID, "system GUID"},
	{types.CommandGetDeviceGUID, "device GUID"},
}

// Identity reads the GUID, or a serial number where there is none. From then on
// the session is bound to the BMC that told it.
func (s *session) Identity(ctx context.Context) (model.Identity, error) {
	var duds []string
	s.only = 0
	for _, g := range guidCommands {
		var raw guidAnswer
		err := s.ask(ctx, bare{g.command}, &raw)
		switch {
		case lacking(err):
			duds = append(duds, fmt.Sprintf("%s: %s", g.source, reason(err)))
		case err != nil:
			return model.Identity{}, err
		case raw.dud():
			duds = append(duds, fmt.Sprintf("%s %s, which many boards have", g.source, raw.spell(plainOrder)))
		default:
			return raw.identity(g.source), nil
		}
	}
	id, err := s.serial(ctx)
	if lacking(err) {
		duds = append(duds, reason(err))
		return model.Identity{}, model.Errorf(model.Unsupported, "BMC %s tells nothing of its own: %s", s.peer, strings.Join(duds, "; "))
	}
	return id, err
}

// ask reads something of the identity, all of it in one session.
func (s *session) ask(ctx context.Context, req types.Request, res types.Response) error {
	c := &broker.Call{Call: rmcp.Call{Request: req, Response: res, Class: model.Read}}
	err := s.do(ctx, c)
	if s.only == 0 {
		s.only = c.In
	}
	return err
}

// lacking reports whether a BMC does not have what it was asked for, or not for
// this account. One that is busy may have it: another identity in its place
// would be told as another machine.
func lacking(err error) bool {
	kind := model.KindOf(err)
	var refusal *rmcp.Refusal
	return kind == model.Unsupported || kind == model.DeviceAuth && errors.As(err, &refusal)
}

// reason is why a BMC does not have something, without what to do about it.
func reason(err error) string {
	var refusal *rmcp.Refusal
	if errors.As(err, &refusal) {
		return refusal.Error()
	}
	return model.AsError(err).Text()
}

// bare is a request without data.
type bare struct{ command types.Command }

// Command is the command.
func (b bare) Command() types.Command { return b.command }

// Pack returns no data.
func (bare) Pack() []byte { return nil }

// guidAnswer is a GUID as it is sent.
type guidAnswer [16]byte

// Unpack reads it.
func (g *guidAnswer) Unpack(data []byte) error {
	if len(data) < len(g) {
		return fmt.Errorf("a GUID has %d bytes, not %d", len(g), len(data))
	}
	copy(g[:], data)
	return nil
}

// Format is the GUID for people.
func (g *guidAnswer) Format() string { return g.spell(plainOrder) }

// The orders in which BMCs send the bytes of a GUID: for each byte of the text,
// which one of the answer it is. IPMI wants it backwards (§20.8); many send it as
// SMBIOS stores it, or as it is written.
var (
	ipmiOrder   = [16]int{15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}
	smbiosOrder = [16]int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15}
	plainOrder  = [16]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
)

// orders is the list of them, the likeliest first.
var orders = [][16]int{ipmiOrder, smbiosOrder, plainOrder}

// spell writes the GUID in an order.
func (g *guidAnswer) spell(order [16]int) string {
	var b [16]byte
	for i, from := range order {
		b[i] = g[from]
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// wellFormed reports whether the GUID is one of RFC 9562 in that order, by its
// version and its variant.
func (g *guidAnswer) wellFormed(order [16]int) bool {
	const versionAt, variantAt, maxVersion = 6, 8, 8
	version := g[order[versionAt]] >> 4
	return version >= 1 && version <= maxVersion && g[order[variantAt]]>>6 == 0b10
}

// identity spells the GUID in the first order in which it is well formed, and in
// the others as aliases, so that a pin written down from another tool fits.
func (g *guidAnswer) identity(source string) model.Identity {
	first := max(0, slices.IndexFunc(orders, g.wellFormed))
	id := model.Identity{ID: g.spell(orders[first]), Source: source}
	for i, order := range orders {
		if i != first {
			id.Aliases = append(id.Aliases, g.spell(order))
		}
	}
	return id
}

// dudGUID is what boards have whose maker did not give them one.
var dudGUID = []string{"03000200-0400-0500-0006-000700080009"}

// dud reports whether the GUID tells nothing apart.
func (g *guidAnswer) dud() bool {
	if bytes.Count(g[:], g[:1]) == len(g) && (g[0] == 0 || g[0] == 0xff) {
		return true
	}
	return slices.ContainsFunc(orders, func(o [16]int) bool { return slices.Contains(dudGUID, g.spell(o)) })
}
