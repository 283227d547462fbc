package vbox

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Run runs VBoxManage with args and returns what it printed on stdout. A change
// of one virtual machine waits for its lock, unless ctx came from Lock. Reads,
// and changes whose repetition is harmless, are tried again while VirtualBox is
// between two states; others are run once. Errors are *Error, or ctx's own if
// nothing was run.
func (m *Manager) Run(ctx context.Context, args ...string) ([]byte, error) {
	c := callOf(args)
	if c.vm != "" {
		locked, unlock, err := m.Lock(ctx, c.vm)
		if err != nil {
			return nil, err
		}
		defer unlock()
		ctx = locked
	}
	began := time.Now()
	var last error
	for try := 1; ; try++ {
		out, err := m.exec(ctx, &c)
		switch {
		case err == nil:
			return out, nil
		case last != nil && c.effect == read && ctx.Err() != nil:
			return out, last // a try that the caller's time cut off tells less
		}
		last = err
		if !m.again(&c, err, try, time.Since(began)) || !pause(ctx, m.opts.Gap) {
			return out, m.whyNotReady(ctx, &c, err)
		}
	}
}

// whyNotReady looks whether a virtual machine that is not ready, and stays so,
// is an inaccessible one: both have one code. The list of virtual machines tells
// it in every language.
func (m *Manager) whyNotReady(ctx context.Context, c *call, err error) error {
	if ClassOf(err) != NotReady || c.about == "" || ctx.Err() != nil {
		return err
	}
	all, listErr := m.List(ctx)
	if listErr != nil {
		return err
	}
	for _, one := range all {
		if one.Inaccessible && strings.EqualFold(one.UUID, c.about) {
			return &Error{Command: c.name(), Class: Inaccessible, Text: "virtual machine " + c.about + " is inaccessible", Exit: 1, cause: err}
		}
	}
	return err
}

// again reports whether a command that failed is run once more. Its code decides,
// never its text.
func (m *Manager) again(c *call, err error, try int, spent time.Duration) bool {
	var e *Error
	if !errors.As(err, &e) || e.Unknown || e.Code == "" || !classes[e.Class].again {
		return false
	}
	switch c.effect {
	case read:
		return try < m.opts.ReadTries
	case idempotent:
		// A VBoxSVC that does not answer may be slow to say so, and then have
		// done it: only a refusal is as good as nothing.
		return e.Class != Service && spent < m.opts.LockedFor
	case once:
	}
	return false
}

// pause waits for d and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
