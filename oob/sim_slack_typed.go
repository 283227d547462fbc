package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"provision-plugins/sim/slack"
)

// slackDoing is something that can be typed before a simulated Slack.
type slackDoing struct {
	word, rest, what string
	do               func(*slackDesk, context.Context, string) error
}

// slackDoings are all of it, but for slash commands.
func slackDoings() []slackDoing {
	return []slackDoing{
		{"click", "[N] BUTTON", "click a button, by its text or action id, of message N", (*slackDesk).click},
		{"submit", "[FIELD=]VALUE", "fill the view that is open in, and submit it", (*slackDesk).submit},
		{"dismiss", "", "close the view that is open", (*slackDesk).dismiss},
		{"as", "USER", "be another user, by id or name", (*slackDesk).as},
		{"in", "CHANNEL", "go to another channel, by id or name", (*slackDesk).in},
		{"show", "[CHANNEL]", "print a channel whole, with its threads", (*slackDesk).show},
		{"fault", "METHOD NAME", "have every call of a method fail so; NAME off ends it", (*slackDesk).fault},
		{"disconnect", "[REASON]", "have the app connect anew (default refresh_requested)", (*slackDesk).disconnect},
		{"drop", "", "break the app's connections", (*slackDesk).drop},
		{"revoke", "[CODE]", "refuse the app token (as token_revoked); off ends it", (*slackDesk).revoke},
		{"complaints", "", "print what the app did that Slack forbids", (*slackDesk).complaints},
	}
}

// slackHelp is a line for each thing that can be typed.
func slackHelp() string {
	var out strings.Builder
	line := func(form, what string) { fmt.Fprintf(&out, "  %-21s %s\n", form, what) }
	line("/COMMAND [TEXT]", "type a slash command")
	for _, c := range slackDoings() {
		line(strings.TrimSpace(c.word+" "+c.rest), c.what)
	}
	line("help", "print this, and the names of faults")
	return strings.TrimRight(out.String(), "\n")
}

