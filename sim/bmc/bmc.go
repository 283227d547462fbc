package bmc

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	ipmibmc "github.com/bougou/go-ipmi/pkg/bmc"
	"github.com/bougou/go-ipmi/pkg/clock"
	"github.com/bougou/go-ipmi/pkg/handlers"
)

// BMC is one simulated BMC. Its methods may be called at any time, from any
// goroutine.
type BMC struct {
	conn     *net.UDPConn
	addr     netip.AddrPort
	opts     *Options           // shared by the fleet, never changed
	index    int                // in the fleet
	registry *handlers.Registry // shared by the fleet, never changed
	channel  *ipmibmc.Channel   // the LAN channel, never changed

	mu           sync.Mutex // guards everything below: a BMC does one thing at a time
	ipmi         *ipmibmc.BMC
	sessions     map[uint32]*session // those that are active, by our id
	chassis      chassis
	executed     ledger
	failedLogins int // since SetFaults
	sel          selLog
	sensors      map[uint8]SensorState // that differ from what Options give
	sdr          reservation           // of the repository of sensors
	restore      uint8                 // what is done when mains power comes back
	secret       string                // the password that the account was given since; "" for that of Options
	in, out      int                   // datagrams
	faults       faultState
	down         time.Time  // when a reboot ends
	heard        time.Time  // when the last request was taken, if there is a pace
	late, held   []datagram // requests and replies a fault holds back
	kept         [][]byte   // the last replies, if they may be replayed
	delayed      int        // datagrams delayed so far: names them in timers
	timers       map[int]func() bool
}

// BootFlags is the boot override of a machine (IPMI 2.0 §28.13, parameter 5).
type BootFlags struct {
	Valid      bool    // without it the rest has no effect
	Persistent bool    // for every boot, not the next only
	EFI        bool    // boot the EFI way
	Device     string  // "none", "pxe", "disk", "cd", "bios" and so on, or its number as "0xNN"
	Raw        [5]byte // as on the wire
}

// Light is the chassis locator light.
type Light struct {
	On     bool
	Forced bool          // on until switched off
	Left   time.Duration // how long it stays on, unless forced
}

// The identity of the simulated hardware (IPMI 2.0 §20.1).
const (
	deviceID      = 0x20
	ipmiVersion20 = 0x02 // BCD, least significant digit first
	chassisDevice = 0x80 // of the additional device support
	sensorDevice  = 0x01
	sdrDevice     = 0x02
	selDevice     = 0x04
	fruSupport    = 0x08
	forum         = 7154 // the manufacturer unless another is given: the IPMI forum
)

// newBMC returns the i-th BMC of a fleet.
func newBMC(o *Options, i int, conn *net.UDPConn, registry *handlers.Registry) *BMC {
	b := &BMC{
		conn: conn, addr: localAddr(conn), opts: o, index: i, registry: registry,
		sessions: map[uint32]*session{},
		chassis: chassis{
			now: o.Clock.Now, on: o.On, delay: o.PowerDelay, cycleOff: o.CycleOff,
		},
		timers: map[int]func() bool{},
	}
	info := ipmibmc.DeviceInfo{
		DeviceID: deviceID, DeviceRevision: 1, IPMIVersion: ipmiVersion20,
		FirmwareMajor: o.Device.Major, FirmwareMinor: bcd(o.Device.Minor),
		ManufacturerID: o.Device.Manufacturer, ProductID: o.Device.Product,
		AdditionalDeviceSupport: chassisDevice | sensorDevice | sdrDevice | selDevice | fruSupport,
	}
	b.ipmi = ipmibmc.New(info, guid(o.Seed, i), hardware{b},
		ipmibmc.WithKG(o.Kg), ipmibmc.WithV15Disabled(), ipmibmc.WithCipherSuites(o.suites()),
		ipmibmc.WithClock(ipmiClock{Clock: clock.Real, now: o.Clock.Now}))
	b.ipmi.Sessions = b.newSessions()
	b.channel, _ = b.ipmi.Channels.Get(lanChannel) // go-ipmi always has it
	b.newUsers()
	return b
}

