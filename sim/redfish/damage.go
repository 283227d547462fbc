package redfish

import (
	"net/http"
	"strconv"
)

// writer is where an answer with a damaged body goes.
type writer struct {
	f      *Fleet
	w      http.ResponseWriter
	x      *exchange
	status int
}

// damages is how each kind of damage is written.
var damages = map[string]func(w *writer, body []byte){
	HTML: func(w *writer, _ []byte) {
		w.w.Header().Set("Content-Type", "text/html")
		w.whole([]byte("<!DOCTYPE html>\n<html><head><title>Login</title></head><body>Please log in.</body></html>\n"))
	},
	Garbage: func(w *writer, _ []byte) { w.whole([]byte(`[{"Members":"none"},7,null]`)) },
	Empty:   func(w *writer, _ []byte) { w.whole(nil) },
	CutJSON: func(w *writer, body []byte) { w.whole(body[:len(body)/2]) },
	Truncated: func(w *writer, body []byte) {
		w.w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
		w.whole(body[:len(body)/2])
		w.flush()
		hangUp(w.w)
	},
	Endless: (*writer).endless,
	Drip:    (*writer).drip,
}

// whole writes status and body after the delay.
func (w *writer) whole(body []byte) {
	w.f.pause(w.x.r, w.x.fault.Delay)
	w.w.WriteHeader(w.status)
	_, _ = w.w.Write(body) // the client may have left
}

// flush sends what was written.
func (w *writer) flush() {
	if fl, ok := w.w.(http.Flusher); ok {
		fl.Flush()
	}
}

// ended reports whether nobody waits for more.
func (w *writer) ended() bool {
	select {
	case <-w.f.done:
		return true
	case <-w.x.r.Context().Done():
		return true
	default:
		return false
	}
}

// endless writes members of a list until nobody wants more.
func (w *writer) endless([]byte) {
	w.whole([]byte(`{"Members":[`))
	const member = `{"@odata.id":"/redfish/v1/Systems/again"},`
	chunk := make([]byte, 0, 100*len(member))
	for range 100 {
		chunk = append(chunk, member...)
	}
	for !w.ended() {
		if _, err := w.w.Write(chunk); err != nil {
			return
		}
		w.flush()
	}
	hangUp(w.w) // in place of an end
}

// drip writes the body byte by byte.
func (w *writer) drip(body []byte) {
	delay := w.x.fault.Delay
	w.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.w.WriteHeader(w.status)
	for i := range body {
		w.f.pause(w.x.r, delay)
		if w.ended() {
			hangUp(w.w)
			return
		}
		if _, err := w.w.Write(body[i : i+1]); err != nil {
			return
		}
		w.flush()
	}
}
