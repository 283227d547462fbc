package mux

import (
	"math/rand/v2"
	"time"
)

const (
	// slotsFor is how long a slot keeps a question that is not asked any more.
	slotsFor = time.Minute
	// maxKept is the longest body that is kept.
	maxKept = 8 << 10
)

// slots are what the other side keeps. The zero value is empty and ready.
type slots struct {
	by   map[*Question]int
	list []slot // of slot n at n-1
}

// slot is one of them.
type slot struct {
	question *Question // nil: none
	used     time.Time
}

// of returns the slot of a question, and whether it keeps it already; 0 if there
// is no room. One that is full is left as it is: of a fleet that is larger those
// that are kept are asked again, where taking the oldest would keep none of them
// long enough.
func (s *slots) of(q *Question, now time.Time) (n int, known bool) {
	if n, known = s.by[q]; known {
		s.list[n-1].used = now
		return n, true
	}
	if len(q.body) > maxKept {
		return 0, false
	}
	if n = s.free(now); n == 0 {
		return 0, false
	}
	if s.by == nil {
		s.by = map[*Question]int{}
	}
	s.by[q], s.list[n-1] = n, slot{q, now}
	return n, false
}

// free finds a slot for one more: a new one, or one whose question has not been
// asked for long.
func (s *slots) free(now time.Time) int {
	if len(s.list) < MaxSlots {
		s.list = append(s.list, slot{})
		return len(s.list)
	}
	n := 1 + rand.N(MaxSlots)
	if old := s.list[n-1]; old.question != nil && now.Sub(old.used) < slotsFor {
		return 0
	}
	s.drop(n)
	return n
}

// drop forgets what a slot keeps.
func (s *slots) drop(n int) {
	if n == 0 {
		return
	}
	delete(s.by, s.list[n-1].question)
	s.list[n-1] = slot{}
}
