package redfish

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"provision-plugins/shared/model"
)

// sentMark is set once a request may have been sent.
type sentMark = atomic.Bool

// statusError is an answer whose status is no success.
type statusError struct {
	status  int
	message string // the BMC's own words
	id      string // of the message, as "ResourceInUse"
	after   time.Duration
}

// maxMessage bounds what is told of a BMC's words.
const maxMessage = 200

// newStatusError reads the body of an error (DSP0266 §8.6), as far as it has one.
func newStatusError(res *http.Response, raw []byte) *statusError {
	e := &statusError{status: res.StatusCode, after: retryAfter(res.Header.Get("Retry-After"))}
	var body struct {
		Error struct {
			Message string `json:"message"`
			Info    []struct {
				ID   string `json:"MessageId"`
				Text string `json:"Message"`
			} `json:"@Message.ExtendedInfo"`
		} `json:"error"`
	}
	if json.Unmarshal(raw, &body) != nil {
		return e
	}
	e.message = body.Error.Message
	if info := body.Error.Info; len(info) > 0 {
		e.id = info[0].ID[strings.LastIndex(info[0].ID, ".")+1:]
		e.message = info[0].Text
	}
	e.message = strings.Join(strings.Fields(e.message), " ")
	e.message = fmt.Sprintf("%.*s", maxMessage, e.message)
	return e
}

// maxRetryAfter bounds what a BMC can ask for.
const maxRetryAfter = 5 * time.Minute

// retryAfter reads the header, in seconds.
func retryAfter(text string) time.Duration {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxRetryAfter)
}

// Error tells status and message.
func (e *statusError) Error() string {
	text := fmt.Sprintf("it answers %d %s", e.status, http.StatusText(e.status))
	for _, more := range []string{e.id, e.message} {
		if more != "" {
			text += ": " + more
		}
	}
	return text
}

// refusedLogin reports whether the answer to a login says that name or password are
// wrong, or that the account may not log in: each of these counts for a lock.
func (e *statusError) refusedLogin() bool {
	return e.status == http.StatusUnauthorized || e.status == http.StatusForbidden
}

// meaning is what an answer means to a caller.
type meaning struct {
	kind model.Kind
	mend string
}

// byMessage says so by the message, which is more exact than the status
// (DSP0266 base message registry; vendors' own where they have others).
var byMessage = map[string]meaning{
	"SessionLimitExceeded":              {model.Busy, "close other sessions with the BMC, or wait for it to do so"},
	"ServiceTemporarilyUnavailable":     {model.Busy, "try again"},
	"ResourceInUse":                     {model.Conflict, ""},
	"ResourceInStandby":                 {model.Conflict, ""},
	"InvalidOperationForSystemState":    {model.Conflict, ""},
	"ActionNotSupportedInCurrentState":  {model.Conflict, ""},
	"ResourceCannotBeModified":          {model.Conflict, ""},
	"OperationNotAllowedInCurrentState": {model.Conflict, ""},
	"ActionNotSupported":                {model.Unsupported, "the BMC does not have it"},
	"ActionParameterNotSupported":       {model.Unsupported, "the BMC does not have it"},
	"PropertyUnknown":                   {model.Unsupported, "the BMC does not have it"},
	"PropertyNotWritable":               {model.Unsupported, "the BMC does not let it be set"},
	"PropertyValueNotInList":            {model.Unsupported, "the BMC does not have it"},
	"ActionParameterValueNotInList":     {model.Unsupported, "the BMC does not have it"},
	"InsufficientPrivilege":             {model.DeviceAuth, "give the account the role Operator on the BMC"},
	"InvalidPowerState":                 {model.Conflict, ""},
	"ServerAlreadyPoweredOn":            {model.Conflict, ""},
	"ServerAlreadyPoweredOff":           {model.Conflict, ""},
	"PowerStateInvalidForOperation":     {model.Conflict, ""},
	"ResourceAtUriInUnknownFormat":      {model.Invalid, "the BMC cannot use what is at that address"},
	"ResourceAtUriUnauthorized":         {model.Invalid, "the BMC is not let in at that address"},
	"CouldNotEstablishConnection":       {model.Invalid, "the BMC cannot reach that address"},
	"SourceDoesNotSupportProtocol":      {model.Invalid, "the BMC cannot fetch by that protocol"},
}

