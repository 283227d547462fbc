package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
	"provision-plugins/sim/vbox"
)

// The VMs of one sweep, the power statuses of one median, and how many a shell
// would ask at once: as many as the plugin does.
const (
	vboxSweep    = 50
	vboxReads    = 40
	vboxTogether = 4
)

// vboxHost is a simulated host with VMs, and the plugin on it.
type vboxHost struct {
	command string
	vms     []string
	plugin  *plugin.Process
}

// vbox measures the power status of VMs: of one, beside a bare VBoxManage, and of
// many in one sweep.
func (b *bench) vbox(ctx context.Context) (err error) {
	h, stop, err := b.vboxHost(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	var ours, bare, over, sweep, shell series
	for range b.runs {
		mine, theirs, err := h.reads(ctx)
		if err != nil {
			return err
		}
		ours, bare, over = append(ours, mine), append(bare, theirs), append(over, mine-theirs)
		all, err := together(len(h.vms), len(h.vms), func(n int) error { return h.ask(ctx, h.vms[n]) })
		if err != nil {
			return err
		}
		sweep = append(sweep, all)
		if all, err = together(len(h.vms), vboxTogether, func(n int) error { return h.show(ctx, h.vms[n]) }); err != nil {
			return err
		}
		shell = append(shell, all)
	}
	report("vbox/powerstatus/p50", "ms", ours, &peer{name: "VBoxManage", values: bare})
	report("vbox/powerstatus/over-bare", "ms", over, nil)
	report(fmt.Sprintf("vbox/sweep-%d", vboxSweep), "s", sweep, &peer{name: "VBoxManage", values: shell})
	return nil
}

// vboxHost starts a simulated host and the plugin.
func (b *bench) vboxHost(ctx context.Context) (h *vboxHost, stop func() error, err error) {
	dir, err := os.MkdirTemp(b.dir, "vbox")
	if err != nil {
		return nil, nil, err
	}
	host, err := vbox.New(dir, vbox.Options{Program: filepath.Join(b.bin, "oob")})
	if err != nil {
		return nil, nil, err
	}
	h = &vboxHost{command: host.Command()}
	for n := range vboxSweep {
		vm, err := host.Create(fmt.Sprintf("node %02d", n))
		if err != nil {
			return nil, nil, err
		}
		h.vms = append(h.vms, vm)
	}
	h.plugin, err = b.launch(ctx, "virtualbox-ipmi", model.Params{"Name": "virtualbox-ipmi", "virtualbox/command": h.command})
	if err != nil {
		return nil, nil, errors.Join(err, host.Close())
	}
	return h, func() error { return errors.Join(h.plugin.Stop(ctx), host.Close()) }, nil
}

// reads returns the median of a power status by the plugin and of what VBoxManage
// takes by itself, in milliseconds, taking turns.
func (h *vboxHost) reads(ctx context.Context) (ours, bare float64, err error) {
	var mine, theirs series
	for range vboxReads {
		took, err := together(1, 1, func(int) error { return h.ask(ctx, h.vms[0]) })
		if err != nil {
			return 0, 0, err
		}
		alone, err := together(1, 1, func(int) error { return h.show(ctx, h.vms[0]) })
		if err != nil {
			return 0, 0, err
		}
		mine, theirs = append(mine, took*1000), append(theirs, alone*1000)
	}
	return mine.median(), theirs.median(), nil
}

// ask asks the plugin for the power state of a VM.
func (h *vboxHost) ask(ctx context.Context, vm string) error {
	raw, err := h.plugin.Action(ctx, &model.Action{
		Model: model.NewMachine(vm), Plugin: "virtualbox-ipmi", Command: model.PowerStatus, Params: model.Params{"virtualbox/id": vm},
	})
	if err != nil {
		return err
	}
	var res model.Result
	if err := json.Unmarshal(raw, &res); err != nil {
		return fmt.Errorf("the plugin answered %s: %w", raw, err)
	}
	if res.Power != model.StateOff {
		return fmt.Errorf("a VM that is off is told %s", res.Power)
	}
	return nil
}

// show has VBoxManage show a VM.
func (h *vboxHost) show(ctx context.Context, vm string) error {
	return exec.CommandContext(ctx, h.command, "showvminfo", vm, "--machinereadable").Run()
}

// together calls f for 0 to n-1, so many at once, and returns how long all took,
// in seconds.
func together(n, atOnce int, f func(n int) error) (float64, error) {
	start := time.Now()
	errs := make([]error, n)
	places := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i := range n {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			errs[i] = f(i)
		})
	}
	all.Wait()
	return time.Since(start).Seconds(), errors.Join(errs...)
}
