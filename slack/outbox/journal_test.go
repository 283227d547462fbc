package outbox

import (
	"bytes"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// lineBook is a ledger that keeps its lines, and of a rewrite those that keep
// lets through.
type lineBook struct {
	mu     sync.Mutex // guards all below
	texts  []string
	at     []int64
	keep   func(string) bool
	places []line
	file   *os.File
}

func (b *lineBook) apply(text []byte, at int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.texts, b.at = append(b.texts, string(text)), append(b.at, at)
}

func (b *lineBook) lines() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, text := range b.texts {
			if b.keep(text) && !yield([]byte(text)) {
				return
			}
		}
	}
}

func (b *lineBook) moved(file *os.File, places []line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.places, b.file = places, file
}

// openBook opens the journal of dir.
func openBook(t testing.TB, dir string) (*journal, *lineBook, int) {
	t.Helper()
	book := &lineBook{}
	j, damaged, err := openJournal(dir, book)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.close(); err != nil {
			t.Error(err)
		}
	})
	return j, book, damaged
}

// write appends lines.
func write(t testing.TB, j *journal, lines ...string) {
	t.Helper()
	for _, text := range lines {
		if err := j.append([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJournalIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	j, book, _ := openBook(t, dir)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() { write(t, j, fmt.Sprintf(`{"n":%d}`, i)) })
	}
	wg.Wait()
	_, again, damaged := openBook(t, dir)
	if damaged != 0 || len(again.texts) != 100 || !slices.Equal(book.texts, again.texts) || !slices.Equal(book.at, again.at) {
		t.Errorf("%d damaged, %d lines, offsets equal: %v", damaged, len(again.texts), slices.Equal(book.at, again.at))
	}
	for i, text := range again.texts {
		raw := make([]byte, len(text))
		if _, err := j.file.ReadAt(raw, again.at[i]); err != nil || string(raw) != text {
			t.Fatalf("at %d: %q, %v; want %q", again.at[i], raw, err, text)
		}
	}
}

// A crash may tear the last line anywhere: it does not count, the others do, and
// what is written next is whole.
func TestTornEnd(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := openBook(t, dir)
	write(t, j, "one", "two", "three")
	whole, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	start := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for end := start; end < len(whole); end++ {
		torn := t.TempDir()
		if err := os.WriteFile(filepath.Join(torn, journalName), whole[:end], 0o600); err != nil {
			t.Fatal(err)
		}
		j, book, damaged := openBook(t, torn)
		write(t, j, "four")
		_, again, damagedAgain := openBook(t, torn)
		if want := []string{"one", "two", "four"}; !slices.Equal(book.texts, want) || !slices.Equal(again.texts, want) || damaged+damagedAgain != 0 {
			t.Errorf("cut at %d: %q, again %q, damaged %d, %d", end, book.texts, again.texts, damaged, damagedAgain)
		}
	}
}

func TestDamagedLines(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := openBook(t, dir)
	write(t, j, "one", "two", "three")
	whole, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		old, new string
		damaged  int
		want     string
	}{
		"a letter":         {" two", " twp", 1, "one three"},
		"a sum":            {"two", "two ", 1, "one three"},
		"no space":         {" two", "-two", 1, "one three"},
		"an end":           {"two\n", "two", 1, "one"},
		"an empty line":    {"two\n", "two\n\n", 1, "one two three"},
		"a very long line": {"three", strings.Repeat("x", 3*maxLine), 1, "one two"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			text := strings.Replace(string(whole), c.old, c.new, 1)
			if text == string(whole) {
				t.Fatal("nothing is damaged")
			}
			if err := os.WriteFile(filepath.Join(dir, journalName), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			j, book, damaged := openBook(t, dir)
			if got := strings.Join(book.texts, " "); damaged != c.damaged || got != c.want {
				t.Errorf("%d damaged, %q; want %d, %q", damaged, got, c.damaged, c.want)
			}
			write(t, j, "four")
			if _, again, _ := openBook(t, dir); !slices.Contains(again.texts, "four") {
				t.Errorf("then %q", again.texts)
			}
		})
	}
}

