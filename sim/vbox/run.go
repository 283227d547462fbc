package vbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// run is one call of VBoxManage.
type run struct {
	host           *Host
	args           []string
	utf8           bool // the caller's locale can show any text
	stdout, stderr bytes.Buffer
	wait           time.Duration // before then
	then           func(w *world) error
	spawn          string // the virtual machine that needs a process before then
	hang, child    bool
	zero           bool // the exit code is 0 also after an error
}

// command is a sub-command. What it prints goes to the run; an error is printed
// as VBoxManage does.
type command func(w *world, r *run) error

// commands are the sub-commands there are.
var commands = map[string]command{
	"--version": cmdVersion, "-v": cmdVersion, "list": cmdList, "showvminfo": cmdShow,
	"createvm": cmdCreate, "registervm": cmdRegister, "unregistervm": cmdUnregister, "modifyvm": cmdModify,
	"storagectl": cmdStorageController, "storageattach": cmdStorageAttach, "createmedium": cmdCreateMedium, "closemedium": cmdCloseMedium,
	"startvm": cmdStart, "controlvm": cmdControl, "discardstate": cmdDiscard, "debugvm": cmdDebug,
	"getextradata": cmdGetExtra, "setextradata": cmdSetExtra, "guestproperty": cmdGuestProperty,
	"snapshot": cmdSnapshot, "hostonlyif": cmdHostOnly,
}

// Called reports whether this process was started as a part of a simulated
// host: a program that can be one asks at its start, and if so calls Main.
func Called(argv []string) bool {
	return len(argv) > 0 && slices.Contains([]string{manageName, headlessName}, filepath.Base(argv[0]))
}

