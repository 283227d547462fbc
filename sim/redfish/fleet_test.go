package redfish_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/sim/redfish"
)

// TestRefusedOptions: what cannot be simulated is refused, and says why.
func TestRefusedOptions(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 257)
	for want, o := range map[string]redfish.Options{
		"count -1":             {Count: -1},
		"count 60001":          {Count: 60_001},
		"1 addresses given":    {Count: 2, Addrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}},
		"dialect":              {Dialect: "tape"},
		"65 systems":           {Systems: 65},
		"user name":            {Username: long},
		"password is longer":   {Password: long},
		"session slots":        {Sessions: 1025},
		"page size":            {PageSize: 10_001},
		"rate limit":           {RateLimit: -1},
		"session timeout":      {SessionTimeout: -1},
		"power delay":          {PowerDelay: -1},
		"do not exist":         {Count: 2, Port: 65535},
		"no address follows":   {Count: 2, Host: netip.MustParseAddr("255.255.255.255")},
		"BMC 1 of 1":           {Host: netip.MustParseAddr("192.0.2.1")},
		"cannot simulate Redf": {Systems: -1},
	} {
		f, err := redfish.New(o)
		if err == nil {
			_ = f.Close()
			t.Errorf("%s: nothing refused", want)
			continue
		}
		if !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "cannot simulate Redfish: ") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestAddresses: each way of saying where BMCs are.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what  string
		o     redfish.Options
		hosts string
	}{
		{"ports", redfish.Options{Count: 3}, "127.0.0.1 127.0.0.1 127.0.0.1"},
		{"hosts", redfish.Options{Count: 3, Host: netip.MustParseAddr("127.0.3.254")}, "127.0.3.254 127.0.3.255 127.0.4.0"},
		{"one host", redfish.Options{Host: netip.MustParseAddr("127.0.3.9")}, "127.0.3.9"},
		{"given", redfish.Options{Addrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.3.1:0"), netip.MustParseAddrPort("[::1]:0")}}, "127.0.3.1 ::1"},
	} {
		f, err := redfish.New(c.o)
		if err != nil && strings.Contains(c.hosts, "::1") {
			continue // a machine without IPv6
		}
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		var hosts []string
		for i := range f.Len() {
			hosts = append(hosts, f.BMC(i).Addr().Addr().String())
			p := dial(t, f, i, nil)
			if tree := p.get(p.system()); tree["HostName"] != fmt.Sprintf("host-%d", i+1) {
				t.Errorf("%s: BMC %d is %v", c.what, i, tree["HostName"])
			}
		}
		if got := strings.Join(hosts, " "); got != c.hosts {
			t.Errorf("%s: %s, not %s", c.what, got, c.hosts)
		}
		if err = f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestNobodyThere: an address beside those of the fleet does not answer, also if one
// listener hears for all.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	f := start(t, redfish.Options{Count: 2, Host: netip.MustParseAddr("127.0.5.1")})
	p := dial(t, f, 0, nil)
	p.get("/redfish/v1")
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.5.9"), f.BMC(0).Addr().Port())
	if resp, err := p.http.Get("https://" + at.String() + "/redfish/v1"); err == nil {
		_ = resp.Body.Close()
		t.Errorf("somebody answers: %d", resp.StatusCode)
	}
}

// TestOneOfAFixedPort: a port that is taken is an error, and nothing stays open.
func TestOneOfAFixedPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.6.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	port := l.Addr().(*net.TCPAddr).Port
	taken := netip.MustParseAddrPort(l.Addr().String())
	free := netip.AddrPortFrom(netip.MustParseAddr("127.0.6.1"), uint16(port))
	if _, err = redfish.New(redfish.Options{Addrs: []netip.AddrPort{free, taken}}); err == nil || !strings.Contains(err.Error(), "BMC 2 of 2") {
		t.Errorf("a port that is taken: %v", err)
	}
	again, err := net.Listen("tcp", free.String())
	if err != nil {
		t.Fatalf("the first stays open: %v", err)
	}
	_ = again.Close()
}

// TestSeed: the same seed makes the same BMCs, another makes others.
func TestSeed(t *testing.T) {
	t.Parallel()
	uuid := func(seed uint64, i int) any {
		f := start(t, redfish.Options{Count: 2, Seed: seed})
		p := dial(t, f, i, nil)
		return p.get(p.system())["UUID"]
	}
	if uuid(1, 0) != uuid(1, 0) || uuid(1, 0) == uuid(2, 0) || uuid(1, 0) == uuid(1, 1) {
		t.Error("UUIDs do not depend on seed and index alone")
	}
}

// TestLog: what is executed is logged, and no password is.
func TestLog(t *testing.T) {
	t.Parallel()
	var out lockedBuffer
	_, p, _ := one(t, redfish.Options{Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	p.login()
	p.reset("On")
	if text := out.String(); !strings.Contains(text, `command="reset On"`) || strings.Contains(text, p.pass) {
		t.Errorf("log: %s", text)
	}
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Write appends.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is all that was written.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestBounds: what is too much to read, and what is no path.
func TestBounds(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{})
	large := `{"ResetType":"On","x":"` + strings.Repeat("x", 70<<10) + `"}`
	p.want(http.StatusRequestEntityTooLarge, http.MethodPost, p.system()+"/Actions/ComputerSystem.Reset", large)
	deep := strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)
	p.want(http.StatusBadRequest, http.MethodPatch, p.system(), deep)
	if len(b.Counts()) != 0 {
		t.Errorf("executed: %v", b.Counts())
	}
	for _, path := range []string{"/redfish/v1/Systems/", "/redfish/v1/Systems/1/"} {
		p.want(http.StatusOK, http.MethodGet, path, nil)
	}
	for _, path := range []string{"/", "/redfish/v2", "/redfish/v1/Systems/*", "/redfish/v1/Systems/1/Memory/*", "/redfish/v1//", "/redfish/v1/SessionService/Sessions/*", "/%00", "/redfish/v1/Systems/1/../.."} {
		if r := p.do(http.MethodGet, path, nil); r.status != http.StatusNotFound && r.status != http.StatusUnauthorized && r.status != http.StatusOK {
			t.Errorf("%s: status %d", path, r.status)
		}
	}
	p.want(http.StatusNotFound, http.MethodGet, "/redfish/v1/SessionService/Sessions/*", nil)
	r := p.want(http.StatusOK, http.MethodHead, p.system(), nil)
	if r.header.Get("ETag") == "" || r.header.Get("Content-Length") == "0" || len(r.raw) != 0 {
		t.Errorf("HEAD: %v", r.header)
	}
}

// TestManyClients: many clients of one BMC, and sessions that come and go.
func TestManyClients(t *testing.T) {
	t.Parallel()
	f := start(t, redfish.Options{Sessions: 100, Systems: 2})
	var all sync.WaitGroup
	for i := range 8 {
		p := dial(t, f, 0, nil)
		all.Go(func() {
			for range 5 {
				r, err := p.try(http.MethodPost, sessions, object{"UserName": "admin", "Password": "password"})
				if err != nil || r.status != http.StatusCreated {
					t.Errorf("client %d: %d, %v", i, r.status, err)
					return
				}
				_, err1 := p.try(http.MethodPost, p.system()+"/Actions/ComputerSystem.Reset", object{"ResetType": "ForceRestart"})
				_, err2 := p.try(http.MethodGet, p.system(), nil)
				_, err3 := p.try(http.MethodDelete, r.header.Get("Location"), nil)
				if err1 != nil || err2 != nil || err3 != nil {
					t.Errorf("client %d: %v, %v, %v", i, err1, err2, err3)
				}
			}
		})
	}
	all.Wait()
	executed(t, f.BMC(0), "session open", 40)
	executed(t, f.BMC(0), "session close", 40)
	if n := f.BMC(0).Sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// TestCloseTwice: a second Close does nothing, and the port is free.
func TestCloseTwice(t *testing.T) {
	t.Parallel()
	f := start(t, redfish.Options{})
	at := f.BMC(0).Addr().String()
	for range 2 {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

// TestMemory: many BMCs, each of which has answered and has a session, fit.
func TestMemory(t *testing.T) {
	count, bound := 100, 40
	if os.Getenv("OOB_NIGHTLY") != "" {
		count, bound = 10_000, 300
	}
	f := start(t, redfish.Options{Count: count, Host: netip.MustParseAddr("127.77.0.1"), Dialect: "idrac"})
	began := time.Now()
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := w; i < count; i += 4 {
				p := dial(t, f, i, nil)
				p.basic = false
				if r, err := p.try(http.MethodPost, sessions, object{"UserName": "admin", "Password": "password"}); err != nil || r.status != http.StatusCreated {
					t.Errorf("BMC %d: %d, %v", i, r.status, err)
					return
				}
				p.http.CloseIdleConnections()
			}
		})
	}
	all.Wait()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	used := int(m.HeapInuse+m.StackInuse) >> 20
	t.Logf("%d BMCs that were logged in to: %d MiB (%s)", count, used, time.Since(began).Round(time.Millisecond))
	if used > bound {
		t.Errorf("%d MiB are more than %d", used, bound)
	}
}
