package slack

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a workspace and returns a function that calls its methods.
func start(t *testing.T, o Options) (*Server, func(method string, form url.Values) (*http.Response, map[string]any)) {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, func(method string, form url.Values) (*http.Response, map[string]any) {
		t.Helper()
		resp, err := client.PostForm(s.URL()+method, form)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		return resp, body
	}
}

func post(channel, text string) url.Values {
	return url.Values{"token": {"xoxb-1"}, "channel": {channel}, "text": {text}}
}

func TestPostsHaveUniqueTimestamps(t *testing.T) {
	still := func() time.Time { return time.Unix(1_700_000_000, 0) }
	s, call := start(t, Options{Token: "xoxb-1", Channels: []string{"C1"}, Now: still})
	seen := map[string]bool{}
	for range 3 {
		_, body := call("chat.postMessage", post("C1", "hello"))
		ts, _ := body["ts"].(string)
		if body["ok"] != true || seen[ts] || !strings.HasPrefix(ts, "1700000000.") {
			t.Errorf("answered %v", body)
		}
		seen[ts] = true
	}
	if got := s.Messages(); len(got) != 3 || got[0].Text != "hello" || got[0].Channel != "C1" {
		t.Errorf("kept %+v", got)
	}
}

func TestRefusedCalls(t *testing.T) {
	s, call := start(t, Options{Token: "xoxb-1", Channels: []string{"C1"}})
	for want, tc := range map[string]struct {
		method string
		form   url.Values
	}{
		"invalid_auth":      {"auth.test", url.Values{"token": {"xoxb-2"}}},
		"not_authed":        {"auth.test", nil},
		"channel_not_found": {"chat.postMessage", post("C2", "x")},
		"no_text":           {"chat.postMessage", post("C1", "")},
		"unknown_method":    {"chat.unheardOf", post("C1", "x")},
	} {
		if _, body := call(tc.method, tc.form); body["ok"] != false || body["error"] != want {
			t.Errorf("%s: answered %v, want %s", tc.method, body, want)
		}
	}
	if got := s.Messages(); len(got) != 0 {
		t.Errorf("kept %+v of refused calls", got)
	}
}

func TestAuthTest(t *testing.T) {
	s, call := start(t, Options{})
	if _, body := call("auth.test", url.Values{"token": {"anything"}}); body["ok"] != true || body["user"] != "oob" {
		t.Errorf("answered %v", body)
	}
	if s.Calls("auth.test") != 1 {
		t.Errorf("counted %d calls", s.Calls("auth.test"))
	}
}

func TestFaultsAreTakenInOrder(t *testing.T) {
	s, call := start(t, Options{})
	s.Fail("chat.postMessage", Fault{Status: 429, Error: "ratelimited", RetryAfter: "3"}, Fault{Error: "is_archived"}, Fault{Status: 500, Posted: true})
	resp, _ := call("chat.postMessage", post("C1", "one"))
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "3" || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		t.Errorf("first: %s, header %v", resp.Status, resp.Header)
	}
	if _, body := call("chat.postMessage", post("C1", "two")); body["error"] != "is_archived" {
		t.Errorf("second: %v", body)
	}
	if resp, _ := call("chat.postMessage", post("C1", "three")); resp.StatusCode != 500 {
		t.Errorf("third: %s", resp.Status)
	}
	if _, body := call("chat.postMessage", post("C1", "four")); body["ok"] != true {
		t.Errorf("fourth: %v", body)
	}
	if got := s.Messages(); len(got) != 2 || got[0].Text != "three" || got[1].Text != "four" {
		t.Errorf("kept %+v, want three and four", got)
	}
}

func TestLongTextIsCut(t *testing.T) {
	s, call := start(t, Options{})
	call("chat.postMessage", post("C1", strings.Repeat("ü", maxText+1)))
	if got := s.Messages(); len(got) != 1 || len([]rune(got[0].Text)) != maxText {
		t.Error("text over the limit was not cut")
	}
}

func TestWait(t *testing.T) {
	s, call := start(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Wait(ctx, func(m []Message) bool { return len(m) == 2 }) }()
	call("chat.postMessage", post("C1", "one"))
	call("chat.postMessage", post("C1", "two"))
	if err := <-done; err != nil {
		t.Error(err)
	}
	cancel()
	if err := s.Wait(ctx, func(m []Message) bool { return len(m) == 3 }); err == nil {
		t.Error("a third message was never posted")
	}
}

func TestAddressTaken(t *testing.T) {
	s, _ := start(t, Options{})
	if _, err := New(Options{Addr: s.addr}); err == nil || !strings.HasPrefix(err.Error(), "cannot simulate Slack: ") {
		t.Errorf("second server on one address: %v", err)
	}
}

