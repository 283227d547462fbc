package endpoint

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// escapes are ways out of a directory, as a path or a name may have them.
var escapes = []string{
	"../admin.token", "../../admin.token", "..%2f..%2fadmin.token", "..%2F..%2F..%2Fetc%2Fpasswd", "%2e%2e/%2e%2e/admin.token", "%2e%2e%2fadmin.token",
	"..%5c..%5cadmin.token", "....//....//admin.token", "a/../../../admin.token", "a/..%2f..%2f..%2fadmin.token", "/etc/passwd", "%2fetc%2fpasswd", "//etc/passwd",
	"..", "../", "%2e%2e", "..;/admin.token", "..%00/admin.token", "admin.token%00", "%00", "..%c0%af..%c0%afadmin.token", "..%ef%bc%8fadmin.token",
	"plugin_providers/../../../admin.token", "./../../admin.token", ".%2e/.%2e/admin.token", "link/admin.token",
}

// fileRoutesOf are the routes whose path or query names something in the file
// system: a file, a binary, a plugin with its directories, a layer, a user.
var fileRoutesOf = []struct{ method, path, body string }{
	{"GET", "/files/%s", ""}, {"GET", "/api/v3/files/%s", ""}, {"GET", "/api/v3/files?path=%s", ""}, {"POST", "/api/v3/files/%s", "x"}, {"DELETE", "/api/v3/files/%s", ""},
	{"GET", "/api/v3/plugin_providers/%s/binary", ""}, {"POST", "/api/v3/plugin_providers/%s", "#!/bin/sh\n"}, {"DELETE", "/api/v3/plugin_providers/%s", ""},
	{"GET", "/api/v3/plugin_providers/%s", ""}, {"POST", "/api/v3/plugin_providers/%s/trust", ""}, {"GET", "/api/v3/contents/%s", ""}, {"DELETE", "/api/v3/contents/%s", ""},
	{"GET", "/api/v3/runs/%s/log", ""}, {"GET", "/plugin-apis/%s/x", ""}, {"GET", "/debug/pprof/%s", ""}, {"GET", "/%s", ""}, {"GET", "/api/v3/%s", ""},
	{"GET", "/api/v3/machines/%s", ""}, {"DELETE", "/api/v3/users/%s", ""},
}

// No request gets at a file that is not its own, or leaves one.
func TestNoPathEscapes(t *testing.T) {
	t.Parallel()
	r := start(t)
	root := r.opts.DataDir
	if err := os.MkdirAll(filepath.Join(root, "webroot", "files", "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(root, filepath.Join(root, "webroot", "files", "link")); err != nil {
		t.Fatal(err)
	}
	before, n := r.tree(), 0
	for _, c := range fileRoutesOf {
		for _, way := range escapes {
			n++
			resp, raw := r.rawRequest(c.method, fmt.Sprintf(c.path, way), c.body)
			if resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented {
				t.Errorf("%s %s: %d: %s", c.method, fmt.Sprintf(c.path, way), resp.StatusCode, raw)
			}
			if text := string(raw); strings.Contains(text, r.e.token) || strings.Contains(text, "root:x:") {
				t.Errorf("%s %s shows a file: %d", c.method, fmt.Sprintf(c.path, way), resp.StatusCode)
			}
		}
	}
	// Names of objects become directories.
	for _, way := range escapes {
		name, err := url.PathUnescape(way)
		if err != nil {
			continue
		}
		body, err := model.Marshal(map[string]any{"Name": name, "Provider": name})
		if err != nil {
			t.Fatal(err)
		}
		for _, prefix := range []string{"plugins", "profiles", "users"} {
			n++
			if resp, raw := r.askLocal("POST", "/"+prefix, string(body)); resp.StatusCode < 400 || resp.StatusCode >= 500 {
				t.Errorf("%s named %q: %d: %s", prefix, name, resp.StatusCode, raw)
			}
		}
	}
	if after := r.tree(); after != before {
		t.Errorf("files were\n%s\nand are\n%s", before, after)
	}
	t.Logf("%d attempts", n)
}

// rawRequest sends a path as it is, by an admin: what a client would tidy is not.
func (r *rig) rawRequest(method, target, body string) (*http.Response, []byte) {
	r.t.Helper()
	path, query, _ := strings.Cut(target, "?")
	req, err := http.NewRequestWithContext(r.t.Context(), method, "https://"+r.e.Addr()+"/", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.URL.Opaque, req.URL.RawQuery = "//"+r.e.Addr()+path, query
	if strings.Contains(path, "plugin_providers") || strings.Contains(path, "/files") {
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	return r.do(req, r.e.token)
}

// tree lists the files around the endpoint, but for those that the store writes by itself.
func (r *rig) tree() string {
	r.t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(filepath.Dir(r.opts.DataDir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == "jetstream" || d.Name() == "backups" {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".sock") {
			fmt.Fprintln(&out, path)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out.String()
}

// What a process is started with is there for everybody to see: neither its name
// nor its arguments have a secret, and its environment only its own token.
func TestProcessesShowNoSecret(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.plant()
	r.ready("toy")
	pid := itoa(pidOf(t, r, "toy"))
	for _, file := range []string{"cmdline", "comm", "environ", "status"} {
		raw, err := os.ReadFile(filepath.Join("/proc", pid, file))
		if err != nil {
			t.Skipf("no /proc here: %v", err)
		}
		for origin, text := range planted {
			if strings.Contains(string(raw), text) {
				t.Errorf("%s shows the secret of %s", file, origin)
			}
		}
		if file != "environ" && strings.Contains(string(raw), "RS_TOKEN") || strings.Contains(string(raw), r.e.token) {
			t.Errorf("%s shows a token", file)
		}
	}
}
