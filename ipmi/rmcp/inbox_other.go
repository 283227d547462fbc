//go:build !linux || !(amd64 || arm64)

package rmcp

import (
	"net"
	"net/netip"
)

// inbox receives datagrams, one by each call.
type inbox struct {
	conn *net.UDPConn
	data [maxDatagram]byte
}

// newInbox returns one for the socket.
func newInbox(s *net.UDPConn) (*inbox, error) { return &inbox{conn: s}, nil }

// receive hands over each datagram that comes, valid until the next, and who sent
// it. A longer one than fits is cut. It returns with an error only: that of the
// socket, or of a datagram that the network returned.
func (b *inbox) receive(deliver func(b []byte, from netip.AddrPort)) error {
	for {
		n, from, err := b.conn.ReadFromUDPAddrPort(b.data[:])
		if err != nil {
			return err
		}
		deliver(b.data[:n], from)
	}
}
