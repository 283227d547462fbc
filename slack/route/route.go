// Package route says which notices go where in Slack, and in what form: an
// ordered list of rules, of which the first that matches counts.
package route

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/slack/notice"
)

// Mode is the form in which a rule tells.
type Mode string

// The modes.
const (
	// Post is a line; lines that wait go out together.
	Post Mode = "post"

	// Update is one message an incident, edited in place, with what happened in its
	// thread. What belongs to no incident is posted as a line.
	Update Mode = "update"

	// Thread is as Update, and the first message stays as it is.
	Thread Mode = "thread"

	// Digest is one message a group, which counts, edited in place.
	Digest Mode = "digest"

	// Drop tells nothing.
	Drop Mode = "drop"
)

const (
	// maxRules bounds how many rules there are, maxList how many words a list of one.
	maxRules = 100
	maxList  = 1000
	// defaultWindow is how long a digest goes on after its last event.
	defaultWindow = time.Minute
)

// Rule is one rule. What is empty matches everything.
type Rule struct {
	// Name is what errors and logs call it; the rule's number if empty.
	Name string `json:"name,omitempty"`

	// Types, Actions and Commands are of events and of the actions they tell of.
	Types    []string `json:"types,omitempty"`
	Actions  []string `json:"actions,omitempty"`
	Commands []string `json:"commands,omitempty"`

	// Machines are globs of names.
	Machines []string `json:"machines,omitempty"`

	// Profiles are those of the machine, one of which it has; Params are values
	// that the machine's params have, all of them.
	Profiles []string       `json:"profiles,omitempty"`
	Params   map[string]any `json:"params,omitempty"`

	// MinSeverity is the least severity: info, warning, error or critical.
	MinSeverity string `json:"min_severity,omitempty"`

	// Channel is where to; the default channel if empty.
	Channel string `json:"channel,omitempty"`

	// Mode is Post if empty.
	Mode Mode `json:"mode,omitempty"`

	// GroupBy is what a digest's notices have in common: machine, command, action,
	// type, principal, reason, severity.
	GroupBy []string `json:"group_by,omitempty"`

	// GroupWait holds the first message of a digest back, such as "5s"; Window is
	// how long a digest goes on after its last event, one minute if empty.
	GroupWait string `json:"group_wait,omitempty"`
	Window    string `json:"window,omitempty"`

	// QuietHours hold back what is less severe than their Except.
	QuietHours *QuietHours `json:"quiet_hours,omitempty"`

	// Template is a text/template of a line, over a Notice; the built-in one if
	// empty.
	Template string `json:"template,omitempty"`

	// Continue has the rules after this one tell, too.
	Continue bool `json:"continue,omitempty"`

	least   notice.Severity
	wait    time.Duration
	window  time.Duration
	quiet   *quiet
	wording *wording
}

// Table is the checked rules, in order.
type Table struct {
	rules []Rule
}

// Defaults are the rules without a configuration: what went wrong is an incident
// of its own, what was asked for is counted.
func Defaults() []Rule {
	return []Rule{
		{Name: "failures", Types: []string{"runs"}, MinSeverity: "warning", Mode: Update, Continue: true},
		{Name: "actions", Types: []string{"runs"}, Mode: Digest, GroupBy: []string{"command", "principal", "reason"}},
		{Name: "trouble", MinSeverity: "warning", Mode: Update},
		{Name: "rest", Mode: Post},
	}
}

// Parse reads the value of the param slack/routes. Nothing gives Defaults.
func Parse(value any) (*Table, error) {
	if value == nil {
		return New(Defaults())
	}
	raw, err := model.Marshal(value)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "the routes cannot be read: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	var rules []Rule
	if err := dec.Decode(&rules); err != nil {
		return nil, model.Errorf(model.Invalid, "the routes are no list of rules: %w", err)
	}
	return New(rules)
}

// New checks rules. Its errors name the rule, and it finds all that is wrong.
func New(rules []Rule) (*Table, error) {
	if len(rules) > maxRules {
		return nil, model.Errorf(model.Invalid, "there are %d routes; %d are the most", len(rules), maxRules)
	}
	t := &Table{rules: slices.Clone(rules)}
	var faults []error
	for i := range t.rules {
		if t.rules[i].Name == "" {
			t.rules[i].Name = fmt.Sprint(i + 1)
		}
		if err := t.rules[i].check(); err != nil {
			faults = append(faults, fmt.Errorf("route %s: %w", t.rules[i].Name, err))
		}
	}
	if len(faults) > 0 {
		return nil, model.Errorf(model.Invalid, "%s", strings.ReplaceAll(errors.Join(faults...).Error(), "\n", "; "))
	}
	return t, nil
}

// groupKeys are what GroupBy may name, and how to get it.
func groupKeys() map[string]func(n *notice.Notice) string {
	return map[string]func(n *notice.Notice) string{
		"machine":   func(n *notice.Notice) string { return n.Machine },
		"command":   func(n *notice.Notice) string { return n.Command },
		"action":    func(n *notice.Notice) string { return n.Action },
		"type":      func(n *notice.Notice) string { return n.Type },
		"principal": func(n *notice.Notice) string { return n.Principal },
		"reason":    func(n *notice.Notice) string { return n.Reason },
		"severity":  func(n *notice.Notice) string { return n.Severity.String() },
	}
}

