package chat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	api "github.com/slack-go/slack"

	"provision-plugins/shared/model"
)

const (
	// callTimeout bounds one call of the Web API.
	callTimeout = 10 * time.Second
	// tries is how often a call is made that Slack puts off, and maxWait the longest
	// that it may put it off.
	tries   = 5
	maxWait = 30 * time.Second
	// hookUses and hookLife are how often, and for how long, a response_url works.
	hookUses = 5
	hookLife = 30 * time.Minute
	// membersLife is how long the members of a user group are believed when it is not
	// asked for them anew.
	membersLife = 30 * time.Second
)

// message is what is shown.
type message struct {
	text   string // all of it in short
	blocks []api.Block
}

// options are a message's as slack-go takes them.
func (m message) options() []api.MsgOption {
	out := []api.MsgOption{api.MsgOptionText(m.text, false), api.MsgOptionDisableLinkUnfurl()}
	if m.blocks != nil {
		out = append(out, api.MsgOptionBlocks(m.blocks...))
	}
	return out
}

// talk speaks with Slack.
type talk struct {
	api  *api.Client
	http *http.Client
	base *url.URL // of the Web API
	log  *slog.Logger
	now  func() time.Time

	mu      sync.Mutex // guards members
	members map[string]membership
}

// membership is who is in a user group.
type membership struct {
	users []string
	read  time.Time
}

// often makes a call, again when Slack puts it off; again reports whether it may be
// made again when it is not known what became of it.
func (t *talk) often(ctx context.Context, again bool, call func(ctx context.Context) error) error {
	wait := time.Second
	for n := 1; ; n++ {
		bound, cancel := context.WithTimeout(ctx, callTimeout)
		err := call(bound)
		cancel()
		var limited *api.RateLimitedError
		var refused api.SlackErrorResponse
		switch {
		case err == nil || n == tries || ctx.Err() != nil:
			return err
		case errors.As(err, &limited) && limited.RetryAfter <= maxWait:
			wait = max(limited.RetryAfter, time.Second)
		case errors.As(err, &refused) && refused.Err != "ratelimited" && refused.Err != "rate_limited", !again:
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		wait = min(2*wait, maxWait)
	}
}

// post posts a message, and returns its timestamp. It is posted once: two with the
// same buttons would be worse than none.
func (t *talk) post(ctx context.Context, channel string, m message) (ts string, err error) {
	err = t.often(ctx, false, func(ctx context.Context) error {
		_, ts, err = t.api.PostMessageContext(ctx, channel, m.options()...)
		return err
	})
	if err == nil && ts == "" {
		err = errors.New("the answer does not say whether it was posted")
	}
	return ts, err
}

// edit exchanges what a message shows.
func (t *talk) edit(ctx context.Context, channel, ts string, m message) error {
	return t.often(ctx, true, func(ctx context.Context) error {
		_, _, _, err := t.api.UpdateMessageContext(ctx, channel, ts, m.options()...)
		return err
	})
}

// view opens a view before who has just clicked.
func (t *talk) view(ctx context.Context, trigger string, v api.ModalViewRequest) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := t.api.OpenViewContext(ctx, trigger, v)
	return err
}

// groupsOf are those of the groups that a user is in. What cannot be asked for is an
// error beside the rest: who is in a group that cannot be asked for is not known.
func (t *talk) groupsOf(ctx context.Context, user string, groups []string, fresh bool) (in []string, err error) {
	for _, g := range groups {
		users, asked := t.groupUsers(ctx, g, fresh)
		if asked != nil {
			err = asked
		}
		if slices.Contains(users, user) {
			in = append(in, g)
		}
	}
	return in, err
}

// groupUsers are the members of a group.
func (t *talk) groupUsers(ctx context.Context, group string, fresh bool) ([]string, error) {
	t.mu.Lock()
	known, ok := t.members[group]
	t.mu.Unlock()
	if ok && !fresh && t.now().Sub(known.read) < membersLife {
		return known.users, nil
	}
	bound, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	users, err := t.api.GetUserGroupMembersContext(bound, group)
	if err != nil {
		return nil, fmt.Errorf("cannot ask Slack who is in user group %s: %w", group, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.members[group] = membership{users, t.now()}
	return users, nil
}

// reply is the way to answer somebody so that nobody else sees it.
type reply struct {
	talk *talk
	to   origin
	born time.Time

	mu   sync.Mutex // guards used
	used int
}

// reply is the way to answer an origin.
func (t *talk) reply(to origin) *reply { return &reply{talk: t, to: to, born: t.now()} }

// say shows the user a text: by the address that came with the request while it
// works, then as a message that only they see, then in a message of their own.
func (r *reply) say(ctx context.Context, text string) {
	r.mu.Lock()
	byHook := r.to.hook != "" && r.used < hookUses && r.talk.now().Sub(r.born) < hookLife
	if byHook {
		r.used++
	}
	r.mu.Unlock()
	if byHook && r.byHook(ctx, text) == nil {
		return
	}
	m := message{text: text}
	err := r.talk.often(ctx, false, func(ctx context.Context) error {
		_, err := r.talk.api.PostEphemeralContext(ctx, r.to.Channel, r.to.User, m.options()...)
		return err
	})
	if err != nil {
		_, err = r.talk.post(ctx, r.to.User, m)
	}
	if err != nil {
		r.talk.log.WarnContext(ctx, "cannot answer somebody in Slack", "user", r.to.User, "cause", err)
	}
}

// byHook answers at the address that came with the request.
func (r *reply) byHook(ctx context.Context, text string) error {
	u, err := url.Parse(r.to.hook)
	if err != nil || !r.talk.trusts(u) {
		return errors.New("the address is not one of Slack's")
	}
	body, err := model.Marshal(map[string]any{"response_type": "ephemeral", "replace_original": false, "text": text})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.to.hook, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.talk.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	// What the body says beyond the status is of no use; it is read to keep the connection.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// trusts reports whether answers may be sent to an address: what they say of
// machines is for Slack.
func (t *talk) trusts(u *url.URL) bool {
	if u.User != nil {
		return false
	}
	if ip := net.ParseIP(t.base.Hostname()); ip != nil && ip.IsLoopback() && u.Host == t.base.Host {
		return true
	}
	return u.Scheme == "https" && (u.Hostname() == "slack.com" || strings.HasSuffix(u.Hostname(), ".slack.com") || u.Host == t.base.Host)
}
