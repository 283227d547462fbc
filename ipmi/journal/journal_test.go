package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// opened is a journal in a directory.
func opened(t *testing.T, dir string) *Journal {
	t.Helper()
	j := &Journal{}
	if err := j.Open(dir); err != nil {
		t.Fatal(err)
	}
	return j
}

// files are what the journal keeps.
func files(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A change is there from its begin to its end, also for who opens the journal anew,
// and of its BMC and user alone.
func TestJournal(t *testing.T) {
	const peer, user, password = "127.0.0.1:623", "admin", "an-owl-in-the-barn"
	dir := t.TempDir()
	j := opened(t, dir)
	if e, err := j.Find(peer, user); e != nil || err != nil {
		t.Fatalf("%+v, %v", e, err)
	}
	at := time.Unix(1_700_000_000, 0)
	if err := j.Begin(peer, user, password, at); err != nil {
		t.Fatal(err)
	}
	again := opened(t, dir)
	e, err := again.Find(peer, user)
	if err != nil || e == nil || !e.At.Equal(at) || !e.Is(password) || e.Is("another") || e.Is("") {
		t.Fatalf("%+v, %v", e, err)
	}
	for _, other := range [][2]string{{peer, "root"}, {"127.0.0.2:623", user}} {
		if e, err := again.Find(other[0], other[1]); e != nil || err != nil {
			t.Errorf("%s: %+v, %v", other, e, err)
		}
	}
	if err := again.Begin(peer, user, "another", at); err != nil {
		t.Fatal(err)
	}
	if e, err := j.Find(peer, user); err != nil || !e.Is("another") || len(files(t, dir)) != 1 {
		t.Errorf("%+v, %v, %q", e, err, files(t, dir))
	}
	for range 2 { // an end that is there already is one, too
		if err := j.End(peer, user); err != nil {
			t.Error(err)
		}
	}
	if e, err := again.Find(peer, user); e != nil || err != nil || len(files(t, dir)) != 0 {
		t.Errorf("%+v, %v, %q", e, err, files(t, dir))
	}
}

// What is kept is for its owner alone, and holds no password, nor the same for the
// same password twice.
func TestNoPasswordIsKept(t *testing.T) {
	const password = "an-owl-in-the-barn"
	dir := t.TempDir()
	j := opened(t, dir)
	var kept [][]byte
	for _, peer := range []string{"127.0.0.1:623", "127.0.0.2:623"} {
		if err := j.Begin(peer, "admin", password, time.Now()); err != nil {
			t.Fatal(err)
		}
		e, err := j.Find(peer, "admin")
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, e.Proof)
	}
	if bytes.Equal(kept[0], kept[1]) {
		t.Error("the same password is told by the same proof")
	}
	for _, path := range files(t, dir) {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
		raw, err := os.ReadFile(path)
		if err != nil || strings.Contains(string(raw), password) {
			t.Errorf("%s, %v", raw, err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, folder)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// What cannot be read, or not be written, is an error that names the place, and never
// taken for a change that is not under way.
func TestJournalThatCannotBeRead(t *testing.T) {
	const peer, user = "127.0.0.1:623", "admin"
	if _, err := (&Journal{}).Find(peer, user); model.KindOf(err) != model.Internal {
		t.Error(err)
	}
	if (&Journal{}).Begin(peer, user, "x", time.Now()) == nil || (&Journal{}).End(peer, user) == nil {
		t.Error("a journal without a place keeps something")
	}
	dir := t.TempDir()
	j := opened(t, dir)
	if err := j.Begin(peer, user, "x", time.Now()); err != nil {
		t.Fatal(err)
	}
	path := files(t, dir)[0]
	for name, text := range map[string]string{
		"empty": "", "cut off": `{"peer":"127.0`, "another's": `{"peer":"127.0.0.9:623","user":"admin"}`, "too long": strings.Repeat(" ", 2*maxEntry) + "{}",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if e, err := j.Find(peer, user); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if j.Begin(peer, user, "x", time.Now()) == nil {
		t.Error("written where there is nothing")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if (&Journal{}).Open(file) == nil {
		t.Error("a file is taken for a directory")
	}
}
