package plugin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// console is a plugin with an API.
type console struct{ Base }

// Config takes everything.
func (console) Config(context.Context, *client.Client, model.Params) error { return nil }

// Handler shows what came, or misbehaves.
func (console) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/plugin-apis/con/", func(w http.ResponseWriter, r *http.Request) {
		p, ok := PrincipalOf(r.Context())
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %v %v auth=%q signed=%q body=%d %v", r.Method, r.RequestURI, p.Name, p.Claims, ok,
			r.Header.Get("Authorization"), r.Header.Get(headerSignature), len(body), err)
	})
	mux.HandleFunc("/plugin-apis/con/unread", http.NotFound)
	mux.HandleFunc("/plugin-apis/con/panic", func(http.ResponseWriter, *http.Request) { panic("at the console") })
	mux.HandleFunc("/plugin-apis/con/half", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "half")
		w.(http.Flusher).Flush()
		panic("in mid-answer")
	})
	mux.HandleFunc("/plugin-apis/con/ws", func(w http.ResponseWriter, r *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		defer context.AfterFunc(r.Context(), func() { conn.Close() })()
		for {
			kind, raw, err := conn.ReadMessage()
			if err != nil {
				return
			}
			if conn.WriteMessage(kind, append([]byte("echo "), raw...)) != nil {
				return
			}
		}
	})
	return mux
}

// pipeOf is the number of a descriptor from which data can be read.
func pipeOf(t testing.TB, data []byte) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(int(r.Fd())) // whoever reads it closes it
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(fd)
}

// proxied is a console behind its host's proxy, as a browser sees it.
func proxied(t testing.TB, as Principal) (*rig, *Process, *httptest.Server) {
	t.Helper()
	key := newKey()
	t.Setenv(EnvPrincipalKey, pipeOf(t, key))
	r := newRig(t, func(r *rig) {
		r.program = newProgram("console", "v1", &model.PluginProvider{}, console{})
		r.program.timing = fastTiming()
	})
	p := process(r.socket)
	p.key = key
	if err := p.Config(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if status, body := r.post(t, pathConfig, `{"Name":"con"}`); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	outside := httptest.NewServer(p.Proxy(as))
	t.Cleanup(outside.Close)
	return r, p, outside
}

// get sends a request from outside.
func get(t testing.TB, method, url, body string, headers ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer resp.Body.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, err.Error()
	}
	return resp.StatusCode, resp.Header, string(raw)
}

func TestProxyVouchesForThePrincipal(t *testing.T) {
	r, _, outside := proxied(t, Principal{Name: "user:rücket skates", Claims: []string{"machines:console:*", "a,b"}})
	status, header, body := get(t, "PUT", outside.URL+"/plugin-apis/con/a%2Fb?x=1&token=t0ken&%74oken=u:p&y=%2F", "four",
		"Authorization", "Basic cm9vdDpjYWx2aW4=", headerPrincipal, "user:root", "x-oob-extra", "1")
	want := "PUT /plugin-apis/con/a%2Fb?x=1&y=%2F user:rücket skates [machines:console:* a,b] true auth=\"\" signed=\"\" body=4 <nil>"
	if status != 200 || body != want {
		t.Errorf("%d %v\n%s\nwant\n%s", status, header, body, want)
	}
	if _, _, body := get(t, "POST", outside.URL+"/plugin-apis/con/big", strings.Repeat("x", model.MaxBody+1)); !strings.Contains(body, "too large") {
		t.Errorf("a body without bound: %.200s", body)
	}
	if status, _, body := get(t, "GET", outside.URL+"/plugin-apis/other/x", ""); status != 404 || body != `{"Model":"","Key":"/plugin-apis/other/x","Type":"GET","Messages":null,"Code":404}`+"\n" {
		t.Errorf("another plugin's: %d %s", status, body)
	}
	r.host.await(t, "the line", func() bool { return len(r.host.lines) > 3 })
	if log := r.host.messages(); strings.Contains(log, "t0ken") || strings.Contains(log, "u:p") {
		t.Errorf("a token is in the log:\n%s", log)
	}
}

