package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	api "github.com/slack-go/slack"
	"golang.org/x/time/rate"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

const (
	// maxQueue bounds the lines that wait for Slack; the oldest give way, and
	// their number is told.
	maxQueue = 10_000
	// maxMessage bounds one message, in characters; Slack likes 4,000 at most.
	maxMessage = 3_500
	// callTimeout bounds one call of the Web API.
	callTimeout = 15 * time.Second
	// dialTimeout bounds connecting, within a call: what did not connect is known
	// not to be posted.
	dialTimeout = 5 * time.Second
	// checkTimeout bounds the check of the token when the plugin is configured.
	checkTimeout = 5 * time.Second
	// maxPause bounds how long Slack can make us wait.
	maxPause = 5 * time.Minute
)

// notifier is the plugin: events come in through Publish, one worker posts
// them. Lines that wait for their turn go out together in one message.
type notifier struct {
	plugin.Base
	http  *http.Client
	calls *counted // those that http makes
	log   *slog.Logger
	wake  chan struct{} // holds one token when lines may be waiting

	mu       sync.Mutex // guards what follows
	config   config
	describe describer
	lines    []string
	dropped  int
	over     bool               // nothing is posted any more
	stop     context.CancelFunc // ends the worker; nil before Config
	drain    chan struct{}      // closed when the worker should end once nothing waits
	ended    chan struct{}      // closed when the worker has ended
}

// newNotifier returns a plugin that is not configured.
func newNotifier() *notifier {
	dialer := &net.Dialer{Timeout: dialTimeout}
	calls := newCounted(&http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, IdleConnTimeout: time.Minute})
	return &notifier{
		calls: calls,
		http: &http.Client{
			Transport: calls,
			// A redirect would carry the token to an address nobody configured.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		log:      slog.New(slog.DiscardHandler),
		wake:     make(chan struct{}, 1),
		describe: describer{told: map[string]model.PowerState{}},
	}
}

// Counts returns how many calls Slack answered, and how.
func (n *notifier) Counts() []model.Count { return n.calls.Counts() }

// SetLogger gives the logger.
func (n *notifier) SetLogger(l *slog.Logger) { n.log = l }

// Config takes the params, checks the token and starts the worker. A Slack that
// cannot be reached is no reason to fail: what happens meanwhile waits.
func (n *notifier) Config(ctx context.Context, _ *client.Client, params model.Params) error {
	c, err := parseConfig(params)
	if err != nil {
		return err
	}
	if err := n.check(ctx, c); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.config = c
	if n.stop == nil {
		var work context.Context
		work, n.stop = context.WithCancel(context.Background())
		n.drain, n.ended, n.over = make(chan struct{}), make(chan struct{}), false
		go n.work(work, n.drain, n.ended)
	}
	return nil
}

// check asks Slack who we are. Only Slack's own refusal of the token is an error.
func (n *notifier) check(ctx context.Context, c config) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	_, err := n.client(c).AuthTestContext(ctx)
	if code := slackCode(err); refusesToken(code) {
		return model.Errorf(model.DeviceAuth, "cannot use Slack: it refused the bot token (%s); check param %s", code, paramToken)
	}
	if err != nil {
		n.log.WarnContext(ctx, "cannot check the Slack token now; messages will wait", "url", c.url, "cause", c.clean(err))
	}
	return nil
}

// refusesToken tells whether Slack's error code means that no call with this
// token can work.
func refusesToken(code string) bool {
	switch code {
	case "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired":
		return true
	}
	return false
}

// client is slack-go's client of a configuration.
func (n *notifier) client(c config) *api.Client {
	return api.New(c.token, api.OptionAPIURL(c.url), api.OptionHTTPClient(n.http))
}

// clean is an error's text without the token: slack-go sends it in the body and
// may quote what it sent.
func (c config) clean(err error) string { return model.Redact(err.Error(), []string{c.token}) }

// slackCode is the error code in Slack's answer, "" for any other error.
func slackCode(err error) string {
	var refused api.SlackErrorResponse
	if errors.As(err, &refused) {
		return refused.Err
	}
	return ""
}

