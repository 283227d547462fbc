package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"provision-plugins/shared/model"
	"provision-plugins/sim/vbox"
)

// simVBoxOptions are the flags of "sim vbox".
type simVBoxOptions struct {
	dir   string
	count int
	odd   []string
}

// vboxOddities is what can be wrong with a simulated VirtualBox host, by the name
// that "sim vbox" takes for it.
var vboxOddities = map[string]func(o *vbox.Options){
	"flaky":        func(o *vbox.Options) { o.Behaviour.Flaky = true },
	"no-driver":    func(o *vbox.Options) { o.NoDriver = true },
	"no-pxe":       func(o *vbox.Options) { o.Behaviour.NoPXE = true },
	"no-system":    func(o *vbox.Options) { o.Behaviour.NoSystem = true },
	"other-words":  func(o *vbox.Options) { o.Language = "ru" },
	"slow-start":   func(o *vbox.Options) { o.Behaviour.StartDelay = 10 * time.Second },
	"soft-ignored": func(o *vbox.Options) { o.Behaviour.SoftIgnored = true },
	"warning":      func(o *vbox.Options) { o.Warning = true },
}

// vboxOddNames lists the names.
func vboxOddNames() []string {
	var names []string
	for name := range vboxOddities {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// vboxOptions turns flags into options.
func vboxOptions(o simVBoxOptions) (vbox.Options, error) {
	opts := vbox.Options{Behaviour: vbox.Behaviour{
		SessionLag: 1100 * time.Millisecond, StartDelay: 500 * time.Millisecond, SoftDelay: 2 * time.Second, Process: true,
	}}
	if o.count < 0 {
		return opts, usage("--count must not be negative, %d is", o.count)
	}
	for _, name := range o.odd {
		set := vboxOddities[name]
		if set == nil {
			return opts, usage("--odd %q is none of %s", name, strings.Join(vboxOddNames(), ", "))
		}
		set(&opts)
	}
	return opts, nil
}

// newSimVBoxCommand makes "sim vbox".
func newSimVBoxCommand(a *app) *cobra.Command {
	var o simVBoxOptions
	cmd := &cobra.Command{
		Use:   "vbox",
		Short: "Simulate VirtualBox: a VBoxManage with virtual machines",
		Long: `Simulate VirtualBox, until interrupted: a program that acts as VBoxManage, and
virtual machines for it. The path of the program is printed, for the param
virtualbox/command, then the UUID and the name of each virtual machine.

Everything is in one folder. With --dir it stays, and is used again as it was
left; --count and --odd count for a new one.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.simVBox(cmd.Context(), o) },
	}
	fs := cmd.Flags()
	fs.StringVar(&o.dir, "dir", "", "`FOLDER` of the host (default: one that is removed at the end)")
	fs.IntVar(&o.count, "count", 1, "how many virtual machines: vm1, vm2 and so on")
	fs.StringArrayVar(&o.odd, "odd", nil, "`NAME` of something that is wrong with the host (may be repeated): "+strings.Join(vboxOddNames(), ", "))
	return cmd
}

// simVBox keeps a host until ctx ends.
func (a *app) simVBox(ctx context.Context, o simVBoxOptions) (err error) {
	opts, err := vboxOptions(o)
	if err != nil {
		return err
	}
	dir := o.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "oob-vbox-"); err != nil {
			return model.Errorf(model.Internal, "cannot simulate VirtualBox: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	host, err := vbox.New(dir, opts)
	if err != nil {
		return usage("%w", err)
	}
	if err = a.showVBox(host, o.count); err == nil {
		fmt.Fprintln(a.stderr, "simulating VirtualBox; interrupt to stop")
		<-ctx.Done()
	}
	if err = errors.Join(err, host.Close()); err != nil {
		return model.Errorf(model.Internal, "cannot simulate VirtualBox: %w", err)
	}
	return nil
}

// showVBox makes the virtual machines of a new host and prints what there is.
func (a *app) showVBox(host *vbox.Host, count int) error {
	there, err := host.VMs()
	if err != nil {
		return err
	}
	for i := len(there); i < count; i++ {
		uuid, err := host.Create(fmt.Sprintf("vm%d", i+1))
		if err != nil {
			return err
		}
		there = append(there, uuid)
	}
	if !a.flags.json {
		if err := a.printLine(host.Command()); err != nil {
			return err
		}
	}
	for _, uuid := range there {
		vm, err := host.VM(uuid)
		if err == nil && a.flags.json {
			err = a.printJSON(map[string]string{"command": host.Command(), "uuid": uuid, "name": vm.Name})
		} else if err == nil {
			err = a.printLine(uuid + " " + vm.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
