package poster

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	simslack "provision-plugins/sim/slack"
	"provision-plugins/slack/outbox"
)

const token = "xoxb-1-secret"

// noon is the time by which dates in headers are read.
func noon() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// desk is a simulated workspace and a poster that posts to it.
func desk(t *testing.T, o simslack.Options) (*simslack.Server, *Poster) {
	t.Helper()
	o.Token = token
	sim, err := simslack.New(o)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: Transport(&http.Transport{}, noon)}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	return sim, New(Options{URL: sim.URL(), Token: token, Client: client})
}

// entry is a delivery of a message.
func entry(kind outbox.Kind, root string, m Message) outbox.Delivery {
	raw, _ := json.Marshal(m)
	return outbox.Delivery{
		Entry: outbox.Entry{ID: "8c6f3c54-9d5a-4b41-8f0e-000000000001", Channel: "C1", Kind: kind, Incident: "i", Message: raw},
		Root:  root, Attempt: 1, Since: time.Now(),
	}
}

// send sends and expects no error.
func send(t *testing.T, p *Poster, d outbox.Delivery) string {
	t.Helper()
	ts, err := p.Send(t.Context(), d)
	if err != nil || ts == "" {
		t.Fatalf("%q, %v", ts, err)
	}
	return ts
}

const block = `[{"type":"section","text":{"type":"mrkdwn","text":"*down*"}}]`

// two are that block and another.
const two = `[{"type":"section","text":{"type":"mrkdwn","text":"*down*"}},{"type":"section","text":{"type":"mrkdwn","text":"since noon"}}]`

func TestWhatGoesOut(t *testing.T) {
	sim, p := desk(t, simslack.Options{Channels: []string{"C1"}})
	root := send(t, p, entry(outbox.Post, "", Message{Text: "m1 is down &amp; out", Color: "#ff0000", Blocks: json.RawMessage(two)}))
	send(t, p, entry(outbox.Reply, root, Message{Text: "why", Blocks: json.RawMessage(block)}))
	if ts := send(t, p, entry(outbox.Update, root, Message{Text: "m1 is up", Color: "#00ff00", Blocks: json.RawMessage(two)})); ts != root {
		t.Errorf("the edit is %s, the root %s", ts, root)
	}
	plain := entry(outbox.Update, "", Message{Text: strings.Repeat("x", 5000), Color: "#00ff00", Blocks: json.RawMessage(block)})
	plain.Plain = true
	send(t, p, plain)
	got := sim.Messages()
	if len(got) != 3 {
		t.Fatalf("posted %+v", got)
	}
	for i, m := range got {
		if m.ClientMsgID != plain.ID || !strings.Contains(string(m.Metadata), plain.ID) {
			t.Errorf("message %d is called %q, %s", i, m.ClientMsgID, m.Metadata)
		}
	}
	if m := got[0]; m.Text != "m1 is up" || m.Edits != 1 || string(m.Blocks) != block || !strings.Contains(string(m.Attachments), `"color":"#00ff00"`) ||
		!strings.Contains(string(m.Attachments), "since noon") || strings.Contains(string(m.Attachments), "*down*") {
		t.Errorf("the root is %+v", m)
	}
	if m := got[1]; m.ThreadTS != root || string(m.Blocks) != block || m.Attachments != nil {
		t.Errorf("the reply is %+v", m)
	}
	if m := got[2]; m.Blocks != nil || m.Attachments != nil || len([]rune(m.Text)) != maxPlain || m.ThreadTS != "" {
		t.Errorf("the plain one is %+v", m)
	}
}

// A message with attachments and without blocks of its own would show its text
// beside them: people read each line once, in what is posted and in each edit of it.
func TestNothingIsShownTwice(t *testing.T) {
	sim, p := desk(t, simslack.Options{Channels: []string{"C1"}})
	full := Message{Text: "*down*", Color: "#ff0000", Blocks: json.RawMessage(two)}
	root := send(t, p, entry(outbox.Post, "", Message{Text: "soon down"}))
	for i, step := range []struct {
		message Message
		plain   bool
		want    string
	}{
		{full, false, "*down*\n    red | since noon\n"},
		{Message{Text: "*down*", Color: "#ff0000", Blocks: json.RawMessage(block)}, false, "*down*\n"},
		{full, false, "*down*\n    red | since noon\n"},
		{full, true, "*down*\n"},
		{full, false, "*down*\n    red | since noon\n"},
		{Message{Text: "over"}, false, "over\n"},
	} {
		d := entry(outbox.Update, root, step.message)
		d.Plain = step.plain
		send(t, p, d)
		_, shown, _ := strings.Cut(sim.Render(sim.Messages()[0]), "\n    ")
		if shown != step.want {
			t.Errorf("step %d shows %q, want %q", i, shown, step.want)
		}
	}
}

