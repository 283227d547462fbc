package redfish

import (
	"context"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish/schemas"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// Session is one caller's way to a computer system.
type Session struct {
	bmc    *bmc
	target *Target
	path   string // of the system
	resets []string
	uefi   bool // how SetBoot set the mode
}

// Cycling is a Session of a system that cycles by itself; others are switched off
// and on.
type Cycling struct{ *Session }

// What a session can do.
var (
	_ driver.Preparer       = (*Session)(nil)
	_ driver.PowerReader    = (*Session)(nil)
	_ driver.PowerSetter    = (*Session)(nil)
	_ driver.SoftOff        = (*Session)(nil)
	_ driver.Resetter       = (*Session)(nil)
	_ driver.Interrupter    = (*Session)(nil)
	_ driver.RestartWitness = (*Session)(nil)
	_ driver.Cycler         = (*Cycling)(nil)
)

// Open returns a session for a target, whose computer system it has found.
func (p *Pool) Open(ctx context.Context, t *Target) (driver.Session, error) {
	s, err := p.open(ctx, t)
	if err != nil {
		return nil, err
	}
	if slices.Contains(s.resets, string(schemas.PowerCycleResetType)) {
		return &Cycling{s}, nil
	}
	return s, nil
}

// open is Open without a look at what the system can do by itself.
func (p *Pool) open(ctx context.Context, t *Target) (*Session, error) {
	b, err := p.take(t)
	if err != nil {
		return nil, err
	}
	s := &Session{bmc: b, target: t, uefi: t.UEFI}
	if err := s.find(ctx); err != nil {
		p.give(b)
		return nil, err
	}
	return s, nil
}

// find finds the computer system, and what resets it takes. Both are remembered as
// long as the session lives.
func (s *Session) find(ctx context.Context) error {
	b := s.bmc
	if _, err := b.client(ctx); err != nil {
		return explain(b.key.peer, err, false)
	}
	var err error
	if s.path, err = b.choose(ctx, s.target.System); err != nil {
		return err
	}
	b.pool.mu.Lock()
	known, ok := b.resets[s.path]
	b.pool.mu.Unlock()
	if ok {
		s.resets = known
		return nil
	}
	sys, _, err := s.system(ctx)
	if err != nil {
		return err
	}
	if s.resets, err = b.allowed(ctx, sys); err != nil {
		return err
	}
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	b.resets[s.path] = s.resets
	return nil
}

// Close gives the session back; it stays warm for a while.
func (s *Session) Close(context.Context) error {
	s.bmc.pool.give(s.bmc)
	return nil
}

// Prepare makes sure of a session that the BMC knows.
func (s *Session) Prepare(ctx context.Context) error {
	_, _, err := s.system(ctx)
	return err
}

// system reads the computer system.
func (s *Session) system(ctx context.Context) (*system, *answer, error) {
	var sys system
	a, err := s.bmc.get(ctx, s.path, &sys)
	return &sys, a, err
}

// powerStates are the states behind the words (Resource, PowerState). PoweringOn,
// PoweringOff and Paused are neither on nor off.
var powerStates = map[string]model.PowerState{
	"On": model.StateOn, "Off": model.StateOff,
	"PoweringOn": model.StateTransition, "PoweringOff": model.StateTransition,
}

// PowerState reads the state.
func (s *Session) PowerState(ctx context.Context) (driver.Reading, error) {
	sys, _, err := s.system(ctx)
	if err != nil {
		return driver.Reading{}, err
	}
	state, ok := powerStates[sys.PowerState]
	if !ok {
		state = model.StateUnknown
	}
	return driver.Reading{State: state, Raw: sys.PowerState}, nil
}

// The reset types for each order, the first one that the BMC takes counts. A button
// is none of them: what it does depends on the state. Nor does a restart stand in
// for an on or an off.
var (
	typesOn    = []schemas.ResetType{schemas.OnResetType, schemas.ForceOnResetType}
	typesOff   = []schemas.ResetType{schemas.ForceOffResetType}
	typesSoft  = []schemas.ResetType{schemas.GracefulShutdownResetType}
	typesCycle = []schemas.ResetType{schemas.PowerCycleResetType}
	typesReset = []schemas.ResetType{schemas.ForceRestartResetType}
	typesNMI   = []schemas.ResetType{schemas.NmiResetType}
)

// pick returns the first of the types that the BMC takes. One that does not tell
// takes the first.
func (s *Session) pick(types []schemas.ResetType) (string, error) {
	for _, t := range types {
		if len(s.resets) == 0 || slices.Contains(s.resets, string(t)) {
			return string(t), nil
		}
	}
	return "", model.Errorf(model.Unsupported, "BMC %s: the system does not take %s, but %s",
		s.bmc.key.peer, types[0], strings.Join(s.resets, ", "))
}

// reset sends a reset (ComputerSystem, Reset).
func (s *Session) reset(ctx context.Context, class model.Class, types []schemas.ResetType) error {
	name, err := s.pick(types)
	if err != nil {
		return err
	}
	return s.bmc.post(ctx, class, strings.TrimSuffix(s.path, "/")+"/Actions/ComputerSystem.Reset", map[string]any{"ResetType": name})
}

// SetPower switches on or off. A BMC may refuse what is so already.
func (s *Session) SetPower(ctx context.Context, on bool) error {
	types, want := typesOff, model.StateOff
	if on {
		types, want = typesOn, model.StateOn
	}
	err := s.reset(ctx, model.Idempotent, types)
	if kind := model.KindOf(err); kind == model.Conflict || kind == model.Unsupported {
		if now, readErr := s.PowerState(ctx); readErr == nil && now.State == want {
			return nil
		}
	}
	return err
}

// PowerSoft asks the operating system to shut down.
func (s *Session) PowerSoft(ctx context.Context) error { return s.reset(ctx, model.Once, typesSoft) }

// PowerCycle makes the BMC switch off and on again.
func (s *Cycling) PowerCycle(ctx context.Context) error {
	return s.reset(ctx, model.Once, typesCycle)
}

// PowerReset makes the BMC reset the system.
func (s *Session) PowerReset(ctx context.Context) error { return s.reset(ctx, model.Once, typesReset) }

// PowerNMI makes the BMC pulse the diagnostic interrupt.
func (s *Session) PowerNMI(ctx context.Context) error { return s.reset(ctx, model.Once, typesNMI) }
