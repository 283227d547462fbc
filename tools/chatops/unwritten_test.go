package chatops

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"provision-plugins/shared/client"
)

// forgetful puts something between the plugin and its endpoint that, while it is
// told to, lets everything through but what is to be written down.
func (w *world) forgetful() (refuse *atomic.Bool) {
	w.t.Helper()
	w.close()
	raw, err := os.ReadFile(filepath.Join(w.dir, "toys", "token"))
	w.must(err)
	address, token, _ := strings.Cut(string(raw), "\n")
	target, err := url.Parse(address)
	w.must(err)
	refuse = new(atomic.Bool)
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if refuse.Load() && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/events") {
			http.Error(rw, `{"Type":"internal","Messages":["no room"]}`, http.StatusInsufficientStorage)
			return
		}
		proxy.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(server.Close)
	through, err := client.New(client.Options{Endpoint: server.URL, Token: token})
	w.must(err)
	w.plugin.Close()
	w.plugin = through
	w.t.Cleanup(func() { through.Close() })
	w.open()
	return refuse
}

// What cannot be written down is not done: neither when it is asked for, nor when it
// is confirmed. A button that was clicked meanwhile still counts afterwards.
func TestWhatCannotBeWrittenDownIsNotDone(t *testing.T) {
	w := newWorld(t)
	w.machine("ra1")
	refuse := w.forgetful()

	refuse.Store(true)
	for _, text := range []string{"power on ra1", "power cycle ra1"} {
		if got := w.told("U1", func() { w.slash("U1", "C1", text) }); !strings.Contains(got, "nothing") {
			t.Errorf("%s: %q", text, got)
		}
	}
	if n, _ := w.room.Waiting(); n != 0 {
		t.Errorf("%d questions were asked", n)
	}

	refuse.Store(false)
	w.slash("U1", "C1", "power cycle ra1")
	q := w.question("ra1")
	refuse.Store(true)
	if got := w.told("U1", func() { w.click("U1", q, confirm, "") }); !strings.Contains(got, "nothing") {
		t.Errorf("a click: %q", got)
	}
	if got := w.executed(); len(got) != 0 {
		t.Fatalf("executed %q, of which nothing is written down", got)
	}

	refuse.Store(false)
	w.click("U1", q, confirm, "")
	w.until("it is cycled", func() bool { return slices.Contains(w.executed(), "powercycle ra1") })
	w.until("it is written down", func() bool { return slices.Contains(w.audited(), "confirmed U1") })
}
