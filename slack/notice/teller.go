package notice

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"

	"provision-plugins/shared/model"
)

// maxTold bounds how many machines' states are remembered; beyond it a state may
// be told once more.
const maxTold = 50_000

// offCommands are the actions by which a machine may come to be off.
var offCommands = []string{"poweroff", "powersoft", "powercycle", "powerreset"}

// Teller turns events into notices. It may be used by several goroutines.
type Teller struct {
	mu sync.Mutex // guards all below
	// runs is set once the endpoint was seen to send run events: these tell how
	// an action ended, so that the bare action events are left out.
	runs bool
	// told is the power state last told of a machine, by its uuid.
	told map[string]model.PowerState
	// asked is the last action by which somebody asked for a machine to be off.
	asked map[string]asking
	// redact masks secrets in texts, before these are cut.
	redact func(text string) string
}

// asking is an action that switches a machine off, if only for a while.
type asking struct {
	by      string
	running bool
}

// NewTeller returns a teller that has told nothing; redact masks secrets in texts,
// nil for none.
func NewTeller(redact func(text string) string) *Teller {
	if redact == nil {
		redact = func(text string) string { return text }
	}
	return &Teller{told: map[string]model.PowerState{}, asked: map[string]asking{}, redact: redact}
}

// Tell returns what is to be told of an event, nil for nothing. A field that is
// missing or of another type reads as empty.
func (t *Teller) Tell(e *model.Event) *Notice {
	t.mu.Lock()
	defer t.mu.Unlock()
	var n *Notice
	switch {
	case e.Type == "runs":
		t.runs = true
		n = t.run(e)
	case e.Type == "machines" && e.Action == "power":
		n = t.power(e)
	case e.Type == "machines" && (e.Action == "create" || e.Action == "delete"):
		n = machine(e)
	case e.Type == "machines" && !t.runs:
		n = t.command(e)
	case e.Type == "plugins":
		n = plugin(e)
	case e.Type == "events" && e.Action == "missed":
		n = missed(e)
	}
	if n == nil {
		return nil
	}
	n.Type, n.Action, n.Key, n.Time = e.Type, e.Action, e.Key, e.Time
	n.Title, n.Detail = cut(oneLine(t.redact(n.Title)), maxTitle), tail(t.redact(n.Detail))
	n.Principal, n.Reason = t.redact(n.Principal), t.redact(n.Reason)
	for _, word := range []*string{&n.Type, &n.Action, &n.Key, &n.Machine, &n.Uuid, &n.Command, &n.Run, &n.Principal, &n.Reason} {
		*word = cut(oneLine(*word), maxWord)
	}
	n.Incident = key(n.Incident)
	return n
}

// key is an incident's key in a form that Slack takes for a block's id, and that
// says nothing wherever it is shown.
func key(text string) string {
	odd := func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune(":._-", r))
	}
	if len(text) <= maxKey && !strings.ContainsFunc(text, odd) {
		return text
	}
	kind, _, _ := strings.Cut(text, ":")
	return fmt.Sprintf("%s:~%x", kind, sha256.Sum256([]byte(text)))
}

// oneLine joins the words of a text.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// run tells how an action ended.
func (t *Teller) run(e *model.Event) *Notice {
	var run model.Run
	if model.Remarshal(e.Object, &run) != nil || run.Command == "" {
		return nil
	}
	n := &Notice{
		Machine: run.Name, Command: run.Command, Run: run.ID, Principal: run.Principal, Reason: run.Reason, State: run.State,
		Took: max(run.Ended.Sub(run.Created), 0), Detail: run.Log,
	}
	if run.Prefix == "" || run.Prefix == "machines" {
		n.Uuid, n.Incident = run.Key, trouble(run.Key)
	}
	t.ask(&run)
	head := run.Name + " " + run.Command
	switch run.State {
	case model.RunQueued, model.RunSent:
		if e.Action != "create" {
			return nil
		}
		n.Icon, n.Title, n.Started, n.Incident = ":hourglass_flowing_sand:", head, true, ""
	case model.RunDone:
		n.Icon, n.Title, n.Resolved = ":white_check_mark:", head+": "+t.result(&run), true
	case model.RunUnknown:
		n.Icon, n.Severity = ":warning:", Critical
		n.Title = head + ": outcome unknown, look before you act: " + errorText(run.Error)
	default:
		n.Icon, n.Severity = ":x:", failure(run.Error)
		n.Title = head + " failed: " + errorText(run.Error)
	}
	return n
}

// ask notes who asked for a machine to be off, and that nobody does any more when
// the action was refused.
func (t *Teller) ask(run *model.Run) {
	if !slices.Contains(offCommands, run.Command) || run.Prefix != "" && run.Prefix != "machines" {
		return
	}
	if len(t.asked) >= maxTold {
		clear(t.asked)
	}
	t.asked[run.Key] = asking{by: run.Principal, running: !run.State.Terminal()}
	if run.State == model.RunFailed && failure(run.Error) == Warning {
		delete(t.asked, run.Key)
	}
}

