package vbox

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// recorded is one command as the real VBoxManage answered it.
type recorded struct {
	args []string
	answer
}

// recordings reads what was recorded of VBoxManage 7.2.22.
func recordings(t *testing.T) map[string]recorded {
	t.Helper()
	raw, err := os.ReadFile("../../virtualbox-ipmi/vbox/testdata/vboxmanage-7.2.22.txtar")
	check(t, err)
	all := map[string]recorded{}
	for _, f := range txtar.Parse(raw).Files {
		i := strings.LastIndex(f.Name, ".")
		r := all[f.Name[:i]]
		switch text := string(f.Data); f.Name[i+1:] {
		case "cmd":
			r.args = words(text)[1:]
		case "stdout":
			r.out = text
		case "stderr":
			r.err = text
		case "rc":
			r.code, _ = strconv.Atoi(strings.TrimSpace(text)) // that of VBoxHeadless is not compared
		}
		all[f.Name[:i]] = r
	}
	return all
}

// words splits a command line at spaces that no backslash protects; a remark in
// parentheses ends it.
func words(line string) []string {
	line, _, _ = strings.Cut(line, "   (")
	line = strings.Replace(line, `$'line one\nline "two" = x'`, `line\ one§line\ "two"\ =\ x`, 1)
	const space = "\x00"
	all := strings.Fields(strings.ReplaceAll(line, `\ `, space))
	for i, word := range all {
		word = strings.ReplaceAll(strings.ReplaceAll(word, space, " "), "§", "\n")
		all[i] = strings.ReplaceAll(word, `\;`, ";")
	}
	return all
}

// IDs of virtual machines in the recordings.
const (
	nodeID = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
	archID = "cf834db0-c74f-4f50-aed6-131549467c14"
)

// Scenes are the hosts that the recorded commands were given on, each made of
// another and what happened then.
func node(t *testing.T, h *Host) {
	must(t, h, []string{"createvm", "--name", "node 01_a", "--ostype", "Linux_64", "--register", "--uuid", nodeID})
}

// three hosts the virtual machines of the first lists.
func three(t *testing.T, h *Host) {
	node(t, h)
	must(t, h, []string{"createvm", "--name", "node-arch", "--ostype", "Linux_64", "--register", "--uuid", archID}, []string{"createvm", "--name", "a/b", "--register"})
}

// races adds the virtual machines that were made to try races.
func races(t *testing.T, h *Host) {
	three(t, h)
	for _, n := range []string{"3", "4", "5"} {
		must(t, h, []string{"createvm", "--name", "race-4-" + n, "--ostype", "Linux_64", "--register"})
	}
}

// disk gives the first a controller and a disk.
func disk(t *testing.T, h *Host) {
	three(t, h)
	must(t, h,
		[]string{"storagectl", nodeID, "--name", "SATA Controller", "--add", "sata", "--controller", "IntelAHCI", "--portcount", "2", "--bootable", "on"},
		[]string{"createmedium", "disk", "--filename", h.Dir() + "/VirtualBox VMs/node 01_a/node 01_a.vdi", "--size", "64"},
		[]string{"storageattach", nodeID, "--storagectl", "SATA Controller", "--port", "0", "--device", "0", "--type", "hdd", "--medium", h.Dir() + "/VirtualBox VMs/node 01_a/node 01_a.vdi"},
	)
}

// whole gives it everything else.
func whole(t *testing.T, h *Host) {
	disk(t, h)
	must(t, h,
		[]string{"storageattach", nodeID, "--storagectl", "SATA Controller", "--port", "1", "--device", "0", "--type", "dvddrive", "--medium", "emptydrive"},
		[]string{"modifyvm", nodeID, "--boot1", "net", "--boot2", "disk", "--boot3", "none", "--boot4", "none", "--description", "line one\nline \"two\" = x"},
		// Ports that are files, so that no socket is opened.
		[]string{"modifyvm", nodeID, "--uart1", "0x3F8", "4", "--uartmode1", "file", h.Dir() + "/1.log", "--uart2", "0x2F8", "3", "--uartmode2", "file", h.Dir() + "/2.log"},
	)
}

// remote switches its remote display on.
func remote(t *testing.T, h *Host) {
	whole(t, h)
	must(t, h, []string{"modifyvm", nodeID, "--vrde", "on", "--vrdeport", "5901", "--vrdeaddress", "127.0.0.1"})
}

