package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"provision-plugins/shared/model"
)

func TestPostsInOrder(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		began := time.Now()
		l.put("A", "1", "2", "3", "4", "5")
		l.put("B", "6")
		l.close()
		l.wantTexts("A", `"1"`, `"2"`, `"3"`, `"4"`, `"5"`)
		l.wantTexts("B", `"6"`)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("five messages of a channel took %v; three go at once, then one a second", took)
		}
		if err := l.Put(Entry{Channel: "A", Message: quoted("7")}); model.KindOf(err) != model.Busy {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestRefusedEntries(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		for want, e := range map[string]Entry{
			"without a channel":  {},
			`of kind "shout"`:    {Channel: "A", Kind: "shout"},
			"last message of no": {Channel: "A", Last: true},
			"to be merged":       {Channel: "A", Incident: "m1", Merge: "x"},
			"update of incident": {Channel: "A", Kind: Update, Incident: "m1", Merge: "x"},
			"reply of no":        {Channel: "A", Kind: Reply},
			"update of no":       {Channel: "A", Kind: Update},
			"of severity -1":     {Channel: "A", Severity: -1},
			"of severity 4":      {Channel: "A", Severity: 4},
			"262144 are the mos": {Channel: "A", Message: make([]byte, maxMessage+1)},
			"cannot keep the me": {Channel: "A", Message: []byte("{")},
		} {
			if err := l.Put(e); err == nil || !strings.Contains(err.Error(), want) || model.KindOf(err) != model.Invalid {
				t.Errorf("%+.60v: %v, want %q", e, err, want)
			}
		}
		l.close()
	})
}

// What an attempt can come to, and what is posted then, once.
func TestOutcomes(t *testing.T) {
	boom := errors.New("boom")
	failure := func(v Verdict) error { return &Failure{Verdict: v, Pause: time.Minute, Err: boom} }
	for name, c := range map[string]struct {
		script       []fault
		blind        bool
		policy       Policy
		want         string
		dead         int
		sends, finds int
		took         time.Duration
	}{
		"posted":                     {want: `["1" "2"]`, sends: 2},
		"later":                      {script: []fault{{err: failure(Later)}}, want: `["1" "2"]`, sends: 3, took: time.Minute},
		"later, again":               {script: []fault{{err: failure(Later)}, {err: &Failure{Verdict: Later, All: true, Pause: time.Minute, Err: boom}}}, want: `["1" "2"]`, sends: 4, took: 2 * time.Minute},
		"in doubt, not posted":       {script: []fault{{err: boom}}, want: `["1" "2"]`, sends: 3, finds: 1},
		"in doubt, posted":           {script: []fault{{err: boom, posted: true}}, want: `["1" "2"]`, sends: 2, finds: 1},
		"in doubt, with a pause":     {script: []fault{{err: failure(Doubt), posted: true}}, want: `["1" "2"]`, sends: 2, finds: 1, took: time.Minute},
		"no name, posted":            {script: []fault{{empty: true, posted: true}}, want: `["1" "2"]`, sends: 2, finds: 1},
		"no name, not posted":        {script: []fault{{empty: true}}, want: `["1" "2"]`, sends: 3, finds: 1},
		"doubt, later, posted":       {script: []fault{{err: boom}, {err: failure(Later)}}, want: `["1" "2"]`, sends: 4, finds: 1, took: time.Minute},
		"doubt twice, posted second": {script: []fault{{err: boom}, {err: boom, posted: true}}, want: `["1" "2"]`, sends: 3, finds: 2},
		"blind, posted":              {script: []fault{{err: boom, posted: true}}, blind: true, want: `["1" "1" "2"]`, sends: 3, finds: 1},
		"blind, at most once":        {script: []fault{{err: boom, posted: true}}, blind: true, policy: AtMostOnce, want: `["1" "2"]`, dead: 1, sends: 2, finds: 1},
		"unlikely, posted":           {script: []fault{{err: &Failure{Unlikely: true, Err: boom}, posted: true}}, want: `["1" "2"]`, sends: 2, finds: 1},
		"unlikely, blind":            {script: []fault{{err: &Failure{Unlikely: true, Err: boom}}}, blind: true, policy: AtMostOnce, want: `["1" "2"]`, sends: 3, finds: 1},
		"unlikely, then in doubt":    {script: []fault{{err: &Failure{Unlikely: true, Err: boom}}, {err: boom}}, blind: true, policy: AtMostOnce, want: `["2"]`, dead: 1, sends: 3, finds: 2},
		"never":                      {script: []fault{{err: failure(Never)}}, want: `["2"]`, dead: 1, sends: 2},
		"no layout":                  {script: []fault{{err: failure(NoLayout)}}, want: `["1"(plain) "2"]`, sends: 3},
		"no layout, nor plain":       {script: []fault{{err: failure(NoLayout)}, {err: failure(NoLayout)}}, want: `["2"]`, dead: 1, sends: 3},
		"no channel":                 {script: []fault{{err: failure(NoChannel)}}, want: `["2"]`, sends: 3},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(o *Options) { o.Policy, o.Fallback = c.policy, "F" }, func(l *lab) {
				l.room.script, l.room.blind = c.script, c.blind
				began := time.Now()
				l.put("A", "1", "2")
				l.close()
				if got := fmt.Sprint(l.room.texts("A")); got != c.want {
					t.Errorf("posted %s, want %s\n%s", got, c.want, l.log)
				}
				if name == "no channel" {
					l.wantTexts("F", `"1"`)
				}
				if len(l.state.dead) != c.dead || l.room.sends != c.sends || l.room.finds != c.finds {
					t.Errorf("%d dead, %d sends, %d finds", len(l.state.dead), l.room.sends, l.room.finds)
				}
				if took := time.Since(began); took < c.took || took > c.took+10*time.Second {
					t.Errorf("took %v, want about %v", took, c.took)
				}
			})
		})
	}
}

