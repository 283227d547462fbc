package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// warnUnknown tells on stderr which of the params nobody declares, each with
// the one that was probably meant. They are set all the same: who is to read them
// may come later.
func (a *app) warnUnknown(ctx context.Context, c *client.Client, all ...model.Params) {
	var names []string
	for _, params := range all {
		for name := range params {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	known, err := knownParams(ctx, c)
	if err != nil { // it is only advice
		return
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if slices.Contains(known, name) {
			continue
		}
		advice := "`oob param list` lists those that are"
		if near := nearest(name, known); near != "" {
			advice = near + " is"
		}
		fmt.Fprintf(a.stderr, "warning: param %s is known to no content and no plugin; %s\n", clean(name), clean(advice))
	}
}

// knownParams lists, in order, the params that content declares and those that
// the actions of plugins take.
func knownParams(ctx context.Context, c *client.Client) ([]string, error) {
	list, err := c.Params().List(ctx, client.Query{})
	if err != nil {
		return nil, err
	}
	providers, err := c.Providers().List(ctx, client.Query{})
	if err != nil {
		return nil, err
	}
	var known []string
	for i := range list {
		known = append(known, list[i].Name)
	}
	for i := range providers {
		for _, action := range providers[i].AvailableActions {
			known = append(append(known, action.RequiredParams...), action.OptionalParams...)
		}
	}
	slices.Sort(known)
	return slices.Compact(known), nil
}

// nearest is the known name that is most like another: one that goes on after it
// with a dash, or else the one that takes the fewest changes; "" if none is like
// it.
func nearest(name string, known []string) string {
	const changeable = 4 // one change for so many characters
	best, least := "", len(name)/changeable+1
	for _, k := range known {
		if name != "" && strings.HasPrefix(k, name+"-") {
			return k
		}
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is how many bytes must be added, removed or replaced to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
