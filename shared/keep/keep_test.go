package keep

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type record struct{ Text string }

func TestRecordsAreKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s, err := Open[record](dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	for _, text := range []string{"first", "second"} {
		if err := s.Put("one", record{text}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put("two", record{"x"}); err != nil {
		t.Fatal(err)
	}
	again, err := Open[record](dir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := again.All()
	if err != nil || len(all) != 2 || all["one"].Text != "second" {
		t.Errorf("%v, %v", all, err)
	}
	for range 2 {
		if err := again.Delete("one"); err != nil {
			t.Error(err)
		}
	}
	if all, err := s.All(); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestOddFiles(t *testing.T) {
	dir := t.TempDir()
	s, err := Open[record](dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"good.json": `{"Text":"a"}`, "half.json": `{"Text":`, ".record-123": "half", "README": "x", "..json": "{}", "other.txt": "{}",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.All()
	if len(all) != 1 || all["good"].Text != "a" || err == nil || !strings.Contains(err.Error(), "half.json") {
		t.Errorf("%v, %v", all, err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".record-123")); err == nil {
		t.Error("what was half written is still there")
	}
	for _, id := range []string{"", "..", "a/b", ".x", strings.Repeat("a", 101)} {
		if err := s.Put(id, record{}); err == nil {
			t.Errorf("%q is kept", id)
		}
		if err := s.Delete(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	if _, err := Open[record](filepath.Join(dir, "README", "x")); err == nil {
		t.Error("a file is taken for a folder")
	}
	gone, err := Open[record](filepath.Join(dir, "gone"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	if err := gone.Put("a", record{}); err == nil {
		t.Error("kept in a folder that is gone")
	}
	if _, err := gone.All(); err == nil {
		t.Error("read from a folder that is gone")
	}
}

// FuzzRead reads whatever stands in a record's file.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"Text":"a"}`))
	f.Add([]byte(`[`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := Open[record](dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "a.json"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if all, err := s.All(); err == nil && len(all) != 1 {
			t.Errorf("%q: %v", raw, all)
		}
	})
}
