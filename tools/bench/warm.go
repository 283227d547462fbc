package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	goipmi "github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/model"
)

// The commands of a warm run: ipmitool's cost a process start more, which the
// short run measures and the long one then leaves out. A start varies by
// milliseconds: over a thousand commands that was as much as a tenth of their
// CPU, and ratios of 0.36 to 0.69 came of it.
const (
	warmShort = 10
	warmLong  = 8010
)

// warm measures the CPU of one power status in an open session: that of a long
// run without that of a short one.
func (b *bench) warm(ctx context.Context) (err error) {
	addrs, stop, err := b.simulate(ctx, 1, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	addr := addrs[0]
	secret := filepath.Join(b.dir, "warm-password")
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		return err
	}
	us := strconv.Itoa
	rivals := []rival{
		{name: "ours", command: func(n int) (string, []string) { return b.self, []string{"warm", addr.String(), us(n)} }},
		{name: "go-ipmi", command: func(n int) (string, []string) { return b.self, []string{"goipmi", addr.String(), us(n)} }},
	}
	if ipmitool, err := exec.LookPath("ipmitool"); err == nil {
		rivals = append(rivals, rival{name: "ipmitool", command: func(n int) (string, []string) {
			return ipmitool, []string{
				"-I", "lanplus", "-C", "17", "-H", addr.Addr().String(), "-p", us(int(addr.Port())), "-U", username, "-f", secret,
				"exec", b.script(n),
			}
		}})
	}
	for range b.runs {
		for i := range rivals {
			cpu, err := b.perCommand(ctx, rivals[i].command)
			if err != nil {
				return err
			}
			rivals[i].cpu = append(rivals[i].cpu, cpu)
		}
	}
	for _, r := range rivals[1:] {
		report("ipmi/warm-1/cpu", "us", rivals[0].cpu, &peer{r.name, r.cpu})
	}
	return nil
}

// rival is one client of the warm figures.
type rival struct {
	name    string
	command func(n int) (program string, args []string) // asks n times
	cpu     series
}

// perCommand measures the CPU of one command, in microseconds.
func (b *bench) perCommand(ctx context.Context, command func(n int) (string, []string)) (float64, error) {
	var cpu [2]float64
	for i, n := range [...]int{warmShort, warmLong} {
		program, args := command(n)
		u, out, err := b.run(ctx, program, args...)
		if err != nil {
			return 0, err
		}
		if got := strings.Count(out, "is on"); u.Exit != 0 || got != n {
			return 0, fmt.Errorf("%s: %d of %d answers, exit %d", program, got, n, u.Exit)
		}
		cpu[i] = u.CPU
	}
	return (cpu[1] - cpu[0]) / (warmLong - warmShort) * 1e6, nil
}

// script writes a file of n commands for ipmitool exec.
func (b *bench) script(n int) string {
	path := filepath.Join(b.dir, fmt.Sprintf("exec-%d", n))
	// A script that is not there fails the run that wants it.
	_ = os.WriteFile(path, []byte(strings.Repeat("chassis power status\n", n)), 0o600)
	return path
}

// goipmiRole does what warmRole does with go-ipmi's client.
func goipmiRole(ctx context.Context, args []string) (err error) {
	addr, count, err := warmArgs(args)
	if err != nil {
		return err
	}
	c, err := goipmi.NewClient(addr.Addr().String(), int(addr.Port()), username, password)
	if err != nil {
		return fmt.Errorf("goipmi: %w", err)
	}
	c.WithCipherSuiteID(types.CipherSuiteID17)
	if err := c.Connect(ctx); err != nil {
		return fmt.Errorf("goipmi: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	out := bufio.NewWriter(os.Stdout)
	for range count {
		status, err := c.GetChassisStatus(ctx)
		if err != nil {
			return fmt.Errorf("goipmi: %w", err)
		}
		if status.PowerIsOn {
			fmt.Fprintln(out, "Chassis Power is on")
		}
	}
	return out.Flush()
}

// warmArgs are the address and the count.
func warmArgs(args []string) (addr netip.AddrPort, count int, err error) {
	if len(args) != 2 {
		return addr, 0, errors.New("warm: want ADDRESS COUNT")
	}
	if addr, err = netip.ParseAddrPort(args[0]); err != nil {
		return addr, 0, fmt.Errorf("warm: %w", err)
	}
	if count, err = strconv.Atoi(args[1]); err != nil {
		return addr, 0, fmt.Errorf("warm: %w", err)
	}
	return addr, count, nil
}

// warmRole asks the BMC args[0] for its power state args[1] times in one
// session. The answers are printed in blocks, as ipmitool's are: to write each is
// no work of a client's, and wakes who reads.
func warmRole(ctx context.Context, args []string) (err error) {
	addr, count, err := warmArgs(args)
	if err != nil {
		return err
	}
	t := rmcp.NewTransport()
	defer func() { err = errors.Join(err, t.Close()) }()
	s, err := t.Open(ctx, rmcp.Target{Peer: addr, Login: rmcp.Login{Username: username, Password: password}})
	if err != nil {
		return err
	}
	defer s.Close()
	out := bufio.NewWriter(os.Stdout)
	for range count {
		var status chassis.GetChassisStatusResponse
		if err := s.Do(ctx, &rmcp.Call{Request: &chassis.GetChassisStatusRequest{}, Response: &status, Class: model.Read}); err != nil {
			return err
		}
		if status.PowerIsOn {
			fmt.Fprintln(out, "Chassis Power is on")
		}
	}
	return out.Flush()
}
