package redfish_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"provision-plugins/sim/redfish"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that tests move on.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

// newClock is a clock that stands at a time of no meaning.
func newClock() *clock { return &clock{now: time.Date(2030, 3, 1, 12, 0, 0, 0, time.UTC)} }

// Now returns the time it stands at.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// pass moves it on.
func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// start builds a fleet that ends with the test.
func start(t testing.TB, o redfish.Options) *redfish.Fleet {
	t.Helper()
	f, err := redfish.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// peer is a client of one BMC that verifies its certificate.
type peer struct {
	t     testing.TB
	b     *redfish.BMC
	http  *http.Client
	head  http.Header // sent with each request
	basic bool
	name  string
	pass  string
}

// dial makes a client that logs in by Basic authentication.
func dial(t testing.TB, f *redfish.Fleet, i int, c *clock) *peer {
	t.Helper()
	conf := &tls.Config{RootCAs: f.Roots(), MinVersion: tls.VersionTLS12}
	if c != nil {
		conf.Time = c.Now
	}
	tr := &http.Transport{TLSClientConfig: conf}
	t.Cleanup(tr.CloseIdleConnections)
	return &peer{
		t: t, b: f.BMC(i), http: &http.Client{Transport: tr, Timeout: patience},
		head: http.Header{}, basic: true, name: "admin", pass: "password",
	}
}

// one starts a fleet of one BMC with a clock of its own, and a client of it.
func one(t testing.TB, o redfish.Options) (*redfish.BMC, *peer, *clock) {
	t.Helper()
	c := newClock()
	o.Clock = c
	f := start(t, o)
	return f.BMC(0), dial(t, f, 0, c), c
}

// reply is an answer that was read.
type reply struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any // nil if it is none
}

// try makes a request.
func (p *peer) try(method, path string, body any) (reply, error) {
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return reply{}, err
		}
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.b.URL()+path, in)
	if err != nil {
		return reply{}, err
	}
	for k, v := range p.head {
		req.Header[k] = v
	}
	if p.basic {
		req.SetBasicAuth(p.name, p.pass)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	r := reply{status: resp.StatusCode, header: resp.Header, raw: raw}
	_ = json.Unmarshal(raw, &r.body)
	return r, err
}

// do makes a request that must be answered.
func (p *peer) do(method, path string, body any) reply {
	p.t.Helper()
	r, err := p.try(method, path, body)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

// want makes a request that must be answered with a status.
func (p *peer) want(status int, method, path string, body any) reply {
	p.t.Helper()
	r := p.do(method, path, body)
	if r.status != status {
		p.t.Fatalf("%s %s: status %d, not %d: %s", method, path, r.status, status, r.raw)
	}
	return r
}

// get reads a resource.
func (p *peer) get(path string) map[string]any {
	p.t.Helper()
	return p.want(http.StatusOK, http.MethodGet, path, nil).body
}

// login opens a session and uses it from now on.
func (p *peer) login() reply {
	p.t.Helper()
	p.basic = false
	r := p.want(http.StatusCreated, http.MethodPost, "/redfish/v1/SessionService/Sessions", map[string]any{"UserName": p.name, "Password": p.pass})
	p.head.Set("X-Auth-Token", r.header.Get("X-Auth-Token"))
	return r
}

// at returns a value of a tree, by the keys to it.
func at(tree map[string]any, keys ...string) any {
	var v any = tree
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

// link is the path a property links to.
func link(t testing.TB, tree map[string]any, keys ...string) string {
	t.Helper()
	s, _ := at(tree, append(keys, "@odata.id")...).(string)
	if s == "" {
		t.Fatalf("no link at %v of %v", keys, tree)
	}
	return s
}

// members lists the paths of the members of a collection.
func members(t testing.TB, tree map[string]any) []string {
	t.Helper()
	list, ok := tree["Members"].([]any)
	if !ok {
		t.Fatalf("no members: %v", tree)
	}
	paths := make([]string, len(list))
	for i, m := range list {
		paths[i] = link(t, m.(map[string]any))
	}
	return paths
}

// messageID is the MessageId of an error, without its registry.
func messageID(r reply) string {
	e, _ := r.body["error"].(map[string]any)
	list, _ := e["@Message.ExtendedInfo"].([]any)
	if len(list) == 0 {
		return ""
	}
	id, _ := list[0].(map[string]any)["MessageId"].(string)
	return id[strings.LastIndex(id, ".")+1:]
}

// system is the path of the first computer system.
func (p *peer) system() string { return "/redfish/v1/Systems/" + p.b.SystemID(0) }

// reset asks for a reset type.
func (p *peer) reset(kind string) reply {
	p.t.Helper()
	return p.do(http.MethodPost, p.system()+"/Actions/ComputerSystem.Reset", map[string]any{"ResetType": kind})
}

// executed fails the test if the BMC has not done what is named so often.
func executed(t testing.TB, b *redfish.BMC, name string, want int) {
	t.Helper()
	if got := b.Executed(name); got != want {
		t.Errorf("%s was executed %d times, not %d; all: %v", name, got, want, b.Counts())
	}
}
