package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// post posts a message to a simulated Slack and returns the answer.
func post(t *testing.T, api, text string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.PostForm(api+"chat.postMessage", url.Values{"token": {"x"}, "channel": {"ops"}, "text": {text}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestSimSlackPrintsWhatIsPosted(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		a, _, _ := testApp("")
		out, in := io.Pipe()
		a.stdout, a.flags.json = in, asJSON
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan int, 1)
		go func() {
			done <- run(ctx, a, append([]string{"sim", "slack"}, map[bool][]string{true: {"--json"}}[asJSON]...))
			in.Close()
		}()
		lines := bufio.NewScanner(out)
		lines.Scan()
		api := lines.Text()
		if asJSON {
			var line struct{ URL string }
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				t.Errorf("printed %q: %v", lines.Text(), err)
			}
			api = line.URL
		}
		for i := range 3 {
			post(t, api, fmt.Sprintf("message\n%d", i))
			lines.Scan()
			want := fmt.Sprintf("ops: message %d", i)
			if asJSON {
				want = fmt.Sprintf(`{"Channel":"ops","Text":"message\n%d","TS":`, i)
			}
			if !strings.HasPrefix(lines.Text(), want) {
				t.Errorf("printed %q, want %q", lines.Text(), want)
			}
		}
		edit(t, api, lines, asJSON)
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

// edit posts a message, answers in its thread and edits it, and looks at what is
// printed of that.
func edit(t *testing.T, api string, lines *bufio.Scanner, asJSON bool) {
	t.Helper()
	call := func(method string, form url.Values) (ts string) {
		form.Set("token", "x")
		form.Set("channel", "ops")
		resp, err := http.PostForm(api+method, form)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body struct{ TS string }
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		lines.Scan()
		return body.TS
	}
	root := call("chat.postMessage", url.Values{"text": {"down"}})
	call("chat.postMessage", url.Values{"text": {"why"}, "thread_ts": {root}})
	if want := "ops > " + root + ": why"; !asJSON && lines.Text() != want {
		t.Errorf("printed %q, want %q", lines.Text(), want)
	}
	call("chat.update", url.Values{"text": {"up"}, "ts": {root}})
	want := "ops: (edit of " + root + ") up"
	if asJSON {
		want = `{"Channel":"ops","Text":"up","TS":"` + root + `","Edits":1}`
	}
	if lines.Text() != want {
		t.Errorf("printed %q, want %q", lines.Text(), want)
	}
}

func TestBMCOptions(t *testing.T) {
	tests := []struct {
		name string
		o    simBMCOptions
		want bmc.Options
	}{
		{"least", simBMCOptions{count: 1, cycleOff: time.Second}, bmc.Options{Count: 1, CycleOff: time.Second}},
		{"no time off", simBMCOptions{count: 1}, bmc.Options{Count: 1, CycleOff: -1}},
		{"all", simBMCOptions{count: 3, host: "127.1.2.3", port: 623, username: "u", passwordFile: "-", powerDelay: time.Second, cycleOff: time.Minute, on: true},
			bmc.Options{Count: 3, Host: netip.MustParseAddr("127.1.2.3"), Port: 623, Username: "u", Password: "hunter2", PowerDelay: time.Second, CycleOff: time.Minute, On: true}},
	}
	for _, tt := range tests {
		a, _, _ := testApp("hunter2\n")
		got, err := a.bmcOptions(tt.o)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, %v", tt.name, got, err)
		}
	}
	for _, o := range []simBMCOptions{{}, {count: -1}, {count: 1, host: "h"}, {count: 1, passwordFile: "/does/not/exist"}} {
		a, _, _ := testApp("")
		if _, err := a.bmcOptions(o); exitCode(err) != 2 {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestSimSlackTakesOneToken posts with another token than the file's.
func TestSimSlackTakesOneToken(t *testing.T) {
	a, _, _ := testApp("hunter2\n")
	out, in := io.Pipe()
	a.stdout = in
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, a, []string{"sim", "slack", "--bot-token-file", "-"})
		in.Close()
	}()
	lines := bufio.NewScanner(out)
	lines.Scan()
	api := lines.Text()
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with in
	if got := post(t, api, "x"); !strings.Contains(got, "invalid_auth") {
		t.Errorf("another token: %s", got)
	}
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestSimAddressTaken starts simulators where somebody else listens.
func TestSimAddressTaken(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	_, port, _ := strings.Cut(udp.LocalAddr().String(), ":")
	for line, want := range map[string]string{
		"sim bmc --host 127.0.0.1 --port " + port:   "address already in use; choose another by --port or --host\n",
		"sim slack --listen " + tcp.Addr().String(): "address already in use; choose another by --listen\n",
	} {
		stdout, stderr, code := runLine(t.Context(), line)
		if code != model.Conflict.Info().Exit || stdout != "" || !strings.HasPrefix(stderr, "Error: cannot simulate ") || !strings.HasSuffix(stderr, want) {
			t.Errorf("%s: exit code %d, %s%s", line, code, stdout, stderr)
		}
	}
}

func TestUnlessEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	other := errors.New("other")
	if err := unlessEnded(ctx, context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("before the end: %v", err)
	}
	cancel()
	if err := unlessEnded(ctx, fmt.Errorf("waiting: %w", context.Canceled)); err != nil {
		t.Errorf("after the end: %v", err)
	}
	if err := unlessEnded(ctx, other); !errors.Is(err, other) {
		t.Errorf("another error: %v", err)
	}
}

func TestSimCannotPrint(t *testing.T) {
	for _, args := range [][]string{{"sim", "slack"}, {"sim", "bmc"}, {"sim", "bmc", "--json"}} {
		a, _, stderr := testApp("")
		a.stdout = brokenWriter{}
		if code := run(t.Context(), a, args); code != model.Internal.Info().Exit || !strings.HasPrefix(stderr.String(), "Error: cannot simulate ") && !strings.Contains(stderr.String(), "\nError: cannot ") {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
}
