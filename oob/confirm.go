package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"provision-plugins/shared/hostlist"
	"provision-plugins/shared/model"
)

// confirm asks whether to do what to machines.
func (a *app) confirm(ctx context.Context, what string, names []string, yes bool) error {
	return a.confirmThe(ctx, what, "machine", names, yes)
}

// confirmThe asks whether to do what to things of a kind, having counted them. With
// yes it only tells, on a terminal; without a terminal yes is required.
func (a *app) confirmThe(ctx context.Context, what, kind string, names []string, yes bool) error {
	doing := fmt.Sprintf("%s %s: %s", what, count(len(names), kind), hostlist.Fold(names))
	if yes {
		if a.ask { // whoever looks on may still interrupt
			fmt.Fprintln(a.stderr, clean(doing))
		}
		return nil
	}
	if !a.ask {
		return usage("%s: --yes is required without a terminal", doing)
	}
	fmt.Fprintf(a.stderr, "%s. Continue? [y/N] ", clean(doing))
	switch strings.ToLower(strings.TrimSpace(a.answer(ctx))) {
	case "y", "yes":
		return nil
	}
	return model.Errorf(model.Invalid, "not confirmed: nothing was sent")
}

// answer reads one line from the terminal; empty if it ends or ctx does.
func (a *app) answer(ctx context.Context) string {
	line := make(chan string, 1)
	// A read of a terminal cannot be cut short: after an interrupt this
	// goroutine ends with the process, which is next.
	go func() {
		text, err := bufio.NewReader(a.stdin).ReadString('\n')
		if err != nil {
			fmt.Fprintln(a.stderr)
			text = ""
		}
		line <- text
	}()
	select {
	case text := <-line:
		return text
	case <-ctx.Done():
		fmt.Fprintln(a.stderr)
		return ""
	}
}

// count is "1 machine" or "2 machines".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
