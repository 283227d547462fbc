// Package driver is what can be done to one machine, whatever its device. A
// driver opens sessions and implements the small interfaces its device can
// honour; Provider turns that into a plugin's actions, with serialisation,
// bounds, read-back and outcomes in one place for all drivers.
package driver

import (
	"context"
	"time"

	"provision-plugins/shared/model"
)

// Target is the machine to reach.
type Target struct {
	// Name and UUID identify the machine; Name is for people.
	Name, UUID string
	// Params are the action's params over the machine's own.
	Params model.Params
	// Asked are the action's params alone, for what must not be kept on a machine.
	Asked model.Params
}

// Driver opens sessions to devices of one kind.
type Driver interface {
	// Name is the driver's name in results and errors.
	Name() string
	// Modes lists the ways the driver reaches devices, the default first.
	Modes() []Mode
	// Open returns a session for the target, new or kept warm. It executes
	// nothing on the machine and may be retried. Error kinds: invalid,
	// unsupported (this mode or device cannot be driven), device-auth,
	// unreachable, busy (no session slot), timeout.
	Open(ctx context.Context, t *Target) (Session, error)
}

// Mode is one way of reaching devices.
type Mode struct {
	// Name is the value of the driver's mode param.
	Name string
	// Session is a value, nil pointers included, of the type Open returns in
	// this mode. The interfaces it implements are the mode's actions. It is nil
	// for a mode that answers unsupported. A type that embeds a pointer needs a
	// value that is not nil, so that BootDevices can be called on it.
	Session Session
}

// Session is an open way to one device. Besides Close it implements those of
// the interfaces below that the device honours. Provider calls a session's
// methods from one goroutine at a time.
//
// A method of a read or idempotent action may retry inside ctx. A method of a
// once action sends its command once at most, at any layer. Its error is of
// kind unknown-outcome if the command may have been executed, and of any other
// kind only if it was not.
//
// Each call has its own bound in ctx, a part of the time that is left: at most
// 5 s for a reading, 20 s for an idempotent order, 10 s for the reply to a once
// command and 3 s for that to a cycle, whose off phase is then watched for.
type Session interface {
	// Close gives the session back. It is called once, also after an error,
	// and must not block on the device.
	Close(ctx context.Context) error
}

// Reading is a power state and the device's own word for it.
type Reading struct {
	State model.PowerState
	Raw   string
}

// Preparer is a Session that can make sure that a command would reach the
// device. It is asked before each command that is sent once, whose own bound is
// short and which has no second try.
type Preparer interface {
	// Prepare makes sure of it, also by opening what was lost. It executes
	// nothing on the machine and may be retried. Error kinds are those of Open.
	Prepare(ctx context.Context) error
}

// PowerReader reads the power state. It may be retried.
type PowerReader interface {
	// PowerState reads the state now. Error kinds: unreachable, device-auth,
	// timeout, unsupported.
	PowerState(ctx context.Context) (Reading, error)
}

// PowerSetter switches power. It is idempotent.
type PowerSetter interface {
	// SetPower orders on or off and returns when the device took the order, not
	// when the state is reached. A refusal because the state is already so is
	// success.
	SetPower(ctx context.Context, on bool) error
}

// SoftOff asks the operating system to shut down. Sent once.
type SoftOff interface {
	// PowerSoft presses the button. A refusal is of kind conflict.
	PowerSoft(ctx context.Context) error
}

// Cycler makes the device itself switch off and on again. Sent once. A driver
// without it is cycled by PowerSetter, off and then on.
type Cycler interface {
	// PowerCycle orders the cycle. A refusal in the present state (machine is
	// off) is of kind conflict.
	PowerCycle(ctx context.Context) error
}

// Resetter resets without power loss. Sent once.
type Resetter interface {
	// PowerReset orders the reset. A refusal in the present state is of kind
	// conflict.
	PowerReset(ctx context.Context) error
}

// Interrupter sends a diagnostic interrupt. Sent once.
type Interrupter interface {
	// PowerNMI sends the interrupt. A refusal is of kind conflict or
	// unsupported.
	PowerNMI(ctx context.Context) error
}

// BootSetter sets the boot override. It is idempotent.
type BootSetter interface {
	// SetBoot sets the override for the next boot, or for every boot if
	// persistent.
	SetBoot(ctx context.Context, device model.BootDevice, persistent bool) error
	// BootDevices lists the devices SetBoot takes, persistent or not. It must
	// work on a Mode's nil Session.
	BootDevices(persistent bool) []model.BootDevice
}

// UEFIBooter is a BootSetter whose override is for one kind of firmware.
type UEFIBooter interface {
	// BootUEFI reports whether SetBoot sets the override for UEFI. Told is false
	// if nobody said what the firmware is: then the kind that reads back is
	// remarked upon, and no failure.
	BootUEFI() (uefi, told bool)
}

// BootReader reads the boot override. It may be retried.
type BootReader interface {
	// Boot reads the override now set.
	Boot(ctx context.Context) (model.BootOverride, error)
}

// Sign is something a device tells that a restart changes.
type Sign struct {
	// Name and Value are for people: "restart cause", "unknown".
	Name, Value string
	// Proof is the value that a restart by command leaves and nothing else does;
	// "" if there is none as things are.
	Proof string
	// Within is how long after the restart it takes at most.
	Within time.Duration
}

// RestartWitness tells that a machine was restarted. It may be retried.
type RestartWitness interface {
	// RestartSigns reads the signs of those names now, all for none. One that the
	// device does not have is left out. Error kinds: unreachable, device-auth,
	// timeout.
	RestartSigns(ctx context.Context, names ...string) ([]Sign, error)
}

// LocatorReader reads the locator. It may be retried.
type LocatorReader interface {
	// Locator reports whether it is lit. Error kinds: as PowerState; unsupported
	// if the device does not tell.
	Locator(ctx context.Context) (bool, error)
}

// Identifier lights the locator. It is idempotent.
type Identifier interface {
	// Identify lights it for d, rounded up to what the device can; zero turns
	// it off.
	Identify(ctx context.Context, d time.Duration) error
}

// HealthReader reads the health. It may be retried.
type HealthReader interface {
	// Health returns the JSON of the status action.
	Health(ctx context.Context) (any, error)
}

// Extra is an action of one driver outside the vocabulary.
type Extra struct {
	// Prefix is the prefix of the objects it acts on: machines, plugins, or ""
	// for the endpoint.
	Prefix  string
	Command string
	Class   model.Class
	// Timeout is the default of oob/timeout; 0 is that of the class.
	Timeout time.Duration
	// Required and Optional are the params of this action beyond the driver's own.
	Required, Optional []string
	// Run executes it, by the rules of its class, and returns the bare resource.
	Run func(ctx context.Context, t *Target, a *model.Action) (any, error)
}

// Extras is a Driver with actions outside the vocabulary.
type Extras interface {
	// Extras lists them.
	Extras() []Extra
}

// ParamLister is a Driver that tells which params its actions need.
type ParamLister interface {
	// ActionParams returns the required and optional params of a command.
	ActionParams(command string) (required, optional []string)
}

// IdentifyTimer is a Driver with a param for how long identify lights the
// locator. Without it the locator is lit for 15 seconds.
type IdentifyTimer interface {
	// IdentifyDuration reads the duration from a target's params; zero turns
	// the locator off.
	IdentifyDuration(p model.Params) (time.Duration, error)
}

// Stopper is a Driver that holds things open between actions.
type Stopper interface {
	// Stop closes them. No session is in use by then.
	Stop(ctx context.Context) error
}