func TestPanicsOfAnAPI(t *testing.T) {
	r, _, outside := proxied(t, Principal{Name: "user:x"})
	status, _, body := get(t, "GET", outside.URL+"/plugin-apis/con/panic", "")
	if e := decodeError(t, body); status != 500 || !strings.Contains(e.Text(), "internal error ") || strings.Contains(body, "console") {
		t.Errorf("%d %s", status, body)
	}
	if status, _, body := get(t, "GET", outside.URL+"/plugin-apis/con/half", ""); status != 0 {
		t.Errorf("half an answer passed for a whole one: %d %s", status, body)
	}
	r.host.await(t, "the stacks", func() bool {
		n := 0
		for _, line := range r.host.lines {
			if strings.HasPrefix(line.Message, "panic ") && strings.Contains(line.Message, "goroutine") {
				n++
			}
		}
		return n == 2
	})
}

func TestWebsocketsPassTheProxy(t *testing.T) {
	r, _, outside := proxied(t, Principal{Name: "user:x"})
	url := "ws" + strings.TrimPrefix(outside.URL, "http") + "/plugin-apis/con/ws?token=abc"
	dial := func(origin string) (*websocket.Conn, int) {
		conn, resp, err := websocket.DefaultDialer.Dial(url, http.Header{"Origin": {origin}})
		if resp == nil {
			t.Fatal(err)
		}
		return conn, resp.StatusCode
	}
	for _, origin := range []string{"https://evil.example", "null", "::"} {
		if _, status := dial(origin); status != http.StatusForbidden {
			t.Errorf("origin %s: %d", origin, status)
		}
	}
	conn, status := dial(outside.URL)
	if status != http.StatusSwitchingProtocols {
		t.Fatalf("own origin: %d", status)
	}
	defer conn.Close()
	if err := conn.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, raw, err := conn.ReadMessage(); err != nil || string(raw) != "echo hello" {
		t.Errorf("%q %v", raw, err)
	}
	r.stop()
	gone(t, conn)
	r.awaitEnd(t)
}

func TestProxyOfAPluginThatIsGone(t *testing.T) {
	r, p, outside := proxied(t, Principal{Name: "user:x"})
	r.stop()
	r.awaitEnd(t)
	for range 2 {
		status, _, body := get(t, "GET", outside.URL+"/plugin-apis/con/x", "")
		if e := decodeError(t, body); status != 502 || e.Kind() != model.Unreachable || !strings.HasPrefix(e.Text(), "cannot ask plugin fake: ") {
			t.Errorf("%d %s", status, body)
		}
		p.stopping.Store(true)
	}
}

// signedRequest is a request as a host with a key sends it.
func signedRequest(key []byte, now time.Time) *http.Request {
	r := httptest.NewRequest("GET", "/plugin-apis/con/x?y=1", nil)
	sign(key, r, Principal{Name: "user:x", Claims: []string{"c"}}, now)
	return r
}

