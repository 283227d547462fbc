package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/sim/vbox"
)

// The virtual machines.
const (
	vmCount     = 2
	checkVMOnce = "the VM was stopped and started exactly once"
)

// vm names the i-th virtual machine.
func vm(i int) string { return fmt.Sprintf("vm%d", i+1) }

// startVMs makes the simulated VirtualBox, with the times of a real one.
func (w *world) startVMs() (err error) {
	w.virtual, err = vbox.New(w.path("vbox"), vbox.Options{
		Program:   filepath.Join(w.bin, "oob"),
		Behaviour: vbox.Behaviour{SessionLag: 1100 * time.Millisecond, StartDelay: powerDelay, Process: true},
	})
	if err != nil {
		return err
	}
	table := "name,driver,address\n"
	for i := range vmCount {
		uuid, err := w.virtual.Create(vm(i))
		if err != nil {
			return err
		}
		table += vm(i) + ",virtualbox-ipmi," + uuid + "\n"
	}
	return os.WriteFile(w.path("vms.csv"), []byte(table), 0o600)
}

// addVMs configures the plugin and adds the virtual machines as machines.
func (w *world) addVMs(ctx context.Context) error {
	r, err := w.oob(ctx, "plugin", "add", "virtualbox-ipmi", "--param", "virtualbox/command="+w.virtual.Command())
	if err != nil {
		return err
	}
	added, err := w.oob(ctx, "machine", "add", "--csv", "vms.csv")
	if err != nil {
		return err
	}
	return w.check("the VMs are machines like any other", r.code == 0 && added.code == 0, "%d of them", vmCount)
}

// vmDid checks how often each thing was done to a virtual machine by now.
func (w *world) vmDid(check string, i int, want map[string]int) error {
	seen, err := w.virtual.VM(vm(i))
	if err != nil {
		return err
	}
	right, did := true, []string{}
	for what, n := range want {
		got, err := w.virtual.Executed(seen.UUID, what)
		if err != nil {
			return err
		}
		right = right && got == n
		did = append(did, fmt.Sprintf("%s %d", what, got))
	}
	slices.Sort(did)
	return w.check(check, right, "%s: %s", vm(i), strings.Join(did, ", "))
}

// driveVMs boots a virtual machine from the network once.
func (w *world) driveVMs(ctx context.Context) error {
	r, err := w.oob(ctx, "power", "on", "vm[1-2]", "--yes")
	if err != nil {
		return err
	}
	for i := range vmCount {
		err = errors.Join(err, w.vmDid("the VM was started exactly once", i, map[string]int{"start": 1, "stop": 0}))
	}
	if err != nil {
		return err
	}
	if err := w.check("both VMs are on", r.code == 0, "exit %d", r.code); err != nil {
		return err
	}
	if _, err := w.oob(ctx, "boot", "pxe", vm(0), "--yes"); err != nil {
		return err
	}
	if r, err = w.oob(ctx, "power", "cycle", vm(0), "--yes"); err != nil {
		return err
	}
	if err := w.vmDid(checkVMOnce, 0, map[string]int{"start": 2, "stop": 1}); err != nil {
		return err
	}
	if err := w.booted("the VM's own log says that it booted from the network", "LAN", r); err != nil {
		return err
	}
	if r, err = w.oob(ctx, "power", "cycle", vm(0), "--yes"); err != nil {
		return err
	}
	return w.booted("once, and then from its disk again", "Hard Disk", r)
}

// booted checks what the log of the first virtual machine says that it booted
// from.
func (w *world) booted(check, device string, r reply) error {
	log, err := os.ReadFile(filepath.Join(w.virtual.Dir(), "VirtualBox VMs", vm(0), "Logs", "VBox.log"))
	if err != nil {
		return fmt.Errorf("cannot read the VM's log: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	last := lines[len(lines)-1]
	return w.check(check, r.code == 0 && strings.Contains(last, "Booting from "+device+"..."), "%s", last)
}

// loseService kills VBoxSVC under a virtual machine that runs: VirtualBox calls it
// off then, and a start would put a second process on its disk.
func (w *world) loseService(ctx context.Context) error {
	w.say("(somebody kills VBoxSVC while %s runs)", vm(1))
	if err := w.virtual.KillService(); err != nil {
		return err
	}
	r, err := w.oob(ctx, "power", "on", vm(1), "--yes")
	if err != nil {
		return err
	}
	if err := w.vmDid("no second process was started on one disk", 1, map[string]int{"start": 1, "second process": 0}); err != nil {
		return err
	}
	return w.oneLine("who asked for it was told why", r, model.Conflict, vm(1))
}
