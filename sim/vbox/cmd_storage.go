package vbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// controllerTypes are the hardware of a bus, as it is shown.
var controllerTypes = map[string]string{"sata": "IntelAhci", "ide": "PIIX4", "scsi": "LsiLogic", "floppy": "I82078", "sas": "LsiLogicSas", "usb": "USB", "pcie": "NVMe", "virtio": "VirtioSCSI"}

// cmdStorageController adds a storage controller, or removes it.
func cmdStorageController(w *world, r *run) error {
	m, err := r.unlocked(w)
	if err != nil {
		return err
	}
	opts, err := r.options(2, "--remove")
	if err != nil {
		return err
	}
	name, bus := opts["--name"], opts["--add"]
	if _, remove := opts["--remove"]; remove {
		return m.removeController(w, r, name)
	}
	if m.controller(name) != nil {
		return &comError{
			text: "Storage controller named '" + name + "' already exists", code: "VBOX_E_OBJECT_IN_USE", component: "SessionMachine", iface: "IMachine",
			context: "AddStorageController(Bstr(pszCtl).raw(), StorageBus_SATA, ctl.asOutParam())", at: "1088 of file VBoxManageStorageController.cpp",
		}
	}
	if controllerTypes[bus] == "" || name == "" {
		return plain("Invalid --add argument '%s'", bus)
	}
	c := &controller{Name: name, Type: controllerTypes[bus], Bus: bus, Ports: 2, Bootable: opts["--bootable"] != "off", Slots: map[string]*slot{}}
	if ports, err := strconv.Atoi(opts["--portcount"]); err == nil {
		c.Ports = ports
	}
	m.Controllers = append(m.Controllers, c)
	w.executed(m, "storage", r.args)
	return nil
}

// removeController takes a controller away.
func (m *machine) removeController(w *world, r *run, name string) error {
	for i, c := range m.Controllers {
		if c.Name == name {
			m.Controllers = append(m.Controllers[:i:i], m.Controllers[i+1:]...)
			w.executed(m, "storage", r.args)
			return nil
		}
	}
	return errNoController(name)
}

