package plugin

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"provision-plugins/shared/model"
)

// recorded is one block of the recorded exchange.
type recorded struct {
	title string // without its time
	text  string
}

// recordedPair is one request to the recorded plugin and its answer.
type recordedPair struct {
	request  string
	response string // empty: the plugin closed the connection
}

var (
	blockHead = regexp.MustCompile(`^--- \[\+[0-9.]+s\] (.*)$`)
	crlfEnd   = strings.NewReplacer(`\r\n`+"\n", "\r\n")
)

// transcript parses the recorded exchange into its blocks.
func transcript(t testing.TB) []recorded {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "wrapper-transcript.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var out []recorded
	for line := range strings.Lines(string(raw)) {
		if m := blockHead.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
			out = append(out, recorded{title: m[1]})
		} else if len(out) > 0 {
			out[len(out)-1].text += line
		}
	}
	if len(out) < 50 {
		t.Fatalf("only %d blocks", len(out))
	}
	return out
}

// pairs lists the requests to the first plugin of the transcript, with their
// answers.
func pairs(t testing.TB) []recordedPair {
	t.Helper()
	var out []recordedPair
	for _, b := range transcript(t) {
		switch {
		case b.title == "EXIT":
			return out
		case strings.HasPrefix(b.title, "INBOUND") && strings.HasSuffix(b.title, "request"):
			out = append(out, recordedPair{request: message(b.text)})
		case strings.HasPrefix(b.title, "INBOUND") && !strings.HasPrefix(b.text, "<closed>"):
			out[len(out)-1].response = message(b.text)
		}
	}
	t.Fatal("the transcript has no end")
	return nil
}

// message turns a block into the bytes that were on the wire. The transcript
// ends each body with one line's end, whether it had one or not; the
// reference's answers had one.
func message(text string) string {
	head, body, _ := strings.Cut(crlfEnd.Replace(text), "\r\n\r\n")
	body = strings.TrimSuffix(body, "\n")
	if strings.HasPrefix(head, "HTTP/") && body != "" {
		body += "\n"
	}
	return head + "\r\n\r\n" + body
}

// parseRequest reads a recorded request. Its length is what is there: paths in
// it were shortened after the recording.
func parseRequest(t testing.TB, text string) (*http.Request, string) {
	t.Helper()
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n\r\n")))
	if err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	req.Header.Del("Content-Length")
	return req, body
}

// parseResponse reads a recorded answer.
func parseResponse(t testing.TB, text string) (int, string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), nil)
	if err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return resp.StatusCode, string(body)
}

// TestRecordedAnswersAreUnderstood replays what the reference plugin answered
// to our host side.
func TestRecordedAnswersAreUnderstood(t *testing.T) {
	understood := 0
	for _, pair := range pairs(t) {
		if pair.response == "" {
			continue
		}
		req, body := parseRequest(t, pair.request)
		if req.Method != http.MethodPost || req.URL.Path != pathAction && req.URL.Path != pathConfig && req.URL.Path != pathPublish {
			continue
		}
		understood++
		status, want := parseResponse(t, pair.response)
		socket, sent := replay(t, pair.response)
		p := process(socket)
		got, err := resend(t, p, req.URL.Path, body)
		switch {
		case status == http.StatusOK && (err != nil || got != strings.TrimSpace(want)):
			t.Errorf("%s: %s, error %v, want %s", body, got, err, want)
		case status != http.StatusOK:
			if diff := cmp.Diff(decodeError(t, want).Messages, model.AsError(err).Messages); err == nil || diff != "" || model.AsError(err).Code != status {
				t.Errorf("%s: error %+v, want %d %s", body, err, status, want)
			}
		}
		if r := <-sent; r.URL.Path != req.URL.Path || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("sent %s %v", r.URL.Path, r.Header)
		}
	}
	if understood < 8 {
		t.Errorf("only %d answers were replayed", understood)
	}
}

// resend sends a recorded body by the host side's methods and returns what came.
func resend(t testing.TB, p *Process, path, body string) (string, error) {
	t.Helper()
	switch path {
	case pathConfig:
		return strings.TrimSpace(jsonOK), p.Config(t.Context(), nil)
	case pathPublish:
		return strings.TrimSpace(jsonOK), p.Publish(t.Context(), &model.Event{Type: "x"})
	}
	a := &model.Action{}
	_ = model.Unmarshal([]byte(body), a) // one recorded body is broken on purpose
	got, err := p.Action(t.Context(), a)
	return string(got), err
}

// replay answers one request with the given bytes.
func replay(t testing.TB, response string) (socket string, sent <-chan *http.Request) {
	t.Helper()
	requests := make(chan *http.Request, 1)
	return fakePlugin(t, func(conn net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		requests <- req
		_, _ = io.WriteString(conn, response)
	}), requests
}

// fakePlugin serves each connection by a function and then closes it.
func fakePlugin(t testing.TB, serve func(net.Conn)) (socket string) {
	t.Helper()
	socket = filepath.Join(shortDir(t), "to")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				serve(conn)
				conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
	return socket
}

// outboundLog records what a plugin sends, as it was on the wire.
type outboundLog struct {
	mu       sync.Mutex // guards the below
	requests []string   // METHOD PATH keys...
	messages []string
}

