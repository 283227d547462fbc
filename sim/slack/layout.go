package slack

import (
	"encoding/json"
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
	maxElements    = 25 // of an actions block; 10 of a context
	maxContext     = 10
	maxButton      = 75
	maxValue       = 2000
	// maxTotal is where Slack answers msg_blocks_too_long; it is not documented.
	maxTotal = 13_200
)

// block is one block, as far as its limits go.
type block struct {
	Type    string  `json:"type"`
	BlockID string  `json:"block_id"`
	Text    *text   `json:"text"`
	Fields  []text  `json:"fields"`
	Parts   []piece `json:"elements"`
}

// text is a text object.
type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// piece is an element of a block: a button has a text object, a context a text.
type piece struct {
	Type  string          `json:"type"`
	Text  json.RawMessage `json:"text"`
	Value string          `json:"value"`
}

// attachment is an old attachment, as far as it holds blocks.
type attachment struct {
	Blocks []block `json:"blocks"`
}

// checkLayout returns Slack's refusal of a layout, empty if it is good.
func checkLayout(blocks, attachments json.RawMessage) (code string) {
	var all []block
	if blocks != nil && json.Unmarshal(blocks, &all) != nil {
		return "invalid_blocks_format"
	}
	var more []attachment
	if attachments != nil && json.Unmarshal(attachments, &more) != nil {
		return "invalid_attachments"
	}
	if len(more) > maxAttachments {
		return "too_many_attachments"
	}
	if len(all) > maxBlocks {
		return "invalid_blocks"
	}
	for _, a := range more {
		if len(a.Blocks) > maxBlocks {
			return "invalid_blocks"
		}
		all = append(all, a.Blocks...)
	}
	total := 0
	for _, b := range all {
		size, ok := b.check()
		if !ok {
			return "invalid_blocks"
		}
		total += size
	}
	if total > maxTotal {
		return "msg_blocks_too_long"
	}
	return ""
}

// check tells how many characters a block has and whether it keeps the limits.
func (b block) check() (size int, ok bool) {
	if utf8.RuneCountInString(b.BlockID) > maxBlockID {
		return 0, false
	}
	switch b.Type {
	case "divider", "image":
		return 0, true
	case "header":
		return b.Text.check(maxHeader)
	case "section":
		return b.section()
	case "context":
		return b.pieces(maxContext)
	case "actions":
		return b.pieces(maxElements)
	}
	return 0, false
}

// section checks a section: a text, or fields, or both.
func (b block) section() (size int, ok bool) {
	if b.Text == nil && len(b.Fields) == 0 || len(b.Fields) > maxFields {
		return 0, false
	}
	if b.Text != nil {
		if size, ok = b.Text.check(maxSection); !ok {
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
	return size, true
}

// check checks a text object.
func (t *text) check(most int) (size int, ok bool) {
	if t == nil || t.Type != "mrkdwn" && t.Type != "plain_text" {
		return 0, false
	}
	n := utf8.RuneCountInString(t.Text)
	return n, n >= 1 && n <= most
}

// pieces checks the elements of a context or an actions block.
func (b block) pieces(most int) (size int, ok bool) {
	if len(b.Parts) == 0 || len(b.Parts) > most {
		return 0, false
	}
	for _, p := range b.Parts {
		n, ok := p.check()
		if !ok {
			return 0, false
		}
		size += n
	}
	return size, true
}

// check checks one element.
func (p piece) check() (size int, ok bool) {
	switch p.Type {
	case "mrkdwn", "plain_text":
		var plain string
		if json.Unmarshal(p.Text, &plain) != nil {
			return 0, false
		}
		return (&text{p.Type, plain}).check(maxSection)
	case "button":
		var label text
		if json.Unmarshal(p.Text, &label) != nil || utf8.RuneCountInString(p.Value) > maxValue {
			return 0, false
		}
		return label.check(maxButton)
	case "image", "static_select", "overflow":
		return 0, true
	}
	return 0, false
}
