package endpoint

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"provision-plugins/endpoint/events"
	"provision-plugins/shared/model"
)

const (
	// maxFrame bounds what a client of the event stream sends at once.
	maxFrame = 2 * events.MaxPattern
	// pingEvery and pongWithin find out about clients that are gone.
	pingEvery  = 30 * time.Second
	pongWithin = 75 * time.Second
	frameWrite = time.Minute
	// farewellTime is how long a stream may take for its last events once the
	// endpoint stops.
	farewellTime = time.Second
)

// websocket serves an event stream. The client sends "register PATTERN" and
// "deregister PATTERN"; each is answered by an event of Type websocket.
func (a *api) websocket(w http.ResponseWriter, r *http.Request) {
	// The upgrader refuses browsers on pages of another origin by itself.
	upgrader := websocket.Upgrader{HandshakeTimeout: headerTimeout, Error: func(w http.ResponseWriter, r *http.Request, status int, reason error) {
		err := model.Errorf(model.Invalid, "cannot open event stream: %w", reason)
		err.Code = status
		a.write(w, r, failure(err))
	}}
	a.streams.Add(1) // before the server forgets the connection: a stop waits for one or the other
	defer a.streams.Done()
	sub, err := a.hub.Subscribe()
	if err != nil {
		a.write(w, r, failure(err))
		return
	}
	sub.OnMissed(func() { a.count.EventDropped("") })
	defer sub.Close()
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	s := &stream{conn: conn, sub: sub, watcher: a.newWatcher(r), frames: &a.frames}
	s.serve(a.ending)
}

// stream is one client of the event stream.
type stream struct {
	conn    *websocket.Conn
	sub     *events.Subscription
	watcher *watcher // used by the writer alone
	frames  *frames
}

// serve carries events until the client goes away, is too slow to be written
// to, or the hub closes; and for a moment only after the end of ending.
func (s *stream) serve(ending context.Context) {
	ctx, cancel := context.WithCancel(context.Background())
	var helpers sync.WaitGroup
	helpers.Go(func() {
		defer cancel()
		s.read()
	})
	helpers.Go(func() { s.ping(ctx) })
	helpers.Go(func() { s.expire(ctx, ending) })
	s.write(ctx)
	// Closing the connection ends the reader.
	_ = s.conn.Close() // nothing is left to be lost
	cancel()
	helpers.Wait()
}

// read takes the client's commands.
func (s *stream) read() {
	s.conn.SetReadLimit(maxFrame)
	alive := func(string) error { return s.conn.SetReadDeadline(time.Now().Add(pongWithin)) }
	s.conn.SetPongHandler(alive)
	if alive("") != nil {
		return
	}
	for {
		kind, text, err := s.conn.ReadMessage()
		if err != nil {
			return
		}
		if kind != websocket.TextMessage || s.command(string(text)) != nil || alive("") != nil {
			return
		}
	}
}

// command obeys one command. An error ends the stream.
func (s *stream) command(text string) error {
	verb, pattern, _ := strings.Cut(strings.TrimSpace(text), " ")
	ack := &model.Event{Time: time.Now(), Type: "websocket", Action: verb, Key: pattern, Principal: "rest"}
	var err error
	switch verb {
	case "register":
		err = s.sub.Register(pattern, ack)
	case "deregister":
		err = s.sub.Deregister(pattern, ack)
	default:
		err = model.Errorf(model.Invalid, "cannot obey %.40q: want register or deregister", verb)
	}
	if err == nil || model.KindOf(err) != model.Invalid {
		return err
	}
	ack.Action, ack.Object = "error", model.AsError(err)
	return s.sub.Tell(ack)
}

// ping asks the client whether it is there, until ctx ends.
func (s *stream) ping(ctx context.Context) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(frameWrite)) != nil {
				return
			}
		}
	}
}

// expire closes the connection some time after the end of ending: a client that
// does not read must not hold a stop up.
func (s *stream) expire(ctx, ending context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-ending.Done():
	}
	farewell := time.NewTimer(farewellTime)
	defer farewell.Stop()
	select {
	case <-ctx.Done():
	case <-farewell.C:
		_ = s.conn.Close() // whatever was on its way
	}
}

// write sends events until there are no more.
func (s *stream) write(ctx context.Context) {
	for {
		e, err := s.sub.Next(ctx)
		if err != nil {
			farewell := websocket.FormatCloseMessage(websocket.CloseGoingAway, "the endpoint stops")
			_ = s.conn.WriteControl(websocket.CloseMessage, farewell, time.Now().Add(time.Second)) // it may be gone
			return
		}
		if !s.watcher.alive() {
			farewell := websocket.FormatCloseMessage(websocket.ClosePolicyViolation, "the token is no longer good")
			_ = s.conn.WriteControl(websocket.CloseMessage, farewell, time.Now().Add(time.Second)) // it may be gone
			return
		}
		if !s.watcher.sees(e) {
			continue
		}
		prepared, err := s.frames.of(e)
		if err == nil {
			err = s.conn.SetWriteDeadline(time.Now().Add(frameWrite))
		}
		if err == nil {
			err = s.conn.WritePreparedMessage(prepared)
		}
		if err != nil || ctx.Err() != nil { // what is queued is not for one who has gone
			return
		}
	}
}
