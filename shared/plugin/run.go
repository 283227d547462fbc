package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"provision-plugins/shared/inventory"
	"provision-plugins/shared/model"
)

const (
	defaultConcurrency = 128
	maxConcurrency     = 10_000
)

// runOptions are the flags of run.
type runOptions struct {
	targets     string
	params      []string
	paramFiles  []string
	paramEnvs   []string
	concurrency int
	deadline    time.Duration
	json        bool
	log         slog.Level
}

// newRunCommand runs an action on machines without any endpoint.
func (p *program) newRunCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run ACTION",
		Short: "Run an action on machines, without an endpoint",
		Long: "Run an action on the machines of an inventory, or on the one that the params name.\n\n" +
			"One JSON line is printed for each machine, as its answer comes. The exit code is 0\n" +
			"only if all succeeded, else that of the worst failure: 2 invalid, 3 not found,\n" +
			"4 unsupported, 5 conflict, 6 busy, 7 forbidden, 8 refused by the device,\n" +
			"9 unreachable, 10 timeout, 11 internal, 12 outcome unknown.\n\n" +
			"Secrets come from a file, the environment or standard input, never from the\n" +
			"command line, which every user of the computer can read.",
		SilenceUsage: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return badInput("cannot run: name one action, such as run powerstatus --targets FILE")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			// How each machine failed is in its line of output already.
			o.log = slog.LevelError
			if cmd.Flags().Changed("log") {
				o.log = p.level
			}
			return p.run(cmd, &o, args[0])
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return badInput("cannot run: %w", err) })
	f := cmd.Flags()
	f.StringVar(&o.targets, "targets", "", "inventory CSV of machines, - for standard input")
	f.StringArrayVar(&o.params, "param", nil, "NAME=VALUE for every machine; JSON where it parses")
	f.StringArrayVar(&o.paramFiles, "param-file", nil, "NAME=FILE: the value stands in a file, - for standard input")
	f.StringArrayVar(&o.paramEnvs, "param-env", nil, "NAME=VARIABLE: the value stands in the environment")
	f.IntVar(&o.concurrency, "concurrency", defaultConcurrency, "machines at a time")
	f.DurationVar(&o.deadline, "deadline", 0, "bound on the whole action of each machine, such as 2s; 0 leaves each its oob/timeout")
	f.BoolVar(&o.json, "json", false, "print JSON lines, which is what is printed anyway")
	return cmd
}

// badInput is an error that ends the process as invalid.
func badInput(format string, args ...any) error {
	err := model.Errorf(model.Invalid, format, args...)
	return &exitError{code: model.ExitCode(err), cause: errors.New(err.Text())}
}

// run runs the command.
func (p *program) run(cmd *cobra.Command, o *runOptions, action string) error {
	actor, err := p.actorFor(action)
	if err != nil {
		return err
	}
	if o.concurrency < 1 || o.concurrency > maxConcurrency {
		return badInput("cannot run %s: --concurrency must be from 1 to %d", action, maxConcurrency)
	}
	if err := checkDeadline(o.deadline); err != nil {
		return err
	}
	params, err := p.flagParams(o, cmd.InOrStdin())
	if err != nil {
		return badInput("cannot run %s: %w", action, err)
	}
	t, err := p.targets(o, params, cmd.InOrStdin())
	if err != nil {
		return badInput("cannot run %s: %w", action, err)
	}
	defer sparingly(os.Getenv)()
	if cmd.Root() == App { // the process is this program's alone
		defer narrowly(os.Getenv)()
	}
	// A reader that goes away (run | head) ends the output, not what was begun.
	defer ignoreBrokenPipes()()
	ctx, unregister := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer unregister()
	// A second interrupt ends the process at once.
	defer context.AfterFunc(ctx, unregister)()
	logger := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: o.log}))
	if err := p.configureAlone(ctx, logger, params); err != nil {
		return err
	}
	work, end := p.lasting(ctx, cmd.ErrOrStderr())
	if model.ActionOf(action, p.def.Meta).Class == model.Read {
		work = ctx // nothing is lost by ending it
	}
	r := &runner{program: p, actor: actor, command: action, params: params, concurrency: o.concurrency, deadline: o.deadline}
	sum := r.run(ctx, work, cmd.OutOrStdout(), t.rows)
	end()
	sum.skipped = t.skipped
	sum.print(cmd.ErrOrStderr(), cmd.CommandPath()+" "+action)
	if code := sum.exitCode(); code != 0 {
		cmd.SilenceErrors = true // the summary has said it
		return &exitError{code: code, cause: errors.New("not every machine succeeded")}
	}
	return nil
}

