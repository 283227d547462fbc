package plugin

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin/mux"
)

const (
	// streamFor is how long a stream of reads stays open that nobody uses. With it
	// ends what the plugin keeps of actions that are asked for again.
	streamFor = time.Minute
	// openStream bounds the opening of a stream.
	openStream = 5 * time.Second
)

// Question is an action that changes nothing, encoded once to be asked for often.
type Question struct {
	command string
	asked   *mux.Question
}

// NewQuestion encodes an action that changes nothing.
func NewQuestion(a *model.Action) (*Question, error) {
	raw, err := model.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the request: %w", err)
	}
	asked, err := mux.NewQuestion(raw)
	if err != nil {
		return nil, err
	}
	return &Question{a.Command, asked}, nil
}

// Body is the action as it is sent; it must not be changed.
func (q *Question) Body() []byte { return q.asked.Body() }

// Ask is Action for an action that changes nothing: it may be sent twice. So it
// may go through the stream of reads, or over a connection that rested.
func (p *Process) Ask(ctx context.Context, a *model.Action) (json.RawMessage, error) {
	if err := p.sendable(); err != nil {
		return nil, p.neverSent(a, &neverSent{err})
	}
	q, err := NewQuestion(a)
	if err != nil {
		return nil, p.neverSent(a, &neverSent{err})
	}
	return p.ask(ctx, q, false)
}

// AskAgain is Ask for a question that will be asked again: the plugin keeps it for
// a while, so that it need not be sent and read again.
func (p *Process) AskAgain(ctx context.Context, q *Question) (json.RawMessage, error) {
	if err := p.sendable(); err != nil {
		return nil, p.neverSent(&model.Action{Command: q.command}, &neverSent{err})
	}
	return p.ask(ctx, q, true)
}

// ask asks through the stream, and where there is none, or it was lost, by a
// request.
func (p *Process) ask(ctx context.Context, q *Question, again bool) (json.RawMessage, error) {
	a := &model.Action{Command: q.command}
	got, err := p.askStream(ctx, q, again)
	if err == nil {
		return p.outcome(a, got, nil)
	}
	seen := !errors.Is(err, mux.ErrNotAsked) // or so it may be
	switch {
	case ctx.Err() != nil && seen:
		return nil, p.lost(a, lostAnswer(ended(ctx, err)))
	case ctx.Err() != nil:
		return nil, p.neverSent(a, &neverSent{ended(ctx, err)})
	}
	got, err = p.askPlainly(ctx, q)
	if seen && NeverSent(err) {
		err = lostAnswer(errors.Unwrap(err))
	}
	return p.outcome(a, got, err)
}

// lostAnswer is the error of a question that may have been seen.
func lostAnswer(cause error) error {
	return fmt.Errorf("the connection was lost before the answer: %w", cause)
}

// errNoStream is why a question does not go through a stream.
var errNoStream = fmt.Errorf("%w: no stream is open", mux.ErrNotAsked)

// askStream asks through the stream. A request whose log somebody wants to follow
// is one of its own, with a header that says so.
func (p *Process) askStream(ctx context.Context, q *Question, again bool) (*answer, error) {
	if !p.options.ReadStream || traced(ctx) {
		return nil, errNoStream
	}
	asker := p.stream.get(ctx, p.socket)
	if asker == nil {
		return nil, errNoStream
	}
	got, err := asker.Ask(ctx, q.asked, again)
	if err != nil {
		return nil, err
	}
	return &answer{status: got.Status, retryAfter: min(time.Duration(got.Retry)*time.Second, time.Hour), body: got.Body}, nil
}

// readStream is the stream of reads to a plugin, opened when there is something to
// ask. The zero value is ready.
type readStream struct {
	mu      sync.Mutex // guards the below
	asker   *mux.Asker // nil: none is open
	opening bool
	refused bool // none will be opened
	rest    *time.Timer
	idleFor time.Duration // after which it is closed; 0 is streamFor
}

// get returns the stream. Where it is not open it is opened; who comes meanwhile
// gets none, and does not wait.
func (s *readStream) get(ctx context.Context, socket string) *mux.Asker {
	s.mu.Lock()
	if s.asker != nil {
		select {
		case <-s.asker.Done():
			s.asker = nil
		default:
		}
	}
	if s.asker != nil || s.opening || s.refused {
		defer s.mu.Unlock()
		return s.asker
	}
	s.opening = true
	s.mu.Unlock()
	asker, err := openReads(ctx, socket)
	return s.opened(asker, err)
}

// opened takes the stream that was opened, or why none was.
func (s *readStream) opened(asker *mux.Asker, err error) *mux.Asker {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opening = false
	if errors.Is(err, errRefusesStream) {
		s.refused = true
	}
	if asker != nil && s.refused { // by the end, meanwhile
		asker.Close()
		return nil
	}
	if s.asker = asker; asker != nil && s.rest == nil {
		s.rest = time.AfterFunc(streamFor, s.closeIdle)
	}
	return asker
}

// closeIdle closes a stream that nobody uses.
func (s *readStream) closeIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest = nil
	if s.asker == nil {
		return
	}
	if left := cmp.Or(s.idleFor, streamFor) - s.asker.Idle(); left > 0 {
		s.rest = time.AfterFunc(left, s.closeIdle)
		return
	}
	s.asker.Close()
	s.asker = nil
}

// end closes the stream; none is opened from then on.
func (s *readStream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = true
	if s.rest != nil {
		s.rest.Stop()
		s.rest = nil
	}
	if s.asker != nil {
		s.asker.Close()
		s.asker = nil
	}
}

// errRefusesStream is why no stream is opened again: the plugin takes none.
var errRefusesStream = errors.New("the plugin takes no stream of reads")

// openReads opens a stream of reads.
func openReads(ctx context.Context, socket string) (*mux.Asker, error) {
	ctx, cancel := context.WithTimeout(ctx, openStream)
	defer cancel()
	conn, err := client.DialUnix(ctx, socket)
	if err != nil {
		return nil, err
	}
	inTime := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	in := bufio.NewReader(conn)
	err = upgrade(conn, in)
	if !inTime() || err != nil {
		_ = conn.Close() // it is of no use
		return nil, errors.Join(context.Cause(ctx), err)
	}
	return mux.NewAsker(conn, unread(in, conn)), nil
}

// upgrade makes a connection a stream of reads.
func upgrade(out io.Writer, in *bufio.Reader) error {
	request := "POST " + pathReads + " HTTP/1.1\r\nHost: unix\r\nConnection: Upgrade\r\nUpgrade: " + readsProtocol + "\r\nContent-Length: 0\r\n\r\n"
	if _, err := io.WriteString(out, request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	_ = resp.Body.Close() // what is in it says no more than the status
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols && strings.EqualFold(resp.Header.Get("Upgrade"), readsProtocol):
		return nil
	case resp.StatusCode == http.StatusServiceUnavailable, resp.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("it cannot take a stream of reads now: %s", resp.Status)
	}
	return fmt.Errorf("%w: %s", errRefusesStream, resp.Status)
}
