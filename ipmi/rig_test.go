package main

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"provision-plugins/ipmi/broker"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// patience is longer than this machine stalls: what is sent again, or executed
// twice, is then not the machine's doing.
const patience = 3 * time.Second

// patientDriver is a driver that sends nothing again for long, for BMCs that
// answer all they are asked.
func patientDriver() *ipmiDriver { return newDriver(broker.Options{FirstTry: patience}) }

// newProvider returns a provider of its own for BMCs that answer. It is stopped
// with the test.
func newProvider(tb testing.TB) *driver.Provider {
	tb.Helper()
	return providerOf(tb, patientDriver())
}

// briskProvider is newProvider for BMCs that leave something unanswered: it sends
// again as soon as the plugin does.
func briskProvider(tb testing.TB) *driver.Provider {
	tb.Helper()
	return providerOf(tb, newDriver(broker.Options{}))
}

// providerOf returns the provider of a driver, which is stopped with the test.
func providerOf(tb testing.TB, d driver.Driver) *driver.Provider {
	tb.Helper()
	p := driver.NewProvider(d, driver.Options{})
	tb.Cleanup(func() { stop(tb, p) })
	return p
}

// stop ends a provider; a second time does nothing.
func stop(tb testing.TB, p *driver.Provider) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		tb.Error(err)
	}
}

// act runs an action on the machine at addr.
func act(p *driver.Provider, command string, addr netip.AddrPort, more ...model.Params) (model.Result, error) {
	params := paramsOf(addr)
	params["oob/timeout"] = 20
	for _, m := range more {
		for name, v := range m {
			params[name] = v
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	a := &model.Action{Model: &model.Machine{Name: "m1", Uuid: addr.String()}, Command: command, Params: params}
	result, err := p.Action(ctx, a)
	res, _ := result.(model.Result)
	return res, err
}

// mustAct is act that must succeed.
func mustAct(tb testing.TB, p *driver.Provider, command string, addr netip.AddrPort, more ...model.Params) model.Result {
	tb.Helper()
	res, err := act(p, command, addr, more...)
	if err != nil {
		tb.Fatalf("%s: %v", command, err)
	}
	return res
}

// checkOnce holds what must hold of a command that is sent once, whatever was
// lost: it was executed once at most, and what is said about it is true.
func checkOnce(tb testing.TB, lost string, executed int, res model.Result, err error) {
	tb.Helper()
	if executed > 1 {
		tb.Errorf("%s: executed %d times", lost, executed)
	}
	switch kind := model.KindOf(err); {
	case err == nil && executed == 0:
		tb.Errorf("%s: not executed, and called %s: %+v", lost, res.Outcome, res)
	case err == nil && res.Outcome == model.Verified && res.Evidence == "":
		tb.Errorf("%s: verified without evidence", lost)
	case err == nil, kind == model.UnknownOutcome, kind == model.Timeout:
	case executed > 0:
		tb.Errorf("%s: executed, and the error says that it was not: %v", lost, err)
	}
}
