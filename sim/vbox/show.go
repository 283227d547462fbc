package vbox

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
)

// osTypes are the names of guest types, by their ids.
var osTypes = map[string]string{
	"": "Other/Unknown", "Other": "Other/Unknown", "Other_64": "Other/Unknown (64-bit)",
	"Linux_64": "Other Linux (64-bit)", "Linux": "Other Linux (32-bit)", "Ubuntu_64": "Ubuntu (64-bit)", "Debian_64": "Debian (64-bit)",
}

// printer collects lines of key and value.
type printer struct{ strings.Builder }

// quoted prints a value in quotes.
func (p *printer) quoted(key, value string) {
	value = strings.ReplaceAll(strings.ReplaceAll(value, `\`, `\\`), `"`, `\"`)
	fmt.Fprintf(p, "%s=\"%s\"\n", key, value)
}

// bare prints a value as it is.
func (p *printer) bare(key, value string) { fmt.Fprintf(p, "%s=%s\n", key, value) }

// fixed prints lines that are the same for every virtual machine.
func (p *printer) fixed(lines string) { p.WriteString(lines) }

// machineReadable is what showvminfo --machinereadable prints.
func (m *machine) machineReadable(dir string) string {
	p := &printer{}
	m.showBasics(p, dir)
	m.showState(p)
	for i, c := range m.Controllers {
		c.show(p, i)
	}
	for _, c := range m.Controllers {
		c.showMedia(p)
	}
	for i := range m.NICs {
		m.NICs[i].show(p, i+1)
	}
	p.fixed("hidpointing=\"ps2mouse\"\nhidkeyboard=\"ps2kbd\"\n")
	for i := range m.UARTs {
		m.UARTs[i].show(p, i+1)
	}
	m.showRest(p, dir)
	return p.String()
}

// showBasics prints what the virtual machine is made of.
func (m *machine) showBasics(p *printer, dir string) {
	folder := m.folder(dir)
	p.quoted("name", m.Name)
	p.fixed("encryption=\"disabled\"\ngroups=\"/\"\nplatformArchitecture=\"x86\"\n")
	p.quoted("ostype", cmp.Or(osTypes[m.OSType], m.OSType))
	p.quoted("UUID", m.UUID)
	p.quoted("CfgFile", m.settings(dir))
	p.quoted("SnapFldr", filepath.Join(folder, "Snapshots"))
	p.quoted("LogFldr", filepath.Join(folder, "Logs"))
	p.quoted("hardwareuuid", m.HardwareUUID)
	p.bare("memory", m.setting("memory", "1024"))
	p.quoted("pagefusion", "off")
	p.bare("vram", m.setting("vram", "8"))
	p.fixed("cpuexecutioncap=100\ncpu-profile=\"host\"\n")
	p.quoted("chipset", m.setting("chipset", "piix3"))
	p.quoted("firmware", m.Firmware)
	p.bare("cpus", m.setting("cpus", "1"))
	p.quoted("hpet", m.setting("hpet", "off"))
	p.quoted("pae", m.setting("pae", "on"))
	p.quoted("longmode", m.setting("longmode", "on"))
	p.fixed("triplefaultreset=\"off\"\napic=\"on\"\nx2apic=\"on\"\nnested-hw-virt=\"off\"\nhwvirtex=\"on\"\nnestedpaging=\"on\"\nlargepages=\"off\"\n" +
		"vtxvpid=\"on\"\nvtxux=\"on\"\nvirtvmsavevmload=\"on\"\ncpuid-portability-level=0\nbootmenu=\"messageandmenu\"\n")
	for i, device := range m.Boot {
		p.quoted(fmt.Sprintf("boot%d", i+1), device)
	}
	p.quoted("acpi", m.setting("acpi", "on"))
	p.quoted("ioapic", m.setting("ioapic", "on"))
	p.fixed("biosapic=\"apic\"\nbiossystemtimeoffset=0\n")
	p.quoted("NvramFile", filepath.Join(folder, fileSafe(m.Name)+".nvram"))
	p.quoted("rtcuseutc", m.setting("rtcuseutc", "on"))
	p.quoted("iommu", "none")
	p.quoted("paravirtprovider", m.setting("paravirtprovider", "default"))
	p.quoted("effparavirtprovider", "kvm")
}

// setting is a kept value, or its default.
func (m *machine) setting(name, otherwise string) string {
	return cmp.Or(m.Settings[name], otherwise)
}

// showState prints the state.
func (m *machine) showState(p *printer) {
	p.quoted("VMState", m.State)
	p.quoted("VMStateChangeTime", stamp(m.ChangedAt))
	if m.Saved != "" {
		p.quoted("VMStateFile", m.Saved)
	}
	p.quoted("graphicscontroller", m.setting("graphicscontroller", "vboxvga"))
	p.fixed("monitorcount=1\naccelerate3d=\"off\"\nteleporterenabled=\"off\"\nteleporterport=0\nteleporteraddress=\"\"\nteleporterpassword=\"\"\n" +
		"tracing-enabled=\"off\"\ntracing-allow-vm-access=\"off\"\ntracing-config=\"\"\nautostart-enabled=\"off\"\nautostart-delay=0\n")
	p.quoted("defaultfrontend", m.setting("defaultfrontend", ""))
	p.fixed("vmprocpriority=\"default\"\n")
}

// show prints a storage controller.
func (c *controller) show(p *printer, i int) {
	at := func(key string) string { return fmt.Sprintf("storagecontroller%s%d", key, i) }
	bootable := "off"
	if c.Bootable {
		bootable = "on"
	}
	p.quoted(at("name"), c.Name)
	p.quoted(at("type"), c.Type)
	p.quoted(at("instance"), "0")
	p.quoted(at("maxportcount"), "30")
	p.quoted(at("portcount"), fmt.Sprint(c.Ports))
	p.quoted(at("bootable"), bootable)
}

// mediaUUIDs gives the media of a virtual machine the UUIDs that they were
// registered with.
func (w *world) mediaUUIDs(m *machine) {
	for _, c := range m.Controllers {
		for _, s := range c.Slots {
			s.uuid = ""
			if medium := w.mediumOf(s.Path); medium != nil && s.Path != "" {
				s.uuid = medium.UUID
			}
		}
	}
}

// showMedia prints what is in the slots.
func (c *controller) showMedia(p *printer) {
	perPort := 1
	if c.Bus == "ide" {
		perPort = 2
	}
	for port := range c.Ports {
		for device := range perPort {
			at := fmt.Sprintf("%d-%d", port, device)
			key := func(name string) string { return `"` + c.Name + "-" + name + at + `"` }
			s := c.Slots[at]
			switch {
			case s == nil:
				p.quoted(key(""), "none")
			case s.Path == "":
				p.quoted(key(""), "emptydrive")
				p.quoted(key("IsEjected-"), "off")
			default:
				p.quoted(key(""), s.Path)
				p.quoted(key("ImageUUID-"), s.uuid)
				p.quoted(key("nonrotational-"), "off")
				p.quoted(key("discard-"), "off")
			}
		}
	}
}

// networkKeys are the keys of an adapter's network, by what it is attached to.
var networkKeys = map[string]string{"hostonly": "hostonlyadapter", "bridged": "bridgeadapter", "intnet": "intnet", "natnetwork": "nat-network", "nat": "natnet"}

// show prints an adapter.
func (n *nic) show(p *printer, i int) {
	at := func(key string) string { return fmt.Sprintf("%s%d", key, i) }
	if n.Kind == "none" {
		p.quoted(at("nic"), "none")
		return
	}
	if key := networkKeys[n.Kind]; key != "" {
		network := n.Network
		if n.Kind == "nat" {
			network = "nat"
		}
		p.quoted(at(key), network)
	}
	cable := "on"
	if n.Unplugged {
		cable = "off"
	}
	p.quoted(at("macaddress"), n.MAC)
	p.quoted(at("cableconnected"), cable)
	p.quoted(at("nic"), n.Kind)
	p.quoted(at("nictype"), n.Type)
	p.quoted(at("nicspeed"), "0")
	if n.Kind != "nat" {
		return
	}
	tftp := "0"
	if n.TFTP {
		tftp = "1"
	}
	p.fixed("mtu=\"0\"\nsockSnd=\"64\"\nsockRcv=\"64\"\ntcpWndSnd=\"64\"\ntcpWndRcv=\"64\"\nlocalhostReachable=\"1\"\nforwardBroadcast=\"0\"\n")
	p.quoted("enableTFTP", tftp)
}

// show prints a serial port.
func (u *uart) show(p *printer, i int) {
	at := func(key string) string { return fmt.Sprintf("%s%d", key, i) }
	if u.Hardware == "" {
		p.quoted(at("uart"), "off")
		return
	}
	mode := u.Mode
	if u.Path != "" {
		mode += "," + u.Path
	}
	p.quoted(at("uart"), u.Hardware)
	p.quoted(at("uartmode"), mode)
	p.quoted(at("uarttype"), "16550A")
}

// showRest prints what comes behind the serial ports.
func (m *machine) showRest(p *printer, dir string) {
	p.fixed("lpt1=\"off\"\nlpt2=\"off\"\n")
	p.quoted("audio", m.setting("audiodriver", "default"))
	p.fixed("audio_out=\"off\"\naudio_in=\"off\"\nclipboard=\"disabled\"\nclipboard_file_transfers=\"off\"\ndraganddrop=\"disabled\"\n")
	if m.Session != "" {
		p.quoted("SessionName", m.Session)
		p.fixed("VideoMode=\"720,400,0\"@0,0 1\n")
	}
	m.showVRDE(p)
	p.fixed("usb=\"off\"\nehci=\"off\"\nxhci=\"off\"\n")
	if m.Session != "" {
		p.fixed("VRDEActiveConnection=\"off\"\nVRDEClients==0\n")
	}
	p.fixed("recording_started=\"off\"\nrecording_enabled=\"off\"\nrecording_screens=1\n rec_screen0\nrec_screen_enabled=\"on\"\nrec_screen_id=0\n" +
		"rec_screen_video_enabled=\"on\"\nrec_screen_audio_enabled=\"off\"\nrec_screen_dest=\"File\"\n")
	p.quoted("rec_screen_dest_filename", filepath.Join(m.folder(dir), fileSafe(m.Name)+"-screen0.webm"))
	p.fixed("rec_screen_opts=\"ac_profile=med\"\nrec_screen_video_res_xy=\"1024x768\"\nrec_screen_video_rate_kbps=512\nrec_screen_video_fps=25\n")
	if m.Description != "" {
		p.quoted("description", m.Description)
	}
	p.fixed("GuestMemoryBalloon=0\n")
	if m.Session != "" {
		p.quoted("GuestOSType", m.OSType)
		p.fixed("GuestAdditionsRunLevel=0\n")
	}
}

// showVRDE prints the remote display.
func (m *machine) showVRDE(p *printer) {
	if m.Settings["vrde"] != "on" {
		p.quoted("vrde", "off")
		return
	}
	port, address := m.setting("vrdeport", "3389"), m.setting("vrdeaddress", "0.0.0.0")
	p.quoted("vrde", "on")
	p.bare("vrdeport", "-1")
	p.quoted("vrdeports", port)
	p.quoted("vrdeaddress", address)
	p.fixed("vrdeauthtype=\"null\"\nvrdemulticon=\"off\"\nvrdereusecon=\"off\"\nvrdevideochannel=\"off\"\n")
	p.quoted("vrdeproperty[TCP/Ports]", port)
	p.quoted("vrdeproperty[TCP/Address]", address)
}
