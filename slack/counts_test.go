package main

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// Each call counts once, by its status; one that no answer came to as 0.
func TestCallsAreCounted(t *testing.T) {
	sim, n, _ := workspace(t)
	if err := n.Publish(t.Context(), runEvent(model.Run{Key: "u1", Name: "m1", Command: "poweron", State: model.RunDone,
		Result: result(t, model.Result{Power: model.StateOn, Outcome: model.Verified})})); err != nil {
		t.Fatal(err)
	}
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
	got := n.Counts()
	if len(got) != 1 || got[0].Name != "oob_slack_requests_total" || got[0].Labels["code"] != "200" || got[0].Value < 2 {
		t.Errorf("after a check and a message: %+v (%d messages)", got, len(sim.Messages()))
	}
}

// answering answers every call in the same way.
type answering struct {
	code int
	err  error
}

// RoundTrip answers.
func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.code, Body: http.NoBody}, a.err
}

func TestOddAnswersAreCounted(t *testing.T) {
	c := newCounted(nil)
	for _, a := range []answering{{code: 429}, {code: 429}, {err: errors.New("refused")}, {code: 999}} {
		c.next = a
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.RoundTrip(req)
		if !errors.Is(err, a.err) {
			t.Error(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	c.CloseIdleConnections() // of one that has none
	got := c.Counts()
	slices.SortFunc(got, func(a, b model.Count) int { return strings.Compare(a.Labels["code"], b.Labels["code"]) })
	if len(got) != 2 || got[0].Labels["code"] != "0" || got[0].Value != 2 || got[1].Labels["code"] != "429" || got[1].Value != 2 {
		t.Errorf("%+v", got)
	}
}