// typed are the lines of stdin, until it or ctx ends.
func (a *app) typed(ctx context.Context) <-chan string {
	lines := make(chan string)
	// A read of a terminal cannot be cut short: after an interrupt this goroutine
	// ends with the process, which is next.
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(a.stdin); in.Scan(); {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// obey does what is typed, until it or ctx ends.
func (d *slackDesk) obey(ctx context.Context, lines <-chan string) {
	for {
		select {
		case line, more := <-lines:
			if !more {
				return
			}
			if err := d.do(ctx, strings.TrimSpace(line)); err != nil && ctx.Err() == nil {
				d.note("%v", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// note tells who types something.
func (d *slackDesk) note(format string, a ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintln(d.a.stderr, clean(fmt.Sprintf(format, a...)))
}

// do does what one line says.
func (d *slackDesk) do(ctx context.Context, line string) error {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case word == "":
		return nil
	case strings.HasPrefix(word, "/"):
		return d.answered(d.s.Slash(ctx, slack.SlashCommand{User: d.user, Channel: d.channel, Command: word, Text: rest}))
	case word == "help":
		return d.help()
	}
	for _, c := range slackDoings() {
		if c.word == word {
			return c.do(d, ctx, rest)
		}
	}
	return usage("%q is nothing that can be done here; type help", word)
}

// help prints what can be typed.
func (d *slackDesk) help() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := slices.Sorted(maps.Keys(slack.Faults()))
	_, err := fmt.Fprintf(d.a.stderr, "%s\nfaults: %s\n", slackHelp(), strings.Join(names, ", "))
	return err
}

// answered notes what the app's answer is, where no message shows it.
func (d *slackDesk) answered(r slack.Reply, err error) error {
	if err != nil {
		return err
	}
	for _, block := range slices.Sorted(maps.Keys(r.Errors)) {
		d.note("%s: %s", block, r.Errors[block])
	}
	return nil
}

// click clicks a button: of a message by its number, else of the newest that has
// such a button.
func (d *slackDesk) click(ctx context.Context, rest string) error {
	number, label, more := strings.Cut(rest, " ")
	n, err := strconv.Atoi(strings.Trim(number, "[]"))
	if err != nil || !more {
		n, label = 0, rest
	}
	messages := d.s.Messages()
	slices.Reverse(messages)
	for _, m := range messages {
		d.mu.Lock()
		mine := d.numbers[m.TS]
		d.mu.Unlock()
		if n != 0 && mine != n || m.User != "" && m.User != d.user {
			continue
		}
		for _, b := range m.Buttons() {
			if strings.EqualFold(b.Label, label) || b.ActionID == label {
				return d.answered(d.s.Click(ctx, slack.Click{User: d.user, Channel: m.Channel, TS: m.TS, ActionID: b.ActionID, BlockID: b.BlockID}))
			}
		}
	}
	return usage("there is no button %q to click", label)
}

// view is the view that the user has before them.
func (d *slackDesk) view() (slack.View, error) {
	views := d.s.Views(d.user)
	if len(views) == 0 {
		return slack.View{}, usage("no view is open for %s", d.user)
	}
	return views[len(views)-1], nil
}

// submit fills a view in and submits it. Without the name of a field, all that was
// typed is the value of the first.
func (d *slackDesk) submit(ctx context.Context, rest string) error {
	v, err := d.view()
	if err != nil {
		return err
	}
	fields := v.Fields()
	values := map[string]string{}
	if name, value, ok := strings.Cut(rest, "="); ok && slices.Contains(fields, name) {
		values[name] = value
	} else if len(fields) > 0 {
		values[fields[0]] = rest
	}
	return d.answered(d.s.Submit(ctx, slack.Submission{User: d.user, View: v.ID, Values: values}))
}

// dismiss closes the view that is open.
func (d *slackDesk) dismiss(ctx context.Context, _ string) error {
	v, err := d.view()
	if err != nil {
		return err
	}
	return d.answered(d.s.Dismiss(ctx, d.user, v.ID))
}

// as has another user type.
func (d *slackDesk) as(_ context.Context, rest string) error {
	rest = strings.TrimPrefix(rest, "@")
	i := slices.IndexFunc(d.users, func(u slack.User) bool { return rest != "" && (u.ID == rest || u.Name == rest) })
	switch {
	case i >= 0:
		rest = d.users[i].ID
	case rest == "" || len(d.users) > 0:
		return usage("there is no user %q", rest)
	}
	d.user = rest
	return nil
}

// in has the user type in another channel.
func (d *slackDesk) in(_ context.Context, rest string) error {
	if rest == "" {
		return usage("name a channel")
	}
	d.channel = rest
	return nil
}

// show prints a channel.
func (d *slackDesk) show(_ context.Context, rest string) error {
	text := d.s.Text(cmp.Or(rest, d.channel))
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.print(text)
}

// fault has the calls of a method fail.
func (d *slackDesk) fault(_ context.Context, rest string) error {
	method, name, _ := strings.Cut(rest, " ")
	if name == "off" {
		d.s.Switch(method, nil)
		return nil
	}
	f, ok := slack.Faults()[name]
	if !ok {
		return usage("%q is no fault; type help for their names", name)
	}
	d.s.Switch(method, &f)
	return nil
}

// disconnect has the app connect anew.
func (d *slackDesk) disconnect(_ context.Context, rest string) error {
	d.s.Disconnect(cmp.Or(rest, "refresh_requested"))
	return nil
}

// drop breaks the app's connections.
func (d *slackDesk) drop(context.Context, string) error {
	d.s.Drop()
	return nil
}

// revoke has the app token refused.
func (d *slackDesk) revoke(_ context.Context, rest string) error {
	if rest == "off" {
		d.s.RevokeAppToken("")
		return nil
	}
	d.s.RevokeAppToken(cmp.Or(rest, "token_revoked"))
	return nil
}

// complaints prints what the app did that Slack forbids.
func (d *slackDesk) complaints(context.Context, string) error {
	told := d.s.Complaints()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.a.flags.json {
		return d.a.printJSON(map[string][]string{"complaints": told})
	}
	for _, line := range told {
		if err := d.a.printLine(line); err != nil {
			return err
		}
	}
	return nil
}
