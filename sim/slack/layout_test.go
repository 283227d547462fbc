package slack

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestElementLimits holds every kind of element against the documented limits of
// Block Kit, on both sides of each.
func TestElementLimits(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	plainly := func(n int) string { return `{"type":"plain_text","text":"` + long(n) + `"}` }
	marked := func(n int) string { return `{"type":"mrkdwn","text":"` + long(n) + `"}` }
	actions := func(element string) string { return `{"type":"actions","elements":[` + element + `]}` }
	button := func(more string) string {
		return actions(`{"type":"button","text":` + plainly(1) + more + `}`)
	}
	dialog := func(title, words, yes, no string) string {
		return button(`,"confirm":{"title":` + title + `,"text":` + words + `,"confirm":` + yes + `,"deny":` + no + `}`)
	}
	options := func(n, label, value int) string {
		one := `{"text":` + plainly(label) + `,"value":"` + long(value) + `"}`
		return `"options":[` + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + `]`
	}
	input := func(more string) string {
		return `{"type":"input","label":` + plainly(1) + `,"element":{"type":"plain_text_input"` + more + `}}`
	}
	beside := func(element string) string {
		return `{"type":"section","text":` + marked(1) + `,"accessory":` + element + `}`
	}
	image := func(url, alt int) string {
		return `{"type":"image","image_url":"` + long(url) + `","alt_text":"` + long(alt) + `"}`
	}
	for name, c := range map[string]struct {
		block string
		good  bool
	}{
		"header of markup":          {`{"type":"header","text":` + marked(1) + `}`, false},
		"header 150":                {`{"type":"header","text":` + plainly(150) + `}`, true},
		"header without text":       {`{"type":"header"}`, false},
		"header of a string":        {`{"type":"header","text":"x"}`, false},
		"button of markup":          {actions(`{"type":"button","text":` + marked(1) + `}`), false},
		"button without text":       {actions(`{"type":"button"}`), false},
		"action id 255":             {button(`,"action_id":"` + long(255) + `"`), true},
		"action id 256":             {button(`,"action_id":"` + long(256) + `"`), false},
		"address 3000":              {button(`,"url":"` + long(3000) + `"`), true},
		"address 3001":              {button(`,"url":"` + long(3001) + `"`), false},
		"danger":                    {button(`,"style":"danger"`), true},
		"primary":                   {button(`,"style":"primary"`), true},
		"another style":             {button(`,"style":"blue"`), false},
		"dialog at its limits":      {dialog(plainly(100), marked(300), plainly(30), plainly(30)), true},
		"dialog title 101":          {dialog(plainly(101), marked(1), plainly(1), plainly(1)), false},
		"dialog text 301":           {dialog(plainly(1), marked(301), plainly(1), plainly(1)), false},
		"dialog yes 31":             {dialog(plainly(1), marked(1), plainly(31), plainly(1)), false},
		"dialog no 31":              {dialog(plainly(1), marked(1), plainly(1), plainly(31)), false},
		"dialog without no":         {dialog(plainly(1), marked(1), plainly(1), "null"), false},
		"25 elements":               {actions(strings.TrimSuffix(strings.Repeat(anyButton+",", 25), ",")), true},
		"26 elements":               {actions(strings.TrimSuffix(strings.Repeat(anyButton+",", 26), ",")), false},
		"one action twice":          {actions(`{"type":"button","action_id":"a","text":` + plainly(1) + `},{"type":"button","action_id":"a","text":` + plainly(1) + `}`), false},
		"an image among actions":    {actions(image(1, 1)), false},
		"a text among actions":      {actions(marked(1)), false},
		"a button in a context":     {`{"type":"context","elements":[{"type":"button","text":` + plainly(1) + `}]}`, false},
		"an image in a context":     {`{"type":"context","elements":[` + image(1, 1) + `]}`, true},
		"an empty context":          {`{"type":"context","elements":[]}`, false},
		"select of 100":             {actions(`{"type":"static_select",` + options(100, 1, 1) + `}`), true},
		"select of 101":             {actions(`{"type":"static_select",` + options(101, 1, 1) + `}`), false},
		"select of none":            {actions(`{"type":"static_select","options":[]}`), false},
		"option 75":                 {actions(`{"type":"static_select",` + options(1, 75, 150) + `}`), true},
		"option 76":                 {actions(`{"type":"static_select",` + options(1, 76, 1) + `}`), false},
		"option value 151":          {actions(`{"type":"static_select",` + options(1, 1, 151) + `}`), false},
		"overflow of 5":             {actions(`{"type":"overflow",` + options(5, 1, 1) + `}`), true},
		"overflow of 6":             {actions(`{"type":"overflow",` + options(6, 1, 1) + `}`), false},
		"button beside a section":   {beside(`{"type":"button","text":` + plainly(1) + `}`), true},
		"text beside a section":     {beside(marked(1)), false},
		"long button beside":        {beside(`{"type":"button","text":` + plainly(76) + `}`), false},
		"image 3000, 2000":          {image(3000, 2000), true},
		"image 3001":                {image(3001, 1), false},
		"image text 2001":           {image(1, 2001), false},
		"image without text":        {image(1, 0), false},
		"image without address":     {image(0, 1), false},
		"markdown 12000":            {`{"type":"markdown","text":"` + long(12_000) + `"}`, true},
		"markdown 12001":            {`{"type":"markdown","text":"` + long(12_001) + `"}`, false},
		"markdown of an object":     {`{"type":"markdown","text":` + marked(1) + `}`, false},
		"input":                     {input(""), true},
		"input 3000":                {input(`,"max_length":3000`), true},
		"input 3001":                {input(`,"max_length":3001`), false},
		"input below zero":          {input(`,"min_length":-1`), false},
		"placeholder 150":           {input(`,"placeholder":` + plainly(150)), true},
		"placeholder 151":           {input(`,"placeholder":` + plainly(151)), false},
		"placeholder of markup":     {input(`,"placeholder":` + marked(1)), false},
		"input without an element":  {`{"type":"input","label":` + plainly(1) + `}`, false},
		"input without a label":     {`{"type":"input","element":{"type":"plain_text_input"}}`, false},
		"input of a button":         {`{"type":"input","label":` + plainly(1) + `,"element":{"type":"button","text":` + plainly(1) + `}}`, false},
		"hint 2000":                 {`{"type":"input","label":` + plainly(1) + `,"hint":` + plainly(2000) + `,"element":{"type":"plain_text_input"}}`, true},
		"hint 2001":                 {`{"type":"input","label":` + plainly(1) + `,"hint":` + plainly(2001) + `,"element":{"type":"plain_text_input"}}`, false},
		"a string for a block":      {`"divider"`, false},
		"section with a bad text":   {`{"type":"section","text":{"type":"html","text":"x"}}`, false},
		"rich text and its content": {`{"type":"rich_text","elements":[{"type":"rich_text_section"}]}`, true},
	} {
		if _, ok := parseBlocks(json.RawMessage("["+c.block+"]"), maxBlocks); ok != c.good {
			t.Errorf("%s: good is %v", name, ok)
		}
	}
}