// check completes a rule, or says what is wrong with it.
func (r *Rule) check() error {
	for name, list := range map[string][]string{"types": r.Types, "actions": r.Actions, "commands": r.Commands, "machines": r.Machines, "profiles": r.Profiles} {
		if len(list) > maxList || slices.Contains(list, "") {
			return fmt.Errorf("%s has an empty word, or more than %d", name, maxList)
		}
	}
	for _, glob := range r.Machines {
		if _, err := path.Match(glob, ""); err != nil {
			return fmt.Errorf("machines: %q is no pattern", glob)
		}
	}
	if err := r.checkForm(); err != nil {
		return err
	}
	if r.MinSeverity != "" {
		var err error
		if r.least, err = notice.ParseSeverity(r.MinSeverity); err != nil {
			return fmt.Errorf("min_severity: %w", err)
		}
	}
	var err error
	if r.quiet, err = r.QuietHours.parse(); err != nil {
		return fmt.Errorf("quiet_hours: %w", err)
	}
	if r.wording, err = parseWording(r.Template); err != nil {
		return fmt.Errorf("template: %w", err)
	}
	return nil
}

// checkForm checks how a rule tells.
func (r *Rule) checkForm() error {
	if r.Mode == "" {
		r.Mode = Post
	}
	if !slices.Contains([]Mode{Post, Update, Thread, Digest, Drop}, r.Mode) {
		return fmt.Errorf("mode: %q is none of post, update, thread, digest, drop", r.Mode)
	}
	if r.Mode != Digest && (len(r.GroupBy) > 0 || r.GroupWait != "" || r.Window != "") {
		return fmt.Errorf("group_by, group_wait and window are of mode digest, not %s", r.Mode)
	}
	for _, key := range r.GroupBy {
		if groupKeys()[key] == nil {
			return fmt.Errorf("group_by: %q is none of action, command, machine, principal, reason, severity, type", key)
		}
	}
	var err error
	if r.wait, err = span("group_wait", r.GroupWait, 0, time.Hour); err != nil {
		return err
	}
	r.window, err = span("window", r.Window, defaultWindow, 24*time.Hour)
	return err
}

// span reads a time such as "5s".
func span(name, text string, unset, most time.Duration) (time.Duration, error) {
	if text == "" {
		return unset, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > most {
		return 0, fmt.Errorf("%s: %q is no time between 0s and %s", name, text, most)
	}
	return d, nil
}

// World is what rules ask about beyond the notice itself.
type World interface {
	// Facts are a machine's profiles and params; it may have to ask for them. Secrets
	// are not among them. An error reads as a machine without any.
	Facts(uuid string) (profiles []string, params model.Params, err error)

	// Open tells whether an incident goes on in a rule's channel.
	Open(r *Rule, incident string) bool
}

// Match lists the rules by which a notice is told, in order.
func (t *Table) Match(n *notice.Notice, world World) []*Rule {
	var out []*Rule
	for i := range t.rules {
		r := &t.rules[i]
		if !r.matches(n) || !r.severe(n, world) || !r.matchesFacts(n, world) {
			continue
		}
		if r.Mode != Drop {
			out = append(out, r)
		}
		if !r.Continue {
			break
		}
	}
	return out
}

// matches tells whether a rule is about a notice, as far as the notice tells.
func (r *Rule) matches(n *notice.Notice) bool {
	in := func(list []string, word string) bool { return len(list) == 0 || slices.Contains(list, word) }
	named := func(glob string) bool {
		ok, err := path.Match(glob, n.Machine)
		return ok && err == nil
	}
	switch {
	case !in(r.Types, n.Type), !in(r.Actions, n.Action), !in(r.Commands, n.Command):
		return false
	case len(r.Machines) > 0 && !slices.ContainsFunc(r.Machines, named):
		return false
	}
	return !n.Started || r.Mode == Digest
}

// severe tells whether a notice is severe enough for a rule. The end of an
// incident that the rule told is told by it, too.
func (r *Rule) severe(n *notice.Notice, world World) bool {
	if n.Severity >= r.least {
		return true
	}
	return n.Resolved && (r.Mode == Update || r.Mode == Thread) && world.Open(r, n.Incident)
}

// matchesFacts tells whether a rule is about the machine of a notice.
func (r *Rule) matchesFacts(n *notice.Notice, world World) bool {
	if len(r.Profiles) == 0 && len(r.Params) == 0 {
		return true
	}
	if n.Uuid == "" {
		return false
	}
	profiles, params, err := world.Facts(n.Uuid)
	if err != nil {
		return false
	}
	if len(r.Profiles) > 0 && !slices.ContainsFunc(r.Profiles, func(p string) bool { return slices.Contains(profiles, p) }) {
		return false
	}
	for name, want := range r.Params {
		if !equal(params[name], want) {
			return false
		}
	}
	return true
}

// equal compares two JSON values.
func equal(x, y any) bool {
	a, errA := model.Marshal(x)
	b, errB := model.Marshal(y)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// Value is what a notice has by one of GroupBy's words.
func Value(key string, n *notice.Notice) string {
	if get := groupKeys()[key]; get != nil {
		return get(n)
	}
	return ""
}

// Group is the key of the digest that a notice belongs to.
func (r *Rule) Group(n *notice.Notice) string {
	words := []string{r.Name}
	keys := groupKeys()
	for _, key := range r.GroupBy {
		words = append(words, keys[key](n))
	}
	return strings.Join(words, "\x1f")
}

// Wait is how long a digest's first message is held back; Over is how long after
// its last event it goes on.
func (r *Rule) Wait() time.Duration { return r.wait }

// Over is how long a digest goes on after its last event.
func (r *Rule) Over() time.Duration { return r.window }

// NotBefore is when a notice may be told: at once, or when quiet hours end.
func (r *Rule) NotBefore(n *notice.Notice, now time.Time) time.Time {
	if r.quiet == nil || n.Severity >= r.quiet.except {
		return time.Time{}
	}
	return r.quiet.end(now)
}

// Line words a notice as one line. What a template makes of it is bounded; a
// template that fails gives the built-in line.
func (r *Rule) Line(n *notice.Notice) string { return r.wording.line(n) }
