package poster

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	simslack "provision-plugins/sim/slack"
	"provision-plugins/slack/outbox"
)

// moment is when a process dies: around the n-th call of its Sender.
type moment struct {
	name  string
	find  bool // a lookup, else a send
	after bool // Slack had the call, its answer was lost
	n     int
}

// moments are those between each two steps of four messages.
func moments() []moment {
	out := []moment{{name: "never"}}
	for n := 1; n <= 5; n++ {
		out = append(out,
			moment{name: fmt.Sprintf("before send %d", n), n: n},
			moment{name: fmt.Sprintf("after send %d", n), after: true, n: n})
	}
	return append(out, moment{name: "before the lookup", find: true, n: 1}, moment{name: "after the lookup", find: true, after: true, n: 1})
}

// mortal is a Sender whose process dies at a moment.
type mortal struct {
	*Poster
	at    moment
	dying chan struct{} // holds one token once it dies
	calls map[bool]int  // finds and sends; one channel is at work
}

// call makes one call, or dies around it: no answer comes.
func (m *mortal) call(ctx context.Context, find bool, do func() (string, error)) (string, error) {
	m.calls[find]++
	if m.at.n != m.calls[find] || m.at.find != find {
		return do()
	}
	if m.at.after {
		_, _ = do() // nobody hears of it
	}
	m.dying <- struct{}{}
	<-ctx.Done()
	return "", ctx.Err()
}

// Send posts, or dies.
func (m *mortal) Send(ctx context.Context, d outbox.Delivery) (string, error) {
	return m.call(ctx, false, func() (string, error) { return m.Poster.Send(context.WithoutCancel(ctx), d) })
}

// Find looks up, or dies.
func (m *mortal) Find(ctx context.Context, d outbox.Delivery) (string, error) {
	return m.call(ctx, true, func() (string, error) { return m.Poster.Find(context.WithoutCancel(ctx), d) })
}

// outcome puts four messages, of which the call n of a method meets a fault, into a
// box whose process dies at a moment, and has the next process go on.
func outcome(t *testing.T, method string, n int, f *simslack.Fault, at moment) {
	sim, p := desk(t, simslack.Options{Channels: []string{"C1"}})
	if f != nil {
		f.Delay = min(f.Delay, 10*time.Millisecond)
		sim.Decide(func(called string, count int) (simslack.Fault, bool) { return *f, called == method && count == n })
	}
	o := outbox.Options{Dir: t.TempDir(), PerChannel: time.Microsecond, PerMinute: 1e9, Pause: time.Millisecond, MaxPause: 2 * time.Millisecond}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	first := &mortal{Poster: p, at: at, dying: make(chan struct{}, 1), calls: map[bool]int{}}
	o.Sender = first
	box, err := outbox.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	entries := []outbox.Entry{
		{Kind: outbox.Update, Incident: "m1", Message: []byte(`{"text":"root"}`)},
		{Kind: outbox.Reply, Incident: "m1", Message: []byte(`{"text":"reply"}`)},
		{Message: []byte(`{"text":"line"}`)},
		{Kind: outbox.Reply, Incident: "m1", Message: []byte(`{"text":"second"}`)},
	}
	for i := range entries {
		entries[i].Channel = "C1"
	}
	if err := box.PutAll("event", entries...); err != nil {
		t.Fatal(err)
	}
	if at.n > 0 {
		die(ctx, t, box, first)
		o.Sender = p
		if box, err = outbox.Open(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	if err := box.PutAll("event", entries...); err != nil { // as the endpoint may send it again
		t.Fatal(err)
	}
	if left, err := box.Close(ctx); left != 0 || err != nil {
		t.Errorf("%d are left, %v", left, err)
	}
	wantOnce(t, sim)
}

// die ends a box as the death of its process does, once its moment has come; a
// moment that never comes is the end of its work.
func die(ctx context.Context, t *testing.T, box *outbox.Box, m *mortal) {
	t.Helper()
	now, cancel := context.WithCancel(ctx)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for dead := false; !dead && box.Status().Waiting > 0; {
		select {
		case <-m.dying:
			dead = true
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it neither dies nor ends")
		}
	}
	cancel()
	if _, err := box.Close(now); err != nil {
		t.Fatal(err)
	}
}

// wantOnce holds what was posted against what was put: each once, in its order,
// the replies in the thread of the root.
func wantOnce(t *testing.T, sim *simslack.Server) {
	t.Helper()
	var got []string
	root := ""
	for _, m := range sim.Messages() {
		text := m.Text
		if m.Text == "root" {
			root = m.TS
		}
		if m.ThreadTS != "" && m.ThreadTS == root {
			text += "^"
		}
		got = append(got, text)
	}
	if want := "root reply^ line second^"; strings.Join(got, " ") != want {
		t.Errorf("posted %q, want %q", strings.Join(got, " "), want)
	}
}

// Whatever Slack answers, and between whichever two steps the process dies, every
// message is posted once and in its order.
func TestEachOutcomeAtEachCrash(t *testing.T) {
	faults := simslack.Faults()
	names := slices.Sorted(maps.Keys(faults))
	nightly := os.Getenv("OOB_NIGHTLY") != ""
	count := 0
	for i, at := range moments() {
		t.Run(at.name, func(t *testing.T) { outcome(t, "", 0, nil, at) })
		for j, name := range names {
			for n := 1; n <= 3; n++ {
				if !nightly && (i+j+n)%4 != 0 { // each fault and each moment, in some of their pairs
					continue
				}
				count++
				f := faults[name]
				t.Run(fmt.Sprintf("%s/%s/post %d", at.name, name, n), func(t *testing.T) { outcome(t, "chat.postMessage", n, &f, at) })
			}
		}
	}
	t.Logf("%d pairs of %d faults and %d moments", count, len(faults), len(moments()))
}

// The lookup meets the same faults as the message.
func TestLookupMeetsFaults(t *testing.T) {
	for name, f := range simslack.Faults() {
		t.Run(name, func(t *testing.T) {
			sim, p := desk(t, simslack.Options{Channels: []string{"C1"}})
			f.Delay = min(f.Delay, 10*time.Millisecond)
			sim.Fail("chat.postMessage", simslack.Fault{Status: http.StatusBadGateway, Posted: true})
			sim.Fail("conversations.history", f)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			box, err := outbox.Open(ctx, outbox.Options{Dir: t.TempDir(), Sender: p, PerChannel: time.Microsecond, Pause: time.Millisecond, MaxPause: 2 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if err := box.Put(outbox.Entry{Channel: "C1", Message: []byte(`{"text":"once"}`)}); err != nil {
				t.Fatal(err)
			}
			if left, err := box.Close(ctx); left != 0 || err != nil || len(sim.Messages()) != 1 {
				t.Errorf("%d left, %v, posted %+v", left, err, sim.Messages())
			}
		})
	}
}
