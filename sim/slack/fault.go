package slack

import (
	"cmp"
	"net/http"
	"net/url"
	"time"
)

// Fault is what a call meets in place of a success.
type Fault struct {
	// Status is the HTTP status; 0 means 200 with Error in the body.
	Status int

	// Error is the error code of the body, such as "ratelimited".
	Error string

	// RetryAfter is the Retry-After header as it stands there; empty sends none.
	RetryAfter string

	// Body is sent in place of a JSON body, as that of a gateway is.
	Body string

	// Cut ends the connection without an answer.
	Cut bool

	// Posted tells that the call was executed all the same.
	Posted bool
}

// Fail has the next calls of a method meet faults, one each.
func (s *Server) Fail(method string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[method] = append(s.faults[method], faults...)
}

// nextFault takes the next fault of a method off its list.
func (s *Server) nextFault(method string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	faults := s.faults[method]
	if len(faults) == 0 {
		return Fault{}, false
	}
	s.faults[method] = faults[1:]
	return faults[0], true
}

// answer answers with the fault.
func (f Fault) answer(w http.ResponseWriter) {
	if f.Cut {
		// HTTP/1 on TCP can always be hijacked.
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			conn.Close()
		}
		return
	}
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	if f.Body != "" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(cmp.Or(f.Status, http.StatusOK))
		// A client that went away does not want the answer.
		_, _ = w.Write([]byte(f.Body))
		return
	}
	answerWith(w, cmp.Or(f.Status, http.StatusOK), refuse(f.Error))
}

// window counts the messages of a channel in a second.
type window struct {
	began time.Time
	count int
}

// overRate tells how many seconds a channel rests before it takes another
// message, 0 if it takes this one.
func (s *Server) overRate(method string, form url.Values) int {
	if s.opts.RateLimit == 0 || method != "chat.postMessage" {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id, now := s.channelOf(form), s.opts.Now()
	w := s.windows[id]
	if now.Sub(w.began) >= time.Second {
		w = window{began: now}
	}
	w.count++
	s.windows[id] = w
	if w.count > s.opts.RateLimit {
		return 1
	}
	return 0
}
