package plugin

import (
	"context"
	"fmt"
	"sync"
	"time"

	"provision-plugins/shared/model"
)

// The bounds of the log queue. A line beyond them is dropped and counted.
const (
	maxQueuedLines = 4096
	maxQueuedBytes = 1 << 20
	postTimeout    = 5 * time.Second
	minBackoff     = 100 * time.Millisecond
	maxBackoff     = 5 * time.Second
	// flushTimeout bounds how long an answer waits for the lines before it.
	flushTimeout = 250 * time.Millisecond
)

// logQueue sends log lines to the endpoint, in order, one at a time. Whoever
// adds a line never waits. While the endpoint does not take lines the queue
// fills, then drops. A failure to send is never logged itself: all that is
// told, when it is over, is how many lines were dropped.
type logQueue struct {
	service string
	post    func(ctx context.Context, line *model.Line) error
	wake    chan struct{} // has room for one
	closing chan struct{} // closed by close
	done    chan struct{} // closed when the sender has ended

	mu      sync.Mutex // guards the below
	lines   []*model.Line
	bytes   int
	seq     int64
	settled int64 // the last line that was sent or given up
	failing bool  // the last line was not taken
	flushes []flush
	dropped int64
	closed  bool
}

// flush is somebody who waits until a line is settled.
type flush struct {
	seq  int64
	done chan struct{}
}

// newLogQueue makes a queue and starts its sender, which ends after close or
// with ctx.
func newLogQueue(ctx context.Context, service string, post func(context.Context, *model.Line) error) *logQueue {
	q := &logQueue{
		service: service,
		post:    post,
		wake:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
	}
	go q.send(ctx)
	return q
}

// add queues a line, or drops it.
func (q *logQueue) add(line *model.Line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.seq++
	line.Seq = q.seq
	if q.closed || len(q.lines) >= maxQueuedLines || q.bytes+len(line.Message) > maxQueuedBytes {
		q.dropped++
		return
	}
	q.lines = append(q.lines, line)
	q.bytes += len(line.Message)
	select {
	case q.wake <- struct{}{}:
	default: // it is awake already
	}
}

// flush waits until the lines added so far are sent, for a short time; not at
// all while the endpoint takes none.
func (q *logQueue) flush(ctx context.Context) {
	q.mu.Lock()
	if q.failing || q.closed || len(q.lines) == 0 && q.settled == q.seq {
		q.mu.Unlock()
		return
	}
	f := flush{seq: q.seq, done: make(chan struct{})}
	q.flushes = append(q.flushes, f)
	q.mu.Unlock()
	limit := time.NewTimer(flushTimeout)
	defer limit.Stop()
	select {
	case <-f.done:
	case <-limit.C:
	case <-q.done:
	case <-ctx.Done():
	}
}

// settle notes that a line was sent, or given up, and wakes who waits for it.
func (q *logQueue) settle(line *model.Line, sent bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.settled, q.failing = line.Seq, !sent
	if len(q.lines) == 0 {
		q.settled = q.seq // what was added since was dropped
	}
	kept := q.flushes[:0]
	for _, f := range q.flushes {
		if sent && f.seq > q.settled {
			kept = append(kept, f)
			continue
		}
		close(f.done)
	}
	q.flushes = kept
}

// close refuses further lines and waits until those queued are sent, or ctx
// ends. It gives up at the first line the endpoint does not take.
func (q *logQueue) close(ctx context.Context) {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.closing)
	}
	q.mu.Unlock()
	select {
	case <-q.done:
	case <-ctx.Done():
	}
}

// send is the sender.
func (q *logQueue) send(ctx context.Context) {
	defer close(q.done)
	backoff := time.Duration(0)
	for {
		line, closed := q.next()
		sent := line != nil && q.postLine(ctx, line)
		if line != nil {
			q.settle(line, sent)
		}
		switch {
		case sent:
			backoff = 0
		case line != nil && closed:
			return
		case line != nil:
			q.countDropped(1)
			backoff = min(max(2*backoff, minBackoff), maxBackoff)
			q.pause(ctx, backoff)
		case closed || ctx.Err() != nil:
			return
		default:
			q.await(ctx)
		}
	}
}

// next takes the next line, nil if there is none.
func (q *logQueue) next() (line *model.Line, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.lines) == 0 {
		return nil, q.closed
	}
	line = q.lines[0]
	q.lines[0] = nil
	q.lines = q.lines[1:]
	q.bytes -= len(line.Message)
	return line, q.closed
}

// postLine sends one line, and after it the number of lines dropped before.
func (q *logQueue) postLine(ctx context.Context, line *model.Line) bool {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	if q.post(ctx, line) != nil {
		return false
	}
	if report, n := q.droppedLine(); n > 0 && q.post(ctx, report) != nil {
		q.countDropped(n)
	}
	return true
}

// droppedLine reports the n lines dropped since the last report.
func (q *logQueue) droppedLine() (line *model.Line, n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, q.dropped = q.dropped, 0
	if n == 0 {
		return nil, 0
	}
	q.seq++
	return &model.Line{
		Seq:           q.seq,
		Time:          time.Now(),
		Service:       q.service,
		Level:         "warn",
		Message:       fmt.Sprintf("%d log lines were dropped: the endpoint did not take them", n),
		Data:          []any{},
		IgnorePublish: true,
	}, n
}

// countDropped counts lines that were taken and not sent.
func (q *logQueue) countDropped(n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped += n
}

// pause waits before the next try.
func (q *logQueue) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-q.closing:
	case <-ctx.Done():
	}
}

// await waits for a line.
func (q *logQueue) await(ctx context.Context) {
	select {
	case <-q.wake:
	case <-q.closing:
	case <-ctx.Done():
	}
}
