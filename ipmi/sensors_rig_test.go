package main

import (
	"net/netip"

	"provision-plugins/ipmi/sdr"
)

// addrOf is one address of many.
func addrOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), defaultPort)
}

// manyRecords are n records.
func manyRecords(n int) []sdr.Record { return make([]sdr.Record, n) }
