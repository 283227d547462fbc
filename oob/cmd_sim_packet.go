package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"provision-plugins/shared/model"
	"provision-plugins/sim/packet"
)

// simPacketOptions are the flags of "sim packet".
type simPacketOptions struct {
	packet.Options
	keyFile string
	devices int
	step    time.Duration
}

// newSimPacketCommand makes "sim packet".
func newSimPacketCommand(a *app) *cobra.Command {
	var o simPacketOptions
	cmd := &cobra.Command{
		Use:   "packet",
		Short: "Simulate the Packet API (later Equinix Metal) and its devices",
		Long: `Simulate the Packet API (later Equinix Metal) and its devices, until
interrupted: projects, plans, facilities, metros, operating systems, SSH keys,
and devices with their actions, events and states. The URL for the param
packet/api-url is printed, then the id of each project, and of each device there
is at first.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.keyFile != "" {
				key, err := a.readSecret(o.keyFile)
				if err != nil {
					return usage("--api-key-file: %w", err)
				}
				o.Accounts = []packet.Account{{Key: key}}
			}
			return a.simPacket(cmd.Context(), o)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.Addr, "listen", "127.0.0.1:0", "`HOST:PORT` to listen on")
	fs.StringVar(&o.keyFile, "api-key-file", "", "`FILE` with the one key to accept (default: any)")
	fs.StringArrayVar(&o.Projects, "project", nil, "`NAME` of a project that exists (may be repeated; default: default)")
	fs.IntVar(&o.devices, "devices", 0, "how many devices the first project has at first")
	fs.DurationVar(&o.step, "step", 2*time.Second, "how long a device takes from one state to the next")
	fs.DurationVar(&o.Latency, "latency", 0, "how long every answer takes")
	fs.IntVar(&o.RateLimit, "rate-limit", 0, "how many requests a key may make in an hour (default: any number)")
	fs.StringVar(&o.StateFile, "state-file", "", "`FILE` to keep the state in, and to go on from")
	return cmd
}

// simPacket runs an API until ctx ends.
func (a *app) simPacket(ctx context.Context, o simPacketOptions) error {
	if o.devices < 0 || o.step < 0 || o.RateLimit < 0 {
		return usage("--devices, --step and --rate-limit must not be negative")
	}
	o.Timing = packet.Every(o.step)
	s, err := packet.New(o.Options)
	if err != nil {
		return notListening(err, "--listen")
	}
	if err = a.printPacket(s, o); err == nil {
		fmt.Fprintln(a.stderr, "simulating the Packet API; interrupt to stop")
		<-ctx.Done()
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return model.Errorf(model.Internal, "cannot simulate the Packet API: %w", err)
	}
	return nil
}

// printPacket prints where the API is and what is there.
func (a *app) printPacket(s *packet.Server, o simPacketOptions) error {
	projects := s.Projects()
	if len(s.Devices()) == 0 && len(projects) > 0 { // not one that goes on
		s.Add(projects[0].Name, o.devices, packet.Device{})
	}
	devices := s.Devices()
	if a.flags.json {
		ids := make([]string, 0, len(devices))
		for _, d := range devices {
			ids = append(ids, d.ID)
		}
		return a.printJSON(map[string]any{"url": s.URL(), "projects": projects, "devices": ids})
	}
	if err := a.printLine(s.URL()); err != nil {
		return err
	}
	for _, p := range projects {
		if err := a.printLine("project " + p.ID + " " + p.Name); err != nil {
			return err
		}
	}
	for _, d := range devices {
		if err := a.printLine("device " + d.ID + " " + d.Hostname); err != nil {
			return err
		}
	}
	return nil
}
