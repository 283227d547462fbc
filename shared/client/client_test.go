package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"provision-plugins/shared/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// onSocket serves h on a unix socket and returns a client of it.
func onSocket(t *testing.T, h http.Handler) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: ln, Config: &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}}
	srv.Start()
	c, err := New(Options{Socket: socket, Token: "t0ken"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); srv.Close() })
	return c
}

// answer is a handler that answers a status and a body.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestRequestOnTheWire(t *testing.T) {
	var got *http.Request
	var body string
	c := onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		got, body = r, string(raw)
		_, _ = io.WriteString(w, `{"Name":"m1","Params":{"n":12345678901234567890}}`)
	}))
	ctx := t.Context()
	calls := []struct {
		name         string
		call         func(out any) error
		method, path string
		body         string
	}{
		{"get", func(out any) error { return c.Get(ctx, "machines/Name:m1", out) }, "GET", "/api/v3/machines/Name:m1", ""},
		{"query", func(out any) error { return c.Get(ctx, "/machines?Name=m1", out) }, "GET", "/api/v3/machines?Name=m1", ""},
		{"escaped", func(out any) error { return c.Get(ctx, Path("machines", "Name:a/b c"), out) }, "GET", "/api/v3/machines/Name:a%2Fb%20c", ""},
		{"post", func(out any) error { return c.Post(ctx, "machines", map[string]string{"Name": "<m1>"}, out) }, "POST", "/api/v3/machines", `{"Name":"<m1>"}`},
		{"put", func(out any) error { return c.Put(ctx, "machines/u", 1, out) }, "PUT", "/api/v3/machines/u", "1"},
		{"patch", func(out any) error { return c.Patch(ctx, "machines/u", []int{}, out) }, "PATCH", "/api/v3/machines/u", "[]"},
		{"delete", func(out any) error { return c.Delete(ctx, "machines/u", out) }, "DELETE", "/api/v3/machines/u", ""},
	}
	for _, tt := range calls {
		t.Run(tt.name, func(t *testing.T) {
			m := &model.Machine{}
			if err := tt.call(m); err != nil {
				t.Fatal(err)
			}
			if got.Method != tt.method || got.RequestURI != tt.path || body != tt.body {
				t.Errorf("got %s %s %s", got.Method, got.RequestURI, body)
			}
			if got.Header.Get("Authorization") != "Bearer t0ken" || got.Header.Get("Accept") != "application/json" {
				t.Errorf("headers are %v", got.Header)
			}
			if n, _ := m.Params["n"].(json.Number); m.Name != "m1" || n != "12345678901234567890" {
				t.Errorf("answer is %+v", m)
			}
		})
	}
}

func TestReplies(t *testing.T) {
	c := onSocket(t, answer(200, ""))
	var m model.Machine
	if err := c.Get(t.Context(), "x", &m); err != nil {
		t.Errorf("an empty body: %v", err)
	}
	c = onSocket(t, answer(200, "<html>"))
	if err := c.Get(t.Context(), "x", nil); err != nil {
		t.Errorf("a discarded body: %v", err)
	}
	err := c.Get(t.Context(), "x", &m)
	if model.KindOf(err) != model.Internal || !strings.Contains(err.Error(), "cannot read answer of endpoint "+c.Where()+" to GET x") {
		t.Errorf("a body that is not JSON: %v", err)
	}
	if err := c.Post(t.Context(), "x", 1, &m); model.KindOf(err) != model.UnknownOutcome {
		t.Errorf("a body that is not JSON, after a change: %v", err)
	}
	var raw json.RawMessage
	if err := c.Get(t.Context(), "x", &raw); model.KindOf(err) != model.Internal {
		t.Errorf("a raw body that is not JSON: %v", err)
	}
	for command, kind := range map[string]model.Kind{model.PowerCycle: model.UnknownOutcome, model.PowerStatus: model.Internal} {
		_, err := c.Invoke(t.Context(), ActionRequest{Prefix: "machines", Key: "u", Command: command})
		if model.KindOf(err) != kind || !strings.Contains(err.Error(), "not JSON") {
			t.Errorf("%s answered by a page: %v", command, err)
		}
	}
	c = onSocket(t, answer(200, "\"on\"\n"))
	if err := c.Get(t.Context(), "x", &raw); err != nil || string(raw) != `"on"` {
		t.Errorf("raw: %s, %v", raw, err)
	}
}

