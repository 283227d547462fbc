package backup

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/endpoint/secret"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// What is restored is what the snapshot has, byte by byte: another snapshot of it
// is the same.
func TestWhatIsRestoredIsTheSnapshot(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	fleet(t, s, 40)
	_, err := s.Delete(ctx, "machines", "u.7/ü", 0)
	must(t, err)
	_, err = s.PutRecord(ctx, store.Record{Prefix: "system", ID: "odd", Data: []byte("\xff\x00 no JSON")})
	must(t, err)
	path := snapshot(t, source(s))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	dir := t.TempDir()
	got, err := Restore(ctx, path, Target{Dir: dir})
	must(t, err)
	if got.Counts != (Counts{39, 81, 40}) || got.Version != "v1" || got.Site != "local" {
		t.Errorf("restored %+v", got)
	}
	after := open(t, dir)
	if again := snapshot(t, source(after)); body(t, again) != body(t, path) {
		t.Error("a snapshot of what was restored is another one")
	}
	if o, err := after.Find("machines", "Name", "m0011"); err != nil || o.ID != "u.11/ü" || !bytes.Equal(o.Key, []byte{0, 11, 255}) {
		t.Errorf("by its name: %+v, %v", o, err)
	}
	if _, err := after.Create(ctx, store.Object{Prefix: "machines", ID: "x", Value: json.RawMessage(`1`)}, map[string]string{"Name": "m0011"}); model.KindOf(err) != model.Conflict {
		t.Errorf("a name that is taken: %v", err)
	}
	// Who has noted a revision does not meet it again with another object.
	if o := machine(t, after, 1000); o.Rev <= got.Revision {
		t.Errorf("a new object has the revision %d, the snapshot %d", o.Rev, got.Revision)
	}
	last, err := after.LastRecord(ctx, "machines", "u.3/ü")
	must(t, err)
	if string(last.Data) != `{"ID":"r3", "State": "done"}` || last.Seq <= got.Sequence {
		t.Errorf("the last record: %+v", last)
	}
}

// A restored store can be opened again and again.
func TestRestoredStoreStarts(t *testing.T) {
	s := open(t, t.TempDir())
	fleet(t, s, 3)
	path, dir := snapshot(t, source(s)), t.TempDir()
	_, err := Restore(context.Background(), path, Target{Dir: dir, Site: "local"})
	must(t, err)
	for range 3 {
		s, err := store.Open(context.Background(), store.Options{Dir: dir})
		must(t, err)
		if n := len(s.List("machines")); n != 3 {
			t.Errorf("%d machines", n)
		}
		must(t, s.Close())
	}
}

// A snapshot that was changed anywhere, or cut off anywhere, is refused with the
// line where it was, and what the directory has stays.
func TestDamagedSnapshotsAreRefused(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	fleet(t, s, 6)
	path := snapshot(t, source(s))
	all := lines(t, path)
	dir := t.TempDir()
	old, err := store.Open(ctx, store.Options{Dir: dir})
	must(t, err)
	machine(t, old, 77)
	must(t, old.Close())
	refused := func(what string, raw []byte, line int) {
		t.Helper()
		bad := filepath.Join(t.TempDir(), "bad")
		must(t, os.WriteFile(bad, raw, 0o600))
		_, err := Restore(ctx, bad, Target{Dir: dir})
		if err == nil || model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), fmt.Sprintf("line %d:", line)) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want a refusal of line %d", what, err, line)
		}
	}
	whole := bytes.Join(all, nil)
	whole = append(whole, '\n')
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		bad := bytes.Clone(whole)
		at := rnd.IntN(len(bad))
		bad[at] ^= 1 << rnd.IntN(8)
		line := 1 + bytes.Count(whole[:at], []byte("\n"))
		if bad[at] == '\n' || whole[at] == '\n' {
			continue // then it is another line
		}
		refused(fmt.Sprintf("a bit of byte %d", at), bad, line)
	}
	for n := range all {
		refused("cut off after a line", bytes.Join(all[:n], nil), n+1)
		refused("cut off in a line", append(bytes.Join(all[:n], nil), all[n][:len(all[n])/2]...), n+1)
		if n > 0 {
			refused("without a line", append(bytes.Join(all[:n-1], nil), append(bytes.Join(all[n:], nil), '\n')...), n)
		}
		if n > 0 && n < len(all)-1 {
			refused("a line twice", append(bytes.Join(all[:n+1], nil), append(bytes.Join(all[n:], nil), '\n')...), n+2)
		}
	}
	refused("more after the end", append(bytes.Clone(whole), 'x'), len(all)+1)
	refused("no snapshot", []byte("machines:\n- m1\n"), 1)
	refused("nothing", nil, 1)
	refused("a line without an end", bytes.Repeat([]byte("x"), maxLine+2<<20), 1)
	old = open(t, dir)
	if list := old.List("machines"); len(list) != 1 || list[0].ID != "u.77/ü" {
		t.Errorf("what was there before: %+v", list)
	}
}

