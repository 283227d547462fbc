package vbox

import (
	"errors"
	"fmt"
	"strings"
)

// codes are the numbers of the error codes.
var codes = map[string]uint32{
	"VBOX_E_OBJECT_NOT_FOUND": 0x80bb0001, "VBOX_E_INVALID_VM_STATE": 0x80bb0002, "VBOX_E_VM_ERROR": 0x80bb0003, "VBOX_E_FILE_ERROR": 0x80bb0004,
	"VBOX_E_IPRT_ERROR": 0x80bb0005, "VBOX_E_INVALID_OBJECT_STATE": 0x80bb0007, "VBOX_E_OBJECT_IN_USE": 0x80bb000c,
	"E_ACCESSDENIED": 0x80070005, "NS_ERROR_INVALID_ARG": 0x80070057, "NS_ERROR_FAILURE": 0x80004005,
	"NS_ERROR_FACTORY_NOT_REGISTERED": 0x80040154, "CO_E_SERVER_EXEC_FAILURE": 0x80080005,
}

// comError is an error of VirtualBox's interfaces, printed with its details.
type comError struct {
	text, code, component, iface string
	async                        bool   // of a task in the background: nobody called
	context                      string // "" prints none
	at                           string // the line of the context
}

// Error is the text.
func (e *comError) Error() string { return e.text }

// plainError is an error of VBoxManage itself: one line without details.
type plainError struct {
	text string
	rc   int
}

// Error is the text.
func (e *plainError) Error() string { return e.text }

// plain makes one with exit code 1.
func plain(format string, args ...any) error { return &plainError{fmt.Sprintf(format, args...), 1} }

// print renders an error as VBoxManage does and returns the exit code.
func (r *run) print(w *world, err error) int {
	var com *comError
	var own *plainError
	var more *afterError
	var printed *exitError
	switch {
	case errors.As(err, &printed):
		return printed.rc
	case errors.As(err, &more):
		code := r.print(w, more.first)
		fmt.Fprintf(&r.stderr, "VBoxManage: error: %s\n", more.line)
		return code
	case errors.As(err, &com):
		fmt.Fprintf(&r.stderr, "VBoxManage: error: %s\n", w.translated(com.text, r.utf8))
		callee := ", callee nsISupports"
		if com.async {
			callee = ""
		}
		fmt.Fprintf(&r.stderr, "VBoxManage: error: Details: code %s (0x%08x), component %s, interface %s%s\n", com.code, codes[com.code], com.component, com.iface, callee)
		if com.context != "" {
			fmt.Fprintf(&r.stderr, "VBoxManage: error: Context: \"%s\" at line %s\n", com.context, com.at)
		}
		return 1
	case errors.As(err, &own):
		fmt.Fprintf(&r.stderr, "VBoxManage: error: %s\n", own.text)
		return own.rc
	}
	fmt.Fprintf(&r.stderr, "VBoxManage: error: %v\n", err)
	return 1
}

// translated is a text in the host's language: without UTF-8 nothing is left
// of it.
func (w *world) translated(text string, utf8 bool) string {
	switch {
	case w.Language == "":
		return text
	case !utf8:
		return ""
	}
	return "Не удалось выполнить команду: " + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'а'
		}
		return r
	}, text)
}

// context of the calls that find a virtual machine, by sub-command.
var findContexts = map[string][2]string{
	"showvminfo":   {"FindMachine(Bstr(VMNameOrUuid).raw(), machine.asOutParam())", "3248 of file VBoxManageInfo.cpp"},
	"controlvm":    {"FindMachine(Bstr(a->argv[0]).raw(), machine.asOutParam())", "363 of file VBoxManageControlVM.cpp"},
	"modifyvm":     {"FindMachine(Bstr(a->argv[0]).raw(), machine.asOutParam())", "893 of file VBoxManageModifyVM.cpp"},
	"startvm":      {"FindMachine(Bstr(pszVM).raw(), machine.asOutParam())", "907 of file VBoxManageMisc.cpp"},
	"unregistervm": {"FindMachine(Bstr(VMName).raw(), machine.asOutParam())", "228 of file VBoxManageMisc.cpp"},
}

// errNoVM is for a virtual machine that is not registered.
func errNoVM(command, vm string) error {
	at, ok := findContexts[command]
	if !ok {
		at = [2]string{"FindMachine(Bstr(a->argv[0]).raw(), machine.asOutParam())", "100 of file VBoxManageMisc.cpp"}
	}
	text := "Could not find a registered machine named '" + vm + "'"
	if len(vm) == 36 && strings.Count(vm, "-") == 4 {
		text = "Could not find a registered machine with UUID {" + strings.ToLower(vm) + "}"
	}
	return &comError{text: text, code: "VBOX_E_OBJECT_NOT_FOUND", component: "VirtualBoxWrap", iface: "IVirtualBox", context: at[0], at: at[1]}
}

