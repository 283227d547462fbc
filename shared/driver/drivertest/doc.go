// Package drivertest is the conformance suite of drivers. It drives a driver
// through driver.Provider against a device of the rig, and asserts what the
// device executed rather than what was said about it.
//
// A driver adopts it with a Config: a function that makes a rig, and the
// actions and faults that its device does not have, each with the reason.
//
// The rules, the cases that hold them, and the broken toy, of a driver or of a
// Provider, that fails each in the tests of this package:
//
//	rule                                     case                    broken toy
//	on and off reach the state, seen         evidence/*              resets to switch on; verifies without evidence
//	already so is success, nothing sent      idempotence/*           orders twice
//	no button for off, no restart for on     evidence/*              presses the button to switch off
//	soft is pressed once                     lost-reply/powersoft    sends a soft-off again
//	soft, then off after oob/force-after     force-after/powersoft   presses the button again; does not force
//	soft on a machine that is off: nothing   powersoft/from-off      presses the button of a machine that is off
//	cycle is off, then on                    powercycle/from-on      resets to cycle
//	cycle from off is on, and says so        powercycle/from-off     resets to cycle (from-on)
//	reset and NMI once, refused when off     powerreset, powernmi    takes a refusal for success
//	the state now, never a remembered one    powerstatus             remembers the state; says on for off
//	a strange word is unknown, never off     strange-state           takes a strange word for off
//	next boot once, force boot always        boot/*                  boots so for ever; does not set the boot device
//	the locator is lit                       identify                lights nothing
//	once: sent once, at any layer            lost-reply/*            sends a cycle, a reset again
//	silence is not success                   lost-request/*          takes silence for success
//	no reply, no evidence: unknown-outcome   lost-reply/*            calls unknown not sent
//	a refusal is a conflict                  wrong-state/*           takes a refusal for success
//	taken is not reached; the last state     stuck/*                 believes its own orders
//	oob/wait=false: accepted, goes on        accepted/poweroff       says done and does nothing; waits for who does not
//	refused credentials: device-auth, twice  credentials/*           calls them unreachable; tries again and again
//	who is not there is unreachable          unreachable/*, silent   gives errors without kind
//	every call ends in time                  silent, lost-request/*  outlives its context
//	a protected machine refuses              protected               forgets protection
//	params are checked, by name              params/wrong-type       ignores params of the wrong type
//	errors are one line, with a kind         every case              gives errors without kind
//	no secret in answers, errors, logs       every case              tells, logs the password
//	nothing is left behind                   every case              keeps its connections; leaves a goroutine
//	a driver has what it says it has         actions                 TestMissingActionsFail
//
// Who leaves (cancel/*), who comes at the same time (serialise) and who stops
// (stop) is the Provider's business alone, whose own tests break it. What only
// one transport can lose or delay is held by the tests of its driver.
package drivertest
