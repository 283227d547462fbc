package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/content"
	"provision-plugins/shared/content/bundle"
	"provision-plugins/shared/model"
)

// newContentsCommand makes "contents" and what is below it.
func newContentsCommand(a *app) *cobra.Command {
	return groupCommand(&cobra.Command{
		Use:   "contents",
		Short: "List, show, upload and remove content layers: params, profiles, stages and so on",
	}, newContentsListCommand(a), newContentsShowCommand(a), newContentsUploadCommand(a), newContentsBundleCommand(a), newContentsRemoveCommand(a))
}

// newContentsListCommand makes "contents list".
func newContentsListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List content layers",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(func(c *client.Client) error {
				list, err := client.Fetch[[]model.ContentSummary](cmd.Context(), c, "contents")
				if err != nil {
					return err
				}
				rows := [][]string{{"NAME", "VERSION", "TYPE", "OBJECTS", "WARNINGS"}}
				for _, s := range list {
					rows = append(rows, []string{s.Meta.Name, s.Meta.Version, s.Meta.Type, countsText(s.Counts), strings.Join(s.Warnings, "; ")})
				}
				return printList(a, list, rows)
			})
		},
	}
}

// countsText tells how many objects of each kind there are.
func countsText(counts map[string]int) string {
	var words []string
	for _, prefix := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[prefix]; n > 0 {
			words = append(words, count(n, strings.TrimSuffix(prefix, "s")))
		}
	}
	return strings.Join(words, ", ")
}

// newContentsShowCommand makes "contents show".
func newContentsShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Print a content layer as YAML, or with --json as JSON",
		Args:  wants(1, 1, "the NAME of one content layer"),

		ValidArgsFunction: a.completesOne(contentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				layer, err := client.Fetch[model.Content](cmd.Context(), c, client.Path("contents", args[0]))
				if err != nil {
					return instead(err, model.NotFound, noContent, args[0])
				}
				encode := bundle.EncodeYAML
				if a.flags.json {
					encode = bundle.EncodeJSON
				}
				if err := encode(a.stdout, &layer); err != nil {
					return model.Errorf(model.Internal, "cannot print: %w", err)
				}
				return nil
			})
		},
	}
}

// noContent tells of a layer that is not there.
const noContent = "no content layer is called %s; `oob contents list` lists them"

// contentNames lists names of content layers.
func contentNames(ctx context.Context, c *client.Client, _ string) ([]string, error) {
	list, err := client.Fetch[[]model.ContentSummary](ctx, c, "contents")
	return namesIn(list, func(s model.ContentSummary) string { return s.Meta.Name }), err
}

// readLayer reads a layer: a folder, a .yaml, .yml or .json file, or stdin.
func (a *app) readLayer(ctx context.Context, path string) (*model.Content, error) {
	if path == "-" {
		raw, err := a.readStdin(model.MaxBody)
		if err != nil {
			return nil, err
		}
		return content.Parse(raw)
	}
	return content.Read(ctx, path)
}

// newContentsUploadCommand makes "contents upload".
func newContentsUploadCommand(a *app) *cobra.Command {
	var replaceWritable, dryRun bool
	cmd := &cobra.Command{
		Use:   "upload FILE|FOLDER",
		Short: "Upload a content layer, new or in place of the one of its name",
		Long: `Upload a content layer, new or in place of the one of its name: a bundle (.yaml,
.yml, .json; - is stdin) or the folder of one. It is checked here first; the
endpoint takes it whole or not at all.`,
		Example: "  oob contents upload ./rack-content\n  oob contents upload rack.yaml --dry-run",
		Args:    wants(1, 1, "one FILE or FOLDER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			layer, err := a.readLayer(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				return a.uploadLayer(cmd.Context(), c, layer, replaceWritable, dryRun)
			})
		},
	}
	cmd.Flags().BoolVar(&replaceWritable, "replace-writable", false, "take objects of the layer's keys that were made by hand into the layer")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "check it, say what would become of it, and send nothing")
	return cmd
}

// uploadLayer uploads a layer.
func (a *app) uploadLayer(ctx context.Context, c *client.Client, layer *model.Content, replaceWritable, dryRun bool) error {
	list, err := client.Fetch[[]model.ContentSummary](ctx, c, "contents")
	if err != nil {
		return err
	}
	name, state := layer.Meta.Name, "uploaded"
	at := slices.IndexFunc(list, func(s model.ContentSummary) bool { return s.Meta.Name == name })
	if at >= 0 {
		state = "replaced version " + cmp.Or(list[at].Meta.Version, "unset")
	}
	counts := map[string]int{}
	for prefix, objects := range layer.Sections {
		counts[prefix] = len(objects)
	}
	state += " by version " + cmp.Or(layer.Meta.Version, "unset") + ": " + cmp.Or(countsText(counts), "no objects")
	if at < 0 {
		state = strings.Replace(state, " by version", ", version", 1)
	}
	if dryRun {
		return a.printState("content", name, "would be "+state)
	}
	query := ""
	if replaceWritable {
		query = "?replaceWritable=true"
	}
	var made model.ContentSummary
	if at >= 0 {
		err = c.Put(ctx, client.Path("contents", name)+query, layer, &made)
	} else {
		err = c.Post(ctx, "contents"+query, layer, &made)
	}
	if err != nil {
		return err
	}
	for _, text := range made.Warnings {
		fmt.Fprintf(a.stderr, "warning: %s\n", clean(text))
	}
	return a.printState("content", name, state)
}

// newContentsBundleCommand makes "contents bundle".
func newContentsBundleCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "bundle FOLDER [FILE]",
		Short: "Check the folder of a content layer, and print it as one file",
		Long: `Check the folder of a content layer, and print it as one file, YAML or with
--json JSON, or write it to FILE. No endpoint is asked.`,
		Args: wants(1, 2, "one FOLDER and a FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			layer, err := a.readLayer(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			out := a.stdout
			encode := bundle.EncodeYAML
			if a.flags.json || len(args) == 2 && filepath.Ext(args[1]) == ".json" {
				encode = bundle.EncodeJSON
			}
			if len(args) == 2 {
				f, err := os.OpenFile(args[1], os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
				if err != nil {
					return usage("cannot write the bundle: %w", err)
				}
				defer f.Close()
				out = f
			}
			if err := encode(out, layer); err != nil {
				return model.Errorf(model.Internal, "%w", err)
			}
			return nil
		},
	}
}

// newContentsRemoveCommand makes "contents remove".
func newContentsRemoveCommand(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:     "remove NAME",
		Aliases: []string{"rm"},
		Short:   "Remove a content layer that nothing needs",
		Args:    wants(1, 1, "the NAME of one content layer"),

		ValidArgsFunction: a.completesOne(contentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirmThe(cmd.Context(), "contents remove", "layer", args, yes); err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				if err := c.Delete(cmd.Context(), client.Path("contents", args[0]), new(json.RawMessage)); err != nil {
					return instead(err, model.NotFound, noContent, args[0])
				}
				return a.printState("content", args[0], "removed")
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