func TestEditsAndDeletes(t *testing.T) {
	s, call := start(t, Options{Channels: []string{"C1=general", "C2"}})
	_, body := call("chat.postMessage", post("#general", "one"))
	ts, _ := body["ts"].(string)
	form := post("C1", "two")
	form.Set("ts", ts)
	if _, body := call("chat.update", form); body["ok"] != true {
		t.Errorf("answered %v", body)
	}
	if got := s.Messages(); len(got) != 1 || got[0].Text != "two" || got[0].Edits != 1 || got[0].TS != ts || got[0].Channel != "C1" {
		t.Errorf("kept %+v", got)
	}
	form.Set("channel", "C2")
	for _, method := range []string{"chat.update", "chat.delete"} {
		if _, body := call(method, form); body["error"] != "message_not_found" {
			t.Errorf("%s in another channel: %v", method, body)
		}
	}
	form.Set("channel", "C1")
	if _, body := call("chat.delete", form); body["ok"] != true || len(s.Messages()) != 0 {
		t.Errorf("answered %v, kept %+v", body, s.Messages())
	}
}

func TestThreadsAndPages(t *testing.T) {
	_, call := start(t, Options{})
	_, body := call("chat.postMessage", post("C1", "root"))
	root, _ := body["ts"].(string)
	for _, text := range []string{"a", "b", "c"} {
		form := post("C1", text)
		form.Set("thread_ts", root)
		form.Set("metadata", `{"event_type":"x","event_payload":{"id":"`+text+`"}}`)
		form.Set("client_msg_id", "id-"+text)
		call("chat.postMessage", form)
	}
	call("chat.postMessage", post("C1", "other"))
	texts := func(method string, more url.Values) (out []string, next string) {
		form := post("C1", "")
		for k, v := range more {
			form[k] = v
		}
		_, body := call(method, form)
		list, _ := body["messages"].([]any)
		for _, m := range list {
			o, _ := m.(map[string]any)
			out = append(out, o["text"].(string))
			if (o["metadata"] != nil) != (more.Get("include_all_metadata") != "" && o["thread_ts"] != nil) {
				t.Errorf("metadata of %v", o)
			}
		}
		meta, _ := body["response_metadata"].(map[string]any)
		next, _ = meta["next_cursor"].(string)
		return out, next
	}
	for _, c := range []struct {
		method     string
		form       url.Values
		want, next string
	}{
		{"conversations.history", nil, "other root", ""},
		{"conversations.history", url.Values{"oldest": {root}}, "other", ""},
		{"conversations.history", url.Values{"latest": {root}, "inclusive": {"1"}}, "root", ""},
		{"conversations.replies", url.Values{"ts": {root}, "include_all_metadata": {"1"}}, "root a b c", ""},
		{"conversations.replies", url.Values{"ts": {root}, "limit": {"3"}}, "root a b", "3"},
		{"conversations.replies", url.Values{"ts": {root}, "limit": {"3"}, "cursor": {"3"}}, "c", ""},
		{"conversations.replies", url.Values{"ts": {"1.0"}}, "", ""},
	} {
		if got, next := texts(c.method, c.form); strings.Join(got, " ") != c.want || next != c.next {
			t.Errorf("%s %v: %q, next %q; want %q, %q", c.method, c.form, got, next, c.want, c.next)
		}
	}
	form := post("C1", "lost")
	form.Set("thread_ts", "1.0")
	if _, body := call("chat.postMessage", form); body["error"] != "thread_not_found" {
		t.Errorf("answered %v", body)
	}
}

func TestScopesAndChannels(t *testing.T) {
	_, call := start(t, Options{Scopes: []string{"chat:write", "channels:read"}, Channels: []string{"C1=general"}})
	resp, body := call("conversations.list", post("", ""))
	if list, _ := body["channels"].([]any); len(list) != 1 || resp.Header.Get("X-OAuth-Scopes") != "chat:write,channels:read" {
		t.Errorf("answered %v, header %v", body, resp.Header)
	}
	if _, body := call("conversations.history", post("C1", "")); body["error"] != "missing_scope" || body["needed"] != "channels:history" {
		t.Errorf("answered %v", body)
	}
	if _, body := call("conversations.info", post("C9", "")); body["error"] != "channel_not_found" {
		t.Errorf("answered %v", body)
	}
	if _, body := call("conversations.info", post("C1", "")); body["ok"] != true {
		t.Errorf("answered %v", body)
	}
	form := post("C1", "psst")
	if _, body := call("chat.postEphemeral", form); body["error"] != "user_not_found" {
		t.Errorf("answered %v", body)
	}
	form.Set("user", "U7")
	if _, body := call("chat.postEphemeral", form); body["ok"] != true || body["message_ts"] == nil {
		t.Errorf("answered %v", body)
	}
}