// Every answer Slack can give, and what it means.
func TestVerdicts(t *testing.T) {
	sim, p := desk(t, simslack.Options{})
	date := noon().Add(90 * time.Second).Format(http.TimeFormat)
	for name, c := range map[string]struct {
		fault    simslack.Fault
		verdict  outbox.Verdict
		pause    time.Duration
		all      bool
		unlikely bool
	}{
		"429":               {simslack.Fault{Status: 429, Error: "ratelimited", RetryAfter: "7"}, outbox.Doubt, 7 * time.Second, false, true},
		"429 in parts":      {simslack.Fault{Status: 429, RetryAfter: "1.2"}, outbox.Doubt, 2 * time.Second, false, true},
		"429 of nothing":    {simslack.Fault{Status: 429, RetryAfter: "0"}, outbox.Doubt, time.Second, false, true},
		"429 with a date":   {simslack.Fault{Status: 429, RetryAfter: date}, outbox.Doubt, 91 * time.Second, false, true},
		"429 with nonsense": {simslack.Fault{Status: 429, RetryAfter: "soon"}, outbox.Doubt, noHint, true, true},
		"429 without":       {simslack.Fault{Status: 429}, outbox.Doubt, noHint, true, true},
		"429 in JSON":       {simslack.Fault{Status: 429, Body: `{"ok":false,"error":"ratelimited","retry_after":9}`}, outbox.Doubt, 9 * time.Second, false, true},
		"429 odd JSON":      {simslack.Fault{Status: 429, Body: `{"retry_after":[]}`}, outbox.Doubt, noHint, true, true},
		"200 with a header": {simslack.Fault{Error: "ratelimited", RetryAfter: "4"}, outbox.Doubt, 4 * time.Second, false, true},
		"an unknown word":   {simslack.Fault{Error: "not_on_a_sunday"}, outbox.NoLayout, 0, false, false},
		"200 rate_limited":  {simslack.Fault{Error: "rate_limited"}, outbox.Doubt, noHint, true, true},
		"500":               {simslack.Fault{Status: 500}, outbox.Doubt, 0, false, false},
		"503 html":          {simslack.Fault{Status: 503, Body: "<html>"}, outbox.Doubt, 0, false, false},
		"200 html":          {simslack.Fault{Body: "<html>"}, outbox.Doubt, 0, false, false},
		"cut off":           {simslack.Fault{Cut: true}, outbox.Doubt, 0, false, false},
		"internal_error":    {simslack.Fault{Error: "internal_error"}, outbox.Doubt, 0, false, false},
		"channel_not_found": {simslack.Fault{Error: "channel_not_found"}, outbox.NoChannel, 0, false, false},
		"is_archived":       {simslack.Fault{Error: "is_archived"}, outbox.NoChannel, 0, false, false},
		"invalid_blocks":    {simslack.Fault{Error: "invalid_blocks"}, outbox.NoLayout, 0, false, false},
		"msg_too_long":      {simslack.Fault{Error: "msg_too_long"}, outbox.NoLayout, 0, false, false},
		"message_not_found": {simslack.Fault{Error: "message_not_found"}, outbox.NoRoot, 0, false, false},
		"no_text":           {simslack.Fault{Error: "no_text"}, outbox.Never, 0, false, false},
		"invalid_auth":      {simslack.Fault{Error: "invalid_auth"}, outbox.Later, refusedToken, true, false},
		"missing_scope":     {simslack.Fault{Error: "missing_scope"}, outbox.Later, refusedToken, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			sim.Fail("chat.postMessage", c.fault)
			ts, err := p.Send(t.Context(), entry(outbox.Post, "", Message{Text: "x"}))
			var f *outbox.Failure
			if !errors.As(err, &f) || ts != "" {
				t.Fatalf("%q, %v", ts, err)
			}
			if f.Verdict != c.verdict || f.Pause != c.pause || f.All != c.all || f.Unlikely != c.unlikely {
				t.Errorf("got %+v", f)
			}
			if strings.Contains(f.Error(), token) || strings.Contains(f.Error(), "\n") {
				t.Errorf("error %q", f)
			}
		})
	}
	if got := sim.Messages(); len(got) != 0 {
		t.Errorf("posted %+v", got)
	}
}

