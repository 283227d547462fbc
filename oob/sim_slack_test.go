package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"provision-plugins/sim/slack"
)

// slackRun is an "oob sim slack" that runs in this process.
type slackRun struct {
	t      *testing.T
	api    string
	typed  *io.PipeWriter
	lines  *bufio.Scanner
	stderr interface{ String() string }
	end    func() int
}

// simulateSlack runs "oob sim slack" and reads its address.
func simulateSlack(t *testing.T, args ...string) *slackRun {
	t.Helper()
	a, _, stderr := testApp("")
	in, typed := io.Pipe()
	printed, out := io.Pipe()
	a.stdin, a.stdout = in, out
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, a, append([]string{"sim", "slack"}, args...))
		out.Close()
	}()
	s := &slackRun{t: t, typed: typed, lines: bufio.NewScanner(printed), stderr: stderr}
	s.end = func() int {
		typed.Close()
		cancel()
		// What is still printed has no reader otherwise.
		_, _ = io.Copy(io.Discard, printed)
		return <-done
	}
	t.Cleanup(func() { typed.Close(); cancel(); printed.Close() })
	s.api = s.line()
	return s
}

// line is the next line that is printed.
func (s *slackRun) line() string {
	s.t.Helper()
	if !s.lines.Scan() {
		s.t.Fatalf("nothing is printed any more: %v", s.lines.Err())
	}
	return s.lines.Text()
}

// want reads lines; a time of day in them is written as 00:00:00.
func (s *slackRun) want(lines ...string) {
	s.t.Helper()
	for _, want := range lines {
		got := []byte(s.line())
		for i := 0; i+8 <= len(got); i++ {
			if _, err := time.Parse(time.TimeOnly, string(got[i:i+8])); err == nil {
				copy(got[i:], "00:00:00")
			}
		}
		if string(got) != want {
			s.t.Fatalf("printed %q, want %q", got, want)
		}
	}
}

// enter types lines.
func (s *slackRun) enter(lines ...string) {
	s.t.Helper()
	for _, line := range lines {
		if _, err := io.WriteString(s.typed, line+"\n"); err != nil {
			s.t.Fatal(err)
		}
	}
}

// call calls a method and returns the answer.
func (s *slackRun) call(method string, form url.Values) (body struct{ TS, Error, URL string }) {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if form.Get("token") == "" {
		form.Set("token", "x")
	}
	resp, err := client.PostForm(s.api+method, form)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		s.t.Fatal(err)
	}
	return body
}

// app connects by Socket Mode and answers each envelope: the payload is what
// answer makes of its type and payload.
func (s *slackRun) app(answer func(kind string, payload map[string]any) any) {
	s.t.Helper()
	conn, resp, err := websocket.DefaultDialer.Dial(s.call("apps.connections.open", url.Values{"token": {"xapp-1"}}).URL, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	ended := make(chan struct{})
	s.t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	if _, _, err := conn.ReadMessage(); err != nil { // hello
		s.t.Fatal(err)
	}
	go func() {
		defer close(ended)
		for {
			var e struct {
				Type    string         `json:"type"`
				ID      string         `json:"envelope_id"`
				Payload map[string]any `json:"payload"`
			}
			if conn.ReadJSON(&e) != nil || e.ID == "" {
				return
			}
			if conn.WriteJSON(map[string]any{"envelope_id": e.ID, "payload": answer(e.Type, e.Payload)}) != nil {
				return
			}
		}
	}()
}

func TestSimSlackPrintsWhatIsPosted(t *testing.T) {
	s := simulateSlack(t, "--channel", "C1=ops")
	root := s.call("chat.postMessage", url.Values{"channel": {"ops"}, "text": {"m1 is *down*\n&lt;why&gt;"}}).TS
	s.want("[1] #ops 00:00:00 oob:", "    m1 is *down*", "    <why>")
	s.call("chat.postMessage", url.Values{"channel": {"C1"}, "text": {"fan \x1b[2J"}, "thread_ts": {root}})
	s.want("[2] #ops > [1] 00:00:00 oob:", "    fan \ufffd[2J")
	s.call("chat.update", url.Values{"channel": {"C1"}, "text": {"up"}, "ts": {root}})
	s.want("[1] #ops 00:00:00 oob (edited):", "    up")
	s.enter("show")
	s.want("#ops", "00:00:00 oob (edited):", "    up", "    00:00:00 oob:", "        fan \ufffd[2J")
	if code := s.end(); code != 0 {
		t.Errorf("exit code %d, %s", code, s.stderr)
	}
}

func TestSimSlackPrintsJSON(t *testing.T) {
	a, _, _ := testApp("")
	out, in := io.Pipe()
	a.stdout = in
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, a, []string{"sim", "slack", "--json"})
		in.Close()
	}()
	s := &slackRun{t: t, lines: bufio.NewScanner(out)}
	var first struct{ URL string }
	if err := json.Unmarshal([]byte(s.line()), &first); err != nil {
		t.Fatal(err)
	}
	s.api = first.URL
	s.call("chat.postMessage", url.Values{"channel": {"ops"}, "text": {"a\nb"}})
	if got, want := s.line(), `{"Channel":"ops","Text":"a\nb","TS":`; !strings.HasPrefix(got, want) {
		t.Errorf("printed %s, want %s", got, want)
	}
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestSimSlackPeople types what people do, and an app answers it.
func TestSimSlackPeople(t *testing.T) {
	s := simulateSlack(t, "--channel", "C1=ops", "--user", "U1=alice", "--user", "U2=bob", "--group", "S1=oncall:U1,U2", "--ack-timeout", "20s")
	view := `{"type":"modal","title":{"type":"plain_text","text":"Sure?"},"submit":{"type":"plain_text","text":"Cycle"},"blocks":[` +
		`{"type":"input","block_id":"b","label":{"type":"plain_text","text":"Type the name"},"element":{"type":"plain_text_input","action_id":"name"}}]}`
	s.app(func(kind string, p map[string]any) any {
		switch p["type"] {
		case nil: // a slash command
			return map[string]any{"response_type": "in_channel", "blocks": []any{
				map[string]any{"type": "section", "text": map[string]any{"type": "mrkdwn", "text": kind + " of <@" + p["user_id"].(string) + ">: " + p["text"].(string)}},
				map[string]any{"type": "actions", "elements": []any{map[string]any{"type": "button", "action_id": "go", "text": map[string]any{"type": "plain_text", "text": "Go on"}}}},
			}}
		case "block_actions":
			trigger, _ := p["trigger_id"].(string)
			s.call("views.open", url.Values{"trigger_id": {trigger}, "view": {view}})
		case "view_submission":
			raw, _ := json.Marshal(p["view"].(map[string]any)["state"])
			if !strings.Contains(string(raw), `"value":"m1"`) {
				return map[string]any{"response_action": "errors", "errors": map[string]any{"b": "That is not it."}}
			}
			s.call("chat.postMessage", url.Values{"channel": {"C1"}, "text": {"cycled"}})
		}
		return nil
	})
	s.enter("/metal power cycle m1")
	s.want("[1] #ops 00:00:00 oob:", "    slash_commands of @alice: power cycle m1", "    [Go on]")
	s.enter("as bob", "click go on")
	s.want("before @bob: Sure?", "    Type the name: [name]", "    [Cycle]")
	s.enter("submit m2")
	s.want("before @bob: Sure?", "    Type the name: [name]", "    ! That is not it.", "    [Cycle]")
	s.enter("submit name=m1")
	s.want("[2] #ops 00:00:00 oob:", "    cycled")
	s.enter("fault chat.postMessage 500", "complaints", "help", "show #ops")
	s.want("#ops")
	if got := s.call("chat.postMessage", url.Values{"channel": {"C1"}, "text": {"x"}}).Error; got != "internal_error" {
		t.Errorf("answered %q", got)
	}
	if code := s.end(); code != 0 || !strings.Contains(s.stderr.String(), "faults: 200-html, ") {
		t.Errorf("exit code %d, %s", code, s.stderr)
	}
}

