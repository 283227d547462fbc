package drivertest

import (
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// loopback is where ports are sought that nobody listens on.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// ClosedPort returns a port of 127.0.0.1 that nobody listens on; network is tcp
// or udp.
func ClosedPort(tb testing.TB, network string) int {
	tb.Helper()
	return int(FreeAddr(tb, network, loopback).Port())
}

// FreeAddr returns an address of the host that nobody has; network is tcp or
// udp. Its port is below those that the kernel gives to whoever asks for any, so
// that no other test gets it meanwhile.
func FreeAddr(tb testing.TB, network string, host netip.Addr) netip.AddrPort {
	tb.Helper()
	for range 100 {
		addr := netip.AddrPortFrom(host, uint16(10_000+rand.IntN(20_000)))
		c, err := listen(network, addr.String())
		if err != nil {
			continue
		}
		if err := c.Close(); err != nil {
			tb.Fatal(err)
		}
		return addr
	}
	tb.Fatalf("no free %s port on %v", network, host)
	return netip.AddrPort{}
}

// listen listens on an address.
func listen(network, address string) (io.Closer, error) {
	if strings.HasPrefix(network, "udp") {
		return net.ListenPacket(network, address)
	}
	return net.Listen(network, address)
}
