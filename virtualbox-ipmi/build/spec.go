// Package build makes VirtualBox VMs and removes them: all of one, or nothing.
// What it made it knows again, by marks that it keeps with the VM; what it did
// not make it does not touch.
package build

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"provision-plugins/shared/model"
)

// The params that describe a new VM.
const (
	ParamName     = "virtualbox/name"
	ParamFolder   = "virtualbox/vm-path"
	ParamCPUs     = "virtualbox/cpus"
	ParamDisk     = "virtualbox/disk-size-mb"
	ParamMemory   = "virtualbox/mem-size-mb"
	ParamVRAM     = "virtualbox/vram-size-mb"
	ParamFirmware = "virtualbox/firmware"
	ParamOSType   = "virtualbox/ostype"
	ParamNICs     = "virtualbox/nics"
	ParamSerial   = "virtualbox/serial"
)

// Params lists them, but for the image in its drive.
func Params() []string {
	return []string{
		ParamName, ParamFolder, ParamCPUs, ParamDisk, ParamMemory, ParamVRAM, ParamFirmware, ParamOSType, ParamNICs, ParamSerial,
	}
}

// Spec describes a VM to be made.
type Spec struct {
	UUID   string // lower case
	Name   string
	Folder string // below which its own folder is; "" for VirtualBox's choice
	OSType string
	// Firmware is bios or efi.
	Firmware                         string
	CPUs, DiskMB, MemoryMB, VideoMiB int64
	NICs                             []NIC
	// Serial is the path of the socket of its serial port, "" for none,
	// SerialInFolder for one in the VM's folder.
	Serial string
	// ISO is the image in its drive, "" for none.
	ISO string
	// Owner is who makes it: the plugin's name. Machine is the UUID of the
	// endpoint's machine.
	Owner, Machine string
}

// NIC is one network adapter.
type NIC struct {
	Kind    string `json:"kind"`    // nat, hostonly, bridged or intnet
	Network string `json:"network"` // the host's interface, or the internal network's name
	Adapter string `json:"adapter"` // of the simulated hardware
	MAC     string `json:"mac"`     // "" for VirtualBox's choice
}

// The words of params.
const (
	firmwareBIOS   = "bios"
	firmwareEFI    = "efi"
	serialOff      = "off"
	SerialInFolder = "socket"
	hostOnly       = "hostonly"
)

// Defaults, as the reference has them where it has any.
const (
	defaultOSType  = "Linux_64"
	defaultCPUs    = 2
	defaultDisk    = 20480
	defaultMemory  = 2048
	defaultVRAM    = 128
	defaultAdapter = "82545EM" // an e1000 that boots from the network
	defaultNetwork = "vboxnet0"
)

// defaultNICs are a network of the host's own to boot from, and the way out.
func defaultNICs() []NIC {
	return []NIC{{Kind: hostOnly, Network: defaultNetwork, Adapter: defaultAdapter}, {Kind: "nat", Adapter: defaultAdapter}}
}

// kinds are the kinds of networks and whether each needs the name of one.
var kinds = map[string]bool{"nat": false, hostOnly: true, "bridged": true, "intnet": true}

// adapters are the kinds of simulated hardware.
var adapters = []string{"82540EM", "82543GC", "82545EM", "virtio", "Am79C970A", "Am79C973"}

// Bounds of a VM.
const (
	maxCPUs   = 64
	maxDisk   = 2 << 20 // 2 TiB
	maxMemory = 2 << 20
	maxVRAM   = 256
	maxNICs   = 8
	maxName   = 200
	maxWord   = 64
	maxSocket = 107 // a path in an address of a unix socket
)

var (
	osTypeForm  = regexp.MustCompile(`^[A-Za-z0-9_]{1,40}$`)
	networkForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._:()#-]{0,63}$`)
	macForm     = regexp.MustCompile(`^(?i)[0-9a-f]{2}([:-]?[0-9a-f]{2}){5}$`)
)

// ParseSpec reads the params of a VM. Its errors name the param.
func ParseSpec(p model.Params) (*Spec, error) {
	s := &Spec{}
	if err := s.words(p); err != nil {
		return nil, err
	}
	if err := s.numbers(p); err != nil {
		return nil, err
	}
	var err error
	if s.NICs, err = parseNICs(p); err != nil {
		return nil, err
	}
	return s, nil
}

// words reads the params that are text.
func (s *Spec) words(p model.Params) error {
	for _, w := range []struct {
		param, def string
		into       *string
		check      func(string) error
	}{
		{ParamName, "", &s.Name, CheckName},
		{ParamFolder, "", &s.Folder, absolute},
		{ParamOSType, defaultOSType, &s.OSType, func(v string) error {
			return matches(osTypeForm, v, "an identifier that VBoxManage list ostypes shows")
		}},
		{ParamFirmware, firmwareBIOS, &s.Firmware, func(v string) error { return among(v, firmwareBIOS, firmwareEFI) }},
		{ParamSerial, SerialInFolder, &s.Serial, checkSerial},
	} {
		v, err := p.String(w.param, w.def)
		if err != nil {
			return err
		}
		if v == "" {
			v = w.def
		}
		if v != "" {
			err = w.check(v)
		}
		if err != nil {
			return model.Errorf(model.Invalid, "param %s: %w", w.param, err)
		}
		*w.into = v
	}
	if s.Serial == serialOff {
		s.Serial = ""
	}
	return nil
}