// TestSimSlackWithoutApp types a command that nobody takes.
func TestSimSlackWithoutApp(t *testing.T) {
	s := simulateSlack(t)
	s.enter("", "in here", "/metal status")
	s.want("[1] #here 00:00:00 slackbot, to @u1 alone:", "    /metal failed: the app did not respond ("+slack.NotConnected+")")
	if code := s.end(); code != 0 {
		t.Errorf("exit code %d, %s", code, s.stderr)
	}
}

// TestSimSlackTypedWrong types what cannot be done.
func TestSimSlackTypedWrong(t *testing.T) {
	sim, err := slack.New(slack.Options{Channels: []string{"C1"}, Users: []slack.User{{ID: "U1"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	a, _, _ := testApp("")
	d := newSlackDesk(a, sim, slack.Options{Channels: []string{"C1"}, Users: []slack.User{{ID: "U1"}}})
	for line, want := range map[string]string{
		"dance":                  "type help",
		"click Go":               `no button "Go"`,
		"click 3 Go":             `no button "Go"`,
		"submit x":               "no view is open",
		"dismiss":                "no view is open",
		"as carol":               `no user "carol"`,
		"as":                     "no user",
		"in":                     "name a channel",
		"fault chat.update lazy": "is no fault",
	} {
		if err := d.do(t.Context(), line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
	if err := d.in(t.Context(), "nowhere"); err != nil {
		t.Error(err)
	}
	if err := d.do(t.Context(), "/metal"); err == nil {
		t.Error("a command was typed in a channel that is not there")
	}
	for _, line := range []string{"revoke", "revoke off", "disconnect warning", "drop", "fault chat.update off", "", "complaints"} {
		if err := d.do(t.Context(), line); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestSimSlackFlags(t *testing.T) {
	for line, want := range map[string]string{
		"--group S1":                         "is not as S1=oncall:U1,U2",
		"--group S1=oncall":                  "is not as S1=oncall:U1,U2",
		"--group =oncall:U1":                 "is not as S1=oncall:U1,U2",
		"--rate-limit -1":                    "must not be negative",
		"--ack-timeout -1s":                  "must not be negative",
		"--app-token-file /does/not/exist":   "--app-token-file: ",
		"--bot-token-file /does/not/exist/2": "--bot-token-file: ",
	} {
		_, stderr, code := runLine(t.Context(), "sim slack "+line)
		if code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %s", line, code, stderr)
		}
	}
}

// TestSimSlackTakesOneToken posts with another token than the file's.
func TestSimSlackTakesOneToken(t *testing.T) {
	a, _, _ := testApp("hunter2\n")
	o := simSlackOptions{botFile: "-"}
	if err := a.simSlackOptions(&o); err != nil || o.Token != "hunter2" {
		t.Errorf("token %q, %v", o.Token, err)
	}
	sim, err := slack.New(o.Options)
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	s := &slackRun{t: t, api: sim.URL()}
	if got := s.call("chat.postMessage", url.Values{"channel": {"C1"}, "text": {"x"}}); got.Error != "invalid_auth" {
		t.Errorf("another token: %+v", got)
	}
}
