package model

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Kind says what went wrong in terms a caller can act on. It is the Type of
// the wire error and decides HTTP status, exit code and whether a retry helps.
type Kind string

// The kinds, in order of their exit codes; a larger exit code is worse.
const (
	Invalid        Kind = "invalid"         // the request is wrong; sending it again does not help
	NotFound       Kind = "not-found"       // no such object, action or plugin
	Unsupported    Kind = "unsupported"     // the driver or the device cannot do this
	Conflict       Kind = "conflict"        // another run or another value is in the way
	Busy           Kind = "busy"            // nothing was sent; try again after RetryAfter
	RateLimited    Kind = "rate-limited"    // as busy, but by the other side's quota
	Forbidden      Kind = "forbidden"       // our own endpoint refused the caller
	DeviceAuth     Kind = "device-auth"     // the device refused our credentials
	Unreachable    Kind = "unreachable"     // no answer from the device; nothing was executed
	Timeout        Kind = "timeout"         // the target state was not seen by the deadline
	Internal       Kind = "internal"        // a defect of this software
	UnknownOutcome Kind = "unknown-outcome" // may have been executed: look before you act
)

// KindInfo is one row of the error table.
type KindInfo struct {
	Kind      Kind
	Status    int  // HTTP status
	Exit      int  // process exit code
	Retryable bool // the same request may succeed later, and sending it again is safe
}

var kindTable = []KindInfo{
	{Invalid, http.StatusBadRequest, 2, false},
	{NotFound, http.StatusNotFound, 3, false},
	{Unsupported, http.StatusNotImplemented, 4, false},
	{Conflict, http.StatusConflict, 5, false},
	{Busy, http.StatusTooManyRequests, 6, true},
	{RateLimited, http.StatusTooManyRequests, 6, true},
	{Forbidden, http.StatusForbidden, 7, false},
	{DeviceAuth, http.StatusFailedDependency, 8, false},
	{Unreachable, http.StatusBadGateway, 9, true},
	{Timeout, http.StatusGatewayTimeout, 10, false},
	{Internal, http.StatusInternalServerError, 11, false},
	{UnknownOutcome, http.StatusGatewayTimeout, 12, false},
}

// Kinds returns the error table, ordered by exit code.
func Kinds() []KindInfo { return slices.Clone(kindTable) }

// Info returns the kind's row; an unknown kind has the row of Internal.
func (k Kind) Info() KindInfo {
	for _, row := range kindTable {
		if row.Kind == k {
			return row
		}
	}
	return Internal.Info()
}

// known reports whether k stands in the table.
func (k Kind) known() bool { return k.Info().Kind == k }

// Error is the wire error of the reference protocol. Type carries the Kind
// when this project made it; the reference puts a method or a phase there.
type Error struct {
	Model    string
	Key      string
	Type     string
	Messages []string
	Code     int

	// RetryAfter is sent as the Retry-After header of busy and rate-limited errors.
	RetryAfter time.Duration `json:"-"`

	cause error
}

// Errorf makes an error of the kind. The message should read "cannot X: cause";
// a %w verb keeps the cause for errors.Is and errors.As. An *Error among the
// arguments is written without its kind: the new error's counts.
func Errorf(kind Kind, format string, args ...any) *Error {
	args = slices.Clone(args)
	for i, arg := range args {
		if e, ok := arg.(*Error); ok && e != nil {
			args[i] = inner{e}
		}
	}
	err := fmt.Errorf(format, args...)
	return &Error{
		Type:     string(kind),
		Messages: []string{err.Error()},
		Code:     kind.Info().Status,
		cause:    causeOf(err),
	}
}

// causeOf returns what the %w verbs of a fmt.Errorf named, nil if there were
// none.
func causeOf(err error) error {
	if _, many := err.(joined); many {
		return err
	}
	return errors.Unwrap(err)
}

// joined is an error of several causes.
type joined interface {
	// Unwrap lists the causes.
	Unwrap() []error
}

// inner is an Error inside the text of another one.
type inner struct{ err *Error }

// Error renders the object and the text.
func (i inner) Error() string { return i.err.object() + i.err.Text() }

// Unwrap returns the Error.
func (i inner) Unwrap() error { return i.err }

// On names the object the error is about and returns the error.
func (e *Error) On(model, key string) *Error {
	e.Model, e.Key = model, key
	return e
}

// After sets RetryAfter and returns the error.
func (e *Error) After(d time.Duration) *Error {
	e.RetryAfter = d
	return e
}

// Kind returns the error's kind: its Type where that is one, else the kind
// that fits its Code.
func (e *Error) Kind() Kind {
	if k := Kind(e.Type); k.known() {
		return k
	}
	switch e.Code {
	case http.StatusUnauthorized:
		return Forbidden
	case http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		return Invalid
	case http.StatusPreconditionFailed:
		return Conflict
	case http.StatusServiceUnavailable:
		return Busy
	}
	for _, row := range kindTable {
		if row.Status == e.Code {
			return row.Kind
		}
	}
	return Internal
}

// Text is the human text: the messages in one line.
func (e *Error) Text() string {
	if len(e.Messages) == 0 {
		return strings.TrimSpace(http.StatusText(e.Code))
	}
	return strings.Join(e.Messages, "; ")
}

// Error renders the reference's text form, "Type: Model/Key: message".
func (e *Error) Error() string {
	return e.Type + ": " + e.object() + e.Text()
}

// object renders the object that the error is about, or nothing.
func (e *Error) object() string {
	if e.Model == "" && e.Key == "" {
		return ""
	}
	return strings.Trim(e.Model+"/"+e.Key, "/") + ": "
}

// Unwrap returns the cause given to Errorf, if any.
func (e *Error) Unwrap() error { return e.cause }

// KindOf returns the kind of the first *Error in the chain. A context's end
// without one is a timeout; anything else is internal.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Timeout
	}
	return Internal
}

// AsError returns err as a wire error. Text of an error that is not one of
// ours is kept as the message of an internal error.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	kind := KindOf(err)
	return &Error{Type: string(kind), Messages: []string{err.Error()}, Code: kind.Info().Status, cause: err}
}

// ExitCode returns the process exit code for err: 0 for nil.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	return KindOf(err).Info().Exit
}
