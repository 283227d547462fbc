package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// newProfileCommand makes "profile" and what is below it.
func newProfileCommand(a *app) *cobra.Command {
	return groupCommand(&cobra.Command{
		Use:   "profile",
		Short: "List, add, change and remove profiles: params that many machines share",
		Long: `List, add, change and remove profiles: params that many machines share. A
machine has those of "oob machine set --add-profile", and is a target of
@PROFILE. The profile global is of all machines.`,
	}, newProfileListCommand(a), newProfileShowCommand(a), newProfileAddCommand(a), newProfileSetCommand(a), newProfileRemoveCommand(a))
}

// noProfile tells of a profile that is not there.
const noProfile = "no profile is called %s; `oob profile list` lists them"

// newProfileListCommand makes "profile list".
func newProfileListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List profiles, and how many machines have each",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(func(c *client.Client) error { return a.listProfiles(cmd.Context(), c) })
		},
	}
}

// listProfiles prints the profiles.
func (a *app) listProfiles(ctx context.Context, c *client.Client) error {
	list, err := c.Profiles().List(ctx, client.Query{Sort: "Name"})
	if err != nil {
		return err
	}
	machines, err := c.Machines().List(ctx, client.Query{})
	if err != nil {
		return err
	}
	has := map[string]int{model.GlobalProfile: len(machines)}
	for i := range machines {
		for _, name := range machines[i].Profiles {
			has[name]++
		}
	}
	rows := [][]string{{"NAME", "PARAMS", "MACHINES", "DESCRIPTION"}}
	for _, p := range list {
		rows = append(rows, []string{p.Name, fmt.Sprint(len(p.Params)), fmt.Sprint(has[p.Name]), p.Description})
	}
	return printList(a, list, rows)
}

// newProfileShowCommand makes "profile show".
func newProfileShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show one profile with its params; secrets are masked",
		Args:  wants(1, 1, "the NAME of one profile"),

		ValidArgsFunction: a.completesOne(profileNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				p, err := c.Profiles().Get(cmd.Context(), args[0])
				switch {
				case err != nil:
					return instead(err, model.NotFound, noProfile, args[0])
				case a.flags.json:
					return a.printJSON(p)
				}
				rows := [][]string{{"name", p.Name}}
				for _, row := range [][]string{{"description", p.Description}, {"profiles", strings.Join(p.Profiles, ", ")}} {
					if row[1] != "" {
						rows = append(rows, row)
					}
				}
				if err := table(a.stdout, rows); err != nil || len(p.Params) == 0 {
					return err
				}
				fmt.Fprintln(a.stdout, "params")
				return table(a.stdout, paramRows(p.Params, "  "))
			})
		},
	}
}

// newProfileAddCommand makes "profile add".
func newProfileAddCommand(a *app) *cobra.Command {
	var params paramFlags
	var p model.Profile
	cmd := &cobra.Command{
		Use:     "add NAME [k=v...]",
		Short:   "Add a profile",
		Example: "  oob profile add rack1 oob/timeout=30 --param-file ipmi/password=./pw",
		Args:    wants(1, -1, "the NAME of one profile, then k=v"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				name, err := onlyTarget("profile", args, &params)
				if err != nil {
					return err
				}
				p.Name = name
				if p.Params, err = params.read(cmd.Context(), a, c); err != nil {
					return err
				}
				if _, err := c.Profiles().Create(cmd.Context(), &p); err != nil {
					return instead(err, model.Conflict, "profile %s already exists; `oob profile set %s` changes its params", name, word(name))
				}
				return a.printState("profile", name, "added")
			})
		},
	}
	params.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&p.Description, "description", "", "what it is for")
	return cmd
}

// newProfileSetCommand makes "profile set".
func newProfileSetCommand(a *app) *cobra.Command {
	return newSetCommand(a, settable[model.Profile]{
		kind: "profile", short: "Set and unset params of a profile", names: profileNames, absent: noProfile,
		objects: (*client.Client).Profiles,
		params:  func(p *model.Profile) model.Params { return p.Params },
		after: func(_ context.Context, _ *client.Client, name string) error {
			return a.printState("profile", name, "set")
		},
	})
}

// newProfileRemoveCommand makes "profile remove".
func newProfileRemoveCommand(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:     "remove NAME",
		Aliases: []string{"rm"},
		Short:   "Remove a profile that no machine has",
		Args:    wants(1, 1, "the NAME of one profile"),

		ValidArgsFunction: a.completesOne(profileNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirmThe(cmd.Context(), "profile remove", "profile", args, yes); err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				if _, err := c.Profiles().Delete(cmd.Context(), args[0]); err != nil {
					return instead(err, model.NotFound, noProfile, args[0])
				}
				return a.printState("profile", args[0], "removed")
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// profileEdit says which profiles machines are given and lose.
type profileEdit struct{ add, remove []string }

// ops is the patch for a machine that has profiles now; nil if it has them so
// already. The patch holds only for the profiles that were read.
func (e *profileEdit) ops(now []string) []client.Op {
	after := slices.DeleteFunc(slices.Clone(now), func(name string) bool { return slices.Contains(e.remove, name) })
	for _, name := range e.add {
		if !slices.Contains(after, name) {
			after = append(after, name)
		}
	}
	if slices.Equal(now, after) {
		return nil
	}
	return []client.Op{client.Test("/Profiles", now), client.Replace("/Profiles", after)}
}

// check refuses what cannot be meant.
func (e *profileEdit) check() error {
	for _, name := range e.add {
		if slices.Contains(e.remove, name) {
			return usage("profile %s is to be added and removed", name)
		}
	}
	return nil
}
