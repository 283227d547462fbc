package build

import (
	"reflect"
	"strings"
	"testing"

	"provision-plugins/shared/model"
	"provision-plugins/virtualbox-ipmi/vbox"
)

// Without params a VM is as the reference makes it.
func TestDefaults(t *testing.T) {
	t.Parallel()
	s, err := ParseSpec(model.Params{})
	if err != nil {
		t.Fatal(err)
	}
	want := &Spec{
		OSType: "Linux_64", Firmware: "bios", CPUs: 2, DiskMB: 20480, MemoryMB: 2048, VideoMiB: 128, Serial: SerialInFolder,
		NICs: []NIC{{Kind: "hostonly", Network: "vboxnet0", Adapter: "82545EM"}, {Kind: "nat", Adapter: "82545EM"}},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("%+v, want %+v", s, want)
	}
}

// What params say counts, and an empty text is none.
func TestParseSpec(t *testing.T) {
	t.Parallel()
	s, err := ParseSpec(model.Params{
		ParamName: `a/b "c"`, ParamFolder: "/srv/vms", ParamCPUs: 4, ParamDisk: 10, ParamMemory: 64, ParamVRAM: 16, ParamFirmware: "efi",
		ParamOSType: "", ParamSerial: "off",
		ParamNICs: []any{
			map[string]any{"kind": "bridged", "network": "eth0", "adapter": "virtio", "mac": "08:00:27:aa:Bb:cc"},
			map[string]any{"kind": "intnet", "network": "prov net 1"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &Spec{
		Name: `a/b "c"`, Folder: "/srv/vms", OSType: "Linux_64", Firmware: "efi", CPUs: 4, DiskMB: 10, MemoryMB: 64, VideoMiB: 16,
		NICs: []NIC{{"bridged", "eth0", "virtio", "080027AABBCC"}, {"intnet", "prov net 1", "82545EM", ""}},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("%+v, want %+v", s, want)
	}
	if s, err := ParseSpec(model.Params{ParamNICs: []any{}, ParamSerial: "/run/s.sock"}); err != nil || len(s.NICs) != 0 || s.Serial != "/run/s.sock" {
		t.Errorf("%+v, %v", s, err)
	}
}

// nic is a list of one adapter as a param.
func nic(pairs ...string) []any {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return []any{m}
}

// What VirtualBox would take for something else, or not at all, is refused by the
// name of its param.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		param string
		value any
		says  string
	}{
		{ParamName, 7, "a string"},
		{ParamName, " \t", "cannot be the name"},
		{ParamName, "a\nb", "cannot be the name"},
		{ParamName, strings.Repeat("x", 201), "200 bytes"},
		{ParamFolder, "vms", "not an absolute path"},
		{ParamFolder, "/a\x00b", "not an absolute path"},
		{ParamOSType, "--help", "list ostypes"},
		{ParamFirmware, "uefi", "none of bios, efi"},
		{ParamSerial, "server /x", "neither"},
		{ParamSerial, "/" + strings.Repeat("x", 107), "at most 107"},
		{ParamCPUs, 0, "outside"},
		{ParamCPUs, "many", "an integer"},
		{ParamDisk, -1, "outside"},
		{ParamMemory, 1 << 40, "outside"},
		{ParamVRAM, 257, "outside"},
		{ParamNICs, "nat", "want a list"},
		{ParamNICs, make([]any, 9), "more than 8"},
		{ParamNICs, nic("kind", "generic"), "none of bridged, hostonly"},
		{ParamNICs, nic("kind", "bridged"), "needs one"},
		{ParamNICs, nic("kind", "nat", "network", "x"), "has none"},
		{ParamNICs, nic("kind", "intnet", "network", "--nic2"), "name of a network"},
		{ParamNICs, nic("kind", "nat", "adapter", "rtl8139"), "adapter"},
		{ParamNICs, nic("kind", "nat", "mac", "auto"), "mac"},
		{ParamNICs, nic("kind", "nat", "mac", "08:00:27:aa:bb"), "a MAC address"},
	} {
		_, err := ParseSpec(model.Params{row.param: row.value})
		if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), row.param) || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %v: want %q, got %v", row.param, row.value, row.says, err)
		}
	}
}

// Every param is listed, so that who defines actions does not forget one.
func TestParamsAreListed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range Params() {
		seen[p] = true
		if _, err := ParseSpec(model.Params{p: map[string]any{"no": "thing"}}); model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), p) {
			t.Errorf("%s is listed and not read: %v", p, err)
		}
	}
	if len(seen) != 10 {
		t.Errorf("%d params", len(seen))
	}
}

// An adapter becomes options of VBoxManage, with its network by its kind.
func TestAdapterArguments(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		nic  NIC
		want string
	}{
		{NIC{"nat", "", "82545EM", ""}, "--nic2 nat --nictype2 82545EM --cableconnected2 on"},
		{NIC{"hostonly", "vboxnet0", "virtio", ""}, "--nic2 hostonly --nictype2 virtio --cableconnected2 on --hostonlyadapter2 vboxnet0"},
		{NIC{"bridged", "eth0", "virtio", "080027AABBCC"}, "--nic2 bridged --nictype2 virtio --cableconnected2 on --bridgeadapter2 eth0 --macaddress2 080027AABBCC"},
		{NIC{"intnet", "prov", "virtio", ""}, "--nic2 intnet --nictype2 virtio --cableconnected2 on --intnet2 prov"},
	} {
		if got := strings.Join(row.nic.args(2), " "); got != row.want {
			t.Errorf("%+v: %s", row.nic, got)
		}
	}
}

// A VM's disk is beside its settings, whatever its name.
func TestDiskPath(t *testing.T) {
	t.Parallel()
	for config, disk := range map[string]string{
		"/v/node 01/node 01.vbox": "/v/node 01/node 01.vdi",
		"/v/a.b/a.b.vbox":         "/v/a.b/a.b.vdi",
	} {
		if got := diskPath(&vbox.Info{ConfigFile: config}); got != disk {
			t.Errorf("%s: %s", config, got)
		}
	}
}

// FuzzNICs gives the param whatever JSON may be: what is taken makes options that
// are no others than those of adapters.
func FuzzNICs(f *testing.F) {
	f.Add([]byte(`[{"kind":"hostonly"},{"kind":"nat"}]`))
	f.Add([]byte(`[{"kind":"intnet","network":"--x","mac":"080027aabbcc"}]`))
	f.Add([]byte(`{"kind":7}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var value any
		if model.Unmarshal(raw, &value) != nil || value == nil {
			return
		}
		s, err := ParseSpec(model.Params{ParamNICs: value})
		if err != nil {
			return
		}
		for i, n := range s.NICs {
			args := n.args(i + 1)
			for at := 1; at < len(args); at += 2 {
				if strings.HasPrefix(args[at], "-") || strings.ContainsAny(args[at], "\n\x00") {
					t.Errorf("%s makes %q", raw, args)
				}
			}
		}
	})
}
