package vbox

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"provision-plugins/shared/model"
)

// recording is one command as the real VBoxManage answered it.
type recording struct {
	args           []string
	stdout, stderr []byte
	exit           int
}

// recordings reads what was recorded of VBoxManage 7.2.22.
func recordings(t testing.TB) map[string]recording {
	t.Helper()
	raw, err := os.ReadFile("testdata/vboxmanage-7.2.22.txtar")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]recording{}
	for _, f := range txtar.Parse(raw).Files {
		i := strings.LastIndex(f.Name, ".")
		name, part := f.Name[:i], f.Name[i+1:]
		r := all[name]
		switch part {
		case "cmd":
			r.args = words(string(f.Data))[1:]
		case "stdout":
			r.stdout = f.Data
		case "stderr":
			r.stderr = f.Data
		case "rc":
			if r.exit, err = strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(string(f.Data)), "rc=")); err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
		}
		all[name] = r
	}
	if len(all) < 100 {
		t.Fatalf("only %d recordings", len(all))
	}
	return all
}

// words splits a command line as the shell that printed it quotes.
func words(line string) (all []string) {
	var b strings.Builder
	inside, quoted := false, false
	line = strings.ReplaceAll(strings.TrimSpace(line), `$'line one\nline "two" = x'`, `line\ one\nline\ "two"\ =\ x`)
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line):
			i++
			if line[i] == 'n' {
				b.WriteByte('\n')
			} else {
				b.WriteByte(line[i])
			}
			inside = true
		case c == '\'':
			quoted = !quoted
		case c == ' ' && !quoted:
			if inside {
				all = append(all, b.String())
			}
			b.Reset()
			inside = false
		default:
			b.WriteByte(c)
			inside = true
		}
	}
	if inside {
		all = append(all, b.String())
	}
	return all
}

// failures are the recordings that mean a failure, with what it means. Every
// other recording is a success.
var failures = map[string]Class{
	"a-aborted-poweroff":              InvalidState,
	"a-modify-right-after":            Locked,
	"a-startvm-right-after":           Locked,
	"a-unregister-right-after":        Locked,
	"closemedium-attached":            Conflict,
	"controlvm-acpi-off":              InvalidState,
	"controlvm-bad":                   InvalidState,
	"controlvm-nf":                    NotFound,
	"controlvm-poweroff-off":          InvalidState,
	"controlvm-reset-off":             InvalidState,
	"controlvm-savestate-off":         InvalidState,
	"controlvm-screenshot-off":        InvalidState,
	"createmedium-dup":                Conflict,
	"createvm-dup":                    Conflict,
	"createvm-dupuuid":                Conflict,
	"createvm-leftover":               Conflict,
	"createvm-noarg":                  Usage,
	"debugvm-osinfo":                  InvalidState,
	"discardstate":                    InvalidState, // with exit code 0
	"guru-acpi":                       InvalidState,
	"guru-reset":                      InvalidState,
	"guru-startvm":                    Locked,
	"hostonlyif-create":               NoDriver,
	"inaccessible-modify":             Inaccessible,
	"inaccessible-showvminfo":         Inaccessible,
	"inaccessible-showvminfo2":        Inaccessible,
	"inaccessible-start":              Inaccessible,
	"modifynvram":                     NotFound,
	"modifyvm-bad":                    Usage,
	"modifyvm-hostonlynet":            Usage,
	"modifyvm-nf":                     NotFound,
	"paused-acpi":                     InvalidState,
	"paused-reset":                    InvalidState,
	"race-showvminfo-session-closing": NotReady,
	"reboot-noadd":                    Guest,
	"registervm-dup":                  Failed,
	"registervm-nf":                   Failed,
	"running-modifyvm":                Locked,
	"running-resume-again":            InvalidState,
	"running-startvm-again":           Locked,
	"running-storageattach":           Locked,
	"running-unregister":              Locked,
	"saved-discard":                   Locked,
	"saved-modifyvm":                  Locked,
	"saved-modifyvm-mem":              Locked,
	"saved-poweroff":                  InvalidState,
	"saved-unregister":                Locked,
	"saved2-modifyvm":                 InvalidState,
	"saved2-poweroff":                 InvalidState,
	"showvminfo-notfound":             NotFound,
	"showvminfo-notfound-uuid":        NotFound,
	"shutdown-noadd":                  Guest,
	"snapshot-list":                   Failed,
	"startvm-badtype":                 Conflict,
	"startvm-default":                 Failed,
	"startvm-gui":                     Failed,
	"startvm-headless":                NoDriver,
	"startvm-headless-ok":             Locked,
	"startvm-nf":                      NotFound,
	"startvm-putenv":                  NoDriver,
	"startvm-separate":                Failed,
	"storageattach-nofile":            Conflict,
	"storagectl-dup":                  Conflict,
	"svc-killed-list":                 Service,
	"svc-killed-poweroff":             InvalidState,
	"unregister-nf":                   NotFound,
	"vboxheadless":                    NoDriver,
}

