package vbox

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Names of the links in a host's folder.
const (
	manageName   = "VBoxManage"
	headlessName = "VBoxHeadless"
)

// Options say what a host is like. The zero value is a quick, healthy one.
type Options struct {
	// Program is the executable that acts as VBoxManage; it must ask Called.
	// Default: this process's own.
	Program string
	// Version is what --version prints. Default 7.2.22_Debianr175245.
	Version string
	// Behaviour is what virtual machines behave like that have none of their own.
	Behaviour Behaviour
	// Interfaces are the host-only interfaces there are.
	Interfaces []string
	// Language is the one that error messages are in: "" is English, anything
	// else is not. Their details stay English.
	Language string
	// Warning makes every command print the warning of Debian's wrapper first.
	Warning bool
	// NoDriver makes every start fail for want of the kernel driver.
	NoDriver bool
}

// Behaviour is how a virtual machine behaves.
type Behaviour struct {
	// SessionLag is how long the session stays after a stop. VirtualBox takes
	// about 1.1 s.
	SessionLag time.Duration
	// StartDelay is how long a start takes.
	StartDelay time.Duration
	// SoftDelay is how long the guest takes to shut down when asked to.
	SoftDelay time.Duration
	// SoftIgnored makes the guest ignore the button.
	SoftIgnored bool
	// Flaky makes every third command fail that comes while the virtual machine
	// starts or stops.
	Flaky bool
	// Process makes each start a process that runs until the stop, as VirtualBox
	// does. A virtual machine with a serial port has one in any case.
	Process bool
	// NoPXE makes booting from the network fail.
	NoPXE bool
	// NoSystem makes booting from disks fail.
	NoSystem bool
}

// Host is a simulated VirtualBox host.
type Host struct {
	dir string
}

// New makes a host in a folder, which is made if need be. A host that is there
// already is opened as it was left, and the options do not count.
func New(dir string, o Options) (*Host, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot simulate VirtualBox: %w", err)
	}
	if o.Program == "" {
		if o.Program, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("cannot simulate VirtualBox: %w", err)
		}
	}
	for _, name := range []string{manageName, headlessName} {
		if err := os.Symlink(o.Program, filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("cannot simulate VirtualBox: %w", err)
		}
	}
	h := &Host{dir: dir}
	return h, h.change(func(w *world) error {
		if w.Version == "" {
			w.Version = cmp.Or(o.Version, "7.2.22_Debianr175245")
			w.Behaviour, w.Interfaces = o.Behaviour, o.Interfaces
			w.Language, w.Warning, w.NoDriver = o.Language, o.Warning, o.NoDriver
		}
		return nil
	})
}

// Command is the path of VBoxManage.
func (h *Host) Command() string { return filepath.Join(h.dir, manageName) }

// Dir is the host's folder.
func (h *Host) Dir() string { return h.dir }

// Close ends the processes of virtual machines and waits until they are gone. The
// folder stays.
func (h *Host) Close() error {
	var pids []int
	err := h.change(func(w *world) error {
		for _, m := range w.VMs {
			pids = append(pids, m.Orphans...)
			if m.Pid != 0 {
				pids = append(pids, m.Pid)
			}
			if m.Pid != 0 || m.on() {
				m.stopped(w, stateAborted, 0)
			}
			m.Orphans = nil
		}
		return nil
	})
	for _, pid := range pids {
		err = errors.Join(err, endProcess(pid), h.gone(pid))
	}
	return err
}

// goneWithin is how long a process that was killed may take to go.
const goneWithin = 10 * time.Second

// gone waits until a process that was killed is gone.
func (h *Host) gone(pid int) error {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for began := time.Now(); alive(pid, headlessName); <-look.C {
		if time.Since(began) > goneWithin {
			return fmt.Errorf("cannot end process %d of a simulated virtual machine", pid)
		}
	}
	return nil
}