func TestForgedPrincipalsAreRefused(t *testing.T) {
	key, now := newKey(), time.Unix(1_800_000_000, 0)
	for name, c := range map[string]struct {
		change func(r *http.Request)
		want   string
	}{
		"nothing":        {func(*http.Request) {}, ""},
		"method":         {func(r *http.Request) { r.Method = "POST" }, "its signature is wrong"},
		"path":           {func(r *http.Request) { r.RequestURI = "/plugin-apis/con/z?y=1" }, "its signature is wrong"},
		"query":          {func(r *http.Request) { r.RequestURI = "/plugin-apis/con/x?y=2" }, "its signature is wrong"},
		"host":           {func(r *http.Request) { r.Host = "other" }, "its signature is wrong"},
		"principal":      {func(r *http.Request) { r.Header.Set(headerPrincipal, "user:root") }, "its signature is wrong"},
		"claims":         {func(r *http.Request) { r.Header.Set(headerClaims, "c,d") }, "its signature is wrong"},
		"time":           {func(r *http.Request) { r.Header.Set(headerTime, "1800000001") }, "its signature is wrong"},
		"nonce":          {func(r *http.Request) { r.Header.Set(headerNonce, strings.Repeat("0", 32)) }, "its signature is wrong"},
		"signature":      {func(r *http.Request) { r.Header.Set(headerSignature, "zz") }, "its signature is wrong"},
		"no claims":      {func(r *http.Request) { r.Header.Del(headerClaims) }, "it has not one header X-Oob-Claims"},
		"two principals": {func(r *http.Request) { r.Header.Add(headerPrincipal, "user:root") }, "it has not one header X-Oob-Principal"},
		"another key":    {func(r *http.Request) { sign(newKey(), r, Principal{Name: "x"}, now) }, "its signature is wrong"},
		"old":            {func(r *http.Request) { sign(key, r, Principal{Name: "x"}, now.Add(-31*time.Second)) }, "its signature has expired"},
		"of the future":  {func(r *http.Request) { sign(key, r, Principal{Name: "x"}, now.Add(31*time.Second)) }, "its signature has expired"},
		"nobody":         {func(r *http.Request) { sign(key, r, Principal{}, now) }, "it names nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVerifier(key, func() time.Time { return now })
			r := signedRequest(key, now)
			c.change(r)
			p, e := v.verify(r)
			if c.want != "" {
				if e == nil || e.Code != 403 || !strings.Contains(e.Text(), c.want) {
					t.Errorf("%v %v", p, e)
				}
				return
			}
			if e != nil || p.Name != "user:x" || len(p.Claims) != 1 {
				t.Errorf("%v %v", p, e)
			}
			if _, e := v.verify(r); e == nil || !strings.Contains(e.Text(), "was used before") {
				t.Errorf("replayed: %v", e)
			}
		})
	}
}

// What is remembered of signatures is bounded, and they are remembered for as
// long as they count.
func TestNoncesAreRememberedAndBounded(t *testing.T) {
	key, now := newKey(), time.Unix(1_800_000_000, 0)
	v := newVerifier(key, func() time.Time { return now })
	early := signedRequest(key, now.Add(signedFor))
	if _, e := v.verify(early); e != nil {
		t.Fatal(e)
	}
	for range 2 {
		now = now.Add(signedFor)
		if _, e := v.verify(early); e == nil {
			t.Errorf("replayed %v later", now.Sub(v.rotated))
		}
	}
	for i := range maxNonces {
		v.nonces[fmt.Sprint(i)] = struct{}{}
	}
	if _, e := v.verify(signedRequest(key, now)); e == nil || e.Kind() != model.Busy {
		t.Errorf("one too many: %v", e)
	}
	now = now.Add(2*signedFor + time.Second)
	if _, e := v.verify(signedRequest(key, now)); e != nil || len(v.nonces) != 1 {
		t.Errorf("later: %v, %d nonces", e, len(v.nonces))
	}
}

func TestReadKey(t *testing.T) {
	key := newKey()
	if got, err := readKey(pipeOf(t, key)); err != nil || !bytes.Equal(got, key) {
		t.Errorf("%x %v", got, err)
	}
	if got, err := readKey(""); got != nil || err != nil {
		t.Errorf("%x %v", got, err)
	}
	for value, want := range map[string]string{pipeOf(t, key[:31]): "unexpected EOF", "x": "is not a file descriptor", "2": "is not a file descriptor", "9999": "bad file descriptor"} {
		if _, err := readKey(value); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), EnvPrincipalKey) {
			t.Errorf("%s: %v", value, err)
		}
	}
}

// A plugin that answers without reading the body is not taken for a lost one.
func TestAnAnswerWithoutReadingTheBody(t *testing.T) {
	_, _, outside := proxied(t, Principal{Name: "user:ann"})
	body := strings.Repeat("x", 100<<10)
	for i := range 40 {
		if status, _, text := get(t, "PUT", outside.URL+"/plugin-apis/con/unread", body); status != http.StatusNotFound {
			t.Fatalf("request %d: %d %s", i, status, text)
		}
	}
}
