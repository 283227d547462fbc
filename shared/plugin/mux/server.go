package mux

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Prepare makes of a question's body what answers it, each time that it is asked.
// It is called by one goroutine, and what it returns by many. The body must not be
// kept.
type Prepare func(body []byte) func(ctx context.Context) Answer

// Server answers the questions of a connection.
type Server struct {
	conn    net.Conn
	prepare Prepare
	ctx     context.Context // parent of that of each question
	reading context.Context // ends when no more are to be read
	endRead context.CancelFunc
	out     *writer
	work    sync.WaitGroup // questions at work
	jobs    chan job       // for workers that are idle
	idle    atomic.Int32   // workers
	ended   chan struct{}  // closed when no more are read

	kept    []func(context.Context) Answer // of slot n at n-1; for the reader alone
	refused error                          // why no more are read; set before ended is closed

	mu     sync.Mutex // guards the below
	atWork map[uint64]context.CancelFunc
}

// errUnknownSlot is why a connection ends on which a slot was asked that keeps
// nothing.
var errUnknownSlot = errors.New("a slot that keeps nothing was asked")

// Serve begins to answer the questions of a connection, what comes from which is
// read by in. Their contexts end with ctx. Who calls it calls Close.
func Serve(ctx context.Context, conn net.Conn, in io.Reader, prepare Prepare) *Server {
	s := &Server{
		conn: conn, prepare: prepare, ctx: ctx, out: newWriter(conn),
		jobs: make(chan job), ended: make(chan struct{}), atWork: map[uint64]context.CancelFunc{},
	}
	s.reading, s.endRead = context.WithCancel(ctx)
	go s.read(newReader(in))
	return s
}

// Ended is closed when no more questions are read: the other side is gone.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// Err is why no more are read, once Ended is closed.
func (s *Server) Err() error {
	<-s.ended
	return s.refused
}

// read takes questions until the connection ends.
func (s *Server) read(in *reader) {
	defer close(s.ended)
	for {
		line, err := in.line()
		var q asked
		if err == nil {
			q, err = parseAsked(line)
		}
		if err == nil {
			err = s.take(q)
		}
		if err == nil {
			continue
		}
		s.refused = err
		if s.reading.Err() == nil { // nobody is left who waits
			s.giveUp()
			s.endRead() // nor anything to do
		}
		return
	}
}

// take begins with a question, or gives one up.
func (s *Server) take(q asked) error {
	if q.slot < 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		if cancel := s.atWork[q.id]; cancel != nil {
			cancel()
		}
		return nil
	}
	answer, err := s.answerTo(q)
	if err != nil {
		return err
	}
	// Who does not take answers gets no more of them worked out.
	if err := s.out.room(s.reading); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.atWork[q.id] != nil {
		cancel()
		return errLine
	}
	s.atWork[q.id] = cancel
	s.work.Add(1)
	j := job{ctx, q.id, answer}
	select {
	case s.jobs <- j:
	default:
		go s.toil(j)
	}
	return nil
}

// maxIdle bounds the workers that wait for the next question. One that has worked
// has the stack that it takes; a new one would have to grow it.
const maxIdle = 64

// job is a question at work.
type job struct {
	ctx    context.Context
	id     uint64
	answer func(context.Context) Answer
}

// toil works out answers until there are no more questions, or enough others wait
// for them.
func (s *Server) toil(j job) {
	for {
		s.answer(j.ctx, j.id, j.answer)
		if s.idle.Add(1) > maxIdle {
			s.idle.Add(-1)
			return
		}
		select {
		case j = <-s.jobs:
			s.idle.Add(-1)
		case <-s.reading.Done():
			return
		}
	}
}

// answerTo is what answers a question.
func (s *Server) answerTo(q asked) (func(context.Context) Answer, error) {
	if q.body == nil {
		if q.slot > len(s.kept) || s.kept[q.slot-1] == nil {
			return nil, errUnknownSlot
		}
		return s.kept[q.slot-1], nil
	}
	answer := s.prepare(q.body)
	if q.slot > 0 {
		for len(s.kept) < q.slot {
			s.kept = append(s.kept, nil)
		}
		s.kept[q.slot-1] = answer
	}
	return answer, nil
}

// answer works one answer out.
func (s *Server) answer(ctx context.Context, id uint64, answer func(context.Context) Answer) {
	defer s.work.Done()
	got := answer(ctx)
	s.mu.Lock()
	cancel := s.atWork[id]
	delete(s.atWork, id)
	s.mu.Unlock()
	cancel()
	if bytes.IndexByte(got.Body, '\n') >= 0 || len(got.Body) > MaxBody {
		got = Answer{Status: 500}
	}
	// An answer that cannot be written has nobody who waits for it.
	_ = s.out.add(func(out []byte) []byte { return appendAnswer(out, id, got) })
}

// Close reads no more questions, waits until those at work are answered and the
// answers written, or ctx has ended, and ends the connection. What is at work
// then has its context ended; a prepared answer that does not heed it is not
// waited for.
func (s *Server) Close(ctx context.Context) {
	s.endRead()
	_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // a connection that has ended reads nothing anyway
	<-s.ended
	go func() { // ends with the questions at work
		s.work.Wait()
		s.out.finish()
	}()
	select {
	case <-s.out.done:
	case <-ctx.Done():
	}
	s.giveUp()
	s.out.fail(errEnded)
	s.out.finish()
	_ = s.conn.Close() // what is not written by now is given up
	<-s.out.done
}

// giveUp ends the contexts of the questions at work.
func (s *Server) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cancel := range s.atWork {
		cancel()
	}
}