// Publish takes an event; its line is posted by the worker.
func (n *notifier) Publish(_ context.Context, e *model.Event) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		return model.Errorf(model.Busy, "cannot take the event: the plugin is stopping")
	}
	line := n.describe.describe(e)
	if line == "" {
		return nil
	}
	if len(n.lines) == maxQueue {
		n.lines = n.lines[1:]
		n.dropped++
	}
	n.lines = append(n.lines, line)
	select {
	case n.wake <- struct{}{}:
	default:
	}
	return nil
}

// Stop posts what waits, as far as ctx allows, and ends the worker.
func (n *notifier) Stop(ctx context.Context) error {
	n.mu.Lock()
	stop, drain, ended := n.stop, n.drain, n.ended
	n.stop = nil
	n.mu.Unlock()
	if stop == nil {
		return nil
	}
	defer n.http.CloseIdleConnections()
	defer stop()
	close(drain)
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		stop()
		<-ended
		n.mu.Lock()
		defer n.mu.Unlock()
		n.over = true
		return model.Errorf(model.Timeout, "cannot post the last %d lines to Slack: no time left", len(n.lines))
	}
}

// work posts until ctx ends, or until drain is closed and nothing waits. Slack
// takes about one message a second and channel, with small bursts.
func (n *notifier) work(ctx context.Context, drain <-chan struct{}, ended chan<- struct{}) {
	defer close(ended)
	limit := rate.NewLimiter(rate.Every(time.Second), 3)
	for {
		select {
		case <-n.wake:
		case <-drain:
			if n.finished() {
				return
			}
		case <-ctx.Done():
			return
		}
		for n.waiting() {
			if limit.Wait(ctx) != nil {
				return
			}
			c, lines := n.next()
			if !n.deliver(ctx, c, strings.Join(lines, "\n")) {
				n.putBack(lines)
				return
			}
		}
	}
}

// waiting tells whether lines wait.
func (n *notifier) waiting() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.lines) > 0
}

// finished tells whether no line waits; if so none is taken from now on.
func (n *notifier) finished() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.over = len(n.lines) == 0
	return n.over
}

// next takes the lines of the next message off the queue.
func (n *notifier) next() (config, []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	size, count := 0, 0
	for count < len(n.lines) && size+len([]rune(n.lines[count])) < maxMessage {
		size += len([]rune(n.lines[count])) + 1
		count++
	}
	lines := slices.Clone(n.lines[:count])
	n.lines = slices.Delete(n.lines, 0, count)
	if n.dropped > 0 {
		n.log.Warn("Slack did not keep up: lines dropped", "dropped", n.dropped)
		n.dropped = 0
	}
	return n.config, lines
}

// putBack returns lines that could not be posted, so that Stop counts them.
func (n *notifier) putBack(lines []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = slices.Concat(lines, n.lines)
}

// deliver posts one message. It posts again only when the message surely was
// not posted: after a 429, or when no connection came about. It returns false
// when ctx ended first.
func (n *notifier) deliver(ctx context.Context, c config, text string) bool {
	for {
		pause, err := n.post(ctx, c, text)
		switch {
		case err == nil:
			return true
		case pause == 0:
			n.log.ErrorContext(ctx, "cannot post to Slack; the message is lost", "channel", c.channel, "cause", c.clean(err))
			return ctx.Err() == nil
		}
		n.log.WarnContext(ctx, "Slack cannot be posted to now; waiting", "seconds", pause.Seconds(), "cause", c.clean(err))
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}

// post calls chat.postMessage once. A pause other than zero means that the
// message was not posted and may be posted again after it.
func (n *notifier) post(ctx context.Context, c config, text string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, ts, err := n.client(c).PostMessageContext(ctx, c.channel, api.MsgOptionText(text, true), api.MsgOptionDisableLinkUnfurl())
	var limited *api.RateLimitedError
	var status api.StatusCodeError
	switch {
	case errors.As(err, &limited):
		return min(max(limited.RetryAfter, time.Second), maxPause), err
	case errors.As(err, &status) && status.Code == http.StatusTooManyRequests, slackCode(err) == "ratelimited", slackCode(err) == "rate_limited":
		return 30 * time.Second, err
	case unsent(err):
		return 5 * time.Second, err
	case err == nil && ts == "":
		return 0, errors.New("answer without a message timestamp")
	}
	return 0, err
}

// unsent tells whether err shows that no connection came about, so that nothing
// was sent: no address, no route, refused, or not whom we trust.
func unsent(err error) bool {
	var op *net.OpError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") || errors.As(err, &cert)
}
