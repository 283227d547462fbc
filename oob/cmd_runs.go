package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/hostlist"
	"provision-plugins/shared/model"
)

// runsOptions are the flags of "runs list".
type runsOptions struct {
	machines []string
	limit    int
}

// newRunsCommand makes "runs", which lists, and what is below it.
func newRunsCommand(a *app) *cobra.Command {
	var o runsOptions
	list := func(cmd *cobra.Command) error {
		return a.withClient(func(c *client.Client) error { return a.listRuns(cmd.Context(), c, o) })
	}
	group := groupCommand(&cobra.Command{
		Use:   "runs",
		Short: "List what was done, the newest first, and how it ended",
	}, &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List runs, the newest first",
		Args:    none,
		RunE:    func(cmd *cobra.Command, _ []string) error { return list(cmd) },
	}, newRunsShowCommand(a), newRunsCancelCommand(a))
	group.RunE = func(cmd *cobra.Command, _ []string) error { return list(cmd) }
	fs := group.PersistentFlags()
	fs.StringArrayVar(&o.machines, "machine", nil, "runs on these `TARGETS` only")
	_ = group.RegisterFlagCompletionFunc("machine", a.completesTargets())
	fs.IntVarP(&o.limit, "limit", "n", 50, "at most this many; 0 for all")
	return group
}

// fetchRuns lists runs, the newest first.
func fetchRuns(ctx context.Context, c *client.Client, o runsOptions) ([]model.Run, error) {
	var names []string
	var query client.Query
	if len(o.machines) > 0 {
		var err error
		if names, err = hostlist.Expand(strings.Join(o.machines, ",")); err != nil {
			return nil, usage("--machine: %w", err)
		}
		if len(names) == 1 {
			query.Filters = []client.Filter{client.Where("Name", client.AsGiven, names[0])}
		}
	}
	runs, err := c.Runs().List(ctx, query)
	if err != nil {
		return nil, err
	}
	if len(names) > 0 {
		wanted := make(map[string]bool, len(names))
		for _, name := range names {
			wanted[name] = true
		}
		runs = slices.DeleteFunc(runs, func(r model.Run) bool { return !wanted[r.Name] })
	}
	slices.SortStableFunc(runs, func(a, b model.Run) int {
		return cmp.Or(b.Created.Compare(a.Created), hostlist.Compare(a.Name, b.Name))
	})
	if o.limit > 0 && len(runs) > o.limit {
		runs = runs[:o.limit]
	}
	return runs, nil
}

// listRuns prints runs.
func (a *app) listRuns(ctx context.Context, c *client.Client, o runsOptions) error {
	if o.limit < 0 {
		return usage("--limit must not be negative")
	}
	runs, err := fetchRuns(ctx, c, o)
	if err != nil {
		return err
	}
	rows := [][]string{{"ID", "TIME", "MACHINE", "ACTION", "STATE", "BY", "OUTCOME"}}
	for i := range runs {
		if a.flags.json {
			if err := a.printJSON(&runs[i]); err != nil {
				return err
			}
			continue
		}
		r := &runs[i]
		rows = append(rows, []string{r.ID, stamp(r.Created), r.Name, r.Command, string(r.State), r.Principal, outcomeOf(r)})
	}
	if a.flags.json {
		return nil
	}
	if len(runs) == 0 {
		text := "no runs: nothing was changed yet"
		if len(o.machines) > 0 {
			text = "no runs of " + strings.Join(o.machines, ",")
		}
		fmt.Fprintln(a.stderr, clean(text))
		return nil
	}
	return table(a.stdout, rows)
}

// outcomeOf is a run's result or error for people.
func outcomeOf(r *model.Run) string {
	if r.Error == nil && len(r.Result) == 0 {
		return ""
	}
	return answer{machine: machine{name: r.Name}, raw: r.Result, err: r.Error}.text()
}

// findRun finds a run by its ID or the beginning of it.
func findRun(ctx context.Context, c *client.Client, id string) (*model.Run, error) {
	run, err := c.Runs().Get(ctx, id)
	if err == nil || model.KindOf(err) != model.NotFound {
		return run, err
	}
	runs, err := fetchRuns(ctx, c, runsOptions{})
	if err != nil {
		return nil, err
	}
	runs = slices.DeleteFunc(runs, func(r model.Run) bool { return !strings.HasPrefix(r.ID, id) })
	switch len(runs) {
	case 0:
		return nil, model.Errorf(model.NotFound, "no run is called %s; `oob runs list` lists them", id)
	case 1:
		return &runs[0], nil
	}
	return nil, usage("%d runs begin with %s: give more of the ID", len(runs), id)
}

// showRun prints one run.
func (a *app) showRun(ctx context.Context, c *client.Client, id string) error {
	r, err := findRun(ctx, c, id)
	if err != nil {
		return err
	}
	if a.flags.json {
		return a.printJSON(r)
	}
	params := ""
	if len(r.Params) > 0 {
		raw, err := json.Marshal(model.RedactParams(r.Params, nil))
		if err != nil {
			return model.Errorf(model.Internal, "cannot print params: %w", err)
		}
		params = string(raw)
	}
	rows := [][]string{{"id", r.ID}, {"machine", r.Name}, {"action", r.Command}, {"state", string(r.State)}}
	for _, row := range [][]string{
		{"outcome", outcomeOf(r)},
		{"by", r.Principal}, {"reason", r.Reason}, {"plugin", r.Plugin}, {"params", params},
		{"created", stamp(r.Created)}, {"sent", stamp(r.Sent)}, {"ended", stamp(r.Ended)}, {"took", took(r)},
		{"deadline", stamp(r.Deadline)}, {"released", r.Released},
	} {
		if row[1] != "" && row[1] != "-" {
			rows = append(rows, row)
		}
	}
	if err := table(a.stdout, rows); err != nil {
		return err
	}
	if r.Log != "" {
		fmt.Fprintln(a.stdout, "log")
		for line := range strings.Lines(r.Log) {
			fmt.Fprintln(a.stdout, "  "+clean(line))
		}
	}
	return nil
}

// took is how long the plugin had the run.
func took(r *model.Run) string {
	if r.Sent.IsZero() || r.Ended.IsZero() {
		return ""
	}
	return r.Ended.Sub(r.Sent).Round(time.Millisecond).String()
}
