package main

import (
	"encoding/json"
	"fmt"
	"io"

	"provision-plugins/oob/hostlist"
	"provision-plugins/shared/model"
)

// answer is what came back for one machine: a result or an error.
type answer struct {
	machine machine
	run     string
	raw     json.RawMessage
	err     *model.Error
}

// report gathers answers and prints them: as JSON each as it comes, else one
// line for all machines that answered alike.
type report struct {
	app    *app
	verb   string
	total  int
	each   bool
	done   int
	failed int
	exit   int
	good   *folder[string]
	bad    *folder[string]
	shown  bool  // a progress line
	err    error // of printing
}

// newReport starts a report on total machines.
func newReport(a *app, verb string, total int, each bool) *report {
	return &report{app: a, verb: verb, total: total, each: each, good: newFolder[string](), bad: newFolder[string]()}
}

// jsonAnswer is an answer as --json prints it.
type jsonAnswer struct {
	Machine string          `json:"machine"`
	Run     string          `json:"run,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *model.Error    `json:"error,omitempty"`
}

// add takes one answer.
func (r *report) add(ans answer) {
	r.done++
	if ans.err != nil {
		r.failed++
		r.exit = max(r.exit, model.ExitCode(ans.err))
	}
	if r.app.flags.json {
		line := jsonAnswer{ans.machine.name, ans.run, ans.raw, ans.err}
		if len(line.Result) == 0 && ans.err == nil {
			line.Result = json.RawMessage("null")
		}
		if err := r.app.printJSON(line); err != nil && r.err == nil {
			r.err = err
		}
		return
	}
	if r.each || r.total == 1 {
		r.print(ans.err != nil, ans.machine.name, ans.text())
		return
	}
	if ans.err != nil {
		r.fold(r.bad, ans)
	} else {
		r.fold(r.good, ans)
	}
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
	if _, err := fmt.Fprintf(w, "%s: %s\n", clean(names), clean(text)); err != nil && r.err == nil {
		r.err = model.Errorf(model.Internal, "cannot print: %w", err)
	}
}

// progress rewrites the progress line on a terminal.
func (r *report) progress() {
	if !r.app.progress || r.app.flags.json || r.each || r.total == 1 {
		return
	}
	r.shown = true
	text := fmt.Sprintf("%s: %d of %d answered", r.verb, r.done, r.total)
	if r.failed > 0 {
		text += fmt.Sprintf(", %d failed", r.failed)
	}
	fmt.Fprint(r.app.stderr, eraseLine+text)
}

// eraseLine goes to the beginning of a terminal's line and empties it.
const eraseLine = "\r\x1b[K"

// finish prints what was folded, and returns the error to exit with.
func (r *report) finish() error {
	if r.shown {
		fmt.Fprint(r.app.stderr, eraseLine)
	}
	r.printFolds(r.good, false)
	r.printFolds(r.bad, true)
	switch {
	case r.err != nil:
		return r.err
	case r.failed == 0:
		return nil
	case r.total == 1:
		return &failure{code: r.exit}
	}
	return &failure{r.exit, fmt.Sprintf("%s did not succeed on %d of %s", r.verb, r.failed, count(r.total, "machine"))}
}

// printFolds prints one line for each fold.
func (r *report) printFolds(f *folder[string], bad bool) {
	for _, g := range f.list() {
		r.print(bad, hostlist.Fold(g.names), g.value)
	}
}
