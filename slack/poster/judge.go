package poster

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	api "github.com/slack-go/slack"

	"provision-plugins/slack/outbox"
)

const (
	// noHint is how long all rest after a 429 that does not say how long.
	noHint = 30 * time.Second
	// refusedToken is how long all rest when no call can work: somebody has to
	// give another token, or the app another scope.
	refusedToken = 5 * time.Minute
)

// verdict is what one of Slack's error codes means for a message. A code that is
// not listed leaves it open.
func verdict(code string) (f outbox.Failure, listed bool) {
	switch code {
	case "channel_not_found", "is_archived", "not_in_channel", "messages_tab_disabled",
		"restricted_action", "restricted_action_read_only_channel", "restricted_action_thread_only_channel":
		return outbox.Failure{Verdict: outbox.NoChannel}, true
	case "message_not_found", "thread_not_found", "invalid_thread_ts", "cant_update_message", "edit_window_closed",
		"restricted_action_non_threadable_channel", "restricted_action_thread_locked":
		return outbox.Failure{Verdict: outbox.NoRoot}, true
	case "invalid_blocks", "invalid_blocks_format", "invalid_attachments", "too_many_attachments", "attachment_payload_limit_exceeded",
		"msg_blocks_too_long", "msg_too_long", "invalid_arguments", "invalid_form_data", "invalid_metadata_format":
		return outbox.Failure{Verdict: outbox.NoLayout}, true
	case "no_text":
		return outbox.Failure{Verdict: outbox.Never}, true
	case "missing_scope", "team_access_not_granted", "ekm_access_denied":
		return outbox.Failure{Verdict: outbox.Later, Pause: refusedToken, All: true}, true
	}
	if RefusesToken(code) {
		return outbox.Failure{Verdict: outbox.Later, Pause: refusedToken, All: true}, true
	}
	return outbox.Failure{}, false
}

// passing tells whether Slack's error code is of a fault of its own, that may pass,
// and may have come after the message was posted.
func passing(code string) bool {
	switch code {
	case "internal_error", "fatal_error", "service_unavailable", "request_timeout", "timeout", "team_added_to_org", "org_login_required":
		return true
	}
	return false
}

// RefusesToken tells whether Slack's error code means that no call with this
// token can work.
func RefusesToken(code string) bool {
	switch code {
	case "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type":
		return true
	}
	return false
}

// judge says what an error of a call means.
func (p *Poster) judge(err error) error {
	f := outbox.Failure{Verdict: outbox.Doubt}
	var limited *api.RateLimitedError
	var status api.StatusCodeError
	code := Code(err)
	switch known, listed := verdict(code); {
	case listed:
		f = known
	case errors.As(err, &limited):
		// A 429 may come though the message was posted: it is looked up.
		f.Pause, f.Unlikely = max(limited.RetryAfter, time.Second), true
	case errors.As(err, &status) && status.Code == http.StatusTooManyRequests, code == "ratelimited", code == "rate_limited":
		f.Pause, f.All, f.Unlikely = noHint, true, true
	case unsent(err):
		f.Verdict = outbox.Later
	case code != "" && !passing(code):
		// It refused, in a word that is not known here: a head that is never done with
		// would hold up all that is behind it.
		f.Verdict = outbox.NoLayout
	}
	f.Err = errors.New(p.Clean(err))
	return &f
}

// unsent tells whether err shows that no connection came about, so that nothing
// was sent: no address, no route, refused, or not whom we trust.
func unsent(err error) bool {
	var op *net.OpError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") || errors.As(err, &cert)
}

// Transport makes every form of Retry-After one that slack-go reads: whole
// seconds. What it cannot read it takes away, as if there were none.
func Transport(next http.RoundTripper, now func() time.Time) http.RoundTripper {
	return &transport{next: next, now: now}
}

// transport is a RoundTripper that reads Retry-After.
type transport struct {
	next http.RoundTripper
	now  func() time.Time
}

// RoundTrip makes one call.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return resp, err
	}
	if resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Retry-After") == "" {
		told(resp)
	}
	if resp.Header.Get("Retry-After") == "" {
		return resp, nil
	}
	if resp.StatusCode == http.StatusOK { // its body says that it was too much
		resp.StatusCode = http.StatusTooManyRequests
	}
	if wait, ok := retryAfter(resp.Header.Get("Retry-After"), t.now()); ok {
		resp.Header.Set("Retry-After", strconv.Itoa(wait))
	} else {
		resp.Header.Del("Retry-After")
	}
	return resp, nil
}

// maxTold bounds the body of a 429, in bytes.
const maxTold = 64 << 10

// told makes a header of the seconds to wait that the body of a 429 names.
func told(resp *http.Response) {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxTold))
	rest := resp.Body
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(raw), rest), rest}
	var body struct {
		RetryAfter json.Number `json:"retry_after"`
	}
	if err == nil && json.Unmarshal(raw, &body) == nil && body.RetryAfter != "" {
		resp.Header.Set("Retry-After", body.RetryAfter.String())
	}
}

// CloseIdleConnections closes those of next.
func (t *transport) CloseIdleConnections() {
	CloseIdle(t.next)
}

// idler is a RoundTripper that keeps connections.
type idler interface {
	// CloseIdleConnections closes those that are at rest.
	CloseIdleConnections()
}

// CloseIdle closes the connections at rest of a RoundTripper, if it keeps any.
func CloseIdle(rt http.RoundTripper) {
	if keeps, ok := rt.(idler); ok {
		keeps.CloseIdleConnections()
	}
}

// retryAfter reads the header: seconds, whole or not, or a date (RFC 9110
// §10.2.3). The answer is whole seconds, rounded up.
func retryAfter(text string, now time.Time) (seconds int, ok bool) {
	const most = float64(24 * 60 * 60)
	if f, err := strconv.ParseFloat(text, 64); err == nil && f >= 0 {
		f = min(f, most)
		seconds = int(f)
		if float64(seconds) < f {
			seconds++
		}
		return seconds, true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	wait := min(max(at.Sub(now).Seconds(), 0), most)
	return int(wait) + 1, true
}