// The first message of an incident, in doubt, is looked up as any other: it is no
// edit, though it is put as one. An edit in doubt is made again.
func TestRootInDoubt(t *testing.T) {
	for _, posted := range []bool{true, false} {
		bubble(t, nil, func(l *lab) {
			l.room.script = []fault{{err: errors.New("EOF"), posted: posted}}
			l.entry(Entry{Channel: "A", Kind: Update, Incident: "m1", Message: quoted("down")})
			pass(time.Minute)
			l.wantTexts("A", `"down"`)
			finds := l.room.finds
			l.room.script = []fault{{err: errors.New("EOF"), posted: posted}}
			l.entry(Entry{Channel: "A", Kind: Update, Incident: "m1", Message: quoted("up")})
			l.close()
			l.wantTexts("A", `"up"`)
			if finds != 1 || l.room.finds != 1 {
				t.Errorf("posted %v: %d lookups of the root, %d in all", posted, finds, l.room.finds)
			}
		})
	}
}

// All channels rest when Slack asks for it; else the others go on.
func TestWhoRests(t *testing.T) {
	for _, all := range []bool{false, true} {
		bubble(t, nil, func(l *lab) {
			l.room.script = []fault{{err: &Failure{Verdict: Later, All: all, Pause: time.Minute, Err: errors.New("429")}}}
			l.put("A", "1")
			synctest.Wait()
			l.put("B", "2")
			pass(30 * time.Second)
			if got := len(l.room.texts("B")) == 1; got == all {
				t.Errorf("all rest: %v; the other channel went on: %v", all, got)
			}
			s := l.Status()
			slices.SortFunc(s.Channels, func(x, y ChannelStatus) int { return strings.Compare(x.Channel, y.Channel) })
			if len(s.Channels) == 0 || s.Channels[0].Error != "429" || s.Channels[0].Resting.IsZero() || s.Oldest.IsZero() {
				t.Errorf("status %+v", s)
			}
			l.close()
			l.wantTexts("A", `"1"`)
		})
	}
}

// Rests end when somebody says so.
func TestResume(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		l.room.script = []fault{{err: &Failure{Verdict: Later, All: true, Pause: 5 * time.Minute, Err: errors.New("token_revoked")}}}
		l.put("A", "1")
		synctest.Wait()
		l.put("B", "2")
		synctest.Wait()
		l.Resume()
		pass(time.Second)
		l.wantTexts("A", `"1"`)
		l.wantTexts("B", `"2"`)
		l.close()
	})
}

