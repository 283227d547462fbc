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
	n    int
	from netip.AddrPort
}

// newInbox returns one for the socket.
func newInbox(s *net.UDPConn) (*inbox, error) { return &inbox{conn: s}, nil }

// receive waits for a datagram. An error is that of the socket, or of a datagram
// that the network returned.
func (b *inbox) receive() (n int, err error) {
	if b.n, b.from, err = b.conn.ReadFromUDPAddrPort(b.data[:]); err != nil {
		return 0, err
	}
	return 1, nil
}

// datagram is the one that came, valid until the next call, and who sent it. A
// longer one than fits is cut.
func (b *inbox) datagram(int) ([]byte, netip.AddrPort) { return b.data[:b.n], b.from }
