package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"provision-plugins/shared/hostlist"
	"provision-plugins/shared/model"
)

// newDoctorCommand makes "doctor".
func newDoctorCommand(a *app) *cobra.Command {
	cmd, o := newActionCommand(a, "doctor", "Check everything between here and the devices", false, func(*actionOptions) (actionCall, error) {
		return actionCall{verb: "doctor", command: model.Doctor}, nil
	})
	a.addSelf(cmd, func() bool { return o.all || len(o.filters) > 0 })
	cmd.Use = "doctor [TARGETS...]"
	cmd.Long = `Check everything between here and the devices of machines: the name, the route,
the port, the login and what comes after it.

Each check that is not ok says why and what to do. What needs a check that
failed is skipped. Nothing is changed, and a login that fails is tried once.
Machines with equal answers are shown together.

Without TARGETS the endpoint itself is examined, the one of this machine also
while it does not run: its data directory, master key, ports, certificate, disk,
clock and plugins. --endpoint without a URL says so, whatever the configuration
names.

The exit code is that of the worst check that failed; a warning is none.`
	cmd.Example = "  oob doctor m1\n  oob doctor @rack1 --json\n  oob doctor --endpoint"
	return cmd
}

// ladder is the checks of a machine, and the same without what differs between
// machines that are in the same state: times, addresses, and what a check has
// found.
type ladder struct{ own, shared *model.Checkup }

// laddersOf is where the answers of an action are gathered that are ladders of
// checks; nil if they are not.
func laddersOf(command string) *folder[ladder] {
	if command != model.Doctor {
		return nil
	}
	return newFolder[ladder]()
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
		r.printLadder(ans.machine.name, c)
	default:
		shared := ans.sharedLadder(c)
		r.ladders.add(fmt.Sprintf("%q", shared.Checks), ans.machine.name, ladder{c, shared})
	}
	return true
}

// sharedLadder is a ladder as other machines may have it.
func (ans answer) sharedLadder(c *model.Checkup) *model.Checkup {
	shared := &model.Checkup{Verdict: c.Verdict}
	for _, check := range c.Checks {
		check.Found, check.Cause, check.Mend = "", ans.common(check.Cause), ans.common(check.Mend)
		shared.Checks = append(shared.Checks, check)
	}
	return shared
}

// printLadders prints one ladder for all machines that have the same. Of several
// that are well only what was not looked at is told.
func (r *report) printLadders() {
	if r.ladders == nil {
		return
	}
	for _, g := range r.ladders.list() {
		c := g.value.shared
		switch {
		case len(g.names) == 1:
			c = g.value.own
		case c.Verdict == model.VerdictOK:
			c.Checks = slices.DeleteFunc(c.Checks, func(check model.Check) bool { return check.Verdict == model.VerdictOK })
		}
		r.printLadder(hostlist.Fold(g.names), c)
	}
}

// printLadder prints a ladder under the names of its machines.
func (r *report) printLadder(names string, c *model.Checkup) {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, check := range c.Checks {
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", clean(string(check.Verdict)), clean(check.Name), clean(told(check)))
		if check.Mend != "" {
			fmt.Fprintf(tw, "  \t\t-> %s\n", clean(check.Mend))
		}
	}
	_ = tw.Flush() // a Builder takes everything
	out := fmt.Sprintf("%s: %s\n", clean(names), clean(string(c.Verdict)))
	for line := range strings.Lines(b.String()) {
		out += strings.TrimRight(line, " \n") + "\n"
	}
	if _, err := io.WriteString(r.app.stdout, out); err != nil && r.err == nil {
		r.err = model.Errorf(model.Internal, "cannot print: %w", err)
	}
}

// told is what a check says besides its mend.
func told(check model.Check) string {
	if check.Found == "" || check.Cause == "" {
		return check.Found + check.Cause
	}
	return check.Found + "; " + check.Cause
}
