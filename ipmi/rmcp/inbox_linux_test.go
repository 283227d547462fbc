//go:build linux && (amd64 || arm64)

package rmcp

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSender reads socket addresses, whole and cut.
func TestSender(t *testing.T) {
	v4 := make([]byte, unix.SizeofSockaddrInet4)
	binary.NativeEndian.PutUint16(v4, unix.AF_INET)
	copy(v4[2:], []byte{0x02, 0x6f, 10, 0, 0, 1})
	v6 := make([]byte, unix.SizeofSockaddrInet6)
	binary.NativeEndian.PutUint16(v6, unix.AF_INET6)
	copy(v6[2:], []byte{0x02, 0x6f})
	copy(v6[8:], []byte{0xfe, 0x80})
	v6[23] = 1
	zoned := append([]byte(nil), v6...)
	binary.NativeEndian.PutUint32(zoned[24:], 99999)
	local := make([]byte, unix.SizeofSockaddrInet6)
	binary.NativeEndian.PutUint16(local, unix.AF_UNIX)
	for name, row := range map[string]struct {
		raw  []byte
		want string
	}{
		"IPv4":         {v4, "10.0.0.1:623"},
		"IPv6":         {v6, "[fe80::1]:623"},
		"with a scope": {zoned, "[fe80::1%99999]:623"},
		"nothing":      {nil, "invalid AddrPort"},
		"IPv4, cut":    {v4[:15], "invalid AddrPort"},
		"IPv6, cut":    {v6[:27], "invalid AddrPort"},
		"another kind": {local, "invalid AddrPort"},
	} {
		if got := sender(row.raw); got.String() != row.want {
			t.Errorf("%s: %v, want %s", name, got, row.want)
		}
	}
}
