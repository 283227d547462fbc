package slack

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// flight is a call that posts to a channel, while it is under way.
type flight struct {
	request *http.Request
	passed  bool // another began meanwhile
}

// Overlaps counts, by channel, the calls that posted or edited while another of the
// same channel was under way: Slack does not say in which order it takes such. A
// call that the app gave up before the other ended does not count.
func (s *Server) Overlaps() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.overlaps)
}

// fly notes that a call is under way, and returns what notes that it ended.
func (s *Server) fly(r *http.Request, method string, form url.Values) (land func()) {
	if method != "chat.postMessage" && method != "chat.update" {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, _ := s.channelNamed(form.Get("channel"))
	mine := &flight{request: r}
	if other := s.flights[c.ID]; other != nil {
		other.passed = true
	}
	s.flights[c.ID] = mine
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if mine.passed && r.Context().Err() == nil {
			s.overlaps[c.ID]++
		}
		if s.flights[c.ID] == mine {
			delete(s.flights, c.ID)
		}
	}
}

// restOf names what rests after a 429: posts to a channel, or a method.
func (s *Server) restOf(method string, form url.Values) string {
	if method != "chat.postMessage" {
		return method
	}
	c, _ := s.channelNamed(form.Get("channel"))
	return method + " " + c.ID
}

// rest notes until when the app was told not to call again.
func (s *Server) rest(method string, form url.Values, f Fault) {
	seconds, err := strconv.Atoi(f.RetryAfter)
	if f.Status != http.StatusTooManyRequests || err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rests[s.restOf(method, form)] = s.opts.Now().Add(time.Duration(seconds) * time.Second)
}

// early complains of a call before the time that the app was told.
func (s *Server) early(method string, form url.Values) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what := s.restOf(method, form)
	// Two clocks that measure one time differ by a little.
	const tolerance = 20 * time.Millisecond
	if left := s.rests[what].Sub(s.opts.Now()); left > tolerance {
		s.complain("%s was called %s before its Retry-After was over", what, left.Round(time.Millisecond))
	}
}

// Disorder tells where messages are not in order: key says to which series a
// message belongs and which number of it it is, and false for one that is in none.
// Within a channel, the numbers of a series only rise. What it returns is empty if
// all is in order, and bounded.
func (s *Server) Disorder(key func(Message) (series string, n int, ok bool)) []string {
	const most = 10
	last, seen, out := map[string]int{}, map[string]bool{}, []string(nil)
	for _, m := range s.Messages() {
		series, n, ok := key(m)
		if !ok || len(out) >= most {
			continue
		}
		place := m.Channel + " " + series
		if id := place + " " + strconv.Itoa(n); seen[id] {
			out = append(out, fmt.Sprintf("%s is there twice", id))
			continue
		}
		seen[place+" "+strconv.Itoa(n)] = true
		if before, any := last[place]; any && n < before {
			out = append(out, fmt.Sprintf("%s %d comes after %d", place, n, before))
		}
		last[place] = max(last[place], n)
	}
	return out
}

// Duplicates returns the client_msg_ids that more than one message has.
func (s *Server) Duplicates() []string {
	count, out := map[string]int{}, []string(nil)
	for _, m := range s.Messages() {
		if id := m.ClientMsgID; id != "" {
			if count[id]++; count[id] == 2 {
				out = append(out, id)
			}
		}
	}
	return out
}
