package slack

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// indent is how far what belongs to something is set in.
const indent = "    "

// Text returns a channel as a person would read it: its messages in order, each
// with its thread below it. Nothing in it depends on when or where it is made, but
// for the times of the messages, which are told in UTC.
func (s *Server) Text(channel string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, _ := s.channelNamed(channel)
	var out strings.Builder
	out.WriteString(c.heading() + "\n")
	for _, m := range s.messages {
		if m.Channel != c.ID || m.ThreadTS != "" && s.find(c.ID, m.ThreadTS) != nil {
			continue
		}
		out.WriteString(s.render(m, ""))
		for _, reply := range s.messages {
			if reply.Channel == c.ID && reply.ThreadTS == m.TS && reply != m {
				out.WriteString(s.render(reply, indent))
			}
		}
	}
	return out.String()
}

// Render returns one message as a person would read it.
func (s *Server) Render(m Message) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.render(&m, "")
}

// RenderView returns a view as the person before whom it is would read it.
func (s *Server) RenderView(v View) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, _ := s.user(v.User)
	var out strings.Builder
	out.WriteString("before @" + u.Name + ": " + printable(v.Title) + "\n")
	blocks, _ := parseBlocks(v.Blocks, maxViewBlocks)
	for _, b := range blocks {
		lines := s.blockLines(b)
		if wrong := v.Errors[b.BlockID]; wrong != "" {
			lines = append(lines, "! "+printable(wrong))
		}
		for _, line := range lines {
			out.WriteString(strings.TrimRight(indent+line, " ") + "\n")
		}
	}
	if v.Submit != "" {
		out.WriteString(indent + "[" + printable(v.Submit) + "]\n")
	}
	return out.String()
}

// Where returns the name of a channel as people see it.
func (s *Server) Where(channel string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, _ := s.channelNamed(channel)
	return c.heading()
}

// heading is the name of a channel as people see it.
func (c Channel) heading() string {
	if c.direct() {
		return "@" + c.label()
	}
	return "#" + c.label()
}

// render is a message: a line that says when, who and to whom, and below it what
// it says. It is called with mu held.
func (s *Server) render(m *Message, in string) string {
	var out strings.Builder
	out.WriteString(in + clock(m.TS) + " " + cmp.Or(m.Author, botName))
	if m.User != "" {
		u, _ := s.user(m.User)
		out.WriteString(", to @" + u.Name + " alone")
	}
	if m.Edits > 0 {
		out.WriteString(" (edited)")
	}
	if m.Broadcast {
		out.WriteString(" (also sent to the channel)")
	}
	out.WriteString(":\n")
	for _, line := range s.lines(m) {
		out.WriteString(strings.TrimRight(in+indent+line, " ") + "\n")
	}
	return out.String()
}

// clock is the time of day of a timestamp.
func clock(ts string) string {
	text, _, _ := strings.Cut(ts, ".")
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return "??:??:??"
	}
	return time.Unix(seconds, 0).UTC().Format(time.TimeOnly)
}

// lines are what a message says. Where there are blocks, the text is only what
// notifications show, and is left out.
func (s *Server) lines(m *Message) []string {
	var out []string
	layouts := m.layouts()
	if m.Text != "" && len(layouts[0].blocks) == 0 {
		out = append(out, s.prose(m.Text)...)
	}
	for i, l := range layouts {
		var lines []string
		for _, b := range l.blocks {
			lines = append(lines, s.blockLines(b)...)
		}
		if i == 0 {
			out = append(out, lines...)
			continue
		}
		if words := cmp.Or(l.Text, l.Fallback); len(lines) == 0 && words != "" {
			lines = s.prose(words)
		}
		out = append(out, bar(colorName(l.Color), lines)...)
	}
	for _, f := range m.Files {
		out = append(out, fmt.Sprintf("file %s (%d bytes)", f.Title, len(f.Content)))
		out = append(out, bar("", preview(f.Content))...)
	}
	if len(m.Reactions) > 0 {
		out = append(out, ":"+strings.Join(m.Reactions, ": :")+":")
	}
	return out
}

// preview is the beginning of a file.
func preview(content string) []string {
	const most = 5
	lines := strings.Split(strings.TrimRight(content, "\n"), "\n")
	if len(lines) > most {
		lines = append(lines[:most:most], fmt.Sprintf("and %d more lines", len(lines)-most))
	}
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return lines
}

// bar sets lines behind a bar; its name stands at the top.
func bar(name string, lines []string) []string {
	const mark = "| "
	if name != "" {
		name += " "
	}
	out := make([]string, 0, len(lines))
	for i, line := range lines {
		if i > 0 {
			name = strings.Repeat(" ", len(name))
		}
		out = append(out, name+mark+line)
	}
	return out
}

