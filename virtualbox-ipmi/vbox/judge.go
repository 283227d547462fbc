package vbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// outcome is how one command ended.
type outcome struct {
	call           *call
	stdout, stderr *capped
	err            error // of the process
	took           time.Duration
	started        bool
	stopped        bool // by us, because its time was over
}

// judge turns an outcome into an error, nil for success.
func (m *Manager) judge(o *outcome) error {
	e := &Error{Command: o.call.name(), cause: o.err}
	var exit *exec.ExitError
	switch {
	case o.stopped && o.err != nil:
		e.Class, e.Exit, e.Unknown = TimedOut, -1, o.started && o.call.effect != read
		e.Text = fmt.Sprintf("it did not end in %v and was killed", o.took.Round(100*time.Millisecond))
		if errors.Is(o.err, errUnkillable) {
			e.Text = fmt.Sprintf("it did not end in %v, and %v", o.took.Round(100*time.Millisecond), o.err)
		}
		return e
	case o.err != nil && !errors.As(o.err, &exit):
		e.Class, e.Exit, e.Text = NoCommand, -1, o.err.Error()
		return e
	case exit != nil && !exit.Exited():
		e.Class, e.Exit, e.Unknown = Failed, -1, o.call.effect != read
		e.Text = "it was ended by a signal: " + exit.String()
		return e
	case exit != nil:
		e.Exit = exit.ExitCode()
	}
	said := Classify(o.call.args, e.Exit, o.stdout.bytes(), o.stderr.bytes())
	if said == nil {
		if o.stdout.over() > 0 && !o.call.long {
			return &Error{Command: e.Command, Class: Garbled, Text: fmt.Sprintf("it printed more than %d MiB", maxOut>>20)}
		}
		return nil
	}
	said.cause = o.err
	if said.Class == NoDriver && !m.driverMissing() {
		said.Class = StartFailed
	}
	return said
}

// driverMissing reports whether the kernel driver's device is not there.
func (m *Manager) driverMissing() bool {
	_, err := os.Stat(m.opts.Device)
	return err != nil
}

var (
	// errorLine is a line that reports an error, whatever the exit code is.
	errorLine = regexp.MustCompile(`(?m)^(?:VBoxManage|vboxmanage)[.a-z]*: error: ?(.*)$`)
	// detailCode is the code in such a line, which is the same in every language.
	detailCode = regexp.MustCompile(`(?m)^(?:VBoxManage|vboxmanage)[.a-z]*: error: .*\b[Cc]ode ([A-Z]+_[A-Z0-9_]+) \(0x([0-9a-fA-F]{1,8})\)`)
)

// byCode is what the codes mean.
var byCode = map[uint32]Class{
	0x80bb0001: NotFound,     // VBOX_E_OBJECT_NOT_FOUND
	0x80bb0002: InvalidState, // VBOX_E_INVALID_VM_STATE
	0x80bb0003: NotReady,     // VBOX_E_VM_ERROR: the session is closing; of a start it is a failure
	0x80bb0004: Conflict,     // VBOX_E_FILE_ERROR
	0x80bb0007: Locked,       // VBOX_E_INVALID_OBJECT_STATE
	0x80bb000c: Conflict,     // VBOX_E_OBJECT_IN_USE
	0x80070057: Conflict,     // NS_ERROR_INVALID_ARG
	0x80070005: NotReady,     // E_ACCESSDENIED: starting, stopping or inaccessible
	0x80040154: Service,      // NS_ERROR_FACTORY_NOT_REGISTERED
	0x80080005: Service,      // CO_E_SERVER_EXEC_FAILURE
}

// Classify returns what a finished command's output says went wrong, nil for
// nothing. An error line counts with any exit code.
func Classify(args []string, exit int, stdout, stderr []byte) *Error {
	c := callOf(args)
	lines := errorLine.FindAllSubmatch(stderr, 8)
	if exit == 0 && len(lines) == 0 {
		return nil
	}
	e := &Error{Command: c.name(), Exit: exit, Class: Failed}
	if len(lines) > 0 {
		e.Text = oneLine(string(lines[0][1]))
	} else {
		e.Text = oneLine(lastLine(string(stderr), string(stdout)))
	}
	if m := detailCode.FindSubmatch(stderr); m != nil {
		e.Code = string(m[1])
		number, err := strconv.ParseUint(string(m[2]), 16, 32)
		if class, ok := byCode[uint32(number)]; ok && err == nil {
			e.Class = class
		}
	}
	e.Class = refine(&c, e, "\n"+string(stderr)+"\n"+string(stdout))
	return e
}

// byText tells apart what has one code, or none. It only makes the advice better:
// nothing that is told by its text alone is run again.
var byText = []struct {
	from  Class // what the code, or its absence, said
	text  string
	class Class
}{
	{Failed, "terminated unexpectedly during startup", NoDriver},
	{Failed, "VERR_VM_DRIVER_NOT_INSTALLED", NoDriver},
	{Failed, "Kernel driver not installed", NoDriver},
	{Failed, "vboxnetctl", NoDriver},
	{Failed, "Failed to create the VirtualBox object", Service},
	{Failed, "Failed to initialize COM", Service},
	{Failed, "Could not create guest session", Guest},
	{NotReady, "The object functionality is limited", Inaccessible},
}

// refine returns the class of an error whose code has said its part.
func refine(c *call, e *Error, all string) Class {
	class := e.Class
	if e.Code == "VBOX_E_VM_ERROR" && c.effect != read {
		class = Failed
	}
	for _, row := range byText {
		if row.from == class && strings.Contains(all, row.text) {
			return row.class
		}
	}
	if e.Code == "" {
		return ownRefusal(c, e, all)
	}
	return class
}

// ownRefusal is the class of what VBoxManage refuses by itself, without a code: of
// an order to a virtual machine all there is, in any language, is that it "is not
// currently running", and otherwise the command line is wrong.
// What only sudo says, VBoxManage was not asked.
func ownRefusal(c *call, e *Error, all string) Class {
	orders := len(c.args) > 0 && (c.args[0] == "controlvm" || c.args[0] == "debugvm")
	said := errorLine.MatchString(all)
	switch {
	case !said && strings.Contains(all, "\nsudo: "):
		return NoUser
	case orders && e.Exit == 1:
		return InvalidState
	case e.Exit == 2, c.effect != read && said:
		return Usage
	}
	return e.Class
}

// lastLine is the last line that says something, of the first text that does.
func lastLine(texts ...string) string {
	for _, text := range texts {
		lines := strings.Split(strings.TrimSpace(text), "\n")
		if last := lines[len(lines)-1]; last != "" {
			return last
		}
	}
	return ""
}

// maxText is how much of an error's text is kept, in characters.
const maxText = 300

// oneLine makes text of a program fit for a line: bounded, and without what
// moves a cursor.
func oneLine(s string) string {
	var b strings.Builder
	kept := 0
	for _, r := range strings.TrimSpace(s) {
		if kept++; kept > maxText {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}
