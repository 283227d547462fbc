package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"provision-plugins/shared/model"
)

// maxLine bounds one event's line, in characters.
const maxLine = 500

// describer turns events into lines, one a line, and leaves out what was told
// already. It is used from one goroutine.
type describer struct {
	// runs is set once the endpoint was seen to send run events: these tell how
	// an action ended, so that the bare action events are left out.
	runs bool
	// told is the power state last told of a machine, by its uuid.
	told map[string]model.PowerState
}

// describe returns the line for an event, "" for one that is not told. A field
// that is missing or of another type reads as empty.
func (d *describer) describe(e *model.Event) string {
	var line string
	switch {
	case e.Type == "runs":
		d.runs = true
		line = d.run(e)
	case e.Type == "machines" && e.Action == "power":
		line = d.power(e)
	case e.Type == "machines" && !d.runs:
		line = action(e)
	}
	return cut(strings.Join(strings.Fields(line), " "))
}

// run tells how an action ended.
func (d *describer) run(e *model.Event) string {
	var run model.Run
	if e.Action != "update" || model.Remarshal(e.Object, &run) != nil || !run.State.Terminal() {
		return ""
	}
	head := fmt.Sprintf("%s %s", run.Name, run.Command)
	switch {
	case run.State == model.RunDone:
		return fmt.Sprintf(":white_check_mark: %s: %s%s", head, d.result(&run), asked(&run))
	case run.State == model.RunUnknown:
		return fmt.Sprintf(":warning: %s: outcome unknown, look before you act: %s%s", head, errorText(run.Error), asked(&run))
	}
	return fmt.Sprintf(":x: %s failed: %s%s", head, errorText(run.Error), asked(&run))
}

// result words a done run's result and remembers the power state it tells.
func (d *describer) result(run *model.Run) string {
	var r model.Result
	// A result of another shape (a driver's own action) has nothing to word.
	if model.Unmarshal(run.Result, &r) != nil || r.Outcome == "" {
		return "done"
	}
	if r.Power != "" {
		d.told[run.Key] = r.Power
	}
	words := []string{string(r.Outcome)}
	if r.Changed != nil && !*r.Changed {
		words = append(words, "nothing to change")
	}
	for _, w := range []string{r.Evidence, r.Note} {
		if w != "" {
			words = append(words, w)
		}
	}
	return strings.Join(words, "; ")
}

// power tells a power change that no run told.
func (d *describer) power(e *model.Event) string {
	var p model.PowerChange
	if model.Remarshal(e.Object, &p) != nil || p.Power == "" || d.told[p.Uuid] == p.Power {
		return ""
	}
	d.told[p.Uuid] = p.Power
	if p.Was == "" {
		return fmt.Sprintf(":electric_plug: %s is %s", p.Name, p.Power)
	}
	return fmt.Sprintf(":electric_plug: %s is now %s (was %s)", p.Name, p.Power, p.Was)
}

// action tells that an action was asked for, where an endpoint sends no runs.
func action(e *model.Event) string {
	known := slices.ContainsFunc(model.Actions(), func(row model.ActionInfo) bool {
		return row.Command == e.Action && row.Class != model.Read
	})
	var m struct{ Name string }
	if !known || model.Remarshal(e.Object, &m) != nil {
		return ""
	}
	if m.Name == "" {
		m.Name = e.Key
	}
	line := fmt.Sprintf(":arrow_right: %s %s", m.Name, e.Action)
	if e.Principal != "" {
		line += " (" + e.Principal + ")"
	}
	return line
}

// asked tells who asked for a run, why, and how long it took.
func asked(run *model.Run) string {
	words := []string{run.Principal}
	if run.Reason != "" {
		words = append(words, run.Reason)
	}
	if took := run.Ended.Sub(run.Created); took > 0 {
		words = append(words, took.Round(100*time.Millisecond).String())
	}
	return " (" + strings.Join(words, ", ") + ")"
}

// errorText words a run's error.
func errorText(e *model.Error) string {
	if e == nil {
		return "no cause given"
	}
	return fmt.Sprintf("%s: %s", e.Kind(), e.Text())
}

// cut shortens a line to maxLine characters.
func cut(line string) string {
	if runes := []rune(line); len(runes) > maxLine {
		return string(runes[:maxLine-1]) + "…"
	}
	return line
}