// Main acts as VBoxManage, or as the process of a virtual machine, and returns
// the exit code. The host is the folder that argv[0] is in.
func Main(argv []string) int {
	path := argv[0]
	if !strings.Contains(path, "/") {
		found, err := exec.LookPath(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		path = found
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	h := &Host{dir: dir}
	if filepath.Base(path) == headlessName {
		return h.headless(argv[1:])
	}
	locale := strings.ToUpper(os.Getenv("LC_ALL"))
	return h.manage(argv[1:], strings.HasSuffix(locale, "UTF-8"), os.Stdout, os.Stderr)
}

// manage runs one command line.
func (h *Host) manage(args []string, utf8 bool, stdout, stderr io.Writer) int {
	r := &run{host: h, args: args, utf8: utf8}
	code := 0
	err := h.change(func(w *world) error {
		code = r.first(w)
		return nil
	})
	if err == nil && r.spawn != "" {
		err = h.spawn(r.spawn)
	}
	if err == nil && r.then != nil {
		wait(r.wait)
		err = h.change(func(w *world) error {
			if err := r.then(w); err != nil {
				code = r.print(w, err)
			}
			return nil
		})
	}
	if err != nil {
		fmt.Fprintln(stderr, "VBoxManage: error:", err)
		return 1
	}
	if r.hang {
		wait(hangFor)
	}
	_, _ = stderr.Write(r.stderr.Bytes())
	_, _ = stdout.Write(r.stdout.Bytes())
	if r.child {
		return h.leaveChild(code)
	}
	return code
}

// hangFor stands for ever, and keeps a forgotten process from staying.
const hangFor = 2 * time.Minute

// wait lets time pass.
func wait(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}

// leaveChild starts a child that holds stdout and stderr for a while.
func (h *Host) leaveChild(code int) int {
	cmd := exec.Command(filepath.Join(h.dir, headlessName), "--hold")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 1
	}
	return code
}

// first runs the part of a command that happens at once.
func (r *run) first(w *world) int {
	if w.Warning {
		r.stdout.WriteString(warning)
	}
	if len(r.args) == 0 {
		return r.print(w, &plainError{"Invalid command", 2})
	}
	if w.ServiceKilled {
		w.ServiceKilled = false
		return r.printService(errService("NS_ERROR_FACTORY_NOT_REGISTERED", "Class not registered"))
	}
	kind := w.fault(r)
	if refuse := refusals[kind]; refuse != nil {
		return r.refuse(w, kind, refuse(r.args[0]))
	}
	switch kind {
	case FaultHang:
		r.hang = true
		return 0
	case FaultIgnored:
		return 0
	}
	do := commands[r.args[0]]
	if do == nil {
		return r.print(w, &plainError{"Invalid command '" + r.args[0] + "'", 2})
	}
	if kind == FaultStuck {
		do = stuck(do)
	}
	code := 0
	if err := do(w, r); err != nil {
		code = r.print(w, err)
	}
	if r.zero {
		code = 0
	}
	return r.spoil(w, kind, code)
}

// stuck makes of a command one that has no effect on the virtual machine.
func stuck(do command) command {
	return func(w *world, r *run) error {
		m := w.find(r.vm())
		if m == nil {
			return do(w, r)
		}
		before := *m
		m.Pid = 0 // so that its process is not ended
		err := do(w, r)
		*m = before
		r.spawn, r.wait = "", 0
		return err
	}
}

// refuse prints a refusal in place of executing.
func (r *run) refuse(w *world, kind string, err error) int {
	var service *serviceError
	if errors.As(err, &service) {
		return r.printService(err)
	}
	code := r.print(w, err)
	if kind == FaultZero {
		return 0
	}
	return code
}

// printService prints that there is no VBoxSVC.
func (r *run) printService(err error) int {
	var service *serviceError
	if errors.As(err, &service) {
		service.print(&r.stderr)
	}
	return 1
}

// warning is what Debian's wrapper prints on stdout before everything else.
const warning = `WARNING: The character device /dev/vboxdrv does not exist.
	 Please install the virtualbox-dkms package and the appropriate
	 headers, most likely linux-headers-amd64.

	 You will not be able to start VMs until this problem is fixed.
`

// arg is the i-th argument, "" if there are fewer.
func (r *run) arg(i int) string {
	if i < len(r.args) {
		return r.args[i]
	}
	return ""
}

// name is the sub-command with its verb.
func (r *run) name() string {
	switch r.arg(0) {
	case "controlvm", "debugvm", "snapshot":
		return r.arg(0) + " " + r.arg(2)
	case "guestproperty":
		return r.arg(0) + " " + r.arg(1)
	}
	return r.arg(0)
}

// vm is the argument that names the virtual machine.
func (r *run) vm() string {
	if r.arg(0) == "guestproperty" {
		return r.arg(2)
	}
	return r.arg(1)
}

// machine finds the virtual machine that the command is about, and refuses one
// that cannot be used now.
func (r *run) machine(w *world) (*machine, error) {
	m := w.find(r.vm())
	switch {
	case m == nil:
		return nil, errNoVM(r.arg(0), r.vm())
	case m.Inaccessible && r.arg(0) != "unregistervm":
		return nil, errLimited(r.arg(0))
	case m.unstable(w):
		if m.Unstable%2 == 0 {
			return nil, errClosing
		}
		return nil, errNotReady
	}
	return m, nil
}

// unlocked finds the virtual machine and refuses it while a session has it.
func (r *run) unlocked(w *world) (*machine, error) {
	m, err := r.machine(w)
	if err == nil && m.Session != "" {
		err = errLocked(r.arg(0), m)
	}
	return m, err
}

// progress prints the progress of something that takes time.
func (r *run) progress() {
	r.stderr.WriteString("0%...10%...20%...30%...40%...50%...60%...70%...80%...90%...100%\n")
}

// options splits the arguments from the i-th on into options and their values.
// Each takes one, given after a space or an equals sign, but flags take none.
func (r *run) options(i int, flags ...string) (map[string]string, error) {
	opts := map[string]string{}
	for ; i < len(r.args); i++ {
		name, value, given := strings.Cut(r.args[i], "=")
		switch {
		case !strings.HasPrefix(name, "--"):
			return nil, plain("Invalid parameter '%s'", name)
		case given:
		case slices.Contains(flags, name):
		case i+1 >= len(r.args):
			return nil, &plainError{"Option '" + name + "' needs a value", 2}
		default:
			i++
			value = r.args[i]
		}
		opts[name] = value
	}
	return opts, nil
}

// cmdVersion prints the version.
func cmdVersion(w *world, r *run) error {
	fmt.Fprintln(&r.stdout, w.Version)
	return nil
}

// detached are the attributes of a process that outlives its parent.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
