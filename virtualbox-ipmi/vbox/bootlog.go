package vbox

import (
	"bytes"
	"context"
	"regexp"
)

// BootLog is what the BIOS of a virtual machine wrote about its boots since its
// process was started, the first boot first. An EFI writes nothing of this.
type BootLog struct {
	// Attempts are the devices it tried.
	Attempts []BootAttempt
	// Nothing tells that the last attempt ended with no bootable medium.
	Nothing bool
}

// BootAttempt is one device that was tried.
type BootAttempt struct {
	// Device is as in Info.Boot: floppy, dvd, disk or net; "" for one that is
	// not known.
	Device string
	// Word is the BIOS's own: "LAN".
	Word string
	// Failed tells that it did not boot.
	Failed bool
}

// Last is the last device that was tried, false if there was none.
func (l *BootLog) Last() (BootAttempt, bool) {
	if len(l.Attempts) == 0 {
		return BootAttempt{}, false
	}
	return l.Attempts[len(l.Attempts)-1], true
}

// First is the first device that was tried, false if there was none.
func (l *BootLog) First() (BootAttempt, bool) {
	if len(l.Attempts) == 0 {
		return BootAttempt{}, false
	}
	return l.Attempts[0], true
}

// biosWords are the BIOS's words for devices.
var biosWords = map[string]string{"Floppy": "floppy", "Hard Disk": "disk", "CD-ROM": "dvd", "LAN": "net"}

// bootLine is a line of the BIOS about booting. The time comes first, so that
// a guest that writes such a line elsewhere is not believed.
var bootLine = regexp.MustCompile(`(?m)^[0-9:.]+ VMMDev: Guest Log: BIOS: (?:Booting from ([A-Za-z -]+)\.\.\.|Boot from ([A-Za-z -]+?)(?: \d+)? failed|(No bootable medium found))`)

// ParseBootLog reads a VBox.log.
func ParseBootLog(log []byte) *BootLog {
	b := &BootLog{}
	for _, m := range bootLine.FindAllSubmatch(log, maxFields) {
		switch {
		case m[1] != nil:
			b.Attempts = append(b.Attempts, BootAttempt{Device: biosWords[string(m[1])], Word: string(m[1])})
			b.Nothing = false
		case m[2] != nil:
			b.fail(string(m[2]))
		default:
			b.Nothing = true
			if len(b.Attempts) > 0 {
				b.Attempts[len(b.Attempts)-1].Failed = true
			}
		}
	}
	return b
}

// fail marks the last attempt, or adds one that was not announced.
func (l *BootLog) fail(word string) {
	if n := len(l.Attempts); n > 0 && l.Attempts[n-1].Word == word && !l.Attempts[n-1].Failed {
		l.Attempts[n-1].Failed = true
		return
	}
	l.Attempts = append(l.Attempts, BootAttempt{Device: biosWords[word], Word: word, Failed: true})
}

// Log reads the log of the virtual machine's present or last run; of a very long
// one the begin. It is empty if it never ran.
func (m *Manager) Log(ctx context.Context, vm string) ([]byte, error) {
	out, err := m.Run(ctx, "showvminfo", vm, "--log", "0")
	if err != nil {
		return nil, err
	}
	return bytes.TrimSpace(out), nil
}

// BootLog reads what the log tells of boots.
func (m *Manager) BootLog(ctx context.Context, vm string) (*BootLog, error) {
	log, err := m.Log(ctx, vm)
	if err != nil {
		return nil, err
	}
	return ParseBootLog(log), nil
}
