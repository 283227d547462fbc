// Package mux carries questions and their answers, many at a time, over one
// connection: what a request of its own costs for each is saved. A question that
// is asked again and again is sent once and kept by the other side.
//
// Each side writes lines of fields that are separated by one space. A question is
// one of
//
//	ID SLOT BODY	BODY is asked; a SLOT other than 0 keeps it, in place of what it kept
//	ID SLOT		what SLOT keeps is asked once more
//	ID		the question ID is given up; it is answered all the same, or not
//
// and an answer is
//
//	ID STATUS RETRY BODY
//
// with the status of HTTP, the seconds of Retry-After, and a BODY that may be
// empty. An ID is not used twice on a connection. Bodies hold no newline.
package mux

import (
	"bytes"
	"errors"
	"strconv"

	"provision-plugins/shared/model"
)

// MaxBody bounds a body, in bytes, and MaxSlots the slots of a connection: they
// are 1 to MaxSlots.
const (
	MaxBody  = model.MaxBody
	MaxSlots = 4096
)

// maxLine bounds a line: a body, and three numbers before it.
const maxLine = MaxBody + 128

// errLine is why a connection ends on which something else came than a line of
// its kind.
var errLine = errors.New("a line that is none of the protocol")

// asked is a question as it came. Its body is valid until the next line is read.
type asked struct {
	id   uint64
	slot int // -1: the question is given up
	body []byte
}

// number takes a number off the front of a line, up to the space that ends it or
// to the end of the line. rest is nil at the end.
func number(line []byte, most uint64) (n uint64, rest []byte, ok bool) {
	head := line
	if at := bytes.IndexByte(line, ' '); at >= 0 {
		head, rest = line[:at], line[at+1:]
	}
	if len(head) == 0 || len(head) > 1 && head[0] == '0' {
		return 0, nil, false
	}
	for _, c := range head {
		if c < '0' || c > '9' || n > (most-uint64(c-'0'))/10 {
			return 0, nil, false
		}
		n = 10*n + uint64(c-'0')
	}
	return n, rest, n <= most
}

// parseAsked reads a question, without its newline.
func parseAsked(line []byte) (q asked, err error) {
	id, rest, ok := number(line, 1<<63)
	switch {
	case !ok || id == 0:
		return q, errLine
	case rest == nil:
		return asked{id: id, slot: -1}, nil
	}
	slot, body, ok := number(rest, MaxSlots)
	if !ok || body == nil && slot == 0 || body != nil && len(body) == 0 || len(body) > MaxBody {
		return q, errLine
	}
	return asked{id: id, slot: int(slot), body: body}, nil
}

// appendAsked appends a question as a line.
func appendAsked(out []byte, q asked) []byte {
	out = strconv.AppendUint(out, q.id, 10)
	if q.slot >= 0 {
		out = append(out, ' ')
		out = strconv.AppendUint(out, uint64(q.slot), 10)
		if len(q.body) > 0 {
			out = append(out, ' ')
			out = append(out, q.body...)
		}
	}
	return append(out, '\n')
}

// Answer is what is answered to a question.
type Answer struct {
	Status int
	Retry  int // seconds
	Body   []byte
}

// parseAnswer reads an answer, without its newline. Its body is part of line.
func parseAnswer(line []byte) (id uint64, a Answer, err error) {
	id, rest, ok := number(line, 1<<63)
	if !ok || id == 0 || rest == nil {
		return 0, a, errLine
	}
	status, rest, ok := number(rest, 599)
	if !ok || status < 200 || rest == nil {
		return 0, a, errLine
	}
	retry, body, ok := number(rest, 1<<31)
	if !ok || body == nil || len(body) > MaxBody {
		return 0, a, errLine
	}
	return id, Answer{Status: int(status), Retry: int(retry), Body: body}, nil
}

// appendAnswer appends an answer as a line.
func appendAnswer(out []byte, id uint64, a Answer) []byte {
	out = strconv.AppendUint(out, id, 10)
	out = append(out, ' ')
	out = strconv.AppendUint(out, uint64(a.Status), 10)
	out = append(out, ' ')
	out = strconv.AppendUint(out, uint64(a.Retry), 10)
	out = append(out, ' ')
	out = append(out, a.Body...)
	return append(out, '\n')
}
