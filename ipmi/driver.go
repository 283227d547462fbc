package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"provision-plugins/ipmi/broker"
	"provision-plugins/ipmi/journal"
	"provision-plugins/ipmi/quirks"
	"provision-plugins/ipmi/redfish"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// ipmiDriver reaches BMCs.
type ipmiDriver struct {
	broker  *broker.Broker
	devices *devices
	journal journal.Journal
	pool    *redfish.Pool
	spoken  spoken
}

// newDriver returns the driver with a broker of those options. It holds nothing until a session is opened.
func newDriver(o broker.Options) *ipmiDriver {
	b := broker.New(o)
	return &ipmiDriver{broker: b, devices: newDevices(), pool: newPool(b)}
}

// mode is one value of ipmi/mode.
type mode struct {
	name    string
	session driver.Session
	// instead says why a mode without a session is not there, and what to use.
	instead string
}

// modes is every mode, the default first.
var modes = []mode{
	{name: modeIPMI, session: (*session)(nil)},
	{name: modeRedfish, session: redfishSession},
	{name: modeAuto, session: redfishSession},
	{name: "racadm", instead: "racadm is not driven by this software; use ipmitool, which an iDRAC speaks too once IPMI over LAN is enabled"},
	{name: "racadmn", instead: "racadm is not driven by this software; use ipmitool, which an iDRAC speaks too once IPMI over LAN is enabled"},
	{name: "lpar", instead: "logical partitions are not driven by this software; use the management console (HMC) itself"},
}

// Name is the driver's name.
func (*ipmiDriver) Name() string { return name }

// Modes lists the ways to reach a BMC.
func (*ipmiDriver) Modes() []driver.Mode {
	out := make([]driver.Mode, 0, len(modes))
	for _, m := range modes {
		out = append(out, driver.Mode{Name: m.name, Session: m.session})
	}
	return out
}

// ActionParams returns what the actions need.
func (*ipmiDriver) ActionParams(command string) (required, optional []string) {
	required = []string{paramAddress, paramUsername, paramPassword}
	optional = append([]string{paramMode, paramPort, paramKg, paramPreferV6, paramInterval, paramQuirks}, redfishParams...)
	switch {
	case command == model.Doctor:
		optional = append(optional, paramTryAgain)
	case command == model.Identify:
		optional = append(optional, paramIdentify)
	case strings.HasPrefix(command, "nextboot"), strings.HasPrefix(command, "forceboot"):
		optional = append(optional, paramBIOSMode)
	}
	return required, optional
}

// IdentifyDuration reads how long to light the locator.
func (*ipmiDriver) IdentifyDuration(p model.Params) (time.Duration, error) {
	return identifyDuration(p)
}

// Open returns a session for the machine's BMC.
func (d *ipmiDriver) Open(ctx context.Context, t *driver.Target) (driver.Session, error) {
	m, err := modeOf(t.Params)
	if err != nil {
		return nil, err
	}
	b, err := parseBoard(t.Params)
	if err != nil {
		return nil, err
	}
	switch m {
	case modeRedfish:
		return d.openRedfish(ctx, t, b)
	case modeAuto:
		return d.openAuto(ctx, t, b)
	}
	return d.openIPMI(ctx, t, b)
}

// openIPMI opens a session of mode ipmitool.
func (d *ipmiDriver) openIPMI(ctx context.Context, _ *driver.Target, b *board) (driver.Session, error) {
	peer, err := b.resolve(ctx)
	if err != nil {
		return nil, err
	}
	h, err := d.broker.Open(ctx, d.reach(peer, b))
	if err != nil {
		return nil, explain(peer, err, model.Read)
	}
	return d.session(h, peer, b), nil
}

// reach is how to reach a BMC with the quirks that it is known to have.
func (d *ipmiDriver) reach(peer netip.AddrPort, b *board) broker.Target {
	q := d.devices.quirksOf(peer, b.override)
	t := broker.Target{Peer: peer, Login: b.login, Interval: b.interval}
	t.Login.Ways = ways(q)
	if q.Has(quirks.Slow) && !b.paced {
		t.Interval = slowInterval
	}
	return t
}

// session is a session for one caller.
func (d *ipmiDriver) session(h *broker.Handle, peer netip.AddrPort, b *board) *session {
	return &session{
		handle: h, peer: peer, uefi: b.uefi, told: b.told, override: b.override, devices: d.devices,
		driver: d, board: b,
	}
}

// modeOf reads the mode, and refuses those that cannot be driven.
func modeOf(p model.Params) (string, error) {
	want, err := p.String(paramMode, "")
	if err != nil {
		return "", err
	}
	if want == "" {
		return modes[0].name, nil
	}
	names := make([]string, 0, len(modes))
	for _, m := range modes {
		if m.name != want {
			names = append(names, m.name)
			continue
		}
		if m.session == nil {
			return "", model.Errorf(model.Unsupported, "param %s is %s: %s", paramMode, want, m.instead)
		}
		return m.name, nil
	}
	return "", model.Errorf(model.Invalid, "param %s: %.80q is none of %s", paramMode, want, strings.Join(names, ", "))
}

// Stop closes all sessions.
func (d *ipmiDriver) Stop(ctx context.Context) error {
	if err := errors.Join(d.pool.Stop(ctx), d.broker.Close(), d.devices.close()); err != nil {
		return fmt.Errorf("cannot close the sockets: %w", err)
	}
	return nil
}
