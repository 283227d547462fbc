package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bougou/go-ipmi/pkg/command/chassis"

	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/model"
)

// The commands of a warm run: ipmitool's cost a process start more, which the
// short run measures and the long one then leaves out.
const (
	warmShort = 10
	warmLong  = 1010
)

// warm measures the CPU of one power status in an open session: that of a long
// run without that of a short one.
func (b *bench) warm(ctx context.Context) (err error) {
	addrs, stop, err := b.simulate(ctx, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	addr := addrs[0]
	secret := filepath.Join(b.dir, "warm-password")
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		return err
	}
	ipmitool, absent := exec.LookPath("ipmitool")
	var ours, theirs series
	for range b.runs {
		us, err := b.perCommand(ctx, func(n int) (string, []string) {
			return b.self, []string{"warm", addr.String(), strconv.Itoa(n)}
		})
		if err != nil {
			return err
		}
		ours = append(ours, us)
		if absent != nil {
			continue
		}
		us, err = b.perCommand(ctx, func(n int) (string, []string) {
			return ipmitool, []string{
				"-I", "lanplus", "-C", "17", "-H", addr.Addr().String(), "-p", strconv.Itoa(int(addr.Port())), "-U", username, "-f", secret,
				"exec", b.script(n),
			}
		})
		if err != nil {
			return err
		}
		theirs = append(theirs, us)
	}
	report("ipmi/warm-1/cpu", "us", ours, &peer{"ipmitool", theirs})
	return nil
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

// warmRole asks the BMC args[0] for its power state args[1] times in one
// session.
func warmRole(ctx context.Context, args []string) (err error) {
	if len(args) != 2 {
		return errors.New("warm: want ADDRESS COUNT")
	}
	addr, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return fmt.Errorf("warm: %w", err)
	}
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return fmt.Errorf("warm: %w", err)
	}
	t := rmcp.NewTransport()
	defer func() { err = errors.Join(err, t.Close()) }()
	s, err := t.Open(ctx, rmcp.Target{Peer: addr, Login: rmcp.Login{Username: username, Password: password}})
	if err != nil {
		return err
	}
	defer s.Close()
	for range count {
		var status chassis.GetChassisStatusResponse
		if err := s.Do(ctx, &rmcp.Call{Request: &chassis.GetChassisStatusRequest{}, Response: &status, Class: model.Read}); err != nil {
			return err
		}
		if status.PowerIsOn {
			fmt.Println("Chassis Power is on")
		}
	}
	return nil
}
