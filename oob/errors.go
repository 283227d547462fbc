package main

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"syscall"
	"unicode"

	"provision-plugins/shared/model"
)

// failure is the error of a command whose machines' errors are printed
// already.
type failure struct {
	code int
	text string // the last line; none if empty
}

// Error returns the last line.
func (f *failure) Error() string { return f.text }

// exitCode is the exit code for a command's error. An error that is not ours
// is Cobra's, about the command line.
func exitCode(err error) int {
	var f *failure
	var e *model.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &f):
		return f.code
	case errors.As(err, &e):
		return model.ExitCode(e)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return model.ExitCode(err)
	}
	return model.Invalid.Info().Exit
}

// errorLine is the line for a command's error; empty if there is nothing to
// say.
func errorLine(err error) string {
	var f *failure
	var e *model.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &f):
		if f.text == "" {
			return ""
		}
		return "Error: " + clean(f.text)
	case errors.As(err, &e):
		return "Error: " + clean(errorText(e))
	}
	return "Error: " + clean(err.Error())
}

// errorText is the text of an error for people: its messages, after the
// object it is about if they do not name it, and a hint where one is known.
func errorText(e *model.Error) string {
	text := e.Text()
	if e.Key != "" && !strings.Contains(text, e.Key) {
		text = strings.Trim(e.Model+"/"+e.Key, "/") + ": " + text
	}
	switch {
	case e.Kind() == model.Unreachable && (errors.Is(e, fs.ErrNotExist) || errors.Is(e, syscall.ECONNREFUSED)):
		text += "; is `oob serve` running?"
	case e.Kind() == model.Unreachable && errors.Is(e, fs.ErrPermission):
		text += "; only the user of `oob serve` and root may use its socket: others give --endpoint and a token"
	case e.Code == http.StatusUnauthorized:
		text += "; oob takes it from $OOB_TOKEN or --token-file"
	}
	return text
}

// instead is err, or an error with words of ours if err is of the kind.
func instead(err error, kind model.Kind, format string, args ...any) error {
	if err == nil || model.KindOf(err) != kind {
		return err
	}
	return model.Errorf(kind, format, args...)
}

// unlessEnded is err unless it tells that ctx has ended, which is how commands
// that go on until they are interrupted end.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// usage is an error about the command line.
func usage(format string, args ...any) error {
	return model.Errorf(model.Invalid, format, args...)
}

// clean makes text from outside safe for one line of a terminal.
func clean(text string) string {
	text = strings.TrimRight(text, " \t\r\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return '?'
		}
		return r
	}, text)
}
