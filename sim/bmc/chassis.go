package bmc

import (
	"time"

	"github.com/bougou/go-ipmi/pkg/types"
)

// restartByCommand is the cause of a restart by Chassis Control (IPMI 2.0
// §28.11); 0 means unknown.
const restartByCommand = 1

// transition is a change of the power state that is to come.
type transition struct {
	at   time.Time
	on   bool
	boot bool // the machine boots even if it was on
}

// chassis is the machine behind a BMC. It needs no timer: what was to happen
// by now is made to happen by settle, which precedes every look at it. The
// mutex of its BMC guards it.
type chassis struct {
	now      func() time.Time
	delay    time.Duration // from a command to its effect
	cycleOff time.Duration // how long a power cycle is off
	lies     bool          // reports the wrong state
	told     told          // how it is reported else
	deaf     bool          // the operating system ignores the power button

	on        bool
	coming    []transition // in order of time
	boots     int
	booted    types.BootOptionParam_BootFlags // in effect at the last boot
	cause     uint8                           // of the last restart
	byCommand bool                            // the last switching on was by a command

	boot  bootOptions
	light light
}

// light is the locator light (IPMI 2.0 §28.5).
type light struct {
	until  time.Time
	forced bool
}

// settle makes happen what was to happen by now.
func (c *chassis) settle() {
	now := c.now()
	for len(c.coming) > 0 && !c.coming[0].at.After(now) {
		next := c.coming[0]
		c.coming = c.coming[1:]
		c.boot.expire(next.at)
		c.apply(next)
	}
	c.boot.expire(now)
}

// apply changes the power state.
func (c *chassis) apply(t transition) {
	boots := t.on && (!c.on || t.boot)
	if c.on != t.on {
		c.told.changed(t.at, t.on)
	}
	c.on = t.on
	if !boots {
		return
	}
	c.boots++
	c.cause, c.byCommand = restartByCommand, true
	c.booted = c.boot.consume()
}

// schedule replaces what was to come.
func (c *chassis) schedule(next ...transition) {
	c.boot.restartTimer(c.now())
	c.coming = next
	c.settle()
}

// after returns the time d after a command given now has its effect.
func (c *chassis) after(d time.Duration) time.Time { return c.now().Add(c.delay + d) }

// setPower switches on or off.
func (c *chassis) setPower(on bool) {
	c.schedule(transition{at: c.after(0), on: on})
}

// cycle switches off and on again.
func (c *chassis) cycle() error {
	if !c.on {
		return types.CodeNotSupported
	}
	c.schedule(
		transition{at: c.after(0)},
		transition{at: c.after(max(c.cycleOff, 0)), on: true})
	return nil
}

// reset restarts without loss of power.
func (c *chassis) reset() error {
	if !c.on {
		return types.CodeNotSupported
	}
	c.schedule(transition{at: c.after(0), on: true, boot: true})
	return nil
}

// diag pulses the diagnostic interrupt, which changes nothing here.
func (c *chassis) diag() error {
	if !c.on {
		return types.CodeNotSupported
	}
	return nil
}

// soft asks the operating system to shut down.
func (c *chassis) soft() error {
	if !c.on {
		return types.CodeNotSupported
	}
	if !c.deaf {
		c.setPower(false)
	}
	return nil
}

// plug sets the power state at once.
func (c *chassis) plug(on bool) {
	if c.on != on {
		c.told.changed(c.now(), on)
	}
	c.on, c.coming = on, nil
}

// reported returns the power state as it is told.
func (c *chassis) reported() bool { return c.told.power(c.now(), c.on) != c.lies }

// identify lights the locator for some seconds, 0 to switch it off, or until
// switched off.
func (c *chassis) identify(seconds uint8, forced bool) {
	c.light = light{until: c.now().Add(time.Duration(seconds) * time.Second), forced: forced}
}

// locator returns the state of the light.
func (c *chassis) locator() Light {
	left := c.light.until.Sub(c.now())
	switch {
	case c.light.forced:
		return Light{On: true, Forced: true}
	case left > 0:
		return Light{On: true, Left: left}
	default:
		return Light{}
	}
}