// guid returns the GUID of the i-th BMC of a fleet with that seed: of version
// 4, in the byte order of the wire (IPMI 2.0 §20.8).
func guid(seed uint64, i int) (g [16]byte) {
	const versionAt, variantAt = 7, 8
	rng := rand.New(rand.NewPCG(seed, uint64(i)))
	binary.LittleEndian.PutUint64(g[:], rng.Uint64())
	binary.LittleEndian.PutUint64(g[8:], rng.Uint64())
	g[versionAt] = g[versionAt]&0x0f | 0x40
	g[variantAt] = g[variantAt]&0x3f | 0x80
	return g
}

// Addr returns the address the BMC listens on.
func (b *BMC) Addr() netip.AddrPort { return b.addr }

// GUID returns the GUID of the BMC and its system, in the byte order of the
// wire.
func (b *BMC) GUID() [16]byte { return b.ipmi.GUID }

// Power returns whether the machine is on now, whatever the BMC reports.
func (b *BMC) Power() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.chassis.settle()
	return b.chassis.on
}

// SetPower sets the state of the machine at once, as if by magic: no command
// is counted and nothing boots.
func (b *BMC) SetPower(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.chassis.settle()
	b.chassis.plug(on)
}

// Boot returns the boot override as it is set now.
func (b *BMC) Boot() BootFlags {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.chassis.settle()
	return view(&b.chassis.boot.flags)
}

// Booted returns the boot override that was in effect at the last boot, and
// the number of boots so far.
func (b *BMC) Booted() (BootFlags, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.chassis.settle()
	return view(&b.chassis.booted), b.chassis.boots
}

// Identify returns the state of the locator light.
func (b *BMC) Identify() Light {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.chassis.locator()
}

// Executed returns how often the named command was executed, however often it
// was answered. The names are the constants of this package; a name that is
// none of them was never executed.
func (b *BMC) Executed(name string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.executed.count(name)
}

// Ledger returns all counts that are not 0.
func (b *BMC) Ledger() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.executed.all()
}

// Open returns the number of sessions that are open. A slot that was taken by who
// never logged in is in use until it is taken back, and no session.
func (b *BMC) Open() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ipmi.Sessions.EvictExpired()
	return len(b.sessions)
}

// Sessions returns the number of session slots in use.
func (b *BMC) Sessions() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ipmi.Sessions.EvictExpired()
	return b.ipmi.Sessions.Count()
}

// Datagrams returns how many datagrams were sent to the BMC and how many it
// sent, those lost to a fault included.
func (b *BMC) Datagrams() (in, out int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.in, b.out
}

// SetFaults replaces all faults by f, whose counts start from now. Datagrams
// that are held back are lost. An account that was locked is unlocked, a reboot
// is over.
func (b *BMC) SetFaults(f Faults) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.chassis.settle()
	b.faults = newFaultState(f, b.opts.Seed, uint64(b.index))
	b.late, b.held, b.kept = nil, nil, nil
	b.down = time.Time{}
	b.failedLogins = 0
	b.setAccount(b.password(), true)
	b.chassis.lies, b.chassis.deaf = f.LiesAboutPower, f.SoftIgnored
	b.chassis.told.restart(b.faults.Tells, b.chassis.on)
	b.chassis.delay = b.opts.PowerDelay + f.AppliesLate
}

// Faults returns the faults with what is left of their counts.
func (b *BMC) Faults() Faults {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.faults.clone()
}

// serve answers datagrams until the socket is closed.
func (b *BMC) serve() {
	buf := make([]byte, maxDatagram+1)
	for {
		n, from, err := b.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			b.receive(from, buf[:n])
		}
	}
}

// stopTimers forgets the datagrams that are delayed.
func (b *BMC) stopTimers() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, stop := range b.timers {
		stop()
		delete(b.timers, id)
	}
}
