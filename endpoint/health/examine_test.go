package health

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"provision-plugins/shared/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a machine with an endpoint that is well, and does not run.
func bench(t *testing.T) Machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "hl") // a short path, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	m := Machine{
		DataDir: filepath.Join(dir, "data"), PluginDir: filepath.Join(dir, "plugins"), Socket: filepath.Join(dir, "oob.sock"),
		Listen: "127.0.0.1:0", Getenv: func(string) string { return "" }, Now: time.Now,
	}
	for path, mode := range map[string]os.FileMode{m.DataDir: 0o700, m.PluginDir: 0o755} {
		if err := os.Mkdir(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(m.DataDir, "master.key"), base64.StdEncoding.EncodeToString(make([]byte, 32)), 0o600)
	write(t, filepath.Join(m.DataDir, "tls.crt"), certPEM(t, time.Now().Add(-time.Hour), time.Now().Add(365*24*time.Hour)), 0o600)
	write(t, filepath.Join(m.PluginDir, "toy"), "#!/bin/sh\n", 0o755)
	return m
}

// write writes a file of a mode, whatever the umask is.
func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// certPEM makes a certificate.
func certPEM(t *testing.T, from, until time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
}

// serve answers on the machine's socket, a path at a time.
func serve(t *testing.T, m Machine, answers map[string]any) {
	t.Helper()
	l, err := net.Listen("unix", m.Socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, known := answers[r.URL.Path]
		if !known {
			w.WriteHeader(http.StatusNotFound)
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // it ends with Close
	}()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
}

// up are the answers of an endpoint that is well.
func up() map[string]any {
	return map[string]any{
		"/healthz": map[string]string{"status": "up"}, "/readyz": Report{Ready: true},
		"/api/v3/plugins": []map[string]any{{"Name": "toy", "Available": true}},
	}
}

// want checks one check of an examination, and that each that is not well says why
// and what to do.
func want(t *testing.T, c *model.Checkup, name string, verdict model.Verdict, cause string) {
	t.Helper()
	check := c.Check(name)
	if check == nil {
		t.Fatalf("no check %s", name)
	}
	if check.Verdict != verdict || !strings.Contains(check.Cause+check.Found, cause) {
		t.Errorf("%s: %+v, want %s with %q", name, *check, verdict, cause)
	}
	for _, c := range c.Checks {
		if (c.Verdict == model.VerdictFailed || c.Verdict == model.VerdictWarning) && (c.Cause == "" || c.Mend == "") {
			t.Errorf("%s has no cause or no mend: %+v", c.Name, c)
		}
	}
}

// An endpoint that does not run is examined as far as that goes.
func TestExamineWhileItIsDown(t *testing.T) {
	t.Parallel()
	m := bench(t)
	c := Examine(t.Context(), m)
	if len(c.Checks) != len(checks) || c.Verdict != model.VerdictFailed {
		t.Errorf("%+v", c)
	}
	want(t, c, "endpoint", model.VerdictFailed, "nothing answers")
	for _, name := range []string{"data directory", "master key", "port", "certificate", "plugin directory"} {
		want(t, c, name, model.VerdictOK, "")
	}
	// How much room there is, is this machine's affair.
	if disk := c.Check("disk"); disk == nil || !strings.Contains(disk.Found, "MiB are free") {
		t.Errorf("disk: %+v", disk)
	}
	for _, name := range []string{"ready", "plugins"} {
		want(t, c, name, model.VerdictSkipped, "does not answer")
	}
}

func TestExamineWhileItIsUp(t *testing.T) {
	t.Parallel()
	m := bench(t)
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	m.Listen = s.Listener.Addr().String()
	remove(t, m.DataDir, "tls.crt") // the one that is shown counts
	serve(t, m, up())
	c := Examine(t.Context(), m)
	want(t, c, "certificate", model.VerdictOK, s.Certificate().NotAfter.UTC().Format(time.DateOnly))
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	other := m
	other.Listen = plain.Listener.Addr().String()
	want(t, Examine(t.Context(), other), "port", model.VerdictFailed, "is not on")
	for _, name := range []string{"endpoint", "ready", "port", "plugins"} {
		want(t, c, name, model.VerdictOK, "")
	}
	if c.Failed() != nil {
		t.Errorf("%+v", c.Failed())
	}
}

// Each thing that can be wrong is found, with its cause.
func TestExamineFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, c := range []struct {
		name    string
		damage  func(t *testing.T, m *Machine)
		check   string
		verdict model.Verdict
		cause   string
	}{
		{"no data directory", func(_ *testing.T, m *Machine) { m.DataDir += "x" }, "data directory", model.VerdictFailed, "is not there"},
		{"a file in its place", func(_ *testing.T, m *Machine) { m.DataDir = filepath.Join(m.PluginDir, "toy") }, "data directory", model.VerdictFailed, "is no directory"},
		{"open to others", func(t *testing.T, m *Machine) { chmod(t, m.DataDir, 0o755) }, "data directory", model.VerdictFailed, "open to others"},
		{"no key", func(t *testing.T, m *Machine) { remove(t, m.DataDir, "master.key") }, "master key", model.VerdictWarning, "not in the data directory"},
		{"a key for all", func(t *testing.T, m *Machine) { chmod(t, filepath.Join(m.DataDir, "master.key"), 0o644) }, "master key", model.VerdictFailed, "others may read"},
		{"a key that is none", func(t *testing.T, m *Machine) { write(t, filepath.Join(m.DataDir, "master.key"), "short", 0o600) }, "master key", model.VerdictFailed, "holds no key"},
		{"a key of the environment", func(_ *testing.T, m *Machine) { m.Getenv = func(string) string { return "x" } }, "master key", model.VerdictOK, "OOB_MASTER_KEY"},
		{"no certificate", func(t *testing.T, m *Machine) { remove(t, m.DataDir, "tls.crt") }, "certificate", model.VerdictSkipped, "none yet"},
		{"an expired certificate", func(t *testing.T, m *Machine) { m.Now = func() time.Time { return now.Add(366 * 24 * time.Hour) } }, "certificate", model.VerdictFailed, "has expired"},
		{"one that ends soon", func(t *testing.T, m *Machine) { m.Now = func() time.Time { return now.Add(350 * 24 * time.Hour) } }, "certificate", model.VerdictWarning, "days"},
		{"one of the future", func(t *testing.T, m *Machine) { m.Now = func() time.Time { return now.Add(-2 * time.Hour) } }, "certificate", model.VerdictFailed, "not valid before"},
		{"no PEM", func(t *testing.T, m *Machine) { write(t, filepath.Join(m.DataDir, "tls.crt"), "x", 0o600) }, "certificate", model.VerdictFailed, "no certificate in PEM"},
		{"no certificate in the PEM", func(t *testing.T, m *Machine) {
			write(t, filepath.Join(m.DataDir, "tls.crt"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0o600)
		}, "certificate", model.VerdictFailed, "cannot be read"},
		{"a clock that went back", func(_ *testing.T, m *Machine) { m.Now = func() time.Time { return now.Add(-30 * time.Minute) } }, "clock", model.VerdictFailed, "has gone back"},
		{"no plugin directory", func(_ *testing.T, m *Machine) { m.PluginDir += "x" }, "plugin directory", model.VerdictWarning, ""},
		{"a file for plugins", func(_ *testing.T, m *Machine) { m.PluginDir = filepath.Join(m.PluginDir, "toy") }, "plugin directory", model.VerdictFailed, "is no directory"},
		{"plugins that all can change", func(t *testing.T, m *Machine) { chmod(t, m.PluginDir, 0o777) }, "plugin directory", model.VerdictFailed, "written by others"},
		{"a plugin that all can change", func(t *testing.T, m *Machine) { chmod(t, filepath.Join(m.PluginDir, "toy"), 0o777) }, "plugin directory", model.VerdictFailed, "toy can be written"},
		{"no plugin", func(t *testing.T, m *Machine) { remove(t, m.PluginDir, "toy") }, "plugin directory", model.VerdictWarning, "no plugin"},
		{"an address that is not here", func(_ *testing.T, m *Machine) { m.Listen = "192.0.2.1:1" }, "port", model.VerdictFailed, "cannot be listened on"},
		{"not an endpoint", func(t *testing.T, m *Machine) { serve(t, *m, nil) }, "endpoint", model.VerdictFailed, "no endpoint"},
		{"not ready", func(t *testing.T, m *Machine) {
			answers := up()
			answers["/readyz"] = Report{Reasons: []Reason{{"store", "it is full"}}}
			serve(t, *m, answers)
		}, "ready", model.VerdictFailed, "it is full"},
		{"a sick plugin", func(t *testing.T, m *Machine) {
			answers := up()
			answers["/api/v3/plugins"] = []map[string]any{{"Name": "toy", "PluginErrors": []string{"it crashed"}}}
			serve(t, *m, answers)
		}, "plugins", model.VerdictFailed, "toy: it crashed"},
		{"no plugins at all", func(t *testing.T, m *Machine) {
			answers := up()
			answers["/api/v3/plugins"] = []map[string]any{}
			serve(t, *m, answers)
		}, "plugins", model.VerdictWarning, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := bench(t)
			c.damage(t, &m)
			want(t, Examine(t.Context(), m), c.check, c.verdict, c.cause)
		})
	}
}

