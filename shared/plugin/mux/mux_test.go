package mux

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// bound is how long a test waits for what must happen.
const bound = 20 * time.Second

// sockets are the two ends of a connection.
func sockets(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := make(chan net.Conn, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		taken <- conn
	}()
	if near, err = net.Dial("unix", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	far = <-taken
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}

// counted is a connection that counts what is read from it.
type counted struct {
	net.Conn
	read atomic.Int64
}

// Read reads and counts.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// pair is an asker and the server that answers it.
type pair struct {
	*Asker
	server   *Server
	wire     *counted // from the asker
	prepared atomic.Int64
}

// connect makes a pair whose server answers by fn.
func connect(t testing.TB, fn func(ctx context.Context, body string) Answer) *pair {
	t.Helper()
	near, far := sockets(t)
	p := &pair{wire: &counted{Conn: far}}
	p.server = Serve(t.Context(), far, p.wire, func(body []byte) func(context.Context) Answer {
		p.prepared.Add(1)
		text := string(body)
		return func(ctx context.Context) Answer { return fn(ctx, text) }
	})
	p.Asker = NewAsker(near, near)
	t.Cleanup(func() {
		p.Asker.Close()
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		defer cancel()
		p.server.Close(ctx)
	})
	return p
}

// echo answers what it is asked.
func echo(_ context.Context, body string) Answer { return Answer{Status: 200, Body: []byte(body)} }

// within is a context that ends when a test has waited for too long.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	t.Cleanup(cancel)
	return ctx
}

func TestManyQuestionsAtOnce(t *testing.T) {
	p := connect(t, echo)
	ctx := within(t)
	var work sync.WaitGroup
	for i := range 200 {
		work.Go(func() {
			q := question(t, fmt.Sprintf(`{"n":%d}`, i))
			for range 20 {
				if got, err := p.Ask(ctx, q, i%2 == 0); err != nil || string(got.Body) != string(q.Body()) || got.Status != 200 {
					t.Errorf("%s: %+v, %v", q.Body(), got, err)
				}
			}
		})
	}
	work.Wait()
	// Every other question is kept: it is prepared once.
	if n := p.prepared.Load(); n != 100+100*20 {
		t.Errorf("%d questions were prepared", n)
	}
	if idle := p.Idle(); idle <= 0 || idle > bound {
		t.Errorf("idle for %v", idle)
	}
}

// What is asked again is sent once.
func TestAQuestionIsSentOnce(t *testing.T) {
	p := connect(t, func(context.Context, string) Answer { return Answer{Status: 200, Body: []byte("1")} })
	q := question(t, strings.Repeat("x", 1000))
	for range 100 {
		if _, err := p.Ask(within(t), q, true); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.wire.read.Load(); n > 2000 {
		t.Errorf("%d bytes were sent", n)
	}
	if n := p.prepared.Load(); n != 1 {
		t.Errorf("it was prepared %d times", n)
	}
	if _, err := p.Ask(within(t), q, false); err != nil || p.prepared.Load() != 2 {
		t.Errorf("asked once: prepared %d times, %v", p.prepared.Load(), err)
	}
}

func TestLargeQuestionsAndAnswers(t *testing.T) {
	p := connect(t, echo)
	q := question(t, strings.Repeat("x", MaxBody))
	got, err := p.Ask(within(t), q, true)
	if err != nil || !bytes.Equal(got.Body, q.Body()) {
		t.Errorf("%d bytes, %v", len(got.Body), err)
	}
	if small, err := p.Ask(within(t), question(t, "y"), true); err != nil || string(small.Body) != "y" || len(got.Body) != MaxBody {
		t.Errorf("%s, %v", small.Body, err)
	}
}

// An answer that cannot be sent is one that says so.
func TestAnswersThatCannotBeSent(t *testing.T) {
	p := connect(t, func(_ context.Context, body string) Answer {
		if body == "long" {
			return Answer{Status: 200, Body: make([]byte, MaxBody+1)}
		}
		return Answer{Status: 200, Body: []byte("1 200 0 {}\n2 200 0 {}")}
	})
	for _, text := range []string{"long", "lines"} {
		if got, err := p.Ask(within(t), question(t, text), false); err != nil || got.Status != 500 || len(got.Body) != 0 {
			t.Errorf("%s: %d, %d bytes, %v", text, got.Status, len(got.Body), err)
		}
	}
}

// Who does not wait any more has the work given up; others go on.
func TestAQuestionIsGivenUp(t *testing.T) {
	begun, gone := make(chan struct{}), make(chan error, 1)
	p := connect(t, func(ctx context.Context, body string) Answer {
		if body == "slow" {
			close(begun)
			<-ctx.Done()
			gone <- ctx.Err()
		}
		return Answer{Status: 200, Body: []byte("1")}
	})
	errLeft := errors.New("left")
	ctx, leave := context.WithCancelCause(within(t))
	go func() {
		<-begun
		leave(errLeft)
	}()
	if _, err := p.Ask(ctx, question(t, "slow"), true); !errors.Is(err, errLeft) || errors.Is(err, ErrNotAsked) {
		t.Errorf("got %v", err)
	}
	select {
	case err := <-gone:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("its context ended by %v", err)
		}
	case <-time.After(bound):
		t.Fatal("it goes on")
	}
	if _, err := p.Ask(within(t), question(t, "next"), true); err != nil {
		t.Error(err)
	}
}

