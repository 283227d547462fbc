// Package command reads what people type after /metal: bounded, without side
// effects, with errors of one line that say what to type instead.
package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"provision-plugins/shared/hostlist"
	"provision-plugins/shared/model"
	"provision-plugins/slack/mrkdwn"
)

const (
	// maxText bounds what is read, in bytes; Slack sends no more than that.
	maxText = 8000
	// maxReason bounds a reason, in characters.
	maxReason = 300
	// maxNames bounds the machines of one command.
	maxNames = 1000
)

// The verbs that are no action on machines.
const (
	List    = "list"
	Runs    = "runs"
	Silence = "silence"
	Ack     = "ack"
	Who     = "who"
	Help    = "help"
)

// Command is what was typed.
type Command struct {
	// Name is the command's, of one word or two, as Forms lists it.
	Name string

	// Action is the action on machines that it asks for, empty for none.
	Action string

	// Machines are the names, each once, in the order typed.
	Machines []string

	// Reason says why, Override asks for protected machines too.
	Reason   string
	Override bool

	// Params are the action's own.
	Params model.Params

	// For is how long a silence lasts, 0 for what is no silence. ID is that of a
	// silence that is to end.
	For time.Duration
	ID  string
}

// Form is one row of the table of commands.
type Form struct {
	Name   string // one word or two
	Action string // on machines; empty for none
	Always string // the action with --always; empty: there is none
	Usage  string // what stands after the name
	Help   string
	bare   bool // machines may be left out
}

// Forms is the table of commands.
func Forms() []Form {
	return []Form{
		{Name: "status", Action: model.Status, Usage: "MACHINES", Help: "health of machines"},
		{Name: List, Usage: "[MACHINES]", Help: "the machines that you may ask for", bare: true},
		{Name: "power status", Action: model.PowerStatus, Usage: "MACHINES", Help: "power, as it is now"},
		{Name: "power on", Action: model.PowerOn, Usage: "MACHINES", Help: "switch on"},
		{Name: "power off", Action: model.PowerOff, Usage: "MACHINES", Help: "switch off at once"},
		{Name: "power soft", Action: model.PowerSoft, Usage: "MACHINES", Help: "ask the operating system to shut down"},
		{Name: "power cycle", Action: model.PowerCycle, Usage: "MACHINES", Help: "off, then on"},
		{Name: "power reset", Action: model.PowerReset, Usage: "MACHINES", Help: "reset without power loss"},
		{Name: "power nmi", Action: model.PowerNMI, Usage: "MACHINES", Help: "send a diagnostic interrupt"},
		{Name: "boot status", Action: model.BootStatus, Usage: "MACHINES", Help: "what the next boot is from"},
		{Name: "boot pxe", Action: model.NextBootPXE, Always: model.ForceBootPXE, Usage: "[--always] MACHINES", Help: "boot from the network next, or always"},
		{Name: "boot disk", Action: model.NextBootDisk, Always: model.ForceBootDisk, Usage: "[--always] MACHINES", Help: "boot from disk next, or always"},
		{Name: "boot cd", Action: model.NextBootCD, Usage: "MACHINES", Help: "boot from CD next"},
		{Name: "boot bios", Action: model.NextBootBIOS, Usage: "MACHINES", Help: "enter the firmware setup next"},
		{Name: "identify", Action: model.Identify, Usage: "[--off] MACHINES", Help: "light the locator, or switch it off"},
		{Name: Runs, Usage: "[MACHINES]", Help: "what was done last", bare: true},
		{Name: Silence, Usage: "2h MACHINES", Help: "tell nothing of machines for a while"},
		{Name: "silence list", Usage: "", Help: "the silences of now and of later", bare: true},
		{Name: "silence end", Usage: "ID", Help: "end one", bare: true},
		{Name: Ack, Usage: "MACHINES", Help: "say that you look after the trouble of machines"},
		{Name: Who, Usage: "", Help: "who you are here, and what you may do", bare: true},
		{Name: Help, Usage: "", Help: "this table", bare: true},
	}
}

// Known reports whether a name is one of the table, for those who list names.
func Known(name string) bool {
	return slices.ContainsFunc(Forms(), func(f Form) bool { return f.Name == name })
}

// Parse reads a command. No text is help.
func Parse(text string) (*Command, error) {
	if len(text) > maxText || !utf8.ValidString(text) {
		return nil, errors.New("that is too long, or no text; try help")
	}
	words := strings.Fields(mrkdwn.Plain(text))
	if len(words) == 0 {
		return &Command{Name: Help}, nil
	}
	form, rest, err := find(words)
	if err != nil {
		return nil, err
	}
	return form.parse(rest)
}

