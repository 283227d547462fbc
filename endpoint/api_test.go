package endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"provision-plugins/endpoint/certificate"
	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// do sends a request over https, the certificate verified, and reads the reply.
func (r *rig) do(req *http.Request, token string) (*http.Response, []byte) {
	r.t.Helper()
	r.trust.Do(r.readCertificate)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := r.https.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		r.t.Fatal(err)
	}
	return resp, raw
}

// readCertificate has the requests of a rig trust the endpoint's certificate.
// Their connections are kept: there are thousands of requests.
func (r *rig) readCertificate() {
	r.t.Helper()
	pem, err := os.ReadFile(filepath.Join(r.opts.DataDir, certificate.CertFile))
	if err != nil {
		r.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		r.t.Fatal("no certificate in " + certificate.CertFile)
	}
	r.https = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	r.t.Cleanup(r.https.CloseIdleConnections)
}

// ask sends a request over https.
func (r *rig) ask(method, path, token, body string) (*http.Response, []byte) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "https://"+r.e.Addr()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	return r.do(req, token)
}

func TestAccess(t *testing.T) {
	t.Parallel()
	r := start(t)
	plugin := r.e.sup.tokens.issue("somebody", readerGrant())
	for _, c := range []struct {
		name, method, path, token string
		status                    int
		text                      string
	}{
		{"no token", "GET", "/api/v3/info", "", 401, tokenFile},
		{"wrong token", "GET", "/api/v3/info", "wrong", 401, "not one of this endpoint's"},
		{"admin", "GET", "/api/v3/info", r.e.token, 200, `"api_port"`},
		{"plugin reads", "GET", "/api/v3/machines", plugin, 200, "[]"},
		{"plugin writes", "POST", "/api/v3/machines", plugin, 403, "plugin:somebody may not: machines create"},
		{"plugin acts", "POST", "/api/v3/machines/x/actions/poweron", plugin, 403, "may not: machines action:poweron x"},
		{"no route", "GET", "/api/v3/freds", r.e.token, 404, "No route"},
		{"no method", "DELETE", "/api/v3/info", r.e.token, 404, "No route"},
		{"outside", "GET", "/", r.e.token, 404, "No route"},
		{"unclean", "GET", "/api/v3/../v3//info", r.e.token, 404, "No route"},
		{"no route needs a token too", "GET", "/api/v3/freds", "", 401, "Access Denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, raw := r.ask(c.method, c.path, c.token, "")
			if resp.StatusCode != c.status || !strings.Contains(string(raw), c.text) {
				t.Errorf("status %d: %s", resp.StatusCode, raw)
			}
			if got := resp.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type %q", got)
			}
			if c.status >= 400 {
				var e model.Error
				if err := model.Unmarshal(raw, &e); err != nil || e.Code != c.status || len(e.Messages) == 0 {
					t.Errorf("body %s: %v", raw, err)
				}
			}
		})
	}
	r.e.sup.tokens.revoke("somebody")
	if resp, _ := r.ask("GET", "/api/v3/machines", plugin, ""); resp.StatusCode != 401 {
		t.Errorf("a revoked token: status %d", resp.StatusCode)
	}
}

func TestPrivateFiles(t *testing.T) {
	t.Parallel()
	r := start(t)
	for file, want := range map[string]os.FileMode{
		"": 0o700, tokenFile: 0o600, certificate.KeyFile: 0o600, "oob.sock": 0o600,
	} {
		info, err := os.Stat(filepath.Join(r.opts.DataDir, file))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %o", file, info, err, want)
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	r := start(t)
	conn, err := tls.Dial("tcp", r.e.Addr(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err == nil {
		t.Error("TLS 1.1 was accepted", conn.Close())
	}
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	r := start(t)
	resp, raw := r.ask("POST", "/api/v3/machines", r.e.token, strings.Repeat("x", model.MaxBody+1))
	if resp.StatusCode != 413 || !strings.Contains(string(raw), "larger than") {
		t.Errorf("status %d: %.200s", resp.StatusCode, raw)
	}
	for _, body := range []string{"{", "[]", `{"Name":1}`, `{"Name":"a"} extra`, "\x00"} {
		resp, raw := r.ask("POST", "/api/v3/machines", r.e.token, body)
		if resp.StatusCode != 400 {
			t.Errorf("%q: status %d: %s", body, resp.StatusCode, raw)
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	r := start(t)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", r.e.Socket())
	if err != nil {
		t.Fatal(err)
	}
	// The server may close before it has read everything.
	_, _ = fmt.Fprintf(conn, "GET /api/v3/info HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", 2*maxHeaderBytes))
	reply := make([]byte, 64)
	n, err := conn.Read(reply)
	if err == nil && !bytes.Contains(reply[:n], []byte("431")) {
		t.Errorf("got %q", reply[:n])
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

func TestInfo(t *testing.T) {
	t.Parallel()
	r := start(t)
	var info model.Info
	if err := r.c.Get(t.Context(), "info", &info); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(r.e.Addr())
	if err != nil || fmt.Sprint(info.APIPort) != port || info.Version != "v0.0.0-dev" || len(info.Features) == 0 {
		t.Errorf("info %+v, %v", info, err)
	}
}

func TestTheClientOverHTTPS(t *testing.T) {
	t.Parallel()
	r := start(t)
	c, err := client.New(client.Options{Endpoint: "https://" + r.e.Addr(), Token: r.e.token})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := c.Get(context.Background(), "info", nil); err != nil {
		t.Error(err)
	}
}

func TestAPanicIsOneErrorWithAnID(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.build()
	a := &api{log: r.opts.Logger, tokens: newTokens("admin-token-of-tests"), mux: http.NewServeMux()}
	a.mux.HandleFunc(apiRoot+"/x", func(http.ResponseWriter, *http.Request) { panic("boom") })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := a.server(unknownPeer)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+l.Addr().String()+"/api/v3/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer admin-token-of-tests")
	transport := &http.Transport{}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 500 || !strings.Contains(string(raw), "internal error") || strings.Contains(string(raw), "boom") {
		t.Errorf("status %d: %s, %v", resp.StatusCode, raw, err)
	}
	if !strings.Contains(r.log.String(), "boom") {
		t.Error("the log does not tell of the panic")
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	transport.CloseIdleConnections()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-done
}
