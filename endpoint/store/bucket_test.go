package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// found is what the files of a directory's bucket have.
func found(t *testing.T, dir string) *contents {
	t.Helper()
	v, err := verify(dir)
	must(t, err)
	c, err := v.contents()
	must(t, err)
	return c
}

// listOf are the objects of contents, as text.
func listOf(c *contents) string {
	v := newView(nil)
	v.load(c.items)
	var out strings.Builder
	for _, it := range v.snapshot("machines") {
		fmt.Fprintln(&out, it.ID, it.Rev, string(it.Value), string(it.Key))
	}
	return out.String()
}

// What the files have is what the engine has: of objects that were changed, deleted
// and made again, over several files.
func TestFilesHaveWhatTheEngineHas(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	pad := strings.Repeat("x", 1<<20)
	for i := range 12 {
		id := fmt.Sprint("m", i)
		o := create(t, s, id, "n"+id)
		for n := range 2 {
			o.Value = raw(`{"N":%d,"Pad":%q}`, n, pad)
			var err error
			o, err = s.Update(ctx, o, named("n"+id))
			must(t, err)
		}
		if i%3 == 0 {
			_, err := s.Delete(ctx, "machines", id, 0)
			must(t, err)
		}
		if i%6 == 0 {
			create(t, s, id, "again"+id)
		}
	}
	asked, err := s.ask(ctx)
	must(t, err)
	must(t, s.Close())
	files, err := blocks(streamDir(dir, bucketName))
	must(t, err)
	if len(files) < 2 {
		t.Fatalf("%d files", len(files))
	}
	c := found(t, dir)
	if got, want := listOf(c), listOf(asked); got != want || len(c.items) != 10 {
		t.Errorf("the files have %d objects, the engine %d", len(c.items), len(asked.items))
	}
	if c.messages != asked.messages || c.markers != asked.markers || c.markers == 0 || len(c.reservations) != len(asked.reservations) || c.schema == nil || *c.schema != *asked.schema {
		t.Errorf("the files have %+v, the engine %+v", c, asked)
	}
	s = open(t, dir)
	if ok, err := s.agrees(ctx, c); err != nil || !ok {
		t.Errorf("the engine does not agree: %v", err)
	}
	for _, other := range []contents{{messages: c.messages - 1, last: c.last}, {messages: c.messages, last: c.last + 1}, {}} {
		if ok, err := s.agrees(ctx, &other); err != nil || ok {
			t.Errorf("the engine agrees with %d messages up to %d: %v", other.messages, other.last, err)
		}
	}
}

// A message that was removed by its sequence is still in the files, and so is what
// it made obsolete: the engine is asked then, or it is known from the files.
func TestRemovedMessagesDoNotComeBack(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	log, _ := logger()
	s, err := Open(ctx, Options{Dir: dir, Logger: log})
	must(t, err)
	for i := range 5 {
		create(t, s, fmt.Sprint("m", i), fmt.Sprint("n", i))
	}
	o, err := s.Get("machines", "m2")
	must(t, err)
	r, err := s.stream(objectsStream).GetLastMsgForSubject(ctx, bucketSubject+"machines.m2")
	must(t, err)
	if r.Sequence != o.Rev {
		t.Fatalf("revision %d is message %d", o.Rev, r.Sequence)
	}
	must(t, s.stream(objectsStream).DeleteMsg(ctx, r.Sequence))
	must(t, s.Close())
	s = open(t, dir)
	if _, err := s.Get("machines", "m2"); model.KindOf(err) != model.NotFound {
		t.Errorf("what was removed is %v", err)
	}
	if got := len(s.List("machines")); got != 4 {
		t.Errorf("%d machines", got)
	}
}

