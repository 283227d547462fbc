package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"provision-plugins/oob/bar"
	"provision-plugins/shared/hostlist"
	"provision-plugins/shared/model"
)

// answer is what came back for one machine: a result or an error.
type answer struct {
	machine machine
	run     string
	raw     json.RawMessage
	err     *model.Error
}

// unsent reports whether nothing was sent to the machine.
func (ans answer) unsent() bool { return ans.err != nil && errors.Is(ans.err, errNotSent) }

// report gathers answers and prints them: as JSON each as it comes, else one
// line for all machines that answered alike.
type report struct {
	app   *app
	verb  string
	total int
	each  bool
	pace  pacing
	// patient tells that what was sent is waited for after an interrupt.
	patient bool
	done    int
	failed  int // those that nothing was sent to are not among them
	unsent  int
	exit    int // of the worst that failed
	good    *folder[string]
	bad     *folder[string]
	ladders *folder[ladder] // nil unless answers are ladders of checks
	bar     *bar.Bar        // nil where there is none
	err     error           // of printing
}

// newReport starts a report on total machines.
func newReport(a *app, verb string, total int, each bool) *report {
	r := &report{app: a, verb: verb, total: total, each: each, good: newFolder[string](), bad: newFolder[string]()}
	if a.columns != nil && !a.flags.json && total > 1 {
		r.bar = bar.New(a.stderr, a.columns)
	}
	return r
}

// jsonAnswer is an answer as --json prints it.
type jsonAnswer struct {
	Machine string          `json:"machine"`
	Run     string          `json:"run,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *model.Error    `json:"error,omitempty"`
	NotSent bool            `json:"notSent,omitempty"`
}

// add takes one answer.
func (r *report) add(ans answer) {
	if r.addLadder(ans) {
		return
	}
	r.count(ans)
	if r.app.flags.json {
		line := jsonAnswer{ans.machine.name, ans.run, ans.raw, ans.err, ans.unsent()}
		if len(line.Result) == 0 && ans.err == nil {
			line.Result = json.RawMessage("null")
		}
		r.printJSON(line)
		return
	}
	if (r.each || r.total == 1) && !ans.unsent() {
		r.bar.Clear()
		r.print(ans.err != nil, ans.machine.name, ans.text())
		return
	}
	if ans.err != nil {
		r.fold(r.bad, ans)
	} else {
		r.fold(r.good, ans)
	}
}

// printJSON prints one line of JSON.
func (r *report) printJSON(line jsonAnswer) {
	if err := r.app.printJSON(line); err != nil && r.err == nil {
		r.err = err
	}
}

// count counts an answer.
func (r *report) count(ans answer) {
	r.done++
	switch {
	case ans.err == nil:
	case ans.unsent():
		r.unsent++
	default:
		r.failed++
		r.exit = max(r.exit, model.ExitCode(ans.err))
	}
}

// enough is the error for the machines that are left alone because too many
// have failed; nil as long as they have not.
func (r *report) enough() *model.Error {
	if r.pace.maxFailures == 0 || r.failed < r.pace.maxFailures {
		return nil
	}
	return tooManyFailed(r.failed)
}

// fold adds an answer to those like it. A machine that is alone with its
// answer is shown in full. Of several, what they share is shown: errors in
// full if they are the same, results without their evidence.
func (r *report) fold(f *folder[string], ans answer) {
	key, text := ans.foldKey(), ans.text()
	g := f.add(key, ans.machine.name, text)
	if len(g.names) > 1 && (ans.err == nil || g.value != text) {
		g.value = key
	}
}

// print prints one line; errors go to stderr.
func (r *report) print(bad bool, names, text string) {
	var w io.Writer = r.app.stdout
	if bad {
		w = r.app.stderr
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", clean(names), clean(text))
	r.printed(err)
}

// printed notes what came of printing.
func (r *report) printed(err error) {
	if err != nil && r.err == nil {
		r.err = model.Errorf(model.Internal, "cannot print: %w", err)
	}
}

// progress redraws the progress bar on a terminal.
func (r *report) progress() {
	note := ""
	if r.failed > 0 {
		note = fmt.Sprintf("%d failed", r.failed)
	}
	r.bar.Draw(bar.State{Label: r.verb, Done: r.done, Total: r.total, Note: note})
}

// finish prints what was folded, and returns the error to exit with.
func (r *report) finish() error {
	r.bar.Clear()
	r.printLadders()
	r.printFolds(r.good, false)
	r.printFolds(r.bad, true)
	switch {
	case r.err != nil:
		return r.err
	case r.failed+r.unsent == 0:
		return nil
	case r.failed == 0: // else what was not sent is a consequence
		r.exit = model.Busy.Info().Exit
	}
	if r.total == 1 {
		return &failure{code: r.exit}
	}
	return &failure{r.exit, r.summary()}
}

// summary is the last line of a report that tells of failures.
func (r *report) summary() string {
	text := fmt.Sprintf("%s did not succeed on %d of %s", r.verb, r.failed+r.unsent, count(r.total, "machine"))
	if r.unsent == 0 {
		return text
	}
	parts := []string{}
	if r.failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", r.failed))
	}
	return text + ": " + strings.Join(append(parts, fmt.Sprintf("%d not sent", r.unsent)), ", ")
}

// printFolds prints one line for each fold.
func (r *report) printFolds(f *folder[string], bad bool) {
	for _, g := range f.list() {
		r.print(bad, hostlist.Fold(g.names), g.value)
	}
}
