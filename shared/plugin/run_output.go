package plugin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"provision-plugins/shared/inventory"
	"provision-plugins/shared/model"
)

// runner runs one action on many machines.
type runner struct {
	program     *program
	actor       Actor
	command     string
	params      model.Params
	concurrency int           // machines at a time
	deadline    time.Duration // of each machine's action; 0 is none
}

// okLine is the line of a machine that succeeded.
type okLine struct {
	Machine string `json:"machine"`
	Result  any    `json:"result"`
}

// errorLine is the line of a machine that failed.
type errorLine struct {
	Machine string   `json:"machine"`
	Error   runError `json:"error"`
}

// runError is how a machine failed.
type runError struct {
	Kind model.Kind `json:"kind"`
	Text string     `json:"text"`
}

// summary counts outcomes.
type summary struct {
	total, ok, skipped int
	failed             map[model.Kind]int
	began              time.Time
	output             error // why the output could not be written
}

// answered is a machine's finished line.
type answered struct {
	line []byte
	kind model.Kind // empty for success
}

// run works through rows, and writes each answer as it comes. No further row is
// begun once ctx has ended or the output is lost; those begun have work as their
// context.
func (r *runner) run(ctx, work context.Context, w io.Writer, rows []inventory.Row) *summary {
	sum := &summary{total: len(rows), failed: map[model.Kind]int{}, began: time.Now()}
	r.shorten(rows)
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	answers := make(chan answered, r.concurrency)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(r.concurrency, len(rows)) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(rows) {
					return
				}
				answers <- r.one(work, &rows[i])
			}
		})
	}
	go func() {
		workers.Wait()
		close(answers)
	}()
	sum.write(w, answers, enough)
	return sum
}

// one runs the action on one machine.
func (r *runner) one(ctx context.Context, row *inventory.Row) answered {
	v, err := r.bounded(ctx, row)
	if err == nil {
		raw, failed := model.Marshal(okLine{row.Name, v})
		if failed == nil {
			return answered{line: raw, kind: failureIn(v)}
		}
		err = model.Errorf(model.Internal, "cannot encode the answer: %w", failed)
	}
	e := model.AsError(err)
	secrets := append(model.SecretValues(row.Params, r.program.secure), model.SecretValues(r.params, r.program.secure)...)
	raw, _ := model.Marshal(errorLine{row.Name, runError{e.Kind(), model.Redact(e.Text(), secrets)}}) // strings encode
	return answered{line: raw, kind: e.Kind()}
}

// report is an answer that tells of several things, some of which may have failed.
type report interface {
	// Err joins what failed; nil if nothing did.
	Err() error
}

// failureIn is the kind of what an answer reports to have failed, such as the
// checks of a doctor; empty if it reports none.
func failureIn(v any) model.Kind {
	r, ok := v.(report)
	if !ok {
		return ""
	}
	err := r.Err()
	if err == nil {
		return ""
	}
	return model.KindOf(err)
}

// act calls the implementation; its panic is this machine's error only.
func (r *runner) act(ctx context.Context, row *inventory.Row) (v any, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			kind := model.Internal
			if model.ActionOf(r.command, r.program.def.Meta).Class == model.Once {
				kind = model.UnknownOutcome
			}
			v, err = nil, model.Errorf(kind, "cannot finish %s: internal error: %v at %s", r.command, cause, panicPlace())
		}
	}()
	return r.actor.Action(ctx, &model.Action{
		Model:   &model.Machine{Name: row.Name, Params: row.Params},
		Plugin:  r.program.name,
		Command: r.command,
		Params:  r.params,
	})
}

// panicPlace is where in the code the panic under recovery began, in one line.
func panicPlace() string {
	lines := strings.Split(string(debug.Stack()), "\n")
	for i, line := range lines {
		// After the line of panic itself come its place, the function that
		// panicked and that function's place.
		if strings.HasPrefix(line, "panic(") && i+3 < len(lines) {
			return oneLine(lines[i+3], 200)
		}
	}
	return "an unknown place"
}

// write writes lines as they come. It flushes when no further line is ready, and
// calls lost when the lines no longer go anywhere.
func (s *summary) write(w io.Writer, answers <-chan answered, lost func()) {
	out := bufio.NewWriterSize(w, 64<<10)
	for a := range answers {
		if a.kind == "" {
			s.ok++
		} else {
			s.failed[a.kind]++
		}
		_, _ = out.Write(append(a.line, '\n')) // Flush tells of an error
		if len(answers) > 0 {
			continue
		}
		if s.output = out.Flush(); s.output != nil {
			lost()
		}
	}
	s.output = out.Flush()
}

// exitCode is the worst failure's. Machines that were never tried count as
// timed out.
func (s *summary) exitCode() int {
	worst := 0
	for kind := range s.failed {
		worst = max(worst, kind.Info().Exit)
	}
	if s.untried() > 0 {
		worst = max(worst, model.Timeout.Info().Exit)
	}
	if s.output != nil {
		worst = max(worst, model.Internal.Info().Exit)
	}
	return worst
}

// untried is how many machines were left when the run was interrupted, or its
// output lost.
func (s *summary) untried() int {
	n := s.total - s.ok
	for _, failed := range s.failed {
		n -= failed
	}
	return n
}

// print writes the one-line summary.
func (s *summary) print(w io.Writer, what string) {
	parts := []string{fmt.Sprintf("%d of %d ok", s.ok, s.total)}
	for _, row := range model.Kinds() {
		if n := s.failed[row.Kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, row.Kind))
		}
	}
	if n := s.untried(); n > 0 && s.output == nil {
		parts = append(parts, fmt.Sprintf("%d not tried: interrupted", n))
	} else if n > 0 {
		parts = append(parts, fmt.Sprintf("%d not tried", n))
	}
	if s.skipped > 0 {
		parts = append(parts, fmt.Sprintf("%d of other drivers left out", s.skipped))
	}
	if s.output != nil {
		parts = append(parts, "output lost: "+oneLine(s.output.Error(), 200))
	}
	fmt.Fprintf(w, "%s: %s in %.2fs\n", what, strings.Join(parts, ", "), time.Since(s.began).Seconds())
}
