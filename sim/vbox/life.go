package vbox

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Words for states.
const (
	statePowerOff  = "poweroff"
	stateAborted   = "aborted"
	stateSaved     = "saved"
	stateStarting  = "starting"
	stateRestoring = "restoring"
	stateRunning   = "running"
	statePaused    = "paused"
	stateGuru      = "gurumeditation"
)

// on reports whether the virtual machine has a process by VirtualBox's account.
func (m *machine) on() bool {
	switch m.State {
	case statePowerOff, stateAborted, stateSaved:
		return false
	}
	return true
}

// change puts the virtual machine into a state.
func (m *machine) change(state string, at time.Time) {
	m.State, m.ChangedAt = state, at
}

// settle lets everything happen that was to happen by now.
func (m *machine) settle(w *world) {
	if m.Pid != 0 && !alive(m.Pid, m.UUID) {
		// The process was killed by somebody.
		m.stopped(w, stateAborted, 0)
	}
	if n := m.Next; n != nil && !w.now.Before(n.At) {
		m.Next = nil
		if n.State == statePowerOff {
			pid := m.Pid
			m.stopped(w, statePowerOff, m.behaviour(w).SessionLag)
			w.executed(m, "soft off", nil)
			if pid != 0 {
				_ = endProcess(pid)
			}
		} else {
			m.change(n.State, n.At)
		}
	}
	if !m.SessionEnds.IsZero() && !w.now.Before(m.SessionEnds) {
		m.Session, m.SessionEnds = "", time.Time{}
	}
}

// stopped ends a run; the session stays for lag.
func (m *machine) stopped(w *world, state string, lag time.Duration) {
	m.change(state, w.now)
	m.Next, m.Pid, m.Unstable = nil, 0, 0
	if lag <= 0 {
		m.Session, m.SessionEnds = "", time.Time{}
		return
	}
	m.SessionEnds = w.now.Add(lag)
}

// unstable reports whether a command that comes now finds the virtual machine
// between two states, and must fail for it.
func (m *machine) unstable(w *world) bool {
	if !m.behaviour(w).Flaky || m.Next == nil && m.SessionEnds.IsZero() {
		return false
	}
	m.Unstable++
	return m.Unstable%3 == 1
}

// alive reports whether a process is there that has the word in its command line,
// as that of a virtual machine has its UUID. One that ended and was not waited for
// does not count.
func alive(pid int, word string) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	if _, err := os.Stat("/proc/self"); err != nil {
		return true
	}
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return err == nil && strings.Contains(string(line), word)
}
