package redfish

import (
	"slices"
	"strings"
)

// The words that some properties take.
var (
	bootEnableds = []string{"Disabled", "Once", "Continuous"}
	bootModes    = []string{"Legacy", "UEFI"}
	ledStates    = []string{"Off", "Lit", "Blinking"}
	policies     = []string{"AlwaysOn", "AlwaysOff", "LastState"}
	roles        = []string{"Administrator", "Operator", "ReadOnly"}
)

// setWord sets a property that is one of some words.
func setWord(to *string, v any, allowed []string) *message {
	s, ok := v.(string)
	if !ok {
		return &msgWrongType
	}
	if !slices.Contains(allowed, s) {
		return &msgNotInList
	}
	*to = s
	return nil
}

// setText sets a property that is a text that is not empty.
func setText(to *string, v any) *message {
	s, ok := v.(string)
	if !ok || s == "" || len(s) > maxName {
		return &msgWrongType
	}
	*to = s
	return nil
}

// setFlag sets a property that is true or false.
func setFlag(to *bool, v any) *message {
	on, ok := v.(bool)
	if !ok {
		return &msgWrongType
	}
	*to = on
	return nil
}

// setBootEnabled sets how long the boot override holds. Without it there is no
// target either.
func setBootEnabled(e *edit, v any) *message {
	b := &e.machine.boot
	if bad := setWord(&b.enabled, v, bootEnableds); bad != nil {
		return bad
	}
	if b.enabled == "Disabled" {
		b.target = "None"
	}
	return nil
}

// setBootTarget sets what is booted.
func setBootTarget(e *edit, v any) *message {
	return setWord(&e.machine.boot.target, v, e.x.b.fleet.dialect.targets)
}

// setBootMode sets the way of booting, where it can be set.
func setBootMode(e *edit, v any) *message {
	if e.x.b.fleet.dialect.modeReadOnly {
		return &msgReadOnly
	}
	return setWord(&e.machine.boot.mode, v, bootModes)
}

// setLED sets an indicator, to what the dialect has.
func setLED(e *edit, led *string, v any) *message {
	if own := e.x.b.fleet.dialect.leds; own != nil {
		return setWord(led, v, own)
	}
	return setWord(led, v, ledStates)
}

// setLocation sets an indicator by whether it is to be found.
func setLocation(led *string, v any) *message {
	var on bool
	if bad := setFlag(&on, v); bad != nil {
		return bad
	}
	*led = "Off"
	if on {
		*led = "Blinking"
	}
	return nil
}

// setPolicy sets what happens when power returns; it is kept and does nothing.
func setPolicy(e *edit, v any) *message {
	var word string
	bad := setWord(&word, v, policies)
	if bad == nil {
		e.hold(leaf{[]string{"PowerRestorePolicy"}, word})
	}
	return bad
}

// setRole sets what an account may do.
func setRole(e *edit, v any) *message { return setWord(&e.account.role, v, roles) }

// setImage sets the address of the image in a medium; none ejects it.
func setImage(e *edit, v any) *message {
	if v == nil {
		v = ""
	}
	s, ok := v.(string)
	if !ok || len(s) > maxName {
		return &msgWrongType
	}
	if s != "" && !strings.Contains(s, "://") {
		return &msgAddress
	}
	e.medium = medium{image: s, inserted: s != "", protected: true, bootsNext: e.medium.bootsNext && s != ""}
	return nil
}

// setBootsNext makes the next start boot the medium.
func setBootsNext(e *edit, v any) *message { return setFlag(&e.medium.bootsNext, v) }