func TestThreads(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		about := func(kind Kind, text string) Entry {
			return Entry{Channel: "A", Kind: kind, Incident: "m1", Message: quoted(text)}
		}
		l.entry(about(Update, "down"))
		l.entry(about(Reply, "why"))
		synctest.Wait()
		l.entry(about(Update, "up"))
		l.entry(about(Reply, "because"))
		synctest.Wait()
		pass(time.Minute)
		l.kill()
		l.open()
		l.entry(about(Reply, "after a restart"))
		pass(time.Minute)
		l.wantTexts("A", `"up"`, `1>"why"`, `1>"because"`, `1>"after a restart"`)
		if got := l.Root("A", "m1"); got != "1" {
			t.Errorf("the root is %q", got)
		}
		l.room.script = []fault{{err: &Failure{Verdict: NoRoot, Err: errors.New("message_not_found")}}}
		l.entry(about(Update, "new"))
		l.entry(about(Reply, "below the new"))
		l.close()
		l.wantTexts("A", `"up"`, `1>"why"`, `1>"because"`, `1>"after a restart"`, `"new"`, `5>"below the new"`)
	})
}

// What is held lets others pass, but not what follows of its own incident; an
// incident that ended begins anew.
func TestHeldAndEnded(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		about := func(kind Kind, text string, held time.Duration, last bool) Entry {
			e := Entry{Channel: "A", Kind: kind, Incident: "m1", Message: quoted(text), Last: last}
			if held > 0 {
				e.NotBefore = time.Now().Add(held)
			}
			return e
		}
		l.put("A", "first")
		l.entry(about(Update, "held", time.Hour, false))
		l.entry(about(Reply, "behind it", 0, false))
		l.put("A", "passes")
		if !l.Open("A", "m1") || l.Open("B", "m1") || l.Open("A", "m2") {
			t.Error("what is open is not told")
		}
		pass(time.Minute)
		l.wantTexts("A", `"first"`, `"passes"`)
		l.entry(Entry{Channel: "A", Message: quoted("held less"), NotBefore: time.Now().Add(time.Minute)})
		pass(2 * time.Minute)
		l.wantTexts("A", `"first"`, `"passes"`, `"held less"`)
		pass(time.Hour)
		l.wantTexts("A", `"first"`, `"passes"`, `"held less"`, `"held"`, `4>"behind it"`)
		l.entry(about(Update, "over", 0, false))
		l.entry(about(Reply, "resolved", 0, true))
		if l.Open("A", "m1") {
			t.Error("it is over")
		}
		pass(time.Minute)
		l.entry(about(Update, "again", 0, false))
		pass(time.Minute)
		l.entry(about(Update, "tomorrow", 24*time.Hour, false))
		pass(time.Minute)
		l.entry(about(Reply, "still held", 0, false))
		over, cancel := context.WithTimeout(l.t.Context(), time.Minute)
		defer cancel()
		if left, err := l.Close(over); left != 2 || err != nil || over.Err() != nil {
			t.Errorf("%d left, %v, %v", left, err, over.Err())
		}
		l.wantTexts("A", `"first"`, `"passes"`, `"held less"`, `"over"`, `4>"behind it"`, `4>"resolved"`, `"again"`)
		l.open()
		pass(25 * time.Hour)
		l.close()
		l.wantTexts("A", `"first"`, `"passes"`, `"held less"`, `"over"`, `4>"behind it"`, `4>"resolved"`, `"tomorrow"`, `7>"still held"`)
	})
}

// An update that nobody saw yet gives way to a newer one, in its place.
func TestUpdatesGiveWay(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		l.room.script = []fault{{err: &Failure{Verdict: Later, Pause: time.Minute, Err: errors.New("429")}}}
		l.put("A", "first")
		synctest.Wait()
		for i := range 10 {
			l.entry(Entry{Channel: "A", Kind: Update, Incident: "m1", Message: quoted(strconv.Itoa(i))})
			l.entry(Entry{Channel: "A", Kind: Update, Incident: "m2", Message: quoted("other " + strconv.Itoa(i))})
		}
		l.put("A", "last")
		l.close()
		l.wantTexts("A", `"first"`, `"9"`, `"other 9"`, `"last"`)
	})
}

