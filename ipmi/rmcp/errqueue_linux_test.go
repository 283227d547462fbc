package rmcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// controlMessage is a socket error as the kernel tells it.
func controlMessage(errno unix.Errno, origin byte) []byte {
	b := make([]byte, unix.CmsgSpace(extErrLen))
	binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(extErrLen)))
	binary.NativeEndian.PutUint32(b[8:], unix.IPPROTO_IP)
	binary.NativeEndian.PutUint32(b[12:], unix.IP_RECVERR)
	binary.NativeEndian.PutUint32(b[16:], uint32(errno))
	b[20] = origin
	return b
}

func TestReasonOf(t *testing.T) {
	good := controlMessage(unix.ECONNREFUSED, unix.SO_EE_ORIGIN_ICMP)
	for name, tc := range map[string]struct {
		oob  []byte
		want Reason
	}{
		"refused":        {good, Refused},
		"no route":       {controlMessage(unix.EHOSTUNREACH, unix.SO_EE_ORIGIN_ICMP6), NoRoute},
		"too big":        {controlMessage(unix.EMSGSIZE, unix.SO_EE_ORIGIN_ICMP), ""},
		"time stamp":     {controlMessage(unix.ENOMSG, unix.SO_EE_ORIGIN_TIMESTAMPING), ""},
		"nothing":        {nil, ""},
		"cut":            {good[:20], ""},
		"cut in header":  {good[:5], ""},
		"second message": {append(controlMessage(unix.ENOMSG, unix.SO_EE_ORIGIN_NONE), good...), Refused},
	} {
		if got := reasonOf(tc.oob); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestPeerOf(t *testing.T) {
	v6 := netip.MustParseAddr("2001:db8::1")
	for want, from := range map[string]unix.Sockaddr{
		"10.0.0.1:623":        &unix.SockaddrInet4{Addr: [4]byte{10, 0, 0, 1}, Port: 623},
		"[2001:db8::1]:623":   &unix.SockaddrInet6{Addr: v6.As16(), Port: 623},
		"[fe80::1%99999]:623": &unix.SockaddrInet6{Addr: netip.MustParseAddr("fe80::1").As16(), Port: 623, ZoneId: 99999},
		"invalid AddrPort":    &unix.SockaddrUnix{Name: "x"},
	} {
		if got := peerOf(from); got.String() != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
}

func TestPendingError(t *testing.T) {
	for err, want := range map[error]bool{
		fmt.Errorf("sendto: %w", unix.ECONNREFUSED): true,
		unix.EPERM:                 false,
		errors.New("another kind"): false,
	} {
		if got := pendingError(err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}
