// Command demo runs the main job on simulated hardware and checks its outcome:
// it starts an endpoint with the plugins in its plugin dir, simulated BMCs and
// a simulated Slack workspace, drives them with oob, and compares what was
// answered with what the simulators executed. Run it from the repository's
// root, after the build.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"provision-plugins/shared/model"
)

// The exit codes.
const (
	exitPassed    = 0
	exitFailed    = 1 // a check failed, and was named
	exitBad       = 2 // bad usage, or a patch that no longer applies
	exitUnnoticed = 3 // sabotage that no check, or another check, noticed
)

// limit bounds the whole demo, without the build.
const limit = 2 * time.Minute

func main() { os.Exit(run(os.Args[1:], os.Stdout)) }

// run is main with its exit code.
func run(args []string, out io.Writer) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	keep := flags.Bool("keep", false, "leave everything running until interrupted")
	broken := flags.String("sabotage", "", "break the suite on `NAME`; the demo must then fail")
	list := flags.Bool("list-sabotage", false, "list the names and exit")
	bin := flags.String("bin", "bin", "`folder` of the built programs")
	if flags.Parse(args) != nil || flags.NArg() > 0 {
		return exitBad
	}
	if *list {
		for _, s := range sabotages {
			fmt.Fprintln(out, s.name)
		}
		return exitPassed
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// A reader that goes away (demo | head) must not end us before we tidy up.
	signal.Ignore(syscall.SIGPIPE)
	s, err := findSabotage(*broken)
	if err != nil {
		fmt.Fprintln(out, "demo:", text(err))
		return exitBad
	}
	return show(ctx, out, *bin, s, *keep)
}

// show starts the world, runs the script or waits, and tears everything down.
func show(ctx context.Context, out io.Writer, bin string, s sabotage, keep bool) int {
	w, err := newWorld(ctx, out, bin, s, keep)
	if err != nil {
		fmt.Fprintln(out, "demo:", text(err))
		if errors.Is(err, errSabotage) {
			return exitBad
		}
		return exitFailed
	}
	if keep {
		return wait(ctx, w)
	}
	err = errors.Join(w.playWithin(ctx, limit), w.close())
	if err == nil {
		err = w.nothingLeft()
	}
	return verdict(w, s, err)
}

// playWithin plays, and tells the end of ctx or of the time from a check that
// failed because of it.
func (w *world) playWithin(ctx context.Context, limit time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := w.play(bounded)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errors.New("interrupted")
	case bounded.Err() != nil:
		return fmt.Errorf("not done within %v: %s", limit, text(err)) // whatever it was at then is no check that failed
	}
	return err
}

// wait leaves the world running until ctx ends.
func wait(ctx context.Context, w *world) int {
	err := w.prepare(ctx)
	if err == nil {
		w.howTo()
		select {
		case <-ctx.Done():
		case err = <-w.served:
			w.served <- err
		}
	}
	if err = errors.Join(err, w.close()); err != nil {
		w.say("demo: %s", text(err))
		return exitFailed
	}
	return exitPassed
}

// verdict prints the last line and returns the exit code.
func verdict(w *world, s sabotage, err error) int {
	var failed *checkError
	switch {
	case err == nil && s.name != "":
		w.say("demo: sabotage %s was noticed by no check", s.name)
		return exitUnnoticed
	case err == nil:
		w.say("demo: %d checks passed", w.passed)
		return exitPassed
	case s.name != "" && (!errors.As(err, &failed) || failed.check != s.check):
		w.say("demo: sabotage %s was not noticed by check %q but by: %s", s.name, s.check, text(err))
		return exitUnnoticed
	}
	w.say("demo: FAILED: %s", text(err))
	return exitFailed
}

// text is an error's text for people: without the wire's head.
func text(err error) string {
	if e, ok := err.(*model.Error); ok { //nolint:errorlint // a wrapped one has its own text
		return e.Text()
	}
	return err.Error()
}
