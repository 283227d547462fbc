package vbox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// setting is one option of modifyvm at work.
type setting struct {
	w      *world
	r      *run
	m      *machine
	name   string // of the option, without dashes and number
	index  int    // the number in the option's name, from 1; 0 for none
	values []string
}

// settable is an option of modifyvm: how many values it takes, and what it does.
type settable struct {
	values int
	set    func(s *setting) error
}

// settables are the options, without dashes and the number at the end, so that
// both spellings are one. Those that only keep their value are in kept.
var settables = map[string]settable{
	"boot":            {1, setBoot},
	"nic":             {1, setNIC},
	"nictype":         {1, onNIC(func(n *nic, v string) { n.Type = v })},
	"macaddress":      {1, onNIC(func(n *nic, v string) { n.MAC = autoMAC(v, n.MAC) })},
	"cableconnected":  {1, onNIC(func(n *nic, v string) { n.Unplugged = v == "off" })},
	"nicbootprio":     {1, onNIC(func(n *nic, v string) { n.BootPrio = v })},
	"natenabletftp":   {1, onNIC(func(n *nic, v string) { n.TFTP = v == "on" })},
	"hostonlyadapter": {1, setHostOnly},
	"bridgeadapter":   {1, onNIC(func(n *nic, v string) { n.Network = v })},
	"intnet":          {1, onNIC(func(n *nic, v string) { n.Network = v })},
	"natnetwork":      {1, onNIC(func(n *nic, v string) { n.Network = v })},
	"uart":            {1, setUART}, // two values unless off
	"uartmode":        {1, setUARTMode},
	"uarttype":        {1, setKept},
	"firmware":        {1, setFirmware},
	"description":     {1, func(s *setting) error { s.m.Description = s.values[0]; return nil }},
	"name":            {1, func(s *setting) error { s.m.Name = s.values[0]; return nil }},
	"ostype":          {1, func(s *setting) error { s.m.OSType = s.values[0]; return nil }},
	"hardwareuuid":    {1, func(s *setting) error { s.m.HardwareUUID = strings.ToLower(s.values[0]); return nil }},
	"audio":           {1, setAudio},
}

// kept are the options whose value is only kept.
var kept = []string{
	"memory", "cpus", "vram", "ioapic", "rtcuseutc", "graphicscontroller", "audioenabled", "audiodriver", "vrde", "vrdeport",
	"vrdeaddress", "acpi", "pae", "longmode", "hpet", "usb", "usbehci", "usbxhci", "chipset", "mouse", "keyboard", "paravirtprovider",
	"bootmenu", "biosbootmenu", "nestedhwvirt", "hwvirtex", "defaultfrontend", "groups", "accelerate3d", "clipboard", "draganddrop",
}

// cmdModify changes settings: all that the command names, or none.
func cmdModify(w *world, r *run) error {
	m, err := r.unlocked(w)
	if err != nil {
		return err
	}
	if m.State == stateSaved {
		return &comError{
			text: "The machine is not mutable (state is Saved)", code: "VBOX_E_INVALID_VM_STATE", component: "SessionMachine", iface: "IMachine",
			context: "SetBootOrder(GetOptState.uIndex, DeviceType_HardDisk)", at: "1281 of file VBoxManageModifyVM.cpp",
		}
	}
	changed := m.clone()
	for i := 2; i < len(r.args); {
		n, err := r.modify(w, changed, i)
		if err != nil {
			return err
		}
		i += n
	}
	*m = *changed
	w.executed(m, "modify", r.args)
	return nil
}

// clone copies what modifyvm changes in place.
func (m *machine) clone() *machine {
	c := *m
	c.Settings = map[string]string{}
	for k, v := range m.Settings {
		c.Settings[k] = v
	}
	return &c
}

// modify carries out the option at i and returns how many arguments it is.
func (r *run) modify(w *world, m *machine, i int) (used int, err error) {
	name, value, given := strings.Cut(r.args[i], "=")
	word := strings.ReplaceAll(strings.TrimPrefix(name, "--"), "-", "")
	bare := strings.TrimRight(word, "0123456789")
	index, _ := strconv.Atoi(word[len(bare):]) // 0 for none
	option, known := settables[bare]
	if slices.Contains(kept, bare) {
		option, known = settable{1, setKept}, true
	}
	if !strings.HasPrefix(name, "--") || !known {
		return 0, plain("Unknown option: %s", name)
	}
	s := &setting{w: w, r: r, m: m, name: bare, index: index}
	used = 1
	if given {
		s.values = []string{value}
	}
	for len(s.values) < option.values || moreValues(bare, s.values) {
		if i+used >= len(r.args) {
			return 0, &plainError{"Missing argument to '" + name + "'", 2}
		}
		s.values = append(s.values, r.args[i+used])
		used++
	}
	return used, option.set(s)
}

