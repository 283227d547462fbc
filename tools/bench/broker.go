package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/chassis"

	"provision-plugins/ipmi/broker"
	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/garbage"
	"provision-plugins/shared/model"
)

// warmFleet is the fleet that is asked through one broker.
const warmFleet = 10_000

// The garbage that the ipmi plugin allows itself: in percent of what lives, and at
// least so many bytes.
const (
	pluginGC   = 50
	pluginRoom = 16 << 20
)

// brokerUsage is what one process with a broker used.
type brokerUsage struct {
	Cold, Warm float64 // seconds, for the state of all BMCs
	RSS        float64 // MiB, after both
	CPU        float64 // seconds, of the warm round
}

// brokerFleet measures the power status of all BMCs of a large fleet, asked at
// once through one broker: with no session open, then with all.
func (b *bench) brokerFleet(ctx context.Context) (err error) {
	addrs, stop, err := b.simulate(ctx, warmFleet, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	var cold, warm, cpu, rss series
	for range b.runs {
		u, err := b.askThroughBroker(ctx, addrs)
		if err != nil {
			return err
		}
		cold, warm, cpu, rss = append(cold, u.Cold), append(warm, u.Warm), append(cpu, u.CPU), append(rss, u.RSS)
	}
	name := fmt.Sprintf("ipmi/broker-%d", warmFleet)
	report(name+"/cold", "s", cold, nil)
	report(name+"/warm", "s", warm, nil)
	report(name+"/warm-cpu", "s", cpu, nil)
	report(name+"/rss", "MiB", rss, nil)
	return nil
}

// askThroughBroker runs brokerRole.
func (b *bench) askThroughBroker(ctx context.Context, addrs []netip.AddrPort) (u brokerUsage, err error) {
	var list strings.Builder
	for _, addr := range addrs {
		fmt.Fprintln(&list, addr)
	}
	cmd := exec.CommandContext(ctx, b.self, "broker")
	cmd.Stdin, cmd.Stderr = strings.NewReader(list.String()), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return u, fmt.Errorf("cannot run myself: %w", err)
	}
	return u, json.Unmarshal(out, &u)
}

// brokerRole asks the BMCs that its standard input lists, twice, and prints what
// that used.
func brokerRole(ctx context.Context, _ []string) (err error) {
	var addrs []netip.AddrPort
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		addr, err := netip.ParseAddrPort(lines.Text())
		if err != nil {
			return fmt.Errorf("broker: %w", err)
		}
		addrs = append(addrs, addr)
	}
	defer garbage.Keep(pluginGC, pluginRoom)()
	b := broker.New(broker.Options{})
	defer func() { err = errors.Join(err, b.Close()) }()
	var u brokerUsage
	if u.Cold, err = round(ctx, b, addrs); err != nil {
		return err
	}
	before, err := cpuSeconds()
	if err != nil {
		return err
	}
	if u.Warm, err = round(ctx, b, addrs); err != nil {
		return err
	}
	after, err := cpuSeconds()
	if err != nil {
		return err
	}
	u.CPU = after - before
	if u.RSS, err = residentMiB(os.Getpid()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(u)
}

// round asks all BMCs at once and returns how long that took, in seconds.
func round(ctx context.Context, b *broker.Broker, addrs []netip.AddrPort) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	start := time.Now()
	errs := make([]error, len(addrs))
	var all sync.WaitGroup
	for i, addr := range addrs {
		all.Go(func() { errs[i] = askOne(ctx, b, addr) })
	}
	all.Wait()
	return time.Since(start).Seconds(), errors.Join(errs...)
}

// askOne asks one BMC, as an action does.
func askOne(ctx context.Context, b *broker.Broker, addr netip.AddrPort) error {
	h, err := b.Open(ctx, broker.Target{Peer: addr, Login: rmcp.Login{Username: username, Password: password}})
	if err != nil {
		return err
	}
	defer h.Close()
	var status chassis.GetChassisStatusResponse
	err = h.Do(ctx, &broker.Call{Call: rmcp.Call{
		Request: &chassis.GetChassisStatusRequest{}, Response: &status, Class: model.Read,
	}})
	if err == nil && !status.PowerIsOn {
		err = fmt.Errorf("%v is told off", addr)
	}
	return err
}

// cpuSeconds is the CPU this process has used.
func cpuSeconds() (float64, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, fmt.Errorf("cannot tell the CPU used: %w", err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds(), nil
}
