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
	count int   // that came by the last call
	errno error // of the last call
	once  func(fd uintptr) bool
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
	b.once = b.take // a method value is a new object each time
	return b, nil
}

// receive waits for datagrams and returns how many came. An error is that of the
// socket, or of a datagram that the network returned.
func (b *inbox) receive() (int, error) {
	if err := b.raw.Read(b.once); err != nil {
		return 0, err
	}
	return b.count, b.errno
}

// take takes what is there; it reports false if that is nothing.
func (b *inbox) take(fd uintptr) bool {
	for i := range b.heads {
		b.heads[i].head.Namelen = unix.SizeofSockaddrInet6 // the last call set it
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd,
			uintptr(unsafe.Pointer(&b.heads[0])), inboxSize, unix.MSG_DONTWAIT, 0, 0)
		b.count, b.errno = int(n), nil
		switch errno {
		case 0:
			return true
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		b.count, b.errno = 0, errno
		return true
	}
}

// datagram is the i-th that came, valid until the next call, and who sent it. A
// longer one than fits is cut.
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
