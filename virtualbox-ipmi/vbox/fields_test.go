package vbox

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// TestFieldRules holds the reader against the lines that have misled others.
func TestFieldRules(t *testing.T) {
	tests := []struct {
		name, out string
		want      Fields
	}{
		{"nothing", "", Fields{}},
		{"no end of line", `a="b"`, Fields{"a": "b"}},
		{"number", "memory=32\n", Fields{"memory": "32"}},
		{"below zero", "vrdeport=-1\n", Fields{"vrdeport": "-1"}},
		{"empty", "a=\"\"\nb=\n", Fields{"a": "", "b": ""}},
		{"no equals sign", "recording_screens=1\n rec_screen0\nrec_screen_id=0\n", Fields{"recording_screens": "1", "rec_screen_id": "0"}},
		{"two equals signs", "VRDEClients==0\nx=1\n", Fields{"VRDEClients": "0", "x": "1"}},
		{"behind the quote", "VideoMode=\"640,480,32\"@0,0 1\nvrde=\"off\"\n", Fields{"VideoMode": "640,480,32", "vrde": "off"}},
		{"quoted key", "\"SATA Controller-0-0\"=\"/a b/c.vdi\"\n", Fields{"SATA Controller-0-0": "/a b/c.vdi"}},
		{"brackets in a key", "vrdeproperty[TCP/Ports]=\"5901\"\nForwarding(0)=\"ssh,tcp,,2222,,22\"\n", Fields{"vrdeproperty[TCP/Ports]": "5901", "Forwarding(0)": "ssh,tcp,,2222,,22"}},
		{"two lines", "description=\"line one\nline \\\"two\\\" = x\"\nG=0\n", Fields{"description": "line one\nline \"two\" = x", "G": "0"}},
		{"forged state in a description", "VMState=\"running\"\ndescription=\"x\nVMState=\\\"poweroff\\\"\nVMState=1\n\"\n", Fields{"VMState": "running", "description": "x\nVMState=\"poweroff\"\nVMState=1\n"}},
		{"forged state before the state", "description=\"x\nVMState=\\\"poweroff\\\"\n\"\nVMState=\"running\"\n", Fields{"VMState": "running", "description": "x\nVMState=\"poweroff\"\n"}},
		{"first of two", "a=1\na=2\na=\"3\"\n", Fields{"a": "1"}},
		{"Windows", "a=\"b\"\r\nc=1\r\nVRDEClients==0\r\nd=\"two\r\nlines\"\r\n", Fields{"a": "b", "c": "1", "VRDEClients": "0", "d": "two\r\nlines"}},
		{"Windows path", `CfgFile="C:\\Users\\x\\a.vbox"` + "\n", Fields{"CfgFile": `C:\Users\x\a.vbox`}},
		{"old Windows path", `CfgFile="C:\Users\x\a.vbox"` + "\n", Fields{"CfgFile": `C:\Users\x\a.vbox`}},
		{"wrapper", "WARNING: The character device /dev/vboxdrv does not exist.\n\t Please install the virtualbox-dkms package and the appropriate\n\t headers, most likely linux-headers-amd64.\n\n\t You will not be able to start VMs until this problem is fixed.\nname=\"a\"\n", Fields{"name": "a"}},
		{"quote that does not end", "a=\"b\nc=1\n", Fields{"a": `"b`, "c": "1"}},
		{"no key", "=1\n\"\"=2\n\"a\nb\"=3\nx=1\n", Fields{"x": "1"}},
		{"quoted words", "\"a\" b\n\"c\nd=1\n", Fields{"d": "1"}},
		{"spaces in a key", "a b=1\nc\td=2\n\ne=3\n", Fields{"e": "3"}},
	}
	for _, tt := range tests {
		if got := ParseFields([]byte(tt.out)); !maps.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// render prints fields as VBoxManage does.
func render(f Fields) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(f)) {
		value := strings.ReplaceAll(strings.ReplaceAll(f[key], `\`, `\\`), `"`, `\"`)
		b.WriteString(key + `="` + value + "\"\n")
	}
	return b.String()
}

// TestFieldsRoundTrip prints random values and reads them again.
func TestFieldsRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 2))
	alphabet := []rune("ab=\"\\\n\r\t 1,@é\x00")
	for range 500 {
		want := Fields{}
		for i := range 5 {
			value := make([]rune, random.IntN(12))
			for j := range value {
				value[j] = alphabet[random.IntN(len(alphabet))]
			}
			want["key"+string(rune('0'+i))] = string(value)
		}
		if got := ParseFields([]byte(render(want))); !maps.Equal(got, want) {
			t.Fatalf("%q was read as %q", want, got)
		}
	}
}

