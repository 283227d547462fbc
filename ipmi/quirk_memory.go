package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"provision-plugins/ipmi/broker"
	"provision-plugins/ipmi/quirks"
)

// devicesFile holds what BMCs said they are, a line each: address, manufacturer,
// product and firmware. A later line of an address counts.
const devicesFile = "devices"

// Bounds of what is remembered, in memory and in the file.
const (
	maxDevices     = 16384
	maxDeviceLines = 4 * maxDevices
)

// devices remembers what BMCs said they are, so that the quirks that a login
// needs are known before the next one.
type devices struct {
	mu    sync.Mutex // guards the rest
	known map[netip.AddrPort]heard
	file  *os.File // what is new is added to it; nil if nothing is kept
	lines int      // in it
	log   *slog.Logger

	repositories repositories // has a mutex of its own
}

// heard is a device, and the session in which it told what it is; 0 if it told
// another process.
type heard struct {
	device quirks.Device
	in     broker.SessionID
}

// newDevices returns an empty memory.
func newDevices() *devices { return &devices{known: map[netip.AddrPort]heard{}} }

// get returns what is known of a BMC.
func (d *devices) get(peer netip.AddrPort) heard {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known[peer]
}

// put remembers a BMC; in place of any other, if there are too many.
func (d *devices) put(peer netip.AddrPort, h heard) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, ok := d.known[peer]
	d.set(peer, h)
	if !ok || before.device != h.device {
		d.append(peer, h.device)
	}
}

// set remembers a BMC. mu is held.
func (d *devices) set(peer netip.AddrPort, h heard) {
	if _, ok := d.known[peer]; !ok && len(d.known) >= maxDevices {
		for other := range d.known {
			delete(d.known, other)
			break
		}
	}
	d.known[peer] = h
}

// append adds a line to the file. One that does not take it is given up: it is
// only for the time after a restart. mu is held.
func (d *devices) append(peer netip.AddrPort, dev quirks.Device) {
	if d.file == nil || d.lines >= maxDeviceLines {
		return
	}
	d.lines++
	if _, err := d.file.WriteString(deviceLine(peer, dev)); err != nil {
		d.log.Warn("what BMCs are is forgotten when the plugin ends", "error", err)
		_ = d.file.Close() // it has failed already
		d.file = nil
	}
}

// deviceLine is a line of the file.
func deviceLine(peer netip.AddrPort, dev quirks.Device) string {
	return fmt.Sprintf("%s %d %d %d %d\n", peer, dev.Manufacturer, dev.Product, dev.Major, dev.Minor)
}

// parseDevice reads a line of the file.
func parseDevice(line string) (peer netip.AddrPort, dev quirks.Device, err error) {
	addr, rest, _ := strings.Cut(line, " ")
	if peer, err = netip.ParseAddrPort(addr); err != nil {
		return peer, dev, fmt.Errorf("not an address: %w", err)
	}
	if _, err = fmt.Sscanf(rest, "%d %d %d %d\n", &dev.Manufacturer, &dev.Product, &dev.Major, &dev.Minor); err != nil {
		return peer, dev, fmt.Errorf("not a device: %w", err)
	}
	return peer, dev, nil
}

// remember keeps what is heard from now on in dir, and reads what is there. The
// file is written anew, without what counts no more.
func (d *devices) remember(dir string, log *slog.Logger) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	path := filepath.Join(dir, devicesFile)
	if err := d.read(path, log); err != nil {
		return fmt.Errorf("cannot read what BMCs are: %w", err)
	}
	f, err := os.CreateTemp(dir, "."+devicesFile+"-")
	if err != nil {
		return fmt.Errorf("cannot remember what BMCs are: %w", err)
	}
	w := bufio.NewWriter(f)
	for peer, h := range d.known {
		_, _ = w.WriteString(deviceLine(peer, h.device)) // Flush tells
	}
	if err := errors.Join(w.Flush(), os.Rename(f.Name(), path)); err != nil {
		return errors.Join(fmt.Errorf("cannot remember what BMCs are: %w", err), f.Close(), os.Remove(f.Name()))
	}
	if d.file != nil {
		_ = d.file.Close() // it was told another place before
	}
	d.file, d.lines, d.log = f, len(d.known), log
	return nil
}

// read reads the file. What cannot be read in it is left out, as is what this
// process has heard better. mu is held.
func (d *devices) read(path string, log *slog.Logger) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	in := bufio.NewScanner(f)
	bad := 0
	for n := 0; n < maxDeviceLines && in.Scan(); n++ {
		peer, dev, err := parseDevice(in.Text())
		switch {
		case err != nil:
			bad++
		case d.known[peer].in == 0:
			d.set(peer, heard{device: dev})
		}
	}
	if err := in.Err(); err != nil || bad > 0 {
		log.Warn("some of what BMCs are is not readable, and forgotten", "file", path, "lines", bad, "error", err)
	}
	return nil
}

// close ends the keeping.
func (d *devices) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		return nil
	}
	err := d.file.Close()
	d.file = nil
	return err
}
