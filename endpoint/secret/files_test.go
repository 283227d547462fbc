package secret

import (
	"bytes"
	"os"
	"path/filepath"
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
	if _, err := makeFile(path); err == nil {
		t.Error("it was made")
	}
	if raw, err := os.ReadFile(path); err != nil || !bytes.Equal(raw, []byte("of somebody")) {
		t.Errorf("%q, %v", raw, err)
	}
}
