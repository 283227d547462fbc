package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// newParamCommand makes "param" and what is below it.
func newParamCommand(a *app) *cobra.Command {
	return groupCommand(&cobra.Command{
		Use:   "param",
		Short: "List and show which params there are and what they are for",
	}, newParamListCommand(a), newParamShowCommand(a))
}

// schemaOf is what of a param's schema is shown.
func schemaOf(p *model.Param) (kind, def string) {
	var schema struct {
		Type    any `json:"type"`
		Default any `json:"default"`
	}
	// A schema of another form shows nothing.
	if err := model.Remarshal(p.Schema, &schema); err != nil {
		return "", ""
	}
	if schema.Type != nil {
		kind = valueText(schema.Type)
	}
	if schema.Default != nil {
		def = valueText(schema.Default)
	}
	return kind, def
}

// newParamListCommand makes "param list".
func newParamListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the params that are declared",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(func(c *client.Client) error { return a.listParams(cmd.Context(), c) })
		},
	}
}

// listParams prints the declared params.
func (a *app) listParams(ctx context.Context, c *client.Client) error {
	list, err := c.Params().List(ctx, client.Query{Sort: "Name"})
	if err != nil {
		return err
	}
	rows := [][]string{{"NAME", "TYPE", "DEFAULT", "DESCRIPTION"}}
	for i := range list {
		kind, def := schemaOf(&list[i])
		if list[i].Secure {
			kind += ", secret"
		}
		rows = append(rows, []string{list[i].Name, kind, shortened(def), list[i].Description})
	}
	return printList(a, list, rows)
}

// longestDefault is how much of a default a list shows; `oob param show` shows all.
const longestDefault = 24

// shortened is a text for a column.
func shortened(text string) string {
	if runes := []rune(text); len(runes) > longestDefault {
		return string(runes[:longestDefault-1]) + "…"
	}
	return text
}

// newParamShowCommand makes "param show".
func newParamShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show what a param is for",
		Args:  wants(1, 1, "the NAME of one param"),

		ValidArgsFunction: a.completesOne(paramNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				p, err := c.Params().Get(cmd.Context(), args[0])
				switch {
				case err != nil:
					return instead(err, model.NotFound, "no param is called %s; `oob param list` lists them", args[0])
				case a.flags.json:
					return a.printJSON(p)
				}
				return a.showParam(p)
			})
		},
	}
}

// showParam prints a param for people.
func (a *app) showParam(p *model.Param) error {
	schema := ""
	if p.Schema != nil {
		schema = valueText(p.Schema)
	}
	rows := [][]string{{"name", p.Name}}
	for _, row := range [][]string{{"description", p.Description}, {"of", p.Bundle}, {"schema", schema}} {
		if row[1] != "" {
			rows = append(rows, row)
		}
	}
	if p.Secure {
		rows = append(rows, []string{"secret", "yes: given with --param-file, never shown"})
	}
	if err := table(a.stdout, rows); err != nil {
		return err
	}
	if p.Documentation != "" {
		fmt.Fprintln(a.stdout)
		out := &cleanLines{out: a.stdout}
		if _, err := out.Write([]byte(p.Documentation)); err != nil {
			return model.Errorf(model.Internal, "cannot print: %w", err)
		}
		return out.end()
	}
	return nil
}
