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
	client := &http.Client{Transport: &http.Transport{}}
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

func TestRefusalsAreTakenInOrder(t *testing.T) {
	s, call := start(t, Options{})
	s.Refuse(Refusal{Status: 429, Error: "ratelimited", RetryAfter: 3}, Refusal{Error: "is_archived"}, Refusal{Status: 500, Posted: true})
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
	if _, err := New(Options{Addr: s.listen.Addr().String()}); err == nil || !strings.HasPrefix(err.Error(), "cannot simulate Slack: ") {
		t.Errorf("second server on one address: %v", err)
	}
}
