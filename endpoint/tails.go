package endpoint

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"

	"provision-plugins/shared/model"
)

const (
	// maxTail bounds the log that is kept of one run.
	maxTail = 16 << 10
	// maxTies bounds the groups of lines that are kept with one run: a request to
	// a plugin is one.
	maxTies = 100
)

// tails are the logs of the runs that have not ended.
type tails struct {
	mu   sync.Mutex // guards open
	open map[string]*tail
}

// tail is the end of the log of one run, while it goes on.
type tail struct {
	plugin string // the one whose lines it takes

	mu      sync.Mutex // guards all below
	text    []byte
	from    int64         // how much was written before text
	changed chan struct{} // closed and replaced when there is more, or the end
	ended   bool
	untie   []func()
}

// newTails makes the book of the runs' logs.
func newTails() *tails { return &tails{open: map[string]*tail{}} }

// follow keeps the book by the runs' transitions: a run has a tail from its
// first record to its last.
func (t *tails) follow(old, run *model.Run) {
	switch {
	case old == nil && !run.State.Terminal():
		t.mu.Lock()
		t.open[run.ID] = &tail{plugin: run.Plugin, changed: make(chan struct{})}
		t.mu.Unlock()
	case run.State.Terminal():
		t.mu.Lock()
		l := t.open[run.ID]
		delete(t.open, run.ID)
		t.mu.Unlock()
		if l != nil {
			l.end()
		}
	}
}

// get returns the tail of a run that goes on, or nil.
func (t *tails) get(run string) *tail {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open[run]
}

// text returns the log of a run so far.
func (t *tails) text(run string) string {
	l := t.get(run)
	if l == nil {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// add appends a line, and forgets the oldest ones beyond the bound.
func (l *tail) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.text = append(l.text, line...)
	if over := len(l.text) - maxTail; over > 0 {
		if next := strings.IndexByte(string(l.text[over:]), '\n'); next >= 0 {
			over += next + 1 // whole lines
		}
		l.text = append(l.text[:0], l.text[over:]...)
		l.from += int64(over)
	}
	l.wake()
}

// tie has undo called at the run's end. It reports whether the run still goes on
// and has not been tied too often.
func (l *tail) tie(undo func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || len(l.untie) >= maxTies {
		return false
	}
	l.untie = append(l.untie, undo)
	return true
}

// end marks the end of the run.
func (l *tail) end() {
	l.mu.Lock()
	undo := l.untie
	l.ended = true
	l.wake()
	l.mu.Unlock()
	for _, fn := range undo {
		fn()
	}
}

// wake tells who waits; the caller holds the lock.
func (l *tail) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// read returns what was written from an offset on, the offset after it, and
// what tells of more; nil once there will be none.
func (l *tail) read(from int64) (text string, next int64, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next = l.from + int64(len(l.text))
	if from < l.from {
		text, from = "...\n", l.from
	}
	text += string(l.text[from-l.from:])
	if l.ended {
		return text, next, nil
	}
	return text, next, l.changed
}

// logLine renders a line of a run's log.
func logLine(line *model.Line, text string) string {
	at := line.Time
	if at.IsZero() {
		at = time.Now()
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return ' '
		}
		return r
	}, text)
	return at.UTC().Format("15:04:05.000") + " " + line.Level + " " + text + "\n"
}

// runLog answers the log of a run: what there is, and with ?follow what comes,
// until the run has ended.
func (a *api) runLog(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("key")
	l := a.actions.tails.get(id)
	if l == nil { // it has ended, or is none
		run, err := a.actions.runs.Get(r.Context(), id)
		if err != nil {
			a.write(w, r, failure(model.AsError(err).On("runs", id)))
			return
		}
		l = &tail{text: []byte(run.Log), ended: true}
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set(RunHeader, id)
	follow := r.URL.Query().Has("follow") && r.URL.Query().Get("follow") != "false"
	if follow {
		a.streams.Add(1)
		defer a.streams.Done()
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(a.ending, cancel)()
	a.copyLog(ctx, w, l, follow)
}

// copyLog writes a tail to a client, as it grows.
func (a *api) copyLog(ctx context.Context, w http.ResponseWriter, l *tail, follow bool) {
	control := http.NewResponseController(w)
	at := int64(0)
	for {
		text, next, more := l.read(at)
		at = next
		err := control.SetWriteDeadline(time.Now().Add(writeTimeout))
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err == nil {
			err = control.Flush()
		}
		if err != nil || more == nil || !follow {
			return
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}