// archOn starts the second.
func archOn(t *testing.T, h *Host) {
	three(t, h)
	must(t, h, []string{"startvm", archID, "--type", "headless"})
}

// nodeOn starts the first.
func nodeOn(t *testing.T, h *Host) {
	whole(t, h)
	must(t, h, []string{"startvm", nodeID, "--type", "headless"})
}

// lagging keeps the session after a stop.
func lagging(t *testing.T, h *Host) {
	check(t, h.Set(func(o *Options) { o.Behaviour.SessionLag = time.Hour }))
}

// nodeClosing stops the first, and its session stays.
func nodeClosing(t *testing.T, h *Host) {
	nodeOn(t, h)
	lagging(t, h)
	must(t, h, []string{"controlvm", nodeID, "poweroff"})
}

// archPaused pauses the second, archSaved saves it, archSaving does with its
// session open still.
func archPaused(t *testing.T, h *Host) {
	archOn(t, h)
	must(t, h, []string{"controlvm", archID, "pause"})
}

func archSaved(t *testing.T, h *Host) {
	archOn(t, h)
	must(t, h, []string{"controlvm", archID, "savestate"})
}

func archSaving(t *testing.T, h *Host) {
	archOn(t, h)
	lagging(t, h)
	must(t, h, []string{"controlvm", archID, "savestate"})
}

// nodeAborted kills the first.
func nodeAborted(t *testing.T, h *Host) {
	nodeOn(t, h)
	check(t, h.Crash(nodeID))
}

// named makes one more virtual machine, with a disk and a serial port, and starts
// it.
func named(name string) func(*testing.T, *Host) {
	return func(t *testing.T, h *Host) {
		must(t, h, []string{"createvm", "--name", name, "--ostype", "Other_64", "--register"},
			[]string{"storagectl", name, "--name", "SATA", "--add", "sata", "--portcount", "1"},
			[]string{"createmedium", "disk", "--filename", file(h, name+".vdi"), "--size", "64"},
			[]string{"storageattach", name, "--storagectl", "SATA", "--port", "0", "--device", "0", "--type", "hdd", "--medium", file(h, name+".vdi")},
		)
		if name == "demo1" {
			must(t, h, []string{"modifyvm", name, "--uart1", "0x3F8", "4", "--uartmode1", "file", h.Dir() + "/1.log"})
		}
		must(t, h, []string{"startvm", name, "--type", "headless"})
	}
}

// guru stops its CPUs by a fault.
func guru(t *testing.T, h *Host) {
	named("guru")(t, h)
	check(t, h.Force("guru", stateGuru))
}

// demoPaused pauses demo1.
func demoPaused(t *testing.T, h *Host) {
	named("demo1")(t, h)
	must(t, h, []string{"controlvm", "demo1", "pause"})
}

// broken damages two virtual machines with the UUIDs of the recordings.
func broken(t *testing.T, h *Host) {
	three(t, h)
	for i, uuid := range []string{"9133d630-dc22-4df1-91d9-4c4e2e82faa1", "c8673167-561b-4327-86cc-2a72f50f0af4"} {
		must(t, h, []string{"createvm", "--name", "broken" + strconv.Itoa(i), "--register", "--uuid", uuid})
		check(t, h.Break(uuid, true))
	}
}

// leftover unregisters one and leaves its files.
func leftover(t *testing.T, h *Host) {
	races(t, h)
	must(t, h, []string{"unregistervm", "race-4-4"})
}

// noDriver has no kernel driver.
func noDriver(t *testing.T, h *Host) {
	three(t, h)
	check(t, h.Set(func(o *Options) { o.NoDriver = true }))
}

// serviceKilled kills VBoxSVC while the first runs; after it, a command has met
// that already.
func serviceKilled(t *testing.T, h *Host) {
	nodeOn(t, h)
	check(t, h.KillService())
}

func afterService(t *testing.T, h *Host) {
	serviceKilled(t, h)
	ask(h, "list", "vms")
}

// keeping has something kept with the first.
func keeping(t *testing.T, h *Host) {
	node(t, h)
	must(t, h, []string{"setextradata", nodeID, "drp/next-boot", "net;disk"}, []string{"guestproperty", "set", nodeID, "/drp/uuid", "abc"})
}