// TestEveryRecordingIsClassified holds what each recorded answer is taken for
// against what it was.
func TestEveryRecordingIsClassified(t *testing.T) {
	all := recordings(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r := all[name]
		e := Classify(r.args, r.exit, r.stdout, r.stderr)
		want, fails := failures[name]
		switch {
		case !fails && e != nil:
			t.Errorf("%s: a success taken for %s: %v", name, e.Class, e)
		case fails && e == nil:
			t.Errorf("%s: a failure taken for a success", name)
		case fails && e.Class != want:
			t.Errorf("%s: taken for %s, want %s: %v", name, e.Class, want, e)
		case fails && (e.Text == "" || strings.ContainsAny(e.Error(), "\n\r\t")):
			t.Errorf("%s: its text is %q", name, e.Error())
		}
	}
	for name := range failures {
		if _, ok := all[name]; !ok {
			t.Errorf("%s is not recorded", name)
		}
	}
}

// TestTranslatedErrorsAreTheSame takes the text out of every recorded error that
// has a code, as a host in another language does.
func TestTranslatedErrorsAreTheSame(t *testing.T) {
	// Two classes have no code of their own; what tells them apart is looked up
	// elsewhere, or only makes the advice better.
	plainer := map[Class]Class{Inaccessible: NotReady, NoDriver: Failed, Guest: Failed}
	for name, r := range recordings(t) {
		want, fails := failures[name]
		if !fails || !strings.Contains(string(r.stderr), "Details: code") {
			continue
		}
		for _, text := range []string{"", "Не удалось"} {
			var lines []string
			for line := range strings.Lines(string(r.stderr)) {
				if strings.HasPrefix(line, "VBoxManage: error: ") && !strings.Contains(line, "Details: ") && !strings.Contains(line, "Context: ") {
					line = "VBoxManage: error: " + text + "\n"
				}
				lines = append(lines, line)
			}
			if other, ok := plainer[want]; ok {
				want = other
			}
			e := Classify(r.args, r.exit, r.stdout, []byte(strings.Join(lines, "")))
			if e == nil || e.Class != want {
				t.Errorf("%s with text %q: %v, want %s", name, text, e, want)
			}
		}
	}
}

// TestNamesDoNotMislead: a virtual machine may be called like an error.
func TestNamesDoNotMislead(t *testing.T) {
	for _, name := range []string{"terminated unexpectedly during startup", "vboxnetctl", "Failed to initialize COM", "Could not create guest session", "\nsudo: x"} {
		stderr := "VBoxManage: error: The machine '" + name + "' is already locked by a session (or being locked or unlocked)\n" +
			"VBoxManage: error: Details: code VBOX_E_INVALID_OBJECT_STATE (0x80bb0007), component MachineWrap, interface IMachine, callee nsISupports\n"
		if e := Classify([]string{"startvm", name}, 1, nil, []byte(stderr)); e == nil || e.Class != Locked {
			t.Errorf("%q: %v", name, e)
		}
	}
}

// TestSudo: what sudo says alone is its refusal; a remark of it before VBoxManage's
// own error is none.
func TestSudo(t *testing.T) {
	for stderr, want := range map[string]Class{
		"sudo: a password is required\n": NoUser,
		"sudo: unable to resolve host x\nVBoxManage: error: Machine 'a' is not currently running.\n":                                                    InvalidState,
		"sudo: unable to resolve host x\nVBoxManage: error: x\nVBoxManage: error: Details: code NS_ERROR_FAILURE (0x80004005), component MachineWrap\n": Failed,
	} {
		if e := Classify([]string{"controlvm", "a", "poweroff"}, 1, nil, []byte(stderr)); e == nil || e.Class != want {
			t.Errorf("%s: %v", stderr, e)
		}
	}
}

