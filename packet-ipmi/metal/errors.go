package metal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"provision-plugins/shared/model"
)

// Error is the failure of a request.
type Error struct {
	// Kind, Text and RetryAfter are those of the model.Error that Unwrap returns.
	Kind       model.Kind
	Text       string
	RetryAfter time.Duration
	// Status is the answer's HTTP status, 0 without an answer; Problem is what the
	// API says is wrong.
	Status  int
	Problem string
	// Gone tells that the API says that the device is not there, or not this key's
	// any more.
	Gone bool
	// Sent tells that the request may have arrived.
	Sent bool
	// Retry tells that a read may succeed in another try.
	Retry bool

	cause error
	// over tells that it says only that the caller's time is over.
	over bool
}

// Error is the text.
func (e *Error) Error() string { return e.Text }

// Unwrap is the error as everybody else has it.
func (e *Error) Unwrap() error {
	text := e.Text
	if e.cause != nil {
		return model.Errorf(e.Kind, "%w", &caused{text, e.cause}).After(e.RetryAfter)
	}
	return model.Errorf(e.Kind, "%s", text).After(e.RetryAfter)
}

// caused is a text whose cause can be inspected.
type caused struct {
	text  string
	cause error
}

// Error is the text.
func (c *caused) Error() string { return c.text }

// Unwrap is the cause.
func (c *caused) Unwrap() error { return c.cause }

// IsGone reports whether an error says that a device is not there any more.
func IsGone(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Gone
}

// MaybeDone reports whether what failed with an error may have been executed all the
// same.
func MaybeDone(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == model.UnknownOutcome
}

// closed is what is said of the service that is no more.
const closed = "Equinix Metal was shut down on 2026-06-30; set packet/api-url to a service that speaks its API"

// rule is what an answer means: the first that fits counts.
type rule struct {
	status int    // 0 is any
	text   string // in small letters, in what the API says; "" is any
	kind   model.Kind
	gone   bool // if it is about a device
	mend   string
}

// rules are looked through from the top.
var rules = []rule{
	{http.StatusUnauthorized, "", model.DeviceAuth, false, "check packet/api-key"},
	{http.StatusForbidden, "not authorized to view", model.NotFound, true, "the device is gone, or is not this key's"},
	{http.StatusForbidden, "", model.DeviceAuth, false, "the key of packet/api-key may not do this"},
	{http.StatusNotFound, "", model.NotFound, true, ""},
	{http.StatusGone, "", model.NotFound, true, ""},
	{http.StatusConflict, "", model.Conflict, false, ""},
	{http.StatusRequestTimeout, "", model.Unreachable, false, ""},
	{http.StatusTooManyRequests, "", model.RateLimited, false, ""},
	{http.StatusNotImplemented, "", model.Unsupported, false, ""},
	{http.StatusUnprocessableEntity, "blank", model.Invalid, false, ""},
	{http.StatusUnprocessableEntity, "not valid", model.Invalid, false, ""},
	{http.StatusUnprocessableEntity, "invalid", model.Invalid, false, ""},
	{http.StatusUnprocessableEntity, "not included in the list", model.Invalid, false, ""},
	{http.StatusUnprocessableEntity, "both be given", model.Invalid, false, ""},
	{http.StatusUnprocessableEntity, "not authorized", model.DeviceAuth, false, "the key of packet/api-key may not do this"},
	{http.StatusUnprocessableEntity, "", model.Conflict, false, ""},
}

// meaning is what an answer means.
func meaning(status int, problem string) rule {
	problem = strings.ToLower(problem)
	for _, r := range rules {
		if r.status == status && strings.Contains(problem, r.text) {
			return r
		}
	}
	switch {
	case status >= 500:
		return rule{kind: model.Unreachable}
	case status >= 300 && status < 400:
		return rule{kind: model.Invalid, mend: "it sends elsewhere; set packet/api-url to where the API is"}
	}
	return rule{kind: model.Invalid}
}

// explain turns what became of a task into its error.
func (k *Key) explain(t task, x *exchange, err error) *Error {
	var e *Error
	if x.status == 0 {
		e = k.unanswered(t, x, err)
	} else if x.status < 200 || x.status > 299 {
		e = k.refusal(t, x)
	} else {
		e = unreadable(t, x, err)
	}
	e.Status, e.cause = x.status, endOf(err)
	if e.over {
		e.cause = x.caller.Err()
	}
	if k.client.dead && (x.status == 0 && e.Kind == model.Unreachable || x.status == http.StatusNotFound || x.status == http.StatusGone) {
		e.Kind, e.Gone, e.Retry, e.Text = model.Unreachable, false, false, closed
	}
	e.Text = model.Redact(t.name+": "+e.Text, []string{string(k.key)})
	return e
}

// endOf is the end of a context in an error, if there is one; other causes may show
// what they should not.
func endOf(err error) error {
	for _, end := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, end) {
			return end
		}
	}
	return nil
}

// unanswered is the error of a request without an answer.
func (k *Key) unanswered(t task, x *exchange, err error) *Error {
	var wait *held
	host := hostOf(k.client.opts.URL)
	switch {
	case errors.As(err, &wait):
		return &Error{Kind: model.RateLimited, Text: fmt.Sprintf("%s; try again in %v", wait, wait.left.Round(time.Second)), RetryAfter: wait.left}
	case x.sent.Load() && t.changes:
		return &Error{Kind: model.UnknownOutcome, Sent: true, Text: fmt.Sprintf("the API at %s did not answer (%s); it may have been executed", host, brief(err))}
	case x.caller.Err() != nil && !x.sent.Load():
		return &Error{Kind: model.Timeout, over: true, Text: fmt.Sprintf("the time was over before it was sent to the API at %s", host)}
	case x.caller.Err() != nil:
		return &Error{Kind: model.Timeout, over: true, Sent: true, Text: fmt.Sprintf("the API at %s did not answer in time", host)}
	case endOf(err) != nil:
		return &Error{Kind: model.Unreachable, Retry: true, Sent: true, Text: fmt.Sprintf("the API at %s did not answer in time", host)}
	case x.sent.Load():
		return &Error{Kind: model.Unreachable, Retry: true, Sent: true, Text: fmt.Sprintf("the API at %s did not answer (%s)", host, brief(err))}
	}
	return &Error{Kind: model.Unreachable, Retry: true, Text: fmt.Sprintf("the API at %s cannot be reached (%s); check packet/api-url", host, brief(err))}
}

