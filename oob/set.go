package main

import (
	"context"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// settable is a kind of object with params, one of which "set" changes.
type settable[T any] struct {
	// kind is its word in the command line.
	kind string

	// short is the help of the command.
	short string

	// names lists those there are, for completion.
	names namer

	// absent tells of one that is not there.
	absent string

	// objects are those the endpoint has.
	objects func(*client.Client) client.Objects[T]

	// params are those an object has now.
	params func(*T) model.Params

	// after waits until the change is in force and tells of it.
	after func(ctx context.Context, c *client.Client, name string) error
}

// newSetCommand makes the "set" of a kind of object.
func newSetCommand[T any](a *app, s settable[T]) *cobra.Command {
	var params paramFlags
	var unset []string
	cmd := &cobra.Command{
		Use:   "set NAME [k=v...]",
		Short: s.short,
		Args:  wants(1, -1, "the NAME of one "+s.kind+", then k=v"),

		ValidArgsFunction: a.completesOne(s.names),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				name, err := onlyTarget(s.kind, args, &params)
				if err != nil {
					return err
				}
				values, err := params.read(cmd.Context(), a, c)
				if err != nil {
					return err
				}
				return s.set(cmd.Context(), c, name, values, unset)
			})
		},
	}
	params.addFlags(cmd.Flags())
	cmd.Flags().StringArrayVar(&unset, "unset", nil, "unset this `PARAM` (may be repeated)")
	return cmd
}

// set changes params of one object.
func (s settable[T]) set(ctx context.Context, c *client.Client, name string, values model.Params, unset []string) error {
	if len(values)+len(unset) == 0 {
		return usage("nothing to set: give k=v, --param-file k=FILE or --unset k")
	}
	objects := s.objects(c)
	now, err := objects.Get(ctx, name)
	if err != nil {
		return instead(err, model.NotFound, s.absent, name)
	}
	ops, err := paramOps(s.params(now), values, unset)
	if err != nil {
		return err
	}
	if _, err := objects.Patch(ctx, name, ops...); err != nil {
		return err
	}
	return s.after(ctx, c, name)
}
