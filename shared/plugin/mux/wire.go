package mux

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
)

// maxPending is how many bytes may wait to be written before those who have more
// wait too.
const maxPending = 1 << 20

// errEnded is why nothing is written any more.
var errEnded = errors.New("the connection has ended")

// writer writes lines in the order in which they are added, those of a moment by
// one call of the system.
type writer struct {
	conn net.Conn
	wake chan struct{} // holds a value when there is something to do
	done chan struct{} // closed when the loop has ended

	mu      sync.Mutex // guards the below
	pending []byte
	less    chan struct{} // closed when pending is taken; nil if nobody waits for that
	last    bool          // nothing more is added
	err     error         // why nothing is written any more
}

// newWriter makes a writer and starts its loop, which ends with finish, or after
// a failure.
func newWriter(conn net.Conn) *writer {
	w := &writer{conn: conn, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.loop()
	return w
}

// room waits until not too much is pending.
func (w *writer) room(ctx context.Context) error {
	for {
		w.mu.Lock()
		if w.err != nil || len(w.pending) < maxPending {
			defer w.mu.Unlock()
			return w.err
		}
		if w.less == nil {
			w.less = make(chan struct{})
		}
		less := w.less
		w.mu.Unlock()
		select {
		case <-less:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// add adds what write appends. It never waits.
func (w *writer) add(write func([]byte) []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if w.last {
		return errEnded
	}
	w.pending = write(w.pending)
	w.nudge()
	return nil
}

// nudge has the loop look.
func (w *writer) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// finish has the loop write what is pending, and end.
func (w *writer) finish() {
	w.mu.Lock()
	w.last = true
	w.mu.Unlock()
	w.nudge()
}

// loop writes.
func (w *writer) loop() {
	defer close(w.done)
	var spare []byte
	for range w.wake {
		runtime.Gosched() // others are about to add theirs
		batch, last := w.take(spare)
		var err error
		if len(batch) > 0 {
			_, err = w.conn.Write(batch)
		}
		if err != nil {
			w.fail(err)
		}
		if err != nil || last {
			return
		}
		if spare = batch[:0]; cap(spare) > maxPending {
			spare = nil
		}
	}
}

// take takes what is pending, and leaves an empty buffer in its place.
func (w *writer) take(spare []byte) (batch []byte, last bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch, w.pending = w.pending, spare
	if w.less != nil {
		close(w.less)
		w.less = nil
	}
	return batch, w.last
}

// fail has nothing more written.
func (w *writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	if w.less != nil {
		close(w.less)
		w.less = nil
	}
}

// reader reads lines.
type reader struct {
	in   *bufio.Reader
	long []byte // of a line that is longer than the buffer
}

// newReader makes a reader of lines.
func newReader(in io.Reader) *reader { return &reader{in: bufio.NewReaderSize(in, 64<<10)} }

// line returns the next line without its newline, valid until the one after it.
func (r *reader) line() ([]byte, error) {
	part, err := r.in.ReadSlice('\n')
	if err == nil {
		return part[:len(part)-1], nil
	}
	r.long = r.long[:0]
	for errors.Is(err, bufio.ErrBufferFull) {
		if r.long = append(r.long, part...); len(r.long) > maxLine {
			return nil, fmt.Errorf("a line is longer than %d MiB", MaxBody>>20)
		}
		part, err = r.in.ReadSlice('\n')
	}
	if err != nil {
		return nil, err // what came of a line is none
	}
	line := append(r.long, part[:len(part)-1]...)
	if r.long = line; cap(line) > maxPending {
		r.long = nil
	}
	return line, nil
}
