package rmcp

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// The layout of struct sock_extended_err (linux/errqueue.h).
const (
	errnoOffset  = 0
	originOffset = 4
	extErrLen    = 16
)

// reasons says what an error that the network returned means. Others, such as a
// datagram too big, say nothing of the BMC.
var reasons = map[unix.Errno]Reason{
	unix.ECONNREFUSED: Refused,
	unix.EHOSTUNREACH: NoRoute,
	unix.ENETUNREACH:  NoRoute,
	unix.EHOSTDOWN:    NoRoute,
	unix.EACCES:       NoRoute,
	unix.ENOPROTOOPT:  Refused,
}

// pendingError reports whether a failed send may have failed because of another
// datagram, whose error the socket had still to tell.
func pendingError(err error) bool {
	var errno unix.Errno
	return errors.As(err, &errno) && reasons[errno] != ""
}

// reportErrors asks the kernel to queue ICMP errors with the address they are
// about: an unconnected socket hears of none otherwise.
func reportErrors(s *net.UDPConn, v6 bool) error {
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var opt error
	err = raw.Control(func(fd uintptr) {
		if v6 {
			opt = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
			return
		}
		opt = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1)
	})
	if err != nil {
		return err
	}
	return opt
}

// nextError takes one error from the socket's queue: the peer that our datagram
// was for, and the reason if the error says something about it.
func nextError(s *net.UDPConn) (netip.AddrPort, Reason, bool) {
	raw, err := s.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, "", false
	}
	var (
		data [64]byte
		oob  [512]byte
		oobn int
		from unix.Sockaddr
		got  error
	)
	err = raw.Control(func(fd uintptr) {
		_, oobn, _, from, got = unix.Recvmsg(int(fd), data[:], oob[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	})
	if err != nil || got != nil {
		return netip.AddrPort{}, "", false
	}
	return peerOf(from), reasonOf(oob[:oobn]), true
}

// peerOf converts the address of an error.
func peerOf(from unix.Sockaddr) netip.AddrPort {
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		addr := netip.AddrFrom16(a.Addr).Unmap()
		if a.ZoneId != 0 {
			addr = addr.WithZone(zoneName(int(a.ZoneId)))
		}
		return netip.AddrPortFrom(addr, uint16(a.Port))
	}
	return netip.AddrPort{}
}

// zoneName is the name of the interface with that index, as net uses it.
func zoneName(index int) string {
	if i, err := net.InterfaceByIndex(index); err == nil {
		return i.Name
	}
	return strconv.Itoa(index)
}

// reasonOf reads the control messages of an error.
func reasonOf(oob []byte) Reason {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return ""
	}
	for _, m := range msgs {
		if len(m.Data) < extErrLen {
			continue
		}
		switch m.Data[originOffset] {
		case unix.SO_EE_ORIGIN_ICMP, unix.SO_EE_ORIGIN_ICMP6, unix.SO_EE_ORIGIN_LOCAL:
			return reasons[unix.Errno(binary.NativeEndian.Uint32(m.Data[errnoOffset:]))]
		}
	}
	return ""
}