// trouble is the incident key of a machine.
func trouble(uuid string) string { return "machine:" + uuid }

// failure is how severe a failed run is. What was refused before anything was
// sent broke nothing.
func failure(e *model.Error) Severity {
	if e == nil {
		return Error
	}
	switch e.Kind() {
	case model.Invalid, model.NotFound, model.Unsupported, model.Conflict, model.Busy, model.RateLimited, model.Forbidden:
		return Warning
	}
	return Error
}

// result words a done run's result and remembers the power state it tells.
func (t *Teller) result(run *model.Run) string {
	var r model.Result
	// A result of another shape (a driver's own action) has nothing to word.
	if model.Unmarshal(run.Result, &r) != nil || r.Outcome == "" {
		return "done"
	}
	if r.Power != "" {
		t.remember(run.Key, r.Power)
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

// remember notes the state told of a machine. One that is on was asked for no
// more.
func (t *Teller) remember(uuid string, state model.PowerState) {
	if state == model.StateOn && !t.asked[uuid].running {
		delete(t.asked, uuid)
	}
	if len(t.told) >= maxTold {
		clear(t.told)
	}
	t.told[uuid] = state
}

// power tells a power change that no run told.
func (t *Teller) power(e *model.Event) *Notice {
	var p model.PowerChange
	if model.Remarshal(e.Object, &p) != nil || p.Power == "" || t.told[p.Uuid] == p.Power {
		return nil
	}
	t.remember(p.Uuid, p.Power)
	n := &Notice{Machine: p.Name, Uuid: p.Uuid, Icon: ":electric_plug:", Incident: trouble(p.Uuid), Resolved: p.Power == model.StateOn}
	if p.Was == "" {
		n.Title = fmt.Sprintf("%s is %s", p.Name, p.Power)
		return n
	}
	n.Title = fmt.Sprintf("%s is now %s (was %s)", p.Name, p.Power, p.Was)
	who, wanted := t.asked[p.Uuid]
	switch {
	case wanted && who.running:
		return nil // the end of the action tells it
	case p.Power == model.StateOff && wanted:
		n.Title = fmt.Sprintf("%s is now off, as was asked for", p.Name)
		n.Principal = who.by
	case p.Power == model.StateOff:
		n.Severity = Warning
	}
	return n
}

// machine tells that a machine came or went.
func machine(e *model.Event) *Notice {
	var m struct{ Name, Uuid string }
	if model.Remarshal(e.Object, &m) != nil || m.Name == "" {
		return nil
	}
	words := map[string]string{"create": "was added", "delete": "was removed"}
	return &Notice{Machine: m.Name, Uuid: m.Uuid, Icon: ":card_index:", Title: m.Name + " " + words[e.Action], Principal: e.Principal}
}

// plugin tells that a plugin does not work, or works again.
func plugin(e *model.Event) *Notice {
	if e.Action == "recovered" {
		return &Notice{Resolved: true, Icon: ":white_check_mark:", Incident: PluginTrouble + e.Key, Title: "plugin " + e.Key + " works again"}
	}
	if e.Action != "fault" {
		return nil
	}
	var said struct{ Error string }
	if text, ok := e.Object.(string); ok {
		said.Error = text
	} else if model.Remarshal(e.Object, &said) != nil || said.Error == "" {
		said.Error = "see oob plugin show " + e.Key
	}
	return &Notice{Severity: Error, Icon: ":rotating_light:", Incident: PluginTrouble + e.Key, Title: "plugin " + e.Key + ": " + said.Error}
}

// missed tells that events were lost on their way.
func missed(e *model.Event) *Notice {
	return &Notice{Severity: Warning, Icon: ":warning:", Title: e.Key + " events were missed: they came faster than they were taken"}
}

// command tells that an action was asked for, where an endpoint sends no runs.
func (t *Teller) command(e *model.Event) *Notice {
	known := slices.ContainsFunc(model.Actions(), func(row model.ActionInfo) bool {
		return row.Command == e.Action && row.Class != model.Read
	})
	var m struct{ Name, Uuid string }
	if !known || model.Remarshal(e.Object, &m) != nil {
		return nil
	}
	if m.Name == "" {
		m.Name = e.Key
	}
	if slices.Contains(offCommands, e.Action) {
		t.ask(&model.Run{Key: m.Uuid, Command: e.Action, Principal: e.Principal, State: model.RunDone})
	}
	return &Notice{Machine: m.Name, Uuid: m.Uuid, Icon: ":arrow_right:", Title: m.Name + " " + e.Action, Command: e.Action, Principal: e.Principal}
}

// errorText words a run's error.
func errorText(e *model.Error) string {
	if e == nil {
		return "no cause given"
	}
	return fmt.Sprintf("%s: %s", e.Kind(), e.Text())
}
