package bmc

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/bougou/go-ipmi/pkg/handlers"
)

// BMC is one simulated BMC. Its methods may be called at any time, from any
// goroutine.
type BMC struct {
	conn *net.UDPConn
	addr netip.AddrPort

	mu      sync.Mutex // guards everything below
	faults  faultState
	in, out int
}

// BootFlags is the boot override of a machine (IPMI 2.0 §28.13, parameter 5).
type BootFlags struct {
	Valid      bool   // without it the rest has no effect
	Persistent bool   // for every boot, not the next only
	EFI        bool   // boot the EFI way
	Device     string // "none", "pxe", "disk", "cd", "bios", ..., or its number as "0xNN"
	Raw        [5]byte
}

// Light is the chassis locator light.
type Light struct {
	On     bool
	Forced bool          // on until switched off
	Left   time.Duration // how long it stays on, unless forced
}

// newBMC returns the i-th BMC of a fleet.
func newBMC(o *Options, i int, conn *net.UDPConn, commands *handlers.Registry) *BMC {
	return &BMC{conn: conn, addr: localAddr(conn)}
}

// Addr returns the address the BMC listens on.
func (b *BMC) Addr() netip.AddrPort { return b.addr }

// GUID returns the system's GUID, in the byte order of the wire.
func (b *BMC) GUID() [16]byte { return [16]byte{} }

// Power returns whether the machine is on now, whatever the BMC reports.
func (b *BMC) Power() bool { return false }

// SetPower sets the state of the machine at once, as if somebody had pulled
// or put in the plug. It boots nothing and is not counted.
func (b *BMC) SetPower(on bool) {}

// Boot returns the boot override as it is set now.
func (b *BMC) Boot() BootFlags { return BootFlags{} }

// Booted returns the boot override that was in effect at the last boot, and
// the number of boots so far.
func (b *BMC) Booted() (BootFlags, int) { return BootFlags{}, 0 }

// Identify returns the state of the locator light.
func (b *BMC) Identify() Light { return Light{} }

// Executed returns how often the named command was executed, however often it
// was answered. The names are the constants of this package; an unknown name
// was never executed.
func (b *BMC) Executed(name string) int { return 0 }

// Ledger returns all counts that are not 0.
func (b *BMC) Ledger() map[string]int { return nil }

// Sessions returns the number of session slots in use.
func (b *BMC) Sessions() int { return 0 }

// Datagrams returns how many datagrams arrived at the BMC and how many it
// sent, those lost to a fault included.
func (b *BMC) Datagrams() (in, out int) { return 0, 0 }

// SetFaults replaces all faults by f, whose counts start from now.
func (b *BMC) SetFaults(f Faults) {}

// Faults returns the faults with what is left of their counts.
func (b *BMC) Faults() Faults { return Faults{} }

// serve answers datagrams until the socket is closed.
func (b *BMC) serve() {
	buf := make([]byte, 1024)
	for {
		if _, _, err := b.conn.ReadFromUDPAddrPort(buf); err != nil {
			return
		}
	}
}

// close ends the BMC.
func (b *BMC) close() error { return b.conn.Close() }
