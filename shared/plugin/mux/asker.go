package mux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Question is what is asked, as it is sent. Asked again it is sent again only
// where the other side does not keep it any more.
type Question struct{ body []byte }

// NewQuestion makes a question. Its body has at least one byte, MaxBody at most,
// and no newline.
func NewQuestion(body []byte) (*Question, error) {
	switch {
	case len(body) == 0:
		return nil, errors.New("nothing is asked")
	case len(body) > MaxBody:
		return nil, fmt.Errorf("the request is larger than %d MiB", MaxBody>>20)
	case bytes.IndexByte(body, '\n') >= 0:
		return nil, errors.New("the request has more than one line")
	}
	return &Question{body: body}, nil
}

// Body is the question's body, which must not be changed.
func (q *Question) Body() []byte { return q.body }

// ErrNotAsked is in an error that says that not one byte of the question was sent.
var ErrNotAsked = errors.New("nothing was asked")

// Asker asks over a connection.
type Asker struct {
	conn net.Conn
	out  *writer
	done chan struct{} // closed when the reader has ended

	mu      sync.Mutex // guards the below
	waiting map[uint64]chan Answer
	last    uint64 // id
	slots   slots
	used    time.Time // when something was asked last
	err     error     // why nothing is asked any more
}

// NewAsker makes an asker over a connection, what comes from which is read by in.
// It ends with the connection; who makes it closes it.
func NewAsker(conn net.Conn, in io.Reader) *Asker {
	a := &Asker{conn: conn, out: newWriter(conn), done: make(chan struct{}), waiting: map[uint64]chan Answer{}, used: time.Now()}
	go a.read(newReader(in))
	return a
}

// Ask asks, and waits for the answer until ctx ends. A question that may be asked
// again is kept by the other side if it has room. The error is one that has
// ErrNotAsked in it, or says why the answer is lost.
func (a *Asker) Ask(ctx context.Context, q *Question, again bool) (Answer, error) {
	err := ctx.Err()
	if err == nil {
		err = a.out.room(ctx)
	}
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrNotAsked, err)
	}
	answered := make(chan Answer, 1)
	id, err := a.send(q, again, answered)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrNotAsked, err)
	}
	select {
	case got, ok := <-answered:
		if ok {
			return got, nil
		}
		return Answer{}, a.lost()
	case <-ctx.Done():
		a.giveUp(id)
		return Answer{}, context.Cause(ctx)
	}
}

// send adds the line of a question. The lines are in the order of what the slots
// keep, since both are changed under the same lock.
func (a *Asker) send(q *Question, again bool, answered chan Answer) (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return 0, a.err
	}
	a.last++
	line := asked{id: a.last, body: q.body}
	a.used = time.Now()
	if again {
		n, known := a.slots.of(q, a.used)
		if line.slot = n; known {
			line.body = nil
		}
	}
	if err := a.out.add(func(out []byte) []byte { return appendAsked(out, line) }); err != nil {
		a.slots.drop(line.slot)
		return 0, err
	}
	a.waiting[a.last] = answered
	return a.last, nil
}

// giveUp tells the other side that nobody waits any more.
func (a *Asker) giveUp(id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, waits := a.waiting[id]; !waits {
		return
	}
	delete(a.waiting, id)
	// A connection that has ended has nobody to tell.
	_ = a.out.add(func(out []byte) []byte { return appendAsked(out, asked{id: id, slot: -1}) })
}

// lost is why the connection has ended.
func (a *Asker) lost() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// read hands on the answers until the connection ends.
func (a *Asker) read(in *reader) {
	defer close(a.done)
	for {
		line, err := in.line()
		var id uint64
		var got Answer
		if err == nil {
			id, got, err = parseAnswer(line)
		}
		if err != nil {
			a.end(err)
			return
		}
		if answered := a.take(id); answered != nil {
			got.Body = bytes.Clone(got.Body)
			answered <- got
		}
	}
}

// take takes who waits for an answer; nil if nobody does.
func (a *Asker) take(id uint64) chan Answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	answered := a.waiting[id]
	delete(a.waiting, id)
	return answered
}

// end tells all who wait that their answers are lost.
func (a *Asker) end(err error) {
	a.out.fail(err)
	a.out.finish()
	_ = a.conn.Close() // it is of no use any more
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
	for id, answered := range a.waiting {
		close(answered)
		delete(a.waiting, id)
	}
}

// Idle is for how long nothing has been asked; 0 while an answer is waited for.
func (a *Asker) Idle() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) > 0 {
		return 0
	}
	return time.Since(a.used)
}

// Done is closed when the connection has ended.
func (a *Asker) Done() <-chan struct{} { return a.done }

// Close ends the connection, and waits until nothing of the asker is left.
func (a *Asker) Close() {
	a.out.fail(errEnded)
	a.out.finish()
	_ = a.conn.Close() // what was under way is lost with it
	<-a.done
	<-a.out.done
}
