package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"provision-plugins/oob/fleet"
	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// The forms of a file of machines.
const (
	formYAML = "yaml"
	formCSV  = "csv"
)

// formOf is the form of a file: as said, else by its name, else YAML.
func formOf(said, file string) (string, error) {
	switch said {
	case formYAML, formCSV:
		return said, nil
	case "":
		if strings.EqualFold(filepath.Ext(file), ".csv") {
			return formCSV, nil
		}
		return formYAML, nil
	}
	return "", usage("--format must be yaml or csv, not %q", said)
}

// exportOptions are the flags of "export".
type exportOptions struct {
	sel     selection
	format  string
	out     string
	secrets bool
}

// newExportCommand makes "export".
func newExportCommand(a *app) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export [TARGETS...]",
		Short: "Write machines to a file that oob import reads, YAML or CSV",
		Long: `Write machines to a file that "oob import" reads: their names, profiles, params
and what else was set of them. All machines, unless TARGETS are given.

Secrets are left out, unless --secrets asks for them and you may see them: the
file is then readable by you alone. The CSV is also what "oob machine add --csv"
and "ipmi run --targets" read.`,
		Example: "  oob export > fleet.yaml\n  oob export @rack1 --out rack1.csv\n  oob export --secrets --out backup.yaml",

		ValidArgsFunction: a.completesTargets(),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.sel.args = args
			if len(args) == 0 && len(o.sel.filters) == 0 {
				o.sel.all = true
			}
			return a.withClient(func(c *client.Client) error { return a.export(cmd.Context(), c, o) })
		},
	}
	fs := cmd.Flags()
	o.sel.addFlags(fs)
	fs.StringVar(&o.format, "format", "", "yaml or csv (default: as the file of --out is called, else yaml)")
	fs.StringVar(&o.out, "out", "", "write to this `FILE`, in place of what it holds")
	fs.BoolVar(&o.secrets, "secrets", false, "with secrets in clear")
	return cmd
}

// export writes machines.
func (a *app) export(ctx context.Context, c *client.Client, o exportOptions) error {
	form, err := formOf(o.format, o.out)
	if err != nil {
		return err
	}
	machines, missing, err := resolve(ctx, c, o.sel)
	switch {
	case err != nil:
		return err
	case len(missing) > 0:
		return noMachines(missing)
	}
	objects, err := machineObjects(ctx, c, machines, o.secrets)
	if err != nil {
		return err
	}
	list := make([]fleet.Machine, len(objects))
	hidden := 0
	for i, m := range objects {
		entry, n, err := fleet.Of(m)
		if err != nil {
			return err
		}
		list[i] = entry
		hidden += n
	}
	write := func(w io.Writer) error { return fleet.WriteYAML(w, list) }
	if form == formCSV {
		write = func(w io.Writer) error {
			lost, err := fleet.WriteCSV(w, list)
			if err == nil && len(lost) > 0 {
				fmt.Fprintf(a.stderr, "a CSV has no column for %s: left out; YAML holds all\n", strings.Join(lost, ", "))
			}
			return err
		}
	}
	if err := a.writeOut(o.out, o.secrets, write); err != nil {
		return err
	}
	if hidden > 0 {
		fmt.Fprintf(a.stderr, "%s left out; --secrets exports them, if you may\n", count(hidden, "secret"))
	}
	if o.out == "" {
		return nil
	}
	return a.printState("file", o.out, count(len(list), "machine")+" written")
}

// machineObjects reads machines as the endpoint has them, in the order given.
func machineObjects(ctx context.Context, c *client.Client, machines []machine, secrets bool) ([]*model.Machine, error) {
	query := ""
	if secrets {
		query = "?decode=true"
	}
	out := make([]*model.Machine, 0, len(machines))
	if len(machines) <= fewNames {
		for _, m := range machines {
			object, err := client.Fetch[model.Machine](ctx, c, client.Path("machines", m.uuid)+query)
			if err != nil {
				return nil, err
			}
			out = append(out, &object)
		}
		return out, nil
	}
	list, err := client.Fetch[[]model.Machine](ctx, c, "machines"+query)
	if err != nil {
		return nil, err
	}
	byUUID := make(map[string]*model.Machine, len(list))
	for i := range list {
		byUUID[list[i].Uuid] = &list[i]
	}
	for _, m := range machines {
		if object := byUUID[m.uuid]; object != nil { // else it was removed a moment ago
			out = append(out, object)
		}
	}
	return out, nil
}

// writeOut writes to stdout, or to a file in one step: whoever reads it sees what
// was there before or all that is new.
func (a *app) writeOut(path string, private bool, write func(io.Writer) error) error {
	if path == "" {
		return write(a.stdout)
	}
	mode := os.FileMode(0o644)
	if private {
		mode = 0o600
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return usage("cannot write %s: %w", path, err)
	}
	err = write(f)
	if err == nil {
		err = errors.Join(f.Chmod(mode), f.Sync())
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the error below says why
		return usage("cannot write %s: %w", path, err)
	}
	return nil
}