// While an answer is waited for, a connection is not idle.
func TestAConnectionInUseIsNotIdle(t *testing.T) {
	begun, free := make(chan struct{}), make(chan struct{})
	p := connect(t, func(context.Context, string) Answer {
		close(begun)
		<-free
		return Answer{Status: 200, Body: []byte("1")}
	})
	done := make(chan error, 1)
	go func() {
		_, err := p.Ask(within(t), question(t, "q"), false)
		done <- err
	}()
	<-begun
	if idle := p.Idle(); idle != 0 {
		t.Errorf("idle for %v", idle)
	}
	close(free)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A server that closes answers what it has taken.
func TestCloseAnswersFirst(t *testing.T) {
	begun, free := make(chan struct{}, 10), make(chan struct{})
	p := connect(t, func(ctx context.Context, body string) Answer {
		begun <- struct{}{}
		<-free
		if ctx.Err() != nil {
			return Answer{Status: 500}
		}
		return echo(ctx, body)
	})
	errs := make(chan error, 10)
	for i := range 10 {
		go func() {
			got, err := p.Ask(within(t), question(t, fmt.Sprint("q", i)), true)
			if err == nil && got.Status != 200 {
				err = fmt.Errorf("status %d", got.Status)
			}
			errs <- err
		}()
	}
	for range 10 {
		<-begun
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		p.server.Close(within(t))
	}()
	<-p.server.Ended()
	close(free)
	for range 10 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	<-closed
	if _, err := p.Ask(within(t), question(t, "late"), true); err == nil {
		t.Error("asked after the end")
	}
}

// Closing is bounded, whatever is at work.
func TestCloseIsBounded(t *testing.T) {
	begun, free := make(chan struct{}), make(chan struct{})
	ended := make(chan struct{})
	p := connect(t, func(ctx context.Context, _ string) Answer {
		close(begun)
		<-ctx.Done()
		close(ended)
		<-free // heeds nothing
		return Answer{Status: 200, Body: []byte("1")}
	})
	lost := make(chan error, 1)
	go func() {
		_, err := p.Ask(within(t), question(t, "q"), true)
		lost <- err
	}()
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	p.server.Close(ctx)
	<-ended
	if err := <-lost; err == nil || errors.Is(err, ErrNotAsked) {
		t.Errorf("got %v", err)
	}
	close(free)
}

// A connection that is lost ends all that was asked over it, and the work.
func TestALostConnection(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	p := connect(t, func(ctx context.Context, _ string) Answer {
		close(begun)
		<-ctx.Done()
		close(ended)
		return Answer{Status: 200, Body: []byte("1")}
	})
	lost := make(chan error, 1)
	go func() {
		_, err := p.Ask(within(t), question(t, "q"), true)
		lost <- err
	}()
	<-begun
	_ = p.Asker.conn.Close()
	if err := <-lost; err == nil || errors.Is(err, ErrNotAsked) {
		t.Errorf("got %v", err)
	}
	<-p.Done()
	<-ended
	if _, err := p.Ask(within(t), question(t, "q"), true); !errors.Is(err, ErrNotAsked) {
		t.Errorf("got %v", err)
	}
	if err := p.server.Err(); err == nil {
		t.Error("the server has no reason")
	}
}

// What is no answer ends the connection.
func TestAnswersThatAreNone(t *testing.T) {
	for _, text := range []string{"hello\n", "1 200\n", "1 200 0 {}", "\n", "0 200 0 {}\n"} {
		near, far := sockets(t)
		a := NewAsker(near, near)
		go func() {
			_, _ = bufio.NewReader(far).ReadString('\n')
			_, _ = io.WriteString(far, text)
			_ = far.Close()
		}()
		if got, err := a.Ask(within(t), question(t, "q"), true); err == nil || errors.Is(err, ErrNotAsked) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		a.Close()
	}
}

// An answer that nobody waits for is dropped.
func TestAnswersThatNobodyWaitsFor(t *testing.T) {
	near, far := sockets(t)
	a := NewAsker(near, near)
	defer a.Close()
	go func() {
		_, _ = bufio.NewReader(far).ReadString('\n')
		_, _ = io.WriteString(far, "7 200 0 {}\n1 200 0 [1]\n1 200 0 [2]\n")
	}()
	if got, err := a.Ask(within(t), question(t, "q"), true); err != nil || string(got.Body) != "[1]" {
		t.Errorf("%s, %v", got.Body, err)
	}
}

// What is no question ends the connection, and so does a slot that keeps nothing.
func TestQuestionsThatAreNone(t *testing.T) {
	for _, text := range []string{"GET / HTTP/1.1\r\n", "\n", "1 0\n", "1 2\n", "1 1 {}\n1 1 {}\n", "1 5000 {}\n"} {
		near, far := sockets(t)
		free := make(chan struct{})
		s := Serve(t.Context(), far, far, func([]byte) func(context.Context) Answer {
			return func(context.Context) Answer { <-free; return Answer{Status: 200} }
		})
		if _, err := io.WriteString(near, text); err != nil {
			t.Fatal(err)
		}
		select {
		case <-s.Ended():
		case <-time.After(bound):
			t.Fatalf("%q is taken", text)
		}
		if err := s.Err(); !errors.Is(err, errLine) && !errors.Is(err, errUnknownSlot) {
			t.Errorf("%q: %v", text, err)
		}
		close(free)
		s.Close(within(t))
	}
}

// A question that is given up after its answer, or that never was, is no matter.
func TestGivingUpWhatIsNotAtWork(t *testing.T) {
	near, far := sockets(t)
	s := Serve(t.Context(), far, far, func([]byte) func(context.Context) Answer {
		return func(context.Context) Answer { return Answer{Status: 200, Body: []byte("1")} }
	})
	defer s.Close(within(t))
	in := bufio.NewReader(near)
	for _, text := range []string{"5\n1 1 {}\n", "1\n5\n2 1\n"} {
		if _, err := io.WriteString(near, text); err != nil {
			t.Fatal(err)
		}
		if line, err := in.ReadString('\n'); err != nil || !strings.HasSuffix(line, " 200 0 1\n") {
			t.Fatalf("%q: %q, %v", text, line, err)
		}
	}
}

// Who reads no answers has no more of them worked out than there is room for, and
// does not keep a server from ending.
func TestAnswersAreNotPiledUp(t *testing.T) {
	for _, reads := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			var answered atomic.Int64
			s := Serve(t.Context(), far, far, func([]byte) func(context.Context) Answer {
				return func(context.Context) Answer { answered.Add(1); return Answer{Status: 200, Body: []byte("1")} }
			})
			for range 2 { // one is being written, and one waits for that
				if err := s.out.add(func(b []byte) []byte { return append(b, make([]byte, maxPending)...) }); err != nil {
					t.Error(err)
				}
				synctest.Wait()
			}
			if _, err := io.WriteString(near, "1 0 {}\n"); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if answered.Load() != 0 {
				t.Error("an answer was worked out that has no room")
			}
			read := make(chan int64, 1)
			if reads {
				go func() { n, _ := io.Copy(io.Discard, near); read <- n }()
				synctest.Wait()
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			s.Close(ctx)
			want := int64(0)
			if reads {
				want = 1
				if n := <-read; n <= 2*maxPending {
					t.Errorf("%d bytes were answered", n)
				}
			}
			if answered.Load() != want {
				t.Errorf("reads %v: %d answers", reads, answered.Load())
			}
			_ = near.Close()
		})
	}
}

