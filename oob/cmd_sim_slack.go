package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"provision-plugins/shared/model"
	"provision-plugins/sim/slack"
)

// simSlackOptions are the flags of "sim slack".
type simSlackOptions struct {
	slack.Options
	botFile, appFile string
	users, groups    []string
}

// newSimSlackCommand makes "sim slack".
func newSimSlackCommand(a *app) *cobra.Command {
	var o simSlackOptions
	cmd := &cobra.Command{
		Use:   "slack",
		Short: "Simulate Slack: its Web API, Socket Mode, and the people in it",
		Long: `Simulate Slack, until interrupted: its Web API, Socket Mode, and the people in
it. The URL for the param slack/api-url is printed, then each message as it is
posted or edited, as a person would read it.

What people do is typed, a line each:

` + slackHelp(),
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.simSlackOptions(&o); err != nil {
				return err
			}
			return a.simSlack(cmd.Context(), o.Options)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.Addr, "listen", "127.0.0.1:0", "`HOST:PORT` to listen on")
	fs.StringVar(&o.botFile, "bot-token-file", "", "`FILE` with the one bot token to accept (default: any)")
	fs.StringVar(&o.appFile, "app-token-file", "", "`FILE` with the one app token to accept (default: any)")
	fs.StringArrayVar(&o.Channels, "channel", nil, "a `CHANNEL` that exists, as C1 or C1=ops (may be repeated; default: any)")
	fs.StringArrayVar(&o.users, "user", nil, "a `USER` that exists, as U1 or U1=alice (may be repeated; default: any)")
	fs.StringArrayVar(&o.groups, "group", nil, "a user `GROUP`, as S1=oncall:U1,U2 (may be repeated)")
	fs.IntVar(&o.RateLimit, "rate-limit", 0, "how many messages a channel takes in a second (default: any number)")
	fs.DurationVar(&o.AckTimeout, "ack-timeout", 0, "how long the app has to acknowledge what people do (default 3s)")
	return cmd
}

// simSlackOptions turns flags into options.
func (a *app) simSlackOptions(o *simSlackOptions) error {
	for name, f := range map[string]struct {
		file string
		to   *string
	}{"--bot-token-file": {o.botFile, &o.Token}, "--app-token-file": {o.appFile, &o.AppToken}} {
		if f.file == "" {
			continue
		}
		token, err := a.readSecret(f.file)
		if err != nil {
			return usage("%s: %w", name, err)
		}
		*f.to = token
	}
	if o.RateLimit < 0 || o.AckTimeout < 0 {
		return usage("--rate-limit and --ack-timeout must not be negative")
	}
	for _, text := range o.users {
		id, name, _ := strings.Cut(text, "=")
		o.Users = append(o.Users, slack.User{ID: id, Name: name})
	}
	for _, text := range o.groups {
		id, rest, ok := strings.Cut(text, "=")
		handle, members, more := strings.Cut(rest, ":")
		if !ok || !more || id == "" || handle == "" {
			return usage("--group %q is not as S1=oncall:U1,U2", text)
		}
		o.Groups = append(o.Groups, slack.Group{ID: id, Handle: handle, Users: strings.Split(members, ",")})
	}
	return nil
}

// simSlack runs a workspace until ctx ends.
func (a *app) simSlack(ctx context.Context, o slack.Options) error {
	s, err := slack.New(o)
	if err != nil {
		return notListening(err, "--listen")
	}
	if a.flags.json {
		err = a.printJSON(map[string]string{"url": s.URL()})
	} else {
		err = a.printLine(s.URL())
	}
	if err == nil {
		fmt.Fprintln(a.stderr, "simulating Slack; type help for what can be done, interrupt to stop")
		err = newSlackDesk(a, s, o).run(ctx)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return model.Errorf(model.Internal, "cannot simulate Slack: %w", err)
	}
	return nil
}

// slackDesk is what somebody sees and types who sits before a simulated Slack.
type slackDesk struct {
	a             *app
	s             *slack.Server
	users         []slack.User
	user, channel string // who types, and where

	mu      sync.Mutex        // guards what follows, and the output
	numbers map[string]int    // of the messages that were printed, by timestamp
	edits   map[string]int    // of each as it was printed
	views   map[string]string // as they were printed, by id
}

// newSlackDesk is a desk of the first user, in the first channel.
func newSlackDesk(a *app, s *slack.Server, o slack.Options) *slackDesk {
	d := &slackDesk{
		a: a, s: s, users: o.Users, user: "U1", channel: "general",
		numbers: map[string]int{}, edits: map[string]int{}, views: map[string]string{},
	}
	if len(o.Users) > 0 {
		d.user = o.Users[0].ID
	}
	if len(o.Channels) > 0 {
		d.channel, _, _ = strings.Cut(o.Channels[0], "=")
	}
	return d
}

// run prints what is posted and does what is typed, until ctx ends.
func (d *slackDesk) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var typing sync.WaitGroup
	defer typing.Wait()
	defer cancel()
	typing.Go(func() { d.obey(ctx, d.a.typed(ctx)) })
	for {
		if err := d.s.Until(ctx, d.hasNews); err != nil {
			return unlessEnded(ctx, err)
		}
		if err := d.printNews(); err != nil {
			return err
		}
	}
}

// hasNews tells whether something is to be printed.
func (d *slackDesk) hasNews() bool {
	messages, views := d.news()
	return len(messages) > 0 || len(views) > 0
}

// news are the messages and views that are not printed as they are now.
func (d *slackDesk) news() (messages []slack.Message, views []slack.View) {
	all, open := d.s.Messages(), d.s.Views("")
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range all {
		if edits, printed := d.edits[m.TS]; !printed || edits < m.Edits {
			messages = append(messages, m)
		}
	}
	for _, v := range open {
		if d.views[v.ID] != d.s.RenderView(v) {
			views = append(views, v)
		}
	}
	return messages, views
}

// printNews prints them.
func (d *slackDesk) printNews() error {
	messages, views := d.news()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range messages {
		d.edits[m.TS] = m.Edits
		if d.numbers[m.TS] == 0 {
			d.numbers[m.TS] = len(d.numbers) + 1
		}
		if err := d.printMessage(m); err != nil {
			return err
		}
	}
	for _, v := range views {
		d.views[v.ID] = d.s.RenderView(v)
		if err := d.print(d.views[v.ID]); err != nil {
			return err
		}
	}
	return nil
}

// printMessage prints one message as it is now, behind its number and where it is.
// It is called with mu held.
func (d *slackDesk) printMessage(m slack.Message) error {
	if d.a.flags.json {
		return d.a.printJSON(m)
	}
	where := fmt.Sprintf("[%d] %s ", d.numbers[m.TS], d.s.Where(m.Channel))
	if root := d.numbers[m.ThreadTS]; root != 0 {
		where += fmt.Sprintf("> [%d] ", root)
	}
	return d.print(where + d.s.Render(m))
}

// print prints lines, unless JSON was asked for. It is called with mu held.
func (d *slackDesk) print(lines string) error {
	if d.a.flags.json {
		return nil
	}
	for line := range strings.Lines(lines) {
		if err := d.a.printLine(strings.TrimRight(line, "\n")); err != nil {
			return err
		}
	}
	return nil
}
