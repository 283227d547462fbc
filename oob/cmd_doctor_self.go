package main

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"provision-plugins/endpoint/health"
	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// selfFlag stands for --endpoint without a URL.
const selfFlag = "--local-endpoint"

// bareEndpoint lets `oob doctor --endpoint` stand without a URL: what is examined is
// then the endpoint of this machine. Everywhere else --endpoint has one.
func bareEndpoint(args []string) []string {
	i := slices.Index(args, "--endpoint")
	if i < 0 || !slices.Contains(args, "doctor") || i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
		return args
	}
	out := slices.Clone(args)
	out[i] = selfFlag
	return out
}

// selfOptions are the flags of a look at the endpoint itself.
type selfOptions struct {
	local bool
	serve serveOptions
}

// addSelf makes "doctor" without TARGETS look at the endpoint itself.
func (a *app) addSelf(cmd *cobra.Command, selected func() bool) {
	var o selfOptions
	fs := cmd.Flags()
	fs.BoolVar(&o.local, strings.TrimPrefix(selfFlag, "--"), false, "look at the endpoint of this machine")
	_ = fs.MarkHidden(strings.TrimPrefix(selfFlag, "--")) // it is there
	fs.StringVar(&o.serve.dataDir, "data-dir", "", "`DIR` of the endpoint's data, as serve has it")
	fs.StringVar(&o.serve.pluginDir, "plugin-dir", "", "`DIR` of the endpoint's plugins, as serve has it")
	fs.StringVar(&o.serve.listen, "listen", "127.0.0.1:8092", "`HOST:PORT` of the endpoint's API, as serve has it")
	machines := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case o.local && len(args) > 0:
			return usage("--endpoint without a URL looks at the endpoint itself, not at machines; name a URL, or leave the machines out")
		case len(args) > 0 || !o.local && selected():
			return machines(cmd, args)
		}
		return a.examine(cmd.Context(), o)
	}
}

// examine looks at an endpoint and prints what is found.
func (a *app) examine(ctx context.Context, o selfOptions) error {
	conn, err := a.connection()
	if err != nil {
		return err
	}
	name := cmp.Or(conn.endpoint.value, "endpoint")
	var found *model.Checkup
	if conn.endpoint.value == "" || o.local {
		m, err := a.machineOf(o.serve)
		if err != nil {
			return err
		}
		name, found = "endpoint", health.Examine(ctx, m)
	} else {
		found = a.examineRemote(ctx)
	}
	if a.flags.json {
		if err := a.printJSON(found); err != nil {
			return err
		}
	} else if err := a.printCheckup(name, found); err != nil {
		return err
	}
	if failed := found.Failed(); failed != nil {
		return &failure{code: failed.Kind.Info().Exit}
	}
	return nil
}

// Where an installed service has its data and its plugins.
const (
	packagedData    = "/var/lib/oob"
	packagedPlugins = "/usr/lib/oob/plugins"
)

// machineOf is where an endpoint with such flags is.
func (a *app) machineOf(o serveOptions) (health.Machine, error) {
	var err error
	if o.dataDir == "" {
		if o.dataDir, err = a.defaultDataDir(); err != nil {
			return health.Machine{}, err
		}
	}
	m := health.Machine{
		DataDir: o.dataDir, PluginDir: o.pluginDir, Socket: a.flags.socket, Listen: o.listen, Getenv: a.getenv, Now: time.Now,
	}
	m.Socket = cmp.Or(m.Socket, filepath.Join(m.DataDir, socketName))
	if _, err := os.Stat(packagedPlugins); err == nil && m.PluginDir == "" && m.DataDir == packagedData {
		m.PluginDir = packagedPlugins
	}
	m.PluginDir = cmp.Or(m.PluginDir, filepath.Join(m.DataDir, "plugins"))
	for _, path := range []*string{&m.DataDir, &m.PluginDir, &m.Socket} {
		if *path, err = filepath.Abs(*path); err != nil {
			return m, usage("cannot find %s: %w", *path, err)
		}
	}
	return m, nil
}

// examineRemote looks at an endpoint on another machine: as far as its API goes.
func (a *app) examineRemote(ctx context.Context) *model.Checkup {
	found := &model.Checkup{}
	began := time.Now()
	defer func() { found.TookMs = time.Since(began).Milliseconds() }()
	err := a.withClient(func(c *client.Client) error {
		var info model.Info
		if err := c.Get(ctx, "info", &info); err != nil {
			return err
		}
		found.Add(model.Check{Name: "endpoint", Verdict: model.VerdictOK, Found: "version " + info.Version})
		found.Add(pluginCheck(ctx, c))
		return nil
	})
	if err != nil {
		e := model.AsError(err)
		found.Add(model.Check{Name: "endpoint", Verdict: model.VerdictFailed, Kind: e.Kind(), Cause: e.Text(), Mend: "run this on the endpoint's own machine too: oob doctor --endpoint"})
	}
	return found
}

// pluginCheck checks the plugins of an endpoint.
func pluginCheck(ctx context.Context, c *client.Client) model.Check {
	const name = "plugins"
	var all []model.Plugin
	if err := c.Get(ctx, "plugins", &all); err != nil {
		e := model.AsError(err)
		return model.Check{Name: name, Verdict: model.VerdictFailed, Kind: e.Kind(), Cause: e.Text()}
	}
	var sick, well []string
	for _, p := range all {
		if len(p.PluginErrors) > 0 {
			sick = append(sick, p.Name+": "+strings.Join(p.PluginErrors, ", "))
			continue
		}
		well = append(well, p.Name)
	}
	if len(sick) > 0 {
		return model.Check{Name: name, Verdict: model.VerdictFailed, Kind: model.Unreachable, Cause: strings.Join(sick, "; "), Mend: "oob plugin show NAME says more"}
	}
	return model.Check{Name: name, Verdict: model.VerdictOK, Found: strings.Join(well, ", ")}
}

// printCheckup prints a ladder of checks as those of machines are.
func (a *app) printCheckup(name string, c *model.Checkup) error {
	r := &report{app: a}
	r.printLadder(name, c)
	return r.err
}
