package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"provision-plugins/shared/plugin"
	"provision-plugins/sim/bmc"
)

// The account of the simulated BMCs.
const (
	username = "admin"
	password = "bench-Pa55word"
)

// usage is what a finished process used.
type usage struct {
	Wall, CPU float64 // seconds
	RSS       float64 // MiB, peak
	Exit      int
	// On is when each line that tells a machine on was printed, LastOn the last.
	On     []float64
	LastOn float64
}

// launchRole starts the program of args[1:], waits, and writes its usage to
// the file args[0]. It stays small: a child's peak memory begins at that of
// its parent.
func launchRole(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("launch: want FILE PROGRAM [ARG...]")
	}
	start := time.Now()
	watch := &watcher{out: os.Stdout, start: start}
	cmd := exec.CommandContext(ctx, args[1], args[2:]...)
	cmd.Stdout, cmd.Stderr = watch, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("launch: %w", err)
	}
	state := cmd.ProcessState
	u := usage{
		Wall: time.Since(start).Seconds(),
		CPU:  (state.UserTime() + state.SystemTime()).Seconds(),
		Exit: state.ExitCode(), On: watch.on,
	}
	if n := len(u.On); n > 0 {
		u.LastOn = u.On[n-1]
	}
	if r, ok := state.SysUsage().(*syscall.Rusage); ok {
		u.RSS = float64(r.Maxrss) / 1024
	}
	raw, err := json.Marshal(u)
	if err != nil {
		return fmt.Errorf("launch: %w", err)
	}
	return os.WriteFile(args[0], raw, 0o600)
}

// watcher passes on what a program prints and notes when it told machines on, as
// ours and as ipmipower word it.
type watcher struct {
	out   io.Writer
	start time.Time
	on    []float64 // seconds since start
}

// Write passes p on.
func (w *watcher) Write(p []byte) (int, error) {
	now := time.Since(w.start).Seconds()
	for range bytes.Count(p, []byte(`"power":"on"`)) + bytes.Count(p, []byte(": on\n")) {
		w.on = append(w.on, now)
	}
	return w.out.Write(p)
}

// run measures one run of a program and returns what it printed on stdout. What
// one run keeps, the next does not find.
func (b *bench) run(ctx context.Context, program string, args ...string) (u usage, _ string, err error) {
	state, err := os.MkdirTemp(b.dir, "state-")
	if err != nil {
		return u, "", fmt.Errorf("cannot run %s: %w", program, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(state)) }()
	file := filepath.Join(b.dir, "usage.json")
	cmd := exec.CommandContext(ctx, b.self, append([]string{"launch", file, program}, args...)...)
	cmd.Env = append(os.Environ(), plugin.EnvStateDir+"="+state)
	out, err := cmd.Output()
	if err != nil {
		return u, "", fmt.Errorf("cannot run %s: %w", program, err)
	}
	raw, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(raw, &u)
	}
	return u, string(out), err
}

// simRole simulates args[0] BMCs, of which the first args[1] are silent, prints
// their addresses and an empty line, and serves until its standard input ends.
func simRole(_ context.Context, args []string) (err error) {
	if len(args) != 2 {
		return errors.New("sim: want COUNT SILENT")
	}
	count, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("sim: %w", err)
	}
	silent, err := strconv.Atoi(args[1])
	if err != nil {
		return fmt.Errorf("sim: %w", err)
	}
	fleet, err := bmc.New(bmc.Options{
		Count: count, Host: netip.MustParseAddr("127.2.0.1"), Username: username, Password: password, On: true,
		// A peer that leaves sessions open must not run into its own leftovers.
		Sessions: 63,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fleet.Close()) }()
	out := bufio.NewWriter(os.Stdout)
	for i := range fleet.Len() {
		fleet.BMC(i).SetFaults(bmc.Faults{Silent: i < silent})
		fmt.Fprintln(out, fleet.BMC(i).Addr())
	}
	fmt.Fprintln(out)
	if err := out.Flush(); err != nil {
		return err
	}
	var end [1]byte
	// Whatever ends the input ends the fleet.
	_, _ = os.Stdin.Read(end[:])
	return nil
}

// simulate starts count BMCs in a process of their own; some are silent.
func (b *bench) simulate(ctx context.Context, count, silent int) (addrs []netip.AddrPort, stop func() error, err error) {
	cmd := exec.CommandContext(ctx, b.self, "sim", strconv.Itoa(count), strconv.Itoa(silent))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop = func() error { return errors.Join(in.Close(), cmd.Wait()) }
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "" {
		addr, err := netip.ParseAddrPort(lines.Text())
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		addrs = append(addrs, addr)
	}
	if len(addrs) != count {
		return nil, nil, errors.Join(fmt.Errorf("%d of %d BMCs came up", len(addrs), count), stop())
	}
	return addrs, stop, nil
}

// residentMiB is the memory a process has now.
func residentMiB(pid int) (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("no VmRSS in /proc")
}

// pause waits for d, or for ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
