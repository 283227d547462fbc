package main

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	api "github.com/slack-go/slack"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
	"provision-plugins/slack/layout"
	"provision-plugins/slack/outbox"
	"provision-plugins/slack/poster"
	"provision-plugins/slack/silence"
)

const (
	// dialTimeout bounds connecting, within a call: what did not connect is known
	// not to be posted.
	dialTimeout = 5 * time.Second
	// checkTimeout bounds the check of the token when the plugin is configured.
	checkTimeout = 5 * time.Second
	// stopTimeout bounds how long a stop goes on posting. What waits longer is
	// posted after the next start.
	stopTimeout = 5 * time.Second
)

// notifier is the plugin: events come in through Publish, the outbox posts what
// is told of them.
type notifier struct {
	plugin.Base
	http   *http.Client
	calls  *counted // those that http makes
	log    *slog.Logger
	sender sender
	pace   time.Duration // between two messages of a channel; 0 for Slack's own
	rest   time.Duration // the longest rest of a channel; 0 for the outbox's own

	// perMinute is the budget of the workspace; 0 for that of the param.
	perMinute int

	mu     sync.Mutex // guards what follows
	config config
	place  *place // nil before Config and after Stop

	desk *desk
	host *plugin.Outbound // set before Config, nil for none

	chatting sync.Mutex // guards chat
	chat     *chatOps   // nil while no commands are taken
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
		log:  slog.New(slog.DiscardHandler),
		desk: newDesk(),
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

// SetHost gives the way to the endpoint.
func (n *notifier) SetHost(h *plugin.Outbound) { n.host = h }

// SetLogger gives the logger.
func (n *notifier) SetLogger(l *slog.Logger) { n.log = l }

// Config takes the params, checks the token and opens the outbox. A Slack that
// cannot be reached is no reason to fail: what happens meanwhile waits.
func (n *notifier) Config(ctx context.Context, c *client.Client, params model.Params) error {
	next, err := n.configure(ctx, c, params)
	if err != nil {
		return err
	}
	return n.takeCommands(next, c)
}

// configure is Config, but for the taking of commands.
func (n *notifier) configure(ctx context.Context, c *client.Client, params model.Params) (config, error) {
	next, err := parseConfig(params)
	if err != nil {
		return next, err
	}
	if next.dir, err = plugin.StateDir(pluginName, params); err != nil {
		return next, err
	}
	if err := n.check(ctx, next); err != nil {
		return next, err
	}
	if err := n.endCommands(); err != nil {
		return next, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sender.set(poster.New(poster.Options{URL: next.url, Token: next.token, Client: n.http}))
	box, err := n.open(ctx, next)
	if err != nil {
		return next, err
	}
	silences, err := silence.Open(filepath.Join(next.dir, "silences"), next.silences)
	if silences == nil {
		return next, err
	}
	if err != nil {
		n.log.WarnContext(ctx, "some silences are forgotten", "cause", err)
	}
	n.desk.recall(box)
	n.desk.secret.Configure(next.patterns, next.token)
	known := newMachines(c)
	n.config, n.place = next, &place{
		table: next.routes, channel: next.channel, box: box, silences: silences, now: n.desk.now, facts: known.facts, secure: known.secure, log: known.log,
		buttons: next.app != "",
	}
	return next, nil
}

// open opens the outbox of a configuration, unless it is open. It is called with
// mu held.
func (n *notifier) open(ctx context.Context, next config) (*outbox.Box, error) {
	if p := n.place; p != nil {
		if n.config.dir == next.dir && n.config.channel == next.channel && n.config.perMinute == next.perMinute && n.config.doubt == next.doubt {
			p.box.Resume() // another token, perhaps
			return p.box, nil
		}
		now, cancel := context.WithCancel(ctx)
		cancel() // what waits goes on from the journal
		n.place = nil
		if _, err := p.box.Close(now); err != nil {
			return nil, err
		}
	}
	return outbox.Open(ctx, outbox.Options{
		Dir: next.dir, Sender: &n.sender, Fallback: next.channel, Join: layout.Join, Dropped: layout.Dropped, Logger: n.log,
		PerChannel: n.pace, MaxPause: n.rest, PerMinute: cmp.Or(n.perMinute, next.perMinute), Policy: next.doubt,
	})
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
	p := n.place
	n.mu.Unlock()
	if p == nil {
		return model.Errorf(model.Busy, "cannot take the event: the plugin is not running")
	}
	return n.desk.tell(p, e)
}

// Stop posts what waits, as far as there is time, and closes the outbox.
func (n *notifier) Stop(ctx context.Context) error {
	if err := n.endCommands(); err != nil {
		n.log.WarnContext(ctx, "cannot end the taking of commands", "cause", err)
	}
	n.mu.Lock()
	p := n.place
	n.place = nil
	n.mu.Unlock()
	if p == nil {
		return nil
	}
	defer n.http.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	left, err := p.box.Close(ctx)
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
	p := n.place
	n.mu.Unlock()
	if p == nil {
		return nil, model.Errorf(model.Busy, "cannot %s: the plugin is not running", a.Command)
	}
	switch a.Command {
	case actionStatus:
		if c := n.commands(); c != nil {
			return status{p.box.Status(), c.status()}, nil
		}
		return p.box.Status(), nil
	case actionRetry:
		count, err := p.box.RetryDead()
		return map[string]int{"retried": count}, err
	}
	return nil, model.Errorf(model.Unsupported, "cannot %s: slack has the actions %s and %s", a.Command, actionStatus, actionRetry)
}
