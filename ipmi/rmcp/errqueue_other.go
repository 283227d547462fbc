//go:build !linux

package rmcp

import (
	"net"
	"net/netip"
)

// reportErrors does nothing here: a refused port is known by its silence.
func reportErrors(*net.UDPConn, bool) error { return nil }

// nextError finds nothing here.
func nextError(*net.UDPConn) (netip.AddrPort, Reason, bool) { return netip.AddrPort{}, "", false }

// pendingError finds nothing here.
func pendingError(error) bool { return false }
