package slack

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Fault is what a call meets in place of a success. One with nothing but a Delay
// is a slow success.
type Fault struct {
	// Status is the HTTP status; 0 means 200 with Error in the body.
	Status int

	// Error is the error code of the body, such as "ratelimited".
	Error string

	// RetryAfter is the Retry-After header as it stands there; empty sends none.
	RetryAfter string

	// RetryDate has RetryAfter, a number of seconds, sent as the date it leads to.
	RetryDate bool

	// Body is sent in place of a JSON body, as that of a gateway is.
	Body string

	// Cut ends the connection without an answer.
	Cut bool

	// Truncate sends the first half of an answer that says all is well, and NoTS one
	// that lacks the timestamp.
	Truncate, NoTS bool

	// Delay is how long the answer takes.
	Delay time.Duration

	// Posted tells that the call was executed all the same.
	Posted bool
}

// page is what a gateway answers with when Slack is down.
const page = "<html><body><h1>503 Service Unavailable</h1></body></html>"

// Faults returns each kind of fault by its name.
func Faults() map[string]Fault {
	return map[string]Fault{
		"429":              {Status: http.StatusTooManyRequests, Error: "ratelimited", RetryAfter: "1"},
		"429-posted":       {Status: http.StatusTooManyRequests, Error: "ratelimited", RetryAfter: "1", Posted: true},
		"429-no-header":    {Status: http.StatusTooManyRequests, Error: "ratelimited"},
		"429-date":         {Status: http.StatusTooManyRequests, Error: "ratelimited", RetryAfter: "1", RetryDate: true},
		"200-ratelimited":  {Error: "ratelimited"},
		"200-rate_limited": {Error: "rate_limited"},
		"500":              {Status: http.StatusInternalServerError, Error: "internal_error"},
		"500-posted":       {Status: http.StatusInternalServerError, Error: "internal_error", Posted: true},
		"503-html":         {Status: http.StatusServiceUnavailable, Body: page},
		"200-html":         {Body: page},
		"200-html-posted":  {Body: page, Posted: true},
		"eof":              {Cut: true},
		"eof-posted":       {Cut: true, Posted: true},
		"no-ts":            {NoTS: true},
		"no-ts-posted":     {NoTS: true, Posted: true},
		"truncated":        {Truncate: true},
		"truncated-posted": {Truncate: true, Posted: true},
		"slow":             {Delay: time.Second},
	}
}

// Fail has the next calls of a method meet faults, one each. The answers to a
// response_url and the uploads of files are methods too: "response_url" and
// "upload".
func (s *Server) Fail(method string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[method] = append(s.faults[method], faults...)
}

// Switch has every call of a method meet a fault until it is switched off by nil.
// The faults of Fail come first.
func (s *Server) Switch(method string, f *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.switched, method)
	if f != nil {
		s.switched[method] = *f
	}
}

// Decide asks a function at every call what it meets, if neither Fail nor Switch
// said so; n counts the calls of the method from 1. The function must not call the
// Server; nil asks none.
func (s *Server) Decide(f func(method string, n int) (Fault, bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decide = f
}

// nextFault is the fault that a call of a method meets.
func (s *Server) nextFault(method string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if faults := s.faults[method]; len(faults) > 0 {
		s.faults[method] = faults[1:]
		return faults[0], true
	}
	if f, ok := s.switched[method]; ok {
		return f, true
	}
	if s.decide != nil {
		return s.decide(method, s.calls[method])
	}
	return Fault{}, false
}

// meet answers a call with a fault; do executes it.
func (s *Server) meet(w http.ResponseWriter, r *http.Request, f Fault, do func() map[string]any) {
	only := f == Fault{Delay: f.Delay}
	body := map[string]any{"ok": true}
	if f.Posted || only {
		body = do()
	}
	if f.Delay > 0 {
		wait := time.NewTimer(f.Delay)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case only:
		answer(w, body)
	case f.NoTS:
		delete(body, "ts")
		delete(body, "message_ts")
		answer(w, body)
	case f.Truncate:
		truncated(w, body)
	case f.RetryDate:
		seconds, _ := strconv.Atoi(f.RetryAfter) // what is no number is now
		f.RetryAfter = s.opts.Now().Add(time.Duration(seconds) * time.Second).UTC().Format(http.TimeFormat)
		f.answer(w)
	default:
		f.answer(w)
	}
}

// truncated sends the first half of an answer.
func truncated(w http.ResponseWriter, body map[string]any) {
	raw, err := json.Marshal(body)
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	// A client that went away does not want the answer.
	_, _ = w.Write(raw[:len(raw)/2])
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

// Down has every connection refused, and ends those there are, until Up.
func (s *Server) Down() error {
	s.Drop()
	return s.stop()
}

// Up takes connections again, where it took them before.
func (s *Server) Up() error {
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return fmt.Errorf("cannot simulate Slack again: %w", err)
	}
	s.start(l)
	return nil
}
