package main

import (
	"net/http"
	"strconv"
	"sync"

	"provision-plugins/shared/model"
	"provision-plugins/slack/poster"
)

// counted counts the calls of the Web API by the status of their answer.
type counted struct {
	next http.RoundTripper

	mu    sync.Mutex // guards codes
	codes map[int]float64
}

// newCounted counts what goes through next.
func newCounted(next http.RoundTripper) *counted {
	return &counted{next: next, codes: map[int]float64{}}
}

// RoundTrip makes one call.
func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	code := 0 // no answer came
	if err == nil && resp.StatusCode >= 100 && resp.StatusCode <= 599 {
		code = resp.StatusCode
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.codes[code]++
	return resp, err
}

// CloseIdleConnections closes those of next.
func (c *counted) CloseIdleConnections() {
	poster.CloseIdle(c.next)
}

// Counts returns how many calls were answered by each status.
func (c *counted) Counts() []model.Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]model.Count, 0, len(c.codes))
	for code, n := range c.codes {
		out = append(out, model.Count{Name: "oob_slack_requests_total", Labels: map[string]string{"code": strconv.Itoa(code)}, Value: n})
	}
	return out
}
