package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// newSimCommand makes "sim" and the simulators below it.
func newSimCommand(a *app) *cobra.Command {
	return groupCommand(&cobra.Command{
		Use:   "sim",
		Short: "Simulate devices and services on real sockets, until interrupted",
	}, newSimBMCCommand(a), newSimPacketCommand(a), newSimRedfishCommand(a), newSimSlackCommand(a), newSimVBoxCommand(a))
}

// simBMCOptions are the flags of "sim bmc".
type simBMCOptions struct {
	count        int
	host         string
	port         uint16
	username     string
	passwordFile string
	powerDelay   time.Duration
	cycleOff     time.Duration
	on           bool
	watts        uint16
	odd          []string
}

// newSimBMCCommand makes "sim bmc".
func newSimBMCCommand(a *app) *cobra.Command {
	var o simBMCOptions
	cmd := &cobra.Command{
		Use:   "bmc",
		Short: "Simulate BMCs that speak IPMI 2.0 over LAN",
		Long: `Simulate BMCs that speak IPMI 2.0 over LAN, until interrupted. The address of
each is printed, one a line.

Without --host all are on 127.0.0.1, each on its own port. With --host each has
its own address, --host and the ones after it, and all share one port.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.simBMC(cmd.Context(), o) },
	}
	fs := cmd.Flags()
	fs.IntVar(&o.count, "count", 1, "how many")
	fs.StringVar(&o.host, "host", "", "`ADDRESS` of the first; the others have those after it")
	fs.Uint16Var(&o.port, "port", 0, "`PORT` of the first, or of all with --host (default: free ones)")
	fs.StringVar(&o.username, "username", "admin", "the one account")
	fs.StringVar(&o.passwordFile, "password-file", "", "`FILE` with its password (default: the password is \"password\")")
	fs.DurationVar(&o.powerDelay, "power-delay", 0, "how long after a command the power state changes")
	fs.DurationVar(&o.cycleOff, "cycle-off", time.Second, "how long a power cycle stays off")
	fs.BoolVar(&o.on, "on", false, "the machines start switched on")
	fs.Uint16Var(&o.watts, "watts", 0, "what a machine that is on takes (default: the BMC has no power reading)")
	fs.StringArrayVar(&o.odd, "odd", nil, "`NAME` of something that is wrong with all of them (may be repeated): "+strings.Join(oddNames(), ", "))
	return cmd
}

// bmcOptions turns flags into options.
func (a *app) bmcOptions(o simBMCOptions) (bmc.Options, error) {
	opts := bmc.Options{
		Count: o.count, Port: o.port, Username: o.username,
		PowerDelay: o.powerDelay, CycleOff: o.cycleOff, On: o.on, Watts: o.watts,
	}
	if o.count < 1 {
		return opts, usage("--count must be at least 1, not %d", o.count)
	}
	if o.cycleOff == 0 {
		opts.CycleOff = -1 // no time at all; 0 would mean the default
	}
	if o.host != "" {
		host, err := netip.ParseAddr(o.host)
		if err != nil {
			return opts, usage("--host %q is not an IP address", o.host)
		}
		opts.Host = host
	}
	if o.passwordFile != "" {
		password, err := a.readSecret(o.passwordFile)
		if err != nil {
			return opts, usage("--password-file: %w", err)
		}
		opts.Password = password
	}
	return opts, nil
}

// simBMC runs a fleet until ctx ends.
func (a *app) simBMC(ctx context.Context, o simBMCOptions) error {
	opts, err := a.bmcOptions(o)
	if err != nil {
		return err
	}
	faults, err := oddFaults(o.odd)
	if err != nil {
		return err
	}
	fleet, err := bmc.New(opts)
	if err != nil {
		return notListening(err, "--port or --host")
	}
	for i := range fleet.Len() {
		fleet.BMC(i).SetFaults(faults)
		at := fleet.BMC(i).Addr()
		if a.flags.json {
			err = a.printJSON(map[string]string{"address": at.Addr().String(), "port": strconv.Itoa(int(at.Port()))})
		} else {
			_, err = fmt.Fprintln(a.stdout, at)
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		fmt.Fprintf(a.stderr, "simulating %s; interrupt to stop\n", count(fleet.Len(), "BMC"))
		<-ctx.Done()
	}
	if err = errors.Join(err, fleet.Close()); err != nil {
		return model.Errorf(model.Internal, "cannot simulate BMCs: %w", err)
	}
	return nil
}

// notListening is the error of a simulator that cannot be had.
func notListening(err error, flags string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return model.Errorf(model.Conflict, "%w; choose another by %s", err, flags)
	}
	return usage("%w", err)
}
