package drivertest

import (
	"net/netip"
	"testing"
)

// TestFreeAddr asks for addresses of both networks: each can be listened on, is
// on the host asked for, and is not one that the kernel gives away.
func TestFreeAddr(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		for _, host := range []netip.Addr{loopback, netip.AddrFrom4([4]byte{127, 3, 2, 1})} {
			addr := FreeAddr(t, network, host)
			if addr.Addr() != host || addr.Port() < 10_000 || addr.Port() >= 30_000 {
				t.Errorf("%s: got %v", network, addr)
			}
			c, err := listen(network, addr.String())
			if err != nil {
				t.Errorf("%s: %v is not free: %v", network, addr, err)
				continue
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if port := ClosedPort(t, network); port < 10_000 || port >= 30_000 {
			t.Errorf("%s: port %d", network, port)
		}
	}
}

// counter counts by names of its own.
type counter struct {
	Device
	counts map[string]int
}

// Executed counts a command.
func (c counter) Executed(command string) int { return c.counts[command] }

// TestRenamed counts under the device's names what is asked for under ours.
func TestRenamed(t *testing.T) {
	d := Renamed(counter{counts: map[string]int{"power on": 3, "identify": 2}}, map[string]string{"poweron": "power on"})
	for command, want := range map[string]int{"poweron": 3, "power on": 3, "identify": 2, "poweroff": 0} {
		if n := d.Executed(command); n != want {
			t.Errorf("%s: %d, want %d", command, n, want)
		}
	}
}
