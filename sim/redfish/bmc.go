package redfish

import (
	"crypto/tls"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"time"
)

// BMC is one simulated BMC: what can change in it. All else is in its fleet.
type BMC struct {
	fleet *Fleet
	index int
	addr  netip.AddrPort

	mu       sync.Mutex // guards all below
	cert     *tls.Certificate
	certs    uint16 // how many were made
	machines []machine
	led      string // of the chassis, where it has one of its own
	accounts []account
	sessions []session
	tokens   uint32 // sessions that were ever made
	media    map[string]medium
	tasks    []task
	logs     map[string]*eventLog
	settings map[string]map[string]any // what was patched and is kept, by kind
	faults   faultState
	counts   map[string]int
	back     time.Time // when it is back from a reset of its own
	rate     rateLimit
}

// init makes a BMC of a fleet's element.
func (b *BMC) init(f *Fleet, i int, at netip.AddrPort) {
	b.fleet, b.index, b.addr = f, i, at
	b.machines = make([]machine, f.opts.Systems)
	for m := range b.machines {
		b.machines[m] = newMachine(&f.opts, f.dialect)
	}
	b.accounts = []account{{id: f.firstAccount(), name: f.opts.Username, password: f.opts.Password, role: "Administrator", enabled: true}}
}

// Addr returns the address the BMC listens on.
func (b *BMC) Addr() netip.AddrPort { return b.addr }

// URL returns where its service is, as "https://127.0.0.1:4443".
func (b *BMC) URL() string { return "https://" + b.addr.String() }

// SystemID returns the Id of the i-th computer system, counted from 0.
func (b *BMC) SystemID(i int) string { return b.fleet.dialect.systemID(i) }

// Power returns whether the first system is on.
func (b *BMC) Power() bool { return b.System(0).On }

// System is what a test may want to know of a computer system.
type System struct {
	// On is whether it has power.
	On bool
	// Boots counts how often it has started.
	Boots int
	// Booted is the override target its last start used; "None" without one.
	Booted string
	// BootEnabled, BootTarget and BootMode are the override that is set.
	BootEnabled, BootTarget, BootMode string
	// LED is the state of its indicator: Off, Lit or Blinking.
	LED string
}

// System returns the state of the i-th system, counted from 0. There must be one.
func (b *BMC) System(i int) System {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settle(b.fleet.opts.Clock.Now())
	m := b.machine(i)
	return System{
		On: m.on, Boots: m.boots, Booted: m.booted, LED: m.led,
		BootEnabled: m.boot.enabled, BootTarget: m.boot.target, BootMode: m.boot.mode,
	}
}

// SetPower switches the first system on or off behind the back of the BMC.
func (b *BMC) SetPower(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.machine(0)
	m.plan = []change{{on: on}}
	b.settleMachine(m)
}

// machine returns the i-th system as it is now. The lock is held.
func (b *BMC) machine(i int) *machine {
	m := &b.machines[i]
	b.settleMachine(m)
	return m
}

// settleMachine brings a system up to the present. One that has started boots a
// virtual medium that is marked for it.
func (b *BMC) settleMachine(m *machine) {
	before := m.boots
	m.settle(b.fleet.opts.Clock.Now())
	if m.boots == before {
		return
	}
	for id, medium := range b.media {
		if medium.bootsNext {
			m.booted, medium.bootsNext = "Cd", false
			b.media[id] = medium
		}
	}
}

// Media returns the URL of the image in each virtual medium that has one, by the Id
// of the medium.
func (b *BMC) Media() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	images := map[string]string{}
	for id, m := range b.media {
		if m.image != "" {
			images[id] = m.image
		}
	}
	return images
}

// Sessions returns how many sessions are open.
func (b *BMC) Sessions() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expire(b.fleet.opts.Clock.Now())
	return len(b.sessions)
}

// DropSessions forgets all sessions, as firmware does that starts anew.
func (b *BMC) DropSessions() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sessions = nil
}

// Executed returns how often the BMC has done what is named: "reset ForceOff", "set
// boot", "led", "session open", "session refused", "session close", "bmc reset", "insert media",
// "eject media", "clear log", "set account", or one of the requests it has
// answered, as "get system" (see Faults).
func (b *BMC) Executed(name string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts[name]
}

// Counts returns all that the BMC has executed and answered, by name.
func (b *BMC) Counts() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.counts)
}

// did counts what was done. The lock is held.
func (b *BMC) did(name string) {
	if b.counts == nil {
		b.counts = map[string]int{}
	}
	b.counts[name]++
	b.fleet.opts.Logger.Debug("executed", slog.String("bmc", b.addr.String()), slog.String("command", name))
}

// SetFaults gives the BMC other faults. Their counts start anew, and accounts that
// were locked are open again.
func (b *BMC) SetFaults(f Faults) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f.Expired != b.faults.Expired {
		b.cert = nil
	}
	b.faults = newFaultState(f)
	b.rate = rateLimit{}
	for i := range b.accounts {
		b.accounts[i].failed = 0
	}
}

// away reports whether the BMC does not answer: it starts anew, or is silent.
func (b *BMC) away() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.faults.Silent || b.fleet.opts.Clock.Now().Before(b.back)
}
