package allow

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// sumText is the line that sha256sum prints.
func sumText(content, name string) string {
	return fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(content)), name)
}

// place writes a file in one step.
func place(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// everybody trusts every file.
func everybody(string) error { return nil }

func TestNoListAllowsAll(t *testing.T) {
	l := Open("", everybody)
	l.Forget("x")
	if err := l.Check("/none"); l != nil || err != nil {
		t.Errorf("%v, %v", l, err)
	}
}

// What is on the list is allowed, as it is at that moment: the list and the
// programs may change.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	list, one, two := filepath.Join(dir, "list"), filepath.Join(dir, "one"), filepath.Join(dir, "two")
	place(t, list, sumText("first", "one"))
	place(t, one, "first")
	place(t, two, "second")
	l := Open(list, everybody)
	allowed := func(path string, want bool) {
		t.Helper()
		for range 2 { // the second answer is of what was kept
			err := l.Check(path)
			if want && err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if !want && (model.KindOf(err) != model.Forbidden || !strings.Contains(err.Error(), list) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	allowed(one, true)
	allowed(two, false)
	place(t, one, "secon2") // of the same length
	allowed(one, false)
	place(t, list, "# approved\n\n"+sumText("first", "one")+strings.ToUpper(sumText("secon2", "one"))+`\`+sumText("second", `a\\b`))
	allowed(one, true)
	allowed(two, true)
	place(t, list, sumText("second", "two"))
	allowed(one, false)
	allowed(two, true)
	l.Forget(two)
	allowed(two, true)
	if err := os.Remove(two); err != nil {
		t.Fatal(err)
	}
	if err := l.Check(two); model.KindOf(err) != model.Internal {
		t.Errorf("a program that is gone: %v", err)
	}
}

// A program that was changed in its place is seen by its time, if its length stayed.
func TestAProgramChangedInPlace(t *testing.T) {
	dir := t.TempDir()
	list, one := filepath.Join(dir, "list"), filepath.Join(dir, "one")
	place(t, list, sumText("first", "one"))
	place(t, one, "first")
	l := Open(list, everybody)
	if err := l.Check(one); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(one, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour) // however coarse the file system's clock is
	if err := os.Chtimes(one, later, later); err != nil {
		t.Fatal(err)
	}
	if err := l.Check(one); model.KindOf(err) != model.Forbidden {
		t.Errorf("%v", err)
	}
}

// A program put in another's place is told by the file that it is, one that was
// written over by its length, though both have the time of what was there before.
func TestAProgramWithTheTimeOfAnother(t *testing.T) {
	dir := t.TempDir()
	list, one := filepath.Join(dir, "list"), filepath.Join(dir, "one")
	place(t, list, sumText("first", "one"))
	then := time.Now().Add(-time.Hour)
	for name, change := range map[string]func() error{
		"another file":   func() error { place(t, one, "other"); return nil },
		"another length": func() error { return os.WriteFile(one, []byte("others"), 0o600) },
	} {
		place(t, one, "first")
		l := Open(list, everybody)
		if err := errors.Join(os.Chtimes(one, then, then), l.Check(one), change(), os.Chtimes(one, then, then)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := l.Check(one); model.KindOf(err) != model.Forbidden {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A list that was broken for a while and is the very one of before allows again what
// is on it.
func TestAListThatIsMended(t *testing.T) {
	dir := t.TempDir()
	list, one := filepath.Join(dir, "list"), filepath.Join(dir, "one")
	place(t, one, "first")
	l := Open(list, everybody)
	good, then := sumText("first", "one"), time.Now().Add(-time.Hour)
	for _, step := range []struct {
		text string
		want model.Kind
	}{{good, ""}, {good + "?", model.Invalid}, {good, ""}} {
		err := os.WriteFile(list, []byte(step.text), 0o600)
		if err = errors.Join(err, os.Chtimes(list, then, then)); err != nil {
			t.Fatal(err)
		}
		if err := l.Check(one); (err == nil) != (step.want == "") || err != nil && model.KindOf(err) != step.want {
			t.Errorf("%q: %v", step.text, err)
		}
	}
}

// While the list cannot be used nothing is allowed, also what it allowed before.
func TestAListThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	list, one := filepath.Join(dir, "list"), filepath.Join(dir, "one")
	place(t, one, "first")
	var fault error
	l := Open(list, func(path string) error {
		if path != list {
			t.Errorf("asked of %s", path)
		}
		return fault
	})
	spoil := map[string]func(){
		"it is gone":        func() { _ = os.Remove(list) }, // or it was never there
		"it is a directory": func() { _ = os.Remove(list); _ = os.Mkdir(list, 0o700) },
		"others may write":  func() { fault = errors.New("it is writable by others") },
		"it is no list":     func() { place(t, list, sumText("first", "one")+"first\n") },
		"a sum is cut":      func() { place(t, list, sumText("first", "one")[1:]) },
		"it is of MD5 sums": func() { place(t, list, "8b04d5e3775d298e78455efc5ca404d5  one\n") },
		"it is large":       func() { place(t, list, sumText("first", "one")+strings.Repeat("# x\n", maxList/4)) },
	}
	for name, change := range spoil {
		_ = os.Remove(list) // a directory of before too
		place(t, list, sumText("first", "one"))
		if fault = nil; l.Check(one) != nil {
			t.Fatalf("before %s: %v", name, l.Check(one))
		}
		change()
		for range 2 {
			if err := l.Check(one); model.KindOf(err) != model.Invalid || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sumText("x", "x")))
	f.Add([]byte("# none\n\n"))
	f.Add([]byte(`\` + strings.Repeat("ab", 32)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		sums, err := Parse(raw)
		if (err == nil) == (sums == nil) || len(sums) > len(raw)/64 {
			t.Errorf("%d sums of %d bytes, %v", len(sums), len(raw), err)
		}
	})
}
