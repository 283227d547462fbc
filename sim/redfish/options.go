package redfish

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Clock is the time the simulated hardware lives in: power, tasks, sessions, logs
// and certificates. Delays of the network are real ones.
type Clock interface {
	// Now returns the present time. It is called often, from many goroutines.
	Now() time.Time
}

// Options says what fleet to build. The zero value is one generic BMC on a free
// port of 127.0.0.1.
type Options struct {
	// Count is the number of BMCs. Default: len(Addrs), else 1.
	Count int
	// Addrs are the addresses to listen on, one a BMC. When given, Host and Port
	// are not used. A port of 0 takes a free one.
	Addrs []netip.AddrPort
	// Host is the address of the first BMC; each further one has the next
	// address, and all share one port: Port, or a free one if that is 0. On the
	// loopback network of Linux they also share one listener. Without Host, all
	// BMCs are on 127.0.0.1, each on its own port: Port, Port+1 and so on, or free
	// ones.
	Host netip.Addr
	// Port is explained at Host.
	Port uint16

	// Dialect is the kind of BMC, one of Dialects. Default "generic".
	Dialect string
	// Systems is how many computer systems each BMC has. Default 1.
	Systems int
	// Username is the one account at first. Default "admin".
	Username string
	// Password is its password. Default "password".
	Password string
	// Sessions is the size of the session table. Default 16.
	Sessions int
	// SessionTimeout is how long a session lives that is not used. Default
	// 30 min.
	SessionTimeout time.Duration
	// PageSize is the most members a collection shows at once. Default 50.
	PageSize int
	// RateLimit is how many requests in a second are taken; the others are
	// answered 429. Default: any number.
	RateLimit int

	// On is whether the machines start switched on.
	On bool
	// PowerDelay is how long after a command the power state changes. Default: at
	// once.
	PowerDelay time.Duration
	// CycleOff is how long a power cycle stays off. Default 1 s; negative means no
	// time at all.
	CycleOff time.Duration
	// TaskTime is how long a task takes. Default 1 s; negative means no time at
	// all.
	TaskTime time.Duration
	// RebootTime is how long a BMC that is reset does not answer. Default 1 s;
	// negative means no time at all.
	RebootTime time.Duration

	// Seed seeds the tokens, serial numbers and UUIDs.
	Seed uint64
	// Clock is the time. Default: the real one.
	Clock Clock
	// Logger gets each executed command at debug level. Default: nothing is
	// logged.
	Logger *slog.Logger
}

// The bounds of this package.
const (
	maxCount    = 60_000   // BMCs in one fleet: what one address has ports for
	maxSystems  = 64       // computer systems of one BMC
	maxBody     = 64 << 10 // bytes of a request that are read
	maxAccounts = 16       // accounts of one BMC
	maxTasks    = 32       // tasks of one BMC that are remembered
	maxEntries  = 128      // entries of a log that are kept
	maxName     = 256      // bytes of a user name, a password, a URL of a medium
	maxHeader   = 16 << 10 // bytes of the header of a request
	maxSessions = 1 << 10  // slots of a session table
	pageLimit   = 10_000   // members of one page
	idleTime    = time.Minute
)

// withDefaults returns o with every default filled in.
func (o Options) withDefaults() Options {
	o.Count = or(o.Count, max(len(o.Addrs), 1))
	o.Dialect = or(o.Dialect, "generic")
	o.Systems = or(o.Systems, 1)
	o.Username = or(o.Username, "admin")
	o.Password = or(o.Password, "password")
	o.Sessions = or(o.Sessions, 16)
	o.SessionTimeout = or(o.SessionTimeout, 30*time.Minute)
	o.PageSize = or(o.PageSize, 50)
	o.CycleOff = max(or(o.CycleOff, time.Second), 0)
	o.TaskTime = max(or(o.TaskTime, time.Second), 0)
	o.RebootTime = max(or(o.RebootTime, time.Second), 0)
	if o.Clock == nil {
		o.Clock = realClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// or returns v, or the default if v is the zero value.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// check refuses what cannot be simulated. It wants the defaults filled in.
func (o Options) check() error {
	for _, rule := range []struct {
		bad  bool
		text string
	}{
		{o.Count < 1 || o.Count > maxCount, fmt.Sprintf("count %d is not between 1 and %d", o.Count, maxCount)},
		{len(o.Addrs) > 0 && len(o.Addrs) != o.Count, fmt.Sprintf("%d addresses given for %d BMCs", len(o.Addrs), o.Count)},
		{!slices.Contains(Dialects(), o.Dialect), fmt.Sprintf("dialect %q is none of %s", o.Dialect, strings.Join(Dialects(), ", "))},
		{o.Systems < 1 || o.Systems > maxSystems, fmt.Sprintf("%d systems are not between 1 and %d", o.Systems, maxSystems)},
		{len(o.Username) > maxName, fmt.Sprintf("user name is longer than %d bytes", maxName)},
		{len(o.Password) > maxName, fmt.Sprintf("password is longer than %d bytes", maxName)},
		{o.Sessions < 1 || o.Sessions > maxSessions, fmt.Sprintf("%d session slots are not between 1 and %d", o.Sessions, maxSessions)},
		{o.PageSize < 1 || o.PageSize > pageLimit, fmt.Sprintf("page size %d is not between 1 and %d", o.PageSize, pageLimit)},
		{o.RateLimit < 0, "the rate limit is negative"},
		{o.SessionTimeout < 0, "the session timeout is negative"},
		{o.PowerDelay < 0, "the power delay is negative"},
	} {
		if rule.bad {
			return errors.New(rule.text)
		}
	}
	return nil
}

// realClock is the clock on the wall.
type realClock struct{}

// Now returns the present time.
func (realClock) Now() time.Time { return time.Now() }