// TestSilentEndpoint asks an endpoint that takes requests and never answers:
// requests about objects end by themselves, those that run an action with
// their callers.
func TestSilentEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Options{Socket: "s"})
		if err != nil {
			t.Fatal(err)
		}
		c.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			return ours, nil
		}
		began := time.Now()
		err = c.Get(t.Context(), "machines", nil)
		if model.KindOf(err) != model.Timeout || time.Since(began) != replyTimeout || err.Error() != "timeout: no answer from endpoint s to GET machines: waited 1m0s" {
			t.Errorf("get after %v: %v", time.Since(began), err)
		}
		if err := c.Patch(t.Context(), "machines/u", 1, nil); model.KindOf(err) != model.UnknownOutcome {
			t.Errorf("patch: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began = time.Now()
		_, err = c.Invoke(ctx, ActionRequest{Prefix: "machines", Key: "u", Command: model.PowerCycle})
		if model.KindOf(err) != model.UnknownOutcome || time.Since(began) != time.Hour {
			t.Errorf("an action after %v: %v", time.Since(began), err)
		}
	})
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		header     string
		kind       model.Kind
		text       string
		after      time.Duration
	}{
		{"kind kept", `{"Model":"machines","Key":"m7","Type":"device-auth","Messages":["refused"],"Code":424}`, 424, "", model.DeviceAuth, "device-auth: machines/m7: refused", 0},
		{"unknown outcome is not a timeout", `{"Type":"unknown-outcome","Messages":["x"],"Code":504}`, 504, "", model.UnknownOutcome, "unknown-outcome: x", 0},
		{"reference style", `{"Model":"machines","Key":"john","Type":"GET","Messages":["Not Found"],"Code":404}`, 404, "", model.NotFound, "GET: machines/john: Not Found", 0},
		{"retry after", `{"Type":"busy","Messages":["x"],"Code":429}`, 429, "7", model.Busy, "busy: x", 7 * time.Second},
		{"code 0", `{"Type":"rpc","Messages":["x"]}`, 501, "", model.Unsupported, "rpc: x", 0},
		{"not JSON", `<html>`, 502, "", model.Unreachable, "answered 502 Bad Gateway to GET x", 0},
		{"empty", ``, 401, "", model.Forbidden, "answered 401 Unauthorized to GET x", 0},
		{"redirect", ``, 307, "", model.Internal, "answered 307 Temporary Redirect to GET x", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tt.header != "" {
					w.Header().Set("Retry-After", tt.header)
				}
				answer(tt.status, tt.body)(w, r)
			}))
			err := c.Get(t.Context(), "x", nil)
			var e *model.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if e.Kind() != tt.kind || !strings.Contains(e.Error(), tt.text) || e.RetryAfter != tt.after || e.Code != tt.status {
				t.Errorf("got %v (kind %s, code %d, retry after %s)", e, e.Kind(), e.Code, e.RetryAfter)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := map[string]time.Duration{
		"": 0, "0": 0, "30": 30 * time.Second, "-1": 0, "soon": 0, "9999999": time.Hour, "99999999999999": 0,
		now.Add(9 * time.Second).Format(http.TimeFormat):  9 * time.Second,
		now.Add(-9 * time.Second).Format(http.TimeFormat): 0,
	}
	for value, want := range tests {
		if got := retryAfter(value, now); got != want {
			t.Errorf("retryAfter(%q) = %s, want %s", value, got, want)
		}
	}
}

// refusedSocket is the path of a socket that nobody listens on any more.
func refusedSocket(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	return path
}

func TestRefusedReadIsTriedAgain(t *testing.T) {
	path := refusedSocket(t)
	tries := make(chan string, 100)
	c, err := New(Options{Socket: path, Logger: chanLogger(tries)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Get(t.Context(), "info", nil) }()
	<-tries // refused once: now let it in
	ln, err := net.Listen("unix", path+"2")
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: ln, Config: &http.Server{Handler: answer(200, "{}")}}
	srv.Start()
	defer srv.Close()
	if err := os.Rename(path+"2", path); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("got %v", err)
	}
	c.Close()
}

