package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"provision-plugins/oob/fleet"
	"provision-plugins/shared/client"
	"provision-plugins/shared/inventory"
	"provision-plugins/shared/model"
)

// importOptions are the flags of "import".
type importOptions struct {
	format string
	driver string
	dryRun bool
	yes    bool
	sel    selection // for --parallel
	pace   pacing
}

// newImportCommand makes "import".
func newImportCommand(a *app) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Create the machines of a file, and update those that exist",
		Long: `Create the machines of a file, and update those that exist, by name: a YAML file
as "oob export" writes it, or a CSV as "oob machine add --csv" reads it, too.
What the file does not name is left as it is, so that importing a file again
changes nothing. Updates are asked about on a terminal, and need --yes without.`,
		Example: "  oob import fleet.yaml --dry-run\n  oob import rack1.csv --driver ipmi --yes",
		Args:    wants(1, 1, "one FILE; - is stdin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error { return a.importMachines(cmd.Context(), c, args[0], o) })
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.format, "format", "", "yaml or csv (default: as the file is called)")
	fs.StringVar(&o.driver, "driver", "", "plugin `PROVIDER` of the rows of a CSV that name none")
	fs.BoolVar(&o.dryRun, "dry-run", false, "say what would become of each machine and change nothing")
	fs.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	o.sel.addParallel(fs)
	o.pace.addFlags(fs)
	return cmd
}

// planned is what is to become of a machine of the file.
type planned struct {
	machine fleet.Machine
	uuid    string // of the machine that exists; empty: it is created
	ops     []client.Op
	what    []string
}

// state tells what becomes of it.
func (p *planned) state() string {
	switch {
	case p.uuid == "":
		return "created"
	case len(p.ops) == 0:
		return "unchanged"
	}
	return "updated: " + strings.Join(p.what, ", ")
}

// importMachines creates and updates machines.
func (a *app) importMachines(ctx context.Context, c *client.Client, file string, o importOptions) error {
	if err := o.pace.check(); err != nil {
		return err
	}
	if o.sel.parallel < 1 || o.sel.parallel > maxParallel {
		return usage("--parallel must be 1..%d, not %d", maxParallel, o.sel.parallel)
	}
	machines, err := a.readMachines(ctx, c, file, o)
	if err != nil {
		return err
	}
	if len(machines) == 0 {
		return usage("cannot read machines: %s has none", file)
	}
	plans, err := planImport(ctx, c, machines)
	if err != nil {
		return err
	}
	r := newReport(a, "import", len(plans), false)
	if o.dryRun {
		for i := range plans {
			r.add(plans[i].answer("would be "))
		}
		return r.finish()
	}
	var updates []string
	for i := range plans {
		if len(plans[i].ops) > 0 {
			updates = append(updates, plans[i].machine.Name)
		}
	}
	if len(updates) > 0 {
		if err := a.confirm(ctx, "import updates", updates, o.yes); err != nil {
			return err
		}
	}
	r.pace, r.patient = o.pace, true
	return fanOut(ctx, r, o.sel.parallel, plans, (planned).target, func(ctx context.Context, p planned) answer {
		if err := p.carryOut(ctx, c); err != nil {
			return answer{machine: p.target(), err: model.AsError(err)}
		}
		return p.answer("")
	})
}

// target is the machine of a plan.
func (p planned) target() machine { return machine{name: p.machine.Name, uuid: p.uuid} }

// answer tells what became of the machine, or with words before it, what would.
func (p *planned) answer(words string) answer {
	raw, err := json.Marshal(words + p.state())
	if err != nil {
		return answer{machine: p.target(), err: model.AsError(err)}
	}
	return answer{machine: p.target(), raw: raw}
}

// carryOut creates or updates the machine.
func (p *planned) carryOut(ctx context.Context, c *client.Client) error {
	switch {
	case p.uuid == "":
		m, err := p.machine.New()
		if err == nil {
			_, err = c.Machines().Create(ctx, m)
		}
		return err
	case len(p.ops) == 0:
		return nil
	}
	_, err := c.Machines().Patch(ctx, p.uuid, p.ops...)
	return err
}

// planImport compares the machines of a file with those that exist.
func planImport(ctx context.Context, c *client.Client, machines []fleet.Machine) ([]planned, error) {
	exist, err := existing(ctx, c, machines)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]*model.Machine, len(exist))
	for i := range exist {
		byName[exist[i].Name] = &exist[i]
	}
	plans := make([]planned, len(machines))
	for i, m := range machines {
		plans[i].machine = m
		now := byName[m.Name]
		if now == nil {
			continue
		}
		plans[i].uuid = now.Uuid
		if plans[i].ops, plans[i].what, err = m.Changes(now); err != nil {
			return nil, err
		}
	}
	return plans, nil
}

// existing lists the machines that exist, their secrets in clear if the caller
// may see them: else those of the file count as changed.
func existing(ctx context.Context, c *client.Client, machines []fleet.Machine) ([]model.Machine, error) {
	if len(machines) <= fewNames {
		var out []model.Machine
		for _, m := range machines {
			key := client.Path("machines", "Name:"+m.Name)
			now, err := client.Fetch[model.Machine](ctx, c, key+"?decode=true")
			if err != nil && model.KindOf(err) == model.Forbidden {
				now, err = client.Fetch[model.Machine](ctx, c, key)
			}
			switch {
			case err == nil:
				out = append(out, now)
			case model.KindOf(err) != model.NotFound:
				return nil, err
			}
		}
		return out, nil
	}
	list, err := client.Fetch[[]model.Machine](ctx, c, "machines?decode=true")
	if err != nil && model.KindOf(err) == model.Forbidden {
		return c.Machines().List(ctx, client.Query{})
	}
	return list, err
}

// readMachines reads the machines of a file.
func (a *app) readMachines(ctx context.Context, c *client.Client, file string, o importOptions) ([]fleet.Machine, error) {
	form, err := formOf(o.format, file)
	if err != nil {
		return nil, err
	}
	raw, err := a.readFile(file, fleet.MaxFile)
	if err != nil {
		return nil, err
	}
	if form == formYAML {
		if o.driver != "" {
			return nil, usage("--driver is for the rows of a CSV; in YAML it is the param oob/driver")
		}
		return fleet.ReadYAML(raw)
	}
	dir := "."
	if file != "-" {
		dir = filepath.Dir(file)
	}
	rows, err := inventory.Read(bytes.NewReader(raw), dir, func(driver string) (inventory.Columns, error) {
		if driver == "" {
			driver = o.driver
		}
		return driverColumns(ctx, c, driver)
	})
	if err != nil {
		return nil, err
	}
	machines := make([]fleet.Machine, len(rows))
	for i, row := range rows {
		if row.Driver == "" {
			row.Driver = o.driver
		}
		if machines[i], err = fleet.OfRow(row); err != nil {
			return nil, err
		}
	}
	return machines, nil
}

// readFile reads a file, or stdin if it is called "-", up to a bound.
func (a *app) readFile(file string, limit int64) ([]byte, error) {
	if file == "-" {
		return a.readStdin(limit)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, usage("cannot read machines: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, usage("cannot read machines: %w", err)
	case int64(len(raw)) > limit:
		return nil, usage("cannot read machines: %s is larger than %d MiB", file, limit>>20)
	}
	return raw, nil
}