// chmod changes a mode.
func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// remove removes a file.
func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// A port that another program has is told of; one that is served by every address
// is reached by one of them.
func TestPorts(t *testing.T) {
	t.Parallel()
	m := bench(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m.Listen = l.Addr().String()
	want(t, Examine(t.Context(), m), "port", model.VerdictFailed, "taken by another program")
	for listen, to := range map[string]string{":80": "localhost:80", "0.0.0.0:80": "localhost:80", "[::]:80": "localhost:80", "10.0.0.1:80": "10.0.0.1:80", "bad": "bad"} {
		if got := reachable(listen); got != to {
			t.Errorf("%s is reached at %s", listen, got)
		}
	}
}

func TestRoom(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	for _, c := range []struct {
		space   space
		verdict model.Verdict
		cause   string
	}{
		{space{free: 50 * gib, size: 100 * gib, inodes: 50, allInodes: 100}, model.VerdictOK, "51200 of 102400 MiB"},
		{space{free: 9 * gib, size: 100 * gib, inodes: 50, allInodes: 100}, model.VerdictWarning, "little"},
		{space{free: 4 * gib, size: 100 * gib}, model.VerdictFailed, "nothing new"},
		{space{free: leastDisk - 1, size: leastDisk}, model.VerdictFailed, "nothing new"},
		{space{free: 50 * gib, size: 100 * gib, inodes: 1, allInodes: 1000}, model.VerdictFailed, "inodes"},
		{space{free: 50 * gib, size: 100 * gib, readOnly: true}, model.VerdictFailed, "read-only"},
	} {
		got := roomOf("/data", c.space)
		if got.Verdict != c.verdict || !strings.Contains(got.Found+got.Cause, c.cause) {
			t.Errorf("%+v: %+v", c.space, got)
		}
	}
}
