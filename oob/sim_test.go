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
	"net/url"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// post posts a message to a simulated Slack.
func post(t *testing.T, api, text string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.PostForm(api+"chat.postMessage", url.Values{"token": {"x"}, "channel": {"ops"}, "text": {text}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
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
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("exit code %d", code)
		}
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
