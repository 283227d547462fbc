// Package notice says what an event means to people: how severe it is, what it is
// about, and in which words. It leaves out what was told already.
package notice

import (
	"fmt"
	"strings"
	"time"

	"provision-plugins/shared/model"
)

// Severity says how much a notice matters. The numbers are those of the outbox.
type Severity int

// The severities.
const (
	// Info is what somebody asked for and got.
	Info Severity = iota

	// Warning is what somebody asked for and did not get, and nothing is broken.
	Warning

	// Error is something that does not work.
	Error

	// Critical is something that has to be looked at before anybody acts.
	Critical
)

// severityNames are the names of the severities, by number.
func severityNames() []string { return []string{"info", "warning", "error", "critical"} }

// String is the name.
func (s Severity) String() string {
	if names := severityNames(); s >= 0 && int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("severity(%d)", int(s))
}

// ParseSeverity reads a name.
func ParseSeverity(text string) (Severity, error) {
	for i, name := range severityNames() {
		if text == name {
			return Severity(i), nil
		}
	}
	return 0, fmt.Errorf("%q is no severity; they are %s", text, strings.Join(severityNames(), ", "))
}

// PluginTrouble begins the key of a plugin's incident; the plugin's name follows.
const PluginTrouble = "plugin:"

// Notice is what is to be told of an event. Its texts are as the event has them:
// who writes them somewhere escapes them.
type Notice struct {
	// Type, Action and Key are the event's.
	Type, Action, Key string

	// Severity says how much it matters.
	Severity Severity

	// Machine and Uuid are the machine's, empty if it is about none.
	Machine, Uuid string

	// Started says that it tells of the beginning of an action, for those who count.
	Started bool

	// Incident is the key of the trouble it belongs to, empty for none; Resolved
	// says that the trouble is over.
	Incident string
	Resolved bool

	// Icon is Slack's name of a picture, such as :x:.
	Icon string

	// Title says it in one line. Detail says more, in one line or several.
	Title, Detail string

	// Command, Run, Principal and Reason are those of the action it tells of; State
	// is the run's, Took how long it took.
	Command, Run, Principal, Reason string
	State                           model.RunState
	Took                            time.Duration
	Time                            time.Time
}

// maxTitle and maxDetail bound the texts and maxWord each name, in characters.
// maxKey bounds the key of an incident, in bytes.
const (
	maxTitle  = 500
	maxDetail = 64_000
	maxWord   = 300
	maxKey    = 200
)

// Line is the notice as one line of text.
func (n *Notice) Line() string {
	line := n.Title
	if about := n.about(); about != "" {
		line += " (" + about + ")"
	}
	return cut(strings.Join(strings.Fields(n.Icon+" "+line), " "), maxTitle)
}

// about tells who asked, why, and how long it took.
func (n *Notice) about() string {
	var words []string
	for _, w := range []string{n.Principal, n.Reason} {
		if w != "" {
			words = append(words, w)
		}
	}
	if n.Took > 0 {
		words = append(words, n.Took.Round(100*time.Millisecond).String())
	}
	return strings.Join(words, ", ")
}

// cut shortens a text to a number of characters.
func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// tail is the end of a long text, from the beginning of a line where it has lines.
func tail(text string) string {
	runes := []rune(text)
	if len(runes) <= maxDetail {
		return text
	}
	text = string(runes[len(runes)-maxDetail+2:])
	if _, rest, ok := strings.Cut(text, "\n"); ok {
		text = rest
	}
	return "…\n" + text
}
