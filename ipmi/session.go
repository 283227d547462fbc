package main

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/broker"
	"provision-plugins/ipmi/quirks"
	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// session is one caller's way to a BMC.
type session struct {
	handle *broker.Handle
	peer   netip.AddrPort
	uefi   bool
	// told tells that it is known whether the machine's firmware is UEFI.
	told bool
	// override is what the params say of the BMC's quirks, devices what is known
	// of them.
	override quirks.Override
	devices  *devices
	// driver and board are what another session with the same BMC is opened by.
	driver *ipmiDriver
	board  *board
	// only is the session whose other end told its identity; 0 if nobody was
	// asked. Nothing is done in another: who is at the address may have changed.
	only broker.SessionID
}

// What a session can do.
var (
	_ driver.Preparer    = (*session)(nil)
	_ driver.PowerReader = (*session)(nil)
	_ driver.PowerSetter = (*session)(nil)
	_ driver.SoftOff     = (*session)(nil)
	_ driver.Cycler      = (*session)(nil)
	_ driver.Resetter    = (*session)(nil)
	_ driver.Interrupter = (*session)(nil)
	_ driver.BootSetter  = (*session)(nil)
	_ driver.BootReader  = (*session)(nil)
	_ driver.Identifier  = (*session)(nil)
)

// Close gives the session back; it stays warm for a while.
func (s *session) Close(context.Context) error {
	s.handle.Close()
	return nil
}

// Prepare makes sure of a session that may control and that the BMC knows.
func (s *session) Prepare(ctx context.Context) error {
	if err := s.handle.Prepare(ctx, s.only); err != nil {
		s.learn(ctx, err)
		return explain(s.peer, err, model.Read)
	}
	return nil
}

// read executes a read. Reading the boot options takes OPERATOR, too (IPMI 2.0
// Table G-1).
func (s *session) read(ctx context.Context, operator bool, req types.Request, res types.Response) error {
	return s.do(ctx, &broker.Call{
		Call:     rmcp.Call{Request: req, Response: res, Class: model.Read},
		Operator: operator,
	})
}

// change executes a command that changes something.
func (s *session) change(ctx context.Context, class model.Class, req types.Request) error {
	return s.do(ctx, &broker.Call{Call: rmcp.Call{Request: req, Class: class}, Operator: true})
}

// do executes a command and explains its failure.
func (s *session) do(ctx context.Context, c *broker.Call) error {
	c.Only = s.only
	if err := s.handle.Do(ctx, c); err != nil {
		s.learn(ctx, err)
		return explain(s.peer, err, c.Class)
	}
	return nil
}

// PowerState reads the state (IPMI 2.0 §28.2).
func (s *session) PowerState(ctx context.Context) (driver.Reading, error) {
	var res chassis.GetChassisStatusResponse
	if err := s.read(ctx, false, &chassis.GetChassisStatusRequest{}, &res); err != nil {
		return driver.Reading{}, err
	}
	if res.PowerIsOn {
		return driver.Reading{State: model.StateOn, Raw: "Chassis Power is on"}, nil
	}
	return driver.Reading{State: model.StateOff, Raw: "Chassis Power is off"}, nil
}

// control sends Chassis Control (IPMI 2.0 §28.3).
func (s *session) control(ctx context.Context, class model.Class, c chassis.ChassisControl) error {
	return s.change(ctx, class, &chassis.ChassisControlRequest{ChassisControl: c})
}

// SetPower switches on or off. Some BMCs refuse what is so already, some of them
// with whatever code.
func (s *session) SetPower(ctx context.Context, on bool) error {
	order, want := chassis.ChassisControlPowerDown, model.StateOff
	if on {
		order, want = chassis.ChassisControlPowerUp, model.StateOn
	}
	err := s.control(ctx, model.Idempotent, order)
	var refusal *rmcp.Refusal
	if errors.As(err, &refusal) && (refusal.Code == types.CodeNotSupported || s.has(ctx, quirks.OffErrors)) {
		if now, readErr := s.PowerState(ctx); readErr == nil && now.State == want {
			return nil
		}
	}
	return err
}

// PowerSoft presses the button, as ACPI calls it.
func (s *session) PowerSoft(ctx context.Context) error {
	return s.control(ctx, model.Once, chassis.ChassisControlSoftShutdown)
}

// cycleWait is how long the answer to a power cycle is waited for. It is short
// because the machine may be off for no more than a second (IPMI 2.0 §28.3), and
// to see it off is worth more than the answer.
const cycleWait = 500 * time.Millisecond

// PowerCycle makes the BMC switch off and on again.
func (s *session) PowerCycle(ctx context.Context) error {
	return s.do(ctx, &broker.Call{
		Call: rmcp.Call{
			Request: &chassis.ChassisControlRequest{ChassisControl: chassis.ChassisControlPowerCycle},
			Class:   model.Once,
			Wait:    cycleWait,
		},
		Operator: true,
	})
}

// PowerReset makes the BMC reset the machine.
func (s *session) PowerReset(ctx context.Context) error {
	return s.control(ctx, model.Once, chassis.ChassisControlHardReset)
}

// PowerNMI makes the BMC pulse the diagnostic interrupt.
func (s *session) PowerNMI(ctx context.Context) error {
	return s.control(ctx, model.Once, chassis.ChassisControlDiagnosticInterrupt)
}

// Identify lights the locator (IPMI 2.0 §28.5). A BMC that knows only the first
// byte of the command gets no more.
func (s *session) Identify(ctx context.Context, d time.Duration) error {
	seconds := uint8(math.Ceil(min(d, maxIdentify).Seconds()))
	req := &chassis.ChassisIdentifyRequest{IdentifyInterval: seconds}
	err := s.change(ctx, model.Idempotent, req)
	var refusal *rmcp.Refusal
	if errors.As(err, &refusal) && refusal.Code == types.CodeRequestDataLengthInvalid {
		return s.change(ctx, model.Idempotent, firstByte{req})
	}
	return err
}

// firstByte is a request cut to its first byte of data.
type firstByte struct{ types.Request }

// Pack returns the first byte.
func (f firstByte) Pack() []byte { return f.Request.Pack()[:1] }
