package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/broker"
	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/model"
)

// resets are the ways to restart a BMC, by the words of the param (IPMI 2.0 §20.2,
// §20.3).
var resets = map[string]types.Command{"cold": types.CommandColdReset, "warm": types.CommandWarmReset}

// The times of a reset.
const (
	resetPoll = time.Second
	// resetLives is how long the session may live on before the reset counts as one
	// that nothing is seen of.
	resetLives = 20 * time.Second
	// resetTry bounds one look: a BMC that restarts answers nothing.
	resetTry = 5 * time.Second
)

// resetBMC restarts the BMC. What proves it is that its session is gone, and that it
// answers in another: the machine notices nothing.
func (s *session) resetBMC(ctx context.Context, kind string) (model.Result, error) {
	admin, err := s.administrator(ctx)
	if err != nil {
		return model.Result{}, err
	}
	defer admin.handle.Close()
	was, err := admin.alive(ctx)
	if err != nil {
		return model.Result{}, err
	}
	admin.only = was
	sent := admin.change(ctx, model.Once, bare{resets[kind]})
	if sent != nil && model.KindOf(sent) != model.UnknownOutcome {
		return model.Result{}, administratorOnly(sent)
	}
	admin.only = 0
	return admin.restarted(ctx, was, sent)
}

// restarted looks until the BMC answers in another session than the one that the
// reset was ordered in. Of an order that was not answered another session proves
// nothing: the network may have been gone.
func (s *session) restarted(ctx context.Context, was broker.SessionID, sent error) (model.Result, error) {
	began := time.Now()
	var last error
	for wait(ctx, resetPoll) {
		in, err := s.alive(ctx)
		since := time.Since(began).Round(time.Second / 10)
		switch {
		case err == nil && in != was && sent != nil:
			return model.Result{}, fmt.Errorf("%w; %s later the BMC answers in another session", sent, since)
		case err == nil && in != was:
			changed := true
			return model.Result{
				Outcome: model.Verified, Changed: &changed,
				Evidence: fmt.Sprintf("the session ended, and the BMC answers in another one %s after the order", since),
			}, nil
		case err == nil && since >= resetLives && sent != nil:
			return model.Result{}, sent
		case err == nil && since >= resetLives:
			return model.Result{
				Outcome: model.Acknowledged,
				Note:    fmt.Sprintf("the BMC confirmed it, and its session goes on %s later", since),
			}, nil
		}
		last = errors.Join(sent, err)
	}
	return model.Result{}, model.Errorf(model.Timeout, "the BMC does not answer again since the order to restart: %w", errors.Join(last, context.Cause(ctx)))
}

// alive asks something that costs nothing, and tells in which session it was answered.
func (s *session) alive(ctx context.Context) (broker.SessionID, error) {
	ctx, cancel := context.WithTimeout(ctx, resetTry)
	defer cancel()
	var data raw
	c := &broker.Call{Call: rmcp.Call{Request: bare{types.CommandGetDeviceID}, Response: &data, Class: model.Read}}
	err := s.do(ctx, c)
	return c.In, err
}