// refusal is the error of an answer that is a refusal.
func (k *Key) refusal(t task, x *exchange) *Error {
	e := &Error{Sent: true, Problem: problemOf(x.body, x.kind)}
	r := meaning(x.status, e.Problem)
	e.Kind = r.kind
	e.Gone = r.gone && t.device && isJSON(x.kind)
	e.Retry = r.kind == model.RateLimited || r.kind == model.Unreachable
	if r.kind == model.NotFound && !isJSON(x.kind) {
		r.mend = "is packet/api-url right?"
	}
	if r.kind == model.RateLimited {
		e.RetryAfter = retryAfter(x.header, k.client.opts.Now())
		k.client.buckets.hold(k.key, e.RetryAfter)
	}
	if t.changes && x.status >= 500 && x.status != http.StatusNotImplemented || t.changes && x.status == http.StatusRequestTimeout {
		e.Kind, r.mend = model.UnknownOutcome, "it may have been executed"
	}
	said := http.StatusText(x.status)
	if e.Problem != "" {
		said += ": " + e.Problem
	}
	e.Text = fmt.Sprintf("the API at %s answers %d %s", hostOf(k.client.opts.URL), x.status, said)
	if r.mend != "" {
		e.Text += "; " + r.mend
	}
	return e
}

// unreadable is the error of an answer that is none, although its status is good.
func unreadable(t task, x *exchange, err error) *Error {
	e := &Error{Kind: model.Unreachable, Retry: true, Sent: true}
	switch {
	case errors.Is(err, errNotJSON):
		e.Retry = false
		e.Text = fmt.Sprintf("what answers is a page of type %.60q and not the API; is packet/api-url right?", x.kind)
	case errors.Is(err, errTooLong):
		e.Retry, e.Text = false, errTooLong.Error()
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		e.Text = "the answer ends in its middle"
	case endOf(err) != nil:
		e.Text, e.over = "the answer did not end in time", x.caller.Err() != nil && !t.changes
	default:
		e.Text = "the answer cannot be read: " + brief(err)
	}
	if t.changes {
		e.Kind = model.UnknownOutcome
		e.Text += "; it was executed, as it seems"
	}
	return e
}

// hostOf is the host of an address, for people.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "?"
	}
	return u.Host
}

// brief is an error in few words, without the address that is told anyway.
func brief(err error) string {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	if err == nil {
		return "no cause"
	}
	return oneLine(err.Error())
}

// maxSaid bounds what is repeated of what the API says, in characters.
const maxSaid = 300

// oneLine makes a text of one line that is not too long.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar
	}), " ")
	runes := []rune(text)
	if len(runes) > maxSaid {
		return string(runes[:maxSaid]) + "…"
	}
	return text
}

// problemOf reads what the API says is wrong, "" if it says nothing that can be
// read. It is {"error": …} or {"errors": […]}, and in some places {"errors":
// {"field": […]}}.
func problemOf(body []byte, kind string) string {
	if !isJSON(kind) {
		return ""
	}
	var said struct {
		Error  any `json:"error"`
		Errors any `json:"errors"`
	}
	if json.Unmarshal(body, &said) != nil {
		return ""
	}
	return oneLine(strings.Join(slices.Concat(texts("", said.Error), texts("", said.Errors)), ", "))
}

// texts collects the texts of a JSON value; those of a field have its name before
// them.
func texts(field string, v any) []string {
	switch v := v.(type) {
	case string:
		return []string{strings.TrimSpace(field + " " + v)}
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, texts(field, e)...)
		}
		return out
	case map[string]any:
		var out []string
		for name, e := range v {
			out = append(out, texts(name, e)...)
		}
		slices.Sort(out)
		return out
	}
	return nil
}

// The bounds of how long to wait when the API wants fewer requests.
const (
	defaultHold = 5 * time.Second
	maxHold     = time.Hour
)

// retryAfter is how long the API wants no request: what Retry-After says, in seconds
// or as a date, else what X-RateLimit-Reset says, in seconds from now, or as a time
// in seconds or milliseconds since 1970, or as a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	for _, name := range []string{"Retry-After", "X-RateLimit-Reset"} {
		if d, ok := waitOf(strings.TrimSpace(h.Get(name)), now); ok {
			return min(max(d, 0), maxHold)
		}
	}
	return defaultHold
}

// waitOf reads one of these texts.
func waitOf(text string, now time.Time) (time.Duration, bool) {
	for _, layout := range []string{http.TimeFormat, time.RFC850, time.ANSIC, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.Sub(now), true
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	const years = 365 * 24 * 3600 // more seconds than anybody wants to be waited for
	switch {
	case err != nil || math.IsNaN(n) || n < 0 || n > 1e15:
		return 0, false
	case n < years:
		return time.Duration(n * float64(time.Second)), true
	case n < 1e11:
		return time.Unix(int64(n), 0).Sub(now), true
	}
	return time.UnixMilli(int64(n)).Sub(now), true
}
