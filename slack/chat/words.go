package chat

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	api "github.com/slack-go/slack"

	"provision-plugins/shared/hostlist"
	"provision-plugins/slack/mrkdwn"
)

const (
	// maxWords bounds a text, in characters: a section's limit is 3,000.
	maxWords = 2800
	// maxLine bounds a line.
	maxLine = 600
	// maxGroups bounds how many different outcomes are listed.
	maxGroups = 20
)

// The actions of our buttons, the view's callback and its field.
const (
	actionConfirm = "oob_confirm"
	actionCancel  = "oob_cancel"
	viewConfirm   = "oob_confirm_typed"
	fieldBlock    = "typed"
	fieldAction   = "text"
)

// escape is a text of others as mrkdwn, in one line.
func escape(text string) string { return mrkdwn.Escape(cut(oneLine(text), maxLine)) }

// oneLine joins the lines of a text.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// cut shortens a text to a number of characters.
func cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}

// folded is a list of names, shortened.
func folded(names []string) string { return cut(hostlist.Fold(names), maxLine) }

// machines is a number of machines in words.
func machines(n int) string {
	if n == 1 {
		return "1 machine"
	}
	return fmt.Sprintf("%d machines", n)
}

// head says what was asked for, by whom and why.
func (t *ticket) head() string {
	text := fmt.Sprintf("<@%s>: *%s* `%s`", t.User, t.asked(), mrkdwn.Escape(folded(t.names())))
	if n := len(t.Machines); n > 1 {
		text += " (" + machines(n) + ")"
	}
	if t.Command.Reason != "" {
		text += "\n_because:_ " + escape(t.Command.Reason)
	}
	return text
}

// asked is the command in words.
func (t *ticket) asked() string {
	words := t.Command.Name
	if strings.HasPrefix(t.Command.Action, "force") {
		words += " --always"
	}
	if t.Command.Override {
		words += " --override-protected"
	}
	return words
}

// record is what is written down of a ticket.
func (t *ticket) record(words string) map[string]any {
	return map[string]any{
		"User": t.User, "Channel": t.Channel, "Command": t.asked(), "Machines": t.names(), "Reason": t.Command.Reason,
		"State": t.State, "By": t.By, "Outcome": words,
	}
}

// plain is the ticket's head without markup, for where there is none.
func (t *ticket) plain() string {
	return mrkdwn.Escape(cut(fmt.Sprintf("%s %s", t.asked(), folded(t.names())), maxLine))
}

// shown is the ticket's message without buttons: what was asked for, and how it
// stands. The status is mrkdwn.
func (t *ticket) shown(status string) message {
	return message{text: t.plain() + ": " + cut(status, maxLine), blocks: []api.Block{section(t.head()), section(status)}}
}

// section is a block of text.
func section(text string) api.Block {
	return api.NewSectionBlock(api.NewTextBlockObject(api.MarkdownType, cut(text, maxWords), false, false), nil, nil)
}

// question is the ticket's message with its buttons.
func (t *ticket) question(confirm, cancel string) message {
	label, hint := "Confirm", fmt.Sprintf("<@%s> confirms within 2 minutes.", t.User)
	if t.Second {
		label, hint = "Approve", "Somebody else who may do this approves within 2 minutes."
	}
	if t.Typed {
		hint += " It is typed to confirm."
	}
	yes := api.NewButtonBlockElement(actionConfirm, confirm, api.NewTextBlockObject(api.PlainTextType, label, false, false)).WithStyle(api.StyleDanger)
	no := api.NewButtonBlockElement(actionCancel, cancel, api.NewTextBlockObject(api.PlainTextType, "Cancel", false, false))
	return message{text: t.plain() + ": to be confirmed", blocks: []api.Block{section(t.head()), section(hint), api.NewActionBlock("oob_request", yes, no)}}
}

// wanted is what is typed to confirm: the machine's name, or their number.
func (t *ticket) wanted() string {
	if len(t.Machines) == 1 {
		return t.Machines[0].Name
	}
	return fmt.Sprint(len(t.Machines))
}

// view is what the confirmation is typed into.
func (t *ticket) view(private string) api.ModalViewRequest {
	plain := func(text string) *api.TextBlockObject {
		return api.NewTextBlockObject(api.PlainTextType, text, false, false)
	}
	label := "Type the number of machines"
	if len(t.Machines) == 1 {
		label = "Type the name of the machine"
	}
	field := api.NewPlainTextInputBlockElement(nil, fieldAction)
	return api.ModalViewRequest{
		Type: api.VTModal, CallbackID: viewConfirm, PrivateMetadata: private,
		Title: plain("Confirm"), Submit: plain("Confirm"), Close: plain("Back"),
		Blocks: api.Blocks{BlockSet: []api.Block{section(t.head()), api.NewInputBlock(fieldBlock, plain(label), nil, field)}},
	}
}

// tally collects outcomes.
type tally struct {
	total, ended, failed int
	by                   map[string][]string // names by line
}

// add counts an outcome.
func (y *tally) add(o outcome) {
	line, well := o.words(y.total == 1)
	icon := ":white_check_mark: "
	if !well {
		y.failed++
		icon = ":x: "
	}
	y.ended++
	if y.by == nil {
		y.by = map[string][]string{}
	}
	line = icon + escape(line)
	y.by[line] = append(y.by[line], o.machine.Name)
}

// progress is how far it is.
func (y *tally) progress() string {
	text := fmt.Sprintf(":hourglass_flowing_sand: %d of %d done", y.ended, y.total)
	if y.failed > 0 {
		text += fmt.Sprintf(", %d failed", y.failed)
	}
	return text
}

// String lists the outcomes, the most frequent first.
func (y *tally) String() string {
	lines := slices.SortedFunc(maps.Keys(y.by), func(a, b string) int {
		return cmp.Or(len(y.by[b])-len(y.by[a]), strings.Compare(a, b))
	})
	var out []string
	size, shown := 0, 0
	for _, line := range lines {
		names := y.by[line]
		text := fmt.Sprintf("%s: `%s`", line, mrkdwn.Escape(folded(names)))
		if size += utf8.RuneCountInString(text) + 1; len(out) == maxGroups || size > maxWords-100 {
			break
		}
		out, shown = append(out, text), shown+len(names)
	}
	if rest := y.ended - shown; rest > 0 {
		out = append(out, fmt.Sprintf("and %d more; `runs` lists them", rest))
	}
	return strings.Join(out, "\n")
}
