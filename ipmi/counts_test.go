package main

import (
	"testing"

	"provision-plugins/ipmi/broker"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// The counters tell of retransmissions, of silence and of refused logins, when they
// happen.
func TestCounters(t *testing.T) {
	t.Parallel()
	fleet := startFleet(t, bmc.Options{Count: 3, On: true, Seed: 11})
	d := newDriver(broker.Options{})
	p := providerOf(t, d)
	i := &impl{Provider: p, driver: d}
	value := func(name string) float64 {
		for _, c := range i.Counts() {
			if c.Name == name {
				return c.Value
			}
		}
		t.Fatalf("no %s", name)
		return 0
	}
	mustAct(t, p, model.PowerStatus, fleet.BMC(0).Addr())
	for _, c := range counted {
		if c.name != "oob_bmc_retransmits_total" && value(c.name) != 0 {
			t.Errorf("%s is %v where all went well", c.name, value(c.name))
		}
	}
	fleet.BMC(1).SetFaults(bmc.Faults{WrongPassword: true})
	if _, err := act(p, model.PowerStatus, fleet.BMC(1).Addr()); model.KindOf(err) != model.DeviceAuth {
		t.Errorf("a wrong password: %v", err)
	}
	if value("oob_bmc_auth_failures_total") == 0 {
		t.Error("a refused login is not counted")
	}
	fleet.BMC(2).SetFaults(bmc.Faults{Silent: true})
	if _, err := act(p, model.PowerStatus, fleet.BMC(2).Addr(), model.Params{"oob/timeout": 3}); err == nil {
		t.Error("a silent BMC answered")
	}
	if value("oob_bmc_retransmits_total") == 0 || value("oob_bmc_timeouts_total") == 0 {
		t.Errorf("silence is not counted: %+v", i.Counts())
	}
	if definition(p).Meta[model.MetaCounts] != "true" {
		t.Error("the definition does not say that there are counters")
	}
}