// find is the form of a command, and the words after its name.
func find(words []string) (Form, []string, error) {
	first := strings.ToLower(words[0])
	var found *Form
	rest, second := words[1:], []string(nil)
	for _, f := range Forms() {
		verb, word, two := strings.Cut(f.Name, " ")
		switch {
		case verb != first:
		case !two:
			found = &f
		case len(words) > 1 && strings.ToLower(words[1]) == word:
			return f, words[2:], nil
		default:
			second = append(second, word)
		}
	}
	switch {
	case found != nil:
		return *found, rest, nil
	case second != nil:
		return Form{}, nil, fmt.Errorf("%s: say which: %s", first, strings.Join(second, ", "))
	}
	return Form{}, nil, fmt.Errorf("there is no command %.40q; try help", words[0])
}

// parse reads what stands after the name.
func (f *Form) parse(words []string) (*Command, error) {
	c := &Command{Name: f.Name, Action: f.Action}
	words, err := c.options(f, words)
	if err != nil {
		return nil, err
	}
	switch {
	case f.Name == Silence:
		if len(words) == 0 {
			return nil, f.usage("say for how long")
		}
		if c.For, err = span(words[0]); err != nil {
			return nil, err
		}
		words = words[1:]
	case f.Name == "silence end":
		if len(words) != 1 {
			return nil, f.usage("name one silence")
		}
		c.ID, words = words[0], nil
	}
	if f.bare && !strings.Contains(f.Usage, "MACHINES") && len(words) > 0 {
		return nil, f.usage("it takes nothing more")
	}
	if !f.bare && len(words) == 0 {
		return nil, f.usage("name machines")
	}
	return c, c.machines(words)
}

// options takes the options out of the words.
func (c *Command) options(f *Form, words []string) ([]string, error) {
	var rest []string
	for i, word := range words {
		name := strings.ToLower(word)
		if strings.HasPrefix(name, "—") { // what some keyboards make of two hyphens
			name = "--" + strings.TrimPrefix(name, "—")
		}
		switch {
		case name == "--reason" || strings.HasPrefix(name, "--reason=") || name == "because":
			_, value, _ := strings.Cut(word, "=")
			if name == "because" {
				value = ""
			}
			return rest, c.because(append([]string{value}, words[i+1:]...))
		case name == "--always" && f.Always != "":
			c.Action = f.Always
		case name == "--off" && f.Action == model.Identify:
			c.Params = model.Params{"ipmi/identify-duration": 0}
		case name == "--override-protected" && f.Action != "":
			c.Override = true
		case strings.HasPrefix(name, "-"):
			return nil, f.usage(fmt.Sprintf("%.40q is no option of it", word))
		default:
			rest = append(rest, word)
		}
	}
	return rest, nil
}

// because takes the reason: all that stands to the end.
func (c *Command) because(words []string) error {
	reason := strings.Trim(strings.TrimSpace(strings.Join(words, " ")), "\"'“”")
	if reason == "" || utf8.RuneCountInString(reason) > maxReason {
		return fmt.Errorf("say why in 1 to %d characters", maxReason)
	}
	c.Reason = reason
	return nil
}

// machines expands the host lists.
func (c *Command) machines(words []string) error {
	for i, word := range words { // a comma may stand before a space
		words[i] = strings.Trim(word, ",")
	}
	list := strings.Trim(strings.Join(words, ","), ",")
	if list == "" {
		return nil
	}
	names, err := hostlist.Expand(list)
	if err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), "\n", " "))
	}
	if len(names) > maxNames {
		return fmt.Errorf("that are %d machines; %d are the most", len(names), maxNames)
	}
	c.Machines = names
	return nil
}

// usage is an error that says how the command is typed.
func (f *Form) usage(what string) error {
	return errors.New(strings.TrimSpace(fmt.Sprintf("%s: %s: %s %s", f.Name, what, f.Name, f.Usage)))
}

// span reads how long: 90m, 2h, 3d.
func span(word string) (time.Duration, error) {
	days, isDays := strings.CutSuffix(word, "d")
	text := word
	if isDays {
		text = days + "h"
	}
	d, err := time.ParseDuration(text)
	if isDays {
		d *= 24
	}
	if err != nil || d < time.Minute || d > 30*24*time.Hour {
		return 0, fmt.Errorf("%.20q is no time such as 90m, 2h or 3d, of 30 days at most", word)
	}
	return d, nil
}

// Info is the action's row in the vocabulary, that of a read for what is none.
func (c *Command) Info() model.ActionInfo {
	if c.Action == "" {
		return model.ActionInfo{Class: model.Read}
	}
	return model.ActionOf(c.Action, nil)
}

// Confirmed reports whether the command on so many machines is to be confirmed
// before anything is done: what takes something away, and what changes several.
func (c *Command) Confirmed(machines int) bool {
	info := c.Info()
	switch {
	case info.Class == model.Read || c.Action == model.Identify:
		return false
	case info.Guarded || info.Class == model.Once || c.Override:
		return true
	}
	return machines > 1
}
