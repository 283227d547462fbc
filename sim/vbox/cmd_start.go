package vbox

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// cmdStart starts a virtual machine, as a process of its own if it behaves so.
func cmdStart(w *world, r *run) error {
	opts, err := r.options(2)
	if err != nil {
		return err
	}
	m, err := r.unlocked(w)
	if err != nil {
		return err
	}
	kind := opts["--type"]
	if kind == "" {
		kind = "gui"
	}
	if err := launchable(m, kind); err != nil {
		return err
	}
	fmt.Fprintf(&r.stdout, "Waiting for VM \"%s\" to power on...\n", m.Name)
	if w.NoDriver {
		return &comError{
			text: "The virtual machine '" + m.Name + "' has terminated unexpectedly during startup with exit code 1 (0x1)",
			code: "NS_ERROR_FAILURE", component: "MachineWrap", iface: "IMachine", async: true,
		}
	}
	b := m.behaviour(w)
	if slices.ContainsFunc(m.Orphans, func(pid int) bool { return alive(pid, m.UUID) }) {
		w.executed(m, "second process", r.args)
	}
	w.executed(m, "start", r.args)
	m.Session, m.SessionEnds = kind, time.Time{}
	if m.Saved == "" {
		m.change(stateStarting, w.now)
	} else {
		m.change(stateRestoring, w.now)
	}
	m.Next = &transition{stateRunning, w.now.Add(b.StartDelay)}
	if err := m.boot(r.host.dir, w); err != nil {
		return err
	}
	if b.Process || m.serves() {
		r.spawn = m.UUID
	}
	r.wait = b.StartDelay
	r.then = func(w *world) error {
		fmt.Fprintf(&r.stdout, "VM \"%s\" has been successfully started.\n", m.Name)
		return nil
	}
	return nil
}

// launchable refuses a front end that is not there.
func launchable(m *machine, kind string) error {
	switch kind {
	case "headless":
		return nil
	case "gui", "sdl", "separate":
		return &comError{
			text: "Could not launch the VM process for the machine '" + m.Name + "' (VERR_FILE_NOT_FOUND)",
			code: "VBOX_E_IPRT_ERROR", component: "MachineWrap", iface: "IMachine", context: launchContext, at: launchLine,
		}
	}
	return &comError{
		text: "Invalid frontend name: '" + kind + "'", code: "NS_ERROR_INVALID_ARG", component: "MachineWrap", iface: "IMachine",
		context: launchContext, at: launchLine,
	}
}

// boot writes the log of a start; what was saved goes on where it was.
func (m *machine) boot(dir string, w *world) error {
	m.Guest["/VirtualBox/HostInfo/VBoxVer"], _, _ = strings.Cut(w.Version, "_")
	m.Resets, m.Resumes = 0, 0
	if m.Saved != "" {
		m.Saved = ""
		return m.newLog(dir, w, nil)
	}
	return m.newLog(dir, w, m.bootLines(w))
}

// cmdDiscard throws a saved state away.
func cmdDiscard(w *world, r *run) error {
	m, err := r.unlocked(w)
	if err != nil {
		return err
	}
	if m.State != stateSaved {
		r.zero = true
		return &comError{
			text: "Cannot discard the saved state as the machine is not in the Saved or Aborted-Saved state (machine state: " + stateName(m.State) + ")",
			code: "VBOX_E_INVALID_VM_STATE", component: "SessionMachine", iface: "IMachine",
			context: "DiscardSavedState(true )", at: "1292 of file VBoxManageMisc.cpp",
		}
	}
	m.change(statePowerOff, w.now)
	m.Saved = ""
	w.executed(m, "discard", r.args)
	return nil
}
