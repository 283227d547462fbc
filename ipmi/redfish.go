package main

import (
	"context"
	"net/netip"
	"time"

	"provision-plugins/ipmi/broker"
	"provision-plugins/ipmi/redfish"
	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// The modes that are driven.
const (
	modeIPMI    = "ipmitool"
	modeRedfish = "redfish"
	modeAuto    = "auto"
)

// The params of mode redfish.
const (
	paramRedfishPort = "ipmi/port-redfish"
	paramTLS         = "ipmi/tls"
	paramTLSPin      = "ipmi/tls-pin"
	paramSystemID    = "ipmi/system-id"
)

// defaultRedfishPort is that of HTTPS.
const defaultRedfishPort = 443

// redfishParams are those that an action may have in mode redfish.
var redfishParams = []string{paramRedfishPort, paramTLS, paramTLSPin, paramSystemID}

// redfishSession is a session with everything that mode redfish can do.
var redfishSession driver.Session = &redfish.Cycling{Session: &redfish.Session{}}

// newPool returns the sessions of mode redfish, whose logins the broker admits: what
// a BMC refused is remembered in one place.
func newPool(b *broker.Broker) *redfish.Pool {
	return redfish.NewPool(redfish.Options{Admit: func(t *redfish.Target) (redfish.Leave, error) {
		leave, err := b.Admit(t.Peer, rmcp.Login{Username: t.Username, Password: t.Password})
		if err != nil {
			return nil, explain(t.Peer, err, model.Read)
		}
		return leave, nil
	}})
}

// redfishTarget is the BMC of the params as mode redfish reaches it.
func (b *board) redfishTarget(ctx context.Context, p model.Params) (*redfish.Target, error) {
	texts := map[string]string{}
	for _, name := range []string{paramTLS, paramTLSPin, paramSystemID} {
		text, err := p.String(name, "")
		if err != nil {
			return nil, err
		}
		texts[name] = text
	}
	trust, err := redfish.ParseTrust(texts[paramTLS], texts[paramTLSPin])
	if err != nil {
		return nil, err
	}
	port, err := p.Int(paramRedfishPort, defaultRedfishPort, 0, 65535)
	if err != nil {
		return nil, err
	}
	if port == 0 {
		port = defaultRedfishPort
	}
	peer, err := b.resolve(ctx)
	if err != nil {
		return nil, err
	}
	return &redfish.Target{
		Peer: netip.AddrPortFrom(peer.Addr(), uint16(port)), Host: b.host,
		Username: b.login.Username, Password: b.login.Password,
		Trust: trust, System: texts[paramSystemID], UEFI: b.uefi, Told: b.told,
	}, nil
}

// openRedfish opens a session of mode redfish.
func (d *ipmiDriver) openRedfish(ctx context.Context, t *driver.Target, b *board) (driver.Session, error) {
	target, err := b.redfishTarget(ctx, t.Params)
	if err != nil {
		return nil, err
	}
	return d.pool.Open(ctx, target)
}

// probeBound is what the question for Redfish may take, of a BMC that may have none.
const probeBound = 3 * time.Second

// openAuto opens a session by the protocol that the machine's BMC is known to
// speak. One of which nothing is known is asked for Redfish first, without a login;
// where nobody answers whose certificate can be trusted, IPMI is tried, which sends no
// password. What worked is remembered.
func (d *ipmiDriver) openAuto(ctx context.Context, t *driver.Target, b *board) (driver.Session, error) {
	machine := t.UUID + " " + b.host
	known := d.spoken.mode(machine)
	var why error
	if known == "" {
		known, why = modeRedfish, d.probe(ctx, t, b)
		if model.KindOf(why) == model.Invalid { // a param, not the BMC
			return nil, why
		}
		if why != nil {
			known = modeIPMI
		}
	}
	open := map[string]func(context.Context, *driver.Target, *board) (driver.Session, error){
		modeRedfish: d.openRedfish, modeIPMI: d.openIPMI,
	}[known]
	s, err := open(ctx, t, b)
	d.spoken.learn(machine, known, err)
	if err != nil && why != nil {
		return nil, model.Errorf(model.KindOf(err), "%w; before that Redfish was tried: %w", err, why)
	}
	return s, err
}

// probe asks whether a BMC speaks Redfish.
func (d *ipmiDriver) probe(ctx context.Context, t *driver.Target, b *board) error {
	target, err := b.redfishTarget(ctx, t.Params)
	if err != nil {
		return err
	}
	bound := probeBound
	if deadline, ok := ctx.Deadline(); ok {
		bound = min(bound, time.Until(deadline)/3)
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	return d.pool.Probe(ctx, target)
}