// What is told of an incident that begins anew is not told in the one before,
// though that was not posted yet.
func TestNextIncidentIsAnother(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		about := func(kind Kind, text string, last bool) Entry {
			return Entry{Channel: "A", Kind: kind, Incident: "m1", Message: quoted(text), Last: last}
		}
		l.room.script = []fault{{err: &Failure{Verdict: Later, Pause: time.Minute, Err: errors.New("429")}}}
		l.put("A", "first")
		synctest.Wait()
		l.entry(about(Update, "down", false))
		l.entry(about(Update, "up", false))
		l.entry(about(Reply, "over", true))
		l.entry(about(Update, "down again", false))
		l.close()
		l.wantTexts("A", `"first"`, `"up"`, `2>"over"`, `"down again"`)
	})
}

// An update that comes after a newer one says nothing, be that one waiting, on
// its way or posted.
func TestStaleUpdates(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		version := func(v int64) Entry {
			return Entry{Channel: "A", Kind: Update, Incident: "d", Version: v, Message: quoted(strconv.FormatInt(v, 10))}
		}
		l.room.script = []fault{{err: &Failure{Verdict: Later, Pause: time.Minute, Err: errors.New("429")}}}
		l.put("A", "first")
		synctest.Wait()
		for _, v := range []int64{2, 1, 4, 3} {
			l.entry(version(v))
		}
		pass(2 * time.Minute)
		l.wantTexts("A", `"first"`, `"4"`)
		l.entry(version(3))
		l.room.script = []fault{{err: &Failure{Verdict: Later, Pause: time.Minute, Err: errors.New("429")}}}
		l.entry(version(6))
		synctest.Wait()
		l.entry(version(5))
		pass(2 * time.Minute)
		l.kill()
		l.open()
		l.entry(version(5))
		l.close()
		l.wantTexts("A", `"first"`, `"6"`)
		if l.room.sends != 5 {
			t.Errorf("%d sends", l.room.sends)
		}
	})
}

// What is being sent does not give way.
func TestWhatIsTriedStays(t *testing.T) {
	s := newState()
	for i, text := range []string{
		`{"op":"put","entry":{"id":"a","channel":"C","kind":"update","incident":"m1"}}`,
		`{"op":"try","id":"a","at":"2026-11-20T00:00:00Z"}`,
		`{"op":"put","entry":{"id":"b","channel":"C","kind":"update","incident":"m1"}}`,
		`{"op":"put","entry":{"id":"b","channel":"C","kind":"post"}}`,
		`{"op":"put","entry":{"id":"c","channel":"C","severity":9}}`,
		`{"op":"put"}`, `{"op":"done","id":"none","ts":"1"}`, `{`,
	} {
		s.apply([]byte(text), int64(i))
	}
	if queue := s.queues["C"]; len(queue) != 2 || queue[0].id != "a" || queue[1].id != "b" || queue[1].kind != Update {
		t.Errorf("waiting: %+v", queue)
	}
}

// joined is a Join that takes three at most.
func joined(messages []json.RawMessage) (json.RawMessage, int) {
	n := min(len(messages), 3)
	var words []string
	for _, m := range messages[:n] {
		words = append(words, strings.Trim(string(m), `"`))
	}
	return quoted(strings.Join(words, "+")), n
}