// colorName is the name of an attachment's color.
func colorName(color string) string {
	named := map[string]string{"good": "green", "warning": "amber", "danger": "red", "": "grey"}
	if name, ok := named[color]; ok {
		return name
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(color, "#"), 16, 24)
	if err != nil {
		return "grey"
	}
	r, g, b := int(n>>16), int(n>>8&0xff), int(n&0xff)
	most, least := max(r, g, b), min(r, g, b)
	switch {
	case most-least < 40:
		return "grey"
	case b == most:
		return "blue"
	case g == most:
		return "green"
	case 2*(g-least) > most-least:
		return "amber"
	}
	return "red"
}

// blockLines are what a block says.
func (s *Server) blockLines(b block) []string {
	switch b.Type {
	case "divider":
		return []string{"----"}
	case "header":
		return []string{"== " + strings.Join(s.prose(b.words().Text), " ") + " =="}
	case "section":
		return s.sectionLines(b)
	case "context":
		var parts []string
		for _, p := range b.Parts {
			parts = append(parts, s.pieceText(p))
		}
		return []string{"(" + strings.Join(parts, " ") + ")"}
	case "actions":
		var parts []string
		for _, p := range b.Parts {
			parts = append(parts, s.pieceText(p))
		}
		return []string{strings.Join(parts, " ")}
	case "image":
		return []string{"[image: " + printable(b.AltText) + "]"}
	case "input":
		return []string{s.oneLine(b.Label) + ": [" + b.Element.ActionID + "]"}
	case "markdown":
		var words string
		_ = json.Unmarshal(b.Text, &words) // it was checked when it was posted
		return s.prose(words)
	}
	return []string{"[" + b.Type + "]"}
}

// sectionLines are what a section says: its text, what stands beside it, and a
// line for each field.
func (s *Server) sectionLines(b block) []string {
	var out []string
	if t := b.words(); t != nil {
		out = s.prose(t.Text)
	}
	if b.Accessory != nil {
		out = append(out, s.pieceText(*b.Accessory))
	}
	for _, f := range b.Fields {
		out = append(out, s.oneLine(&f))
	}
	return out
}

// pieceText is what an element of a block says: a button stands in brackets.
func (s *Server) pieceText(p piece) string {
	var words string
	switch p.Type {
	case markdown, plainText:
		_ = json.Unmarshal(p.Text, &words) // it was checked when it was posted
		return strings.Join(s.prose(words), " ")
	case "button":
		return "[" + s.oneLine(readText(p.Text)) + "]"
	case "image":
		return "[image: " + printable(p.AltText) + "]"
	}
	return "[" + p.Type + "]"
}

// oneLine is a text object on one line.
func (s *Server) oneLine(t *text) string {
	if t == nil {
		return ""
	}
	return strings.Join(s.prose(t.Text), " ")
}

// markup is what stands in angle brackets: a mention, a date or a link.
var markup = regexp.MustCompile(`<([^<>|]*)(\|[^<>]*)?>`)

// prose are the lines of a text, with its mentions and links as people see them.
func (s *Server) prose(words string) []string {
	words = markup.ReplaceAllStringFunc(words, func(found string) string {
		parts := markup.FindStringSubmatch(found)
		return s.mention(parts[1], strings.TrimPrefix(parts[2], "|"))
	})
	words = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(words)
	lines := strings.Split(words, "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return lines
}

// mention is what stands in angle brackets, as people see it.
func (s *Server) mention(target, label string) string {
	switch {
	case strings.HasPrefix(target, "@"):
		u, _ := s.user(target[1:])
		return "@" + cmp.Or(u.Name, target[1:])
	case strings.HasPrefix(target, "#"):
		c, _ := s.channelNamed(target[1:])
		return "#" + cmp.Or(label, c.label())
	case strings.HasPrefix(target, "!subteam^"):
		id := strings.TrimPrefix(target, "!subteam^")
		i := slices.IndexFunc(s.opts.Groups, func(g Group) bool { return g.ID == id })
		if i >= 0 {
			id = s.opts.Groups[i].Handle
		}
		return "@" + id
	case strings.HasPrefix(target, "!date^"):
		return label
	case strings.HasPrefix(target, "!"):
		return "@" + target[1:] + " (ALL ARE NOTIFIED)"
	case label != "":
		return label + " (" + target + ")"
	}
	return target
}

// printable is a line without control characters, which a terminal would obey.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, line)
}
