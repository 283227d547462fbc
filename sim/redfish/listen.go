package redfish

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// portTries is how often a free port is looked for that is free on all addresses
// of a fleet.
const portTries = 16

// listen opens the listeners of a fleet, all or none, and returns the address of
// each BMC.
func listen(o Options) ([]net.Listener, []netip.AddrPort, error) {
	addrs, err := addresses(o)
	if err != nil {
		return nil, nil, err
	}
	if len(o.Addrs) > 0 || !o.Host.IsValid() {
		return listenAll(addrs)
	}
	if o.Count > 1 && o.Host.Is4() && o.Host.IsLoopback() && addrs[len(addrs)-1].Addr().IsLoopback() {
		if l, err := listenLoopback(o.Port); err == nil {
			return []net.Listener{l}, onPort(addrs, addrOf(l.Addr()).Port()), nil
		}
	}
	if o.Port != 0 {
		return listenAll(addrs)
	}
	return listenOnePort(addrs)
}

// listenOnePort opens one listener an address, all on a port the kernel chooses
// for the first.
func listenOnePort(addrs []netip.AddrPort) (all []net.Listener, at []netip.AddrPort, err error) {
	for range portTries {
		var first, rest []net.Listener
		if first, at, err = listenAll(addrs[:1]); err != nil {
			return nil, nil, err
		}
		at = onPort(addrs, at[0].Port())
		if rest, _, err = listenAll(at[1:]); err == nil {
			return append(first, rest...), at, nil
		}
		closeAll(first)
	}
	return nil, nil, err
}

// listenAll opens one listener an address.
func listenAll(addrs []netip.AddrPort) ([]net.Listener, []netip.AddrPort, error) {
	listeners := make([]net.Listener, 0, len(addrs))
	at := make([]netip.AddrPort, 0, len(addrs))
	for _, a := range addrs {
		var lc net.ListenConfig
		l, err := lc.Listen(context.Background(), "tcp", a.String())
		if err != nil {
			closeAll(listeners)
			return nil, nil, fmt.Errorf("BMC %d of %d: %w", len(listeners)+1, len(addrs), err)
		}
		listeners = append(listeners, l)
		at = append(at, addrOf(l.Addr()))
	}
	return listeners, at, nil
}

// closeAll closes listeners that nobody serves yet.
func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close() // nothing was accepted from it
	}
}

// onPort returns the addresses with another port.
func onPort(addrs []netip.AddrPort, port uint16) []netip.AddrPort {
	at := make([]netip.AddrPort, len(addrs))
	for i, a := range addrs {
		at[i] = netip.AddrPortFrom(a.Addr(), port)
	}
	return at
}

// addresses returns the address of each BMC; a port of 0 is still to be chosen.
func addresses(o Options) ([]netip.AddrPort, error) {
	if len(o.Addrs) > 0 {
		return o.Addrs, nil
	}
	addrs := make([]netip.AddrPort, 0, o.Count)
	host, port := o.Host, int(o.Port)
	if !host.IsValid() {
		if port != 0 && port+o.Count-1 > 65535 {
			return nil, fmt.Errorf("%d ports from %d on do not exist", o.Count, port)
		}
		for i := range o.Count {
			at := uint16(0)
			if port != 0 {
				at = uint16(port + i)
			}
			addrs = append(addrs, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at))
		}
		return addrs, nil
	}
	for range o.Count {
		if !host.IsValid() {
			return nil, fmt.Errorf("no address follows the last one of %d from %s on", o.Count, o.Host)
		}
		addrs = append(addrs, netip.AddrPortFrom(host, o.Port))
		host = host.Next()
	}
	return addrs, nil
}

// addrOf returns an address of the network as a value.
func addrOf(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