func TestNotAJournal(t *testing.T) {
	for _, text := range []string{"slack outbox 2\n", "hello\n", strings.Repeat("x", 2*maxLine), "slack outbox 1\r\n"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, journalName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := openJournal(dir, &lineBook{})
		if err == nil || !strings.Contains(err.Error(), "not an outbox of this version") {
			t.Errorf("%.20q: %v", text, err)
		}
		if raw, err := os.ReadFile(filepath.Join(dir, journalName)); err != nil || string(raw) != text {
			t.Errorf("%.20q was changed: %v", text, err)
		}
	}
}

// A header that a crash tore is an empty journal.
func TestTornHeader(t *testing.T) {
	for end := range len(header) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, journalName), []byte(header[:end]), 0o600); err != nil {
			t.Fatal(err)
		}
		j, _, _ := openBook(t, dir)
		write(t, j, "one")
		if _, book, damaged := openBook(t, dir); damaged != 0 || len(book.texts) != 1 {
			t.Errorf("cut at %d: %d damaged, %q", end, damaged, book.texts)
		}
	}
}

func TestRewrite(t *testing.T) {
	dir := t.TempDir()
	j, book, _ := openBook(t, dir)
	book.keep = func(text string) bool { return text != "old" }
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			write(t, j, "old", fmt.Sprintf("new %d", i))
			if i%10 == 0 {
				if err := j.rewrite(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := j.rewrite(); err != nil {
		t.Fatal(err)
	}
	_, again, damaged := openBook(t, dir)
	if damaged != 0 || len(again.texts) != 50 || slices.Contains(again.texts, "old") {
		t.Errorf("%d damaged, %d lines", damaged, len(again.texts))
	}
	for i, p := range book.places {
		raw := make([]byte, p.size)
		if _, err := book.file.ReadAt(raw, p.at); err != nil || string(raw) != again.texts[i] {
			t.Errorf("line %d is %q, %v; want %q", i, raw, err, again.texts[i])
		}
	}
	write(t, j, "after")
	if _, again, _ := openBook(t, dir); again.texts[len(again.texts)-1] != "after" {
		t.Errorf("the last line is %q", again.texts[len(again.texts)-1])
	}
}

// A line that cannot be written does not count, neither now nor later.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	j, book, _ := openBook(t, dir)
	write(t, j, "one")
	file := j.file
	readOnly, err := os.Open(j.path)
	if err != nil {
		t.Fatal(err)
	}
	j.file = readOnly
	if err := j.append([]byte("two")); err == nil || !strings.HasPrefix(err.Error(), "cannot write the outbox: ") {
		t.Errorf("got %v", err)
	}
	j.file = file
	readOnly.Close()
	write(t, j, "three")
	if _, again, _ := openBook(t, dir); strings.Join(again.texts, " ") != "one three" || len(book.texts) != 2 {
		t.Errorf("%q, then %q", book.texts, again.texts)
	}
	if err := j.append(make([]byte, maxLine)); err == nil {
		t.Error("a line without bounds")
	}
}

func TestCannotOpen(t *testing.T) {
	if _, _, err := openJournal(filepath.Join(t.TempDir(), "none"), &lineBook{}); err == nil || !strings.Contains(err.Error(), "cannot open the outbox") {
		t.Errorf("got %v", err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, journalName), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := openJournal(dir, &lineBook{}); err == nil {
		t.Error("a folder as a journal")
	}
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(header))
	f.Add([]byte("slack"))
	f.Add(append([]byte(header), seal([]byte(`{"op":"put","entry":{"id":"a","channel":"C"}}`))...))
	f.Add(append([]byte(header), "00000000 x\n\n"...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, journalName), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s := newState()
		j, _, err := openJournal(dir, s)
		if err != nil {
			return
		}
		if err := j.append([]byte(`{"op":"put","entry":{"id":"fuzz","channel":"C"}}`)); err != nil {
			t.Fatal(err)
		}
		s.file = j.file
		if err := j.rewrite(); err != nil {
			t.Fatal(err)
		}
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
		again := newState()
		j, damaged, err := openJournal(dir, again)
		if err != nil || damaged != 0 || again.items["fuzz"] == nil || len(again.items) != len(s.items) {
			t.Fatalf("%v, %d damaged, %d entries of %d", err, damaged, len(again.items), len(s.items))
		}
		j.close()
	})
}
