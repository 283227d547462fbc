package broker

import (
	"net/netip"

	"provision-plugins/ipmi/rmcp"
)

// Leave is a permission to log in at a BMC by another protocol than IPMI, under
// the same breaker: whichever protocol carries it, the BMC locks the same account.
// It must be settled.
type Leave struct{ leave *leave }

// Admit gives leave to log in, or tells why not: an error of reason Suspended with
// a Suspension.
func (b *Broker) Admit(peer netip.AddrPort, login rmcp.Login) (*Leave, error) {
	l, err := b.breaker.admit(peer, login)
	if err != nil {
		return nil, err
	}
	return &Leave{l}, nil
}

// Refused remembers that the BMC refused the login.
func (l *Leave) Refused() { l.leave.refused(rmcp.BadPassword) }

// Settle tells how the login ended.
func (l *Leave) Settle(err error) { l.leave.settle(err) }