func TestRefusedForGood(t *testing.T) {
	tries := make(chan string, 100)
	c, err := New(Options{Socket: refusedSocket(t), Logger: chanLogger(tries)})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Get(t.Context(), "info", nil)
	if model.KindOf(err) != model.Unreachable || len(tries) != len(backoff) {
		t.Errorf("got %v after %d tries", err, len(tries))
	}
	if !strings.Contains(err.Error(), "cannot reach endpoint "+c.Where()+": connection refused") {
		t.Errorf("got %v", err)
	}
	for name, call := range map[string]func() error{
		"post":   func() error { return c.Post(t.Context(), "x", 1, nil) },
		"put":    func() error { return c.Put(t.Context(), "x", 1, nil) },
		"patch":  func() error { return c.Patch(t.Context(), "x", 1, nil) },
		"delete": func() error { return c.Delete(t.Context(), "x", nil) },
	} {
		before := len(tries)
		if err := call(); model.KindOf(err) != model.Unreachable || len(tries) != before {
			t.Errorf("%s: got %v, and %d more tries", name, err, len(tries)-before)
		}
	}
}

func TestBackoffEndsWithContext(t *testing.T) {
	tries := make(chan string, 100)
	c, err := New(Options{Socket: refusedSocket(t), Logger: chanLogger(tries)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Get(ctx, "info", nil) }()
	<-tries
	cancel()
	if err := <-done; err == nil {
		t.Error("got no error")
	}
}

func TestLostReplies(t *testing.T) {
	var served atomic.Int32
	c := onSocket(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		served.Add(1)
		panic(http.ErrAbortHandler) // the connection is cut without an answer
	}))
	err := c.Post(t.Context(), "x", 1, nil)
	if model.KindOf(err) != model.UnknownOutcome || served.Load() != 1 {
		t.Errorf("post: %v, served %d times", err, served.Load())
	}
	if err := c.Get(t.Context(), "x", nil); model.KindOf(err) != model.Unreachable {
		t.Errorf("get: %v", err)
	}
	_, err = c.Invoke(t.Context(), ActionRequest{Prefix: "machines", Key: "u", Command: model.PowerCycle})
	if model.KindOf(err) != model.UnknownOutcome {
		t.Errorf("powercycle: %v", err)
	}
	_, err = c.Invoke(t.Context(), ActionRequest{Prefix: "machines", Key: "u", Command: model.PowerStatus})
	if model.KindOf(err) != model.Unreachable {
		t.Errorf("powerstatus: %v", err)
	}
}

func TestDeadline(t *testing.T) {
	release := make(chan struct{})
	c := onSocket(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server sees the client go
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer close(release)
	tooLong := errors.New("waited long enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, tooLong)
	defer cancel()
	if err := c.Get(ctx, "x", nil); model.KindOf(err) != model.Timeout || !errors.Is(err, tooLong) {
		t.Errorf("get: %v", err)
	}
	ctx, cancel = context.WithTimeoutCause(t.Context(), 20*time.Millisecond, tooLong)
	defer cancel()
	if err := c.Post(ctx, "x", 1, nil); model.KindOf(err) != model.UnknownOutcome || !errors.Is(err, tooLong) {
		t.Errorf("post: %v", err)
	}
}

func TestInvoke(t *testing.T) {
	var uri, body string
	c := onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		uri, body = r.RequestURI, string(raw)
		w.Header().Set(RunHeader, "run-1")
		answer(202, `{"outcome":"accepted","run":"run-1","tookMs":0}`)(w, r)
	}))
	tests := []struct {
		request   ActionRequest
		uri, body string
	}{
		{ActionRequest{Prefix: "machines", Key: "u", Command: "poweron"}, "/api/v3/machines/u/actions/poweron", "{}"},
		{ActionRequest{Command: "scan", Params: model.Params{"a": 1}}, "/api/v3/system/actions/scan", `{"a":1}`},
		{ActionRequest{Prefix: "machines", Key: "u", Command: "x", Plugin: "p q", OverrideProtected: true}, "/api/v3/machines/u/actions/x?override-protected=true&plugin=p+q", "{}"},
	}
	for _, tt := range tests {
		rep, err := c.Invoke(t.Context(), tt.request)
		if err != nil || rep.Run != "run-1" || rep.Status != 202 || !strings.Contains(string(rep.Result), "accepted") {
			t.Errorf("%+v: got %+v, %v", tt.request, rep, err)
		}
		if uri != tt.uri || body != tt.body {
			t.Errorf("%+v: sent %s %s", tt.request, uri, body)
		}
	}
	c = onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(RunHeader, "run-2")
		answer(504, `{"Type":"unknown-outcome","Messages":["x"],"Code":504}`)(w, r)
	}))
	rep, err := c.Invoke(t.Context(), ActionRequest{Command: "x"})
	if model.KindOf(err) != model.UnknownOutcome || rep == nil || rep.Run != "run-2" || rep.Status != 504 {
		t.Errorf("a refusal: %+v, %v", rep, err)
	}
	_, err = c.Invoke(t.Context(), ActionRequest{Params: model.Params{"f": func() {}}})
	if model.KindOf(err) != model.Invalid {
		t.Errorf("a param that cannot be encoded: %v", err)
	}
}

