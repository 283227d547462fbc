package endpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// binaryOf is the text of a toy's binary, for uploads.
func (r *rig) binaryOf(role string) string {
	r.t.Helper()
	path := r.install(".draft-"+role, role) // hidden: no plugin
	raw, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		r.t.Fatal(err)
	}
	return string(raw)
}

// upload posts a binary as the reference's command line does.
func (r *rig) upload(name, binary, token string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "https://"+r.e.Addr()+apiRoot+"/plugin_providers/"+name, strings.NewReader(binary))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, raw := r.do(req, token)
	return resp.StatusCode, string(raw)
}

func TestUploadReplaceDownloadRemove(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	first := r.binaryOf("toy")
	status, text := r.upload("toy", first, r.e.token)
	var up uploaded
	if err := json.Unmarshal([]byte(text), &up); err != nil || status != http.StatusCreated || up.Path != "toy" || up.Size != int64(len(first)) {
		t.Fatalf("%d %s, %v", status, text, err)
	}
	// It is in use when the answer is there.
	var p model.PluginProvider
	if err := r.c.Get(t.Context(), "plugin_providers/toy", &p); err != nil || p.Meta[metaState] != stateLoaded || p.Version != "v1.0.0" {
		t.Fatalf("%+v, %v", p, err)
	}
	pid := pidOf(t, r, "toy")
	if status, text := r.upload("toy", r.binaryOf("v2"), r.e.token); status != http.StatusCreated {
		t.Fatalf("replaced: %d %s", status, text)
	}
	if err := r.c.Get(t.Context(), "plugin_providers/toy", &p); err != nil || p.Version != "v2.0.0" {
		t.Errorf("%+v, %v", p, err)
	}
	r.replaced("toy", pid)
	r.download("toy", r.binaryOf("v2"))
	if resp, raw := r.ask("DELETE", apiRoot+"/plugin_providers/toy", r.e.token, ""); resp.StatusCode != 200 || !strings.Contains(string(raw), `"Name":"toy"`) {
		t.Errorf("removed: %d %s", resp.StatusCode, raw)
	}
	wantError(t, r.c.Get(t.Context(), "plugin_providers/toy", nil), model.NotFound)
	eventually(t, "its plugin says so", func() bool { return strings.Contains(r.pluginErrors("toy"), "not loaded") })
	if resp, _ := r.ask("DELETE", apiRoot+"/plugin_providers/toy", r.e.token, ""); resp.StatusCode != 404 {
		t.Errorf("removed twice: %d", resp.StatusCode)
	}
}

// download checks the answers that hold a binary.
func (r *rig) download(name, want string) {
	r.t.Helper()
	path := apiRoot + "/plugin_providers/" + name + "/binary"
	resp, raw := r.ask("GET", path, r.e.token, "")
	sum := sha256.Sum256([]byte(want))
	tag := `"SHA256:` + hex.EncodeToString(sum[:]) + `"`
	if resp.StatusCode != 200 || string(raw) != want || resp.Header.Get("ETag") != tag || resp.Header.Get("Content-Type") != "application/octet-stream" {
		r.t.Errorf("%d %v, %d bytes, want %d and %s", resp.StatusCode, resp.Header, len(raw), len(want), tag)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "https://"+r.e.Addr()+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("If-None-Match", tag)
	if resp, raw := r.do(req, r.e.token); resp.StatusCode != http.StatusNotModified || len(raw) != 0 {
		r.t.Errorf("with its tag: %d, %d bytes", resp.StatusCode, len(raw))
	}
}

// A bad upload changes nothing and leaves nothing behind.
func TestBadUploads(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	pid := pidOf(t, r, "toy")
	for _, c := range []struct {
		name, file, role string
		token            string
		status           int
		text             string
	}{
		{"garbage", "toy", "garbage", r.e.token, 400, "define failed"},
		{"no program", "toy", "", r.e.token, 400, "empty"},
		{"failing", "new", "failing", r.e.token, 400, "define failed: cannot define new: exit status 1: Error: no licence"},
		{"of a provider that is there", "copy", "toy", r.e.token, 409, "of plugin provider toy"},
		{"bad name", ".hidden", "toy", r.e.token, 422, "Invalid name"},
		{"by a viewer", "toy", "v2", r.e.sup.tokens.issue("viewer", readerGrant()), 403, "may not"},
		{"by nobody", "toy", "v2", "", 401, ""},
	} {
		binary := ""
		if c.role != "" {
			binary = r.binaryOf(c.role)
		}
		if status, text := r.upload(c.file, binary, c.token); status != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s: %d %s, want %d %s", c.name, status, text, c.status, c.text)
		}
	}
	if got := pidOf(t, r, "toy"); got != pid {
		t.Error("the running plugin was disturbed")
	}
	r.onlyFiles("toy")
}

