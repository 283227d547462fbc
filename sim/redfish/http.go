package redfish

import (
	"bytes"
	"encoding/json"
	"hash/fnv"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// handle serves one request.
func (f *Fleet) handle(w http.ResponseWriter, r *http.Request) {
	b, _ := r.Context().Value(bmcKey{}).(*BMC)
	if b == nil || b.away() {
		hangUp(w)
		return
	}
	x := &exchange{b: b, r: r}
	x.readBody()
	a := x.answer()
	if x.fault.Close {
		f.pause(r, x.fault.Delay)
		hangUp(w)
		return
	}
	f.send(w, x, a)
}

// readBody reads what came with a request, within bounds.
func (x *exchange) readBody() {
	raw, err := io.ReadAll(io.LimitReader(x.r.Body, maxBody+1))
	switch {
	case len(raw) > maxBody:
		x.large = true
	case err != nil:
		x.broken = true
	case len(bytes.TrimSpace(raw)) == 0: // an action without parameters
		x.body = map[string]any{}
	case json.Unmarshal(raw, &x.body) != nil || x.body == nil:
		x.broken = true
	}
}

// answer finds the answer to a request, past the faults that concern what is done.
func (x *exchange) answer() answer {
	b := x.b
	b.mu.Lock()
	defer b.mu.Unlock()
	x.now = b.fleet.opts.Clock.Now()
	b.settle(x.now)
	x.locate()
	x.fault = b.faults.take(x.op, x.r.URL.Path)
	refused := x.fault.Status != 0 || x.fault.Close
	if refused && !x.fault.Acts {
		return x.refusal()
	}
	a := x.carry()
	if a.status < http.StatusBadRequest && x.reads() {
		b.did(x.op)
	}
	if a.tag {
		x.stamp(&a)
	}
	if refused {
		return x.refusal()
	}
	return a
}

// settle brings all up to the present.
func (b *BMC) settle(now time.Time) {
	for i := range b.machines {
		b.settleMachine(&b.machines[i])
	}
	b.expire(now)
	b.settleTasks(now)
}

// refusal is the answer of a fault.
func (x *exchange) refusal() answer {
	status := or(x.fault.Status, http.StatusInternalServerError)
	m, ok := refusals[status]
	if !ok {
		m = msgInternal
	}
	a := x.fail(status, m, x.r.URL.Path, x.r.Method)
	if x.fault.RetryAfter > 0 {
		a.header = map[string]string{"Retry-After": strconv.Itoa(int(x.fault.RetryAfter.Seconds()))}
	}
	if status < http.StatusBadRequest {
		a.body = nil
	}
	return a
}

// refusals is the message of a status that a fault answers.
var refusals = map[int]message{
	http.StatusUnauthorized:        msgNoSession,
	http.StatusForbidden:           msgForbidden,
	http.StatusNotFound:            msgNotFound,
	http.StatusMethodNotAllowed:    msgNotSupported,
	http.StatusConflict:            msgInUse,
	http.StatusPreconditionFailed:  msgPrecondition,
	http.StatusTooManyRequests:     msgBusy,
	http.StatusServiceUnavailable:  msgBusy,
	http.StatusInternalServerError: msgInternal,
}

// stamp gives the answer the entity tag of its resource, or makes it one that says
// that the client has that already (DSP0266 §6.5).
func (x *exchange) stamp(a *answer) {
	tag, ok := tagOf(a.body)
	if !ok || x.b.faults.NoETags {
		return
	}
	if a.header == nil {
		a.header = map[string]string{}
	}
	a.header["ETag"] = tag
	if body, isMap := a.body.(map[string]any); isMap {
		body["@odata.etag"] = tag
	}
	if x.r.Method == http.MethodGet && x.r.Header.Get("If-None-Match") == tag {
		*a = answer{status: http.StatusNotModified, header: a.header}
	}
}

// tagOf is the entity tag of a resource: a sum of what it says.
func tagOf(body any) (string, bool) {
	raw, err := json.Marshal(body)
	if err != nil {
		return "", false
	}
	h := fnv.New32a()
	_, _ = h.Write(raw) // cannot fail
	return `W/"` + strings.ToUpper(strconv.FormatUint(uint64(h.Sum32()), 16)) + `"`, true
}

// hangUp closes the connection of a request in place of answering it.
func hangUp(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if conn, _, err := h.Hijack(); err == nil {
			_ = conn.Close() // that is all it was wanted for
		}
	}
}

// pause waits until d has passed, the client has left or the fleet is closed.
func (f *Fleet) pause(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	case <-f.done:
	}
}

// send writes an answer, past the faults that concern it.
func (f *Fleet) send(w http.ResponseWriter, x *exchange, a answer) {
	h := w.Header()
	h.Set("OData-Version", "4.0")
	h.Set("Cache-Control", "no-cache")
	if s := f.dialect.header; s != "" {
		h.Set("Server", s)
	}
	for k, v := range a.header {
		h.Set(k, v)
	}
	var raw []byte
	if a.body != nil {
		raw, _ = json.Marshal(a.body) // made of maps, lists and words
		h.Set("Content-Type", "application/json; charset=utf-8")
	}
	if x.r.Method == http.MethodHead {
		h.Set("Content-Length", strconv.Itoa(len(raw)))
		raw = nil
	}
	if damage, ok := damages[x.fault.Body]; ok {
		damage(&writer{f: f, w: w, x: x, status: a.status}, raw)
		return
	}
	f.pause(x.r, x.fault.Delay)
	w.WriteHeader(a.status)
	_, _ = w.Write(raw) // the client may have left
}
