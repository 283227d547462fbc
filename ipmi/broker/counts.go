package broker

import "provision-plugins/ipmi/rmcp"

// Counted returns how often something has happened with all BMCs together.
func (b *Broker) Counted(c rmcp.Count) uint64 { return b.transport.Counted(c) }
