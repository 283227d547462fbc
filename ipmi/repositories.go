package main

import (
	"net/netip"
	"sync"

	"provision-plugins/ipmi/sdr"
)

// maxRepositories and maxRemembered bound what is remembered: so many BMCs, and so
// many records of all of them.
const (
	maxRepositories = 1024
	maxRemembered   = 64 * 1024
)

// repositories remembers what BMCs tell of their sensors: reading it takes hundreds of
// commands, and it changes with the hardware only.
type repositories struct {
	mu      sync.Mutex // guards all below
	of      map[netip.AddrPort]*repository
	records int
}

// get returns the repository of a BMC if it is the one of that stamp.
func (m *repositories) get(peer netip.AddrPort, stamp sdr.Stamp) *repository {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.of[peer]; r != nil && r.stamp == stamp {
		return r
	}
	return nil
}

// put remembers a repository. Any others make room for it.
func (m *repositories) put(peer netip.AddrPort, r *repository) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(peer)
	for other := range m.of {
		if len(m.of) < maxRepositories && m.records+len(r.records) <= maxRemembered {
			break
		}
		m.forget(other)
	}
	if m.of == nil {
		m.of = map[netip.AddrPort]*repository{}
	}
	m.of[peer] = r
	m.records += len(r.records)
}

// forget drops the repository of a BMC. mu is held.
func (m *repositories) forget(peer netip.AddrPort) {
	if r := m.of[peer]; r != nil {
		m.records -= len(r.records)
		delete(m.of, peer)
	}
}
