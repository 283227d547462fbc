package vbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// oldLogs is how many logs of earlier runs are kept.
const oldLogs = 3

// logPath is the path of the log of the n-th last run.
func (m *machine) logPath(dir string, n int) string {
	name := "VBox.log"
	if n > 0 {
		name += "." + strconv.Itoa(n)
	}
	return filepath.Join(m.folder(dir), "Logs", name)
}

// newLog begins the log of a run.
func (m *machine) newLog(dir string, w *world, boot []string) error {
	if err := os.MkdirAll(filepath.Dir(m.logPath(dir, 0)), 0o700); err != nil {
		return err
	}
	for n := oldLogs; n > 0; n-- {
		if err := os.Rename(m.logPath(dir, n-1), m.logPath(dir, n)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	version, _, _ := strings.Cut(w.Version, "_")
	lines := append([]string{
		"VirtualBox VM " + version + " linux.amd64 (simulated) release log",
		"Firmware type: " + m.Firmware,
		"Console: Machine state changed to 'Starting'",
		"Console: Machine state changed to 'Running'",
	}, boot...)
	return m.addLog(dir, lines)
}

// addLog writes further lines.
func (m *machine) addLog(dir string, lines []string) error {
	f, err := os.OpenFile(m.logPath(dir, 0), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	for _, line := range lines {
		_, writeErr := fmt.Fprintf(f, "00:00:02.158199 %s\n", line)
		err = errors.Join(err, writeErr)
	}
	return errors.Join(err, f.Close())
}

// bootDevice is what the BIOS knows of a boot device: its number in the boot
// sequence and its word.
var bootDevice = map[string]struct {
	number int
	word   string
}{"floppy": {1, "Floppy"}, "disk": {2, "Hard Disk"}, "dvd": {3, "CD-ROM"}, "net": {4, "LAN"}}

// bootLines is what the BIOS writes while it boots: each device it tries, up to
// the first that boots. An EFI writes nothing.
func (m *machine) bootLines(w *world) []string {
	if m.Firmware != "BIOS" {
		return nil
	}
	sequence := 0
	for i, device := range m.Boot {
		sequence |= bootDevice[device].number << (4 * i)
	}
	lines := []string{bios("BIOS: VirtualBox " + strings.Split(w.Version, "_")[0])}
	for i, device := range m.Boot {
		word := bootDevice[device].word
		if word == "" {
			continue
		}
		lines = append(lines, bios(fmt.Sprintf("BIOS: Boot : bseqnr=%d, bootseq=%04x", i+1, sequence>>(4*i))), bios("BIOS: Booting from "+word+"..."))
		if m.boots(w, device) {
			return lines
		}
		if device == "net" {
			lines = append(lines, bios("BIOS: Boot from LAN failed"))
		} else {
			lines = append(lines, bios("BIOS: Boot from "+word+" 0 failed"))
		}
	}
	return append(lines, bios("BIOS: No bootable medium found! System halted."))
}

// bios is a line that the BIOS writes.
func bios(text string) string { return "VMMDev: Guest Log: " + text }

// boots reports whether a device has something to boot.
func (m *machine) boots(w *world, device string) bool {
	b := m.behaviour(w)
	switch device {
	case "net":
		return !b.NoPXE && m.hasNetwork()
	case "disk":
		return !b.NoSystem && m.holds("hdd")
	case "dvd":
		return m.holds("dvddrive")
	}
	return false
}

// hasNetwork reports whether an adapter is attached to anything.
func (m *machine) hasNetwork() bool {
	for i := range m.NICs {
		if n := &m.NICs[i]; n.Kind != "none" && n.Kind != "null" && !n.Unplugged {
			return true
		}
	}
	return false
}

// holds reports whether a drive of the kind has a medium.
func (m *machine) holds(kind string) bool {
	for _, c := range m.Controllers {
		for _, s := range c.Slots {
			if s.Kind == kind && s.Path != "" {
				return true
			}
		}
	}
	return false
}

// printLog prints the log of the n-th last run, nothing if there was none.
func (r *run) printLog(m *machine, number string) error {
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 {
		return plain("Invalid log number '%s'", number)
	}
	raw, err := os.ReadFile(m.logPath(r.host.dir, n))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	r.stdout.Write(raw)
	return err
}