// What the files have and the engine does not is not believed.
func TestTheEngineIsAskedWhereItDisagrees(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	log, text := logger()
	s, err := Open(ctx, Options{Dir: dir, Logger: log})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	create(t, s, "a", "n")
	s.view = newView(nil)
	must(t, s.load(ctx, &contents{items: []*item{{Object: machine("ghost", raw(`{}`))}}, messages: 1}))
	if _, err := s.Get("machines", "a"); err != nil {
		t.Errorf("what the engine has: %v", err)
	}
	if _, err := s.Get("machines", "ghost"); err == nil {
		t.Error("what it does not have is there")
	}
	if !strings.Contains(text.String(), "the engine is asked") {
		t.Errorf("it is not told: %s", text)
	}
}

// A record that counts and cannot be read stops the start, whoever wrote it.
func TestStrangeRecordStopsTheStart(t *testing.T) {
	ctx := context.Background()
	for subject, want := range map[string]string{"machines.a": "record machines.a is damaged", "machines": `strange key "machines"`} {
		dir := t.TempDir()
		s, err := Open(ctx, Options{Dir: dir})
		must(t, err)
		_, err = s.engine().js.Publish(ctx, bucketSubject+subject, []byte(`{"v":{"a":1}`))
		must(t, err)
		must(t, s.Close())
		if s, err = Open(ctx, Options{Dir: dir}); err == nil {
			must(t, s.Close())
			t.Errorf("%s: it starts", subject)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", subject, err)
		}
	}
}

// A file that changes while it is read is told, not believed.
func TestChangedFileIsTold(t *testing.T) {
	dir := rich(t)
	for name, change := range map[string]func([]byte) []byte{
		"short": func(raw []byte) []byte { return raw[:len(raw)/2] },
		"other": func(raw []byte) []byte { return bytes.Repeat([]byte{7}, len(raw)) },
		"empty": func([]byte) []byte { return nil },
	} {
		copied := filepath.Join(t.TempDir(), "copied")
		must(t, os.CopyFS(copied, os.DirFS(dir)))
		v, err := verify(copied)
		must(t, err)
		path := v.files[0].path
		raw, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, change(raw), 0o600))
		if _, err := v.contents(); err == nil || !strings.Contains(err.Error(), path+" has changed") {
			t.Errorf("%s: %v", name, err)
		}
		v, err = verify(dir)
		must(t, err)
		v.files[0].path = filepath.Join(copied, "none")
		if _, err := v.contents(); err == nil {
			t.Errorf("%s: a file that is gone is read", name)
		}
	}
}

// Each number is handed out once, and no more of them after an error.
func TestBeside(t *testing.T) {
	seen := make([]int, 1000)
	must(t, beside(len(seen), func(i int, room *bytes.Buffer) error {
		room.Reset()
		seen[i]++
		return nil
	}))
	for i, n := range seen {
		if n != 1 {
			t.Fatalf("%d: %d times", i, n)
		}
	}
	must(t, beside(0, func(int, *bytes.Buffer) error { return errors.New("called") }))
	failed := errors.New("failed")
	if err := beside(100, func(i int, _ *bytes.Buffer) error {
		if i == 7 {
			return failed
		}
		return nil
	}); !errors.Is(err, failed) {
		t.Errorf("it returns %v", err)
	}
}

// Only what is surely one plain value is read the short way.
func TestSplitOne(t *testing.T) {
	for _, c := range []struct{ in, name, value string }{
		{`"Name":"m1"`, "Name", "m1"},
		{`"Name":""`, "Name", ""},
		{in: `"Name":"m\"1"`}, {in: `"Name":"é"`}, {in: `"Name":"m1","Other":"x"`}, {in: `"Name" : "m1"`},
		{in: `"Name":1`}, {in: `"Name":"m1`}, {in: ``}, {in: `Name:m1`}, {in: "\"Name\":\"a\x01\""}, {in: `x"Name":"m1"`}, {in: `"Name":"m1"x`},
	} {
		got := splitOne([]byte(c.in))
		if c.name == "" && got != nil || c.name != "" && (len(got) != 1 || got[c.name] != c.value) {
			t.Errorf("%s is read as %v", c.in, got)
		}
	}
}
