package build

import (
	"context"
	"slices"
	"strings"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/virtualbox-ipmi/vbox"
)

// Waits for a VM to be off, and for nobody to have it open.
const (
	idleGap   = 100 * time.Millisecond
	idleLimit = 20 * time.Second
)

// Destroy switches a VM off and removes it with its disk. One that owner did not
// make, or made for another machine, is a conflict; machine "" is any. One that
// is not there is success with gone false.
func Destroy(ctx context.Context, vm *vbox.Manager, uuid, owner, machine string) (gone bool, err error) {
	ctx, unlock, err := vm.Lock(ctx, uuid)
	if err != nil {
		return false, vbox.Wire(err)
	}
	defer unlock()
	info, err := vm.Info(ctx, uuid)
	if vbox.ClassOf(err) == vbox.NotFound {
		return false, nil
	}
	if err != nil {
		return false, vbox.Wire(err)
	}
	marks, err := ReadMarks(ctx, vm, uuid)
	if err != nil {
		return false, err
	}
	if marks.Owner != owner {
		return false, model.Errorf(model.Conflict, "VM %q was not made by plugin %s, and stays; VBoxManage unregistervm %s --delete removes it", info.Name, owner, uuid)
	}
	if machine != "" && marks.Machine != "" && !strings.EqualFold(marks.Machine, machine) {
		return false, model.Errorf(model.Conflict, "VM %q was made for machine %s, not for %s, and stays", info.Name, marks.Machine, machine)
	}
	return true, removeWhole(ctx, vm, info)
}

// removeWhole switches a VM off and removes it. The lock is held.
func removeWhole(ctx context.Context, vm *vbox.Manager, info *vbox.Info) error {
	info, err := idle(ctx, vm, info)
	if err != nil {
		return err
	}
	pid, err := vm.Process(ctx, info.UUID)
	if err == nil && pid != 0 {
		return model.Errorf(model.Conflict, "VirtualBox takes the VM for off, but its process %d still runs; end that process first", pid)
	}
	if strings.HasSuffix(info.State.Word, vbox.WordSaved) {
		if _, err := vm.Run(ctx, "discardstate", info.UUID); err != nil {
			return vbox.Wire(err)
		}
	}
	return remove(ctx, vm, info)
}

// remove removes a VM that is off, and first a disk that was made for it and not
// attached: an attached one goes with it.
func remove(ctx context.Context, vm *vbox.Manager, info *vbox.Info) error {
	path := diskPath(info)
	attached := slices.ContainsFunc(info.Controllers, func(c vbox.Controller) bool {
		return slices.ContainsFunc(c.Media, func(m vbox.Medium) bool { return m.Path == path })
	})
	if !attached {
		if err := removeDisk(ctx, vm, path); err != nil {
			return err
		}
	}
	return unregister(ctx, vm, info.UUID)
}

// idle switches a VM off and waits until nobody has it open.
func idle(ctx context.Context, vm *vbox.Manager, info *vbox.Info) (*vbox.Info, error) {
	limit, cancel := context.WithTimeout(ctx, idleLimit)
	defer cancel()
	uuid, ordered := info.UUID, false
	for !info.Idle() {
		if info.State.Power == model.StateOn && !ordered {
			_, err := vm.Run(ctx, "controlvm", uuid, "poweroff")
			if err != nil && vbox.ClassOf(err) != vbox.InvalidState {
				return nil, vbox.Wire(err)
			}
			ordered = true
		}
		if !pause(limit, idleGap) {
			return nil, model.Errorf(model.Timeout, "VM %q is not off: it is %s, session %q", info.Name, info.State.Word, info.Session)
		}
		next, err := vm.Info(ctx, uuid)
		if err != nil {
			return nil, vbox.Wire(err)
		}
		info = next
	}
	return info, nil
}

// pause waits for d and reports whether there is time left after it.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// unregister removes a VM with its disks. One that is not there is removed.
func unregister(ctx context.Context, vm *vbox.Manager, uuid string) error {
	if _, err := vm.Run(ctx, "unregistervm", uuid, "--delete"); err != nil && vbox.ClassOf(err) != vbox.NotFound {
		return vbox.Wire(err)
	}
	return nil
}

// removeDisk removes a disk that no VM has. One that VirtualBox does not know is
// removed, or was never made.
func removeDisk(ctx context.Context, vm *vbox.Manager, path string) error {
	known, err := knownDisk(ctx, vm, path)
	if err != nil || !known {
		return err
	}
	_, err = vm.Run(ctx, "closemedium", "disk", path, "--delete")
	if err == nil || vbox.ClassOf(err) == vbox.NotFound {
		return nil
	}
	if _, again := vm.Run(ctx, "closemedium", "disk", path); again != nil { // its file may be gone already
		return vbox.Wire(err)
	}
	return nil
}

// knownDisk reports whether VirtualBox knows a disk.
func knownDisk(ctx context.Context, vm *vbox.Manager, path string) (bool, error) {
	out, err := vm.Run(ctx, "list", "hdds")
	if err != nil {
		return false, vbox.Wire(err)
	}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(line, ":")
		if key == "Location" && strings.TrimSpace(value) == path {
			return true, nil
		}
	}
	return false, nil
}