// remade writes a snapshot of its own: with right sums, and wrong content.
func remade(t *testing.T, write func(w *writer)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "remade")
	must(t, Replace(path, func(out io.Writer) error {
		w := newWriter(out)
		write(w)
		return w.out.Flush()
	}))
	return path
}

func TestContentThatCannotBeIsRefused(t *testing.T) {
	head := Head{Schema: store.SchemaVersion, Site: "local", Version: "v1"}
	object := objectLine{Prefix: "machines", ID: "a", Value: json.RawMessage(`1`)}
	for name, c := range map[string]struct {
		write func(w *writer)
		want  string
	}{
		"another layout": {func(w *writer) {
			must(t, w.write(typeHead, Head{Schema: 99, Version: "v9"}))
			must(t, w.end(Counts{}))
		}, "line 1: its layout is version 99, of oob v9; this program knows version 2"},
		"no head": {func(w *writer) { must(t, w.write(typeObject, object)) }, "line 1: a line of the type object"},
		"two heads": {func(w *writer) {
			must(t, w.write(typeHead, head))
			must(t, w.write(typeHead, head))
		}, "line 2: a line of the type"},
		"an object after a record": {func(w *writer) {
			must(t, w.write(typeHead, head))
			must(t, w.write(typeRecord, recordLine{Prefix: "machines", ID: "a", Data: blob("{}")}))
			must(t, w.write(typeObject, object))
		}, "line 3: a line of the type object"},
		"an unknown type": {func(w *writer) {
			must(t, w.write(typeHead, head))
			must(t, w.write("extra", object))
		}, "line 2: a line of the type extra"},
		"wrong counts": {func(w *writer) {
			must(t, w.write(typeHead, head))
			must(t, w.write(typeObject, object))
			must(t, w.end(Counts{Objects: 2}))
		}, "line 3: it does not tell what the file has"},
		"a wrong sum of the whole": {func(w *writer) {
			must(t, w.write(typeHead, head))
			must(t, w.write(typeEnd, endLine{Sum: "00"}))
		}, "line 2: the checksum of the whole file does not fit"},
		"no object": {func(w *writer) {
			must(t, w.write(typeHead, head))
			must(t, w.write(typeObject, []int{1}))
		}, "line 2: it cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			_, err := Restore(context.Background(), remade(t, c.write), Target{Dir: dir})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("the directory was made")
			}
		})
	}
}

