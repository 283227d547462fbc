package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/hostlist"
	"provision-plugins/shared/inventory"
	"provision-plugins/shared/model"
)

// addOptions are the flags of "machine add".
type addOptions struct {
	driver       string
	params       paramFlags
	profiles     []string
	description  string
	address      string
	port         string
	username     string
	passwordFile string
	csv          string
	parallel     selection
	pace         pacing
}

// newMachineAddCommand makes "machine add".
func newMachineAddCommand(a *app) *cobra.Command {
	var o addOptions
	cmd := &cobra.Command{
		Use:   "add NAME [k=v...] | add --csv FILE [k=v...]",
		Short: "Add a machine, or all machines of a CSV file",
		Long: `Add a machine, or all machines of a CSV file.

--address, --port, --username and --password-file set the params that the
driver's plugin declares for them. Other params are given as k=v or --param k=v,
which mean the same; one that nobody declares is set with a warning.

The first row of a CSV file names its columns: name, driver, address, port,
username, password-file, then params. A password-file is looked for beside the
CSV file.`,
		Example: "  oob machine add m1 --driver ipmi --address 10.0.0.5 --username admin --password-file ./pw\n  oob machine add --csv rack1.csv",
		Args: func(cmd *cobra.Command, args []string) error {
			names, _ := splitAssignments(args)
			return wants(0, 1, "the NAME of one machine, or --csv FILE")(cmd, names)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			args, values := splitAssignments(args)
			o.params.values = append(o.params.values, values...)
			return a.withClient(func(c *client.Client) error { return a.addMachines(cmd.Context(), c, args, o) })
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.driver, "driver", "", "plugin `PROVIDER` that drives it (with --csv: for rows that name none)")
	o.params.addFlags(fs)
	fs.StringArrayVar(&o.profiles, "profile", nil, "`PROFILE` it has (may be repeated)")
	fs.StringVar(&o.description, "description", "", "what it is")
	fs.StringVar(&o.address, "address", "", "address of its device, such as its BMC")
	fs.StringVar(&o.port, "port", "", "port of its device")
	fs.StringVar(&o.username, "username", "", "user at its device")
	fs.StringVar(&o.passwordFile, "password-file", "", "`FILE` with the password at its device; - is stdin")
	fs.StringVar(&o.csv, "csv", "", "add the machines of this `FILE`; - is stdin")
	o.parallel.addParallel(fs)
	o.pace.addFlags(fs)
	return cmd
}

// addMachines adds one machine or those of a file.
func (a *app) addMachines(ctx context.Context, c *client.Client, args []string, o addOptions) error {
	cols := func(driver string) (inventory.Columns, error) { return driverColumns(ctx, c, driver) }
	var rows []inventory.Row
	if err := o.pace.check(); err != nil {
		return err
	}
	var err error
	switch {
	case o.parallel.parallel < 1 || o.parallel.parallel > maxParallel:
		return usage("--parallel must be 1..%d, not %d", maxParallel, o.parallel.parallel)
	case o.csv != "" && len(args) > 0:
		return usage("give a NAME or --csv, not both")
	case o.csv != "":
		rows, err = a.csvRows(o, cols)
	case len(args) == 1:
		rows, err = a.flagRow(args[0], o, cols)
	default:
		return usage("no machine: give its NAME, or --csv FILE")
	}
	if err != nil {
		return err
	}
	common, err := o.params.read(ctx, a, c)
	if err != nil {
		return err
	}
	given := []model.Params{common}
	for i := range rows {
		given = append(given, rows[i].Params)
	}
	a.warnUnknown(ctx, c, given...)
	r := newReport(a, "machine add", len(rows), false)
	r.pace, r.patient = o.pace, true
	return fanOut(ctx, r, o.parallel.parallel, rows, rowMachine, func(ctx context.Context, row inventory.Row) answer {
		m, err := o.machine(row, common)
		if err == nil {
			_, err = c.Machines().Create(ctx, m)
		}
		err = instead(err, model.Conflict, "already exists; `oob machine set %s` changes its params", word(row.Name))
		return machineEdit{done: "added"}.answer(machine{name: row.Name}, err)
	})
}

// rowMachine is the machine of a row.
func rowMachine(row inventory.Row) machine { return machine{name: row.Name} }

// machine is the object to create for a row.
func (o *addOptions) machine(row inventory.Row, common model.Params) (*model.Machine, error) {
	m := model.NewMachine(row.Name)
	m.Description = o.description
	m.Profiles = append(m.Profiles, o.profiles...)
	if driver := row.Driver; driver != "" {
		m.Params["oob/driver"] = driver
	}
	for _, params := range []model.Params{row.Params, common} {
		for name, value := range params {
			if err := setParam(m.Params, name, value); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

// csvRows reads the rows of the file.
func (a *app) csvRows(o addOptions, cols columnsFunc) ([]inventory.Row, error) {
	if o.address+o.port+o.username+o.passwordFile != "" {
		return nil, usage("--address, --port, --username and --password-file are columns of the CSV file")
	}
	in, dir := a.stdin, "."
	if o.csv != "-" {
		f, err := os.Open(o.csv)
		if err != nil {
			return nil, usage("cannot read inventory: %w", err)
		}
		defer f.Close()
		in, dir = f, filepath.Dir(o.csv)
	}
	rows, err := inventory.Read(in, dir, func(driver string) (inventory.Columns, error) {
		if driver == "" {
			driver = o.driver
		}
		return cols(driver)
	})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, usage("cannot read inventory: %s has no machine", o.csv)
	}
	for i := range rows {
		if rows[i].Driver == "" {
			rows[i].Driver = o.driver
		}
	}
	return rows, nil
}

// flagRow makes a row of the flags.
func (a *app) flagRow(name string, o addOptions, cols columnsFunc) ([]inventory.Row, error) {
	if names, err := hostlist.Expand(name); err != nil || len(names) != 1 || names[0] != name {
		return nil, usage("%q is not one machine's name; many machines are added with --csv", name)
	}
	row := inventory.Row{Name: name, Driver: o.driver, Params: model.Params{}}
	given := []struct{ column, value string }{
		{"address", o.address}, {"port", o.port}, {"username", o.username}, {"password", o.passwordFile},
	}
	columns, err := cols(o.driver)
	if err != nil {
		return nil, err
	}
	for _, g := range given {
		if g.value == "" {
			continue
		}
		param := columns[g.column]
		if param == "" {
			return nil, noColumn(o.driver, g.column)
		}
		var value any = g.value
		switch g.column {
		case "password":
			if value, err = a.readSecret(g.value); err != nil {
				return nil, usage("--password-file: %w", err)
			}
		case "port":
			value = parseValue(&model.Param{}, g.value)
		}
		if err := setParam(row.Params, param, value); err != nil {
			return nil, err
		}
	}
	return []inventory.Row{row}, nil
}

// columnsFunc tells which params the columns set for a driver.
type columnsFunc func(driver string) (inventory.Columns, error)

// driverColumns asks the endpoint for the columns of a driver. Without a
// driver there are none.
func driverColumns(ctx context.Context, c *client.Client, driver string) (inventory.Columns, error) {
	if driver == "" {
		return nil, nil
	}
	p, err := findProvider(ctx, c, driver)
	if err != nil {
		return nil, err
	}
	return columnsOf(p)
}

// noColumn is the error for a flag that the driver has no param for.
func noColumn(driver, column string) error {
	flag := strings.Replace("--"+column, "--password", "--password-file", 1)
	if driver == "" {
		return usage("%s needs --driver: which param it sets depends on the driver", flag)
	}
	return usage("driver %s has no param for %s; set its params with --param", driver, flag)
}

// columnsOf reads a provider's columns.
func columnsOf(p *model.PluginProvider) (inventory.Columns, error) {
	text := p.Meta[model.MetaColumns]
	if text == "" {
		return nil, nil
	}
	columns := inventory.Columns{}
	if err := json.NewDecoder(bytes.NewBufferString(text)).Decode(&columns); err != nil {
		return nil, model.Errorf(model.Internal, "plugin provider %s: its %s cannot be read: %w", p.Name, model.MetaColumns, err)
	}
	return columns, nil
}
