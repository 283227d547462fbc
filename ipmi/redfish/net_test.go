package redfish

import "net/netip"

// netipPort is an address with another port.
func netipPort(a netip.AddrPort, port int64) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr(), uint16(port))
}
