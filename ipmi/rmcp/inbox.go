package rmcp

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
)

// inboxSize is how many datagrams are taken by one call. With a fleet at work
// dozens wait, each of which cost a call.
const inboxSize = 32

// inbox receives datagrams, as many by one call as there are (one where the
// system has no such call). It is of one goroutine.
type inbox struct {
	conn *ipv4.PacketConn // also of IPv6: a batch says of each datagram which it is
	came []ipv4.Message
}

// newInbox returns one for the socket.
func newInbox(s *net.UDPConn) *inbox {
	b := &inbox{conn: ipv4.NewPacketConn(s), came: make([]ipv4.Message, inboxSize)}
	room := make([]byte, inboxSize*maxDatagram)
	for i := range b.came {
		b.came[i].Buffers = [][]byte{room[i*maxDatagram:][:maxDatagram:maxDatagram]}
	}
	return b
}

// receive waits, and hands over each datagram that came, valid until the next, and
// who sent it. A longer one than fits is cut. The error is that of the socket, or of
// a datagram that the network returned.
func (b *inbox) receive(deliver func(b []byte, from netip.AddrPort)) error {
	n, err := b.conn.ReadBatch(b.came, 0)
	if err != nil {
		return err
	}
	for _, m := range b.came[:n] {
		if from, ok := m.Addr.(*net.UDPAddr); ok {
			deliver(m.Buffers[0][:m.N], from.AddrPort())
		}
	}
	return nil
}