// anyButton is an element that an actions block may have many of.
const anyButton = `{"type":"button","text":{"type":"plain_text","text":"x"}}`

func TestLayoutRefusals(t *testing.T) {
	divider := `{"type":"divider"}`
	many := func(n int, what string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(what+",", n), ",") + "]"
	}
	for name, c := range map[string]struct{ blocks, attachments, want string }{
		"nothing":               {"", "", ""},
		"50 and 50":             {many(50, divider), `[{"blocks":` + many(50, divider) + `}]`, ""},
		"51 in an attachment":   {"", `[{"blocks":` + many(51, divider) + `}]`, "invalid_blocks"},
		"100 attachments":       {"", many(100, `{"text":"x"}`), ""},
		"101 attachments":       {"", many(101, `{"text":"x"}`), "too_many_attachments"},
		"attachments no list":   {"", `{}`, "invalid_attachments"},
		"blocks no list":        {`{}`, "", "invalid_blocks_format"},
		"one id twice":          {many(2, `{"type":"divider","block_id":"b"}`), "", "invalid_blocks"},
		"one id in each":        {many(1, `{"type":"divider","block_id":"b"}`), `[{"blocks":[{"type":"divider","block_id":"b"}]}]`, ""},
		"a total over the most": {many(3, `{"type":"section","text":{"type":"mrkdwn","text":"`+strings.Repeat("x", 3000)+`"}}`), `[{"blocks":` + many(2, `{"type":"section","text":{"type":"mrkdwn","text":"`+strings.Repeat("x", 3000)+`"}}`) + `}]`, "msg_blocks_too_long"},
	} {
		var blocks, attachments json.RawMessage
		if c.blocks != "" {
			blocks = json.RawMessage(c.blocks)
		}
		if c.attachments != "" {
			attachments = json.RawMessage(c.attachments)
		}
		if got := checkLayout(blocks, attachments); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
