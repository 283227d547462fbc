package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// tenth is the part of the fleet whose BMCs are silent in the figure about that.
const tenth = 10

// served is an endpoint with the ipmi plugin and the machines of a fleet, which
// can be stopped and started again.
type served struct {
	bench *bench
	dir   string
	cmd   *exec.Cmd
}

// newServed prepares an endpoint and gives it the machines of the contender's
// inventory.
func (b *bench) newServed(ctx context.Context, inventory string) (*served, error) {
	dir, err := os.MkdirTemp(b.dir, "f")
	if err != nil {
		return nil, err
	}
	s := &served{bench: b, dir: dir}
	plugins := filepath.Join(dir, "plugins")
	binary, err := os.ReadFile(filepath.Join(b.bin, "plugins", "ipmi"))
	if err == nil {
		err = os.Mkdir(plugins, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(plugins, "ipmi"), binary, 0o700)
	}
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	_, _, err = b.run(ctx, filepath.Join(b.bin, "oob"), s.args("machine", "add", "--csv", inventory, "--driver", "ipmi")...)
	return s, errors.Join(err, s.stop())
}

// args are those of oob to ask the endpoint.
func (s *served) args(command ...string) []string {
	return append([]string{"--socket", filepath.Join(s.dir, "sock")}, command...)
}

// start starts the endpoint and waits until its plugin is configured.
func (s *served) start(ctx context.Context) error {
	socket := filepath.Join(s.dir, "sock")
	s.cmd = exec.CommandContext(ctx, filepath.Join(s.bench.bin, "oob"), "serve", "--data-dir", filepath.Join(s.dir, "data"),
		"--plugin-dir", filepath.Join(s.dir, "plugins"), "--socket", socket, "--listen", "127.0.0.1:0")
	if err := s.cmd.Start(); err != nil {
		return err
	}
	c, err := client.New(client.Options{Socket: socket})
	if err != nil {
		return errors.Join(err, s.stop())
	}
	defer c.Close()
	for {
		p, err := c.Plugins().Get(ctx, "ipmi")
		if err == nil && p.Available {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return errors.Join(err, s.stop())
		}
	}
}

// stop stops the endpoint.
func (s *served) stop() error {
	return errors.Join(s.cmd.Process.Signal(syscall.SIGTERM), s.cmd.Wait())
}

// asked is the contender that asks the endpoint for the states of all machines.
func (s *served) asked(name string) *contender {
	return &contender{
		name: name, path: filepath.Join(s.bench.bin, "oob"), on: `"power":"` + string(model.StateOn) + `"`,
		args: s.args("power", "status", "--all", "--json", "--timeout", "2"),
	}
}

// throughEndpoint measures the power status of a fleet through endpoint and
// plugin: with no session open, and at once again.
func (b *bench) throughEndpoint(ctx context.Context) (err error) {
	addrs, stop, err := b.simulate(ctx, fleet, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	alone, err := b.ipmiRun(addrs)
	if err != nil {
		return err
	}
	s, err := b.newServed(ctx, alone.args[3])
	if err != nil {
		return err
	}
	ipmipower, err := b.ipmipower(addrs)
	if err != nil {
		return err
	}
	cold, warm := s.asked("cold"), s.asked("warm")
	for i := range b.runs {
		if err := b.ask(ctx, ipmipower, i, fleet); err != nil {
			fmt.Printf("# not counted: %v\n", err)
		}
		if err := s.start(ctx); err != nil {
			return err
		}
		err := errors.Join(b.ask(ctx, cold, i, fleet), b.ask(ctx, warm, i, fleet), s.stop())
		if err != nil {
			return err
		}
	}
	wall := func(u usage) float64 { return u.Wall }
	for _, c := range []*contender{cold, warm} {
		report(fmt.Sprintf("fleet/%s-%d/wall", c.name, fleet), "s", collect(c.usage, wall), &peer{ipmipower.name, collect(ipmipower.usage, wall)})
	}
	return nil
}

// silentTenth measures when the live machines of a fleet are answered, of which a
// tenth is silent: beside the same machines alone.
func (b *bench) silentTenth(ctx context.Context) error {
	const silent = fleet / tenth
	var times [2][]usage
	for i, count := range []int{fleet, fleet - silent} {
		mute := count - (fleet - silent)
		usages, err := b.answers(ctx, count, mute)
		if err != nil {
			return err
		}
		times[i] = usages
	}
	last := func(u usage) float64 { return u.On[len(u.On)*99/100] }
	report(fmt.Sprintf("fleet/silent-%d-of-%d/p99", silent, fleet), "s", collect(times[0], last), &peer{"without them", collect(times[1], last)})
	return nil
}

// answers asks a fleet through an endpoint that starts anew each time.
func (b *bench) answers(ctx context.Context, count, silent int) (list []usage, err error) {
	addrs, stop, err := b.simulate(ctx, count, silent)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	alone, err := b.ipmiRun(spread(addrs[:silent], addrs[silent:]))
	if err != nil {
		return nil, err
	}
	s, err := b.newServed(ctx, alone.args[3])
	if err != nil {
		return nil, err
	}
	asked := s.asked("all")
	for i := range b.runs {
		if err := s.start(ctx); err != nil {
			return nil, err
		}
		if err := errors.Join(b.ask(ctx, asked, i, count-silent), s.stop()); err != nil {
			return nil, err
		}
	}
	return asked.usage, nil
}

// spread puts every so many of the others one of a few.
func spread(few, others []netip.AddrPort) []netip.AddrPort {
	var out []netip.AddrPort
	for len(few)+len(others) > 0 {
		from := &others
		if len(few) > 0 && len(out)%tenth == 0 || len(others) == 0 {
			from = &few
		}
		out = append(out, (*from)[0])
		*from = (*from)[1:]
	}
	return out
}
