// Package layout puts notices into the form of Slack's messages: Block Kit within
// its limits, and nothing in it that a text of an event could make a mention or a
// link of.
package layout

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"provision-plugins/shared/model"
	"provision-plugins/slack/mrkdwn"
	"provision-plugins/slack/notice"
	"provision-plugins/slack/poster"
)

// The bounds of texts, in characters, below those of Slack: 3,000 of a section,
// 150 of a header, 4,000 of a text.
const (
	maxLine    = 700
	maxSection = 2_900
	maxDetail  = 2_500
	maxNames   = 40
)

// The colours of an incident.
const (
	red   = "#d40e0d"
	amber = "#daa038"
	green = "#2eb886"
	grey  = "#9e9e9e"
)

// Escape makes a text harmless as Slack's mrkdwn: no mention, no link, no control
// character.
func Escape(text string) string { return mrkdwn.Escape(text) }

// cut shortens a text to a number of characters. Escaped characters are not torn.
func cut(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	runes = runes[:most-1]
	if i := strings.LastIndexByte(string(runes[max(len(runes)-5, 0):]), '&'); i >= 0 && !strings.Contains(string(runes[max(len(runes)-5, 0)+i:]), ";") {
		runes = runes[:max(len(runes)-5, 0)+i]
	}
	return string(runes) + "…"
}

// block is one block of Block Kit.
type block struct {
	Type     string `json:"type"`
	BlockID  string `json:"block_id,omitempty"`
	Text     *text  `json:"text,omitempty"`
	Fields   []text `json:"fields,omitempty"`
	Elements []any  `json:"elements,omitempty"` // texts of a context, buttons of actions
}

// text is a text object.
type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// section is a block of text.
func section(words string) block {
	return block{Type: "section", Text: &text{"mrkdwn", cut(words, maxSection)}}
}

// context is a block of small text.
func context(words ...string) block {
	b := block{Type: "context"}
	for _, w := range words {
		b.Elements = append(b.Elements, text{"mrkdwn", cut(w, maxLine)})
	}
	return b
}

// encode is a message as the outbox keeps it.
func encode(line, color string, blocks ...block) json.RawMessage {
	m := poster.Message{Text: cut(line, maxSection), Color: color}
	if len(blocks) > 0 {
		m.Blocks, _ = model.Marshal(blocks) // strings encode
	}
	raw, _ := model.Marshal(m)
	return raw
}

// Line is a message of one line that is not escaped yet.
func Line(line string) json.RawMessage { return encode(cut(Escape(line), maxLine), "") }

// Join makes one message of those that Line made, as many as fit.
func Join(messages []json.RawMessage) (json.RawMessage, int) {
	var lines []string
	size := 0
	for _, raw := range messages {
		var m poster.Message
		if model.Unmarshal(raw, &m) != nil || len(m.Blocks) > 0 {
			break
		}
		if size += len([]rune(m.Text)) + 1; size > maxSection && len(lines) > 0 {
			break
		}
		lines = append(lines, m.Text)
	}
	if len(lines) == 0 {
		return messages[0], 1
	}
	return encode(strings.Join(lines, "\n"), ""), len(lines)
}

// Dropped is the message that tells of what was dropped.
func Dropped(count int) json.RawMessage {
	return Line(fmt.Sprintf(":wastebasket: %d messages were dropped: Slack did not keep up", count))
}

// Reply is a message of an incident's thread: what happened, and its details.
func Reply(n *notice.Notice, line string) json.RawMessage {
	escaped := cut(Escape(line), maxLine)
	if strings.TrimSpace(n.Detail) == "" {
		return encode(escaped, "")
	}
	detail := "```" + cut(strings.ReplaceAll(Escape(tail(n.Detail)), "```", "'''"), maxDetail) + "```"
	return encode(escaped, "", section(escaped), section(detail))
}

// Log is the file of a thread with all of a notice's details; nil where Reply shows
// them all.
func Log(n *notice.Notice) json.RawMessage {
	detail := strings.TrimSpace(n.Detail)
	if tail(detail) == detail {
		return nil
	}
	name := strings.TrimSpace(n.Machine + " " + n.Command)
	raw, _ := model.Marshal(poster.Message{
		Text: ":page_facing_up: the log is longer, and could not be attached: the app may lack the scope files:write",
		File: &poster.File{Name: name, Content: detail + "\n"},
	})
	return raw
}

// tail is the end of a long text, from the beginning of a line where it has lines.
func tail(text string) string {
	text = strings.TrimRight(text, "\n ")
	runes := []rune(text)
	if len(runes) <= maxDetail/2 {
		return text
	}
	text = string(runes[len(runes)-maxDetail/2:])
	if _, rest, ok := strings.Cut(text, "\n"); ok {
		text = rest
	}
	return "…\n" + text
}

// Digest counts the notices of one group.
type Digest struct {
	// Title says what they have in common.
	Title string `json:"title,omitempty"`

	// Started counts actions that began, and First is the line of the first of them;
	// the rest is by outcome.
	Started int     `json:"started,omitempty"`
	First   string  `json:"first,omitempty"`
	Groups  []Count `json:"groups,omitempty"`
}

// Count is what a digest has of one severity.
type Count struct {
	Severity notice.Severity `json:"severity,omitempty"`
	Count    int             `json:"count"`

	// Lines are some of what was told, the newest last; the first alone is told
	// where there is but one.
	Lines []string `json:"lines,omitempty"`
}

// ended counts the notices that are not beginnings.
func (d *Digest) ended() (n int) {
	for _, g := range d.Groups {
		n += g.Count
	}
	return n
}

// Message is the digest as it stands now.
func (d *Digest) Message() json.RawMessage {
	ended := d.ended()
	if ended == 1 && d.Started <= 1 {
		for _, g := range d.Groups {
			if g.Count == 1 && len(g.Lines) == 1 {
				return encode(cut(Escape(g.Lines[0]), maxLine), "")
			}
		}
	}
	if ended == 0 && d.Started == 1 && d.First != "" {
		return encode(cut(Escape(d.First), maxLine), "")
	}
	head := ":hourglass_flowing_sand:"
	if d.Started <= ended {
		head = ":white_check_mark:"
	}
	words := []string{fmt.Sprintf("%d of %d done", ended, max(d.Started, ended))}
	worst := notice.Info
	blocks := []block{{}}
	slices.SortFunc(d.Groups, func(x, y Count) int { return int(y.Severity - x.Severity) })
	for _, g := range d.Groups {
		if g.Severity == notice.Info || g.Count == 0 {
			continue
		}
		worst = max(worst, g.Severity)
		words = append(words, counted(g))
		blocks = append(blocks, section(strings.Join(list(g), "\n")))
	}
	if worst > notice.Info {
		head = ":warning:"
	}
	line := cut(head+" "+Escape(d.Title)+": "+strings.Join(words, ", "), maxLine)
	blocks[0] = section(line)
	return encode(line, color(worst, worst == notice.Info && d.Started <= ended), blocks...)
}

// counted words a count.
func counted(g Count) string {
	word := g.Severity.String()
	if g.Count > 1 && g.Severity != notice.Critical {
		word += "s"
	}
	return fmt.Sprintf("%d %s", g.Count, word)
}

// list is the lines of a count that fit into a section.
func list(g Count) []string {
	var out []string
	size := 0
	for _, l := range g.Lines {
		escaped := cut(Escape(l), maxLine/4)
		if size += len([]rune(escaped)) + 1; size > maxSection-100 || len(out) == maxNames {
			break
		}
		out = append(out, escaped)
	}
	if more := g.Count - len(out); more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return out
}