// actorFor checks that the plugin has the action.
func (p *program) actorFor(action string) (Actor, error) {
	var names []string
	for _, a := range p.def.AvailableActions {
		if a.Model == "machines" {
			names = append(names, a.Command)
		}
	}
	actor, ok := p.impl.(Actor)
	if !ok || len(names) == 0 {
		return nil, badInput("cannot run %s: %s has no actions on machines", action, p.name)
	}
	if !slices.Contains(names, action) {
		slices.Sort(names)
		return nil, badInput("cannot run %q: %s has no such action; it has %s", cut(action, 64), p.name, strings.Join(names, ", "))
	}
	return actor, nil
}

// configureAlone configures the implementation as its endpoint would, with the
// params of the command line.
func (p *program) configureAlone(ctx context.Context, logger *slog.Logger, params model.Params) error {
	if impl, ok := p.impl.(Logged); ok {
		impl.SetLogger(logger)
	}
	c, err := newClient()
	if err != nil {
		return badInput("cannot run: %w", err)
	}
	config := model.Params{nameParam: p.name}
	for name, v := range params {
		config[name] = v
	}
	if err := p.impl.Config(ctx, c, config); err != nil {
		e := model.AsError(err)
		return &exitError{code: model.ExitCode(e), cause: fmt.Errorf("cannot configure %s: %s", p.name, e.Text())}
	}
	return nil
}

// lasting returns the context of actions that change something. It outlives ctx:
// what was begun when an interrupt came goes on, bounded by the implementation's
// Stop, so that its outcome is told. end stops the implementation if no
// interrupt did, and waits for that.
func (p *program) lasting(ctx context.Context, stderr io.Writer) (work context.Context, end func()) {
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	finished, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ctx.Done():
			fmt.Fprintf(stderr, "%s: interrupted: waiting for what was begun; another interrupt ends it at once\n", p.name)
		case <-finished:
		}
		p.stopAlone(ctx, stderr)
		// Those that are done are about to answer; the others did not hear.
		select {
		case <-finished:
		case <-time.After(p.timing.flushLimit):
		}
		cancel(errStopping)
	}()
	return work, func() {
		close(finished)
		<-stopped
	}
}

// stopAlone lets the implementation pay what it owes and close what it holds,
// also after an interrupt.
func (p *program) stopAlone(ctx context.Context, stderr io.Writer) {
	stopper, ok := p.impl.(Stopper)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timing.stopGrace)
	defer cancel()
	if err := stopper.Stop(ctx); err != nil {
		fmt.Fprintf(stderr, "%s: cannot finish in order: %s\n", p.name, model.AsError(err).Text())
	}
}

// columns is what the inventory's columns mean for a driver. Rows of another
// driver are read, and left out later.
func (p *program) columns(driver string) (inventory.Columns, error) {
	if driver != "" && driver != p.def.Name {
		return foreignColumns(), nil
	}
	var out inventory.Columns
	if text := p.def.Meta[model.MetaColumns]; text != "" {
		if err := model.Unmarshal([]byte(text), &out); err != nil {
			return nil, fmt.Errorf("the plugin's own %s cannot be read: %w", model.MetaColumns, err)
		}
	}
	return out, nil
}