// TestTextIsNotRepeated: what only its text says to be a moment's trouble is not
// run again; what its code says is.
func TestTextIsNotRepeated(t *testing.T) {
	m := New(Options{})
	for text, again := range map[string]bool{
		"VBoxManage: error: Failed to initialize COM because the global settings directory '/root/.config/VirtualBox' is not accessible!\n":                   false,
		"VBoxManage: error: Failed to create the VirtualBox object!\nVBoxManage: error: Code NS_ERROR_FACTORY_NOT_REGISTERED (0x80040154) - not registered\n": true,
	} {
		c := callOf([]string{"list", "vms"})
		e := Classify(c.args, 1, nil, []byte(text))
		if e == nil || e.Class != Service || m.again(&c, e, 1, 0) != again {
			t.Errorf("%s: %v", text, e)
		}
	}
}

// shown is what a recorded showvminfo tells.
type shown struct {
	name, word, session string
	power               model.PowerState
	boot                [4]string
}

var recordedInfos = map[string]shown{
	"a-aborted-immediately":  {"node 01_a", "aborted", "", model.StateOff, [4]string{"net", "disk", "none", "none"}},
	"a-aborted-showvminfo":   {"node 01_a", "aborted", "", model.StateOff, [4]string{"net", "disk", "none", "none"}},
	"a-running-showvminfo":   {"node 01_a", "running", "headless", model.StateOn, [4]string{"net", "disk", "none", "none"}},
	"guru-showvminfo":        {"guru", "gurumeditation", "headless", model.StateOn, [4]string{"disk", "none", "none", "none"}},
	"paused-showvminfo":      {"demo1", "paused", "headless", model.StateOn, [4]string{"disk", "none", "none", "none"}},
	"running-showvminfo":     {"node-arch", "running", "GUI/Qt", model.StateOn, [4]string{"net", "disk", "none", "none"}},
	"saved-showvminfo":       {"node-arch", "saved", "GUI/Qt", model.StateOff, [4]string{"net", "disk", "none", "none"}},
	"saved2-showvminfo":      {"node-arch", "saved", "", model.StateOff, [4]string{"net", "disk", "none", "none"}},
	"showvminfo-after-start": {"node 01_a", "poweroff", "", model.StateOff, [4]string{"net", "disk", "none", "none"}},
	"showvminfo-configured":  {"node 01_a", "poweroff", "", model.StateOff, [4]string{"disk", "disk", "none", "none"}},
	"showvminfo-fresh":       {"node 01_a", "poweroff", "", model.StateOff, [4]string{"floppy", "dvd", "disk", "none"}},
}

// TestEveryRecordedInfoIsRead reads each recorded showvminfo.
func TestEveryRecordedInfoIsRead(t *testing.T) {
	read := 0
	for name, r := range recordings(t) {
		if !slices.Contains(r.args, "--machinereadable") || slices.Contains(r.args, "snapshot") || r.exit != 0 {
			continue
		}
		read++
		want, ok := recordedInfos[name]
		info, err := ParseInfo(r.stdout)
		if err != nil || !ok {
			t.Errorf("%s: expected %v, %v", name, ok, err)
			continue
		}
		got := shown{info.Name, info.State.Word, info.Session, info.State.Power, info.Boot}
		if got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if info.Idle() != (want.power == model.StateOff && want.session == "") {
			t.Errorf("%s: idle %v", name, info.Idle())
		}
		if info.Firmware != "BIOS" || info.EFI() || info.CPUs != 1 || info.MemoryMB == 0 || !isUUID(info.UUID) || info.HardwareUUID != info.UUID {
			t.Errorf("%s: %+v", name, info)
		}
		if lines := strings.Count(string(r.stdout), "="); len(info.Fields) < lines-12 {
			t.Errorf("%s: only %d fields of about %d", name, len(info.Fields), lines)
		}
	}
	if read != len(recordedInfos) {
		t.Errorf("read %d, want %d", read, len(recordedInfos))
	}
}

