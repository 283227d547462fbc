package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"provision-plugins/ipmi/quirks"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// remembered is a memory that keeps in dir, until the test ends.
func remembered(tb testing.TB, dir string) *devices {
	tb.Helper()
	d := newDevices()
	if err := d.remember(dir, slog.New(slog.DiscardHandler)); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := d.close(); err != nil {
			tb.Error(err)
		}
	})
	return d
}

var (
	peer1  = netip.MustParseAddrPort("10.0.0.1:623")
	peer2  = netip.MustParseAddrPort("[fe80::1%eth0]:6230")
	board1 = quirks.Device{Manufacturer: 10876, Product: 77, Major: 3, Minor: 12}
	board2 = quirks.Device{Manufacturer: 49871}
)

func TestDevicesOutliveThePlugin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := remembered(t, dir)
	d.put(peer1, heard{board2, 1})
	d.put(peer1, heard{board1, 1})
	d.put(peer2, heard{board2, 1})
	d.put(peer2, heard{board2, 1}) // no news
	again := remembered(t, dir)
	for peer, want := range map[netip.AddrPort]quirks.Device{peer1: board1, peer2: board2} {
		if got := again.get(peer); got != (heard{want, 0}) {
			t.Errorf("%v: %v", peer, got)
		}
	}
	if q := again.quirksOf(peer1, quirks.Override{}); q != quirks.NoChecksumCheck {
		t.Errorf("quirks before the first login: %v", q)
	}
	again.put(peer1, heard{board2, 1})
	if got := again.get(peer1); got != (heard{board2, 1}) {
		t.Errorf("what it says now: %v", got)
	}
	raw, err := os.ReadFile(filepath.Join(dir, devicesFile))
	if err != nil || strings.Count(string(raw), "\n") != 3 {
		t.Errorf("%q, %v", raw, err)
	}
	info, err := os.Stat(filepath.Join(dir, devicesFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// A file that is damaged costs what is damaged in it.
func TestDamagedDevices(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := "10.0.0.1:623 10876 77 3 12\nwhat\n10.0.0.2 1 2 3 4\n10.0.0.3:623 1 2 3\n10.0.0.4:623 -1 2 3 4\n10.0.0.5:623 1 70000 3 4\n\n10.0.0.6:623 49871 0 0 0\n"
	if err := os.WriteFile(filepath.Join(dir, devicesFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	d := newDevices()
	if err := d.remember(dir, slog.New(slog.NewTextHandler(&logged, nil))); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.close() }()
	if got := d.get(peer1); got.device != board1 || len(d.known) != 2 || !strings.Contains(logged.String(), "lines=6") {
		t.Errorf("%v, of %d devices; log %s", got, len(d.known), logged.String())
	}
	if err := newDevices().remember(filepath.Join(dir, "none"), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a folder that is not there was written to")
	}
}

// A file that takes nothing any more is given up, and nothing else.
func TestDevicesWithoutFile(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	d := remembered(t, t.TempDir())
	d.log = slog.New(slog.NewTextHandler(&logged, nil))
	_ = d.file.Close()
	d.put(peer1, heard{board1, 1})
	d.put(peer2, heard{board2, 1})
	if got := d.get(peer2); got != (heard{board2, 1}) || strings.Count(logged.String(), "forgotten") != 1 {
		t.Errorf("%v; log %s", got, logged.String())
	}
}

func TestDevicesAreBounded(t *testing.T) {
	t.Parallel()
	d := remembered(t, t.TempDir())
	d.lines = maxDeviceLines - 5
	for i := range maxDevices + 10 {
		d.put(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 623), heard{quirks.Device{Product: uint16(i)}, 1})
	}
	if len(d.known) != maxDevices || d.lines != maxDeviceLines {
		t.Errorf("%d devices are remembered, %d lines written", len(d.known), d.lines)
	}
}

// A plugin that starts anew asks a BMC once more what it is.
func TestDeviceIsAskedAgainAfterARestart(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true})
	dir := t.TempDir()
	for n := range 2 {
		impl, p := pluginIn(t, dir)
		mustAct(t, p, model.NextBootPXE, b.Addr())
		mustAct(t, p, model.NextBootDisk, b.Addr())
		if got := b.Executed(bmc.DeviceID); got != n+1 {
			t.Errorf("asked %d times in %d lives", got, n+1)
		}
		stop(t, p)
		if impl.devices.file != nil {
			t.Error("the file stays open")
		}
	}
}

func FuzzParseDevice(f *testing.F) {
	f.Add(deviceLine(peer1, board1))
	f.Add(deviceLine(peer2, board2))
	f.Add("10.0.0.1:623 1 2 3")
	f.Add(fmt.Sprint(1))
	f.Fuzz(func(t *testing.T, line string) {
		peer, dev, err := parseDevice(line)
		if err != nil {
			return
		}
		p, d, err := parseDevice(deviceLine(peer, dev))
		if err != nil || p != peer || d != dev {
			t.Fatalf("%q reads as %v %v, and then %v %v, %v", line, peer, dev, p, d, err)
		}
	})
}
