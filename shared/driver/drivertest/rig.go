package drivertest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// SetBoot is the name under which a device counts boot overrides and takes
// faults for them. Every other command has its name in the vocabulary.
const SetBoot = "setboot"

// Fault is something that goes wrong on a device from Rig.Fault on, until the
// next call of Rig.Fault.
type Fault string

// The faults. Those with a command hit each request of that command.
const (
	None        Fault = ""             // all is well again
	LoseReply   Fault = "lose-reply"   // the command is executed, its reply is lost
	LoseRequest Fault = "lose-request" // the command never arrives
	Refuse      Fault = "refuse"       // the device answers that it cannot do the command in its present state
	Silent      Fault = "silent"       // nothing is answered, nothing is executed
	Credentials Fault = "credentials"  // the login is refused
	Unreachable Fault = "unreachable"  // nobody listens at the address
	Stuck       Fault = "stuck"        // power commands are taken, and counted, and the state stays
	Strange     Fault = "strange"      // the power state is told in a word that nobody knows
)

// Device is the far end, as it really is and not as a driver says it is.
type Device interface {
	// Executed counts the requests of a command that the device has executed.
	Executed(command string) int
	// Power reports whether the machine is on now.
	Power() bool
	// SetPower puts the machine on or off at once, as its front panel would.
	SetPower(on bool)
}

// Renamed is a device that counts commands under other names than those of the
// vocabulary: names is from ours to its own.
func Renamed(d Device, names map[string]string) Device { return renamed{d, names} }

// renamed is what Renamed returns.
type renamed struct {
	Device
	names map[string]string
}

// Executed counts a command of the vocabulary.
func (r renamed) Executed(command string) int {
	if name, ok := r.names[command]; ok {
		command = name
	}
	return r.Device.Executed(command)
}

// Rig is one device and the driver that reaches it.
type Rig struct {
	// Driver is the driver to judge.
	Driver driver.Driver
	// Params reach the device. Secret values should be unlike any other text.
	Params model.Params
	// Device is the far end.
	Device Device
	// Fault arranges a fault on the device, and takes back the one before.
	Fault func(f Fault, command string)
	// Meets are params that an action must have on top of Params to meet a fault
	// that is not on the device: a wrong password, a closed port.
	Meets map[Fault]model.Params
	// Boot reads the override on the device; nil if it cannot be seen there.
	Boot func() model.BootOverride
	// Refused counts the logins that the device has refused; nil if it cannot be
	// told. Two for one action are the most: devices lock out who tries on.
	Refused func() int
	// Sessions counts the sessions open on the device; nil if it cannot be told.
	Sessions func() int
}

// Config is a driver's side of the suite.
type Config struct {
	// New makes a rig whose machine is on. Each case has its own; what it holds
	// is given back by tb.Cleanup. The driver logs to log.
	New func(tb testing.TB, log *slog.Logger) *Rig
	// Without names the actions of the vocabulary that the driver does not
	// have, each with the reason.
	Without map[string]string
	// NoFault names the faults that the rig cannot make, each with the reason.
	NoFault map[Fault]string
	// Skip names cases that do not apply, each with the reason.
	Skip map[string]string
	// Timeout is the oob/timeout of actions that should succeed; default 20 s.
	Timeout time.Duration
	// Short is the oob/timeout of actions that must run into it; default 1 s.
	Short time.Duration
	// Told is the oob/timeout of actions that meet a device that refuses all at
	// once, and must end by what it says; default Short. A driver whose device is
	// a program gives more: a try that is too short for its start is told nothing.
	Told time.Duration
	// Grace is what an action may take beyond its oob/timeout before it counts
	// as late; default 20 s, because machines that run tests are slow.
	Grace time.Duration

	// provider, if set, stands between the cases and the Provider: for tests of
	// the suite itself.
	provider func(actor) actor
}

// actor is what the cases ask of a Provider.
type actor interface {
	// Action runs an action.
	Action(ctx context.Context, a *model.Action) (any, error)
	// Actions lists them.
	Actions() []model.AvailableAction
	// Stop ends it.
	Stop(ctx context.Context) error
}
