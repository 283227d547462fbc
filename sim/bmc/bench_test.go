package bmc

import (
	"net/netip"
	"testing"
)

// BenchmarkWarmStatus is a chassis status in an open session, with the console.
func BenchmarkWarmStatus(b *testing.B) {
	c := dial(b, newFleet(b, Options{}).BMC(0))
	c.login()
	b.ReportAllocs()
	for b.Loop() {
		c.on()
	}
}

// BenchmarkServeStatus is what a BMC alone takes to answer a chassis status.
func BenchmarkServeStatus(b *testing.B) {
	bmc := newFleet(b, Options{}).BMC(0)
	c := dial(b, bmc)
	c.login()
	bmc.SetFaults(Faults{AcceptsReplays: true})
	pkt := c.datagram(callStatus)
	nowhere := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 9)
	b.ReportAllocs()
	for b.Loop() {
		bmc.receive(nowhere, pkt)
	}
}

// BenchmarkColdStatus is login, chassis status and logout, with the console.
func BenchmarkColdStatus(b *testing.B) {
	c := dial(b, newFleet(b, Options{}).BMC(0))
	b.ReportAllocs()
	for b.Loop() {
		c.seq = 0
		c.login()
		c.on()
		c.must(c.closeRequest())
	}
}

// BenchmarkStart is what it takes to start and end 1000 BMCs.
func BenchmarkStart(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		f, err := New(Options{Count: 1000})
		if err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
