package vbox

import (
	"fmt"
	"slices"
	"strings"
)

// cmdList prints lists.
func cmdList(w *world, r *run) error {
	what, sorted := r.arg(len(r.args)-1), slices.Contains(r.args, "--sorted")
	switch what {
	case "vms", "runningvms":
		w.listVMs(r, what == "runningvms", sorted)
	case "hdds":
		for _, m := range w.Media {
			fmt.Fprintf(&r.stdout, "UUID:           %s\nParent UUID:    base\nState:          created\nType:           normal (base)\nLocation:       %s\n"+
				"Storage format: %s\nCapacity:       %d MBytes\nEncryption:     disabled\n\n", m.UUID, m.Path, m.Format, m.SizeMB)
		}
	case "hostonlyifs":
		for _, name := range w.Interfaces {
			fmt.Fprintf(&r.stdout, "Name:            %s\nGUID:            786f6276-656e-4074-8000-0a0027000000\nDHCP:            Disabled\n"+
				"IPAddress:       192.168.56.1\nNetworkMask:     255.255.255.0\nIPV6Address:     \nIPV6NetworkMaskPrefixLength: 0\n"+
				"HardwareAddress: 0a:00:27:00:00:00\nMediumType:      Ethernet\nWireless:        No\nStatus:          Up\nVBoxNetworkName: HostInterfaceNetworking-%[1]s\n\n", name)
		}
	case "bridgedifs":
		r.stdout.WriteString("Name:            eth0\nGUID:            30687465-0000-4000-8000-020000000000\nDHCP:            Disabled\nStatus:          Up\nVBoxNetworkName: HostInterfaceNetworking-eth0\n\n")
	case "hostinfo":
		fmt.Fprintf(&r.stdout, "Host Information:\n\nHost time: %sZ\nProcessor online count: 1\n", stamp(w.now))
	default:
		return &plainError{"Unknown subcommand: " + what, 2}
	}
	return nil
}

// listVMs prints one line a virtual machine.
func (w *world) listVMs(r *run, onlyRunning, sorted bool) {
	vms := slices.Clone(w.VMs)
	if sorted {
		slices.SortFunc(vms, func(a, b *machine) int { return strings.Compare(a.Name, b.Name) })
	}
	for _, m := range vms {
		name := m.Name
		if m.Inaccessible {
			name = "<inaccessible>"
		}
		if onlyRunning && (m.Inaccessible || m.State != stateRunning && m.State != statePaused) {
			continue
		}
		fmt.Fprintf(&r.stdout, "\"%s\" {%s}\n", name, m.UUID)
	}
}

// cmdShow prints a virtual machine, or its log.
func cmdShow(w *world, r *run) error {
	m, err := r.machine(w)
	if err != nil {
		return err
	}
	switch r.arg(2) {
	case "--machinereadable":
		w.mediaUUIDs(m)
		r.stdout.WriteString(m.machineReadable(r.host.dir))
	case "--log":
		return r.printLog(m, r.arg(3))
	case "":
		fmt.Fprintf(&r.stdout, "Name:                        %s\nUUID:                        %s\nState:                       %s (since %s)\n", m.Name, m.UUID, stateName(m.State), stamp(m.ChangedAt))
	default:
		return &plainError{"Unknown option: " + r.arg(2), 2}
	}
	return nil
}
