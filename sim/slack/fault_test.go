package slack

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// posted is what a client sees of a post.
type posted struct {
	status int
	header http.Header
	body   string
	failed bool // no answer came
}

// postRaw posts and reads whatever comes.
func postRaw(t *testing.T, s *Server, text string) posted {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.PostForm(s.URL()+"chat.postMessage", post("C1", text))
	if err != nil {
		return posted{failed: true}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return posted{resp.StatusCode, resp.Header, string(raw), err != nil}
}

// TestEachFault meets each kind of fault: what is answered, and whether the message
// is there.
func TestEachFault(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	seen := map[string]bool{}
	for _, c := range []struct {
		name, want string // of the body
		status     int
		retry      string
		there      bool
	}{
		{"429", `{"error":"ratelimited","ok":false}`, 429, "1", false},
		{"429-posted", `{"error":"ratelimited","ok":false}`, 429, "1", true},
		{"429-no-header", `{"error":"ratelimited","ok":false}`, 429, "", false},
		{"429-date", `{"error":"ratelimited","ok":false}`, 429, "Fri, 02 Jan 2026 03:04:06 GMT", false},
		{"200-ratelimited", `{"error":"ratelimited","ok":false}`, 200, "", false},
		{"200-rate_limited", `{"error":"rate_limited","ok":false}`, 200, "", false},
		{"500", `{"error":"internal_error","ok":false}`, 500, "", false},
		{"500-posted", `{"error":"internal_error","ok":false}`, 500, "", true},
		{"503-html", page, 503, "", false},
		{"200-html", page, 200, "", false},
		{"200-html-posted", page, 200, "", true},
		{"eof", "", 0, "", false},
		{"eof-posted", "", 0, "", true},
		{"no-ts", `{"ok":true}`, 200, "", false},
		{"no-ts-posted", `{"channel":"C1","message":{"bot_id"`, 200, "", true},
		{"truncated", `{"ok"`, 200, "", false},
		{"truncated-posted", `{"channel":"C1","message":{"bot_id"`, 200, "", true},
		{"slow", `{"channel":"C1","message":{"bot_id"`, 200, "", true},
	} {
		seen[c.name] = true
		s, _ := start(t, Options{Now: func() time.Time { return now }})
		f := Faults()[c.name]
		f.Delay = min(f.Delay, time.Millisecond)
		s.Fail("chat.postMessage", f)
		got := postRaw(t, s, "x")
		if got.failed != (c.status == 0) || got.status != c.status || !strings.HasPrefix(got.body, c.want) {
			t.Errorf("%s: %+v", c.name, got)
		}
		if got.header.Get("Retry-After") != c.retry {
			t.Errorf("%s: Retry-After %q, want %q", c.name, got.header.Get("Retry-After"), c.retry)
		}
		if (len(s.Messages()) == 1) != c.there {
			t.Errorf("%s: kept %+v", c.name, s.Messages())
		}
		if whole := json.Valid([]byte(got.body)); strings.HasPrefix(c.name, "truncated") == whole && c.status != 0 && !strings.Contains(c.name, "html") {
			t.Errorf("%s: body %s", c.name, got.body)
		}
		var told struct{ TS string }
		if strings.HasPrefix(c.name, "no-ts") && (json.Unmarshal([]byte(got.body), &told) != nil || told.TS != "") {
			t.Errorf("%s: body %s", c.name, got.body)
		}
	}
	for name := range Faults() {
		if !seen[name] {
			t.Errorf("no row for the fault %s", name)
		}
	}
}

// TestSwitches has faults stay, and come by a rule.
func TestSwitches(t *testing.T) {
	s, call := start(t, Options{})
	s.Switch("chat.postMessage", &Fault{Error: "is_archived"})
	s.Fail("chat.postMessage", Fault{Error: "first"})
	for _, want := range []any{"first", "is_archived", "is_archived"} {
		if _, body := call("chat.postMessage", post("C1", "x")); body["error"] != want {
			t.Errorf("answered %v, want %v", body, want)
		}
	}
	s.Switch("chat.postMessage", nil)
	s.Decide(func(method string, n int) (Fault, bool) { return Fault{Error: method}, n%2 == 1 })
	for _, want := range []any{nil, "chat.postMessage", nil} {
		if _, body := call("chat.postMessage", post("C1", "x")); body["error"] != want {
			t.Errorf("answered %v, want %v", body, want)
		}
	}
	s.Decide(nil)
	if _, body := call("auth.test", post("C1", "x")); body["ok"] != true {
		t.Errorf("answered %v", body)
	}
}

// TestSlowCallIsGivenUp ends with the client, and has posted all the same.
func TestSlowCallIsGivenUp(t *testing.T) {
	s, _ := start(t, Options{})
	s.Fail("chat.postMessage", Fault{Delay: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+"chat.postMessage", strings.NewReader(post("C1", "x").Encode()))
		if err == nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			_, err = client.Do(r)
		}
		done <- err
	}()
	until(t, s, "the post", func() bool { return len(s.Messages()) == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the client saw %v", err)
	}
}

func TestLimitsPerMinute(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s, call := start(t, Options{Now: func() time.Time { return now }, PostsPerMinute: 2, PerMinute: map[string]int{"chat.update": 1}})
	_, body := call("chat.postMessage", post("C1", "x"))
	ts, _ := body["ts"].(string)
	call("chat.postMessage", post("C2", "x"))
	now = now.Add(20 * time.Second)
	if resp, _ := call("chat.postMessage", post("C3", "x")); resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "40" {
		t.Errorf("the third of the workspace: %s, %v", resp.Status, resp.Header)
	}
	edit := url.Values{"token": {"x"}, "channel": {"C1"}, "ts": {ts}, "text": {"y"}}
	for _, want := range []int{200, 429} {
		if resp, _ := call("chat.update", edit); resp.StatusCode != want {
			t.Errorf("an edit: %s, want %d", resp.Status, want)
		}
	}
	now = now.Add(30 * time.Second)
	call("chat.postMessage", post("C3", "x"))
	if told := s.Complaints(); len(told) != 1 || told[0] != "chat.postMessage C3 was called 10s before its Retry-After was over" {
		t.Errorf("complained %q", told)
	}
	now = now.Add(time.Minute)
	if resp, _ := call("chat.postMessage", post("C3", "x")); resp.StatusCode != 200 || len(s.Complaints()) != 1 {
		t.Errorf("later: %s, %q", resp.Status, s.Complaints())
	}
}

// TestOverlaps has calls of one channel and of another under way at once, and one
// that its client has given up.
func TestOverlaps(t *testing.T) {
	s, _ := start(t, Options{})
	fly := func(ctx context.Context, method, channel string) (land func()) {
		return s.fly(httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil), method, post(channel, "x"))
	}
	gone, cancel := context.WithCancel(t.Context())
	first, other := fly(t.Context(), "chat.postMessage", "C1"), fly(t.Context(), "chat.postMessage", "C2")
	second, read := fly(t.Context(), "chat.update", "C1"), fly(t.Context(), "conversations.history", "C1")
	for _, land := range []func(){first, other, second, read} {
		land()
	}
	if got := s.Overlaps(); len(got) != 1 || got["C1"] != 1 {
		t.Errorf("overlaps %v", got)
	}
	left := fly(gone, "chat.postMessage", "C1")
	next := fly(t.Context(), "chat.postMessage", "C1")
	cancel()
	left()
	next()
	fly(t.Context(), "chat.postMessage", "C1")()
	if got := s.Overlaps(); got["C1"] != 1 {
		t.Errorf("overlaps %v", got)
	}
}

func TestDisorder(t *testing.T) {
	s, call := start(t, Options{})
	for _, text := range []string{"a1", "a2", "b7", "a4", "a3", "b7", "x"} {
		form := post("C1", text)
		form.Set("client_msg_id", text)
		call("chat.postMessage", form)
	}
	call("chat.postMessage", post("C2", "a1"))
	got := s.Disorder(func(m Message) (string, int, bool) {
		return m.Text[:1], int(m.Text[len(m.Text)-1] - '0'), len(m.Text) == 2
	})
	if strings.Join(got, "; ") != "C1 a 3 comes after 4; C1 b 7 is there twice" {
		t.Errorf("found %q", got)
	}
	if got := s.Duplicates(); len(got) != 1 || got[0] != "b7" {
		t.Errorf("duplicates %q", got)
	}
	if told := s.Complaints(); len(told) != 1 || told[0] != "client_msg_id b7 was posted again in C1" {
		t.Errorf("complained %q", told)
	}
}
