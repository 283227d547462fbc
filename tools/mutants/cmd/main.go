// Command cmd shows that the tests notice what they are there for: it breaks one
// line of the suite at a time, and runs the tests that must fail then.
//
//	go run ./tools/mutants/cmd [NAME...]
//
// Run it from the repository's root. Without names it tries every patch of
// tools/mutants. The exit code is 1 if a broken line was not noticed, and 2 if a
// patch does not apply or compile any more, or its tests are gone.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/tools/mutants"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, ".", os.Args[1:], os.Stdout)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	allCaught = 0
	survived  = 1
	unusable  = 2
)

// run tries the named patches, or all, and returns the exit code.
func run(ctx context.Context, root string, names []string, out io.Writer) int {
	scratch, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		fmt.Fprintln(out, "mutants: cannot make a folder:", err)
		return unusable
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // only temporary files
	if len(names) == 0 {
		names, err = mutants.Names(root)
		if err != nil || len(names) == 0 {
			fmt.Fprintln(out, "mutants: no patches found", err)
			return unusable
		}
	}
	code, caught := allCaught, 0
	for _, name := range names {
		if ctx.Err() != nil {
			fmt.Fprintln(out, "mutants: interrupted")
			return unusable
		}
		result := try(ctx, root, scratch, name, out)
		if result == allCaught {
			caught++
		}
		code = max(code, result)
	}
	fmt.Fprintf(out, "mutants: %d of %d caught\n", caught, len(names))
	return code
}

// try tries one patch, tells what came of it and returns the exit code for it.
func try(ctx context.Context, root, scratch, name string, out io.Writer) int {
	p, err := mutants.Load(root, name)
	var v mutants.Verdict
	if err == nil {
		v, err = p.Test(ctx, root, scratch)
	}
	switch {
	case err != nil:
		fmt.Fprintf(out, "mutant %s ERROR: %s\n", name, model.AsError(err).Text())
		return unusable
	case v.Caught():
		fmt.Fprintf(out, "mutant %s caught by %s in %s (%v)\n", name, v.Test, v.Package, v.Took.Round(100*time.Millisecond))
		return allCaught
	}
	fmt.Fprintf(out, "mutant %s SURVIVED: nothing noticed that it %s\n", name, p.Why)
	return survived
}