// byStatus says so by the status.
var byStatus = map[int]meaning{
	http.StatusBadRequest:           {model.Unsupported, "the BMC does not take it"},
	http.StatusUnauthorized:         {model.DeviceAuth, "check ipmi/username and ipmi/password"},
	http.StatusForbidden:            {model.DeviceAuth, "give the account the role Operator on the BMC"},
	http.StatusNotFound:             {model.NotFound, ""},
	http.StatusMethodNotAllowed:     {model.Unsupported, "the BMC does not have it"},
	http.StatusNotAcceptable:        {model.Unsupported, ""},
	http.StatusConflict:             {model.Conflict, ""},
	http.StatusGone:                 {model.NotFound, ""},
	http.StatusPreconditionFailed:   {model.Conflict, "somebody else changed it meanwhile; try again"},
	http.StatusPreconditionRequired: {model.Conflict, "the BMC wants an entity tag and tells none"},
	http.StatusTooManyRequests:      {model.RateLimited, "try again"},
	http.StatusNotImplemented:       {model.Unsupported, "the BMC does not have it"},
	http.StatusServiceUnavailable:   {model.Busy, "try again"},
}

// doubtful reports whether the answer leaves it open that the request was carried
// out.
func (e *statusError) doubtful() bool {
	return e.status >= http.StatusInternalServerError && e.status != http.StatusNotImplemented || e.status < http.StatusBadRequest
}

// meaning is what the answer means.
func (e *statusError) meaning() meaning {
	if m, ok := byMessage[e.id]; ok && e.status != http.StatusUnauthorized && e.status != http.StatusTooManyRequests {
		return m
	}
	if m, ok := byStatus[e.status]; ok {
		return m
	}
	if e.status >= http.StatusInternalServerError {
		return meaning{model.Unreachable, "try again"}
	}
	return meaning{model.Unsupported, ""}
}

// certificateError reports whether the certificate was not trusted, and what to do.
func certificateError(err error) (meaning, bool) {
	var pin *pinError
	var verification *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &pin):
		return meaning{model.Conflict, "nothing was sent; if the BMC has a new certificate, look at it with getTlsPin and set ipmi/tls-pin"}, true
	case errors.As(err, &verification), errors.As(err, &unknown):
		return meaning{model.Conflict, "nothing was sent; look at the certificate with getTlsPin and set ipmi/tls-pin, or give the BMC one that is signed"}, true
	}
	return meaning{}, false
}

// explain turns a failure into an error of one line that names the BMC, the cause
// and what to do. With doubt, what was sent may have been executed.
func explain(peer netip.AddrPort, err error, doubt bool) error {
	var known *model.Error
	if errors.As(err, &known) {
		return model.Errorf(model.KindOf(err), "BMC %s: %w", peer, err).After(known.RetryAfter)
	}
	var wrapped *url.Error // it would show the address again
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var status *statusError
	if errors.As(err, &status) {
		return explainStatus(peer, status, doubt)
	}
	if m, ok := certificateError(err); ok {
		return model.Errorf(m.kind, "BMC %s: %w; %s", peer, err, m.mend)
	}
	switch {
	case doubt:
		return model.Errorf(model.UnknownOutcome, "BMC %s: %w; it may have been done", peer, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fmt.Errorf("BMC %s: %w", peer, err)
	case errors.Is(err, errElsewhere):
		return model.Errorf(model.Unsupported, "BMC %s: %w", peer, err)
	}
	return model.Errorf(model.Unreachable, "BMC %s: %w; check ipmi/address, ipmi/port-redfish, and that the BMC serves Redfish", peer, err)
}

// explainStatus is explain of an answer.
func explainStatus(peer netip.AddrPort, e *statusError, doubt bool) error {
	if doubt && e.doubtful() {
		return model.Errorf(model.UnknownOutcome, "BMC %s: %w; it may have been done", peer, e)
	}
	m := e.meaning()
	mend := ""
	if m.mend != "" {
		mend = "; " + m.mend
	}
	return model.Errorf(m.kind, "BMC %s: %w%s", peer, e, mend).After(e.after)
}
