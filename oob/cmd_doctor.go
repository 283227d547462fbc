package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"provision-plugins/oob/hostlist"
	"provision-plugins/shared/model"
)

// newDoctorCommand makes "doctor".
func newDoctorCommand(a *app) *cobra.Command {
	cmd, _ := newActionCommand(a, "doctor", "Check everything between here and the devices", false, func(*actionOptions) (actionCall, error) {
		return actionCall{verb: "doctor", command: model.Doctor}, nil
	})
	cmd.Long = `Check everything between here and the devices of machines: the name, the route,
the port, the login and what comes after it.

Each check that is not ok says why and what to do. What needs a check that
failed is skipped. Nothing is changed, and a login that fails is tried once.
Machines with equal answers are shown together.

The exit code is that of the worst check that failed; a warning is none.`
	cmd.Example = "  oob doctor m1\n  oob doctor @rack1 --json"
	return cmd
}

// laddersOf is where the answers of an action are gathered that are ladders of
// checks; nil if they are not.
func laddersOf(command string) *folder[*model.Checkup] {
	if command != model.Doctor {
		return nil
	}
	return newFolder[*model.Checkup]()
}

// checkupOf reads a ladder of checks, nil if the answer is none.
func checkupOf(raw json.RawMessage) *model.Checkup {
	var c model.Checkup
	if json.Unmarshal(raw, &c) != nil || len(c.Checks) == 0 {
		return nil
	}
	return &c
}

// addLadder takes an answer if it is a ladder of checks, and reports whether it
// is.
func (r *report) addLadder(ans answer) bool {
	if r.ladders == nil || ans.err != nil {
		return false
	}
	c := checkupOf(ans.raw)
	if c == nil {
		return false
	}
	r.done++
	if failed := c.Failed(); failed != nil {
		r.failed++
		r.exit = max(r.exit, failed.Kind.Info().Exit)
	}
	switch {
	case r.app.flags.json:
		r.printJSON(jsonAnswer{Machine: ans.machine.name, Run: ans.run, Result: ans.raw})
	case r.each || r.total == 1:
		r.bar.Clear()
		r.printLadder(ans.machine.name, c, true)
	default:
		r.ladders.add(ans.ladderKey(c), ans.machine.name, c)
	}
	return true
}

// ladderKey is a ladder without what differs between machines that are in the
// same state: times, addresses, and what a check that is ok has found.
func (ans answer) ladderKey(c *model.Checkup) string {
	var b strings.Builder
	for _, check := range c.Checks {
		fmt.Fprintf(&b, "%s\x00%s\x00%s\x00%s\n", check.Name, check.Verdict, ans.common(check.Cause), ans.common(check.Mend))
	}
	return b.String()
}

// printLadders prints one ladder for all machines that have the same.
func (r *report) printLadders() {
	if r.ladders == nil {
		return
	}
	for _, g := range r.ladders.list() {
		r.printLadder(hostlist.Fold(g.names), g.value, len(g.names) == 1)
	}
}

// printLadder prints a ladder under the names of its machines. What the checks
// have found is of one machine alone.
func (r *report) printLadder(names string, c *model.Checkup, alone bool) {
	fmt.Fprintf(r.app.stdout, "%s: %s\n", clean(names), clean(string(c.Verdict)))
	tw := tabwriter.NewWriter(r.app.stdout, 0, 0, 2, ' ', 0)
	for _, check := range c.Checks {
		text := check.Cause
		if alone && check.Found != "" {
			text = strings.TrimSuffix(check.Found+"; "+check.Cause, "; ")
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", clean(string(check.Verdict)), clean(check.Name), clean(text))
		if check.Mend != "" && check.Verdict != model.VerdictSkipped {
			fmt.Fprintf(tw, "  \t\t-> %s\n", clean(check.Mend))
		}
	}
	if err := tw.Flush(); err != nil && r.err == nil {
		r.err = model.Errorf(model.Internal, "cannot print: %w", err)
	}
}
