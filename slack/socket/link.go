package socket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"provision-plugins/shared/model"
)

// link is one websocket.
type link struct {
	socket  *Socket
	conn    *websocket.Conn
	leaving chan struct{} // closed when Slack asks for the next one
	gone    chan struct{} // closed when it has ended

	writing sync.Mutex // held while something is written
}

// safe refuses an address that what people type must not be sent to: anything
// that is not encrypted and leaves this machine.
func safe(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return errors.New("cannot connect to Slack: it answered with no address")
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "wss" || u.Scheme == "ws" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return errors.New("cannot connect to Slack: it answered with an address that is not wss")
}

// greeted waits for Slack's hello.
func (l *link) greeted() error {
	if err := l.conn.SetReadDeadline(time.Now().Add(openTimeout)); err != nil {
		return err
	}
	_, raw, err := l.conn.ReadMessage()
	if err != nil {
		return fmt.Errorf("cannot connect to Slack: %w", err)
	}
	e, err := parse(raw)
	if err == nil && e.Type != "hello" {
		err = fmt.Errorf("cannot connect to Slack: it said %.40q (%.40s) in place of hello", e.Type, e.Reason)
	}
	return err
}

// parse reads a message.
func parse(raw []byte) (Envelope, error) {
	var e Envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return e, fmt.Errorf("cannot read what Slack says: %w", err)
	}
	if e.Type == "" {
		return e, errors.New("cannot read what Slack says: it has no type")
	}
	return e, nil
}

// asked reports whether Slack asked for the next websocket.
func (l *link) asked() bool {
	select {
	case <-l.leaving:
		return true
	default:
		return false
	}
}

// read takes messages until the websocket ends.
func (l *link) read(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { l.conn.Close() })
	defer stop()
	defer close(l.gone)
	err := l.take(ctx)
	if ctx.Err() != nil || l.asked() {
		err = nil
	}
	// It has ended either way.
	_ = l.conn.Close()
	l.socket.left(err)
}

// take reads messages, and answers the pings that show that Slack is there.
func (l *link) take(ctx context.Context) error {
	until := time.Time{} // of one that is leaving
	alive := func() error {
		if l.asked() {
			if until.IsZero() {
				until = time.Now().Add(lingerTime)
			}
			return l.conn.SetReadDeadline(until)
		}
		return l.conn.SetReadDeadline(time.Now().Add(pingTimeout))
	}
	l.conn.SetPingHandler(func(text string) error {
		if err := alive(); err != nil {
			return err
		}
		return l.conn.WriteControl(websocket.PongMessage, []byte(text), time.Now().Add(openTimeout))
	})
	for {
		if err := alive(); err != nil {
			return err
		}
		_, raw, err := l.conn.ReadMessage()
		if err != nil {
			return err
		}
		e, err := parse(raw)
		switch {
		case err != nil:
			l.socket.opts.Logger.WarnContext(ctx, "Slack said something that is none", "cause", err)
		case e.Type == "disconnect":
			l.disconnect(ctx, e.Reason)
		case e.ID != "":
			l.socket.work.Go(func() { l.handle(ctx, e) })
		}
	}
}

// disconnect has the next websocket opened. This one is read on: Slack closes it.
func (l *link) disconnect(ctx context.Context, reason string) {
	l.socket.opts.Logger.InfoContext(ctx, "Slack asks to connect anew", "reason", reason)
	if reason != "link_disabled" && !l.asked() {
		close(l.leaving)
	}
}

// handle takes an envelope, once, and acknowledges it. One that cannot be
// remembered is not taken: it could be taken twice.
func (l *link) handle(ctx context.Context, e Envelope) {
	log := l.socket.opts.Logger
	first, err := l.socket.opts.Seen.First(e.ID)
	if err != nil {
		log.ErrorContext(ctx, "a command was not taken", "cause", err)
		return
	}
	var answer any
	if first {
		answer = l.socket.opts.Handle(ctx, e)
	}
	if err := l.acknowledge(e.ID, answer); err != nil {
		log.WarnContext(ctx, "cannot acknowledge what Slack said", "cause", err)
	}
}

// acknowledge answers an envelope.
func (l *link) acknowledge(id string, answer any) error {
	ack := map[string]any{"envelope_id": id}
	if answer != nil {
		ack["payload"] = answer
	}
	raw, err := model.Marshal(ack)
	if err != nil || len(raw) >= maxAck {
		return errors.Join(err, fmt.Errorf("an acknowledgement of %d bytes; %d are the most", len(raw), maxAck))
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.conn.SetWriteDeadline(time.Now().Add(openTimeout)); err != nil {
		return err
	}
	return l.conn.WriteMessage(websocket.TextMessage, raw)
}
