package vbox

import (
	"errors"
	"fmt"

	"provision-plugins/shared/model"
)

// Class says what the failure of a command means.
type Class string

// The classes.
const (
	Failed       Class = "failed"        // refused, for a reason only its text tells
	NotFound     Class = "not found"     // no such virtual machine or medium
	Locked       Class = "locked"        // another session holds the virtual machine; nothing was done
	NotReady     Class = "not ready"     // the virtual machine is starting or stopping, or cannot be accessed; nothing was done
	Inaccessible Class = "inaccessible"  // its settings cannot be read
	InvalidState Class = "invalid state" // not possible in the present state: read it again
	Conflict     Class = "conflict"      // something is there already, is in use, or an argument is wrong
	StartFailed  Class = "start failed"  // the process of the virtual machine ended while it started
	NoDriver     Class = "no driver"     // the host's kernel driver is missing
	Service      Class = "service"       // VBoxSVC cannot be reached
	Usage        Class = "usage"         // this version does not know the command or an option
	Guest        Class = "guest"         // only possible with software in the guest
	TimedOut     Class = "timed out"     // killed: it did not end in time
	NoCommand    Class = "no command"    // VBoxManage cannot be run
	NoUser       Class = "no user"       // sudo does not let us run it as the user
	Garbled      Class = "garbled"       // what it printed cannot be read
)

// classInfo is one row of the table of classes.
type classInfo struct {
	kind  model.Kind
	again bool // a read, or a change that may be repeated, is tried again
}

var classes = map[Class]classInfo{
	Failed:       {model.Conflict, false},
	NotFound:     {model.NotFound, false},
	Locked:       {model.Busy, true},
	NotReady:     {model.Busy, true},
	Inaccessible: {model.Conflict, false},
	InvalidState: {model.Conflict, false},
	Conflict:     {model.Conflict, false},
	StartFailed:  {model.Conflict, false},
	NoDriver:     {model.Unsupported, false},
	Service:      {model.Unreachable, true},
	Usage:        {model.Unsupported, false},
	Guest:        {model.Unsupported, false},
	TimedOut:     {model.Timeout, false},
	NoCommand:    {model.Unsupported, false},
	NoUser:       {model.DeviceAuth, false},
	Garbled:      {model.Unreachable, false},
}

// Error is the failure of one command.
type Error struct {
	// Command is the sub-command, with its verb: "controlvm poweroff".
	Command string
	// Class is what it means.
	Class Class
	// Code is the name VirtualBox gives it, such as VBOX_E_INVALID_VM_STATE; ""
	// if it printed none.
	Code string
	// Text is what it printed, in one line, in the host's language; it may be "".
	Text string
	// Exit is the exit code, which may be 0; -1 if it did not end by itself.
	Exit int
	// Unknown tells that the command may have been executed all the same.
	Unknown bool

	cause error
}

// Error is "cannot run VBoxManage COMMAND: what and what to do".
func (e *Error) Error() string {
	text := e.Text
	if text == "" {
		text = string(e.Class)
	}
	if e.Code != "" {
		text += " (" + e.Code + ")"
	}
	if mend := mends[e.Class]; mend != "" {
		text += "; " + mend
	}
	return fmt.Sprintf("cannot run VBoxManage %s: %s", e.Command, text)
}

// mends is what to do about some classes.
var mends = map[Class]string{
	NoDriver:     "the kernel driver of VirtualBox is missing on this host: run modprobe vboxdrv, or /sbin/vboxconfig to build it",
	StartFailed:  "see VBox.log in the virtual machine's Logs folder",
	Inaccessible: "its settings file is missing or damaged: mend it, or remove it by VBoxManage unregistervm",
	Service:      "VBoxSVC does not answer: look for a hung or a second VBoxSVC of the user, and whether its home folder can be written",
	TimedOut:     "VBoxSVC may hang: look at the user's VBoxSVC process",
	NoCommand:    "install VirtualBox, or name its path in virtualbox/command",
	NoUser:       "allow it in sudoers without a password",
	Guest:        "it needs the Guest Additions in the guest",
}

// Unwrap returns the system's error, if there is one.
func (e *Error) Unwrap() error { return e.cause }

// Kind is the error's kind on the wire.
func (e *Error) Kind() model.Kind {
	if e.Unknown {
		return model.UnknownOutcome
	}
	if info, ok := classes[e.Class]; ok {
		return info.kind
	}
	return model.Internal
}

// ClassOf returns the class of an error of this package, "" for any other.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ""
}

// Wire returns err, which is not nil, as an error of the wire: with the kind of
// its class.
func Wire(err error) *model.Error {
	var e *Error
	if errors.As(err, &e) {
		return model.Errorf(e.Kind(), "%w", err)
	}
	return model.AsError(err)
}
