package bmc

import (
	"fmt"
	"net"
	"net/netip"
)

// portTries is how often a free port is looked for that is free on all
// addresses of a fleet.
const portTries = 16

// listen opens the sockets of a fleet, all or none.
func listen(o Options) ([]*net.UDPConn, error) {
	addrs, err := addresses(o)
	if err != nil {
		return nil, err
	}
	if !o.Host.IsValid() || o.Port != 0 || len(o.Addrs) > 0 {
		return listenAll(addrs)
	}
	var conns []*net.UDPConn
	for range portTries {
		conns, err = listenOnePort(addrs)
		if err == nil {
			return conns, nil
		}
	}
	return nil, err
}

// listenOnePort opens one socket an address, all on a port the kernel chooses
// for the first.
func listenOnePort(addrs []netip.AddrPort) ([]*net.UDPConn, error) {
	first, err := listenAll(addrs[:1])
	if err != nil {
		return nil, err
	}
	port := localAddr(first[0]).Port()
	rest := make([]netip.AddrPort, 0, len(addrs)-1)
	for _, a := range addrs[1:] {
		rest = append(rest, netip.AddrPortFrom(a.Addr(), port))
	}
	more, err := listenAll(rest)
	if err != nil {
		closeAll(first)
		return nil, err
	}
	return append(first, more...), nil
}

// listenAll opens one socket an address.
func listenAll(addrs []netip.AddrPort) ([]*net.UDPConn, error) {
	conns := make([]*net.UDPConn, 0, len(addrs))
	for _, a := range addrs {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(a))
		if err != nil {
			closeAll(conns)
			return nil, fmt.Errorf("BMC %d of %d: %w", len(conns)+1, len(addrs), err)
		}
		conns = append(conns, c)
	}
	return conns, nil
}

// addresses returns the address of each BMC; a port of 0 is still to be chosen.
func addresses(o Options) ([]netip.AddrPort, error) {
	if len(o.Addrs) > 0 {
		return o.Addrs, nil
	}
	if !o.Host.IsValid() {
		return ports(o)
	}
	addrs := make([]netip.AddrPort, 0, o.Count)
	host := o.Host
	for range o.Count {
		if !host.IsValid() {
			return nil, fmt.Errorf("no address follows the last one of %d from %s on", o.Count, o.Host)
		}
		addrs = append(addrs, netip.AddrPortFrom(host, o.Port))
		host = host.Next()
	}
	return addrs, nil
}

// ports returns consecutive ports of 127.0.0.1, or 0 for each if none is given.
func ports(o Options) ([]netip.AddrPort, error) {
	if o.Port != 0 && int(o.Port)+o.Count-1 > 65535 {
		return nil, fmt.Errorf("%d ports from %d on do not exist", o.Count, o.Port)
	}
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	addrs := make([]netip.AddrPort, o.Count)
	for i := range addrs {
		port := o.Port
		if port != 0 {
			port += uint16(i)
		}
		addrs[i] = netip.AddrPortFrom(loopback, port)
	}
	return addrs, nil
}

// localAddr returns the address a socket is bound to.
func localAddr(c *net.UDPConn) netip.AddrPort {
	a, ok := c.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
