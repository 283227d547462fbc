package slack

import (
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"
)

// The documented limits of Block Kit, in characters where not said otherwise.
const (
	maxBlocks      = 50
	maxAttachments = 100
	maxSection     = 3000
	maxHeader      = 150
	maxFields      = 10
	maxField       = 2000
	maxBlockID     = 255
	maxActionID    = 255
	maxElements    = 25 // of an actions block; 10 of a context
	maxContext     = 10
	maxButton      = 75
	maxValue       = 2000
	maxURL         = 3000
	maxAlt         = 2000
	maxLabel       = 2000 // of an input block
	maxPlaceholder = 150
	maxInput       = 3000 // of what is typed
	maxMarkdown    = 12_000
	maxOptions     = 100 // of a select
	maxOption      = 75
	maxOptionValue = 150
	// maxTotal is where Slack answers msg_blocks_too_long; it is not documented.
	maxTotal = 13_200
)

// The types of text objects.
const (
	plainText = "plain_text"
	markdown  = "mrkdwn"
)

// block is one block, as far as its limits go.
type block struct {
	Type      string          `json:"type"`
	BlockID   string          `json:"block_id"`
	Text      json.RawMessage `json:"text"` // a text object, or that of a markdown block
	Fields    []text          `json:"fields"`
	Parts     []piece         `json:"elements"`
	Accessory *piece          `json:"accessory"`
	Label     *text           `json:"label"`
	Hint      *text           `json:"hint"`
	Element   *piece          `json:"element"`
	Optional  bool            `json:"optional"`
	ImageURL  string          `json:"image_url"`
	AltText   string          `json:"alt_text"`
}

// text is a text object.
type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// piece is an element of a block: a button has a text object, a context a text.
type piece struct {
	Type        string          `json:"type"`
	ActionID    string          `json:"action_id"`
	Text        json.RawMessage `json:"text"`
	Value       string          `json:"value"`
	Style       string          `json:"style"`
	URL         string          `json:"url"`
	Confirm     *confirm        `json:"confirm"`
	Options     []option        `json:"options"`
	Placeholder *text           `json:"placeholder"`
	MinLength   int             `json:"min_length"`
	MaxLength   int             `json:"max_length"`
	ImageURL    string          `json:"image_url"`
	AltText     string          `json:"alt_text"`
}

// confirm is the dialog before an action.
type confirm struct {
	Title   *text `json:"title"`
	Text    *text `json:"text"`
	Confirm *text `json:"confirm"`
	Deny    *text `json:"deny"`
}

// option is one of a select or an overflow menu.
type option struct {
	Text  *text  `json:"text"`
	Value string `json:"value"`
}

// attachment is an old attachment, as far as it holds blocks.
type attachment struct {
	Color    string          `json:"color"`
	Fallback string          `json:"fallback"`
	Text     string          `json:"text"`
	Blocks   json.RawMessage `json:"blocks"`
}

// checkLayout returns Slack's refusal of a layout, empty if it is good.
func checkLayout(blocks, attachments json.RawMessage) (code string) {
	if blocks != nil && json.Unmarshal(blocks, new([]json.RawMessage)) != nil {
		return "invalid_blocks_format"
	}
	var more []attachment
	if attachments != nil && json.Unmarshal(attachments, &more) != nil {
		return "invalid_attachments"
	}
	if len(more) > maxAttachments {
		return "too_many_attachments"
	}
	layouts := []json.RawMessage{blocks}
	for _, a := range more {
		layouts = append(layouts, a.Blocks)
	}
	total := 0
	for _, layout := range layouts {
		all, ok := parseBlocks(layout, maxBlocks)
		if !ok {
			return "invalid_blocks"
		}
		for _, b := range all {
			size, _ := b.check()
			total += size
		}
	}
	if total > maxTotal {
		return "msg_blocks_too_long"
	}
	return ""
}

// parseBlocks reads a list of blocks, and tells whether it keeps the limits. A
// block without an id gets one, as Slack gives it.
func parseBlocks(raw json.RawMessage, most int) (all []block, ok bool) {
	if len(raw) == 0 {
		return nil, true
	}
	if json.Unmarshal(raw, &all) != nil || len(all) > most {
		return nil, false
	}
	seen := map[string]bool{}
	for i := range all {
		if all[i].BlockID == "" {
			all[i].BlockID = fmt.Sprintf("sim%d", i)
		}
		_, good := all[i].check()
		if !good || seen[all[i].BlockID] {
			return nil, false
		}
		seen[all[i].BlockID] = true
	}
	return all, true
}

// check tells how many characters a block has and whether it keeps the limits.
func (b block) check() (size int, ok bool) {
	if utf8.RuneCountInString(b.BlockID) > maxBlockID {
		return 0, false
	}
	switch b.Type {
	case "divider", "rich_text":
		return 0, true
	case "image":
		return 0, goodImage(b.ImageURL, b.AltText)
	case "header":
		return b.words().checkPlain(maxHeader)
	case "section":
		return b.section()
	case "context":
		return b.pieces(maxContext, "mrkdwn", "plain_text", "image")
	case "actions":
		return b.pieces(maxElements, "button", "static_select", "overflow")
	case "markdown":
		var words string
		bad := json.Unmarshal(b.Text, &words) != nil
		n := utf8.RuneCountInString(words)
		return n, !bad && n >= 1 && n <= maxMarkdown
	case "input":
		return b.input()
	}
	return 0, false
}

