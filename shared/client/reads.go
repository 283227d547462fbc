package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	// All asks the machines that Filters select, in place of those named. Count is
	// then called first, with how many there are.
	All      bool      `json:",omitempty"`
	Filters  []Filter  `json:"-"`
	Count    func(int) `json:"-"`
	Params   model.Params
	Parallel int `json:",omitempty"` // how many are asked at once; 0 leaves it to the endpoint
	// Alive, unless nil, is called whenever the endpoint shows that it is there: for
	// each answer, and every few seconds in between.
	Alive func() `json:"-"`
}

// ReadAnswer is what came of it on one of them.
type ReadAnswer struct {
	Key string // as it was asked for
	// Name and Address are the machine's, where it was not asked for by key.
	Name, Address string
	Result        json.RawMessage
	Error         *model.Error
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
	r := &request{method: http.MethodPost, path: "reads" + Query{Filters: in.Filters}.suffix(), body: body, read: true}
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
	lines := liveLines{bufio.NewScanner(resp.Body), in.Alive}
	lines.Buffer(make([]byte, 64<<10), maxReadLine)
	if in.All {
		if err := c.counted(lines, in.Count); err != nil {
			return err
		}
	}
	return c.readLines(ctx, r, lines, fn)
}

// liveLines are the lines of a body, each a sign of life.
type liveLines struct {
	*bufio.Scanner
	alive func() // nil: nobody wants to know
}

// Scan waits for a line.
func (l liveLines) Scan() bool {
	more := l.Scanner.Scan()
	if more && l.alive != nil {
		l.alive()
	}
	return more
}

// counted reads how many machines will be answered. An endpoint that ignores All
// asks none, and does not say so.
func (c *Client) counted(lines liveLines, count func(int)) error {
	var head struct{ Machines *int }
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &head) != nil || head.Machines == nil {
		return model.Errorf(model.Unsupported, "endpoint %s: %w", c.where, errManyAtOnce)
	}
	count(*head.Machines)
	return nil
}

// CannotReadMany reports whether an endpoint refused ReadMany because it does not
// know it.
func CannotReadMany(err error) bool { return errors.Is(err, errManyAtOnce) }

// readLines hands on the answers.
func (c *Client) readLines(ctx context.Context, r *request, lines liveLines, fn func(ReadAnswer) error) error {
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
