package slack

import (
	"net/http"
	"net/url"
	"time"
)

// window counts calls from a time on.
type window struct {
	began time.Time
	count int
}

// limit is how many calls there may be in a span of time.
type limit struct {
	most int
	span time.Duration
}

// limits are those that a call is counted against, by what is counted.
func (s *Server) limits(method string, form url.Values) map[string]limit {
	out := map[string]limit{}
	if n := s.opts.PerMinute[method]; n > 0 {
		out[method] = limit{n, time.Minute}
	}
	if method != "chat.postMessage" {
		return out
	}
	if n := s.opts.RateLimit; n > 0 {
		c, _ := s.channelNamed(form.Get("channel"))
		out["channel "+c.ID] = limit{n, time.Second}
	}
	if n := s.opts.PostsPerMinute; n > 0 {
		out["workspace"] = limit{n, time.Minute}
	}
	return out
}

// overRate counts a call, and tells how many seconds the app has to wait before it
// makes another, 0 if this one is taken.
func (s *Server) overRate(method string, form url.Values) (wait int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Now()
	for what, l := range s.limits(method, form) {
		w := s.windows[what]
		if now.Sub(w.began) >= l.span {
			w = window{began: now}
		}
		w.count++
		s.windows[what] = w
		if w.count > l.most {
			wait = max(wait, int((w.began.Add(l.span).Sub(now)+time.Second-1)/time.Second), 1)
		}
	}
	return wait
}

// tooMany is the answer to a call that came too early.
func tooMany(wait string) Fault {
	return Fault{Status: http.StatusTooManyRequests, Error: "ratelimited", RetryAfter: wait}
}
