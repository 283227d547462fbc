package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

const (
	// actionClients act at a time, each on a machine of its own.
	actionClients = 64
	// actionTime is how long each run of a figure takes.
	actionTime = 3 * time.Second
)

// noop is a plugin that answers at once.
type noop struct{ plugin.Base }

// Config takes anything.
func (noop) Config(context.Context, *client.Client, model.Params) error { return nil }

// Action says that all is well.
func (noop) Action(ctx context.Context, _ *model.Action) (any, error) {
	return model.Result{Power: model.StateOn, Raw: "is on", Outcome: model.Acknowledged}, ctx.Err()
}

// noopRole is this program as that plugin.
func noopRole(_ context.Context, args []string) error {
	def := &model.PluginProvider{Name: "noop", Version: "v1.0.0", PluginVersion: model.PluginVersion, AutoStart: true}
	for _, command := range []string{model.PowerStatus, model.PowerCycle} {
		def.AvailableActions = append(def.AvailableActions, model.AvailableAction{Model: "machines", Command: command})
	}
	plugin.InitApp(def.Name, "answers at once", def.Version, def, noop{})
	plugin.App.SetArgs(args)
	if code := plugin.Main(); code != 0 {
		return fmt.Errorf("noop: exit code %d", code)
	}
	return nil
}

// actions measures what the endpoint does a second through a plugin that answers
// at once: reads, and changes with their two durable records each.
func (b *bench) actions(ctx context.Context) (err error) {
	c, stop, err := b.serveNoop(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	uuids := make([]string, actionClients)
	for i := range uuids {
		var made model.Machine
		if err := c.Post(ctx, "machines", model.NewMachine(fmt.Sprint("m", i)), &made); err != nil {
			return err
		}
		uuids[i] = made.Uuid
	}
	for _, f := range []struct{ name, command string }{
		{"actions/reads-64", model.PowerStatus}, {"actions/changes-64", model.PowerCycle},
	} {
		var rates series
		for range b.runs {
			rate, err := actionRate(ctx, c, uuids, f.command)
			if err != nil {
				return err
			}
			rates = append(rates, rate)
		}
		report(f.name, "1/s", rates, nil)
	}
	return nil
}

// actionRate is how many actions a second are answered.
func actionRate(ctx context.Context, c *client.Client, uuids []string, command string) (float64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	start := time.Now()
	var done atomic.Int64
	var clients sync.WaitGroup
	for _, uuid := range uuids {
		clients.Go(func() {
			for time.Since(start) < actionTime && ctx.Err() == nil {
				if _, err := c.Invoke(ctx, client.ActionRequest{Prefix: "machines", Key: uuid, Command: command}); err != nil {
					cancel(err)
					return
				}
				done.Add(1)
			}
		})
	}
	clients.Wait()
	return float64(done.Load()) / time.Since(start).Seconds(), context.Cause(ctx)
}

// serveNoop starts an endpoint with the plugin, and returns a client on its socket
// and what stops it.
func (b *bench) serveNoop(ctx context.Context) (*client.Client, func() error, error) {
	dir, err := os.MkdirTemp(b.dir, "n")
	if err != nil {
		return nil, nil, err
	}
	plugins, socket := filepath.Join(dir, "plugins"), filepath.Join(dir, "oob.sock")
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' noop \"$@\"\n", b.self)
	if err := errors.Join(os.Mkdir(plugins, 0o755), os.WriteFile(filepath.Join(plugins, "noop"), []byte(script), 0o755)); err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "oob"), "serve", "--data-dir", dir,
		"--plugin-dir", plugins, "--socket", socket, "--listen", "127.0.0.1:0")
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() error { return errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()) }
	c, err := client.New(client.Options{Socket: socket})
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	stopAll := func() error { return errors.Join(c.Close(), stop()) }
	for p := (model.Plugin{}); !p.Available; {
		// Until it answers there is no plugin.
		_ = c.Get(ctx, "plugins/noop", &p)
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return nil, nil, errors.Join(err, stopAll())
		}
	}
	return c, stopAll, nil
}
