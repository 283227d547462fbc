package main

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/hostlist"
	"provision-plugins/shared/model"
)

const (
	// completionBound is how long a shell waits for names at most.
	completionBound = time.Second
	// maxCompletions is how many names a shell is given.
	maxCompletions = 500
)

// namer lists names that begin with a prefix, as far as the endpoint can tell.
type namer func(ctx context.Context, c *client.Client, prefix string) ([]string, error)

// completes makes a shell complete words by names from the endpoint. Where that
// fails, a shell is told nothing: it has no place for an error.
func (a *app) completes(list namer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		return a.complete(cmd.Context(), list, word), cobra.ShellCompDirectiveNoFileComp
	}
}

// completesOne is completes for a command that takes one name.
func (a *app) completesOne(list namer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.complete(cmd.Context(), list, word), cobra.ShellCompDirectiveNoFileComp
	}
}

// complete lists the names that begin with word.
func (a *app) complete(ctx context.Context, list namer, word string) []string {
	ctx, cancel := context.WithTimeout(ctx, completionBound)
	defer cancel()
	var names []string
	err := a.withClient(func(c *client.Client) error {
		var err error
		names, err = list(ctx, c, word)
		return err
	})
	if err != nil {
		return nil
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, word) || clean(name) != name })
	return names[:min(len(names), maxCompletions)]
}

// completesTargets makes a shell complete machine names and, after @, profiles,
// also the last of a comma list.
func (a *app) completesTargets() cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		before, last := lastTarget(word)
		list := machineNames
		if strings.HasPrefix(last, "@") {
			list = profileTargets
		}
		names := a.complete(cmd.Context(), list, last)
		for i := range names {
			names[i] = before + names[i]
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// lastTarget splits a host list after its last comma that is in no bracket.
func lastTarget(word string) (before, last string) {
	at, depth := 0, 0
	for i, r := range word {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == ',' && depth == 0:
			at = i + 1
		}
	}
	return word[:at], word[at:]
}

// named is the query for objects whose names begin with a prefix.
func named(prefix string) client.Query {
	q := client.Query{Limit: maxCompletions}
	if prefix != "" {
		q.Filters = []client.Filter{client.Where("Name", client.Re, "^"+regexp.QuoteMeta(prefix))}
	}
	return q
}

// machineNames lists names of machines.
func machineNames(ctx context.Context, c *client.Client, prefix string) ([]string, error) {
	list, err := c.Machines().List(ctx, named(prefix))
	names := namesIn(list, func(m model.Machine) string { return m.Name })
	hostlist.Sort(names)
	return names, err
}

// profileNames lists names of profiles.
func profileNames(ctx context.Context, c *client.Client, prefix string) ([]string, error) {
	list, err := c.Profiles().List(ctx, named(prefix))
	return namesIn(list, func(p model.Profile) string { return p.Name }), err
}

// profileTargets lists profiles as targets.
func profileTargets(ctx context.Context, c *client.Client, prefix string) ([]string, error) {
	names, err := profileNames(ctx, c, strings.TrimPrefix(prefix, "@"))
	for i := range names {
		names[i] = "@" + names[i]
	}
	return names, err
}

// pluginNames lists names of plugins.
func pluginNames(ctx context.Context, c *client.Client, prefix string) ([]string, error) {
	list, err := c.Plugins().List(ctx, named(prefix))
	return namesIn(list, func(p model.Plugin) string { return p.Name }), err
}

// providerNames lists names of plugin providers.
func providerNames(ctx context.Context, c *client.Client, _ string) ([]string, error) {
	list, err := c.Providers().List(ctx, client.Query{})
	names := namesIn(list, func(p model.PluginProvider) string { return p.Name })
	slices.Sort(names)
	return slices.Compact(names), err
}

// paramNames lists names of params.
func paramNames(ctx context.Context, c *client.Client, prefix string) ([]string, error) {
	list, err := c.Params().List(ctx, named(prefix))
	return namesIn(list, func(p model.Param) string { return p.Name }), err
}

// runIDs lists the newest runs.
func runIDs(ctx context.Context, c *client.Client, _ string) ([]string, error) {
	runs, err := fetchRuns(ctx, c, runsOptions{limit: maxCompletions})
	return namesIn(runs, func(r model.Run) string { return r.ID }), err
}

// namesIn lists what name finds in a list.
func namesIn[T any](list []T, name func(T) string) []string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = name(list[i])
	}
	return names
}

// flagNamers are the flags whose values are names, whatever the command.
var flagNamers = map[string]namer{
	"plugin":  pluginNames,
	"driver":  providerNames,
	"profile": profileNames,
	"unset":   paramNames,

	"add-profile":    profileNames,
	"remove-profile": profileNames,
}

// addCompletion adds the completion of flags to a command and all below it.
func (a *app) addCompletion(cmd *cobra.Command) {
	for name, list := range flagNamers {
		if cmd.Flags().Lookup(name) != nil {
			// It fails for a flag that is not there only.
			_ = cmd.RegisterFlagCompletionFunc(name, a.completes(list))
		}
	}
	for _, below := range cmd.Commands() {
		a.addCompletion(below)
	}
}
