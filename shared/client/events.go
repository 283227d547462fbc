package client

import (
	"context"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"provision-plugins/shared/model"
)

const (
	// ackTimeout bounds the wait for the answer to each register.
	ackTimeout = 10 * time.Second
	// pingEvery keeps the stream alive through proxies, and silence after it is
	// taken for a dead endpoint.
	pingEvery   = 20 * time.Second
	silentAfter = 60 * time.Second
)

// ackType is the Type of the events that answer a register, and ackRefused the
// Action of those that refuse one: their Object says why. Whatever else their
// Action and Key are, they acknowledge: endpoints do not agree on these.
const (
	ackType    = "websocket"
	ackRefused = "error"
)

// Events opens the event stream, registers for the patterns (type.action.key,
// * for any) and calls fn for each event, one at a time and in order, from the
// calling goroutine. It returns the cause of ctx's end when ctx ends, fn's
// error when fn fails, and an error of kind unreachable when the stream is
// lost; it does not reconnect, since events in between would be missed
// unnoticed.
func (c *Client) Events(ctx context.Context, patterns []string, fn func(*model.Event) error) error {
	s, err := c.Subscribe(ctx, patterns)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	return s.Each(ctx, fn)
}

// Stream is an open and acknowledged event stream.
type Stream struct {
	client *Client
	conn   *websocket.Conn
	early  []*model.Event // came before the last acknowledgement
}

// Subscribe opens a stream and returns when every pattern is acknowledged:
// what happens from then on will be delivered.
func (c *Client) Subscribe(ctx context.Context, patterns []string) (*Stream, error) {
	u := *c.base
	u.Path += "ws"
	u.Scheme = map[string]string{"https": "wss", "http": "ws"}[u.Scheme]
	header := http.Header{}
	c.setHeaders(header)
	dialer := websocket.Dialer{
		NetDialContext:   c.dial,
		TLSClientConfig:  c.tls,
		HandshakeTimeout: dialTimeout,
		Proxy:            c.transport.Proxy,
	}
	conn, resp, err := dialer.DialContext(ctx, u.String(), header)
	if resp != nil {
		defer resp.Body.Close()
	}
	if err != nil {
		if resp != nil && resp.StatusCode >= http.StatusMultipleChoices {
			return nil, c.refusal(&request{method: http.MethodGet, path: "ws"}, resp)
		}
		return nil, c.streamLost(ctx, err)
	}
	conn.SetReadLimit(model.MaxBody)
	s := &Stream{client: c, conn: conn}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	for _, pattern := range patterns {
		if err := s.register(ctx, pattern); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return s, nil
}

// register sends a pattern and waits for its acknowledgement.
func (s *Stream) register(ctx context.Context, pattern string) error {
	err := s.conn.SetWriteDeadline(time.Now().Add(ackTimeout))
	if err == nil {
		err = s.conn.WriteMessage(websocket.TextMessage, []byte("register "+pattern))
	}
	deadline := time.Now().Add(ackTimeout)
	for err == nil {
		var e *model.Event
		if e, err = s.read(deadline); err != nil {
			break
		}
		switch {
		case e.Type != ackType:
			s.early = append(s.early, e)
		case e.Action == ackRefused:
			return s.client.badPattern(pattern, e)
		default:
			return nil
		}
	}
	return s.client.streamLost(ctx, err)
}

// badPattern is the error of a pattern that the endpoint refused. What it
// answers in place of a reason counts for nothing.
func (c *Client) badPattern(pattern string, answer *model.Event) *model.Error {
	reason := &model.Error{}
	if model.Remarshal(answer.Object, reason) != nil || len(reason.Messages) == 0 {
		return model.Errorf(model.Invalid, "endpoint %s refused to register %q", c.where, pattern)
	}
	kind := reason.Kind()
	if reason.Type == "" && reason.Code == 0 {
		kind = model.Invalid
	}
	return model.Errorf(kind, "endpoint %s refused to register %q: %w", c.where, pattern, reason)
}

// read reads one event by the deadline.
func (s *Stream) read(deadline time.Time) (*model.Event, error) {
	if err := s.conn.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	_, raw, err := s.conn.ReadMessage()
	if err != nil {
		return nil, err
	}
	e := &model.Event{}
	return e, model.Unmarshal(raw, e)
}

// Each calls fn for each event until ctx ends, fn fails or the stream is lost.
func (s *Stream) Each(ctx context.Context, fn func(*model.Event) error) error {
	for _, e := range s.early {
		if err := fn(e); err != nil {
			return err
		}
	}
	s.early = nil
	ctx, cancel := context.WithCancel(ctx)
	pinged := make(chan struct{})
	go s.ping(ctx, pinged)
	defer func() { cancel(); <-pinged }()
	stop := context.AfterFunc(ctx, func() { s.conn.Close() })
	defer stop()
	s.conn.SetPongHandler(func(string) error {
		return s.conn.SetReadDeadline(time.Now().Add(silentAfter))
	})
	for {
		e, err := s.read(time.Now().Add(silentAfter))
		if err != nil {
			return s.client.streamLost(ctx, err)
		}
		if e.Type == ackType {
			continue
		}
		if err := fn(e); err != nil {
			return err
		}
	}
}

// ping pings until ctx ends or the connection fails.
func (s *Stream) ping(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if err := s.conn.WriteControl(websocket.PingMessage, nil, now.Add(ackTimeout)); err != nil {
				return
			}
		}
	}
}

// Close closes the stream.
func (s *Stream) Close() error { return s.conn.Close() }

// streamLost is the error of a stream that ended.
func (c *Client) streamLost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return model.Errorf(model.Unreachable, "cannot reach endpoint %s: event stream: %w", c.where, bare(err))
}
