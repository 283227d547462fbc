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

// The fleets of the cold figures, and of the one with silent BMCs.
const (
	fleet       = 1000
	largeFleet  = 4000
	mixedFleet  = 256
	mixedSilent = 26
)

// contender is one program that asks a fleet.
type contender struct {
	name  string
	path  string // empty if it is not on this machine
	args  []string
	on    string // what it prints for each machine that is on
	runs  int    // at most; 0 means as many as the others
	usage []usage
}

// cold measures the power status of a fleet, each run a new process.
func (b *bench) cold(ctx context.Context) error { return b.sweep(ctx, fleet) }

// coldLarge does so for a larger one.
func (b *bench) coldLarge(ctx context.Context) error { return b.sweep(ctx, largeFleet) }

// sweep measures the power status of a fleet: ours and the peers', taking turns
// on the same BMCs.
func (b *bench) sweep(ctx context.Context, count int) (err error) {
	addrs, stop, err := b.simulate(ctx, count, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	ours, err := b.ipmiRun(addrs)
	if err != nil {
		return err
	}
	ipmipower, err := b.ipmipower(addrs)
	if err != nil {
		return err
	}
	peers := []*contender{ipmipower}
	if count == fleet {
		ipmitool, err := b.ipmitool(addrs)
		if err != nil {
			return err
		}
		peers = append(peers, ipmitool)
	}
	for i := range b.runs {
		if err := b.ask(ctx, ours, i, count); err != nil {
			return err
		}
		for _, p := range peers {
			// A peer that loses answers is named and not counted.
			if err := b.ask(ctx, p, i, count); err != nil {
				fmt.Printf("# not counted: %v\n", err)
			}
		}
	}
	for _, p := range peers {
		reportUsage(fmt.Sprintf("ipmi/cold-%d", count), ours, p)
	}
	return nil
}

// ask measures one run, which must tell the state of want machines.
func (b *bench) ask(ctx context.Context, c *contender, i, want int) error {
	if c.path == "" || c.runs > 0 && i >= c.runs {
		return nil
	}
	u, out, err := b.run(ctx, c.path, c.args...)
	if err != nil {
		return err
	}
	if got := strings.Count(out, c.on); got != want {
		return fmt.Errorf("%s: %d of %d BMCs answered, exit %d", c.name, got, want, u.Exit)
	}
	c.usage = append(c.usage, u)
	return nil
}

// reportUsage prints wall, CPU and memory of ours beside a peer's.
func reportUsage(name string, ours, theirs *contender) {
	for _, figure := range []struct {
		name, unit string
		of         func(usage) float64
	}{
		{"wall", "s", func(u usage) float64 { return u.Wall }},
		{"cpu", "s", func(u usage) float64 { return u.CPU }},
		{"rss", "MiB", func(u usage) float64 { return u.RSS }},
	} {
		report(name+"/"+figure.name, figure.unit, collect(ours.usage, figure.of), &peer{theirs.name, collect(theirs.usage, figure.of)})
	}
}

// collect takes one value of each usage.
func collect(list []usage, of func(usage) float64) series {
	var s series
	for _, u := range list {
		s = append(s, of(u))
	}
	return s
}

// mixed measures a fleet of which some BMCs are silent: when the last of the
// others was told, and when the whole was over.
func (b *bench) mixed(ctx context.Context) (err error) {
	addrs, stop, err := b.simulate(ctx, mixedFleet, mixedSilent)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	ours, err := b.ipmiRun(addrs, "--deadline", "2s")
	if err != nil {
		return err
	}
	ipmipower, err := b.ipmipower(addrs)
	if err != nil {
		return err
	}
	ipmipower.runs = 1 // it takes 20 s
	for i := range b.runs {
		if err := b.ask(ctx, ours, i, mixedFleet-mixedSilent); err != nil {
			return err
		}
		if err := b.ask(ctx, ipmipower, i, mixedFleet-mixedSilent); err != nil {
			fmt.Printf("# not counted: %v\n", err)
		}
	}
	for _, figure := range []struct {
		name string
		of   func(usage) float64
	}{
		{"answered", func(u usage) float64 { return u.LastOn }},
		{"wall", func(u usage) float64 { return u.Wall }},
	} {
		report(fmt.Sprintf("ipmi/silent-%d-of-%d/%s", mixedSilent, mixedFleet, figure.name), "s",
			collect(ours.usage, figure.of), &peer{ipmipower.name, collect(ipmipower.usage, figure.of)})
	}
	return nil
}

// ipmiRun is our program.
func (b *bench) ipmiRun(addrs []netip.AddrPort, more ...string) (*contender, error) {
	var text bytes.Buffer
	fmt.Fprintln(&text, "name,address,port,username,password-file")
	for i, addr := range addrs {
		fmt.Fprintf(&text, "m%04d,%s,%d,%s,password\n", i, addr.Addr(), addr.Port(), username)
	}
	targets := filepath.Join(b.dir, "targets.csv")
	return &contender{
		name: "ipmi run", path: filepath.Join(b.bin, "plugins", "ipmi"), on: `"power":"on"`,
		args: append([]string{"run", "powerstatus", "--targets", targets}, more...),
	}, errors.Join(os.WriteFile(targets, text.Bytes(), 0o600), b.password())
}

// password writes the file that ours and ipmitool read.
func (b *bench) password() error {
	return os.WriteFile(filepath.Join(b.dir, "password"), []byte(password+"\n"), 0o600)
}

// program finds a peer; empty if it is not on this machine.
func program(name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return path
}

// ipmipower is FreeIPMI's.
func (b *bench) ipmipower(addrs []netip.AddrPort) (*contender, error) {
	list := make([]string, len(addrs))
	for i, addr := range addrs {
		list[i] = addr.String()
	}
	config := filepath.Join(b.dir, "freeipmi.conf")
	text := fmt.Sprintf("username %s\npassword %s\n", username, password)
	return &contender{
		name: "ipmipower", path: program("ipmipower"), on: ": on\n",
		args: []string{"--config-file", config, "-h", strings.Join(list, ","), "-D", "LAN_2_0", "-I", "17", "--stat"},
	}, os.WriteFile(config, []byte(text), 0o600)
}

// ipmitool is ipmitool, 64 at a time, once: it takes half a minute.
func (b *bench) ipmitool(addrs []netip.AddrPort) (*contender, error) {
	path := program("ipmitool")
	if path == "" {
		return &contender{name: "ipmitool"}, nil
	}
	var list strings.Builder
	for _, addr := range addrs {
		fmt.Fprintln(&list, "-H", addr.Addr(), "-p", addr.Port())
	}
	hosts := filepath.Join(b.dir, "hosts")
	script := fmt.Sprintf("xargs -P64 -L1 %s -I lanplus -C 17 -U %s -f %s chassis power status <%s", path, username, filepath.Join(b.dir, "password"), hosts)
	return &contender{name: "ipmitool", path: "/bin/sh", args: []string{"-c", script}, on: "is on", runs: 1},
		os.WriteFile(hosts, []byte(list.String()), 0o600)
}
