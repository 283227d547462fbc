package model

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"
)

// The error table is what scripts and clients rely on.
func TestKinds(t *testing.T) {
	want := []KindInfo{
		{"invalid", 400, 2, false},
		{"not-found", 404, 3, false},
		{"unsupported", 501, 4, false},
		{"conflict", 409, 5, false},
		{"busy", 429, 6, true},
		{"rate-limited", 429, 6, true},
		{"forbidden", 403, 7, false},
		{"device-auth", 424, 8, false},
		{"unreachable", 502, 9, true},
		{"timeout", 504, 10, false},
		{"internal", 500, 11, false},
		{"unknown-outcome", 504, 12, false},
	}
	if got := Kinds(); !slices.Equal(got, want) {
		t.Errorf("the table is\n%v, want\n%v", got, want)
	}
	for _, row := range want {
		if got := row.Kind.Info(); got != row {
			t.Errorf("%s: %v", row.Kind, got)
		}
		if got := ExitCode(Errorf(row.Kind, "cannot do it")); got != row.Exit {
			t.Errorf("%s: exit %d", row.Kind, got)
		}
		if got := Errorf(row.Kind, "cannot do it").Code; got != row.Status {
			t.Errorf("%s: status %d", row.Kind, got)
		}
	}
	if got := Kind("nonsense").Info().Kind; got != Internal {
		t.Errorf("an unknown kind is %s", got)
	}
	Kinds()[0].Exit = 99
	if Invalid.Info().Exit != 2 {
		t.Error("the table can be changed from outside")
	}
}

// An error of the reference has no kind of ours; its code tells.
func TestErrorKind(t *testing.T) {
	for _, tc := range []struct {
		err  Error
		want Kind
	}{
		{Error{Type: "timeout", Code: 504}, Timeout},
		{Error{Type: "unknown-outcome", Code: 504}, UnknownOutcome},
		{Error{Type: "rate-limited", Code: 429}, RateLimited},
		{Error{Type: "busy", Code: 200}, Busy},
		{Error{Type: "GET", Code: 404}, NotFound},
		{Error{Type: "rpc", Code: 500}, Internal},
		{Error{Type: "AUTH", Code: 401}, Forbidden},
		{Error{Code: 403}, Forbidden},
		{Error{Code: 422}, Invalid},
		{Error{Code: 400}, Invalid},
		{Error{Code: 409}, Conflict},
		{Error{Code: 429}, Busy},
		{Error{Code: 424}, DeviceAuth},
		{Error{Code: 501}, Unsupported},
		{Error{Code: 502}, Unreachable},
		{Error{Code: 503}, Busy},
		{Error{Code: 504}, Timeout},
		{Error{Code: 418}, Internal},
		{Error{}, Internal},
	} {
		if got := tc.err.Kind(); got != tc.want {
			t.Errorf("%q %d: %s, want %s", tc.err.Type, tc.err.Code, got, tc.want)
		}
	}
}

// The reference's text form: "Type: Model/Key: message".
func TestErrorText(t *testing.T) {
	for _, tc := range []struct {
		err  Error
		want string
	}{
		{Error{Type: "GET", Model: "machines", Key: "john", Messages: []string{"Not Found"}}, "GET: machines/john: Not Found"},
		{Error{Model: "users", Messages: []string{"Access Denied"}}, ": users: Access Denied"},
		{Error{Type: "GET", Key: "/api/v3/john", Messages: []string{"No route"}}, "GET: api/v3/john: No route"},
		{Error{Type: "PATCH", Model: "profiles", Key: "bob", Messages: []string{"one", "two"}}, "PATCH: profiles/bob: one; two"},
		{Error{Type: "busy", Code: 429}, "busy: Too Many Requests"},
		{Error{}, ": "},
	} {
		if got := tc.err.Error(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

func TestErrorfKeepsCauses(t *testing.T) {
	e := Errorf(Unreachable, "cannot reach %s: %w", "10.0.0.1", io.EOF).On("machines", "m1").After(3 * time.Second)
	if !errors.Is(e, io.EOF) || e.Text() != "cannot reach 10.0.0.1: EOF" || e.Model != "machines" || e.Key != "m1" || e.RetryAfter != 3*time.Second {
		t.Errorf("%+v", e)
	}
	two := Errorf(Internal, "cannot stop: %w, %w", io.EOF, context.Canceled)
	if !errors.Is(two, io.EOF) || !errors.Is(two, context.Canceled) {
		t.Error("one of two causes is lost")
	}
	if Errorf(Internal, "cannot do it").Unwrap() != nil {
		t.Error("an error without cause has one")
	}
}

// A kind inside a text would only confuse: the outer error's kind counts, and
// the inner one can still be asked for.
func TestErrorfNests(t *testing.T) {
	in := Errorf(DeviceAuth, "BMC refused user %s", "root").On("machines", "m1")
	out := Errorf(Unreachable, "cannot log in: %w", in)
	if got, want := out.Error(), "unreachable: cannot log in: machines/m1: BMC refused user root"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var found *Error
	if !errors.As(out.Unwrap(), &found) || found != in {
		t.Error("the inner error is lost")
	}
	args := []any{in}
	Errorf(Internal, "%w", args...)
	if args[0] != any(in) {
		t.Error("the caller's arguments were changed")
	}
}

func TestKindOf(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want Kind
		exit int
	}{
		{nil, Internal, 0},
		{errors.New("x"), Internal, 11},
		{context.DeadlineExceeded, Timeout, 10},
		{fmt.Errorf("cannot wait: %w", context.Canceled), Timeout, 10},
		{fmt.Errorf("outer: %w", Errorf(Busy, "x")), Busy, 6},
		{errors.Join(errors.New("x"), Errorf(Conflict, "y")), Conflict, 5},
		{Errorf(UnknownOutcome, "cannot tell: %w", context.DeadlineExceeded), UnknownOutcome, 12},
	} {
		if got := KindOf(tc.err); got != tc.want {
			t.Errorf("%v: %s, want %s", tc.err, got, tc.want)
		}
		if got := ExitCode(tc.err); got != tc.exit {
			t.Errorf("%v: exit %d, want %d", tc.err, got, tc.exit)
		}
	}
}

func TestAsError(t *testing.T) {
	in := Errorf(Busy, "x")
	if got := AsError(fmt.Errorf("outer: %w", in)); got != in {
		t.Errorf("got %v", got)
	}
	got := AsError(fmt.Errorf("cannot wait: %w", context.DeadlineExceeded))
	if got.Kind() != Timeout || got.Code != 504 || got.Text() != "cannot wait: context deadline exceeded" || !errors.Is(got, context.DeadlineExceeded) {
		t.Errorf("got %+v", got)
	}
}