// closing makes the next command find a session that is closing.
func closing(t *testing.T, h *Host) {
	archOn(t, h)
	check(t, h.SetFaults(Fault{Kind: FaultClosing, Count: 1}))
}

// scenes says where each recorded command was given.
var scenes = map[string]func(*testing.T, *Host){
	"a-aborted-immediately": nodeAborted, "a-aborted-modifyvm": nodeAborted, "a-aborted-poweroff": nodeAborted,
	"a-aborted-showvminfo": nodeAborted, "a-aborted-start": nodeAborted, "a-modify-right-after": nodeClosing, "a-poweroff": nodeOn, "a-poweroff2": nodeOn,
	"a-running-showvminfo": nodeOn, "a-startvm": whole, "a-startvm-right-after": nodeClosing, "a-startvm2": whole, "a-startvm3": whole,
	"a-unregister-right-after": nodeClosing, "acpi-ignored": named("demo1"), "changeuart": named("demo1"), "changeuart-server": named("demo1"),
	"closemedium-attached": disk, "controlvm-acpi-off": node, "controlvm-bad": node, "controlvm-nf": node, "controlvm-poweroff-off": node,
	"controlvm-reset-off": node, "controlvm-savestate-off": node, "controlvm-screenshot-off": node, "createmedium": three, "createmedium-dup": disk,
	"createvm": nil, "createvm-arch": node, "createvm-badname": node, "createvm-dup": node, "createvm-dupuuid": node, "createvm-leftover": leftover,
	"createvm-noarg": nil, "debugvm-osinfo": node, "discardstate": node, "getextradata": keeping, "getextradata-enum": keeping, "getextradata-none": keeping,
	"guestproperty-enum": node, "guestproperty-enum2": keeping, "guestproperty-get": keeping, "guestproperty-get-none": keeping, "guestproperty-set": node,
	"guru-acpi": guru, "guru-list": guru, "guru-poweroff": guru, "guru-reset": guru, "guru-showvminfo": guru, "guru-startvm": guru,
	"hostonlyif-create": node, "inaccessible-showvminfo": broken, "inaccessible-showvminfo2": broken, "inaccessible-start": broken,
	"inaccessible-unregister": broken, "list-hdds": disk, "list-hostonlyifs": node, "list-runningvms": node, "list-runningvms-empty": nil,
	"list-vms": three, "list-vms-empty": nil, "list-vms-long-sorted": three, "modifyvm-audio-old": node, "modifyvm-bad": node, "modifyvm-basic": node,
	"modifyvm-bootorder-net": node, "modifyvm-bridged": races, "modifyvm-desc": node, "modifyvm-efi": races, "modifyvm-efi-new": races,
	"modifyvm-equals": node, "modifyvm-hostonly": three, "modifyvm-hostonlynet": three, "modifyvm-intnet": three, "modifyvm-newstyle": races,
	"modifyvm-nf": node, "modifyvm-uart": node, "modifyvm-uart-file": node, "modifyvm-uart-tcp": three, "modifyvm-vrde": node, "modifyvm-vrde-off": node,
	"orphan-startvm": afterService, "paused-acpi": archPaused, "paused-pause": named("demo1"), "paused-poweroff": demoPaused, "paused-reset": archPaused,
	"paused-runningvms": demoPaused, "paused-showvminfo": demoPaused, "race-showvminfo-session-closing": closing, "reboot-noadd": named("demo1"),
	"registervm": leftover, "registervm-dup": node, "registervm-nf": node, "running-acpi": archOn, "running-acpisleep": archOn, "running-getlog": archOn,
	"running-keyboard": archOn, "running-list": archOn, "running-modifyvm": archOn, "running-nic": archOn, "running-nic-nat": archOn, "running-pause": archOn,
	"running-poweroff": archOn, "running-reset": archOn, "running-resume": archPaused, "running-resume-again": archOn, "running-savestate": archOn,
	"running-screenshot": archOn, "running-setboot-none": archOn, "running-setlinkstate": archOn, "running-setlinkstate-on": archOn,
	"running-showvminfo": archOn, "running-startvm-again": archOn, "running-storageattach": archOn, "running-unregister": archOn,
	"saved-discard": archSaving, "saved-modifyvm": archSaving, "saved-modifyvm-mem": archSaving, "saved-poweroff": archSaving,
	"saved-showvminfo": archSaving, "saved-unregister": archSaving, "saved2-modifyvm": archSaved, "saved2-poweroff": archSaved,
	"saved2-showvminfo": archSaved, "saved2-startvm": archSaved, "setextradata": node, "showvminfo-after-start": whole, "showvminfo-configured": remote,
	"showvminfo-fresh": node, "showvminfo-notfound": node, "showvminfo-notfound-uuid": node, "shutdown-noadd": named("demo1"), "snapshot-list": node,
	"startvm-badtype": three, "startvm-default": three, "startvm-gui": three, "startvm-headless": noDriver, "startvm-headless-ok": archOn,
	"startvm-nf": three, "startvm-putenv": noDriver, "startvm-separate": three, "storageattach": disk, "storageattach-dvd-empty": disk,
	"storageattach-nofile": disk, "storagectl": three, "storagectl-dup": disk, "svc-killed-list": serviceKilled, "svc-killed-poweroff": afterService,
	"svc-killed-running": afterService, "unregister-delete": races, "unregister-deleteall": races, "unregister-nf": leftover,
	"unregister-nodelete": races, "version": nil,
}

