package redfish

import (
	"path"
	"slices"
	"strconv"
	"time"
)

// entry is a record of a log (LogEntry).
type entry struct {
	id       int
	at       time.Time
	severity string
	text     string
}

// eventLog is a log of a BMC.
type eventLog struct {
	last    int // Id of the last entry
	entries []entry
}

// log writes into the log of a kind: "sel" or "manager". The oldest entries go when
// it is full.
func (b *BMC) log(kind, severity, text string) {
	if b.logs == nil {
		b.logs = map[string]*eventLog{}
	}
	l := b.logs[kind]
	if l == nil {
		l = &eventLog{}
		b.logs[kind] = l
	}
	l.last++
	if len(l.entries) >= maxEntries {
		l.entries = slices.Delete(l.entries, 0, 1)
	}
	l.entries = append(l.entries, entry{l.last, b.fleet.opts.Clock.Now(), severity, text})
}

// AddEntry writes into the log of events, or into that of the manager. Severity is
// OK, Warning or Critical.
func (b *BMC) AddEntry(manager bool, severity, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log(logKind(manager), severity, text)
}

// logKind is the kind of a log.
func logKind(manager bool) string {
	if manager {
		return "manager"
	}
	return "sel"
}

// logOf is the log that a resource belongs to: its own, or that of the log service
// above it.
func (b *BMC) logOf(r *resource) *eventLog {
	for p := r.path; len(p) > len(root); p = path.Dir(p) {
		if at := b.fleet.store.resources[p]; at != nil && at.log != "" {
			if l := b.logs[at.log]; l != nil {
				return l
			}
			break
		}
	}
	return &eventLog{}
}

// clearLog is the action LogService.ClearLog.
func (x *exchange) clearLog() answer {
	return x.run("clear log", x.b.fleet.dialect.action, func() {
		x.b.logOf(x.on).entries = nil
	})
}

// entryIDs lists the entries of the log a view is at.
func entryIDs(v *view) []string {
	l := v.b.logOf(v.at)
	ids := make([]string, len(l.entries))
	for i, e := range l.entries {
		ids[i] = strconv.Itoa(e.id)
	}
	return ids
}

// findEntry finds an entry of the log a view is at.
func findEntry(v *view, id string) (any, bool) {
	for _, e := range v.b.logOf(v.at).entries {
		if strconv.Itoa(e.id) == id {
			return e, true
		}
	}
	return nil, false
}