// TestOldVersion reads the keys of a version of some years ago: every line has
// its equals sign, and newer keys are not there.
func TestOldVersion(t *testing.T) {
	out := `name="go-virtualbox"
groups="/"
ostype="Linux 2.6 / 3.x / 4.x (64-bit)"
UUID="37F5D336-BF07-48DD-947C-37E6A56420A7"
hardwareuuid="37f5d336-bf07-48dd-947c-37e6a56420a7"
memory=1024
firmware="EFI"
boot1="floppy"
boot2="dvd"
boot3="disk"
boot4="none"
VMState="poweroff"
accelerate2dvideo="off"
storagecontrollername0="IDE"
storagecontrollertype0="PIIX4"
"IDE-0-0"="none"
"IDE-0-1"="none"
"IDE-1-0"="emptydrive"
"IDE-IsEjected"="off"
"IDE-1-1"="/d.iso"
"IDE-ImageUUID-1-1"="cc157eb2-b8f1-49cd-9bdb-a197d66538c7"
bridgeadapter1="en0: Wi-Fi (AirPort)"
macaddress1="080027EE1DF7"
cableconnected1="off"
nic1="bridged"
nictype1="82540EM"
hostonlyadapter2="vboxnet0"
macaddress2="080027EE1DF8"
cableconnected2="on"
nic2="hostonly"
nictype2="virtio"
nic3="none"
nic4="null"
uart1="0x03F8,4"
uartmode1="disconnected"
uart2="off"
vcpenabled="off"
`
	info, err := ParseInfo([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	if info.UUID != "37f5d336-bf07-48dd-947c-37e6a56420a7" || !info.EFI() || !info.Idle() || info.Boot != [4]string{"floppy", "dvd", "disk", "none"} {
		t.Errorf("%+v", info)
	}
	nics := []NIC{
		{1, "bridged", "en0: Wi-Fi (AirPort)", "82540EM", "080027EE1DF7", false}, {2, "hostonly", "vboxnet0", "virtio", "080027EE1DF8", true},
		{Number: 4, Kind: "null"},
	}
	if !slices.Equal(info.NICs, nics) {
		t.Errorf("NICs %+v", info.NICs)
	}
	if want := []UART{{1, "0x03F8,4", "disconnected", ""}}; !slices.Equal(info.UARTs, want) {
		t.Errorf("UARTs %+v", info.UARTs)
	}
	if want := []Medium{{1, 0, "emptydrive", ""}, {1, 1, "/d.iso", "cc157eb2-b8f1-49cd-9bdb-a197d66538c7"}}; len(info.Controllers) != 1 || !slices.Equal(info.Controllers[0].Media, want) {
		t.Errorf("controllers %+v", info.Controllers)
	}
}

// TestInfoNeedsItsKeys: half an output is no virtual machine that is off.
func TestInfoNeedsItsKeys(t *testing.T) {
	whole := recordings(t)["running-showvminfo"].stdout
	state := strings.Index(string(whole), "VMState=")
	for _, end := range []int{0, 1, 20, 300, state, state + len("VMState=")} {
		if info, err := ParseInfo(whole[:end]); err == nil {
			t.Errorf("the first %d bytes are read as %+v", end, info)
		}
	}
}

// TestStates: every word VirtualBox has is known, and no other is off.
func TestStates(t *testing.T) {
	want := map[model.PowerState]string{
		model.StateOn: "running paused gurumeditation livesnapshotting onlinesnapshotting deletingsnapshotlive deletingsnapshotlivepaused " +
			"teleporting teleportingpausedvm",
		model.StateOff:        "poweroff aborted saved aborted-saved teleported deletingsnapshot",
		model.StateTransition: "starting restoring stopping saving settingup teleportingin restoringsnapshot",
		model.StateUnknown:    "unknown Poweroff off powered POWEROFF off2 выключено",
	}
	known := 0
	for power, all := range want {
		for word := range strings.FieldsSeq(all) {
			if s := StateOf(word); s.Power != power || s.Word != word {
				t.Errorf("%s: %+v, want %s", word, s, power)
			}
			if power != model.StateUnknown {
				known++
			}
		}
	}
	if known != len(states) || StateOf("").Power != model.StateUnknown {
		t.Errorf("%d words are known, %d are in the table", known, len(states))
	}
	for _, word := range []string{WordPaused, WordSaved, WordAborted, WordAbortedSaved, WordGuru} {
		if StateOf(word).Note == "" {
			t.Errorf("%s needs a note", word)
		}
	}
}

// TestListRules reads lines of lists that have misled others.
func TestListRules(t *testing.T) {
	const id = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
	for line, want := range map[string][]VM{
		`"a" {` + id + `}`:                              {{Name: "a", UUID: id}},
		`"a" {` + strings.ToUpper(id) + `}` + "\r":      {{Name: "a", UUID: id}},
		`"a "quoted" {name}" {` + id + `}`:              {{Name: `a "quoted" {name}`, UUID: id}},
		`"node 01_a/é" {` + id + `}`:                    {{Name: "node 01_a/é", UUID: id}},
		`"" {` + id + `}`:                               {{Name: "", UUID: id}},
		`"<inaccessible>" {` + id + `}`:                 {{UUID: id, Inaccessible: true}},
		`"a" {` + id + `} x`:                            nil,
		` "a" {` + id + `}`:                             nil,
		`"a" {0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f}`:     nil,
		`"a" {------------------------------------}`:    nil,
		"WARNING: The character device does not exist.": nil,
	} {
		if got := ParseList([]byte("\n" + line + "\n")); !slices.Equal(got, want) {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

// TestBootLogs reads what a BIOS writes.
func TestBootLogs(t *testing.T) {
	const at = "00:00:04.697281 VMMDev: Guest Log: BIOS: "
	disk, net := BootAttempt{Device: "disk", Word: "Hard Disk"}, BootAttempt{Device: "net", Word: "LAN"}
	failed := func(a BootAttempt) BootAttempt { a.Failed = true; return a }
	tests := []struct {
		lines   []string
		want    []BootAttempt
		nothing bool
	}{
		{nil, nil, false},
		{[]string{at + "Booting from LAN..."}, []BootAttempt{net}, false},
		{[]string{at + "Booting from Hard Disk...\r", at + "Boot from Hard Disk 0 failed", at + "Booting from LAN..."}, []BootAttempt{failed(disk), net}, false},
		{[]string{at + "Boot from Hard Disk 0 failed", at + "Booting from LAN..."}, []BootAttempt{failed(disk), net}, false},
		{[]string{at + "Booting from LAN...", at + "No bootable medium found! System halted."}, []BootAttempt{failed(net)}, true},
		{[]string{at + "No bootable medium found! System halted.", at + "Booting from CD-ROM..."}, []BootAttempt{{"dvd", "CD-ROM", false}}, false},
		{[]string{at + "No bootable medium found!"}, nil, true},
		{[]string{at + "Booting from Toaster..."}, []BootAttempt{{"", "Toaster", false}}, false},
		{[]string{"00:00:01 VMMDev: Guest Log: guest says BIOS: Booting from LAN...", "x " + at + "Booting from LAN..."}, nil, false},
	}
	for _, tt := range tests {
		got := ParseBootLog([]byte(strings.Join(tt.lines, "\n")))
		if !slices.Equal(got.Attempts, tt.want) || got.Nothing != tt.nothing {
			t.Errorf("%q: %+v", tt.lines, got)
		}
		first, ok := got.First()
		last, also := got.Last()
		if ok != (len(tt.want) > 0) || ok != also || ok && (first != tt.want[0] || last != tt.want[len(tt.want)-1]) {
			t.Errorf("%q: first %+v, last %+v", tt.lines, first, last)
		}
	}
}

// TestVersions reads versions of several builds.
func TestVersions(t *testing.T) {
	for out, want := range map[string]string{
		"7.2.22_Debianr175245\n":             "7.2.22_Debianr175245",
		"7.1.10r169112\r\n":                  "7.1.10r169112",
		"WARNING: x\n\n5.2.44_Ubuntur139111": "5.2.44_Ubuntur139111",
		"":                                   "",
		"vboxdrv kernel module not loaded":   "",
		"7.2\n":                              "",
		"99999.1.1\n":                        "",
	} {
		v, err := ParseVersion([]byte(out))
		if (err != nil) != (want == "") || err == nil && v.Text != want {
			t.Errorf("%q: %+v, %v", out, v, err)
		}
	}
}

// seed gives a fuzz target every recording.
func seed(f *testing.F, add func(r recording)) {
	all := recordings(f)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if len(all[name].stdout) < 8<<10 {
			add(all[name])
		}
	}
}

// FuzzOutput reads any output as everything that is read of one.
func FuzzOutput(f *testing.F) {
	seed(f, func(r recording) { f.Add(r.stdout) })
	f.Add([]byte("\"\"=\"\\"))
	f.Fuzz(func(t *testing.T, out []byte) {
		fields := ParseFields(out)
		for key := range fields {
			if key == "" || strings.ContainsAny(key, "\n") {
				t.Errorf("key %q", key)
			}
		}
		if info, err := ParseInfo(out); err == nil && (info.State.Word == "" || info.State.Power == model.StateOff && !slices.Contains([]string{"poweroff", "aborted", "saved", "aborted-saved", "teleported", "deletingsnapshot"}, info.State.Word)) {
			t.Errorf("state %+v", info.State)
		}
		for _, vm := range ParseList(out) {
			if !isUUID(vm.UUID) || strings.Contains(vm.Name, "\n") {
				t.Errorf("%+v", vm)
			}
		}
		ParseBootLog(out)
		ParseValue(out)
		ParseGuestProperties(out)
		if v, err := ParseVersion(out); err == nil && (v.Text == "" || strings.ContainsAny(v.Text, " \r\n")) {
			t.Errorf("version %q", v.Text)
		}
	})
}

// FuzzClassify classifies any output of any command: an exit code or an error
// line is a failure, with one line of text.
func FuzzClassify(f *testing.F) {
	seed(f, func(r recording) { f.Add(strings.Join(r.args, " "), r.exit, r.stdout, r.stderr) })
	f.Fuzz(func(t *testing.T, args string, exit int, stdout, stderr []byte) {
		e := Classify(strings.Fields(args), exit, stdout, stderr)
		if e == nil {
			if exit != 0 || errorLine.Match(stderr) {
				t.Error("a failure taken for a success")
			}
			return
		}
		if _, known := classes[e.Class]; !known || strings.ContainsAny(e.Text, "\n\r\x1b") || len([]rune(e.Text)) > maxText+1 {
			t.Errorf("%+v", e)
		}
	})
}