// Entries that wait one after the other go out as one message, and stay together
// whatever becomes of it.
func TestMerged(t *testing.T) {
	for name, c := range map[string]struct {
		script []fault
		want   string
	}{
		"posted":               {want: `["first" "1+2+3" "other" "4"]`},
		"in doubt, posted":     {script: []fault{{}, {empty: true, posted: true}}, want: `["first" "1+2+3" "other" "4"]`},
		"in doubt, not posted": {script: []fault{{}, {empty: true}}, want: `["first" "1+2+3" "other" "4"]`},
		"killed":               {script: []fault{{}, {posted: true, hangs: true}}, want: `["first" "1+2+3" "other" "4"]`},
		"killed before":        {script: []fault{{}, {hangs: true}}, want: `["first" "1+2+3" "other" "4"]`},
		"no layout":            {script: []fault{{}, {err: &Failure{Verdict: NoLayout, Err: errors.New("x")}}}, want: `["first" "1+2+3"(plain) "other" "4"]`},
		"given up":             {script: []fault{{}, {err: &Failure{Verdict: Never, Err: errors.New("x")}}}, want: `["first" "other" "4"]`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(o *Options) { o.Join = joined }, func(l *lab) {
				if len(c.script) > 0 {
					c.script[0] = fault{err: &Failure{Verdict: Later, Pause: time.Minute, Err: errors.New("429")}}
					l.room.script = slices.Insert(c.script, 1, fault{posted: true})
				} else {
					l.room.script = []fault{{err: &Failure{Verdict: Later, Pause: time.Minute, Err: errors.New("429")}}}
				}
				l.put("A", "first")
				synctest.Wait()
				for _, text := range []string{"1", "2", "3"} {
					l.entry(Entry{Channel: "A", Merge: "x", Message: quoted(text)})
				}
				l.entry(Entry{Channel: "A", Merge: "y", Message: quoted("other")})
				l.entry(Entry{Channel: "A", Merge: "x", Message: quoted("4")})
				pass(3 * time.Minute)
				if strings.HasPrefix(name, "killed") {
					l.kill()
					l.open()
				}
				if name == "given up" {
					if s := l.Status(); len(s.Dead) != 3 {
						t.Errorf("dead: %+v", s.Dead)
					}
				}
				l.close()
				if got := fmt.Sprint(l.room.texts("A")); got != c.want {
					t.Errorf("posted %s, want %s\n%s", got, c.want, l.log)
				}
			})
		})
	}
}

// A full box drops the oldest of what matters least, and says so.
func TestFull(t *testing.T) {
	bubble(t, func(o *Options) {
		o.MaxEntries = 10
		o.Dropped = func(n int) json.RawMessage { return quoted(fmt.Sprintf("%d dropped", n)) }
	}, func(l *lab) {
		l.room.script = []fault{{err: &Failure{Verdict: Later, All: true, Pause: time.Minute, Err: errors.New("429")}}}
		l.put("A", "tried")
		synctest.Wait()
		for i := range 20 {
			l.entry(Entry{Channel: "A", Severity: i % 2, Message: quoted(strconv.Itoa(i))})
		}
		if s := l.Status(); s.Waiting != 10 || s.Dropped["A"] != 11 {
			t.Errorf("status %+v", s)
		}
		l.kill()
		l.open()
		l.close()
		l.wantTexts("A", `"tried"`, `"3"`, `"5"`, `"7"`, `"9"`, `"11"`, `"13"`, `"15"`, `"17"`, `"19"`, `"11 dropped"`)
	})
}

// What was given up is kept, told and taken up again when somebody asks.
func TestDead(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		l.room.script = []fault{{err: &Failure{Verdict: NoChannel, Err: errors.New("is_archived")}}}
		l.put("A", "1", "2")
		pass(time.Minute)
		l.kill()
		l.open()
		s := l.Status()
		if len(s.Dead) != 1 || s.Dead[0].Channel != "A" || s.Dead[0].Why != "is_archived" || s.Waiting != 0 {
			t.Errorf("status %+v", s)
		}
		if n, err := l.RetryDead(); n != 1 || err != nil {
			t.Errorf("taken up %d, %v", n, err)
		}
		l.close()
		l.wantTexts("A", `"2"`, `"1"`)
	})
}

func TestDeadAreBounded(t *testing.T) {
	bubble(t, func(o *Options) { o.PerChannel, o.PerMinute, o.MaxDead = time.Nanosecond, 1e6, 10 }, func(l *lab) {
		for range 15 {
			l.room.script = append(l.room.script, fault{err: &Failure{Verdict: Never, Err: errors.New("no")}})
		}
		for i := range 15 {
			l.put("A", strconv.Itoa(i))
		}
		l.close()
		if n := len(l.state.dead); n != 10 {
			t.Errorf("%d dead are kept", n)
		}
	})
}

// An error of the lookup leaves it open; it is asked again.
func TestLookupFails(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		l.room.script = []fault{{err: errors.New("EOF"), posted: true}}
		l.room.findErr = errors.New("EOF again")
		l.put("A", "1", "2")
		l.close()
		l.wantTexts("A", `"1"`, `"2"`)
		if l.room.finds != 2 {
			t.Errorf("%d finds", l.room.finds)
		}
	})
}

