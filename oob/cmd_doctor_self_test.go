package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"provision-plugins/endpoint"
	"provision-plugins/shared/model"
)

func TestEndpointWithoutAURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"doctor --endpoint", "doctor --local-endpoint"},
		{"doctor --endpoint --json", "doctor --local-endpoint --json"},
		{"--endpoint doctor", "--endpoint doctor"},
		{"doctor --endpoint https://e m1", "doctor --endpoint https://e m1"},
		{"doctor --endpoint=https://e", "doctor --endpoint=https://e"},
		{"power status --endpoint", "power status --endpoint"},
		{"doctor m1", "doctor m1"},
	} {
		if got := bareEndpoint(strings.Fields(c.in)); !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%s: %q, want %s", c.in, got, c.want)
		}
	}
}

// doctorOf runs a doctor command in this process.
func doctorOf(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	home := t.TempDir()
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, signals: endSignals, getenv: func(name string) string {
		if name == "HOME" {
			return home
		}
		return ""
	}}
	code = run(t.Context(), a, append([]string{"doctor"}, args...))
	return code, out.String(), errs.String()
}

// The endpoint is examined while it is down, and the worst of what is found is the
// exit code.
func TestDoctorOfAnEndpointThatIsDown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	code, out, errs := doctorOf(t, "--endpoint", "--data-dir", filepath.Join(dir, "none"), "--listen", "127.0.0.1:0")
	if code != model.Unreachable.Info().Exit || errs != "" {
		t.Errorf("exit %d: %s", code, errs)
	}
	for _, want := range []string{"endpoint: failed\n", "failed   data directory", "-> start the endpoint", "skipped  plugins", "ok       port"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	code, out, _ = doctorOf(t, "--json", "--data-dir", dir, "--listen", "127.0.0.1:0")
	var found model.Checkup
	if err := json.Unmarshal([]byte(out), &found); err != nil || code == 0 || found.Check("clock") == nil {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	if code, _, errs := doctorOf(t, "--endpoint", "--json", "m1"); code != model.Invalid.Info().Exit || !strings.Contains(errs, "not at machines") {
		t.Errorf("machines beside --endpoint: exit %d: %s", code, errs)
	}
}

// The endpoint is examined while it runs, on its machine and from elsewhere.
func TestDoctorOfAnEndpointThatRuns(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "dr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	e, err := endpoint.New(endpoint.Options{DataDir: filepath.Join(dir, "d"), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	code, out, errs := doctorOf(t, "--endpoint", "--data-dir", filepath.Join(dir, "d"), "--listen", e.Addr())
	if code != 0 || errs != "" {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	for _, want := range []string{"ok       endpoint", "ok       ready", "ok       certificate", "ok       master key", "warning  plugins"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	pin, err := fingerprint(t.Context(), e.Addr())
	if err != nil {
		t.Fatal(err)
	}
	remote := []string{"--endpoint", "https://" + e.Addr(), "--fingerprint", pin, "--token-file"}
	code, out, _ = doctorOf(t, append(remote, filepath.Join(dir, "d", "admin.token"))...)
	if code != 0 || !strings.Contains(out, "ok  endpoint  version") {
		t.Errorf("from elsewhere: exit %d: %s", code, out)
	}
	bad := filepath.Join(dir, "bad.token")
	if err := os.WriteFile(bad, []byte("not-a-token-of-this-endpoint"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, _ = doctorOf(t, append(remote, bad)...)
	if code != model.Forbidden.Info().Exit || !strings.Contains(out, "failed  endpoint") || strings.Contains(out, "not-a-token") {
		t.Errorf("with a wrong token: exit %d: %s", code, out)
	}
}
