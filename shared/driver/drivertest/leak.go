package drivertest

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// labelName is the label of the goroutines of a case.
const labelName = "drivertest"

// noneLeft labels the goroutine of a case, and with it all that it starts, and
// checks when everything else of the case is over that none of them is left. So
// cases can run side by side and each is told of its own.
func noneLeft(tb testing.TB, cfg *Config, name string) {
	tb.Helper()
	// Its own address makes the label unlike that of the same case elsewhere.
	value := fmt.Sprintf("%s %p", name, cfg)
	tb.Cleanup(func() {
		pprof.SetGoroutineLabels(context.Background()) // this one is the test's own
		ctx, cancel := context.WithTimeout(context.Background(), cfg.Grace)
		defer cancel()
		if left := awaitNone(ctx, value); left != "" {
			tb.Errorf("after the case: goroutines are left:\n%s", left)
		}
	})
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(labelName, value)))
}

// awaitNone waits until no goroutine has the label, and returns those that have
// it when ctx ends.
func awaitNone(ctx context.Context, value string) string {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		left := labelled(value)
		if left == "" {
			return ""
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return left
		}
	}
}

// labelled returns the stacks of the goroutines with the label.
func labelled(value string) string {
	var all bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&all, 1) // a buffer takes everything
	label := fmt.Sprintf("%q:%q", labelName, value)
	var out []string
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(stack, label) {
			out = append(out, stack)
		}
	}
	return strings.Join(out, "\n\n")
}
