package build

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/virtualbox-ipmi/vbox"
)

// controller is the name of a VM's storage controller.
const controller = "SATA Controller"

// The ports of the controller.
const (
	diskPort  = "0"
	drivePort = "1"
)

// undoLimit bounds the undoing of what was begun: it goes on when its caller has
// left.
const undoLimit = time.Minute

// making is one VM while it is made.
type making struct {
	vm   *vbox.Manager
	spec *Spec
	info *vbox.Info // once it is registered
	// begun tells that there may be something to undo.
	begun bool
}

// Create makes a VM. If it is there already, and was made by the same owner for
// the same machine, it is returned with made false; what is left of one that was
// not made to the end is removed first. When anything fails nothing stays.
func Create(ctx context.Context, vm *vbox.Manager, spec *Spec) (info *vbox.Info, made bool, err error) {
	ctx, unlock, err := vm.Lock(ctx, spec.UUID)
	if err != nil {
		return nil, false, vbox.Wire(err)
	}
	defer unlock()
	info, err = vm.Info(ctx, spec.UUID)
	switch class := vbox.ClassOf(err); {
	case err == nil:
		done, err := leftover(ctx, vm, spec, info)
		if err != nil || done {
			return info, false, err
		}
	case class != vbox.NotFound:
		return nil, false, vbox.Wire(err)
	}
	m := &making{vm: vm, spec: spec}
	if err := m.check(ctx); err != nil {
		return nil, false, err
	}
	if err := m.all(ctx); err != nil {
		return nil, false, m.undone(ctx, err)
	}
	return m.info, true, nil
}

// leftover looks at a VM that has the UUID already: it is done, or what was begun
// is removed, or it is another's.
func leftover(ctx context.Context, vm *vbox.Manager, spec *Spec, info *vbox.Info) (done bool, err error) {
	marks, err := ReadMarks(ctx, vm, spec.UUID)
	if err != nil {
		return false, err
	}
	// Between its making and its first mark a VM is empty, and has our name.
	unmarked := marks.Empty && info.Name == spec.Name && len(info.Controllers) == 0 && info.State.Word == vbox.WordPowerOff
	switch {
	case marks.Owner == spec.Owner && marks.Done:
		return true, nil
	case marks.Owner == spec.Owner, unmarked:
		return false, removeWhole(ctx, vm, info)
	}
	return false, model.Errorf(model.Conflict, "VM %q has UUID %s and was not made by plugin %s; nothing was done to it", info.Name, info.UUID, spec.Owner)
}

// check looks at what must be there before anything is made.
func (m *making) check(ctx context.Context) error {
	all, err := m.vm.List(ctx)
	if err != nil {
		return vbox.Wire(err)
	}
	for _, one := range all {
		if one.Name == m.spec.Name {
			return model.Errorf(model.Conflict, "a VM named %q is there already, with UUID %s; choose another %s", one.Name, one.UUID, ParamName)
		}
	}
	for i, n := range m.spec.NICs {
		if n.Kind != hostOnly {
			continue
		}
		names, err := hostOnlyInterfaces(ctx, m.vm)
		if err != nil {
			return err
		}
		if !names[n.Network] {
			return model.Errorf(model.Conflict, "adapter %d needs host-only interface %s, which is not there; run VBoxManage hostonlyif create, or set %s", i+1, n.Network, ParamNICs)
		}
	}
	return nil
}

// interfaceLine names an interface in list hostonlyifs.
var interfaceLine = regexp.MustCompile(`(?m)^Name:\s+(.*?)\r?$`)

// hostOnlyInterfaces lists the host-only interfaces.
func hostOnlyInterfaces(ctx context.Context, vm *vbox.Manager) (map[string]bool, error) {
	out, err := vm.Run(ctx, "list", "hostonlyifs")
	if err != nil {
		return nil, vbox.Wire(err)
	}
	names := map[string]bool{}
	for _, line := range interfaceLine.FindAllSubmatch(out, -1) {
		names[string(line[1])] = true
	}
	return names, nil
}

// all takes the steps one after the other.
func (m *making) all(ctx context.Context) error {
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"register the VM", m.register},
		{"mark the VM", m.mark},
		{"add the controller", m.control},
		{"make the disk", m.disk},
		{"add the drive", m.drive},
		{"set up the VM", m.settings},
		{"finish the VM", m.finish},
	} {
		if err := step.run(ctx); err != nil {
			return model.Errorf(model.KindOf(err), "%s: %w", step.name, err)
		}
	}
	return nil
}

// run runs VBoxManage.
func (m *making) run(ctx context.Context, args ...string) error {
	if _, err := m.vm.Run(ctx, args...); err != nil {
		return vbox.Wire(err)
	}
	return nil
}

// register makes the VM itself. VirtualBox leaves the settings file of one whose
// UUID is taken; that is looked at before, under the lock.
func (m *making) register(ctx context.Context) error {
	args := []string{"createvm", "--name", m.spec.Name, "--ostype", m.spec.OSType, "--register", "--uuid", m.spec.UUID}
	if m.spec.Folder != "" {
		args = append(args, "--basefolder", m.spec.Folder)
	}
	_, err := m.vm.Run(ctx, args...)
	if err == nil || model.KindOf(vbox.Wire(err)) == model.UnknownOutcome {
		m.begun = true
	}
	if err != nil {
		return vbox.Wire(err)
	}
	info, err := m.vm.Info(ctx, m.spec.UUID)
	if err != nil {
		return vbox.Wire(err)
	}
	m.info = info
	return nil
}

