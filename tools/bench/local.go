package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

// settle is how long a process rests before its memory is read.
const settle = 2 * time.Second

// host takes what a measured plugin sends.
type host struct{}

// Log drops the line.
func (host) Log(*model.Line) {}

// Publish drops the event.
func (host) Publish(*model.Event) {}

// launch starts a built plugin under the host end of the protocol and
// configures it.
func (b *bench) launch(ctx context.Context, name string, params model.Params) (*plugin.Process, error) {
	dir, err := os.MkdirTemp(b.dir, "p")
	if err != nil {
		return nil, err
	}
	p, err := plugin.Launch(ctx, plugin.LaunchOptions{
		Exec: plugin.Exec{Path: filepath.Join(b.bin, "plugins", name), Dir: dir, Env: b.environ},
		Name: name, RuntimeDir: dir, StateDir: dir, Handler: host{}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	if err := p.Config(ctx, params); err != nil {
		return nil, errors.Join(err, p.Stop(ctx))
	}
	return p, nil
}

// wrapper measures an action through both sockets, with a plugin that answers
// at once.
func (b *bench) wrapper(ctx context.Context) (err error) {
	p, err := b.launch(ctx, "packet-ipmi", model.Params{"Name": "packet-ipmi"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop(ctx)) }()
	action := &model.Action{Model: model.NewMachine("m1"), Plugin: "packet-ipmi", Command: model.PowerSoft, Params: model.Params{}}
	var medians series
	for range b.runs {
		var times series
		for range 1000 {
			start := time.Now()
			if _, err := p.Action(ctx, action); model.KindOf(err) != model.Unsupported {
				return fmt.Errorf("the action answered %w", err)
			}
			times = append(times, float64(time.Since(start).Microseconds())/1000)
		}
		medians = append(medians, times.median())
	}
	report("wrapper/action/p50", "ms", medians, nil)
	return nil
}

// plugins measures each plugin's define, and its memory at rest.
func (b *bench) plugins(ctx context.Context) error {
	paths, err := filepath.Glob(filepath.Join(b.bin, "plugins", "[a-z]*"))
	if err != nil || len(paths) == 0 {
		return fmt.Errorf("no plugins in %s/plugins", b.bin)
	}
	for _, path := range paths {
		name := filepath.Base(path)
		var define series
		for range b.runs {
			u, _, err := b.run(ctx, path, "define")
			if err != nil {
				return err
			}
			define = append(define, u.Wall*1000)
		}
		report("plugin/"+name+"/define", "ms", define, nil)
		if err := b.pluginRSS(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// pluginRSS measures how long a plugin takes from its start to READY and
// configured, and its memory at rest. A config that wants
// more params than are given leaves the plugin as a user would have it before.
func (b *bench) pluginRSS(ctx context.Context, name string) error {
	params := model.Params{"Name": name}
	if name == "slack" {
		params = model.Params{"Name": name, "slack/bot-token": "xoxb-none", "slack/api-url": "http://127.0.0.1:9/", "slack/default-channel": "C1"}
	}
	var rss, ready series
	for range b.runs {
		start := time.Now()
		p, err := b.launch(ctx, name, params)
		if err != nil {
			return err
		}
		ready = append(ready, float64(time.Since(start).Microseconds())/1000)
		err = pause(ctx, settle)
		mib, readErr := residentMiB(p.Pid())
		if err := errors.Join(err, readErr, p.Stop(ctx)); err != nil {
			return err
		}
		rss = append(rss, mib)
	}
	report("plugin/"+name+"/configured", "ms", ready, nil)
	report("plugin/"+name+"/rss", "MiB", rss, nil)
	return nil
}

// endpoint measures the memory of an endpoint with the four plugins at rest,
// the plugins' own not counted.
func (b *bench) endpoint(ctx context.Context) error {
	var rss series
	for range b.runs {
		mib, err := b.endpointRSS(ctx)
		if err != nil {
			return err
		}
		rss = append(rss, mib)
	}
	report("endpoint/rss", "MiB", rss, nil)
	return nil
}

// endpointRSS is one run of endpoint.
func (b *bench) endpointRSS(ctx context.Context) (mib float64, err error) {
	dir, err := os.MkdirTemp(b.dir, "e")
	if err != nil {
		return 0, err
	}
	socket := filepath.Join(dir, "oob.sock")
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "oob"), "serve", "--data-dir", dir,
		"--plugin-dir", filepath.Join(b.bin, "plugins"), "--socket", socket, "--listen", "127.0.0.1:0")
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()) }()
	c, err := client.New(client.Options{Socket: socket})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	for ready := false; !ready; {
		var providers []json.RawMessage
		ready = c.Get(ctx, "plugin_providers", &providers) == nil && len(providers) >= 4
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return 0, err
		}
	}
	if err := pause(ctx, settle); err != nil {
		return 0, err
	}
	return residentMiB(cmd.Process.Pid)
}
