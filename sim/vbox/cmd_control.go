package vbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// order is one verb of controlvm.
type order struct {
	// from are the states it is possible in.
	from []string
	// refuse makes the error for every other state.
	refuse func(m *machine) error
	do     func(w *world, r *run, m *machine) error
}

// notAllowed makes the error most orders are refused with.
func notAllowed(context, at string) func(*machine) error {
	return func(m *machine) error { return errState("Invalid machine state: "+stateName(m.State), context, at) }
}

var running = []string{stateRunning}

// orders are the verbs. A number at their end is cut off.
var orders = map[string]order{
	"poweroff":          {[]string{stateRunning, statePaused, stateGuru}, refusePowerOff, powerOff},
	"reset":             {running, notAllowed("Reset()", "398"), reset},
	"pause":             {running, notAllowed("Pause()", "388"), pauseVM},
	"resume":            {[]string{statePaused}, refuseResume, resumeVM},
	"acpipowerbutton":   {running, notAllowed("PowerButton()", "658"), softOff},
	"acpisleepbutton":   {running, notAllowed("SleepButton()", "670"), noted("sleep")},
	"savestate":         {[]string{stateRunning, statePaused}, notAllowed("SaveState(progress.asOutParam())", "630"), saveState},
	"screenshotpng":     {[]string{stateRunning, statePaused}, notAllowed("TakeScreenShotToArray()", "1800"), screenshot},
	"keyboardputstring": {running, notAllowed("PutScancodes()", "770"), noted("keys")},
	"setlinkstate":      {[]string{stateRunning, statePaused}, notAllowed("COMSETTER(CableConnected)()", "500"), noted("link")},
	"nic":               {[]string{stateRunning, statePaused}, notAllowed("COMSETTER(Enabled)()", "510"), noted("nic")},
	"changeuartmode":    {[]string{stateRunning, statePaused}, notAllowed("COMSETTER(HostMode)()", "520"), noted("uart")},
	"reboot":            {running, notAllowed("Shutdown()", "694"), noGuest},
	"shutdown":          {running, notAllowed("Shutdown()", "694"), noGuest},
}

// cmdControl gives an order to a virtual machine that has a process.
func cmdControl(w *world, r *run) error {
	m, err := r.machine(w)
	if err != nil {
		return err
	}
	if m.Session == "" {
		return plain("Machine '%s' is not currently running.", m.Name)
	}
	verb := strings.TrimRight(r.arg(2), "0123456789")
	o, ok := orders[verb]
	if !ok {
		return &plainError{"Invalid parameter '" + r.arg(2) + "'", 2}
	}
	if !slices.Contains(o.from, m.State) {
		return o.refuse(m)
	}
	return o.do(w, r, m)
}

// refusePowerOff is the error of a power off.
func refusePowerOff(m *machine) error {
	if m.State == stateSaved {
		return errState("Cannot power down a saved virtual machine", "PowerDown(progress.asOutParam())", "602")
	}
	return errState("Invalid machine state: "+stateName(m.State)+" (must be Running, Paused or Stuck)", "PowerDown(progress.asOutParam())", "602")
}

// refuseResume is the error of a resume.
func refuseResume(m *machine) error {
	return errState("Cannot resume the machine as it is not paused (machine state: "+stateName(m.State)+")", "Resume()", "393")
}

// powerOff ends the run.
func powerOff(w *world, r *run, m *machine) error {
	pid := m.Pid
	m.stopped(w, statePowerOff, m.behaviour(w).SessionLag)
	w.executed(m, "stop", r.args)
	r.progress()
	if pid != 0 {
		return endProcess(pid)
	}
	return nil
}

// reset boots again.
func reset(w *world, r *run, m *machine) error {
	m.Resets++
	w.executed(m, "reset", r.args)
	return m.addLog(r.host.dir, m.bootLines(w))
}

// pauseVM stops the CPUs.
func pauseVM(w *world, r *run, m *machine) error {
	m.change(statePaused, w.now)
	w.executed(m, "pause", r.args)
	return nil
}

// resumeVM lets them go on.
func resumeVM(w *world, r *run, m *machine) error {
	m.Resumes++
	m.change(stateRunning, w.now)
	w.executed(m, "resume", r.args)
	return nil
}

// softOff presses the button. That it is ignored does not show.
func softOff(w *world, r *run, m *machine) error {
	w.executed(m, "soft", r.args)
	if b := m.behaviour(w); !b.SoftIgnored && m.Next == nil {
		m.Next = &transition{statePowerOff, w.now.Add(b.SoftDelay)}
	}
	return nil
}

// saveState writes the state down and ends the process.
func saveState(w *world, r *run, m *machine) error {
	pid := m.Pid
	m.stopped(w, stateSaved, m.behaviour(w).SessionLag)
	m.Saved = filepath.Join(m.folder(r.host.dir), "Snapshots", w.now.UTC().Format("2006-01-02T15-04-05-000000000Z")+".sav")
	w.executed(m, "save", r.args)
	r.progress()
	if pid != 0 {
		return endProcess(pid)
	}
	return nil
}

// screenshot draws the screen.
func screenshot(w *world, r *run, m *machine) error {
	image, err := screen(m.UUID)
	if err != nil {
		return err
	}
	w.executed(m, "screenshot", r.args)
	return os.WriteFile(r.arg(3), image, 0o600)
}

// noted is an order that only is noted.
func noted(what string) func(*world, *run, *machine) error {
	return func(w *world, r *run, m *machine) error {
		w.executed(m, what, r.args)
		return nil
	}
}

// noGuest is an order to software in the guest that is not there.
func noGuest(*world, *run, *machine) error {
	return &comError{
		text: "Could not create guest session: VERR_NOT_FOUND", code: "VBOX_E_IPRT_ERROR", component: "GuestWrap", iface: "IGuest",
		context: "Shutdown(ComSafeArrayAsInParam(aShutdownFlags))", at: "694 of file VBoxManageControlVM.cpp",
	}
}

// cmdDebug gives an order to the debugger of a virtual machine.
func cmdDebug(w *world, r *run) error {
	m, err := r.machine(w)
	if err != nil {
		return err
	}
	if m.Session == "" {
		return plain("Machine '%s' is not currently running.", m.Name)
	}
	switch r.arg(2) {
	case "injectnmi":
		w.executed(m, "nmi", r.args)
		return nil
	case "log":
		return nil
	case "osinfo":
		return plain("The guest operating system is not known")
	}
	return &plainError{fmt.Sprintf("Invalid parameter '%s'", r.arg(2)), 2}
}

// stamp is a time as VirtualBox prints it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000") }
