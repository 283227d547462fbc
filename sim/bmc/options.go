package bmc

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	ipmibmc "github.com/bougou/go-ipmi/pkg/bmc"
	"github.com/bougou/go-ipmi/pkg/types"
)

// Privilege is a privilege level of an IPMI session (IPMI 2.0 §6.8).
type Privilege uint8

// The privilege levels a user can have.
const (
	Callback      Privilege = 1
	User          Privilege = 2
	Operator      Privilege = 3
	Administrator Privilege = 4
)

// Clock is the time the simulated hardware lives in. Nothing in a fleet looks
// at any other.
type Clock interface {
	// Now returns the present time. It is called often, from many goroutines.
	Now() time.Time
	// AfterFunc calls f in a goroutine of its own once d has passed, unless
	// stop is called before. Only the delays of Faults use it.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// Options says what fleet to build. The zero value is one BMC on a free port
// of 127.0.0.1.
type Options struct {
	// Count is the number of BMCs. Default: len(Addrs), else 1.
	Count int
	// Addrs are the addresses to listen on, one a BMC. When given, Host and
	// Port are not used. A port of 0 takes a free one.
	Addrs []netip.AddrPort
	// Host is the address of the first BMC; each further one has the next
	// address, and all share one port: Port, or a free one if that is 0.
	// Without Host, all BMCs are on 127.0.0.1, each on its own port: Port,
	// Port+1 and so on, or free ones.
	Host netip.Addr
	// Port is explained at Host.
	Port uint16

	// Username is the one account, at most 16 bytes. Default "admin".
	Username string
	// Password is at most 20 bytes. Default "password".
	Password string
	// Kg is the BMC key of two-key logins, at most 20 bytes. Default: none.
	Kg []byte
	// Limit is the highest privilege of the account. Default Administrator.
	Limit Privilege
	// Suites are the cipher suites offered, of 3 and 17. Default both.
	Suites []int
	// Sessions is the number of session slots. Default 4.
	Sessions int

	// Device is what the BMCs say they are.
	Device Device
	// Watts is what a running machine takes by DCMI's power reading. Default 0:
	// there is no such command.
	Watts uint16
	// WattsLimit is how much a machine may take by DCMI's power limit. Default 0:
	// there is no limit.
	WattsLimit uint16

	// Sensors are the sensors of each BMC. Default: StandardSensors. An empty slice
	// that is not nil is a BMC without any.
	Sensors []Sensor
	// EventRoom is how many events there is room for. Default 64.
	EventRoom int

	// On is whether the machines start switched on.
	On bool
	// PowerDelay is how long after a command the power state changes.
	// Default: at once.
	PowerDelay time.Duration
	// CycleOff is how long a power cycle stays off. Default 1 s; negative
	// means no time at all.
	CycleOff time.Duration

	// Seed seeds what is drawn at random: faults by rate, and the GUIDs.
	Seed uint64
	// Clock is the time. Default: the real one.
	Clock Clock
	// Logger gets each executed command at debug level. Default: nothing is
	// logged.
	Logger *slog.Logger

	records [][]byte // of Sensors, as they are sent
}

// The bounds of the protocol and of this package.
const (
	maxName     = 16     // IPMI 2.0 §13.20: bytes of a user name
	maxPassword = 20     // IPMI 2.0 §22.30: bytes of a password, and of Kg
	maxCount    = 60_000 // BMCs in one fleet: what one address has ports for
	maxSlots    = 63     // IPMI 2.0 §22.20: session slots a BMC can report
)

// withDefaults returns o with every default filled in.
func (o Options) withDefaults() Options {
	if o.Count == 0 {
		o.Count = max(len(o.Addrs), 1)
	}
	if o.Username == "" {
		o.Username = "admin"
	}
	if o.Password == "" {
		o.Password = "password"
	}
	if o.Limit == 0 {
		o.Limit = Administrator
	}
	if len(o.Suites) == 0 {
		o.Suites = []int{3, 17}
	}
	if o.Sessions == 0 {
		o.Sessions = ipmibmc.MaxSessions
	}
	o.Device = o.Device.withDefaults()
	if o.Sensors == nil {
		o.Sensors = StandardSensors()
	}
	o.records = repository(o.Sensors)
	if o.CycleOff == 0 {
		o.CycleOff = time.Second
	}
	if o.Clock == nil {
		o.Clock = realClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// check refuses what cannot be simulated. It wants the defaults filled in.
func (o Options) check() error {
	for _, rule := range []struct {
		bad  bool
		text string
	}{
		{o.Count < 1 || o.Count > maxCount, fmt.Sprintf("count %d is not between 1 and %d", o.Count, maxCount)},
		{len(o.Addrs) > 0 && len(o.Addrs) != o.Count, fmt.Sprintf("%d addresses given for %d BMCs", len(o.Addrs), o.Count)},
		{len(o.Username) > maxName, fmt.Sprintf("user name is longer than %d bytes", maxName)},
		{len(o.Password) > maxPassword, fmt.Sprintf("password is longer than %d bytes", maxPassword)},
		{len(o.Kg) > maxPassword, fmt.Sprintf("Kg is longer than %d bytes", maxPassword)},
		{o.Limit > Administrator, fmt.Sprintf("no privilege level %d", o.Limit)},
		{o.Sessions < 1 || o.Sessions > maxSlots, fmt.Sprintf("%d session slots are not between 1 and %d", o.Sessions, maxSlots)},
		{o.PowerDelay < 0, "the power delay is negative"},
		{slices.ContainsFunc(o.Suites, unknownSuite), fmt.Sprintf("cipher suites %v are not all of 3 and 17", o.Suites)},
	} {
		if rule.bad {
			return errors.New(rule.text)
		}
	}
	return nil
}

// unknownSuite reports whether a cipher suite cannot be offered.
func unknownSuite(id int) bool { return id != 3 && id != 17 }

// suites returns the cipher suites as go-ipmi wants them.
func (o Options) suites() []types.CipherSuiteID {
	ids := make([]types.CipherSuiteID, 0, len(o.Suites))
	for _, id := range o.Suites {
		ids = append(ids, types.CipherSuiteID(id))
	}
	return ids
}

// realClock is the clock on the wall.
type realClock struct{}

// Now returns the present time.
func (realClock) Now() time.Time { return time.Now() }

// AfterFunc calls f after d.
func (realClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}