// Who asks faster than is read waits, and does not wait for ever.
func TestQuestionsAreNotPiledUp(t *testing.T) {
	near, _ := sockets(t)
	a := NewAsker(near, near)
	defer a.Close()
	q := question(t, strings.Repeat("x", 1<<20))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var work sync.WaitGroup
	var unasked atomic.Int64
	for range 50 {
		work.Go(func() {
			if err := a.out.room(ctx); err != nil { // as Ask does, one after the other
				unasked.Add(1)
				return
			}
			if _, err := a.Ask(ctx, q, false); err == nil {
				t.Error("answered")
			}
		})
	}
	work.Wait()
	if _, err := a.Ask(ctx, q, false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// The lines of a moment are written together.
func TestLinesAreWrittenTogether(t *testing.T) {
	near, far := sockets(t)
	w := &slowWriter{Conn: near, free: make(chan struct{})}
	out := newWriter(w)
	var want strings.Builder
	for i := range 100 {
		line := fmt.Sprintln(i)
		want.WriteString(line)
		if err := out.add(func(b []byte) []byte { return append(b, line...) }); err != nil {
			t.Fatal(err)
		}
	}
	close(w.free)
	out.finish()
	<-out.done
	if err := out.add(func(b []byte) []byte { return b }); err == nil {
		t.Error("added after the end")
	}
	_ = near.Close()
	got, err := io.ReadAll(far)
	if err != nil || string(got) != want.String() {
		t.Errorf("%q, %v", got, err)
	}
	if n := w.writes.Load(); n > 3 {
		t.Errorf("%d writes", n)
	}
}

// slowWriter is a connection to which writes take as long as they should.
type slowWriter struct {
	net.Conn
	free   chan struct{}
	writes atomic.Int64
}

// Write writes when it may.
func (w *slowWriter) Write(p []byte) (int, error) {
	<-w.free
	w.writes.Add(1)
	return w.Conn.Write(p)
}

func BenchmarkAskAgain(b *testing.B) {
	p := connect(b, echo)
	q := question(b, strings.Repeat("x", 700))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := p.Ask(context.Background(), q, true); err != nil {
				b.Error(err)
			}
		}
	})
}

// Who has left already asks nothing.
func TestNothingIsAskedForThoseWhoHaveLeft(t *testing.T) {
	p := connect(t, echo)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Ask(ctx, question(t, "q"), true); !errors.Is(err, ErrNotAsked) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := p.prepared.Load(); n != 0 {
		t.Errorf("%d questions were prepared", n)
	}
}

// A slot keeps what came last.
func TestASlotIsFilledAnew(t *testing.T) {
	near, far := sockets(t)
	s := Serve(t.Context(), far, far, func(body []byte) func(context.Context) Answer {
		text := bytes.Clone(body)
		return func(context.Context) Answer { return Answer{Status: 200, Body: text} }
	})
	defer s.Close(within(t))
	in := bufio.NewReader(near)
	for _, c := range []struct{ ask, want string }{{"1 3 a", "a"}, {"2 3", "a"}, {"3 3 b", "b"}, {"4 3", "b"}, {"5 0 c", "c"}, {"6 3", "b"}} {
		if _, err := io.WriteString(near, c.ask+"\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := in.ReadString('\n'); err != nil || !strings.HasSuffix(line, " 200 0 "+c.want+"\n") {
			t.Errorf("%s: %q, %v", c.ask, line, err)
		}
	}
}