// mark keeps with the VM who makes it.
func (m *making) mark(ctx context.Context) error {
	for _, kv := range [][2]string{{KeyOwner, m.spec.Owner}, {KeyMachine, m.spec.Machine}, {KeyStage, stageBegun}} {
		if kv[1] == "" {
			continue
		}
		if err := m.vm.SetExtraData(ctx, m.spec.UUID, kv[0], kv[1]); err != nil {
			return vbox.Wire(err)
		}
	}
	return nil
}

// control adds the storage controller.
func (m *making) control(ctx context.Context) error {
	return m.run(ctx, "storagectl", m.spec.UUID, "--name", controller, "--add", "sata", "--controller", "IntelAHCI", "--portcount", "2", "--bootable", "on")
}

// disk makes the disk and attaches it.
func (m *making) disk(ctx context.Context) error {
	path := diskPath(m.info)
	if err := m.run(ctx, "createmedium", "disk", "--filename", path, "--size", fmt.Sprint(m.spec.DiskMB)); err != nil {
		return err
	}
	return m.run(ctx, "storageattach", m.spec.UUID, "--storagectl", controller, "--port", diskPort, "--device", "0", "--type", "hdd", "--medium", path)
}

// diskPath is where the disk of a VM is: beside its settings.
func diskPath(info *vbox.Info) string {
	return strings.TrimSuffix(info.ConfigFile, filepath.Ext(info.ConfigFile)) + ".vdi"
}

// drive adds the drive for images.
func (m *making) drive(ctx context.Context) error {
	medium := m.spec.ISO
	if medium == "" {
		medium = "emptydrive"
	}
	return m.run(ctx, "storageattach", m.spec.UUID, "--storagectl", controller, "--port", drivePort, "--device", "0", "--type", "dvddrive", "--medium", medium)
}

// settings sets the rest, in one command.
func (m *making) settings(ctx context.Context) error {
	s := m.spec
	args := []string{
		"modifyvm", s.UUID, "--memory", fmt.Sprint(s.MemoryMB), "--cpus", fmt.Sprint(s.CPUs), "--vram", fmt.Sprint(s.VideoMiB),
		"--ioapic", "on", "--rtcuseutc", "on", "--firmware", s.Firmware,
		"--boot1", "net", "--boot2", "disk", "--boot3", "none", "--boot4", "none",
	}
	for i, n := range s.NICs {
		args = append(args, n.args(i+1)...)
	}
	if len(s.NICs) == 0 {
		args = append(args, "--nic1", "none")
	}
	if s.Serial != "" {
		path := s.Serial
		if path == SerialInFolder {
			path = filepath.Join(filepath.Dir(m.info.ConfigFile), "serial.sock")
		}
		if len(path) > maxSocket {
			return model.Errorf(model.Invalid, "the path of the serial port's socket, %s, has more than %d bytes; set %s to a shorter one", path, maxSocket, ParamSerial)
		}
		args = append(args, "--uart1", "0x3F8", "4", "--uartmode1", "server", path)
	}
	return m.run(ctx, args...)
}

// networkOption is the option that names the network of an adapter, by its kind.
var networkOption = map[string]string{hostOnly: "--hostonlyadapter", "bridged": "--bridgeadapter", "intnet": "--intnet"}

// args are the options of one adapter.
func (n *NIC) args(number int) []string {
	at := fmt.Sprint(number)
	args := []string{"--nic" + at, n.Kind, "--nictype" + at, n.Adapter, "--cableconnected" + at, "on"}
	if option := networkOption[n.Kind]; option != "" {
		args = append(args, option+at, n.Network)
	}
	if n.MAC != "" {
		args = append(args, "--macaddress"+at, n.MAC)
	}
	return args
}

// finish reads back what was made and says that it is whole.
func (m *making) finish(ctx context.Context) error {
	info, err := m.vm.Info(ctx, m.spec.UUID)
	if err != nil {
		return vbox.Wire(err)
	}
	m.info = info
	if len(info.NICs) != len(m.spec.NICs) || info.MemoryMB != int(m.spec.MemoryMB) || info.CPUs != int(m.spec.CPUs) || info.Boot[0] != "net" {
		return model.Errorf(model.Timeout, "the VM reads back with %d adapters, %d MiB, %d CPUs and boot order %v", len(info.NICs), info.MemoryMB, info.CPUs, info.Boot)
	}
	if err := m.vm.SetExtraData(ctx, m.spec.UUID, KeyStage, stageDone); err != nil {
		return vbox.Wire(err)
	}
	return nil
}

// undone takes back what was done and returns the error of what failed, with what
// could not be taken back.
func (m *making) undone(ctx context.Context, failed error) error {
	if !m.begun {
		return failed
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	info, err := m.vm.Info(ctx, m.spec.UUID)
	switch {
	case err == nil:
		err = remove(ctx, m.vm, info)
	case vbox.ClassOf(err) == vbox.NotFound: // it was not made after all
		err = nil
	}
	if err != nil {
		return model.Errorf(model.KindOf(failed), "%w; what was made of it could not be removed: %s", failed, vbox.Wire(err).Text())
	}
	return model.Errorf(model.KindOf(failed), "%w; what was made of it was removed", failed)
}
