package main

import (
	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/model"
)

// counted are the counters of the plugin, and what each counts.
var counted = []struct {
	name  string
	count rmcp.Count
}{
	{"oob_bmc_retransmits_total", rmcp.Retransmits},
	{"oob_bmc_timeouts_total", rmcp.Timeouts},
	{"oob_bmc_auth_failures_total", rmcp.Refusals},
}

// Counts returns what the plugin met on the network, of all BMCs together.
func (i *impl) Counts() []model.Count {
	out := make([]model.Count, len(counted))
	for n, c := range counted {
		out[n] = model.Count{Name: c.name, Value: float64(i.driver.broker.Counted(c.count))}
	}
	return out
}