// ServeHTTP answers as the recording endpoint did.
func (o *outboundLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	line := &model.Line{}
	_ = model.Unmarshal(raw, line)
	o.mu.Lock()
	o.requests = append(o.requests, wireShape(r, string(raw)))
	o.messages = append(o.messages, strings.TrimSpace(line.Level+" "+line.Message))
	o.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
}

// wireShape is what must match of an outbound request.
func wireShape(r *http.Request, body string) string {
	keys := jsonKeys.FindAllString(body, -1)
	return r.Method + " " + r.URL.Path + " " + r.Header.Get("Content-Type") + " " + strings.Join(keys, "")
}

// jsonKeys finds the keys of a log line; no message holds such a thing.
var jsonKeys = regexp.MustCompile(`"(Group|Seq|Time|Service|Principal|Level|File|Line|Message|Data|IgnorePublish)":`)

// TestRecordedRequestsAreMatched drives our plugin side with the recorded
// requests.
func TestRecordedRequestsAreMatched(t *testing.T) {
	log := &outboundLog{}
	socket := serverSocket(t, &http.Server{Handler: log})
	r := newRig(t, func(r *rig) {
		r.from = socket
		r.program.def.HasPublish = false // as the recorded one
	})
	for _, pair := range pairs(t) {
		req, body := parseRequest(t, pair.request)
		status, _, got := replayTo(t, r.client, req, body)
		if pair.response == "" {
			// The reference loses its reply to stop; ours arrives.
			if req.URL.Path != pathStop || status != http.StatusOK {
				t.Errorf("%s: %d %s", req.URL.Path, status, got)
			}
			continue
		}
		wantStatus, want := parseResponse(t, pair.response)
		if status != wantStatus || keysOf(t, got) != keysOf(t, want) || !strings.HasPrefix(want, "{") && got != want {
			t.Errorf("%s %s %s:\n%d %s\nwant %d %s", req.Method, req.URL.Path, body, status, got, wantStatus, want)
		}
	}
	r.awaitEnd(t)
	compareLogs(t, log)
}

// replayTo sends a recorded request.
func replayTo(t testing.TB, c *http.Client, req *http.Request, body string) (int, http.Header, string) {
	t.Helper()
	var headers []string
	for name := range req.Header {
		headers = append(headers, name, req.Header.Get(name))
	}
	return send(t, c, req.Method, req.URL.RequestURI(), body, headers...)
}

var latency = regexp.MustCompile(`lt: +[0-9.]+[nµm]?s`)

// compareLogs compares what the plugin logged with what the reference did.
func compareLogs(t *testing.T, log *outboundLog) {
	t.Helper()
	log.mu.Lock()
	defer log.mu.Unlock()
	want := &outboundLog{}
	for _, b := range transcript(t) {
		if b.title == "EXIT" {
			break
		}
		if !strings.HasPrefix(b.title, "OUTBOUND") || !strings.HasSuffix(b.title, "request") {
			continue
		}
		req, body := parseRequest(t, message(b.text))
		line := &model.Line{}
		if err := model.Unmarshal([]byte(body), line); err != nil {
			t.Fatal(err)
		}
		want.requests = append(want.requests, wireShape(req, body))
		want.messages = append(want.messages, strings.TrimSpace(line.Level+" "+line.Message))
	}
	// The reference exits before its stop request ends; ours ends it.
	want.messages = append(want.messages, "debug API: st: 200 lt: 1ms m: POST "+pathStop)
	shapes := slices.Compact(slices.Sorted(slices.Values(want.requests)))
	if got := slices.Compact(slices.Sorted(slices.Values(log.requests))); !slices.Equal(got, shapes) {
		t.Errorf("outbound requests\n%q, want\n%q", got, shapes)
	}
	if diff := cmp.Diff(wrapperLines(want.messages), wrapperLines(log.messages)); diff != "" {
		t.Errorf("log of the wrapper (-reference +ours):\n%s", diff)
	}
}

// wrapperLines keeps the lines of the wrapper, without times and without what
// config holds: those of the plugin itself are its own affair.
func wrapperLines(messages []string) []string {
	var out []string
	for _, m := range messages {
		m = latency.ReplaceAllString(m, "lt: T")
		m, _, _ = strings.Cut(m, " request:")
		if !strings.HasPrefix(m, "info Action: ") && !strings.HasPrefix(m, "info Config") {
			out = append(out, m)
		}
	}
	return out
}

func TestTranscriptIsWhatItWas(t *testing.T) {
	var titles []string
	for _, b := range transcript(t) {
		if kind, _, _ := strings.Cut(b.title, " "); !slices.Contains(titles, kind) {
			titles = append(titles, kind)
		}
	}
	want := []string{"====", "SPAWN", "STDOUT", "INBOUND(unix", "OUTBOUND(unix", "REST", "EXIT"}
	if diff := cmp.Diff(want, titles); diff != "" {
		t.Error(diff)
	}
	for _, b := range transcript(t) {
		if strings.HasPrefix(b.title, "STDOUT") && strings.TrimSpace(b.text) != readyLine {
			t.Errorf("the reference is ready by %q", b.text)
		}
	}
	if bytes.Contains([]byte(message("A\\r\\n\n\\r\\n\nx\n")), []byte(`\r`)) {
		t.Error("line ends were not restored")
	}
}
