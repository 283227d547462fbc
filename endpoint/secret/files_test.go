package secret

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A key's file is nobody else's: not the group's either.
func TestKeyFilesAreTheOwners(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, KeyFile)
	if _, err := LoadMaster(dir, func(string) string { return "" }); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o620, 0o610, 0o604, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := fromFile(path); err == nil {
			t.Errorf("mode %o is taken", mode)
		}
	}
}

// A key that somebody made meanwhile is not overwritten: what is sealed with it
// would be lost.
func TestAKeyIsNotOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), KeyFile)
	if err := os.WriteFile(path, []byte("of somebody"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := MakeFile(path); err == nil {
		t.Error("it was made")
	}
	if raw, err := os.ReadFile(path); err != nil || !bytes.Equal(raw, []byte("of somebody")) {
		t.Errorf("%q, %v", raw, err)
	}
}

// watchedDisk is a disk that notes what was synced, and what a file held then.
func watchedDisk(synced *[]string) disk {
	return disk{func(f *os.File) error {
		raw, err := os.ReadFile(f.Name())
		if info, e := f.Stat(); e == nil && info.IsDir() {
			names, e := os.ReadDir(f.Name())
			for _, entry := range names {
				raw = append(raw, entry.Name()+" "...)
			}
			err = e
		}
		*synced = append(*synced, filepath.Base(f.Name())+": "+string(raw))
		return errors.Join(err, f.Sync())
	}}
}

// A key is on the disk, with its name, before it is used: first what it holds, then
// the directory; and one that replaces another is there under its new name.
func TestKeysOutliveAPowerCut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	m, err := NewMaster(bytes.Repeat([]byte{1}, keySize), "the test")
	if err != nil {
		t.Fatal(err)
	}
	var synced []string
	d := watchedDisk(&synced)
	path := filepath.Join(dir, "new")
	if err := errors.Join(d.write(path, m), d.replace(filepath.Join(dir, "key"), path)); err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(m.Bytes()) + "\n"
	if want := []string{"new: " + text, "keys: new ", "keys: key "}; !slices.Equal(synced, want) {
		t.Errorf("synced %q, want %q", synced, want)
	}
}

// What the disk refuses is told, and a key that may not be there is not used.
func TestADiskThatFails(t *testing.T) {
	m, err := NewMaster(bytes.Repeat([]byte{1}, keySize), "the test")
	if err != nil {
		t.Fatal(err)
	}
	broken := disk{func(*os.File) error { return errors.New("input/output error") }}
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if err := broken.write(path, m); err == nil {
		t.Error("written")
	}
	if err := broken.replace(filepath.Join(dir, "other"), path); err == nil {
		t.Error("replaced")
	}
	for _, err := range []error{WriteFile(filepath.Join(dir, "none", "key"), m), ReplaceFile(path, filepath.Join(dir, "none"))} {
		if err == nil || bytes.ContainsRune([]byte(err.Error()), '\n') {
			t.Errorf("%v", err)
		}
	}
	if d := durable(); d.sync == nil {
		t.Error("nothing syncs")
	}
}
