package outbox

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// noted is an update of an incident that is remembered by a text.
func noted(incident, text string) Entry {
	return Entry{Channel: "A", Kind: Update, Incident: incident, Message: quoted(text), Note: quoted("note of " + text)}
}

// wantNote compares what an incident is remembered by; an empty text is nothing.
func (l *lab) wantNote(incident, want string) {
	l.t.Helper()
	if want != "" {
		want = strconv.Quote("note of " + want)
	}
	if got := string(l.Note("A", incident)); got != want {
		l.t.Errorf("incident %s is remembered by %s, want %s", incident, got, want)
	}
}

// An incident is remembered from the moment of its put, over crashes and
// rewrites, until its last message is put.
func TestNotes(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		l.entry(noted("m1", "1"))
		l.wantNote("m1", "1")
		l.kill()
		l.open()
		l.wantNote("m1", "1")
		l.entry(noted("m1", "2"))
		l.entry(Entry{Channel: "A", Kind: Reply, Incident: "m1", Message: quoted("a reply leaves it")})
		l.entry(noted("m2", "3"))
		l.tidy()
		l.wantNote("m1", "2")
		l.kill()
		l.open()
		pass(10 * time.Second)
		list := l.Notes()
		if len(list) != 2 || list[0].Incident != "m2" && list[0].Incident != "m1" || list[0].Root == "" {
			t.Errorf("remembered: %+v", list)
		}
		l.entry(Entry{Channel: "A", Kind: Reply, Incident: "m1", Message: quoted("over"), Last: true})
		l.wantNote("m1", "")
		l.entry(noted("m1", "anew"))
		l.tidy()
		l.kill()
		l.open()
		l.wantNote("m1", "anew")
		l.close()
		l.wantTexts("A", `"2"`, `1>"a reply leaves it"`, `"3"`, `1>"over"`, `"anew"`)
	})
}

// What was given up tells nothing of its incident after a rewrite.
func TestDeadLeaveNotesAlone(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		l.room.script = []fault{{err: &Failure{Verdict: Never, Err: errors.New("no")}}}
		l.entry(noted("m1", "dead"))
		pass(time.Second)
		l.entry(noted("m1", "newer"))
		pass(time.Second)
		l.entry(Entry{Channel: "A", Kind: Reply, Incident: "m1", Message: quoted("over"), Last: true})
		l.tidy()
		l.kill()
		l.open()
		l.wantNote("m1", "")
		l.close()
	})
}

func TestOldNotesAreForgotten(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		l.entry(noted("m1", "1"))
		pass(rootLife + time.Hour)
		l.tidy()
		l.wantNote("m1", "")
		l.close()
	})
	known := map[incidentKey]note{}
	for i := range 10 {
		known[incidentKey{"A", strconv.Itoa(i)}] = note{used: time.Unix(int64(i), 0)}
	}
	forgetOldest(known, 3, func(n note) time.Time { return n.used })
	if _, ok := known[incidentKey{"A", "7"}]; len(known) != 3 || !ok {
		t.Errorf("left: %v", known)
	}
}

func TestRefusedNotes(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		for _, e := range []Entry{
			{Channel: "A", Note: quoted("of nothing")},
			{Channel: "A", Kind: Update, Incident: "m1", Note: make([]byte, maxNote+1)},
		} {
			if err := l.Put(e); err == nil || !strings.Contains(err.Error(), "cannot keep a note of") {
				t.Errorf("%.40v: %v", e, err)
			}
		}
		l.close()
	})
}

// All that is told of an event is kept, or nothing; and once.
func TestPutAll(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		both := func(n int) []Entry {
			return []Entry{noted("m1", fmt.Sprint("root ", n)), {Channel: "A", Kind: Reply, Incident: "m1", Message: quoted(fmt.Sprint("reply ", n))}}
		}
		put := func(event string, entries ...Entry) {
			if err := l.PutAll(event, entries...); err != nil {
				t.Error(err)
			}
		}
		put("e1", both(1)...)
		put("e1", both(2)...)
		l.kill()
		l.open()
		put("e1", both(3)...)
		l.tidy()
		put("e1", both(4)...)
		put("e2", both(5)...)
		put("e3")
		if !l.Seen("e2") || l.Seen("e3") || l.Seen("") {
			t.Error("what was put is seen, what was not is not")
		}
		if err := l.PutAll("e4", Entry{Channel: "A", Message: quoted("good")}, Entry{Message: quoted("no channel")}); err == nil || l.Seen("e4") {
			t.Errorf("half an event was taken: %v", err)
		}
		l.close()
		l.wantTexts("A", `"root 5"`, `1>"reply 1"`, `1>"reply 5"`)
	})
}

// What does not fit into one line is kept in several.
func TestPutMuch(t *testing.T) {
	bubble(t, func(o *Options) { o.PerChannel = time.Millisecond }, func(l *lab) {
		var entries []Entry
		for i := range 12 {
			entries = append(entries, Entry{Channel: "A", Message: quoted(strconv.Itoa(i) + strings.Repeat("x", 100<<10))})
		}
		if err := l.PutAll("e1", entries...); err != nil {
			t.Fatal(err)
		}
		l.kill()
		l.open()
		if !l.Seen("e1") {
			t.Error("it is not seen")
		}
		l.close()
		if got := l.room.texts("A"); len(got) != 12 {
			t.Errorf("%d messages", len(got))
		}
	})
}

// The entries of one line are counted once together.
func TestSharedLines(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		later := fault{err: &Failure{Verdict: Later, All: true, Pause: time.Hour, Err: errors.New("429")}}
		l.room.script = []fault{later, later, later}
		if err := l.PutAll("e", Entry{Channel: "A", Message: quoted("1")}, Entry{Channel: "B", Message: quoted("2")}, Entry{Channel: "C", Message: quoted("3")}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := l.state.bytes; n > 800 || n < 300 {
			t.Errorf("three short entries are counted as %d bytes", n)
		}
		l.tidy()
		l.Resume()
		l.close()
		if n := l.state.bytes; n != 0 {
			t.Errorf("nothing waits, in %d bytes", n)
		}
	})
}

// The events that are remembered are bounded.
func TestSeenIsBounded(t *testing.T) {
	s := newState()
	for i := range 5 * maxSeen {
		s.see(strconv.Itoa(i), "")
	}
	if n := len(s.seen); n > 2*maxSeen || s.seen[n-1] != strconv.Itoa(5*maxSeen-1) {
		t.Errorf("%d events are remembered, the last is %s", n, s.seen[len(s.seen)-1])
	}
}
