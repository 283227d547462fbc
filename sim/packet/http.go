package packet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds a request.
const maxBody = 1 << 20

// call is one request at work. Handlers run with the server's lock held.
type call struct {
	s     *Server
	r     *http.Request
	body  []byte
	now   time.Time
	op    string
	acc   *Account // nil if every key may do everything
	state *state
}

// reply is what is answered.
type reply struct {
	status int
	body   any    // encoded as JSON; nil is an empty body
	raw    []byte // in place of body
	kind   string // content type; JSON by default
	// device and op are what the ledger counts, if anything was executed.
	device, op string
}

// ok answers with a body.
func ok(body any) reply { return reply{status: http.StatusOK, body: body} }

// done counts an operation that was executed on a device.
func (r reply) done(device, op string) reply {
	r.device, r.op = device, op
	return r
}

// failure is an error of the service: one text, or several.
func failure(status int, texts ...string) reply {
	if len(texts) == 1 && status != http.StatusUnprocessableEntity && status != http.StatusNotFound && status != http.StatusForbidden {
		return reply{status: status, body: map[string]any{"error": texts[0]}}
	}
	return reply{status: status, body: map[string]any{"errors": texts}}
}

// The texts of the service.
const (
	textNotFound  = "Not found"
	textForbidden = "You are not authorized to view this device"
	textBadToken  = "Invalid authentication token"
	textOops      = "Oh snap, something went wrong! We've logged the error and will take a look - please reach out to us if you continue having trouble."
	textTooMany   = "Too many requests"
)

// notFound is the answer for what is not there.
func notFound() reply { return failure(http.StatusNotFound, textNotFound) }

// invalid is the answer to what cannot be done as it was asked, or now.
func invalid(texts ...string) reply { return failure(http.StatusUnprocessableEntity, texts...) }

// window is how many requests a key has made since a time.
type window struct {
	since time.Time
	used  int
}

// route is one path of the API.
type route struct {
	pattern string // of http.ServeMux, below the prefix
	op      string
	handle  func(*call) reply
}

// routes makes the router.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, group := range [][]route{catalogueRoutes, projectRoutes, keyRoutes, deviceRoutes} {
		for _, rt := range group {
			mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, rt) })
		}
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, r, route{op: "read", handle: func(*call) reply { return notFound() }})
	})
	return mux
}

// serve takes a request, with the prefix or without it.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, Prefix+"/") {
		http.StripPrefix(Prefix, s.mux).ServeHTTP(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// answer executes a request and answers it, with whatever goes wrong with it.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, rt route) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		s.write(w, r, failure(http.StatusRequestEntityTooLarge, "Request body is too large"), Fault{})
		return
	}
	if !s.wait(r.Context(), s.opts.Latency) {
		return
	}
	s.mu.Lock()
	c := &call{s: s, r: r, body: body, now: s.opts.Now(), op: rt.op, state: &s.state}
	rep, f := s.execute(w.Header(), c, rt)
	s.mu.Unlock()
	if f.Silent {
		s.wait(r.Context(), time.Hour)
		return
	}
	if s.wait(r.Context(), f.Slow) && s.hold(r.Context(), f.Hold) {
		s.write(w, r, rep, f)
	}
}

// hold waits for what a fault waits for, and reports whether there is still somebody
// to answer.
func (s *Server) hold(ctx context.Context, until <-chan struct{}) bool {
	if until == nil {
		return true
	}
	select {
	case <-until:
		return true
	case <-ctx.Done():
	case <-s.ending:
	}
	return false
}

// execute does what a request asks for, or what goes wrong in its place.
func (s *Server) execute(h http.Header, c *call, rt route) (reply, Fault) {
	s.settle()
	s.ledger.requests++
	if rt.op == "action" {
		c.op = actionOf(c.body)
	}
	f, hit := s.fault(c.op, c.r.PathValue("id"))
	if hit {
		s.ledger.hits++
	}
	if hit && f.Status != 0 && !f.Executed {
		return f.reply(), f
	}
	if hit && (f.LoseRequest || f.Silent && !f.Executed) {
		return reply{}, f
	}
	if rep, refused := s.login(c); refused {
		return rep, f
	}
	if rep, over := s.limit(h, c); over {
		return rep, f
	}
	rep := rt.handle(c)
	if rep.op != "" {
		s.ledger.count(rep.device, rep.op)
	}
	s.settle()
	if !isRead(c.op) && rep.status < http.StatusBadRequest {
		s.saved = s.save()
	}
	if hit && f.Status != 0 {
		rep = f.reply()
	}
	return rep, f
}

