package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"provision-plugins/shared/model"
)

func TestSecondProcessIsRefusedByName(t *testing.T) {
	dir := t.TempDir()
	pid, release := holdInChild(t, dir)
	_, err := Open(context.Background(), Options{Dir: dir})
	wantKind(t, err, model.Conflict)
	want := fmt.Sprintf("cannot open data directory %s: in use by process %d (", dir, pid)
	if !strings.Contains(err.Error(), want) {
		t.Errorf("error %q, want it to say %q", err, want)
	}
	release()
	open(t, dir)
}

func TestSecondOpenInOneProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := Open(context.Background(), Options{Dir: dir})
	wantKind(t, err, model.Conflict)
	// The refused one must not have disturbed the first.
	create(t, s, "a", "n")
}

// A process started at the moment of the release has a copy of the descriptor
// until its exec: that must not keep the lock.
func TestLockIsReleasedInSpiteOfACopy(t *testing.T) {
	dir := t.TempDir()
	lock, err := takeLock(dir)
	must(t, err)
	fd, err := syscall.Dup(int(lock.file.Fd()))
	must(t, err)
	defer syscall.Close(fd)
	must(t, lock.release())
	again, err := takeLock(dir)
	must(t, err)
	must(t, again.release())
}

func TestLockFileWithoutAPid(t *testing.T) {
	for content, want := range map[string]string{
		"":           "another process",
		"garbage":    "another process",
		"4194999\n":  "process 4194999",
		"-5 million": "another process",
	} {
		if got := holder(strings.NewReader(content)); got != want {
			t.Errorf("holder(%q) = %q, want %q", content, got, want)
		}
	}
}

func TestDirIsMadeAndClosedToOthers(t *testing.T) {
	base := t.TempDir()
	loose := filepath.Join(base, "loose")
	must(t, os.MkdirAll(filepath.Join(loose, "plugins"), 0o755))
	for _, dir := range []string{filepath.Join(base, "deep", "er"), loose} {
		open(t, dir)
		info, err := os.Stat(dir)
		must(t, err)
		if info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v, want 0700", dir, info.Mode())
		}
	}
}

func TestDirOthersWriteToIsRefusedUnlessEmpty(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "somebody's"), nil, 0o600))
	must(t, os.Chmod(dir, 0o777))
	_, err := Open(context.Background(), Options{Dir: dir})
	wantKind(t, err, model.Invalid)
	if info, statErr := os.Stat(dir); statErr != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("the refused directory was changed: %v %v", info.Mode(), statErr)
	}
	must(t, os.Remove(filepath.Join(dir, "somebody's")))
	s := open(t, dir)
	must(t, s.Close())
	must(t, os.Chmod(dir, 0o775)) // ours by its lock file
	open(t, dir)
}

func TestUnusableDirs(t *testing.T) {
	base := t.TempDir()
	file := filepath.Join(base, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, c := range []struct {
		dir    string
		kind   model.Kind
		advice string
	}{
		{"", model.Invalid, "no directory was named"},
		{file, model.Invalid, "choose another directory"},
		{filepath.Join(file, "below"), model.Invalid, "choose another directory"},
		{filepath.Join(base, strings.Repeat("x", 300)), model.Invalid, "choose another directory"},
		// Nobody may make a directory there, not even root.
		{"/sys/oob", model.Forbidden, "run as its owner, or choose another directory"},
	} {
		_, err := Open(context.Background(), Options{Dir: c.dir})
		wantKind(t, err, c.kind)
		text := err.Error()
		if !strings.Contains(text, "cannot open data directory") || !strings.Contains(text, c.dir) || !strings.Contains(text, c.advice) || strings.Contains(text, "\n") {
			t.Errorf("%q: error %q does not name it and say %q in one line", c.dir, text, c.advice)
		}
	}
}

func TestDirTheEngineCannotUse(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "jetstream"), []byte("in the way"), 0o600))
	_, err := Open(context.Background(), Options{Dir: dir})
	wantKind(t, err, model.Invalid)
	if text := err.Error(); !strings.Contains(text, dir) || !strings.Contains(text, "not a directory") {
		t.Errorf("error %q does not say what is wrong, and where", err)
	}
	must(t, os.Remove(filepath.Join(dir, "jetstream")))
	open(t, dir) // the failed start has given everything up
}
