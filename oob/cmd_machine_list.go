package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/inventory"
	"provision-plugins/shared/model"
)

// newMachineListCommand makes "machine list".
func newMachineListCommand(a *app) *cobra.Command {
	var sel selection
	cmd := &cobra.Command{
		Use:     "list [TARGETS...]",
		Aliases: []string{"ls"},
		Short:   "List machines with the power state last seen, and how long ago",
		Long: `List machines with the power state last seen, and how long ago.

Nothing is sent to a device: "oob power status" reads the state now.`,

		ValidArgsFunction: a.completesTargets(),
		RunE: func(cmd *cobra.Command, args []string) error {
			sel.args = args
			if len(args) == 0 && len(sel.filters) == 0 {
				sel.all = true
			}
			return a.withClient(func(c *client.Client) error { return a.listMachines(cmd.Context(), c, sel) })
		},
	}
	sel.addFlags(cmd.Flags())
	return cmd
}

// listedMachine is one line of machine list --json.
type listedMachine struct {
	Machine   string           `json:"machine"`
	UUID      string           `json:"uuid"`
	Driver    string           `json:"driver,omitempty"`
	Address   string           `json:"address,omitempty"`
	Power     model.PowerState `json:"power,omitempty"`
	Seen      *time.Time       `json:"seen,omitempty"`
	Protected bool             `json:"protected,omitempty"`
	Profiles  []string         `json:"profiles,omitempty"`
}

// listMachines prints the machines of a selection.
func (a *app) listMachines(ctx context.Context, c *client.Client, sel selection) error {
	machines, missing, err := resolve(ctx, c, sel)
	if err != nil {
		return err
	}
	seen, err := client.Fetch[map[string]model.Observed](ctx, c, "power")
	if err != nil {
		return err
	}
	addresses, err := addressParams(ctx, c)
	if err != nil {
		return err
	}
	rows := [][]string{{"NAME", "DRIVER", "ADDRESS", "POWER", "SEEN", "NOTE"}}
	now := time.Now()
	for _, m := range machines {
		line := listedMachine{Machine: m.name, UUID: m.uuid, Driver: m.driver, Protected: m.protected, Profiles: m.profiles}
		line.Address = addressOf(m, addresses)
		if s, ok := seen[m.uuid]; ok {
			line.Power, line.Seen = s.Power, &s.Time
		}
		if a.flags.json {
			if err := a.printJSON(line); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, line.row(now))
	}
	switch {
	case a.flags.json:
	case len(machines) > 0:
		if err := table(a.stdout, dropEmpty(rows)); err != nil {
			return err
		}
	case sel.all && len(sel.filters) == 0:
		fmt.Fprintln(a.stderr, "no machines: `oob machine add` adds them")
	}
	if len(missing) > 0 {
		return noMachines(missing)
	}
	return nil
}

// row is the line for people.
func (l *listedMachine) row(now time.Time) []string {
	power, seen := string(l.Power), ""
	if l.Seen != nil {
		seen = age(now, *l.Seen)
	}
	note := ""
	if l.Protected {
		note = "protected"
	}
	return []string{l.Machine, l.Driver, l.Address, power, seen, note}
}

// dropEmpty leaves out the last columns that are empty in every row but the
// header.
func dropEmpty(rows [][]string) [][]string {
	last := len(rows[0]) - 1
	for _, row := range rows[1:] {
		if row[last] != "" {
			return rows
		}
	}
	for i := range rows {
		rows[i] = rows[i][:last]
	}
	return rows
}

// powerSeen is a state last seen, with its age.
func powerSeen(o model.Observed) string {
	if o.Time.IsZero() {
		return "never seen"
	}
	return string(o.Power) + ", seen " + age(time.Now(), o.Time)
}

// addressParams tells for each driver which params hold the address and port.
func addressParams(ctx context.Context, c *client.Client) (map[string]inventory.Columns, error) {
	providers, err := c.Providers().List(ctx, client.Query{})
	if err != nil {
		return nil, err
	}
	out := make(map[string]inventory.Columns, len(providers))
	for i := range providers {
		// A provider whose columns cannot be read has no address to show.
		if columns, err := columnsOf(&providers[i]); err == nil && columns["address"] != "" {
			out[providers[i].Name] = columns
		}
	}
	return out, nil
}

// addressOf is the address of a machine's device: that of its driver, else of
// the only driver it has an address for.
func addressOf(m machine, params map[string]inventory.Columns) string {
	if columns, ok := params[m.driver]; ok {
		return addressIn(m, columns)
	}
	var found []string
	for _, columns := range params {
		if text := addressIn(m, columns); text != "" {
			found = append(found, text)
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	return m.address
}

// addressIn is the address, with the port if it is not the usual one, that the
// params of one driver hold.
func addressIn(m machine, columns inventory.Columns) string {
	// Params of a wrong type are for the driver to refuse.
	host, err := m.params.String(columns["address"], "")
	if err != nil || host == "" {
		return ""
	}
	port, err := m.params.Int(columns["port"], 0, 0, 65535)
	if err != nil || port == 0 {
		return host
	}
	return net.JoinHostPort(host, strconv.FormatInt(port, 10))
}
