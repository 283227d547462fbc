package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// newEventsCommand makes "events".
func newEventsCommand(a *app) *cobra.Command {
	var follow bool
	var patterns []string
	cmd := &cobra.Command{
		Use:     "events",
		Short:   "Print the endpoint's newest events, and follow them with -f",
		Example: "  oob events -f\n  oob events -f --pattern 'machines.power.*' --json",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(func(c *client.Client) error {
				if follow {
					return a.followEvents(cmd.Context(), c, patterns)
				}
				return a.recentEvents(cmd.Context(), c, patterns)
			})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "print events as they happen, until interrupted")
	cmd.Flags().StringArrayVar(&patterns, "pattern", []string{"*.*.*"}, "events that match `TYPE.ACTION.KEY`, * for any (may be repeated)")
	return cmd
}

// followEvents prints events until ctx ends, which is no error.
func (a *app) followEvents(ctx context.Context, c *client.Client, patterns []string) error {
	return unlessEnded(ctx, c.Events(ctx, patterns, a.printEvent))
}

// recentEvents prints the events the endpoint remembers.
func (a *app) recentEvents(ctx context.Context, c *client.Client, patterns []string) error {
	events, err := client.Fetch[[]model.Event](ctx, c, "events/recent")
	if err != nil {
		return err
	}
	slices.SortStableFunc(events, func(x, y model.Event) int { return x.Time.Compare(y.Time) })
	for i := range events {
		e := &events[i]
		if !slices.ContainsFunc(patterns, func(p string) bool { return matches(p, e) }) {
			continue
		}
		if err := a.printEvent(e); err != nil {
			return err
		}
	}
	return nil
}

// printEvent prints one event.
func (a *app) printEvent(e *model.Event) error {
	if a.flags.json {
		return a.printJSON(e)
	}
	what, detail := eventText(e)
	line := fmt.Sprintf("%s  %-22s %s", stamp(e.Time), e.Type+"."+e.Action, what)
	if detail != "" {
		line += ": " + detail
	}
	if e.Principal != "" && detail == "" {
		line += "  by " + e.Principal
	}
	return a.printLine(line)
}

// eventText tells what an event is about, and what happened to it.
func eventText(e *model.Event) (what, detail string) {
	switch {
	case e.Type == "runs":
		var r model.Run
		if model.Remarshal(e.Object, &r) == nil && r.Name != "" {
			detail = r.Command + " " + string(r.State)
			if outcome := outcomeOf(&r); outcome != "" {
				detail += ": " + outcome
			}
			return r.Name, detail
		}
	case e.Type == "machines" && e.Action == "power":
		var p model.PowerChange
		if model.Remarshal(e.Object, &p) == nil && p.Name != "" {
			return p.Name, string(cmp.Or(p.Was, model.StateUnknown)) + " -> " + string(p.Power)
		}
	}
	var named struct{ Name, Error string }
	if model.Remarshal(e.Object, &named) == nil && named.Name != "" {
		return named.Name, named.Error
	}
	return e.Key, ""
}