// numbers reads the params that are numbers.
func (s *Spec) numbers(p model.Params) error {
	for _, n := range []struct {
		param        string
		def, lo, top int64
		into         *int64
	}{
		{ParamCPUs, defaultCPUs, 1, maxCPUs, &s.CPUs},
		{ParamDisk, defaultDisk, 1, maxDisk, &s.DiskMB},
		{ParamMemory, defaultMemory, 4, maxMemory, &s.MemoryMB},
		{ParamVRAM, defaultVRAM, 1, maxVRAM, &s.VideoMiB},
	} {
		v, err := p.Int(n.param, n.def, n.lo, n.top)
		if err != nil {
			return err
		}
		*n.into = v
	}
	return nil
}

// CheckName refuses a name that VirtualBox, or a line of its output, could not
// hold. Spaces, quotes and slashes are none of that.
func CheckName(name string) error {
	if len(name) > maxName || strings.TrimSpace(name) == "" || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return model.Errorf(model.Invalid, "%.60q cannot be the name of a VM: want 1 to %d bytes without control characters", name, maxName)
	}
	return nil
}

// absolute refuses what is not an absolute path.
func absolute(v string) error {
	if !filepath.IsAbs(v) || strings.ContainsAny(v, "\x00\r\n") {
		return model.Errorf(model.Invalid, "%.120q is not an absolute path", v)
	}
	return nil
}

// matches refuses what has not the form.
func matches(form *regexp.Regexp, v, what string) error {
	if !form.MatchString(v) {
		return model.Errorf(model.Invalid, "%.60q is not %s", v, what)
	}
	return nil
}

// among refuses what is none of the words.
func among(v string, words ...string) error {
	if !slices.Contains(words, v) {
		return model.Errorf(model.Invalid, "%.60q is none of %s", v, strings.Join(words, ", "))
	}
	return nil
}

// checkSerial refuses what is neither a word nor a path that a socket can have.
func checkSerial(v string) error {
	if v == serialOff || v == SerialInFolder {
		return nil
	}
	if absolute(v) != nil || len(v) > maxSocket {
		return model.Errorf(model.Invalid, "%.120q is neither %s, %s nor an absolute path of at most %d bytes", v, SerialInFolder, serialOff, maxSocket)
	}
	return nil
}

// parseNICs reads the adapters.
func parseNICs(p model.Params) ([]NIC, error) {
	if !p.Has(ParamNICs) {
		return defaultNICs(), nil
	}
	var nics []NIC
	if err := model.Remarshal(p[ParamNICs], &nics); err != nil {
		return nil, model.Errorf(model.Invalid, "param %s: want a list like [{\"kind\":\"hostonly\",\"network\":\"vboxnet0\"},{\"kind\":\"nat\"}]", ParamNICs)
	}
	if len(nics) > maxNICs {
		return nil, model.Errorf(model.Invalid, "param %s: %d adapters are more than %d", ParamNICs, len(nics), maxNICs)
	}
	for i := range nics {
		if err := nics[i].check(); err != nil {
			return nil, model.Errorf(model.Invalid, "param %s, adapter %d: %w", ParamNICs, i+1, err)
		}
	}
	return nics, nil
}

// check fills what may be left out, and refuses what VirtualBox would take for
// something else.
func (n *NIC) check() error {
	named, known := kinds[n.Kind]
	if !known {
		return model.Errorf(model.Invalid, "kind: %.60q is none of bridged, hostonly, intnet, nat", n.Kind)
	}
	if n.Adapter == "" {
		n.Adapter = defaultAdapter
	}
	if err := among(n.Adapter, adapters...); err != nil {
		return fmt.Errorf("adapter: %w", err)
	}
	if n.Network == "" && n.Kind == hostOnly {
		n.Network = defaultNetwork
	}
	switch {
	case named && n.Network == "":
		return model.Errorf(model.Invalid, "network: a %s adapter needs one", n.Kind)
	case !named && n.Network != "":
		return model.Errorf(model.Invalid, "network: a %s adapter has none", n.Kind)
	case named:
		if err := matches(networkForm, n.Network, "the name of a network"); err != nil {
			return fmt.Errorf("network: %w", err)
		}
	}
	if n.MAC == "" {
		return nil
	}
	if err := matches(macForm, n.MAC, "a MAC address"); err != nil {
		return fmt.Errorf("mac: %w", err)
	}
	n.MAC = strings.ToUpper(strings.NewReplacer(":", "", "-", "").Replace(n.MAC))
	return nil
}
