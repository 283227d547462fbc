//go:build linux && (amd64 || arm64)

package rmcp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inboxSize is how many datagrams are taken by one call. With a fleet at work
// dozens wait, each of which cost a call.
const inboxSize = 32

// mmsghdr is struct mmsghdr (recvmmsg(2)).
type mmsghdr struct {
	head unix.Msghdr
	n    uint32
	_    [4]byte
}

// inbox receives datagrams, as many by one call as there are. It is of one
// goroutine.
type inbox struct {
	raw   syscall.RawConn
	heads [inboxSize]mmsghdr
	iovs  [inboxSize]unix.Iovec
	froms [inboxSize][unix.SizeofSockaddrInet6]byte
	data  [inboxSize][maxDatagram]byte
	take  func(fd uintptr) bool // takeAll; a method value is a new object each time
	errno error                 // that ended the last receive
	// deliver is what receive was given.
	deliver func(b []byte, from netip.AddrPort)
}

// newInbox returns one for the socket.
func newInbox(s *net.UDPConn) (*inbox, error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &inbox{raw: raw}
	for i := range b.heads {
		b.iovs[i].Base = &b.data[i][0]
		b.iovs[i].SetLen(maxDatagram)
		h := &b.heads[i].head
		h.Name, h.Iov = &b.froms[i][0], &b.iovs[i]
		h.SetIovlen(1)
	}
	b.take = b.takeAll
	return b, nil
}

// receive hands over each datagram that comes, valid until the next, and who sent
// it. A longer one than fits is cut. It returns with an error only: that of the
// socket, or of a datagram that the network returned.
func (b *inbox) receive(deliver func(b []byte, from netip.AddrPort)) error {
	b.deliver, b.errno = deliver, nil
	if err := b.raw.Read(b.take); err != nil {
		return err
	}
	return b.errno
}

// takeAll takes what is there, and reports false to be called again when there is
// more. A call that leaves room has emptied the socket: another one would only say
// so, and who comes later is told of by the kernel.
func (b *inbox) takeAll(fd uintptr) bool {
	for {
		for i := range b.heads {
			b.heads[i].head.Namelen = unix.SizeofSockaddrInet6 // the last call set it
		}
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd,
			uintptr(unsafe.Pointer(&b.heads[0])), inboxSize, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			for i := range int(n) {
				b.deliver(b.datagram(i))
			}
			if n < inboxSize {
				return false
			}
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			b.errno = errno
			return true
		}
	}
}

// datagram is the i-th that came, and who sent it.
func (b *inbox) datagram(i int) ([]byte, netip.AddrPort) {
	h := &b.heads[i]
	return b.data[i][:min(h.n, maxDatagram)], sender(b.froms[i][:min(h.head.Namelen, unix.SizeofSockaddrInet6)])
}

// sender reads a socket address. What is none has no session.
func sender(raw []byte) netip.AddrPort {
	const family, port, addr4, addr6, scope = 0, 2, 4, 8, 24
	if len(raw) < unix.SizeofSockaddrInet4 {
		return netip.AddrPort{}
	}
	at := binary.BigEndian.Uint16(raw[port:])
	switch binary.NativeEndian.Uint16(raw[family:]) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[addr4:])), at)
	case unix.AF_INET6:
		if len(raw) < unix.SizeofSockaddrInet6 {
			return netip.AddrPort{}
		}
		a := netip.AddrFrom16([16]byte(raw[addr6:])).Unmap()
		if id := binary.NativeEndian.Uint32(raw[scope:]); id != 0 {
			a = a.WithZone(zoneName(int(id)))
		}
		return netip.AddrPortFrom(a, at)
	}
	return netip.AddrPort{}
}