// reply is what a fault answers in place of the service.
func (f Fault) reply() reply {
	switch {
	case f.Body != "":
		return reply{status: f.Status, raw: []byte(f.Body), kind: f.Type}
	case f.Status == http.StatusTooManyRequests:
		return failure(f.Status, textTooMany)
	case f.Status == http.StatusNotFound:
		return notFound()
	case f.Status == http.StatusForbidden:
		return failure(f.Status, textForbidden)
	}
	return failure(f.Status, textOops)
}

// login checks the key.
func (s *Server) login(c *call) (reply, bool) {
	key := c.r.Header.Get("X-Auth-Token")
	for i := range s.opts.Accounts {
		if s.opts.Accounts[i].Key == key {
			c.acc = &s.opts.Accounts[i]
			return reply{}, false
		}
	}
	if key != "" && len(s.opts.Accounts) == 0 {
		return reply{}, false
	}
	s.ledger.refused++
	return failure(http.StatusUnauthorized, textBadToken), true
}

// limit counts a request of a key, and refuses one too many.
func (s *Server) limit(h http.Header, c *call) (reply, bool) {
	if s.opts.RateLimit == 0 {
		return reply{}, false
	}
	key := c.r.Header.Get("X-Auth-Token")
	w := s.rates[key]
	if w == nil || !c.now.Before(w.since.Add(s.opts.RateWindow)) {
		w = &window{since: c.now}
		s.rates[key] = w
	}
	w.used++
	reset := w.since.Add(s.opts.RateWindow)
	h.Set("X-RateLimit-Limit", strconv.Itoa(s.opts.RateLimit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(s.opts.RateLimit-w.used, 0)))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
	if w.used <= s.opts.RateLimit {
		return reply{}, false
	}
	h.Set("Retry-After", strconv.Itoa(int(reset.Sub(c.now).Seconds())+1))
	return failure(http.StatusTooManyRequests, textTooMany), true
}

// wait waits for d and reports whether there is still somebody to answer.
func (s *Server) wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.ending:
	}
	return false
}

// write writes an answer, or closes the connection in place of it.
func (s *Server) write(w http.ResponseWriter, r *http.Request, rep reply, f Fault) {
	if f.LoseReply || f.LoseRequest {
		hangUp(w)
		return
	}
	raw := rep.raw
	if rep.body != nil {
		var err error
		if raw, err = json.Marshal(rep.body); err != nil {
			rep.status, raw = http.StatusInternalServerError, []byte(`{"error":"cannot encode"}`)
		}
	}
	for name, value := range f.Headers {
		w.Header().Set(name, value)
	}
	if len(raw) > 0 {
		w.Header().Set("Content-Type", cmp.Or(rep.kind, "application/json; charset=utf-8"))
	}
	w.Header().Set("X-Request-Id", r.Header.Get("X-Request-Id"))
	if f.Truncate {
		w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
		raw = raw[:len(raw)/2]
	}
	w.WriteHeader(rep.status)
	_, _ = w.Write(raw) // who left gets no answer
	if f.Truncate {
		_ = http.NewResponseController(w).Flush() // as above
		hangUp(w)
	}
}

// hangUp closes the connection of a request.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

// errNoObject is why a body is refused.
var errNoObject = errors.New("the body is not a JSON object")

// decode reads the body of a request. An empty one is an empty object.
func (c *call) decode(into any) error {
	if len(strings.TrimSpace(string(c.body))) == 0 {
		return nil
	}
	if err := json.Unmarshal(c.body, into); err != nil {
		return errNoObject
	}
	return nil
}

// badBody is the answer to a body that cannot be read.
func badBody() reply { return failure(http.StatusBadRequest, "Invalid JSON in the request body") }

// sees reports whether the caller may see a project.
func (c *call) sees(projectID string) bool {
	if c.acc == nil || len(c.acc.Projects) == 0 {
		return true
	}
	p := c.s.project(projectID)
	for _, name := range c.acc.Projects {
		if p != nil && p.Name == name {
			return true
		}
	}
	return false
}
