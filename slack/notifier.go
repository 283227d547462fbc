package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	api "github.com/slack-go/slack"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
	"provision-plugins/slack/outbox"
	"provision-plugins/slack/poster"
)

const (
	// maxText bounds the lines of one message, in characters; Slack likes 4,000 at
	// most.
	maxText = 3_500
	// dialTimeout bounds connecting, within a call: what did not connect is known
	// not to be posted.
	dialTimeout = 5 * time.Second
	// checkTimeout bounds the check of the token when the plugin is configured.
	checkTimeout = 5 * time.Second
	// stopTimeout bounds how long a stop goes on posting. What waits longer is
	// posted after the next start.
	stopTimeout = 5 * time.Second
	// together is the outbox's key of lines that may share a message.
	together = "lines"
)

// notifier is the plugin: events come in through Publish, the outbox posts what
// is told of them.
type notifier struct {
	plugin.Base
	http   *http.Client
	calls  *counted // those that http makes
	log    *slog.Logger
	sender sender

	mu       sync.Mutex // guards what follows
	config   config
	describe describer
	box      *outbox.Box // nil before Config and after Stop
}

// newNotifier returns a plugin that is not configured.
func newNotifier() *notifier {
	dialer := &net.Dialer{Timeout: dialTimeout}
	calls := newCounted(&http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, IdleConnTimeout: time.Minute})
	return &notifier{
		calls: calls,
		http: &http.Client{
			Transport: poster.Transport(calls, time.Now),
			// A redirect would carry the token to an address nobody configured.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		log:      slog.New(slog.DiscardHandler),
		describe: describer{told: map[string]model.PowerState{}},
	}
}

// sender is the poster of the newest configuration.
type sender struct {
	mu  sync.Mutex // guards now
	now *poster.Poster
}

// set makes p the one that posts.
func (s *sender) set(p *poster.Poster) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = p
}

// get is the one that posts.
func (s *sender) get() *poster.Poster {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// Send delivers by the poster of now.
func (s *sender) Send(ctx context.Context, d outbox.Delivery) (string, error) {
	return s.get().Send(ctx, d)
}

// Find looks a message up by the poster of now.
func (s *sender) Find(ctx context.Context, d outbox.Delivery) (string, error) {
	return s.get().Find(ctx, d)
}

// Counts returns how many calls Slack answered, and how.
func (n *notifier) Counts() []model.Count { return n.calls.Counts() }

// SetLogger gives the logger.
func (n *notifier) SetLogger(l *slog.Logger) { n.log = l }

// Config takes the params, checks the token and opens the outbox. A Slack that
// cannot be reached is no reason to fail: what happens meanwhile waits.
func (n *notifier) Config(ctx context.Context, _ *client.Client, params model.Params) error {
	c, err := parseConfig(params)
	if err != nil {
		return err
	}
	if c.dir, err = plugin.StateDir(pluginName, params); err != nil {
		return err
	}
	if err := n.check(ctx, c); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sender.set(poster.New(poster.Options{URL: c.url, Token: c.token, Client: n.http}))
	if n.box != nil && n.config.dir == c.dir && n.config.channel == c.channel {
		n.config = c
		return nil
	}
	return n.reopen(ctx, c)
}

// reopen opens the outbox of a configuration, in place of the one that is open.
// It is called with mu held.
func (n *notifier) reopen(ctx context.Context, c config) error {
	if n.box != nil {
		now, cancel := context.WithCancel(ctx)
		cancel() // what waits goes on from the journal
		if _, err := n.box.Close(now); err != nil {
			return err
		}
		n.box = nil
	}
	box, err := outbox.Open(ctx, outbox.Options{
		Dir: c.dir, Sender: &n.sender, Fallback: c.channel, Join: joinTexts, Dropped: toldDropped, Logger: n.log,
	})
	if err != nil {
		return err
	}
	n.config, n.box = c, box
	return nil
}

// check asks Slack who we are. Only Slack's own refusal of the token is an error.
func (n *notifier) check(ctx context.Context, c config) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	_, err := api.New(c.token, api.OptionAPIURL(c.url), api.OptionHTTPClient(n.http)).AuthTestContext(ctx)
	if code := poster.Code(err); poster.RefusesToken(code) {
		return model.Errorf(model.DeviceAuth, "cannot use Slack: it refused the bot token (%s); check param %s", code, paramToken)
	}
	if err != nil {
		n.log.WarnContext(ctx, "cannot check the Slack token now; messages will wait", "url", c.url, "cause", model.Redact(err.Error(), []string{c.token}))
	}
	return nil
}

// Publish takes an event. When it returns nil, what is to be told of the event is
// on disk.
func (n *notifier) Publish(_ context.Context, e *model.Event) error {
	n.mu.Lock()
	line, box, channel := n.describe.describe(e), n.box, n.config.channel
	n.mu.Unlock()
	if box == nil {
		return model.Errorf(model.Busy, "cannot take the event: the plugin is not running")
	}
	if line == "" {
		return nil
	}
	return box.Put(outbox.Entry{Channel: channel, Merge: together, Message: message(escape(line))})
}

// Stop posts what waits, as far as there is time, and closes the outbox.
func (n *notifier) Stop(ctx context.Context) error {
	n.mu.Lock()
	box := n.box
	n.box = nil
	n.mu.Unlock()
	if box == nil {
		return nil
	}
	defer n.http.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	left, err := box.Close(ctx)
	if left > 0 {
		n.log.InfoContext(ctx, "messages wait for the next start", "messages", left)
	}
	return err
}

// The actions on the plugin itself.
const (
	actionStatus = "status"
	actionRetry  = "retryDead"
)

// Action tells what waits, or takes up again what was given up.
func (n *notifier) Action(_ context.Context, a *model.Action) (any, error) {
	n.mu.Lock()
	box := n.box
	n.mu.Unlock()
	if box == nil {
		return nil, model.Errorf(model.Busy, "cannot %s: the plugin is not running", a.Command)
	}
	switch a.Command {
	case actionStatus:
		return box.Status(), nil
	case actionRetry:
		count, err := box.RetryDead()
		return map[string]int{"retried": count}, err
	}
	return nil, model.Errorf(model.Unsupported, "cannot %s: slack has the actions %s and %s", a.Command, actionStatus, actionRetry)
}

// message is a text as the outbox keeps it.
func message(text string) json.RawMessage {
	raw, _ := model.Marshal(poster.Message{Text: text}) // a string encodes
	return raw
}

// joinTexts makes one message of the lines of several, as many as fit.
func joinTexts(messages []json.RawMessage) (json.RawMessage, int) {
	var lines []string
	size := 0
	for _, raw := range messages {
		var m poster.Message
		if model.Unmarshal(raw, &m) != nil {
			break
		}
		if size += len([]rune(m.Text)) + 1; size > maxText && len(lines) > 0 {
			break
		}
		lines = append(lines, m.Text)
	}
	if len(lines) == 0 {
		return messages[0], 1
	}
	return message(strings.Join(lines, "\n")), len(lines)
}

// toldDropped is the message that tells of what was dropped.
func toldDropped(count int) json.RawMessage {
	return message(fmt.Sprintf(":wastebasket: %d messages were dropped: Slack did not keep up", count))
}

// escape makes a text harmless as Slack's mrkdwn: no mention, no link.
func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}
