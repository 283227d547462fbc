package vbox

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"provision-plugins/shared/model"
)

// Most of what VirtualBox has of these.
const (
	bootSlots      = 4
	maxNICs        = 36
	maxUARTs       = 4
	maxControllers = 32
	maxPorts       = 30
)

// Info is what VirtualBox tells of one virtual machine.
type Info struct {
	Name         string
	UUID         string // lower case
	HardwareUUID string // lower case; what dmidecode shows in the guest
	State        State
	// Session is the front end that has the virtual machine open, such as
	// "headless"; "" when none has. It stays for about a second after a power
	// off, and until it is gone every change is refused.
	Session string
	// Firmware is "BIOS", "EFI" or another kind of EFI.
	Firmware string
	// Boot are the boot devices in order: none, floppy, dvd, disk or net.
	Boot [bootSlots]string
	// NICs are the adapters that are attached to something, in order.
	NICs []NIC
	// UARTs are the serial ports that are on.
	UARTs       []UART
	Controllers []Controller
	MemoryMB    int
	CPUs        int
	// ConfigFile and LogFolder are paths on the host.
	ConfigFile, LogFolder string
	// SavedState is the path of the saved state; "" when there is none.
	SavedState string
	// ChangedAt is when the state changed, as VirtualBox prints it.
	ChangedAt string
	// GuestRunLevel is 0 without Guest Additions.
	GuestRunLevel int
	// Fields are all keys.
	Fields Fields
}

// NIC is one network adapter.
type NIC struct {
	Number  int    // from 1
	Kind    string // nat, bridged, hostonly, intnet, ...
	Network string // the host's interface or the network's name; "" for nat
	Type    string // of the simulated hardware
	MAC     string // twelve hex digits
	Cable   bool
}

// UART is one serial port.
type UART struct {
	Number   int    // from 1
	Hardware string // "0x03f8,4": port and interrupt
	Mode     string // server, client, tcpserver, tcpclient, file, disconnected or a device
	Path     string // of the socket or the file, or the TCP port
}

// Controller is one storage controller.
type Controller struct {
	Name, Type string
	Media      []Medium
}

// Medium is what is attached to one port of a controller.
type Medium struct {
	Port, Device int
	// Path is the medium's; "emptydrive" for a drive without one.
	Path string
	// UUID is the medium's; "" for an empty drive.
	UUID string
}

// EFI reports whether the firmware is an EFI one.
func (i *Info) EFI() bool { return strings.HasPrefix(strings.ToUpper(i.Firmware), "EFI") }

// Idle reports whether the virtual machine is off and nobody has it open, so
// that it can be changed and started.
func (i *Info) Idle() bool { return i.State.Power == model.StateOff && i.Session == "" }

// Info reads a virtual machine. A virtual machine whose settings cannot be read
// is an error of class Inaccessible.
func (m *Manager) Info(ctx context.Context, vm string) (*Info, error) {
	out, err := m.Run(ctx, "showvminfo", vm, "--machinereadable")
	if err != nil {
		return nil, err
	}
	info, err := ParseInfo(out)
	if err != nil {
		return nil, &Error{Command: "showvminfo", Class: Garbled, Text: err.Error(), cause: err}
	}
	if isUUID(vm) && !strings.EqualFold(vm, info.UUID) {
		return nil, &Error{Command: "showvminfo", Class: Garbled, Text: fmt.Sprintf("asked for %s it told of %s", vm, info.UUID)}
	}
	return info, nil
}

// ParseInfo reads what showvminfo --machinereadable printed.
func ParseInfo(out []byte) (*Info, error) {
	f := ParseFields(out)
	for _, key := range []string{"name", "UUID", "VMState"} {
		if f[key] == "" {
			return nil, fmt.Errorf("cannot read what showvminfo printed: it has no %s", key)
		}
	}
	info := &Info{
		Name: f["name"], UUID: strings.ToLower(f["UUID"]), HardwareUUID: strings.ToLower(f["hardwareuuid"]),
		State: StateOf(f["VMState"]), Session: f["SessionName"], Firmware: f["firmware"],
		MemoryMB: f.number("memory"), CPUs: f.number("cpus"), ConfigFile: f["CfgFile"], LogFolder: f["LogFldr"],
		SavedState: f["VMStateFile"], ChangedAt: f["VMStateChangeTime"], GuestRunLevel: f.number("GuestAdditionsRunLevel"), Fields: f,
	}
	for i := range info.Boot {
		info.Boot[i] = f["boot"+strconv.Itoa(i+1)]
	}
	info.NICs, info.UARTs, info.Controllers = f.nics(), f.uarts(), f.controllers()
	return info, nil
}

// number reads a number, 0 if there is none.
func (f Fields) number(key string) int {
	n, err := strconv.Atoi(f[key])
	if err != nil {
		return 0
	}
	return n
}

// networkKeys are the keys of the network that an adapter is on, without its
// number, by the adapter's kind.
var networkKeys = map[string]string{
	"hostonly": "hostonlyadapter", "bridged": "bridgeadapter", "intnet": "intnet", "natnetwork": "nat-network",
	"generic": "genericdrv", "hostonlynetwork": "hostonly-network",
}

// nics reads the adapters.
func (f Fields) nics() (all []NIC) {
	for n := 1; n <= maxNICs; n++ {
		at := strconv.Itoa(n)
		kind := f["nic"+at]
		if kind == "" || kind == "none" {
			continue
		}
		all = append(all, NIC{
			Number: n, Kind: kind, Network: f[networkKeys[kind]+at], Type: f["nictype"+at],
			MAC: f["macaddress"+at], Cable: f["cableconnected"+at] == "on",
		})
	}
	return all
}

// uarts reads the serial ports.
func (f Fields) uarts() (all []UART) {
	for n := 1; n <= maxUARTs; n++ {
		at := strconv.Itoa(n)
		hardware := f["uart"+at]
		if hardware == "" || hardware == "off" {
			continue
		}
		mode, path, _ := strings.Cut(f["uartmode"+at], ",")
		all = append(all, UART{Number: n, Hardware: hardware, Mode: mode, Path: path})
	}
	return all
}

// controllers reads the storage controllers and what is attached to them.
func (f Fields) controllers() (all []Controller) {
	for n := range maxControllers {
		at := strconv.Itoa(n)
		name := f["storagecontrollername"+at]
		if name == "" {
			break
		}
		c := Controller{Name: name, Type: f["storagecontrollertype"+at]}
		for port := range maxPorts {
			for device := range 2 {
				slot := fmt.Sprintf("%d-%d", port, device)
				path := f[name+"-"+slot]
				if path != "" && path != "none" {
					c.Media = append(c.Media, Medium{Port: port, Device: device, Path: path, UUID: f[name+"-ImageUUID-"+slot]})
				}
			}
		}
		all = append(all, c)
	}
	return all
}
