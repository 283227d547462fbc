package endpoint

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"
)

// tally counts what a receipt is told.
type tally struct{ delivered, lost int }

func (r *tally) Delivered() { r.delivered++ }

func (r *tally) Lost() { r.lost++ }

// script is a connection whose reads are prepared.
type script struct {
	net.Conn
	reads []error
}

func (s *script) Read([]byte) (int, error) {
	err := s.reads[0]
	s.reads = s.reads[1:]
	if err == nil {
		return 1, nil
	}
	return 0, err
}

func TestWhatAConnectionTellsOfAReply(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		before, after []error // what is read between the reply and arm, and after arm
		want          tally
	}{
		{"used again", nil, []error{nil}, tally{delivered: 1}},
		{"closed in order", nil, []error{io.EOF}, tally{delivered: 1}},
		{"reset", nil, []error{syscall.ECONNRESET}, tally{lost: 1}},
		{"read aborted, then used", nil, []error{os.ErrDeadlineExceeded, nil}, tally{delivered: 1}},
		{"used before arm", []error{nil}, nil, tally{delivered: 1}},
		{"reset before arm", []error{syscall.ECONNRESET}, nil, tally{lost: 1}},
		{"told once", nil, []error{nil, nil, io.EOF}, tally{delivered: 1}},
		{"closed here", nil, []error{net.ErrClosed}, tally{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := &watchedConn{Conn: &script{reads: append([]error{nil}, append(c.before, c.after...)...)}}
			read := func() { _, _ = conn.Read(make([]byte, 1)) } // the script's errors
			read()                                               // the request
			conn.listen()
			for range c.before {
				read()
			}
			got := &tally{}
			conn.arm(got)
			for range c.after {
				read()
			}
			if *got != c.want {
				t.Errorf("told %+v, want %+v", *got, c.want)
			}
		})
	}
}

func TestANewReplyForgetsTheOneBefore(t *testing.T) {
	t.Parallel()
	conn := &watchedConn{Conn: &script{reads: []error{syscall.ECONNRESET}}}
	first, second := &tally{}, &tally{}
	conn.listen()
	conn.arm(first)
	conn.listen()
	conn.arm(second)
	_, _ = conn.Read(nil) // the script's error
	if *first != (tally{}) || *second != (tally{lost: 1}) {
		t.Errorf("first %+v, second %+v", first, second)
	}
}
