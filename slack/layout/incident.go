package layout

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"provision-plugins/slack/notice"
)

// The action ids of an incident's buttons. The block of the buttons has the
// incident's key as its id, and so has each button as its value.
const (
	ButtonAck      = "oob_ack"
	ButtonSilence1 = "oob_silence_1h"
	ButtonSilence8 = "oob_silence_8h"
	ButtonCycle    = "oob_cycle"
)

const (
	// maxField bounds the text of a field, in characters; Slack's bound is 2,000.
	// maxKey is Slack's bound of a block's id.
	maxField = 300
	maxKey   = 255
)

// Incident is what the message of an incident tells, and what the incident is
// remembered by.
type Incident struct {
	// Key is the incident's, and Line its newest news in words.
	Key  string `json:"key"`
	Line string `json:"line"`

	// Severity is that of the newest news; Resolved says that it is over.
	Severity notice.Severity `json:"severity,omitempty"`
	Resolved bool            `json:"resolved,omitempty"`

	// Machine, Command, Principal, Reason and Time are those of the newest news.
	Machine   string    `json:"machine,omitempty"`
	Uuid      string    `json:"uuid,omitempty"`
	Command   string    `json:"command,omitempty"`
	Principal string    `json:"principal,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Time      time.Time `json:"time,omitzero"`

	// At is when the newest news were told.
	At time.Time `json:"at,omitzero"`

	// Changes tells how often it changed lately, when that is worth a word.
	Changes int `json:"changes,omitempty"`

	// Acked and Silenced say what people did about it, nil for nothing.
	Acked    *Mark `json:"acked,omitempty"`
	Silenced *Mark `json:"silenced,omitempty"`

	// Buttons says that there is somebody to press them for.
	Buttons bool `json:"buttons,omitempty"`
}

// Mark is what somebody did about an incident.
type Mark struct {
	// By is who: a Slack user, as U123 or slack:U123, or any other name.
	By string `json:"by"`

	// At is when, and Until how long it lasts; zero for the incident's life.
	At    time.Time `json:"at,omitzero"`
	Until time.Time `json:"until,omitzero"`

	// Severity is that of the incident then: what is worse is told all the same.
	Severity notice.Severity `json:"severity,omitempty"`

	// Reason is why.
	Reason string `json:"reason,omitempty"`
}

// Told is an incident as a notice and its words tell it.
func Told(n *notice.Notice, line string) *Incident {
	return &Incident{
		Key: n.Incident, Line: line, Severity: n.Severity, Resolved: n.Resolved, Machine: n.Machine, Uuid: n.Uuid,
		Command: n.Command, Principal: n.Principal, Reason: n.Reason, Time: n.Time,
	}
}

// color is that of a severity, or of what is over.
func color(s notice.Severity, resolved bool) string {
	switch {
	case resolved:
		return green
	case s >= notice.Error:
		return red
	case s == notice.Warning:
		return amber
	}
	return grey
}

// Message is the root of the incident as it stands now.
func (i *Incident) Message() json.RawMessage {
	line := cut(Escape(i.Line), maxLine)
	blocks := []block{section(line)}
	if fields := i.fields(); len(fields) > 0 {
		blocks = append(blocks, block{Type: "section", Fields: fields})
	}
	state := []string{i.Severity.String()}
	if i.Resolved {
		state[0] = "resolved"
	}
	if i.Changes > 0 {
		state = append(state, fmt.Sprintf("flapping: %d changes in %d minutes; its thread is quiet", i.Changes, 10))
	}
	if !i.Time.IsZero() {
		state = append(state, stamp(i.Time))
	}
	blocks = append(blocks, context(state...))
	if marks := i.marks(); len(marks) > 0 {
		blocks = append(blocks, context(marks...))
	}
	if buttons := i.buttons(); len(buttons) > 0 {
		blocks = append(blocks, block{Type: "actions", BlockID: i.Key, Elements: buttons})
	}
	return encode(line, color(i.Severity, i.Resolved), blocks...)
}

// fields are the facts of an incident.
func (i *Incident) fields() (out []text) {
	for _, f := range []struct{ name, value string }{
		{"Machine", i.Machine}, {"Action", i.Command}, {"Asked by", i.Principal}, {"Reason", i.Reason},
	} {
		if value := strings.TrimSpace(Escape(f.value)); value != "" {
			out = append(out, text{"mrkdwn", "*" + f.name + "*\n" + cut(value, maxField)})
		}
	}
	return out
}

// marks say what people did about it.
func (i *Incident) marks() (out []string) {
	if i.Resolved {
		return nil
	}
	if m := i.Acked; m != nil {
		out = append(out, ":eyes: acknowledged by "+who(m.By)+" at "+stamp(m.At))
	}
	if m := i.Silenced; m != nil {
		words := ":no_bell: silenced by " + who(m.By)
		if !m.Until.IsZero() {
			words += " until " + stamp(m.Until)
		}
		if m.Reason != "" {
			words += ": " + cut(Escape(m.Reason), maxField)
		}
		out = append(out, words)
	}
	return out
}

// stamp words a time.
func stamp(t time.Time) string { return t.UTC().Format(time.DateTime) + " UTC" }

// users are the ids of Slack's users, who can be mentioned by them.
var users = regexp.MustCompile(`^[UW][A-Z0-9]{1,30}$`)

// who names somebody: a Slack user by a mention.
func who(name string) string {
	if id := strings.TrimPrefix(name, "slack:"); users.MatchString(id) {
		return "<@" + id + ">"
	}
	if name = strings.TrimSpace(Escape(name)); name == "" {
		return "somebody"
	}
	return cut(name, maxField)
}

// button is an element of an actions block.
type button struct {
	Type     string `json:"type"`
	ActionID string `json:"action_id"`
	Text     text   `json:"text"`
	Value    string `json:"value"`
	Style    string `json:"style,omitempty"`
}

// buttons are those that an incident offers now.
func (i *Incident) buttons() (out []any) {
	if !i.Buttons || i.Resolved || i.Key == "" || len(i.Key) > maxKey {
		return nil
	}
	add := func(id, label, style string) {
		out = append(out, button{"button", id, text{"plain_text", label}, i.Key, style})
	}
	if i.Acked == nil {
		add(ButtonAck, "Acknowledge", "primary")
	}
	if i.Machine == "" {
		return out
	}
	if i.Silenced == nil {
		add(ButtonSilence1, "Silence 1 h", "")
		add(ButtonSilence8, "Silence 8 h", "")
	}
	add(ButtonCycle, "Power cycle", "danger")
	return out
}