// words is the text object of a block, nil if it has none.
func (b block) words() *text { return readText(b.Text) }

// readText reads a text object, nil if it is none.
func readText(raw json.RawMessage) *text {
	var t text
	if len(raw) == 0 || json.Unmarshal(raw, &t) != nil {
		return nil
	}
	return &t
}

// goodImage tells whether an image keeps the limits.
func goodImage(url, alt string) bool {
	return url != "" && utf8.RuneCountInString(url) <= maxURL && alt != "" && utf8.RuneCountInString(alt) <= maxAlt
}

// section checks a section: a text, or fields, or both, and what stands beside.
func (b block) section() (size int, ok bool) {
	if b.Text == nil && len(b.Fields) == 0 || len(b.Fields) > maxFields {
		return 0, false
	}
	if b.Text != nil {
		if size, ok = b.words().check(maxSection); !ok {
			return 0, false
		}
	}
	for _, f := range b.Fields {
		n, ok := f.check(maxField)
		if !ok {
			return 0, false
		}
		size += n
	}
	if b.Accessory == nil {
		return size, true
	}
	n, ok := b.Accessory.check("button", "image", "static_select", "overflow")
	return size + n, ok
}

// input checks an input block.
func (b block) input() (size int, ok bool) {
	if size, ok = b.Label.checkPlain(maxLabel); !ok || b.Element == nil {
		return 0, false
	}
	if _, ok := b.Hint.checkPlain(maxLabel); b.Hint != nil && !ok {
		return 0, false
	}
	n, ok := b.Element.check("plain_text_input", "static_select")
	return size + n, ok
}

// check checks a text object.
func (t *text) check(most int) (size int, ok bool) {
	if t == nil || t.Type != markdown && t.Type != plainText {
		return 0, false
	}
	n := utf8.RuneCountInString(t.Text)
	return n, n >= 1 && n <= most
}

// checkPlain checks a text object that may have no markup.
func (t *text) checkPlain(most int) (size int, ok bool) {
	size, ok = t.check(most)
	return size, ok && t.Type == plainText
}

// pieces checks the elements of a context or an actions block, which are of the
// types; no two have one action_id.
func (b block) pieces(most int, types ...string) (size int, ok bool) {
	if len(b.Parts) == 0 || len(b.Parts) > most {
		return 0, false
	}
	seen := map[string]bool{}
	for _, p := range b.Parts {
		n, ok := p.check(types...)
		if !ok || p.ActionID != "" && seen[p.ActionID] {
			return 0, false
		}
		seen[p.ActionID] = true
		size += n
	}
	return size, true
}

// check checks one element, which is of one of the types.
func (p piece) check(types ...string) (size int, ok bool) {
	if !slices.Contains(types, p.Type) || utf8.RuneCountInString(p.ActionID) > maxActionID || !p.Confirm.check() {
		return 0, false
	}
	switch p.Type {
	case markdown, plainText:
		var words string
		if json.Unmarshal(p.Text, &words) != nil {
			return 0, false
		}
		return (&text{p.Type, words}).check(maxSection)
	case "button":
		return p.button()
	case "image":
		return 0, goodImage(p.ImageURL, p.AltText)
	case "plain_text_input":
		_, named := p.Placeholder.checkPlain(maxPlaceholder)
		return 0, (p.Placeholder == nil || named) && p.MinLength >= 0 && p.MinLength <= maxInput && p.MaxLength >= 0 && p.MaxLength <= maxInput
	case "overflow":
		return checkOptions(p.Options, 5)
	}
	return checkOptions(p.Options, maxOptions)
}

// button checks a button.
func (p piece) button() (size int, ok bool) {
	styled := p.Style == "" || p.Style == "primary" || p.Style == "danger"
	if utf8.RuneCountInString(p.Value) > maxValue || utf8.RuneCountInString(p.URL) > maxURL || !styled {
		return 0, false
	}
	return readText(p.Text).checkPlain(maxButton)
}

// check tells whether a dialog keeps the limits; none does.
func (c *confirm) check() bool {
	if c == nil {
		return true
	}
	_, title := c.Title.checkPlain(100)
	_, words := c.Text.check(300)
	_, yes := c.Confirm.checkPlain(30)
	_, no := c.Deny.checkPlain(30)
	return title && words && yes && no
}

// checkOptions checks those of a select or an overflow menu.
func checkOptions(options []option, most int) (size int, ok bool) {
	if len(options) == 0 || len(options) > most {
		return 0, false
	}
	for _, o := range options {
		n, ok := o.Text.check(maxOption)
		if !ok || utf8.RuneCountInString(o.Value) > maxOptionValue {
			return 0, false
		}
		size += n
	}
	return size, true
}
