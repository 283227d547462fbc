package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// fleet is how many BMCs the cold figures ask.
const fleet = 1000

// cold measures the power status of a fleet, each run a new process: ours and
// ipmipower, taking turns on the same BMCs.
func (b *bench) cold(ctx context.Context) (err error) {
	addrs, stop, err := b.simulate(ctx, fleet)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	targets, err := b.targets(addrs)
	if err != nil {
		return err
	}
	config, hosts, err := b.freeipmi(addrs)
	if err != nil {
		return err
	}
	ipmipower, absent := exec.LookPath("ipmipower")
	var ours, theirs []usage
	for range b.runs {
		u, out, err := b.run(ctx, filepath.Join(b.bin, "plugins", "ipmi"), "run", "powerstatus", "--targets", targets)
		if err := answered(u, strings.Count(out, `"power":"on"`), err); err != nil {
			return fmt.Errorf("ipmi run: %w", err)
		}
		ours = append(ours, u)
		if absent != nil {
			continue
		}
		u, out, err = b.run(ctx, ipmipower, "--config-file", config, "-h", hosts, "-D", "LAN_2_0", "-I", "17", "--stat")
		if err := answered(u, strings.Count(out, ": on\n"), err); err != nil {
			fmt.Printf("# ipmipower, not counted: %v\n", err)
			continue
		}
		theirs = append(theirs, u)
	}
	for _, figure := range []struct {
		name, unit string
		of         func(usage) float64
	}{
		{"wall", "s", func(u usage) float64 { return u.Wall }},
		{"cpu", "s", func(u usage) float64 { return u.CPU }},
		{"rss", "MiB", func(u usage) float64 { return u.RSS }},
	} {
		report(fmt.Sprintf("ipmi/cold-%d/%s", fleet, figure.name), figure.unit, collect(ours, figure.of), &peer{"ipmipower", collect(theirs, figure.of)})
	}
	return nil
}

// answered checks that a run told the state of every BMC.
func answered(u usage, count int, err error) error {
	if err != nil {
		return err
	}
	if u.Exit != 0 || count != fleet {
		return fmt.Errorf("%d of %d BMCs answered, exit %d", count, fleet, u.Exit)
	}
	return nil
}

// collect takes one value of each usage.
func collect(list []usage, of func(usage) float64) series {
	var s series
	for _, u := range list {
		s = append(s, of(u))
	}
	return s
}

// targets writes the inventory CSV and returns its path.
func (b *bench) targets(addrs []netip.AddrPort) (string, error) {
	var text bytes.Buffer
	fmt.Fprintln(&text, "name,address,port,username,password-file")
	for i, addr := range addrs {
		fmt.Fprintf(&text, "m%04d,%s,%d,%s,password\n", i, addr.Addr(), addr.Port(), username)
	}
	path := filepath.Join(b.dir, "targets.csv")
	return path, errors.Join(
		os.WriteFile(path, text.Bytes(), 0o600),
		os.WriteFile(filepath.Join(b.dir, "password"), []byte(password+"\n"), 0o600),
	)
}

// freeipmi writes FreeIPMI's configuration and returns its path and the hosts
// as it wants them.
func (b *bench) freeipmi(addrs []netip.AddrPort) (config, hosts string, err error) {
	list := make([]string, len(addrs))
	for i, addr := range addrs {
		list[i] = addr.String()
	}
	config = filepath.Join(b.dir, "freeipmi.conf")
	text := fmt.Sprintf("username %s\npassword %s\n", username, password)
	return config, strings.Join(list, ","), os.WriteFile(config, []byte(text), 0o600)
}