// What never came to a connection was not posted.
func TestUnreachable(t *testing.T) {
	sim, p := desk(t, simslack.Options{})
	if err := sim.Close(); err != nil {
		t.Fatal(err)
	}
	var f *outbox.Failure
	if _, err := p.Send(t.Context(), entry(outbox.Post, "", Message{Text: "x"})); !errors.As(err, &f) || f.Verdict != outbox.Later {
		t.Errorf("got %+v", err)
	}
	bad := entry(outbox.Post, "", Message{})
	bad.Message = json.RawMessage("{")
	if _, err := p.Send(t.Context(), bad); !errors.As(err, &f) || f.Verdict != outbox.Never {
		t.Errorf("got %+v", err)
	}
}

func TestFind(t *testing.T) {
	sim, p := desk(t, simslack.Options{})
	find := func(d outbox.Delivery) string {
		t.Helper()
		ts, err := p.Find(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		return ts
	}
	other := entry(outbox.Post, "", Message{Text: "other"})
	other.ID = "another"
	root := send(t, p, other)
	for range 2*pageSize + 5 {
		send(t, p, other)
	}
	post, reply := entry(outbox.Post, "", Message{Text: "x"}), entry(outbox.Reply, root, Message{Text: "x"})
	if find(post) != "" || find(reply) != "" || find(entry(outbox.Reply, "1.0", Message{Text: "x"})) != "" {
		t.Error("found what was not posted")
	}
	sim.Fail("chat.postMessage", simslack.Fault{Cut: true, Posted: true})
	if _, err := p.Send(t.Context(), post); err == nil {
		t.Fatal("a cut connection is no error")
	}
	messages := sim.Messages()
	if got := find(post); got != messages[len(messages)-1].TS {
		t.Errorf("found %q", got)
	}
	if ts := send(t, p, reply); find(reply) != ts {
		t.Errorf("found %q, posted %q", find(reply), ts)
	}
	sim.Fail("conversations.history", simslack.Fault{Status: 500})
	if ts, err := p.Find(t.Context(), post); err == nil || errors.Is(err, outbox.ErrBlind) {
		t.Errorf("%q, %v", ts, err)
	}
}

func TestBlind(t *testing.T) {
	_, p := desk(t, simslack.Options{Scopes: []string{"chat:write"}})
	if _, err := p.Find(t.Context(), entry(outbox.Post, "", Message{})); !errors.Is(err, outbox.ErrBlind) || !strings.Contains(err.Error(), "missing_scope") {
		t.Errorf("got %v", err)
	}
	sim, p := desk(t, simslack.Options{})
	for range (maxPages + 1) * pageSize {
		if _, err := p.Send(t.Context(), entry(outbox.Post, "", Message{Text: "x"})); err != nil {
			t.Fatal(err)
		}
	}
	d := entry(outbox.Post, "", Message{})
	d.ID = "none"
	if _, err := p.Find(t.Context(), d); !errors.Is(err, outbox.ErrBlind) || sim.Calls("conversations.history") != maxPages {
		t.Errorf("got %v after %d calls", err, sim.Calls("conversations.history"))
	}
}

func TestCancelledSend(t *testing.T) {
	_, p := desk(t, simslack.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Send(ctx, entry(outbox.Post, "", Message{Text: "x"})); err == nil {
		t.Error("no error")
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"7", "1.5", "-1", "NaN", "+Inf", "1e300", "Fri, 20 Nov 2026 10:00:00 GMT", "soon", ""} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		if wait, ok := retryAfter(text, now); ok && (wait < 0 || wait > 24*60*60+1) {
			t.Errorf("%q is %d seconds", text, wait)
		}
	})
}

// log is a message with a file.
func logFile(root string) outbox.Delivery {
	return entry(outbox.Reply, root, Message{Text: "it does not fit", File: &File{Name: "log of m1/<x> ü", Content: strings.Repeat("a line\n", 1000)}})
}