// What the store refuses in the middle leaves the old data, and nothing else.
func TestRestoreThatFailsInTheMiddleChangesNothing(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	old, err := store.Open(ctx, store.Options{Dir: dir})
	must(t, err)
	machine(t, old, 1)
	must(t, old.Close())
	path := remade(t, func(w *writer) {
		must(t, w.write(typeHead, Head{Schema: store.SchemaVersion, Site: "local"}))
		for i := range 50 {
			must(t, w.write(typeObject, objectLine{Prefix: "machines", ID: fmt.Sprint(i), Value: json.RawMessage(`1`), Unique: map[string]string{"Name": fmt.Sprint(i % 49)}}))
		}
		must(t, w.end(Counts{Objects: 50}))
	})
	if _, err := Restore(ctx, path, Target{Dir: dir}); model.KindOf(err) != model.Conflict || err == nil {
		t.Errorf("two objects of one name: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Restore(ended, path, Target{Dir: dir}); err == nil {
		t.Error("restored after its end")
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if name := e.Name(); name != "jetstream" && name != "lock" && name != "clean" {
			t.Errorf("%s is left", e.Name())
		}
	}
	if list := open(t, dir).List("machines"); len(list) != 1 || list[0].ID != "u.1/ü" {
		t.Errorf("what was there before: %+v", list)
	}
}

func TestRestoreNeedsAStoppedEndpoint(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	fleet(t, s, 1)
	path := snapshot(t, source(s))
	if _, err := Restore(context.Background(), path, Target{Dir: dir}); model.KindOf(err) != model.Conflict || !strings.Contains(err.Error(), "in use by") {
		t.Errorf("into a directory that is in use: %v", err)
	}
	if _, err := Restore(context.Background(), filepath.Join(dir, "none"), Target{Dir: dir}); model.KindOf(err) != model.Invalid {
		t.Errorf("of no file: %v", err)
	}
}

func TestMasterKeyGoesAlongOnlyIfAsked(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	fleet(t, s, 1)
	master, err := secret.NewMaster(bytes.Repeat([]byte{9}, 32), "the test")
	must(t, err)
	other, err := secret.NewMaster(bytes.Repeat([]byte{8}, 32), "the test")
	must(t, err)
	src := source(s)
	src.KeyID = master.ID()
	without := snapshot(t, src)
	src.Key = master.Bytes()
	with := snapshot(t, src)
	text := base64.StdEncoding.EncodeToString(master.Bytes())
	for path, want := range map[string]bool{without: false, with: true} {
		raw, err := os.ReadFile(path)
		must(t, err)
		if bytes.Contains(raw, []byte(text)) != want {
			t.Errorf("the key in a snapshot: want %v", want)
		}
		dir := t.TempDir()
		got, err := Restore(ctx, path, Target{Dir: dir})
		must(t, err)
		if got.KeyWritten != want || got.KeyMissing == want {
			t.Errorf("restored: %+v", got)
		}
		if want {
			found, err := secret.LoadMaster(dir, func(string) string { return "" })
			if err != nil || found.ID() != master.ID() {
				t.Errorf("the key of the directory: %v", err)
			}
		}
		// The same again is no trouble; another key is.
		must(t, os.WriteFile(filepath.Join(dir, secret.KeyFile), []byte(text+"\n"), 0o600))
		if got, err = Restore(ctx, path, Target{Dir: dir}); err != nil || got.KeyWritten || got.KeyMissing {
			t.Errorf("with the same key there: %+v, %v", got, err)
		}
		must(t, os.WriteFile(filepath.Join(dir, secret.KeyFile), []byte(base64.StdEncoding.EncodeToString(other.Bytes())), 0o600))
		if _, err = Restore(ctx, path, Target{Dir: dir}); model.KindOf(err) != model.Conflict || !strings.Contains(err.Error(), "is not the master key") {
			t.Errorf("with another key there: %v", err)
		}
		must(t, os.WriteFile(filepath.Join(dir, secret.KeyFile), []byte("?"), 0o600))
		if _, err = Restore(ctx, path, Target{Dir: dir}); model.KindOf(err) != model.Invalid {
			t.Errorf("with a damaged key there: %v", err)
		}
	}
}

// pair is two objects that are always changed one after the other.
type pair struct{ N int }

// A snapshot that is taken while others write is of one moment: of what one writer
// did in order there is no later part without the earlier one.
func TestSnapshotUnderLoadIsOfOneMoment(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	const pairs = 8
	name := func(w, half int) string { return fmt.Sprintf("%d-%d", w, half) }
	var writers sync.WaitGroup
	loaded, cancel := context.WithCancel(ctx)
	for w := range pairs {
		var half [2]store.Object
		for h := range half {
			var err error
			half[h], err = s.Create(ctx, store.Object{Prefix: "things", ID: name(w, h), Value: json.RawMessage(`{"N":0}`)}, nil)
			must(t, err)
		}
		writers.Go(func() {
			for n := 1; loaded.Err() == nil; n++ {
				for h := range half {
					half[h].Value = json.RawMessage(fmt.Sprintf(`{"N":%d}`, n))
					var err error
					if half[h], err = s.Update(ctx, half[h], nil); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for range 20 {
		var out bytes.Buffer
		_, err := Write(ctx, &out, source(s))
		must(t, err)
		found := map[string]int{}
		_, _, err = read(&out, content{object: func(o objectLine) error {
			var p pair
			err := json.Unmarshal(o.Value, &p)
			found[o.ID] = p.N
			return err
		}})
		must(t, err)
		for w := range pairs {
			if first, second := found[name(w, 0)], found[name(w, 1)]; first != second && first != second+1 {
				t.Errorf("pair %d stands at %d and %d", w, first, second)
			}
		}
	}
	cancel()
	writers.Wait()
}

func TestReplaceIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	must(t, Replace(path, func(w io.Writer) error { _, err := w.Write([]byte("one")); return err }))
	err := Replace(path, func(w io.Writer) error {
		_, _ = w.Write([]byte("two"))
		return io.ErrShortWrite
	})
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
	raw, err := os.ReadFile(path)
	must(t, err)
	entries, err := os.ReadDir(dir)
	must(t, err)
	if string(raw) != "one" || len(entries) != 1 {
		t.Errorf("there is %q, and %d files", raw, len(entries))
	}
	if err := Replace(filepath.Join(dir, "no", "f"), func(io.Writer) error { return nil }); model.KindOf(err) != model.Invalid {
		t.Errorf("in no folder: %v", err)
	}
}

// FuzzRead feeds the reader anything: it answers or refuses, and never panics.
func FuzzRead(f *testing.F) {
	var good bytes.Buffer
	w := newWriter(&good)
	must(f, w.write(typeHead, Head{Schema: store.SchemaVersion, Time: time.Unix(0, 0)}))
	must(f, w.write(typeObject, objectLine{Prefix: "a", ID: "b", Value: json.RawMessage(`{}`)}))
	must(f, w.end(Counts{Objects: 1}))
	f.Add(good.Bytes())
	f.Add([]byte("{}\n"))
	f.Add(encodeLine(1, typeHead, []byte("null")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, _, err := Check(bytes.NewReader(raw)); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q", err)
		}
	})
}