// onlyFiles checks what lies in the plugin directory.
func (r *rig) onlyFiles(want ...string) {
	r.t.Helper()
	files, err := os.ReadDir(r.opts.PluginDir)
	if err != nil {
		r.t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Name())
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("in the plugin directory: %v, want %v", got, want)
	}
}

// An upload is bounded, and one that breaks off leaves nothing.
func TestUploadsThatAreNotWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, _, err := receiveFile(dir, "big", http.MaxBytesReader(nil, io.NopCloser(strings.NewReader("more than four")), 4))
	wantError(t, err, model.Invalid, "larger than 256 MiB")
	_, _, err = receiveFile(dir, "torn", io.MultiReader(strings.NewReader("half"), &tornReader{}))
	wantError(t, err, model.Invalid, "cannot take the binary")
	_, _, err = receiveFile(filepath.Join(dir, "none"), "x", strings.NewReader("x"))
	wantError(t, err, model.Internal, "plugin directory")
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// What a killed endpoint left of an upload goes at the next start; one that may
// be going on stays.
func TestRestsOfUploadsAreRemoved(t *testing.T) {
	t.Parallel()
	r := newRig(t, "toy")
	left, fresh := filepath.Join(r.opts.PluginDir, uploadPrefix+"toy-1"), filepath.Join(r.opts.PluginDir, uploadPrefix+"toy-2")
	long := time.Now().Add(-3 * uploadTimeout)
	if err := errors.Join(os.WriteFile(left, []byte("half"), 0o755), os.WriteFile(fresh, []byte("half"), 0o755), os.Chtimes(left, long, long)); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.ready("toy")
	r.onlyFiles(filepath.Base(fresh), "toy")
}

// tornReader breaks off.
type tornReader struct{}

// Read fails.
func (*tornReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Uploads of one name at once end with one of them, whole.
func TestUploadsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	versions := []string{r.binaryOf("toy"), r.binaryOf("v2")}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			if status, text := r.upload("toy", versions[i%2], r.e.token); status != http.StatusCreated {
				t.Errorf("%d %s", status, text)
			}
		})
	}
	wg.Wait()
	raw, err := os.ReadFile(filepath.Join(r.opts.PluginDir, "toy"))
	if err != nil || !slices.Contains(versions, string(raw)) {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	r.onlyFiles("toy")
	want := "v1.0.0"
	if string(raw) == versions[1] {
		want = "v2.0.0"
	}
	eventually(t, "the one on disk in use", func() bool { return r.provider("toy", stateLoaded).Version == want })
}

// Which of two files of one provider is used depends on their names alone.
func TestWhichOfTwoFilesWins(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		files []string // in the order in which they come
		wins  string
	}{
		{[]string{"a", "toy"}, "toy"},
		{[]string{"toy", "a"}, "toy"},
		{[]string{"z", "b", "m"}, "b"},
	} {
		t.Run(fmt.Sprint(c.files), func(t *testing.T) {
			r := newRig(t)
			r.start()
			for _, name := range c.files {
				r.install(name, "toy")
				eventually(t, name+" is asked", func() bool {
					state, _, err := r.e.discovery.await(t.Context(), name)
					return err == nil && (state == stateLoaded || state == stateFailed)
				})
			}
			r.fileInUse("toy", c.wins)
			r.ready("toy")
			for _, name := range c.files {
				if name != c.wins {
					p := r.provider(name, stateFailed)
					if !strings.Contains(p.Meta[metaError], "is in "+filepath.Join(r.opts.PluginDir, c.wins)+" too") {
						t.Errorf("%s: %s", name, p.Meta[metaError])
					}
				}
			}
			if err := os.Remove(filepath.Join(r.opts.PluginDir, c.wins)); err != nil {
				t.Fatal(err)
			}
			rest := slices.DeleteFunc(slices.Clone(c.files), func(s string) bool { return s == c.wins })
			slices.Sort(rest)
			r.fileInUse("toy", rest[0])
			r.ready("toy")
		})
	}
}

// fileInUse waits until a provider is loaded from a file.
func (r *rig) fileInUse(provider, file string) {
	r.t.Helper()
	eventually(r.t, provider+" from "+file, func() bool {
		var p model.PluginProvider
		err := r.c.Get(r.t.Context(), "plugin_providers/"+provider, &p)
		return err == nil && p.Meta[metaState] == stateLoaded && filepath.Base(p.Meta[metaPath]) == file
	})
}
