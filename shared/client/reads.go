package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"provision-plugins/shared/model"
)

// maxReadLine bounds the answer for one machine.
const maxReadLine = model.MaxBody + maxErrorReply

// errManyAtOnce is why an endpoint is to be asked for each machine by itself.
var errManyAtOnce = errors.New("it does not read many machines by one request")

// ReadRequest is one action that changes nothing, on many machines.
type ReadRequest struct {
	Command  string
	Plugin   string   `json:",omitempty"` // asks for one plugin; "" lets the endpoint choose
	Machines []string // keys
	Params   model.Params
	Parallel int `json:",omitempty"` // how many are asked at once; 0 leaves it to the endpoint
}

// ReadAnswer is what came of it on one of them.
type ReadAnswer struct {
	Key    string // as it was asked for
	Result json.RawMessage
	Error  *model.Error
	// RetryAfter is that of the error, in seconds.
	RetryAfter int
}

// ReadMany runs an action that changes nothing on many machines by one request,
// and hands each answer to fn as it comes. An endpoint that cannot do so refuses
// with an error that CannotReadMany knows; nothing was asked then.
func (c *Client) ReadMany(ctx context.Context, in ReadRequest, fn func(ReadAnswer) error) error {
	if in.Params == nil {
		in.Params = model.Params{}
	}
	body, err := model.Marshal(in)
	if err != nil {
		return model.Errorf(model.Invalid, "cannot encode params of %s: %w", in.Command, err)
	}
	r := &request{method: http.MethodPost, path: "reads", body: body, read: true}
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/x-ndjson, application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return c.lost(ctx, r, ctx.Err() != nil, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusMethodNotAllowed, resp.StatusCode == http.StatusNotImplemented:
		return model.Errorf(model.Unsupported, "endpoint %s: %w", c.where, errManyAtOnce)
	case resp.StatusCode >= http.StatusMultipleChoices:
		return c.refusal(r, resp)
	}
	return c.readLines(ctx, r, resp.Body, fn)
}

// CannotReadMany reports whether an endpoint refused ReadMany because it does not
// know it.
func CannotReadMany(err error) bool { return errors.Is(err, errManyAtOnce) }

// readLines hands on the answers of a body.
func (c *Client) readLines(ctx context.Context, r *request, body io.Reader, fn func(ReadAnswer) error) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 64<<10), maxReadLine)
	for lines.Scan() {
		line := lines.Bytes()
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		answer, err := parseReadAnswer(line)
		if err != nil {
			return c.unreadable(r, err)
		}
		if err := fn(answer); err != nil {
			return err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return c.unreadable(r, err)
	} else if err != nil {
		return c.lost(ctx, r, ctx.Err() != nil, err)
	}
	return nil
}

// errNoOutcome is what a line gets that has no key, or both a result and an
// error.
var errNoOutcome = errors.New("a line that is no answer of a machine")

// parseReadAnswer parses one line.
func parseReadAnswer(line []byte) (ReadAnswer, error) {
	var a ReadAnswer
	if err := json.Unmarshal(line, &a); err != nil {
		return ReadAnswer{}, err
	}
	if a.Key == "" || a.Error != nil && a.Result != nil || a.RetryAfter < 0 {
		return ReadAnswer{}, errNoOutcome
	}
	if e := a.Error; e != nil {
		if e.Type == "" {
			e.Type = string(e.Kind())
		}
		e.RetryAfter = min(time.Duration(a.RetryAfter)*time.Second, maxRetryAfter)
	}
	return a, nil
}