func TestRateLimit(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s, call := start(t, Options{RateLimit: 2, Now: func() time.Time { return now }})
	for _, want := range []int{200, 200, 429, 429} {
		if resp, _ := call("chat.postMessage", post("C1", "x")); resp.StatusCode != want {
			t.Errorf("answered %s, want %d", resp.Status, want)
		}
	}
	if resp, _ := call("chat.postMessage", post("C2", "x")); resp.StatusCode != 200 {
		t.Errorf("another channel: %s", resp.Status)
	}
	now = now.Add(time.Second)
	if resp, _ := call("chat.postMessage", post("C1", "x")); resp.StatusCode != 200 || len(s.Messages()) != 4 {
		t.Errorf("a second later: %s, %d kept", resp.Status, len(s.Messages()))
	}
}

func TestFaultsOfTheLine(t *testing.T) {
	s, call := start(t, Options{})
	s.Fail("chat.postMessage", Fault{Cut: true, Posted: true}, Fault{Status: 502, Body: "<html>"})
	if resp, err := http.PostForm(s.URL()+"chat.postMessage", post("C1", "x")); err == nil {
		resp.Body.Close()
		t.Errorf("answered %s", resp.Status)
	}
	resp, err := http.PostForm(s.URL()+"chat.postMessage", post("C1", "y"))
	if err != nil || resp.StatusCode != 502 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("answered %v, %v", resp, err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if _, body := call("auth.test", post("", "")); body["ok"] != true || len(s.Messages()) != 1 {
		t.Errorf("answered %v, kept %v", body, s.Messages())
	}
}

func TestLayoutLimits(t *testing.T) {
	_, call := start(t, Options{})
	section := func(n int) string {
		return `{"type":"section","text":{"type":"mrkdwn","text":"` + strings.Repeat("x", n) + `"}}`
	}
	many := func(n int, block string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(block+",", n), ",") + "]"
	}
	button := func(label, value int) string {
		return `{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"` + strings.Repeat("x", label) + `"},"value":"` + strings.Repeat("x", value) + `"}]}`
	}
	for _, c := range []struct{ blocks, want string }{
		{many(1, section(3000)), ""},
		{many(1, section(3001)), "invalid_blocks"},
		{many(1, section(0)), "invalid_blocks"},
		{many(50, section(1)), ""},
		{many(51, section(1)), "invalid_blocks"},
		{many(5, section(2900)), "msg_blocks_too_long"},
		{many(1, `{"type":"header","text":{"type":"plain_text","text":"`+strings.Repeat("x", 151)+`"}}`), "invalid_blocks"},
		{many(1, `{"type":"section"}`), "invalid_blocks"},
		{many(1, `{"type":"section","fields":`+many(11, `{"type":"mrkdwn","text":"x"}`)+`}`), "invalid_blocks"},
		{many(1, `{"type":"section","fields":`+many(10, `{"type":"mrkdwn","text":"x"}`)+`}`), ""},
		{many(1, `{"type":"section","fields":[{"type":"mrkdwn","text":"`+strings.Repeat("x", 2001)+`"}]}`), "invalid_blocks"},
		{many(1, `{"type":"context","elements":`+many(11, `{"type":"mrkdwn","text":"x"}`)+`}`), "invalid_blocks"},
		{many(1, `{"type":"context","elements":[{"type":"mrkdwn","text":"x"}]}`), ""},
		{many(1, button(75, 2000)), ""},
		{many(1, button(76, 1)), "invalid_blocks"},
		{many(1, button(1, 2001)), "invalid_blocks"},
		{many(1, `{"type":"divider","block_id":"`+strings.Repeat("x", 256)+`"}`), "invalid_blocks"},
		{many(1, `{"type":"video"}`), "invalid_blocks"},
		{`{`, "invalid_blocks_format"},
	} {
		form := post("C1", "x")
		form.Set("blocks", c.blocks)
		_, body := call("chat.postMessage", form)
		if got, _ := body["error"].(string); got != c.want {
			t.Errorf("%.80s: %q, want %q", c.blocks, got, c.want)
		}
		form = post("C1", "x")
		form.Set("attachments", `[{"color":"#ff0000","blocks":`+c.blocks+`}]`)
		_, body = call("chat.postMessage", form)
		if got, _ := body["error"].(string); (got == "") != (c.want == "") {
			t.Errorf("attached %.80s: %q, want %q", c.blocks, got, c.want)
		}
	}
	form := post("C1", "x")
	form.Set("metadata", "{")
	if _, body := call("chat.postMessage", form); body["error"] != "invalid_metadata_format" {
		t.Errorf("answered %v", body)
	}
}
