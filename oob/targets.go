package main

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"provision-plugins/shared/client"
	"provision-plugins/shared/hostlist"
	"provision-plugins/shared/model"
)

// selection says which machines a command is for.
type selection struct {
	args     []string
	all      bool
	filters  []string
	parallel int
	// brief has only that of machines listed that an action needs to know.
	brief bool
}

// The bounds of --parallel.
const (
	defaultParallel = 64
	maxParallel     = 4096
)

// addFlags adds the flags that select machines.
func (s *selection) addFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&s.all, "all", false, "every machine")
	fs.StringArrayVar(&s.filters, "filter", nil, "machines where `FIELD=VALUE`, a field or a param; or FIELD=Re(PATTERN) and so on (may be repeated)")
	s.addParallel(fs)
}

// addParallel adds --parallel alone.
func (s *selection) addParallel(fs *pflag.FlagSet) {
	fs.IntVarP(&s.parallel, "parallel", "j", defaultParallel, "machines at work at once")
}

// check refuses a selection that cannot be meant.
func (s *selection) check() error {
	switch {
	case s.parallel < 1 || s.parallel > maxParallel:
		return usage("--parallel must be 1..%d, not %d", maxParallel, s.parallel)
	case len(s.args) > 0 && (s.all || len(s.filters) > 0):
		return usage("name machines, or give --all or --filter, not both")
	case len(s.args) == 0 && !s.all && len(s.filters) == 0:
		return usage("no machines: name them (m1, rack[1-4]n[01-32], @profile), or give --all or --filter")
	}
	return nil
}

// machine is a machine of the endpoint, and what the command line uses of it.
type machine struct {
	name, uuid string
	driver     string // oob/driver or machine-plugin
	address    string
	protected  bool
	profiles   []string
	params     model.Params
}

// newMachine takes what is used out of a machine.
func newMachine(m *model.Machine) machine {
	out := machine{name: m.Name, uuid: m.Uuid, address: m.Address, profiles: m.Profiles, params: m.Params}
	for _, param := range []string{"machine-plugin", "oob/driver"} {
		// A wrong type here is for the endpoint to refuse.
		if driver, err := m.Params.String(param, ""); err == nil && driver != "" {
			out.driver = driver
		}
	}
	if protected, err := m.Params.Bool("oob/protected", false); err == nil {
		out.protected = protected
	}
	return out
}

// fewNames is up to how many names are looked up one by one.
const fewNames = 16

// resolve finds the machines of a selection, in the order given and each once,
// and the names that no machine has.
func resolve(ctx context.Context, c *client.Client, s selection) (found []machine, missing []string, err error) {
	if err := s.check(); err != nil {
		return nil, nil, err
	}
	if len(s.args) == 0 {
		found, err = listMachines(ctx, c, s.filters, s.brief)
		return found, nil, err
	}
	names, err := hostlist.Expand(strings.Join(s.args, ","))
	if err != nil {
		return nil, nil, usage("%w", err)
	}
	profiles := slices.ContainsFunc(names, isProfile)
	if profiles || len(names) > fewNames {
		machines, err := listMachines(ctx, c, nil, s.brief)
		if err != nil {
			return nil, nil, err
		}
		found, missing = pick(machines, names)
		return found, missing, nil
	}
	return lookUp(ctx, c, names, s.parallel)
}

// What an action does not need to know of a machine, and the params that it does:
// a whole machine has ten times as much.
var (
	briefWithout = []string{
		"Validated", "Available", "Errors", "ReadOnly", "Meta", "Endpoint", "Bundle", "Description", "CurrentJob", "Stage", "BootEnv",
		"Tasks", "CurrentTask", "RetryTaskAttempt", "TaskErrorStacks", "Runnable", "Secret", "OS", "HardwareAddrs", "Workflow", "Arch",
		"Locked", "Context", "Fingerprint", "Pool", "PoolAllocated", "PoolStatus", "WorkflowComplete",
	}
	briefParams = []string{"machine-plugin", "oob/driver", "oob/protected", paramTimeout}
)