// TestConfiguredInfo reads everything of the recording that has most.
func TestConfiguredInfo(t *testing.T) {
	info, err := ParseInfo(recordings(t)["showvminfo-configured"].stdout)
	if err != nil {
		t.Fatal(err)
	}
	if want := []NIC{{Number: 1, Kind: "nat", Type: "82540EM", MAC: "08002741D6AB", Cable: true}}; !slices.Equal(info.NICs, want) {
		t.Errorf("NICs %+v", info.NICs)
	}
	if want := []UART{{1, "0x03f8,4", "server", "/run/vbox/node01.sock"}, {2, "0x02f8,3", "file", "/run/vbox/node01.log"}}; !slices.Equal(info.UARTs, want) {
		t.Errorf("UARTs %+v", info.UARTs)
	}
	media := []Medium{{0, 0, "/home/vbox/VirtualBox VMs/node 01_a/node 01_a.vdi", "cadfea3d-1125-458b-bdbd-af4a0340cbef"}, {1, 0, "emptydrive", ""}}
	if len(info.Controllers) != 1 || info.Controllers[0].Name != "SATA Controller" || info.Controllers[0].Type != "IntelAhci" || !slices.Equal(info.Controllers[0].Media, media) {
		t.Errorf("controllers %+v", info.Controllers)
	}
	for key, want := range map[string]string{
		"description": "line one\nline \"two\" = x", "vrdeproperty[TCP/Ports]": "5901", "vrdeport": "-1", "memory": "260",
		"LogFldr": "/home/vbox/VirtualBox VMs/node 01_a/Logs",
	} {
		if info.Fields[key] != want {
			t.Errorf("%s is %q, want %q", key, info.Fields[key], want)
		}
	}
	if _, ok := info.Fields[" rec_screen0"]; ok || info.Fields["rec_screen_id"] != "0" {
		t.Error("the line without an equals sign disturbed what is around it")
	}
}

// TestRecordedLists reads the lists.
func TestRecordedLists(t *testing.T) {
	all := recordings(t)
	for name, want := range map[string]struct{ lines, inaccessible int }{
		"list-vms": {3, 0}, "list-vms-empty": {0, 0}, "list-vms-long-sorted": {3, 0}, "inaccessible-list": {35, 2},
		"paused-runningvms": {1, 0}, "running-list": {1, 0}, "guru-list": {0, 0}, "list-runningvms": {0, 0}, "list-runningvms-empty": {0, 0},
		"svc-killed-running": {0, 0},
	} {
		vms := ParseList(all[name].stdout)
		broken := 0
		for _, vm := range vms {
			if vm.Inaccessible {
				broken++
			} else if vm.Name == "" {
				t.Errorf("%s: %+v has no name", name, vm)
			}
		}
		if len(vms) != want.lines || broken != want.inaccessible {
			t.Errorf("%s: %d of which %d inaccessible, want %v", name, len(vms), broken, want)
		}
	}
	want := []VM{
		{Name: "node 01_a", UUID: "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"}, {Name: "node-arch", UUID: "cf834db0-c74f-4f50-aed6-131549467c14"},
		{Name: "a/b", UUID: "4e1de62e-f654-4612-8fe7-ce52a7278b78"},
	}
	if vms := ParseList(all["list-vms"].stdout); !slices.Equal(vms, want) {
		t.Errorf("list vms: %+v", vms)
	}
}

// TestRecordedValues reads single values and properties.
func TestRecordedValues(t *testing.T) {
	all := recordings(t)
	for name, want := range map[string]string{"getextradata": "net;disk", "getextradata-none": "", "guestproperty-get": "abc", "guestproperty-get-none": ""} {
		value, set := ParseValue(all[name].stdout)
		if value != want || set != (want != "") {
			t.Errorf("%s: %q, %v", name, value, set)
		}
	}
	for name, want := range map[string]map[string]string{
		"guestproperty-enum": {}, "guestproperty-enum2": {"/drp/uuid": "abc"},
		"running-guestprops": {
			"/VirtualBox/HostGuest/SysprepArgs": "", "/VirtualBox/HostGuest/SysprepExec": "", "/VirtualBox/HostInfo/GUI/LanguageID": "C",
			"/VirtualBox/HostInfo/VBoxRev": "175245", "/VirtualBox/HostInfo/VBoxVer": "7.2.22", "/VirtualBox/HostInfo/VBoxVerExt": "7.2.22_Debian",
			"/VirtualBox/VMInfo/ResetCounter": "1", "/VirtualBox/VMInfo/ResumeCounter": "1",
		},
	} {
		if got := ParseGuestProperties(all[name].stdout); !maps.Equal(got, want) {
			t.Errorf("%s: %v", name, got)
		}
	}
	v, err := ParseVersion(all["version"].stdout)
	if err != nil || v.Major != 7 || v.Minor != 2 || v.Patch != 22 || v.Text != "7.2.22_Debianr175245" {
		t.Errorf("version %+v, %v", v, err)
	}
	log := ParseBootLog(all["showvminfo-log0"].stdout)
	if last, ok := log.Last(); !ok || last.Device != "net" || last.Word != "LAN" || last.Failed || log.Nothing {
		t.Errorf("boot log %+v", log)
	}
}