func TestBadRequests(t *testing.T) {
	c := onSocket(t, answer(200, ""))
	for _, path := range []string{"http://elsewhere/x", "%zz"} {
		if err := c.Get(t.Context(), path, nil); model.KindOf(err) != model.Invalid {
			t.Errorf("Get(%q): %v", path, err)
		}
	}
	if err := c.Post(t.Context(), "x", func() {}, nil); model.KindOf(err) != model.Invalid {
		t.Errorf("got %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca")
	if err := os.WriteFile(notPEM, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		o    Options
		text string
	}{
		{Options{}, "is not a URL"},
		{Options{Endpoint: "host:8092"}, "is not a URL"},
		{Options{Endpoint: "ftp://host"}, "is not a URL"},
		{Options{Endpoint: "http://host:8092"}, "plain http"},
		{Options{Endpoint: "https://u:s3cret@host"}, "only scheme"},
		{Options{Endpoint: "https://host/?a=b"}, "only scheme"},
		{Options{Endpoint: "https://host", CAFile: "/does/not/exist"}, "cannot read CA file"},
		{Options{Endpoint: "https://host", CAFile: notPEM}, "no PEM certificate"},
		{Options{Endpoint: "https://host", Fingerprint: "abcd"}, "not a SHA-256"},
		{Options{Endpoint: "https://host", Fingerprint: strings.Repeat("x", 64)}, "not a SHA-256"},
	}
	for _, tt := range tests {
		_, err := New(tt.o)
		if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("New(%+v): %v, want %q", tt.o, err, tt.text)
		}
	}
}

func TestVerification(t *testing.T) {
	srv := httptest.NewUnstartedServer(answer(200, "{}"))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	cert := srv.Certificate()
	sum := sha256.Sum256(cert.Raw)
	pin := hex.EncodeToString(sum[:])
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	// Not loopback by its name; dialled to the server all the same.
	const remote = "https://example.com"
	tests := []struct {
		name string
		o    Options
		ok   bool
	}{
		{"loopback, nothing given", Options{Endpoint: srv.URL}, true},
		{"loopback, wrong pin", Options{Endpoint: srv.URL, Fingerprint: strings.Repeat("00", 32)}, false},
		{"system roots", Options{Endpoint: remote}, false},
		{"CA file", Options{Endpoint: remote, CAFile: ca}, true},
		{"pin", Options{Endpoint: remote, Fingerprint: pin}, true},
		{"pin as openssl prints it", Options{Endpoint: remote, Fingerprint: colons(strings.ToUpper(pin))}, true},
		{"wrong pin beside a right CA", Options{Endpoint: remote, CAFile: ca, Fingerprint: strings.Repeat("00", 32)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := New(tt.o)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return c.dial(ctx, "tcp", srv.Listener.Addr().String())
			}
			err = c.Get(t.Context(), "info", nil)
			if (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
			if err != nil && model.KindOf(err) != model.Unreachable {
				t.Errorf("got kind %s", model.KindOf(err))
			}
		})
	}
}

// colons writes hex as openssl does.
func colons(h string) string {
	var pairs []string
	for i := 0; i < len(h); i += 2 {
		pairs = append(pairs, h[i:i+2])
	}
	return strings.Join(pairs, ":")
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true,
		"localhost.example.org": false, "10.0.0.1": false, "": false, "127.0.0.1.nip.io": false,
	} {
		if loopback(host) != want {
			t.Errorf("loopback(%q) = %v", host, !want)
		}
	}
}
