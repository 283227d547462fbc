// Command bench prints figures of the built programs, beside those of peers
// measured in the same run on the same simulated BMCs. It judges nothing. Run
// it from the repository's root, after the build.
//
// A line is "bench NAME VALUE UNIT [peer NAME VALUE ratio R]", where VALUE is
// the median and R is ours divided by the peer's; the line "#" before it has
// the single runs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// roles are what this program is when it starts itself: a measured process
// must not be the child of a large one, nor share a process with what it is
// measured against.
var roles = map[string]func(ctx context.Context, args []string) error{
	"launch": launchRole,
	"sim":    simRole,
	"warm":   warmRole,
	"goipmi": goipmiRole,
	"noop":   noopRole,
	"broker": brokerRole,
}

// bench is one measuring.
type bench struct {
	self string // this program
	bin  string // folder of the built programs
	dir  string // temporary
	// environ leads plugins to an endpoint on which nothing happens.
	environ []string
	runs    int
	// machines are those of the endpoint whose API is measured.
	machines int
}

// figures are all the figures, in the order they are printed.
var figures = []struct {
	name    string // of the group, for -only
	measure func(*bench, context.Context) error
}{
	{"ipmi/cold-1000", (*bench).cold},
	{"ipmi/cold-4000", (*bench).coldLarge},
	{"ipmi/silent-26-of-256", (*bench).mixed},
	{"ipmi/warm-1", (*bench).warm},
	{"ipmi/broker-10000", (*bench).brokerFleet},
	{"fleet/1000", (*bench).throughEndpoint},
	{"fleet/silent", (*bench).silentTenth},
	{"wrapper/action", (*bench).wrapper},
	{"plugin", (*bench).plugins},
	{"endpoint", (*bench).endpoint},
	{"actions", (*bench).actions},
	{"api", (*bench).api},
	{"packet/status-500", (*bench).packetStates},
	{"vbox", (*bench).vbox},
	{"slack", (*bench).slack},
	{"store", (*bench).store},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if role := roles[firstArg()]; role != nil {
		err = role(ctx, os.Args[2:])
	} else {
		err = measure(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(2)
	}
}

// firstArg is the first argument, "" if there is none.
func firstArg() string {
	if len(os.Args) < 2 {
		return ""
	}
	return os.Args[1]
}

// measure prints the figures asked for.
func measure(ctx context.Context) (err error) {
	only := flag.String("only", "", "measure only figures whose name begins with `PREFIX`")
	bin := flag.String("bin", "bin", "`folder` of the built programs")
	runs := flag.Int("runs", 5, "runs of each figure")
	machines := flag.Int("machines", 100_000, "machines of the figures of the API, in thousands")
	flag.Parse()
	if flag.NArg() > 0 || *runs < 1 {
		return errors.New("cannot measure: want no arguments and at least one run")
	}
	b := &bench{runs: *runs, machines: *machines}
	if b.bin, err = filepath.Abs(*bin); err != nil {
		return fmt.Errorf("cannot find the programs: %w", err)
	}
	if b.self, err = os.Executable(); err != nil {
		return fmt.Errorf("cannot find myself: %w", err)
	}
	if b.dir, err = os.MkdirTemp("", "oob-bench-"); err != nil {
		return fmt.Errorf("cannot make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	events, environ := startEvents()
	defer events.Close()
	b.environ = environ
	for _, f := range figures {
		if !strings.HasPrefix(f.name, *only) && !strings.HasPrefix(*only, f.name) {
			continue
		}
		if err := f.measure(b, ctx); err != nil {
			// The other figures are worth as much without this one.
			fmt.Printf("# %s: cannot be measured: %v\n", f.name, err)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("cannot measure %s: %w", f.name, err)
		}
	}
	return nil
}

// series are the values of one figure, a run each.
type series []float64

// median is the middle value.
func (s series) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[len(sorted)/2]
}

// peer is what a figure stands beside.
type peer struct {
	name   string
	values series // empty if the peer is not on this machine
}

// report prints one figure.
func report(name, unit string, ours series, p *peer) {
	fmt.Printf("# %s runs%s\n", name, values(ours))
	line := fmt.Sprintf("bench %s %.3g %s", name, ours.median(), unit)
	switch {
	case p == nil:
	case len(p.values) == 0:
		line += fmt.Sprintf(" peer %s absent", p.name)
	default:
		fmt.Printf("# %s runs of %s%s\n", name, p.name, values(p.values))
		line += fmt.Sprintf(" peer %s %.3g ratio %.2f", p.name, p.values.median(), ours.median()/p.values.median())
	}
	fmt.Println(line)
}

// values lists a series.
func values(s series) string {
	var b strings.Builder
	for _, v := range s {
		fmt.Fprintf(&b, " %.3g", v)
	}
	return b.String()
}
