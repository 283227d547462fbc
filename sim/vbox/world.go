package vbox

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Files of a host's folder.
const (
	stateFile  = "state.json"
	lockFile   = "lock"
	ledgerFile = "ledger.jsonl"
	vmsFolder  = "VirtualBox VMs"
)

// world is all that a host remembers.
type world struct {
	Version       string
	Behaviour     Behaviour
	Interfaces    []string
	Language      string
	Warning       bool
	NoDriver      bool
	ServiceKilled bool // the next command finds no VBoxSVC
	Faults        []*Fault
	VMs           []*machine
	Media         []*medium

	now    time.Time
	ledger []Entry // to be written
}

// machine is one virtual machine.
type machine struct {
	Name, UUID, HardwareUUID, OSType string
	Firmware, Description            string
	Settings                         map[string]string
	Boot                             [4]string
	NICs                             [8]nic
	UARTs                            [4]uart
	Controllers                      []*controller
	Extra                            map[string]string
	Guest                            map[string]string
	State                            string
	ChangedAt                        time.Time
	Session                          string
	SessionEnds                      time.Time // zero: with the stop
	Next                             *transition
	Saved                            string
	Inaccessible                     bool
	Resets, Resumes                  int
	Pid                              int
	Orphans                          []int
	Behaviour                        *Behaviour
	Unstable                         int // commands that came in between two states
}

// transition is a state that comes by itself.
type transition struct {
	State string
	At    time.Time
}

// nic is one network adapter.
type nic struct {
	Kind, Type, MAC, Network string
	Unplugged, TFTP          bool
	BootPrio                 string
}

// uart is one serial port.
type uart struct {
	Hardware, Mode, Path string
}

// controller is one storage controller.
type controller struct {
	Name, Type, Bus string
	Ports           int
	Bootable        bool
	Slots           map[string]*slot // by "port-device"
}

// slot is what is attached to a controller.
type slot struct {
	Kind string // hdd or dvddrive
	Path string // "" for an empty drive

	uuid string // of the medium; filled before it is shown
}

// medium is one registered disk or image.
type medium struct {
	UUID, Path, Format string
	SizeMB             int
}

// newUUID makes a random UUID.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// change reads the host's state, lets f change it, and writes it again, while no
// other process does. What f changed before an error is kept.
func (h *Host) change(f func(*world) error) error {
	lock, err := os.OpenFile(filepath.Join(h.dir, lockFile), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open the simulated host: %w", err)
	}
	defer func() {
		// A child in mid-fork holds a copy of the descriptor.
		_ = syscall.Flock(int(lock.Fd()), syscall.LOCK_UN)
		_ = lock.Close()
	}()
	for {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("cannot lock the simulated host: %w", err)
	}
	w, err := h.load()
	if err != nil {
		return err
	}
	for _, m := range w.VMs {
		m.settle(w)
	}
	err = f(w)
	return errors.Join(err, h.save(w))
}

// load reads the state.
func (h *Host) load() (*world, error) {
	w := &world{now: time.Now()}
	raw, err := os.ReadFile(filepath.Join(h.dir, stateFile))
	if errors.Is(err, os.ErrNotExist) {
		return w, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, w)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the simulated host: %w", err)
	}
	return w, nil
}

// save writes the state and what was executed.
func (h *Host) save(w *world) error {
	raw, err := json.Marshal(w)
	if err == nil {
		err = os.WriteFile(filepath.Join(h.dir, stateFile+".new"), raw, 0o600)
	}
	if err == nil {
		err = os.Rename(filepath.Join(h.dir, stateFile+".new"), filepath.Join(h.dir, stateFile))
	}
	if err == nil {
		err = h.writeLedger(w.ledger)
	}
	if err != nil {
		return fmt.Errorf("cannot write the simulated host: %w", err)
	}
	return nil
}

// find finds a virtual machine by name or UUID, nil if there is none.
func (w *world) find(vm string) *machine {
	for _, m := range w.VMs {
		if m.Name == vm || strings.EqualFold(m.UUID, strings.Trim(vm, "{}")) {
			return m
		}
	}
	return nil
}

// mediumOf finds a medium by path or UUID, nil if there is none.
func (w *world) mediumOf(name string) *medium {
	for _, m := range w.Media {
		if m.Path == name || strings.EqualFold(m.UUID, name) {
			return m
		}
	}
	return nil
}

// users lists the virtual machines that a medium is attached to.
func (w *world) users(path string) (uuids []string) {
	for _, m := range w.VMs {
		for _, c := range m.Controllers {
			for _, s := range c.Slots {
				if s.Path == path {
					uuids = append(uuids, m.UUID)
				}
			}
		}
	}
	return uuids
}

// behaviour is the virtual machine's own behaviour, or its host's.
func (m *machine) behaviour(w *world) Behaviour {
	if m.Behaviour != nil {
		return *m.Behaviour
	}
	return w.Behaviour
}

// folder is where the virtual machine's files are.
func (m *machine) folder(dir string) string { return filepath.Join(dir, vmsFolder, fileSafe(m.Name)) }

// settings is the path of the settings file.
func (m *machine) settings(dir string) string {
	return filepath.Join(m.folder(dir), fileSafe(m.Name)+".vbox")
}

// writeSettings makes the settings file, which only stands for one.
func (m *machine) writeSettings(dir string) error {
	return errors.Join(os.MkdirAll(m.folder(dir), 0o700), os.WriteFile(m.settings(dir), []byte("<VirtualBox/>\n"), 0o600))
}

// newMachine registers a virtual machine with VirtualBox's defaults. A name that
// has a settings file already is refused, and so is a UUID that is taken, by a
// *comError.
func (w *world) newMachine(dir, name, ostype, uuid string) (*machine, error) {
	m := &machine{
		Name: name, UUID: strings.ToLower(uuid), OSType: ostype, Firmware: "BIOS",
		Settings: map[string]string{}, Extra: map[string]string{}, Guest: map[string]string{},
		Boot: [4]string{"floppy", "dvd", "disk", "none"}, State: statePowerOff, ChangedAt: w.now,
	}
	if m.UUID == "" {
		m.UUID = newUUID()
	}
	m.HardwareUUID = m.UUID
	for i := range m.NICs {
		m.NICs[i] = nic{Kind: "none", Type: "82540EM", MAC: "080027" + strings.ToUpper(newUUID()[:6])}
	}
	m.NICs[0].Kind = "nat"
	if _, err := os.Stat(m.settings(dir)); err == nil {
		return nil, errSettingsExist(m.settings(dir))
	}
	if other := w.find(m.UUID); other != nil {
		// VirtualBox leaves the file behind.
		return nil, errors.Join(m.writeSettings(dir), errUUIDTaken(m.UUID, other.settings(dir)))
	}
	w.VMs = append(w.VMs, m)
	return m, nil
}