// notReplayed are the recordings that the simulator does not do, with why.
var notReplayed = map[string]string{
	"clonevm":              "clones are not simulated",
	"inaccessible-list":    "a list of 35 virtual machines; its form is that of list-vms, and TestInaccessible has the word",
	"inaccessible-modify":  "the refusal is printed twice there, once for a getter",
	"list-hostinfo":        "only the first lines are simulated",
	"list-vms-l":           "the long form for people is not simulated",
	"modifynvram":          "the NVRAM is not simulated",
	"running-debugvm-info": "the debugger's help is not simulated",
	"running-guestprops":   "which properties there are depends on the build; TestData has the counters",
	"showvminfo-human":     "the form for people is not simulated",
	"showvminfo-log0":      "a whole log; TestBootLog has the lines that matter",
	"snapshot-list2":       "snapshots are not simulated",
	"snapshot-take":        "snapshots are not simulated",
	"vboxheadless":         "not a command of VBoxManage",
}

// variable is what differs from host to host, and what stands for it.
var variable = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z?`), "TIME"},
	{regexp.MustCompile(`"[0-9A-F]{12}"`), `"MAC"`},
	{regexp.MustCompile(`/home/vbox|/run/vbox`), "DIR"},
	{regexp.MustCompile(`Version \S+`), "Version"},
}

// shape is an output without what differs from host to host. Of the keys and
// values of showvminfo it is the keys.
func shape(h *Host, args []string, text string) string {
	text = strings.ReplaceAll(text, h.Dir(), "/home/vbox")
	for _, v := range variable {
		text = v.pattern.ReplaceAllString(text, v.with)
	}
	if !slices.Contains(args, "--machinereadable") || args[0] != "showvminfo" {
		return text
	}
	var keys []string
	for line := range strings.Lines(text) {
		key, _, _ := strings.Cut(strings.TrimSpace(line), "=")
		// When a disk is shown as pluggable depends on how it was attached.
		if !strings.Contains(key, "-hot-pluggable-") {
			keys = append(keys, key)
		}
	}
	return strings.Join(keys, "\n")
}

// TestRecordings gives every recorded command to a host as it was then, and
// compares what comes.
func TestRecordings(t *testing.T) {
	all := recordings(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r := all[name]
		scene, ok := scenes[name]
		if _, no := notReplayed[name]; ok == no {
			t.Errorf("%s is in scenes and in notReplayed, or in neither", name)
		}
		if !ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, Options{})
			if scene != nil {
				scene(t, h)
			}
			args := slices.Clone(r.args)
			for i := range args {
				args[i] = strings.ReplaceAll(strings.ReplaceAll(args[i], "/home/vbox", h.Dir()), "/run/vbox", h.Dir())
			}
			got := ask(h, args...)
			if got.code != r.code || shape(h, args, got.out) != shape(h, args, r.out) || shape(h, args, got.err) != shape(h, args, r.err) {
				t.Errorf("%q\n-- got exit code %d\n%s%s\n-- want %d\n%s%s", args, got.code, shape(h, args, got.out), shape(h, args, got.err),
					r.code, shape(h, args, r.out), shape(h, args, r.err))
			}
		})
	}
}
