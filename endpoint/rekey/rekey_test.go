package rekey

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"provision-plugins/endpoint/secret"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// envDir has the test binary change the key of a directory, and wait to be killed
// at the step that envStep counts to.
const envDir, envStep = "REKEY_TEST_DIR", "REKEY_TEST_STEP"

func TestMain(m *testing.M) {
	if dir := os.Getenv(envDir); dir != "" {
		os.Exit(changeAndWait(dir))
	}
	goleak.VerifyTestMain(m)
}

// changeAndWait is the process that is killed.
func changeAndWait(dir string) int {
	at, err := strconv.Atoi(os.Getenv(envStep))
	if err != nil {
		return 1
	}
	o := options(dir)
	o.step = func(name string) error {
		if at--; at > 0 {
			return nil
		}
		fmt.Println(name)
		select {} // until it is killed
	}
	if _, err := Change(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("ended")
	return 0
}

// options are those of a change in a directory that has its key itself.
func options(dir string) Options {
	return Options{Dir: dir, Site: "local", Getenv: func(string) string { return "" }, Logger: slog.New(slog.DiscardHandler)}
}

// held are the objects of the tests, each with a key of its own.
var held = []string{"machines/m1", "machines/m2", "profiles/pr"}

// fill makes a directory with objects whose keys are sealed, and returns its
// master key.
func fill(t *testing.T, o Options) *secret.Master {
	t.Helper()
	m, err := secret.LoadMaster(o.Dir, o.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	s := opened(t, o)
	defer shut(t, s)
	if err := Open(t.Context(), s, m, o.Logger); err != nil {
		t.Fatal(err)
	}
	for _, owner := range held {
		at, id, _ := strings.Cut(owner, "/")
		_, key, err := m.NewBox(owner)
		if err == nil {
			_, err = s.Create(t.Context(), store.Object{Prefix: at, ID: id, Value: []byte(`{"Name":"` + id + `"}`), Key: key}, map[string]string{"Name": id})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range []store.Object{{Prefix: "profiles", ID: "none", Value: []byte("{}")}, {Prefix: tokens, ID: "t1", Value: []byte("{}")}} {
		if _, err := s.Create(t.Context(), o, nil); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// opened opens the store of a directory.
func opened(t *testing.T, o Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: o.Dir, Site: o.Site, Logger: o.Logger})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shut closes a store.
func shut(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// opens checks whether everything in a directory opens with a key.
func opens(t *testing.T, o Options, key []byte) error {
	t.Helper()
	m, err := secret.NewMaster(key, "the test")
	if err != nil {
		t.Fatal(err)
	}
	s := opened(t, o)
	defer shut(t, s)
	if err := Open(t.Context(), s, m, o.Logger); err != nil {
		return err
	}
	for _, owner := range held {
		at, id, _ := strings.Cut(owner, "/")
		found, err := s.Find(at, "Name", id)
		if err != nil {
			return err
		}
		if _, err := m.OpenBox(owner, found.Key); err != nil {
			return err
		}
	}
	_, err = AuditKey(s, m)
	return err
}

// copied is a directory with the same content.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// keyOf reads a key's file; nil if there is none.
func keyOf(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Everything is sealed anew: the old key opens nothing any more, and the trail's
// stays what it was.
func TestChange(t *testing.T) {
	o := options(t.TempDir())
	old := fill(t, o)
	for round := range 2 {
		got, err := Change(t.Context(), o)
		if err != nil || got.Objects != len(held) || got.HandOver {
			t.Fatalf("round %d: %+v, %v", round, got, err)
		}
	}
	next := keyOf(t, filepath.Join(o.Dir, secret.KeyFile))
	if err := opens(t, o, next); err != nil {
		t.Error(err)
	}
	if err := opens(t, o, old.Bytes()); model.KindOf(err) != model.Invalid {
		t.Errorf("with the old key: %v", err)
	}
	if there := keyOf(t, filepath.Join(o.Dir, secret.KeyFile+".new")); there != nil {
		t.Error("the new key lies about")
	}
	info, err := os.Stat(filepath.Join(o.Dir, secret.KeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	s := opened(t, o)
	defer shut(t, s)
	m, err := secret.NewMaster(next, "the test")
	if err != nil {
		t.Fatal(err)
	}
	if key, err := AuditKey(s, m); err != nil || key != old.Derive("audit") {
		t.Errorf("the trail's key is another one, %v", err)
	}
	if left := s.List(tokens); len(left) != 0 {
		t.Errorf("%d tokens whose signatures are of the old key", len(left))
	}
}

// Killed at any step, both keys open everything, and a second try ends it.
func TestKilledAtEachStep(t *testing.T) {
	var steps []string
	for at := 1; ; at++ {
		o := options(t.TempDir())
		old := fill(t, o)
		name := killedAt(t, o.Dir, at)
		if name == "ended" {
			break
		}
		steps = append(steps, name)
		if err := opens(t, options(copied(t, o.Dir)), old.Bytes()); err != nil {
			t.Errorf("killed at %d (%s), with the old key: %v", at, name, err)
		}
		next := keyOf(t, filepath.Join(o.Dir, secret.KeyFile+".new"))
		if next == nil {
			next = keyOf(t, filepath.Join(o.Dir, secret.KeyFile))
		}
		if name != "new key" { // before, there is nothing of the new one
			if err := opens(t, options(copied(t, o.Dir)), next); err != nil {
				t.Errorf("killed at %d (%s), with the new key: %v", at, name, err)
			}
		}
		if _, err := Change(t.Context(), o); err != nil {
			t.Errorf("killed at %d (%s), again: %v", at, name, err)
		}
		if err := opens(t, o, keyOf(t, filepath.Join(o.Dir, secret.KeyFile))); err != nil {
			t.Errorf("killed at %d (%s), afterwards: %v", at, name, err)
		}
		if err := opens(t, o, old.Bytes()); err == nil {
			t.Errorf("killed at %d (%s), afterwards: the old key opens it", at, name)
		}
	}
	if got := strings.Join(steps, ", "); got != "new key, begun, object, object, object, rewrapped, file replaced" {
		t.Errorf("killed at %s", got)
	}
}

// killedAt changes the key of a directory in a process that is killed at a step.
func killedAt(t *testing.T, dir string, at int) (step string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env, cmd.Stderr = []string{envDir + "=" + dir, envStep + "=" + strconv.Itoa(at), "GORACE=atexit_sleep_ms=0"}, os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Error(err)
	}
	_ = cmd.Process.Kill() // the last one has ended by itself
	_ = cmd.Wait()         // killed
	return strings.TrimSpace(line)
}

// A key from elsewhere is changed in two steps: the old one works until the new one
// was handed over, and what is made meanwhile is not lost.
func TestKeyFromElsewhere(t *testing.T) {
	o, files := options(t.TempDir()), t.TempDir()
	var env, other string
	for i, path := range []*string{&env, &other} {
		*path = filepath.Join(files, strconv.Itoa(i))
		if err := os.WriteFile(*path, []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(i + 1)}, 32))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.Getenv = func(name string) string {
		if name == secret.EnvKeyFile {
			return env
		}
		return ""
	}
	fill(t, o)
	for _, wrong := range []string{"", env, filepath.Join(files, "none")} {
		bad := o
		bad.KeyFile = wrong
		if got, err := Change(t.Context(), bad); model.KindOf(err) != model.Invalid || strings.Contains(err.Error(), "\n") {
			t.Errorf("with key file %q: %+v, %v", wrong, got, err)
		}
	}
	o.KeyFile = other
	for range 2 {
		if got, err := Change(t.Context(), o); err != nil || !got.HandOver || got.Source != env {
			t.Fatalf("%+v, %v", got, err)
		}
		if err := opens(t, o, bytes.Repeat([]byte{1}, 32)); err != nil {
			t.Errorf("the old key, until the new one was seen: %v", err)
		}
	}
	if err := opens(t, o, bytes.Repeat([]byte{3}, 32)); model.KindOf(err) != model.Invalid {
		t.Errorf("a third key: %v", err)
	}
	for range 2 {
		if err := opens(t, o, bytes.Repeat([]byte{2}, 32)); err != nil {
			t.Errorf("the new key: %v", err)
		}
	}
	if err := opens(t, o, bytes.Repeat([]byte{1}, 32)); model.KindOf(err) != model.Invalid {
		t.Errorf("the old key, after the new one was seen: %v", err)
	}
}

// What was left by a try that never began is not taken for the new key of another.
func TestAnOldFileOfANewKey(t *testing.T) {
	o := options(t.TempDir())
	fill(t, o)
	stale := bytes.Repeat([]byte{9}, 32)
	if err := os.WriteFile(filepath.Join(o.Dir, secret.KeyFile+".new"), []byte(base64.StdEncoding.EncodeToString(stale)), 0o600); err != nil {
		t.Fatal(err)
	}
	o.KeyFile = filepath.Join(t.TempDir(), "key")
	mine := bytes.Repeat([]byte{7}, 32)
	if err := os.WriteFile(o.KeyFile, []byte(base64.StdEncoding.EncodeToString(mine)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Change(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(keyOf(t, filepath.Join(o.Dir, secret.KeyFile)), mine) {
		t.Error("another key")
	}
	if err := opens(t, o, mine); err != nil {
		t.Error(err)
	}
}

// A directory that an endpoint uses is left alone.
func TestWhileTheEndpointRuns(t *testing.T) {
	o := options(t.TempDir())
	fill(t, o)
	s := opened(t, o)
	defer shut(t, s)
	if _, err := Change(t.Context(), o); model.KindOf(err) != model.Conflict {
		t.Errorf("%v", err)
	}
}

// Where no endpoint has stored anything there is no key to change: nothing is made
// there, and nobody told that it was changed.
func TestWhereNoEndpointIs(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		_, err := Change(t.Context(), options(dir))
		if model.KindOf(err) != model.NotFound || !strings.Contains(err.Error(), dir) {
			t.Errorf("%v", err)
		}
		if made, err := os.ReadDir(dir); err == nil && len(made) > 0 {
			t.Errorf("made %v", made)
		}
	}
}

// made puts an object with a key of its own into a store.
func made(t *testing.T, s *store.Store, m *secret.Master, prefix, id string) {
	t.Helper()
	_, key, err := m.NewBox(prefix + "/" + id)
	if err == nil {
		_, err = s.Create(t.Context(), store.Object{Prefix: prefix, ID: id, Value: []byte("{}"), Key: key}, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Objects of every kind are sealed anew, also of those that a plugin brings, and of
// none is the key lost.
func TestEveryKindIsSealedAnew(t *testing.T) {
	o := options(t.TempDir())
	old := fill(t, o)
	kinds := []string{"machines", "profiles", "plugins", "stages", "contents", "users", "seen", "things", "z"}
	s := opened(t, o)
	for _, kind := range kinds {
		made(t, s, old, kind, "every kind")
	}
	shut(t, s)
	got, err := Change(t.Context(), o)
	if err != nil || got.Objects != len(held)+len(kinds) || got.HandOver {
		t.Fatalf("%+v, %v", got, err)
	}
	next, err := secret.NewMaster(keyOf(t, filepath.Join(o.Dir, secret.KeyFile)), "the test")
	if err != nil {
		t.Fatal(err)
	}
	s = opened(t, o)
	defer shut(t, s)
	for _, kind := range kinds {
		found, err := s.Get(kind, "every kind")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := next.OpenBox(kind+"/every kind", found.Key); err != nil {
			t.Errorf("%s, with the new key: %v", kind, err)
		}
		if _, err := old.OpenBox(kind+"/every kind", found.Key); err == nil {
			t.Errorf("%s opens with the old key", kind)
		}
	}
	if _, err := s.Get(prefix, changing); model.KindOf(err) != model.NotFound {
		t.Errorf("the keys are kept, each sealed with the other: %v", err)
	}
	if _, err := s.Get(tokens, "t1"); model.KindOf(err) != model.NotFound {
		t.Errorf("a token of before: %v", err)
	}
}

// What is made between a change and the handing over of its key is sealed with the
// old one; it opens with both, and with the new one alone in the end.
func TestWhatIsMadeMeanwhile(t *testing.T) {
	o, files := options(t.TempDir()), t.TempDir()
	var paths [2]string
	for i := range paths {
		paths[i] = filepath.Join(files, strconv.Itoa(i))
		if err := os.WriteFile(paths[i], []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(i + 1)}, 32))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.Getenv = func(name string) string {
		if name == secret.EnvKeyFile {
			return paths[0]
		}
		return ""
	}
	old := fill(t, o)
	o.KeyFile = paths[1]
	if _, err := Change(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	s := opened(t, o)
	if err := Open(t.Context(), s, old, o.Logger); err != nil {
		t.Fatal(err)
	}
	found, err := s.Find("machines", "Name", "m1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.OpenBox("machines/m1", found.Key); err != nil {
		t.Errorf("what was sealed anew, with the old key: %v", err)
	}
	made(t, s, old, "machines", "late")
	shut(t, s)
	next, err := secret.LoadFile(paths[1])
	if err != nil {
		t.Fatal(err)
	}
	s = opened(t, o)
	defer shut(t, s)
	if err := Open(t.Context(), s, next, o.Logger); err != nil {
		t.Fatal(err)
	}
	if found, err = s.Get("machines", "late"); err != nil {
		t.Fatal(err)
	}
	if _, err := next.Alone().OpenBox("machines/late", found.Key); err != nil {
		t.Errorf("what was made meanwhile, with the new key alone: %v", err)
	}
}

// A file of a new key that was cut off while it was written stands in nobody's way.
func TestANewKeyThatWasCutOff(t *testing.T) {
	for _, rest := range []string{"", "aGFsZg", "no key"} {
		o := options(t.TempDir())
		old := fill(t, o)
		path := filepath.Join(o.Dir, secret.KeyFile+".new")
		if err := os.WriteFile(path, []byte(rest), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Change(t.Context(), o); err != nil {
			t.Errorf("%q: %v", rest, err)
		}
		next := keyOf(t, filepath.Join(o.Dir, secret.KeyFile))
		if bytes.Equal(next, old.Bytes()) {
			t.Errorf("%q: the key is the old one", rest)
		}
		if err := opens(t, o, next); err != nil {
			t.Errorf("%q: %v", rest, err)
		}
	}
}
