package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"provision-plugins/shared/model"
	"provision-plugins/sim/redfish"
)

// simRedfishOptions are the flags of "sim redfish".
type simRedfishOptions struct {
	redfish.Options
	host         string
	passwordFile string
	caFile       string
	odd          []string
}

// newSimRedfishCommand makes "sim redfish".
func newSimRedfishCommand(a *app) *cobra.Command {
	var o simRedfishOptions
	cmd := &cobra.Command{
		Use:   "redfish",
		Short: "Simulate BMCs that speak Redfish over HTTPS",
		Long: `Simulate BMCs that speak Redfish over HTTPS, until interrupted. The address of
each is printed, one a line.

Without --host all are on 127.0.0.1, each on its own port. With --host each has
its own address, --host and the ones after it, and all share one port. Each has
a certificate of its own; the authority that has issued all of them is written
to --ca-file.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.simRedfish(cmd.Context(), o) },
	}
	fs := cmd.Flags()
	fs.IntVar(&o.Count, "count", 1, "how many")
	fs.StringVar(&o.host, "host", "", "`ADDRESS` of the first; the others have those after it")
	fs.Uint16Var(&o.Port, "port", 0, "`PORT` of the first, or of all with --host (default: free ones)")
	fs.StringVar(&o.Dialect, "dialect", "generic", "`KIND` of BMC: "+strings.Join(redfish.Dialects(), ", "))
	fs.IntVar(&o.Systems, "systems", 1, "how many computer systems each has")
	fs.StringVar(&o.Username, "username", "admin", "the one account")
	fs.StringVar(&o.passwordFile, "password-file", "", "`FILE` with its password (default: the password is \"password\")")
	fs.StringVar(&o.caFile, "ca-file", "", "`FILE` to write the certificate of the authority to")
	fs.DurationVar(&o.PowerDelay, "power-delay", 0, "how long after a command the power state changes")
	fs.DurationVar(&o.CycleOff, "cycle-off", time.Second, "how long a power cycle stays off")
	fs.DurationVar(&o.TaskTime, "task-time", time.Second, "how long a task takes")
	fs.IntVar(&o.RateLimit, "rate-limit", 0, "how many requests a BMC takes in a second (default: any number)")
	fs.BoolVar(&o.On, "on", false, "the machines start switched on")
	fs.StringArrayVar(&o.odd, "odd", nil, "`NAME` of something that is wrong with all of them (may be repeated): "+strings.Join(names(redfishOddities), ", "))
	return cmd
}

// redfishOddity is something that can be wrong with simulated Redfish BMCs.
type redfishOddity struct {
	name string
	make func(f *redfish.Faults)
}

// redfishOddities is what "sim redfish" takes for it.
var redfishOddities = []redfishOddity{
	{"async", func(f *redfish.Faults) {
		f.Requests = append(f.Requests, redfish.Fault{On: "reset", Count: redfish.Always, Task: true})
	}},
	{"busy", func(f *redfish.Faults) {
		f.Requests = append(f.Requests, redfish.Fault{Count: redfish.Always, Status: 503, RetryAfter: time.Second})
	}},
	{"expired", func(f *redfish.Faults) { f.Expired = true }},
	{"html", func(f *redfish.Faults) {
		f.Requests = append(f.Requests, redfish.Fault{On: "get *", Count: redfish.Always, Body: redfish.HTML})
	}},
	{"lies", func(f *redfish.Faults) {
		f.Requests = append(f.Requests, redfish.Fault{On: "reset", Count: redfish.Always, Lies: true})
	}},
	{"lockout", func(f *redfish.Faults) { f.LockoutAfter = 3 }},
	{"needs-etag", func(f *redfish.Faults) { f.NeedsETag = true }},
	{"no-basic", func(f *redfish.Faults) { f.NoBasic = true }},
	{"no-sessions", func(f *redfish.Faults) { f.SessionsFull = true }},
	{"no-systems", func(f *redfish.Faults) { f.NoSystems = true }},
	{"silent", func(f *redfish.Faults) { f.Silent = true }},
	{"soft-ignored", func(f *redfish.Faults) { f.SoftIgnored = true }},
	{"tasks-fail", func(f *redfish.Faults) { f.TasksFail = true }},
	{"tasks-hang", func(f *redfish.Faults) { f.TasksHang = true }},
}

// names lists the names of oddities.
func names(all []redfishOddity) []string {
	list := make([]string, len(all))
	for i := range all {
		list[i] = all[i].name
	}
	return list
}

// redfishFaults is all that is named.
func redfishFaults(wanted []string) (f redfish.Faults, err error) {
	for _, name := range wanted {
		known := false
		for i := range redfishOddities {
			if redfishOddities[i].name == name {
				redfishOddities[i].make(&f)
				known = true
			}
		}
		if !known {
			return f, usage("--odd %q is none of %s", name, strings.Join(names(redfishOddities), ", "))
		}
	}
	return f, nil
}

// redfishOptions completes the options from the flags.
func (a *app) redfishOptions(o *simRedfishOptions) error {
	if o.Count < 1 || o.Systems < 1 {
		return usage("--count and --systems must be at least 1")
	}
	for _, d := range []*time.Duration{&o.CycleOff, &o.TaskTime} {
		if *d == 0 {
			*d = -1 // no time at all; 0 would mean the default
		}
	}
	if o.host != "" {
		host, err := netip.ParseAddr(o.host)
		if err != nil {
			return usage("--host %q is not an IP address", o.host)
		}
		o.Host = host
	}
	if o.passwordFile != "" {
		password, err := a.readSecret(o.passwordFile)
		if err != nil {
			return usage("--password-file: %w", err)
		}
		o.Password = password
	}
	return nil
}

// simRedfish runs a fleet until ctx ends.
func (a *app) simRedfish(ctx context.Context, o simRedfishOptions) error {
	if err := a.redfishOptions(&o); err != nil {
		return err
	}
	faults, err := redfishFaults(o.odd)
	if err != nil {
		return err
	}
	fleet, err := redfish.New(o.Options)
	if err != nil {
		return notListening(err, "--port or --host")
	}
	err = writeAuthority(o.caFile, fleet.Authority().Raw)
	for i := range fleet.Len() {
		if err != nil {
			break
		}
		fleet.BMC(i).SetFaults(faults)
		err = a.printRedfish(fleet.BMC(i))
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

// printRedfish prints where a BMC is.
func (a *app) printRedfish(b *redfish.BMC) error {
	if a.flags.json {
		return a.printJSON(map[string]string{"address": b.Addr().Addr().String(), "port": fmt.Sprint(b.Addr().Port()), "url": b.URL()})
	}
	return a.printLine(b.Addr().String())
}

// writeAuthority writes a certificate to a file, if one is wanted.
func writeAuthority(file string, der []byte) error {
	if file == "" {
		return nil
	}
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}