// twoWords are the modes of a serial port that have a second word.
var twoWords = []string{"server", "client", "tcpserver", "tcpclient", "file"}

// moreValues reports whether an option needs a further value after these.
func moreValues(option string, values []string) bool {
	switch {
	case len(values) != 1:
		return false
	case option == "uart":
		return values[0] != "off"
	case option == "uartmode":
		return slices.Contains(twoWords, values[0])
	}
	return false
}

// setKept keeps the value.
func setKept(s *setting) error {
	s.m.Settings[s.name] = s.values[0]
	return nil
}

// bootDevices are the devices that a boot slot can have.
var bootDevices = []string{"none", "floppy", "dvd", "disk", "net"}

// setBoot sets a boot slot. The others stay as they are.
func setBoot(s *setting) error {
	if !slices.Contains(bootDevices, s.values[0]) {
		return &plainError{"Invalid boot device '" + s.values[0] + "'", 2}
	}
	if s.index < 1 || s.index > len(s.m.Boot) {
		return plain("Invalid boot slot number %d", s.index)
	}
	s.m.Boot[s.index-1] = s.values[0]
	return nil
}

// nicKinds are what an adapter can be attached to.
var nicKinds = []string{"none", "null", "nat", "bridged", "intnet", "hostonly", "natnetwork", "generic"}

// setNIC attaches an adapter.
func setNIC(s *setting) error {
	if !slices.Contains(nicKinds, s.values[0]) {
		return plain("Invalid type '%s' specfied for NIC %d", s.values[0], s.index)
	}
	return onNIC(func(n *nic, v string) { n.Kind, n.Network = v, "" })(s)
}

// onNIC makes an option of what it does to an adapter.
func onNIC(set func(n *nic, value string)) func(*setting) error {
	return func(s *setting) error {
		if s.index < 1 || s.index > len(s.m.NICs) {
			return plain("Invalid NIC slot number %d", s.index)
		}
		set(&s.m.NICs[s.index-1], s.values[0])
		return nil
	}
}

// autoMAC is the address that an option asks for.
func autoMAC(value, now string) string {
	if value == "auto" {
		return now
	}
	return strings.ToUpper(value)
}

// setHostOnly names a host-only interface; one that is not there is warned of.
func setHostOnly(s *setting) error {
	if !slices.Contains(s.w.Interfaces, s.values[0]) {
		fmt.Fprintf(&s.r.stderr, "VBoxManage: warning: Interface \"%s\" doesn't seem to exist\n", s.values[0])
	}
	return onNIC(func(n *nic, v string) { n.Network = v })(s)
}

// uartOf is the serial port that an option is about.
func uartOf(s *setting) (*uart, error) {
	if s.index < 1 || s.index > len(s.m.UARTs) {
		return nil, plain("Invalid serial port number %d", s.index)
	}
	return &s.m.UARTs[s.index-1], nil
}

// setUART switches a serial port on or off.
func setUART(s *setting) error {
	u, err := uartOf(s)
	if err != nil {
		return err
	}
	if s.values[0] == "off" {
		*u = uart{}
		return nil
	}
	base, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(s.values[0]), "0x"), 16, 16)
	if err != nil {
		return plain("Invalid I/O base '%s'", s.values[0])
	}
	u.Hardware = fmt.Sprintf("0x%04x,%s", base, s.values[1])
	if u.Mode == "" {
		u.Mode = "disconnected"
	}
	return nil
}

// setUARTMode says what a serial port is connected to.
func setUARTMode(s *setting) error {
	u, err := uartOf(s)
	if err != nil {
		return err
	}
	u.Mode, u.Path = s.values[0], ""
	if len(s.values) > 1 {
		u.Path = s.values[1]
	}
	return nil
}

// firmwares are the kinds of firmware, and how they are shown.
var firmwares = map[string]string{"bios": "BIOS", "efi": "EFI", "efi32": "EFI32", "efi64": "EFI64", "efidual": "EFIDUAL"}

// setFirmware chooses the firmware.
func setFirmware(s *setting) error {
	shown := firmwares[strings.ToLower(s.values[0])]
	if shown == "" {
		return plain("Invalid --firmware argument '%s'", s.values[0])
	}
	s.m.Firmware = shown
	return nil
}

// setAudio is an old option that still works.
func setAudio(s *setting) error {
	s.r.stderr.WriteString("Warning: --audio is deprecated and will be removed soon. Use --audio-driver instead!\n")
	s.m.Settings["audiodriver"] = s.values[0]
	return nil
}