// endProcess kills a process that may be gone already.
func endProcess(pid int) error {
	err := syscall.Kill(pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// Set changes what the host is like: f gets what it is now.
func (h *Host) Set(f func(o *Options)) error {
	return h.change(func(w *world) error {
		o := Options{Version: w.Version, Behaviour: w.Behaviour, Interfaces: w.Interfaces, Language: w.Language, Warning: w.Warning, NoDriver: w.NoDriver}
		f(&o)
		w.Version, w.Behaviour, w.Interfaces = o.Version, o.Behaviour, o.Interfaces
		w.Language, w.Warning, w.NoDriver = o.Language, o.Warning, o.NoDriver
		return nil
	})
}

// Behave gives one virtual machine a behaviour of its own.
func (h *Host) Behave(vm string, b Behaviour) error {
	return h.with(vm, func(_ *world, m *machine) error {
		m.Behaviour = &b
		return nil
	})
}

// Create makes a virtual machine as people have them, with a disk, a CD drive and
// one adapter on NAT, and returns its UUID.
func (h *Host) Create(name string) (uuid string, err error) {
	err = h.change(func(w *world) error {
		m, err := w.newMachine(h.dir, name, "Linux_64", "")
		if err != nil {
			return err
		}
		uuid = m.UUID
		disk := filepath.Join(m.folder(h.dir), fileSafe(name)+".vdi")
		w.Media = append(w.Media, &medium{UUID: newUUID(), Path: disk, Format: "VDI", SizeMB: 20480})
		m.Controllers = []*controller{{
			Name: "SATA Controller", Type: "IntelAhci", Bus: "sata", Ports: 2, Bootable: true,
			Slots: map[string]*slot{"0-0": {Kind: "hdd", Path: disk}, "1-0": {Kind: "dvddrive"}},
		}}
		m.Boot = [4]string{"disk", "none", "none", "none"}
		return errors.Join(os.MkdirAll(m.folder(h.dir), 0o700), os.WriteFile(disk, nil, 0o600), m.writeSettings(h.dir))
	})
	return uuid, err
}

// VM is what a host knows of a virtual machine, whatever commands say.
type VM struct {
	Name, UUID, State, Session string
	Boot                       [4]string
	Extra                      map[string]string
	// Pid is its process, 0 for none; Orphans are those that VirtualBox does not
	// know of any more.
	Pid     int
	Orphans []int
}

// VM looks at a virtual machine by name or UUID.
func (h *Host) VM(vm string) (out VM, err error) {
	err = h.with(vm, func(_ *world, m *machine) error {
		out = VM{Name: m.Name, UUID: m.UUID, State: m.State, Session: m.Session, Boot: m.Boot, Extra: m.Extra, Pid: m.Pid, Orphans: m.Orphans}
		return nil
	})
	return out, err
}

// VMs lists the UUIDs of all.
func (h *Host) VMs() (uuids []string, err error) {
	err = h.change(func(w *world) error {
		for _, m := range w.VMs {
			uuids = append(uuids, m.UUID)
		}
		return nil
	})
	return uuids, err
}

// Media lists the paths of the media that are registered.
func (h *Host) Media() (paths []string, err error) {
	err = h.change(func(w *world) error {
		for _, m := range w.Media {
			paths = append(paths, m.Path)
		}
		return nil
	})
	return paths, err
}

// Crash ends a virtual machine's process as kill -9 would: it is aborted.
func (h *Host) Crash(vm string) error {
	return h.with(vm, func(w *world, m *machine) error {
		pid := m.Pid
		m.stopped(w, stateAborted, 0)
		if pid != 0 {
			return endProcess(pid)
		}
		return nil
	})
}

// Force puts a virtual machine into a state by VirtualBox's word for it, such as
// "gurumeditation", "stopping" or one that nobody knows.
func (h *Host) Force(vm, state string) error {
	return h.with(vm, func(w *world, m *machine) error {
		m.change(state, w.now)
		m.Next = nil
		return nil
	})
}

// Break damages a virtual machine's settings file, so that it is inaccessible;
// with false it is whole again.
func (h *Host) Break(vm string, broken bool) error {
	return h.with(vm, func(_ *world, m *machine) error {
		m.Inaccessible = broken
		return nil
	})
}

// KillService kills VBoxSVC: the next command fails, and after it the virtual
// machines that run are told to be off, while their processes go on.
func (h *Host) KillService() error {
	return h.change(func(w *world) error {
		w.ServiceKilled = true
		for _, m := range w.VMs {
			if m.Pid != 0 {
				m.Orphans = append(m.Orphans, m.Pid)
				m.Pid = 0
			}
			if m.on() {
				m.stopped(w, statePowerOff, 0)
			}
		}
		return nil
	})
}

// with changes one virtual machine.
func (h *Host) with(vm string, f func(w *world, m *machine) error) error {
	return h.change(func(w *world) error {
		m := w.find(vm)
		if m == nil {
			return fmt.Errorf("cannot find a simulated virtual machine %s", vm)
		}
		return f(w, m)
	})
}

// fileSafe is a VM's name as VirtualBox writes it in paths.
func fileSafe(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>|`, r) || r < ' ' {
			return '_'
		}
		return r
	}, name)
}
