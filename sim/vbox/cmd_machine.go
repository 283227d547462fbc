package vbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// usageCreate is what createvm prints without a name.
const usageCreate = `Oracle VirtualBox Command Line Management Interface Version %s
Copyright (C) 2005-2026 Oracle and/or its affiliates

VBoxManage: error: Parameter --name is required

Usage - Create a new virtual machine:

  VBoxManage createvm <--name=name> <--platform-architecture= x86 | arm>
      [--basefolder=basefolder] [--default] [--groups=group-ID [,...]]
      [--ostype=ostype] [--register] [--uuid=uuid] [--cipher=cipher]
      [--password-id=password-id] [--password=file]
`

// cmdCreate makes a virtual machine. One that is not registered is only a file.
func cmdCreate(w *world, r *run) error {
	opts, err := r.options(1, "--register", "--default")
	if err != nil {
		return err
	}
	name := opts["--name"]
	if name == "" {
		version, _, _ := strings.Cut(w.Version, "r1")
		fmt.Fprintf(&r.stderr, usageCreate, version)
		return &exitError{2}
	}
	m, err := w.newMachine(r.host.dir, name, opts["--ostype"], opts["--uuid"])
	if err != nil {
		return err
	}
	if err := m.writeSettings(r.host.dir); err != nil {
		return err
	}
	w.executed(m, "create", r.args)
	registered := " and registered"
	if _, ok := opts["--register"]; !ok {
		w.VMs, registered = w.VMs[:len(w.VMs)-1], ""
	}
	fmt.Fprintf(&r.stdout, "Virtual machine '%s' is created%s.\nUUID: %s\nSettings file: '%s'\n", name, registered, m.UUID, m.settings(r.host.dir))
	return nil
}

// exitError is a failure whose text is printed already.
type exitError struct{ rc int }

// Error says so.
func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.rc) }

// cmdRegister registers a settings file; here, one that is registered already or
// is not there.
func cmdRegister(w *world, r *run) error {
	path := r.arg(1)
	const context, at = "OpenMachine(Bstr(a->argv[0]).raw(), Bstr(strPassword).raw(), machine.asOutParam()))", "159 of file VBoxManageMisc.cpp"
	e := &comError{code: "NS_ERROR_FAILURE", component: "MachineWrap", iface: "IMachine", context: context, at: at}
	for _, m := range w.VMs {
		if m.settings(r.host.dir) == path {
			e.text = "Trying to open a VM config '" + path + "' which has the same UUID as an existing virtual machine"
			return e
		}
	}
	if _, err := os.Stat(path); err != nil {
		e.text = "Runtime error opening '" + path + "' for reading VERR_FILE_NOT_FOUND (File not found.).\n" +
			"VBoxManage: error: /build/reproducible-path/virtualbox-7.2.22-dfsg/src/VBox/Main/src-server/MachineImpl.cpp[706] " +
			"(nsresult Machine::initFromSettings(VirtualBox*, const com::Utf8Str&, const com::Guid*, const com::Utf8Str&))"
		return e
	}
	name := strings.TrimSuffix(filepath.Base(path), ".vbox")
	if err := os.Remove(path); err != nil {
		return err
	}
	m, err := w.newMachine(r.host.dir, name, "Linux_64", "")
	if err != nil {
		return err
	}
	w.executed(m, "register", r.args)
	return m.writeSettings(r.host.dir)
}

// cmdUnregister takes a virtual machine off the list, with --delete its files
// and disks too.
func cmdUnregister(w *world, r *run) error {
	m, err := r.unlocked(w)
	if err != nil {
		return err
	}
	var kept []*machine
	for _, other := range w.VMs {
		if other != m {
			kept = append(kept, other)
		}
	}
	remove := r.arg(2) == "--delete" || r.arg(2) == "--delete-all"
	var disks []string
	for _, c := range m.Controllers {
		for _, s := range c.Slots {
			if s.Kind == "hdd" && len(w.users(s.Path)) == 1 {
				disks = append(disks, s.Path)
			}
		}
	}
	w.VMs = kept
	w.executed(m, "delete", r.args)
	if !remove {
		return nil
	}
	for _, path := range disks {
		w.forget(path)
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	r.progress()
	return os.RemoveAll(m.folder(r.host.dir))
}

// forget takes a medium off the list.
func (w *world) forget(path string) {
	var kept []*medium
	for _, m := range w.Media {
		if m.Path != path {
			kept = append(kept, m)
		}
	}
	w.Media = kept
}

// cmdSnapshot knows that there are none.
func cmdSnapshot(w *world, r *run) error {
	if _, err := r.machine(w); err != nil {
		return err
	}
	if r.arg(2) != "list" {
		return plain("Snapshots are not simulated")
	}
	r.stdout.WriteString("This machine does not have any snapshots\n")
	return &exitError{1}
}

// cmdHostOnly makes no host-only interface: there is no kernel driver for it.
func cmdHostOnly(_ *world, r *run) error {
	r.stderr.WriteString("0%...NS_ERROR_FAILURE\nVBoxManage: error: Failed to create the host-only adapter\n")
	return &comError{
		text: "VBoxNetAdpCtl: Error while adding new interface: failed to open /dev/vboxnetctl: No such file or directory",
		code: "NS_ERROR_FAILURE", component: "HostNetworkInterfaceWrap", iface: "IHostNetworkInterface", async: true,
		context: "RTEXITCODE handleCreate(HandlerArg*)", at: "105 of file VBoxManageHostonly.cpp",
	}
}