const lockWrite = "LockMachine(a->session, LockType_Write)"

// lockLines are where the commands that change a virtual machine lock it.
var lockLines = map[string]string{
	"modifyvm": "901 of file VBoxManageModifyVM.cpp", "storagectl": "1058 of file VBoxManageStorageController.cpp",
	"storageattach": "300 of file VBoxManageStorageController.cpp", "discardstate": "1287 of file VBoxManageMisc.cpp",
}

// errLocked is for a change of a virtual machine that a session has.
func errLocked(command string, m *machine) error {
	e := &comError{code: "VBOX_E_INVALID_OBJECT_STATE", component: "MachineWrap", iface: "IMachine"}
	switch command {
	case "startvm":
		e.text = "The machine '" + m.Name + "' is already locked by a session (or being locked or unlocked)"
		e.context, e.at = launchContext, launchLine
	case "unregistervm":
		e.text = "Cannot unregister the machine '" + m.Name + "' while it is locked"
		e.context = "Unregister(fDeleteAll ? CleanupMode_DetachAllReturnHardDisksAndVMRemovable :CleanupMode_DetachAllReturnHardDisksOnly, ComSafeArrayAsOutParam(aMedia))"
		e.at = "232 of file VBoxManageMisc.cpp"
	default:
		e.text = "The machine '" + m.Name + "' is already locked for a session (or being unlocked)"
		e.context, e.at = lockWrite, lockLines[command]
	}
	return e
}

const (
	launchContext = "LaunchVMProcess(a->session, sessionType.raw(), ComSafeArrayAsInParam(aBstrEnv), progress.asOutParam())"
	launchLine    = "920 of file VBoxManageMisc.cpp"
	sharedContext = "LockMachine(a->session, LockType_Shared)"
	sharedLine    = "3328 of file VBoxManageInfo.cpp"
	createContext = "CreateMachine(bstrSettingsFile.raw(), bstrName.raw(), platformArch, ComSafeArrayAsInParam(groups), bstrOsTypeId.raw(), " +
		"createFlags.raw(), bstrCipher.raw(), bstrPasswordId.raw(), Bstr(strPassword).raw(), machine.asOutParam())"
)

// errLimited is for anything about an inaccessible virtual machine.
func errLimited(command string) error {
	e := &comError{
		text: "The object functionality is limited", code: "E_ACCESSDENIED", component: "MachineWrap", iface: "IMachine",
		context: lockWrite, at: lockLines[command],
	}
	switch command {
	case "showvminfo":
		e.context, e.at = sharedContext, sharedLine
	case "startvm":
		e.context, e.at = launchContext, launchLine
	}
	return e
}

// errNotReady and errClosing are for commands that come while a virtual machine
// starts or stops.
var (
	errNotReady = &comError{
		text: "The object is not ready", code: "E_ACCESSDENIED", component: "SessionMachine", iface: "IMachine",
		context: sharedContext, at: sharedLine,
	}
	errClosing = &comError{
		text: "Failed to get a console object from the direct session (VBOX_E_INVALID_OBJECT_STATE)", code: "VBOX_E_VM_ERROR",
		component: "MachineWrap", iface: "IMachine", context: sharedContext, at: sharedLine,
	}
)

// errState is for an order that the state does not allow.
func errState(text, context, at string) error {
	return &comError{text: text, code: "VBOX_E_INVALID_VM_STATE", component: "ConsoleWrap", iface: "IConsole", context: context, at: at + " of file VBoxManageControlVM.cpp"}
}

// errSettingsExist is for a name whose settings file is there.
func errSettingsExist(path string) error {
	return &comError{
		text: "Machine settings file '" + path + "' already exists", code: "VBOX_E_FILE_ERROR", component: "MachineWrap", iface: "IMachine",
		context: createContext, at: "429 of file VBoxManageMisc.cpp",
	}
}

// errUUIDTaken is for a UUID that is registered.
func errUUIDTaken(uuid, path string) error {
	return &comError{
		text: "Registered machine with UUID {" + uuid + "} ('" + path + "') already exists", code: "NS_ERROR_INVALID_ARG",
		component: "VirtualBoxWrap", iface: "IVirtualBox", context: "RegisterMachine(machine)", at: "450 of file VBoxManageMisc.cpp",
	}
}

// stateName is a state as messages name it.
func stateName(state string) string {
	names := map[string]string{
		statePowerOff: "PoweredOff", stateAborted: "Aborted", stateSaved: "Saved", stateRunning: "Running", statePaused: "Paused",
		stateGuru: "GuruMeditation", stateStarting: "Starting",
	}
	if name := names[state]; name != "" {
		return name
	}
	return state
}