// controller finds a controller, nil if there is none.
func (m *machine) controller(name string) *controller {
	for _, c := range m.Controllers {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// errNoController is for a controller that is not there.
func errNoController(name string) error {
	return &comError{
		text: "Could not find a storage controller named '" + name + "'", code: "VBOX_E_OBJECT_NOT_FOUND", component: "SessionMachine", iface: "IMachine",
		context: "GetStorageControllerByName(Bstr(pszCtl).raw(), storageCtl.asOutParam())", at: "420 of file VBoxManageStorageController.cpp",
	}
}

// cmdStorageAttach puts a medium into a slot. While the virtual machine runs
// only the CD in a drive can be changed.
func cmdStorageAttach(w *world, r *run) error {
	m, err := r.machine(w)
	if err != nil {
		return err
	}
	opts, err := r.options(2, "--forceunmount")
	if err != nil {
		return err
	}
	at := opts["--port"] + "-" + opts["--device"]
	c := m.controller(opts["--storagectl"])
	if c == nil {
		return errNoController(opts["--storagectl"])
	}
	now := c.Slots[at]
	if m.Session != "" && (now == nil || now.Kind != "dvddrive" || !m.on()) {
		return errLocked(r.arg(0), m)
	}
	path, err := w.insert(opts["--type"], opts["--medium"])
	if err != nil {
		return err
	}
	w.executed(m, "storage", r.args)
	if opts["--medium"] == "none" {
		delete(c.Slots, at)
		return nil
	}
	kind := opts["--type"]
	if kind == "" && now != nil {
		kind = now.Kind
	}
	c.Slots[at] = &slot{Kind: kind, Path: path}
	return nil
}

// insert finds or registers a medium by path or UUID and returns its path, ""
// for none.
func (w *world) insert(kind, name string) (path string, err error) {
	if name == "emptydrive" || name == "none" {
		return "", nil
	}
	if m := w.mediumOf(name); m != nil {
		return m.Path, nil
	}
	if _, err := os.Stat(name); err != nil {
		return "", &afterError{
			&comError{
				text: "Could not find file for the medium '" + name + "' (VERR_FILE_NOT_FOUND)", code: "VBOX_E_FILE_ERROR", component: "MediumWrap", iface: "IMedium",
				context: "OpenMedium(Bstr(pszFilenameOrUuid).raw(), enmDevType, enmAccessMode, fForceNewUuidOnOpen, pMedium.asOutParam())",
				at:      "197 of file VBoxManageDisk.cpp",
			}, "Invalid UUID or filename \"" + name + "\"",
		}
	}
	format := "RAW"
	if kind == "hdd" {
		format = "VDI"
	}
	w.Media = append(w.Media, &medium{UUID: newUUID(), Path: name, Format: format})
	return name, nil
}

// afterError is an error with one more line after its details.
type afterError struct {
	first error
	line  string
}

// Error is the first line.
func (e *afterError) Error() string { return e.first.Error() }

// cmdCreateMedium makes a disk.
func cmdCreateMedium(w *world, r *run) error {
	opts, err := r.options(2)
	if err != nil {
		return err
	}
	path := opts["--filename"]
	size, err := strconv.Atoi(opts["--size"])
	if r.arg(1) != "disk" || !filepath.IsAbs(path) || err != nil {
		return &plainError{"Parameter --filename is required", 2}
	}
	if _, err := os.Stat(path); err == nil || w.mediumOf(path) != nil {
		r.stderr.WriteString("0%...VBOX_E_FILE_ERROR\nVBoxManage: error: Failed to create medium\n")
		return &comError{
			text: "Could not create the medium storage unit '" + path + "'.\nVBoxManage: error: VDI: cannot create image '" + path + "' (VERR_ALREADY_EXISTS)",
			code: "VBOX_E_FILE_ERROR", component: "MediumWrap", iface: "IMedium", async: true,
			context: "RTEXITCODE handleCreateMedium(HandlerArg*)", at: "630 of file VBoxManageDisk.cpp",
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	m := &medium{UUID: newUUID(), Path: path, Format: "VDI", SizeMB: size}
	w.Media = append(w.Media, m)
	w.executed(nil, "medium", r.args)
	r.progress()
	fmt.Fprintf(&r.stdout, "Medium created. UUID: %s\n", m.UUID)
	return nil
}

// cmdCloseMedium takes a medium off the list, with --delete its file too.
func cmdCloseMedium(w *world, r *run) error {
	name := r.arg(2)
	m := w.mediumOf(name)
	if m == nil {
		_, err := w.insert("hdd", name)
		if err != nil {
			return err
		}
		m = w.mediumOf(name)
	}
	if users := w.users(m.Path); len(users) > 0 {
		return r.errAttached(w, m, users)
	}
	w.forget(m.Path)
	w.executed(nil, "close medium", r.args)
	if r.arg(3) != "--delete" {
		return nil
	}
	r.progress()
	return os.Remove(m.Path)
}

// errAttached is for a medium that is in use: with --delete it is told twice.
func (r *run) errAttached(w *world, m *medium, users []string) error {
	e := &comError{
		text: fmt.Sprintf("Medium '%s' cannot be closed because it is still attached to %d virtual machines", m.Path, len(users)), code: "VBOX_E_OBJECT_IN_USE",
		component: "MediumWrap", iface: "IMedium", context: "Close()", at: "1877 of file VBoxManageDisk.cpp",
	}
	if r.arg(3) == "--delete" {
		r.print(w, &comError{
			text: fmt.Sprintf("Cannot delete storage: medium '%s' is still attached to the following %d virtual machine(s): %s", m.Path, len(users), strings.Join(users, ", ")),
			code: "VBOX_E_OBJECT_IN_USE", component: "MediumWrap", iface: "IMedium",
			context: "DeleteStorage(pProgress.asOutParam())", at: "1868 of file VBoxManageDisk.cpp",
		})
		r.stderr.WriteString("VBoxManage: error: Failed to delete medium. Error code VBOX_E_OBJECT_IN_USE\n")
	}
	return e
}
