package main

import (
	"context"
	"fmt"

	"provision-plugins/ipmi/redfish"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// doctorRedfish is the ladder of mode redfish: the certificate, without a login; the
// login and the computer system; the state. It logs in once at most.
func (d *ipmiDriver) doctorRedfish(ctx context.Context, t *driver.Target, b *board) *model.Checkup {
	var c model.Checkup
	rungs := []struct {
		name string
		look func(ctx context.Context, target *redfish.Target) (string, error)
	}{
		{"certificate", d.lookCertificate},
		{"service root", func(ctx context.Context, target *redfish.Target) (string, error) {
			return "answers, and its certificate is trusted", d.pool.Probe(ctx, target)
		}},
		{rungLogin, d.lookSystem},
	}
	target, err := b.redfishTarget(ctx, t.Params)
	c.Add(verdict(rungName, b.host, err))
	for _, r := range rungs {
		if failed := c.Failed(); failed != nil {
			c.Add(model.Check{Name: r.name, Verdict: model.VerdictSkipped, Cause: failed.Name + " failed"})
			continue
		}
		bound, cancel := context.WithTimeout(ctx, rungBound)
		found, err := r.look(bound, target)
		cancel()
		c.Add(verdict(r.name, found, err))
	}
	return &c
}

// verdict is the check of a rung that found something, or failed.
func verdict(name, found string, err error) model.Check {
	if err != nil {
		return model.Check{Name: name, Verdict: model.VerdictFailed, Kind: model.KindOf(err), Cause: model.AsError(err).Text()}
	}
	return model.Check{Name: name, Verdict: model.VerdictOK, Found: found}
}

// lookCertificate tells what the BMC shows.
func (d *ipmiDriver) lookCertificate(ctx context.Context, target *redfish.Target) (string, error) {
	c, err := d.pool.Certificate(ctx, target)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("of %s until %s, SHA-256 %s", c.Subject, c.NotAfter.Format("2006-01-02"), c.Pin), nil
}

// lookSystem logs in, finds the system and reads its state.
func (d *ipmiDriver) lookSystem(ctx context.Context, target *redfish.Target) (string, error) {
	s, err := d.pool.Open(ctx, target)
	if err != nil {
		return "", err
	}
	defer func() { _ = s.Close(ctx) }() // never fails
	reader, ok := s.(driver.PowerReader)
	if !ok {
		return "", model.Errorf(model.Internal, "the session reads no power state")
	}
	now, err := reader.PowerState(ctx)
	return "the system is " + string(now.State), err
}