// A long text becomes a file of the thread, and can be found there.
func TestFile(t *testing.T) {
	sim, p := desk(t, simslack.Options{Channels: []string{"C1"}})
	first := entry(outbox.Post, "", Message{Text: "root"})
	first.ID = "8c6f3c54-9d5a-4b41-8f0e-000000000000"
	root := send(t, p, first)
	d := logFile(root)
	if ts, err := p.Find(t.Context(), d); ts != "" || err != nil {
		t.Errorf("before: %q, %v", ts, err)
	}
	send(t, p, d)
	got := sim.Messages()
	if len(got) != 2 || got[1].ThreadTS != root || len(got[1].Files) != 1 {
		t.Fatalf("posted %+v", got)
	}
	if f := got[1].Files[0]; f.Content != strings.Repeat("a line\n", 1000) || f.Name != "log_of_m1__x___-"+d.ID+".txt" {
		t.Errorf("the file is %.80q, %q", f.Content, f.Name)
	}
	if ts, err := p.Find(t.Context(), d); ts != got[1].TS || err != nil {
		t.Errorf("after: %q, %v", ts, err)
	}
	other := logFile(root)
	other.ID = "8c6f3c54-9d5a-4b41-8f0e-000000000002"
	if ts, err := p.Find(t.Context(), other); ts != "" || err != nil {
		t.Errorf("another: %q, %v", ts, err)
	}
	d.Plain = true
	send(t, p, d)
	if m := sim.Messages()[2]; m.Text != "it does not fit" || len(m.Files) != 0 {
		t.Errorf("plain: %+v", m)
	}
}

// Before a file is shared nothing is posted, whatever the answer; what Slack
// refuses goes out as text.
func TestFileVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		method  string
		fault   simslack.Fault
		verdict outbox.Verdict
		pause   time.Duration
	}{
		"announced, no scope":   {"files.getUploadURLExternal", simslack.Fault{Error: "missing_scope"}, outbox.NoLayout, 0},
		"announced, refused":    {"files.getUploadURLExternal", simslack.Fault{Error: "file_uploads_disabled"}, outbox.NoLayout, 0},
		"announced, bad token":  {"files.getUploadURLExternal", simslack.Fault{Error: "token_revoked"}, outbox.Later, refusedToken},
		"announced, 429":        {"files.getUploadURLExternal", simslack.Fault{Status: 429, RetryAfter: "7"}, outbox.Later, 7 * time.Second},
		"announced, cut":        {"files.getUploadURLExternal", simslack.Fault{Cut: true}, outbox.Later, 0},
		"announced, 500":        {"files.getUploadURLExternal", simslack.Fault{Status: 500}, outbox.Later, 0},
		"brought, cut":          {"upload", simslack.Fault{Cut: true}, outbox.Later, 0},
		"brought, 500":          {"upload", simslack.Fault{Status: 500}, outbox.Later, 0},
		"shared, cut":           {"files.completeUploadExternal", simslack.Fault{Cut: true}, outbox.Doubt, 0},
		"shared, 500":           {"files.completeUploadExternal", simslack.Fault{Status: 500}, outbox.Doubt, 0},
		"shared, no scope":      {"files.completeUploadExternal", simslack.Fault{Error: "missing_scope"}, outbox.NoLayout, 0},
		"shared, thread gone":   {"files.completeUploadExternal", simslack.Fault{Error: "invalid_thread_ts"}, outbox.NoRoot, 0},
		"shared, channel gone":  {"files.completeUploadExternal", simslack.Fault{Error: "channel_not_found"}, outbox.NoChannel, 0},
		"shared, 429 in doubt?": {"files.completeUploadExternal", simslack.Fault{Status: 429, RetryAfter: "7"}, outbox.Doubt, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			sim, p := desk(t, simslack.Options{Channels: []string{"C1"}})
			root := send(t, p, entry(outbox.Post, "", Message{Text: "root"}))
			sim.Fail(c.method, c.fault)
			_, err := p.Send(t.Context(), logFile(root))
			var f *outbox.Failure
			if !errors.As(err, &f) || f.Verdict != c.verdict || f.Pause != c.pause || strings.Contains(f.Error(), token) {
				t.Errorf("got %+v, %v", f, err)
			}
		})
	}
}

// Where metadata is not told, a message is known by what it was called when it was
// posted.
func TestFindWithoutMetadata(t *testing.T) {
	sim, p := desk(t, simslack.Options{Scopes: []string{"chat:write", "channels:history", "groups:history"}})
	d := entry(outbox.Post, "", Message{Text: "x"})
	sim.Fail("chat.postMessage", simslack.Fault{Cut: true, Posted: true})
	if _, err := p.Send(t.Context(), d); err == nil {
		t.Fatal("a cut connection is no error")
	}
	if ts, err := p.Find(t.Context(), d); err != nil || ts == "" || ts != sim.Messages()[0].TS {
		t.Errorf("found %q, %v", ts, err)
	}
	d.ID = "8c6f3c54-9d5a-4b41-8f0e-000000000009"
	if ts, err := p.Find(t.Context(), d); err != nil || ts != "" {
		t.Errorf("found another: %q, %v", ts, err)
	}
}
