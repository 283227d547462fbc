package chat

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/slack-go/slack"
	"go.uber.org/goleak"

	"provision-plugins/shared/model"
	simslack "provision-plugins/sim/slack"
	"provision-plugins/slack/chat/command"
	"provision-plugins/slack/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// envelope is one of a payload written as JSON.
func envelope(kind, payload string) socket.Envelope {
	return socket.Envelope{ID: "e1", Type: kind, Payload: json.RawMessage(payload)}
}

func TestReadEnvelopes(t *testing.T) {
	t.Parallel()
	o := origin{User: "U1", Team: "T1", Channel: "C1", hook: "https://h", trigger: "t1"}
	for name, c := range map[string]struct {
		e    socket.Envelope
		want any
	}{
		"a command": {envelope(typeSlash, `{"user_id":"U1","team_id":"T1","channel_id":"C1","response_url":"https://h","trigger_id":"t1","command":"/metal","text":"help"}`),
			slash{o, "/metal", "help"}},
		"a click": {envelope(typeInteract, `{"type":"block_actions","user":{"id":"U1","team_id":"T1"},"team":{"id":"T9"},"channel":{"id":"C1"},"response_url":"https://h","trigger_id":"t1",
			"container":{"message_ts":"1.2","channel_id":"C9"},"actions":[{"action_id":"a","value":"v"}]}`), press{o, "1.2", "a", "v"}},
		"a click in a thread of no channel": {envelope(typeInteract, `{"type":"block_actions","user":{"id":"U1"},"team":{"id":"T1"},"response_url":"https://h","trigger_id":"t1",
			"container":{"message_ts":"1.2","channel_id":"C1"},"actions":[{"action_id":"a","value":"v"}]}`), press{o, "1.2", "a", "v"}},
		"a view": {envelope(typeInteract, `{"type":"view_submission","user":{"id":"U1","team_id":"T1"},"trigger_id":"t1",
			"view":{"callback_id":"c","private_metadata":"p","state":{"values":{"typed":{"text":{"value":"4"}}}}}}`),
			submission{origin{User: "U1", Team: "T1", trigger: "t1"}, "c", "p", "4"}},
		"two actions":        {envelope(typeInteract, `{"type":"block_actions","user":{"id":"U1"},"actions":[{},{}]}`), nil},
		"another kind":       {envelope(typeInteract, `{"type":"shortcut","user":{"id":"U1"}}`), nil},
		"an event":           {envelope("events_api", `{}`), nil},
		"a view, not filled": {envelope(typeInteract, `{"type":"view_submission","user":{"id":"U1"},"view":{}}`), submission{origin: origin{User: "U1"}}},
	} {
		if got, err := read(c.e); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, e := range []socket.Envelope{
		envelope(typeSlash, `{}`), envelope(typeSlash, `{"user_id":"U1"}`), envelope(typeSlash, `[]`), envelope(typeSlash, ``),
		envelope(typeInteract, `{"type":"block_actions","actions":[{}]}`), envelope(typeInteract, `x`),
	} {
		if got, err := read(e); err == nil {
			t.Errorf("%s is %+v", e.Payload, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(typeSlash, []byte(`{"user_id":"U1","channel_id":"C1"}`))
	f.Add(typeInteract, []byte(`{"type":"block_actions","user":{"id":"U1"},"actions":[{}]}`))
	f.Add(typeInteract, []byte(`{"type":"view_submission","user":{"id":"U1"},"view":{"state":{"values":null}}}`))
	f.Fuzz(func(t *testing.T, kind string, raw []byte) {
		what, err := read(socket.Envelope{ID: "e", Type: kind, Payload: raw})
		if err != nil || what == nil {
			return
		}
		user := ""
		switch w := what.(type) {
		case slash:
			user = w.User
		case press:
			user = w.User
		case submission:
			user = w.User
		}
		if user == "" {
			t.Errorf("%s is from nobody", raw)
		}
	})
}

// newTicket is one that waits to be confirmed.
func newTicket(id string, at time.Time) ticket {
	return ticket{
		ID: id, State: asked, Command: command.Command{Name: "power cycle", Action: model.PowerCycle, Machines: []string{"m1"}},
		Machines: []frozen{{"u1", "m1"}}, User: "U1", Team: "T1", Channel: "C1", TS: "1.2", Asked: at, Expires: at.Add(ticketLife),
	}
}

func TestATicketIsTakenOnce(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Unix(1000, 0).UTC()
	b, err := openBook(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.put(newTicket("a", now)); err != nil {
		t.Fatal(err)
	}
	var wins sync.Map
	var work sync.WaitGroup
	for i := range 20 {
		work.Go(func() {
			if _, err := b.move("a", taken, "U1", now); err == nil {
				wins.Store(i, true)
			}
		})
	}
	work.Wait()
	n := 0
	wins.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d have taken it", n)
	}
	again, err := openBook(dir) // as after a kill: nothing was closed
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.move("a", taken, "U1", now); err == nil || !strings.Contains(err.Error(), "confirmed already") {
		t.Errorf("after a restart: %v", err)
	}
	if got := again.in(taken); len(got) != 1 || got[0].By != "U1" || got[0].names()[0] != "m1" {
		t.Errorf("%+v", got)
	}
}

func TestWaysOfATicket(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0).UTC()
	b, err := openBook(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"late", "expire", "cancel", "finish"} {
		if err := b.put(newTicket(id, now)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.move("late", taken, "U1", now.Add(ticketLife)); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("late: %v", err)
	}
	if _, err := b.move("absent", taken, "U1", now); err == nil {
		t.Error("one that is not there was taken")
	}
	for id, to := range map[string]state{"expire": expired, "cancel": cancelled, "finish": taken} {
		if got, err := b.move(id, to, "U1", now); err != nil || got.State != to {
			t.Errorf("%s: %+v, %v", id, got, err)
		}
		if _, err := b.move(id, taken, "U1", now); err == nil {
			t.Errorf("%s: taken after that", id)
		}
	}
	if err := b.finish("finish", done); err != nil || len(b.in(done)) != 1 {
		t.Errorf("%v", err)
	}
	if err := b.finish("absent", done); err != nil {
		t.Error(err)
	}
	if err := b.forget(now.Add(ticketLife + ticketKept)); err != nil {
		t.Fatal(err)
	}
	if _, there := b.get("late"); !there || len(b.all) != 1 {
		t.Errorf("%d are kept", len(b.all))
	}
	if err := b.put(newTicket("../bad", now)); err == nil {
		t.Error("a bad id is kept")
	}
}

// spoken is a talk to a simulated workspace.
func spoken(t *testing.T, now func() time.Time) (*talk, *simslack.Server) {
	t.Helper()
	sim, err := simslack.New(simslack.Options{Token: "xoxb-1", Channels: []string{"C1"}, Groups: []simslack.Group{{ID: "S1", Handle: "ops", Users: []string{"U1"}}}})
	if err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse(sim.URL())
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		c.CloseIdleConnections()
		sim.Close()
	})
	return &talk{
		api: api.New("xoxb-1", api.OptionAPIURL(sim.URL()), api.OptionHTTPClient(c)), http: c, base: base,
		log: slog.New(slog.DiscardHandler), now: now, members: map[string]membership{},
	}, sim
}

// The address that came with a request is used five times, then a message that only
// the user sees.
func TestHowPeopleAreAnswered(t *testing.T) {
	t.Parallel()
	talk, sim := spoken(t, time.Now)
	hook := strings.TrimSuffix(sim.URL(), "/api/") + "/actions/h1" // there is none: the answers go the other way
	r := talk.reply(origin{User: "U1", Channel: "C1", hook: hook})
	for range hookUses + 2 {
		r.say(t.Context(), "hello")
	}
	if got := sim.Calls("response_url"); got != hookUses {
		t.Errorf("the address was used %d times", got)
	}
	if got := len(sim.Ephemerals("U1")); got != hookUses+2 {
		t.Errorf("%d answers were seen", got)
	}
	late, _ := spoken(t, time.Now)
	born := late.reply(origin{User: "U1", Channel: "C1", hook: "http://127.0.0.1:1/x"})
	born.born = time.Now().Add(-hookLife)
	born.say(t.Context(), "late")
	if born.used != 0 {
		t.Error("an address of half an hour ago was used")
	}
}

func TestWhereAnswersMayGo(t *testing.T) {
	t.Parallel()
	slack, err := url.Parse("https://slack.com/api/")
	if err != nil {
		t.Fatal(err)
	}
	local, err := url.Parse("http://127.0.0.1:99/api/")
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string][2]bool{ // of Slack, of a simulator
		"https://hooks.slack.com/commands/1": {true, true}, "https://slack.com/x": {true, true}, "http://hooks.slack.com/1": {false, false},
		"https://hooks.slack.com.evil.example/": {false, false}, "https://evilslack.com/": {false, false}, "https://u@hooks.slack.com/": {false, false},
		"http://127.0.0.1:99/actions/1": {false, true}, "http://127.0.0.1:98/actions/1": {false, false},
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		for i, base := range []*url.URL{slack, local} {
			if got := (&talk{base: base}).trusts(u); got != want[i] {
				t.Errorf("%s beside %s: %v", address, base, got)
			}
		}
	}
}

func TestMembersOfGroups(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	talk, sim := spoken(t, func() time.Time { return now })
	is := func(want, fresh bool) {
		t.Helper()
		got, err := talk.groupsOf(t.Context(), "U1", []string{"S1"}, fresh)
		if err != nil || slices.Contains(got, "S1") != want {
			t.Errorf("%v, %v", got, err)
		}
	}
	is(true, false)
	sim.SetGroups(simslack.Group{ID: "S1", Handle: "ops", Users: []string{"U2"}})
	is(true, false) // for half a minute
	is(false, true) // at a click
	sim.SetGroups(simslack.Group{ID: "S1", Handle: "ops", Users: []string{"U1"}})
	now = now.Add(membersLife)
	is(true, false)
	sim.Fail("usergroups.users.list", simslack.Fault{Error: "internal_error"})
	if got, err := talk.groupsOf(t.Context(), "U1", []string{"S1"}, true); err == nil || len(got) > 0 {
		t.Errorf("%v, %v", got, err)
	}
}

// What Slack puts off is done later; what may have been done is not done again.
func TestCallsThatArePutOff(t *testing.T) {
	t.Parallel()
	talk, sim := spoken(t, time.Now)
	sim.Fail("chat.postMessage", simslack.Fault{Status: 429, RetryAfter: "1"})
	ts, err := talk.post(t.Context(), "C1", message{text: "one"})
	if err != nil || ts == "" {
		t.Fatalf("%q, %v", ts, err)
	}
	sim.Fail("chat.postMessage", simslack.Fault{Status: 500, Posted: true})
	if _, err := talk.post(t.Context(), "C1", message{text: "two"}); err == nil {
		t.Error("it is not known whether it was posted, and it is said that it was")
	}
	if got := len(sim.Messages()); got != 2 {
		t.Errorf("%d messages", got)
	}
	sim.Fail("chat.update", simslack.Fault{Status: 500})
	if err := talk.edit(t.Context(), "C1", ts, message{text: "three"}); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := talk.edit(ctx, "C1", ts, message{text: "four"}); err == nil {
		t.Error("it was edited after the end")
	}
}

func TestOutcomesInWords(t *testing.T) {
	t.Parallel()
	raw := func(v any) json.RawMessage {
		out, err := model.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for name, c := range map[string]struct {
		o    outcome
		want string
		well bool
	}{
		"power":   {outcome{result: raw(model.Result{Power: model.StateOn, Outcome: model.Verified, Evidence: "on at 1s"})}, "on, verified, on at 1s", true},
		"status":  {outcome{result: raw(map[string]string{"Status": "OK"})}, "OK", true},
		"nothing": {outcome{result: raw(map[string]int{"x": 1})}, "done", true},
		"no JSON": {outcome{result: json.RawMessage("x")}, "done", true},
		"boot":    {outcome{result: raw(model.Result{Boot: &model.BootOverride{Device: "pxe"}})}, "pxe next", true},
		"always":  {outcome{result: raw(model.Result{Boot: &model.BootOverride{Device: "pxe", Persistent: true}, Outcome: model.Verified})}, "pxe always, verified", true},
		"failed":  {outcome{err: model.Errorf(model.Timeout, "cannot cycle m1:\n no answer")}, "cannot cycle m1: no answer", false},
	} {
		if got, well := c.o.words(true); got != c.want || well != c.well {
			t.Errorf("%s: %q, %v", name, got, well)
		}
	}
}

func TestATally(t *testing.T) {
	t.Parallel()
	y := tally{total: 4}
	ok := json.RawMessage(`{"power":"on","outcome":"verified"}`)
	for _, name := range []string{"n1", "n2", "n3"} {
		y.add(outcome{machine: frozen{name, name}, result: ok})
	}
	if got := y.progress(); got != ":hourglass_flowing_sand: 3 of 4 done" {
		t.Error(got)
	}
	y.add(outcome{machine: frozen{"n4", "n4"}, err: model.Errorf(model.Busy, "<!channel> is busy")})
	if got := y.progress(); got != ":hourglass_flowing_sand: 4 of 4 done, 1 failed" {
		t.Error(got)
	}
	if got, want := y.String(), ":white_check_mark: on, verified: `n[1-3]`\n:x: &lt;!channel&gt; is busy: `n4`"; got != want {
		t.Errorf("%q", got)
	}
	many := tally{total: 100}
	for i := range 100 {
		many.add(outcome{machine: frozen{"", "m"}, err: model.Errorf(model.Busy, "cause %03d %s", i, strings.Repeat("x", 100))})
	}
	if got := many.String(); len(got) > maxWords+200 || !strings.Contains(got, "and ") || !strings.Contains(got, " more") {
		t.Errorf("%d characters: %s", len(got), got)
	}
}

// What people type is shown as it is: no mention and no layout comes of it.
func TestQuestionsAreHarmless(t *testing.T) {
	t.Parallel()
	at := newTicket("a", time.Unix(1000, 0))
	at.Command.Reason = "<!channel> `x` & <@U9>\nline"
	at.Machines = []frozen{{"u1", "<!here>"}}
	at.Typed, at.Second, at.Command.Override = true, true, true
	raw, err := json.Marshal(at.question("yes", "no").blocks)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	for _, b := range at.question("yes", "no").blocks {
		if s, ok := b.(*api.SectionBlock); ok {
			text += s.Text.Text + "\n"
		}
	}
	for _, bad := range []string{"<!channel>", "<!here>", "<@U9>"} {
		if strings.Contains(text, bad) {
			t.Errorf("%s stands in %q", bad, text)
		}
	}
	for _, want := range []string{"<@U1>", "*power cycle --override-protected*", "Somebody else", "typed"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %s", text, want)
		}
	}
	if !strings.Contains(string(raw), "Approve") || at.wanted() != "<!here>" {
		t.Errorf("%s, %s", raw, at.wanted())
	}
	at.Machines = make([]frozen, 12)
	if at.wanted() != "12" {
		t.Error(at.wanted())
	}
	long := newTicket("b", time.Unix(1000, 0))
	long.Command.Reason = strings.Repeat("<", 300)
	long.Machines = nil
	for i := range 1000 {
		long.Machines = append(long.Machines, frozen{"", strings.Repeat("n", i%50) + "x"})
	}
	for _, b := range long.question("yes", "no").blocks {
		if s, ok := b.(*api.SectionBlock); ok && len([]rune(s.Text.Text)) > 3000 {
			t.Errorf("a section of %d characters", len([]rune(s.Text.Text)))
		}
	}
}
