package driver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"provision-plugins/shared/model"
)

// Sighting is something that was read on a device after an order.
type Sighting string

// The sightings. Each counts when two readings in a row told it.
const (
	SawOn       Sighting = "on"       // the machine is on
	SawOff      Sighting = "off"      // the machine is off
	SawRestart  Sighting = "restart"  // a Sign took the value that a restart by command leaves
	SawOverride Sighting = "override" // the boot override reads as it was set
	SawLocator  Sighting = "locator"  // the locator reads as it was ordered
)

// Proof says what proves that an action was done.
type Proof struct {
	// Command is the action.
	Command string
	// Seen are the sightings that make its outcome verified, in that order. With
	// none, nothing does.
	Seen []Sighting
	// Otherwise is what is answered without them.
	Otherwise string
}

// What is answered without a proof.
const (
	elseTimeout = "a timeout that carries the last state read"
	elseConfirm = "acknowledged; unknown-outcome when there was no reply"
)

// Proofs lists, for each action that changes a machine, what proves it. The
// outcome of an action is verified by a row of it and by nothing else.
func Proofs() []Proof {
	out := []Proof{
		{model.PowerOn, []Sighting{SawOn}, elseTimeout},
		{model.PowerOff, []Sighting{SawOff}, elseTimeout},
		{model.PowerSoft, []Sighting{SawOff}, elseTimeout + "; unknown-outcome when there was no reply"},
		{model.PowerCycle, []Sighting{SawOff, SawOn}, elseConfirm + "; a timeout when on was not seen after off"},
		{model.PowerReset, []Sighting{SawRestart}, elseConfirm},
		{model.PowerNMI, nil, elseConfirm},
	}
	for _, command := range []string{
		model.NextBootPXE, model.NextBootDisk, model.NextBootCD, model.NextBootBIOS, model.ForceBootPXE, model.ForceBootDisk,
	} {
		out = append(out, Proof{command, []Sighting{SawOverride}, "a timeout that names what was set and what reads back; acknowledged where nothing can be read"})
	}
	return append(out, Proof{model.Identify, []Sighting{SawLocator}, "acknowledged"})
}

// sawState is the sighting of a power state; others prove nothing.
var sawState = map[model.PowerState]Sighting{model.StateOn: SawOn, model.StateOff: SawOff}

// sighted is a sighting and how it is told.
type sighted struct {
	what Sighting
	text string
}

// saw records a sighting.
func (r *run) saw(what Sighting, format string, args ...any) {
	r.seen = append(r.seen, sighted{what, fmt.Sprintf(format, args...)})
}

// sawPower records that a state held which was first read at. A state that goes
// on is seen once.
func (r *run) sawPower(state model.PowerState, at time.Duration) {
	if n := len(r.seen); n > 0 && r.seen[n-1].what == sawState[state] {
		return
	}
	r.saw(sawState[state], "%s at %.1fs", state, at.Seconds())
}

// proven reports whether what was seen is the proof of a command.
func (r *run) proven(command string) bool {
	all := Proofs()
	i := slices.IndexFunc(all, func(p Proof) bool { return p.Command == command })
	if i < 0 || len(all[i].Seen) == 0 {
		return false
	}
	missing := all[i].Seen
	for _, s := range r.seen {
		if len(missing) > 0 && s.what == missing[0] {
			missing = missing[1:]
		}
	}
	return len(missing) == 0
}

// conclude is the result of a command that the device took: verified if its
// proof was seen, else acknowledged.
func (r *run) conclude(command string, res model.Result) model.Result {
	res.Outcome = model.Acknowledged
	if r.proven(command) {
		res.Outcome = model.Verified
		res.Evidence = r.evidence()
	}
	return r.result(res)
}

// evidence tells what was seen.
func (r *run) evidence() string {
	var states, others []string
	for _, s := range r.seen {
		if s.what == SawOn || s.what == SawOff {
			states = append(states, s.text)
		} else {
			others = append(others, s.text)
		}
	}
	if len(states) > 0 {
		others = append([]string{"state " + strings.Join(states, ", ")}, others...)
	}
	return strings.Join(others, "; ")
}

// lookAt is what an error of kind unknown-outcome ends with: where its outcome
// can be seen.
func (req *request) lookAt() string {
	if req.cap == nil {
		return "before sending it again look at what became of it"
	}
	return "before sending it again look at `oob power status` and at the machine's console, uptime and event log"
}

// signs reads what a restart would change, of the device's signs those that can
// prove one from here on, and that two readings tell: were the first one wrong,
// the truth would look like a restart. A device without any, or that does not
// answer, has none.
func (r *run) signs(ctx context.Context) []Sign {
	first := slices.DeleteFunc(r.readSigns(ctx), func(s Sign) bool { return s.Proof == "" || s.Value == s.Proof })
	if len(first) == 0 || !pause(ctx, holdGap) {
		return nil
	}
	second := r.readSigns(ctx, first...)
	return slices.DeleteFunc(first, func(s Sign) bool { return !slices.Contains(second, s) })
}

// readSigns makes one try to read the signs, only those that were read before if
// there are any.
func (r *run) readSigns(ctx context.Context, before ...Sign) []Sign {
	if r.reopen(ctx) != nil || !has[RestartWitness](r.sess) {
		return nil
	}
	names := make([]string, 0, len(before))
	for _, b := range before {
		names = append(names, b.Name)
	}
	var out []Sign
	err := r.take(ctx, step{name: "read signs of a restart", call: with(func(ctx context.Context, s RestartWitness) error {
		got, err := s.RestartSigns(ctx, names...)
		out = got
		return err
	})}, 1)
	if err != nil {
		r.log.DebugContext(ctx, "no signs of a restart", "machine", r.req.target.Name, "error", r.req.secrets.text(textOf(err)))
		return nil
	}
	return out
}

// awaitSign watches for one of the signs to take the value that proves a
// restart, in two readings in a row.
func (r *run) awaitSign(ctx context.Context, before []Sign) {
	start, once, before := time.Now(), make(map[string]bool), slices.Clone(before)
	for gap := firstGap; len(before) > 0; gap = min(gap*3/2, maxGap) {
		after := r.readSigns(ctx, before...)
		for _, b := range before {
			proved := slices.ContainsFunc(after, func(a Sign) bool { return a.Name == b.Name && a.Value == b.Proof })
			if proved && once[b.Name] {
				r.saw(SawRestart, "%s %s, then %s at %.1fs", b.Name, b.Value, b.Proof, r.since().Seconds())
				return
			}
			once[b.Name] = proved
		}
		if !pause(ctx, gap) {
			return
		}
		over := time.Since(start)
		before = slices.DeleteFunc(before, func(b Sign) bool { return over > min(b.Within, r.req.timeout/3) && !once[b.Name] })
	}
}