// A close that has no time leaves the rest to the next box.
func TestCloseWithoutTime(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		l.put("A", "1", "2", "3", "4", "5")
		synctest.Wait()
		over, cancel := context.WithCancel(l.t.Context())
		cancel()
		if left, err := l.Close(over); left != 2 || err != nil {
			t.Errorf("%d left, %v", left, err)
		}
		if left, err := l.Close(over); left != 0 || err != nil {
			t.Errorf("again: %d left, %v", left, err)
		}
		l.open()
		l.close()
		l.wantTexts("A", `"1"`, `"2"`, `"3"`, `"4"`, `"5"`)
	})
}

// A directory has one box at a time; the next one waits.
func TestOneBoxADirectory(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Second)
		defer cancel()
		if _, err := Open(ctx, l.opts); model.KindOf(err) != model.Conflict || !strings.Contains(err.Error(), "another process has it") {
			t.Errorf("got %v", err)
		}
		opened := make(chan error)
		go func() {
			next, err := Open(l.t.Context(), l.opts)
			if err == nil {
				_, err = next.Close(l.t.Context())
			}
			opened <- err
		}()
		pass(time.Second)
		l.close()
		if err := <-opened; err != nil {
			t.Error(err)
		}
	})
	if _, err := Open(t.Context(), Options{Dir: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("opened where nothing is")
	}
}

// The journal is rewritten as it grows, and says the same afterwards.
func TestRewriteKeepsAll(t *testing.T) {
	bubble(t, nil, func(l *lab) {
		l.room.script = []fault{{err: &Failure{Verdict: Later, All: true, Pause: time.Minute, Err: errors.New("429")}}}
		big := strings.Repeat("x", 100<<10)
		l.entry(Entry{Channel: "A", Kind: Post, Incident: "root", Message: quoted("root")})
		synctest.Wait()
		for range 200 {
			l.entry(Entry{Channel: "A", Kind: Update, Incident: "m1", Message: quoted(big)})
		}
		l.entry(Entry{Channel: "A", Kind: Reply, Incident: "root", Message: quoted("in the thread")})
		if info, err := os.Stat(l.journal.path); err != nil || info.Size() > 3*rewriteAfter {
			t.Errorf("%d bytes, %v", info.Size(), err)
		}
		l.kill()
		l.open()
		l.close()
		l.wantTexts("A", `"root"`, strconv.Quote(big), `1>"in the thread"`)
	})
}

// Over random crashes everything that was taken is posted once, each channel in
// its order. A failure prints the seed.
func TestCrashes(t *testing.T) {
	rounds := 8
	if os.Getenv("OOB_NIGHTLY") != "" {
		rounds = 3000
	}
	for seed := range uint64(rounds) {
		synctest.Test(t, func(t *testing.T) { crashRound(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// crashRound puts messages while the process dies again and again, some times
// between a message and the answer to it.
func crashRound(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	l := newLab(t, func(o *Options) { o.PerMinute, o.Join = 1e6, joined })
	want := map[string][]string{}
	for i := range 40 {
		channel, text := string(rune('A'+rnd.IntN(3))), strconv.Quote(strconv.Itoa(i))
		want[channel] = append(want[channel], text)
		if f := (fault{posted: rnd.IntN(2) == 0}); rnd.IntN(4) == 0 {
			f.hangs, f.empty = rnd.IntN(2) == 0, true
			l.room.mu.Lock()
			l.room.script = append(l.room.script, f)
			l.room.mu.Unlock()
		}
		l.entry(Entry{Channel: channel, Message: []byte(text), Merge: []string{"", "x"}[rnd.IntN(2)]})
		switch rnd.IntN(6) {
		case 0:
			synctest.Wait()
		case 1:
			pass(time.Duration(rnd.IntN(9000)) * time.Millisecond)
		case 2:
			l.kill()
			l.open()
		}
	}
	l.kill()
	l.open()
	l.close()
	for channel, texts := range want {
		got := strings.Split(strings.ReplaceAll(strings.Join(l.room.texts(channel), " "), "+", `" "`), " ")
		if !slices.Equal(got, texts) {
			t.Errorf("channel %s has %v, want %v\n%s", channel, got, texts, l.log)
		}
	}
}