// listMachines lists the machines that all filters match, sorted by name.
func listMachines(ctx context.Context, c *client.Client, filters []string, brief bool) ([]machine, error) {
	var query client.Query
	if brief {
		query.Without, query.Params = briefWithout, briefParams
	}
	var err error
	if query.Filters, err = parseFilters(filters); err != nil {
		return nil, err
	}
	list, err := c.Machines().List(ctx, query)
	if err != nil {
		return nil, err
	}
	out := make([]machine, 0, len(list))
	for i := range list {
		out = append(out, newMachine(&list[i]))
	}
	slices.SortFunc(out, func(a, b machine) int {
		return cmp.Or(hostlist.Compare(a.name, b.name), strings.Compare(a.uuid, b.uuid))
	})
	return out, nil
}

// parseFilters reads the values of --filter.
func parseFilters(filters []string) ([]client.Filter, error) {
	out := make([]client.Filter, 0, len(filters))
	for _, f := range filters {
		field, value, ok := strings.Cut(f, "=")
		if !ok || field == "" {
			return nil, usage("--filter %q is not FIELD=VALUE", f)
		}
		out = append(out, client.Where(field, client.AsGiven, value))
	}
	return out, nil
}

// isProfile reports whether a target names a profile.
func isProfile(name string) bool { return strings.HasPrefix(name, "@") }

// pick picks the machines of the names out of a list.
func pick(machines []machine, names []string) (found []machine, missing []string) {
	index := make(map[string][]machine, 2*len(machines))
	for _, m := range machines {
		index[m.name] = append(index[m.name], m)
		index[m.uuid] = append(index[m.uuid], m)
		for _, p := range m.profiles {
			index["@"+p] = append(index["@"+p], m)
		}
	}
	seen := make(map[string]bool)
	for _, name := range names {
		if index[name] == nil {
			missing = append(missing, name)
		}
		for _, m := range index[name] {
			if !seen[m.uuid] {
				seen[m.uuid] = true
				found = append(found, m)
			}
		}
	}
	return found, missing
}

// uuidForm is how a UUID looks.
var uuidForm = regexp.MustCompile(`(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// machineKey is the key of a machine by name or UUID.
func machineKey(name string) string {
	if uuidForm.MatchString(name) {
		return name
	}
	return "Name:" + name
}

// lookUp looks names up one by one.
func lookUp(ctx context.Context, c *client.Client, names []string, parallel int) ([]machine, []string, error) {
	type looked struct {
		name string
		m    *model.Machine
		err  error
	}
	var got []machine
	var missing []string
	var failed error
	fan[string, looked]{
		parallel: parallel,
		call: func(name string) looked {
			m, err := c.Machines().Get(ctx, machineKey(name))
			return looked{name, m, err}
		},
		skip: func(name string, why *model.Error) looked { return looked{name, nil, why} },
		each: func(l looked) {
			switch {
			case l.err == nil:
				got = append(got, newMachine(l.m))
			case model.KindOf(l.err) == model.NotFound:
				missing = append(missing, l.name)
			default:
				failed = l.err
			}
		},
	}.run(ctx, names)
	if failed != nil {
		return nil, nil, failed
	}
	found, _ := pick(got, names)
	hostlist.Sort(missing)
	return found, missing, nil
}

// errNoMatch is the error for a selection of no machine.
func errNoMatch() error {
	return model.Errorf(model.NotFound, "no machine matches; `oob machine list` lists them")
}

// noMachines is the error for names that no machine has.
func noMachines(missing []string) *model.Error {
	what := "machine"
	for _, name := range missing {
		if isProfile(name) {
			what = "machine or profile with machines"
		}
	}
	return model.Errorf(model.NotFound, "no %s is called %s; `oob machine list` lists them", what, hostlist.Fold(missing))
}

// oneMachine resolves a name to its machine, as the endpoint has it.
func oneMachine(ctx context.Context, c *client.Client, name string) (*model.Machine, error) {
	names, err := hostlist.Expand(name)
	if err != nil {
		return nil, usage("%w", err)
	}
	if len(names) != 1 {
		return nil, usage("one machine is wanted, and %s names %d", name, len(names))
	}
	m, err := c.Machines().Get(ctx, machineKey(names[0]))
	if model.KindOf(err) == model.NotFound && err != nil {
		return nil, noMachines(names)
	}
	return m, err
}
