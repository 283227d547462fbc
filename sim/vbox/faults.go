package vbox

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Fault makes commands go wrong.
type Fault struct {
	// Kind is what goes wrong, one of FaultKinds.
	Kind string
	// VM is the virtual machine's UUID or name; "" for all.
	VM string
	// Command is the sub-command, with its verb if it has one: "startvm",
	// "controlvm poweroff"; "" for all.
	Command string
	// Skip is how many such commands are spared first.
	Skip int
	// Count is how many go wrong then; 0 for all.
	Count int
}

// Kinds of faults.
const (
	FaultNotReady   = "not-ready"   // refused: the object is not ready
	FaultClosing    = "closing"     // refused: the session is closing
	FaultLocked     = "locked"      // refused: locked by another session
	FaultService    = "service"     // refused: VBoxSVC is not there
	FaultServerExec = "server-exec" // refused: VBoxSVC did not start
	FaultZero       = "zero"        // refused, with an error on stderr and exit code 0
	FaultIgnored    = "ignored"     // not executed, and answered as if it were
	FaultStuck      = "stuck"       // noted as executed and answered so, and the virtual machine stays as it is
	FaultLost       = "lost"        // executed, and answered as if it were not
	FaultHang       = "hang"        // not executed, and never ends
	FaultHangAfter  = "hang-after"  // executed, and never ends
	FaultChild      = "child"       // executed, but a child keeps the output open
	FaultPartial    = "partial"     // half of the output, and a failure
	FaultFlood      = "flood"       // megabytes of output
	FaultGarbage    = "garbage"     // output that is none, and no failure
	FaultOldStart   = "half-start"  // exit code 1 after a start that succeeded
)

// refusals are the faults in place of which nothing is executed, with what is
// printed.
var refusals = map[string]func(command string) error{
	FaultNotReady: func(string) error { return errNotReady },
	FaultClosing:  func(string) error { return errClosing },
	FaultLocked:   func(command string) error { return errLocked(command, &machine{Name: "vm"}) },
	FaultService:  func(string) error { return errService("NS_ERROR_FACTORY_NOT_REGISTERED", "Class not registered") },
	FaultServerExec: func(string) error {
		return errService("CO_E_SERVER_EXEC_FAILURE", "Server execution failed")
	},
	FaultZero: func(string) error {
		return &comError{text: "Invalid machine state", code: "VBOX_E_INVALID_VM_STATE", component: "SessionMachine", iface: "IMachine"}
	},
}

// FaultKinds lists the kinds.
func FaultKinds() []string {
	kinds := []string{FaultIgnored, FaultStuck, FaultLost, FaultHang, FaultHangAfter, FaultChild, FaultPartial, FaultFlood, FaultGarbage, FaultOldStart}
	for kind := range refusals {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// SetFaults replaces the faults.
func (h *Host) SetFaults(faults ...Fault) error {
	for _, f := range faults {
		if !slices.Contains(FaultKinds(), f.Kind) {
			return fmt.Errorf("cannot simulate the fault %q: it is none of %s", f.Kind, strings.Join(FaultKinds(), ", "))
		}
	}
	return h.change(func(w *world) error {
		w.Faults = nil
		for _, f := range faults {
			if f.Count == 0 {
				f.Count = -1
			}
			w.Faults = append(w.Faults, &f)
		}
		return nil
	})
}

// fault takes the fault that the command meets, "" for none.
func (w *world) fault(r *run) string {
	for _, f := range w.Faults {
		if f.Count == 0 || f.Command != "" && f.Command != r.name() {
			continue
		}
		if f.VM != "" {
			if m := w.find(f.VM); m == nil || w.find(r.vm()) != m {
				continue
			}
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Count > 0 {
			f.Count--
		}
		return f.Kind
	}
	return ""
}

// serviceError is how VBoxManage reports that it found no VBoxSVC.
type serviceError struct{ code, text string }

// errService makes one.
func errService(code, text string) error { return &serviceError{code, text} }

// Error is the code.
func (e *serviceError) Error() string { return e.code }

// print renders it.
func (e *serviceError) print(w io.Writer) {
	fmt.Fprintf(w, `VBoxManage: error: Failed to create the VirtualBox object!
VBoxManage: error: Code %s (0x%08x) - %s (extended info not available)
VBoxManage: error: Most likely, the VirtualBox COM server is not running or failed to start.
`, e.code, codes[e.code], e.text)
}

// spoil makes of an answer what a fault leaves of it, and returns the exit code.
func (r *run) spoil(w *world, kind string, code int) int {
	switch kind {
	case FaultLost:
		r.stdout.Reset()
		r.stderr.Reset()
		r.then = nil
		return r.print(w, errNotReady)
	case FaultPartial:
		r.stdout.Truncate(r.stdout.Len() / 2)
		return r.print(w, errNotReady)
	case FaultFlood:
		line := strings.Repeat("flood ", 1000) + "\n"
		for r.stdout.Len() < 6<<20 {
			r.stdout.WriteString(line)
		}
	case FaultGarbage:
		r.stdout.Reset()
		r.stdout.WriteString("\x00\xff\"=\"\"\"\n=\n\"VMState\n")
	case FaultOldStart:
		return r.print(w, errClosing)
	case FaultHangAfter:
		r.hang = true
	case FaultChild:
		r.child = true
	}
	return code
}
