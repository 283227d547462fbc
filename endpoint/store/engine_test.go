package store

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"provision-plugins/shared/model"
)

func TestEngineSyncsEveryWriteAndListensNowhere(t *testing.T) {
	s := open(t, t.TempDir())
	if cfg := s.engine().srv.JetStreamConfig(); !cfg.SyncAlways {
		t.Error("writes are not synced before they are acknowledged")
	}
	if addr := s.engine().srv.Addr(); addr != nil {
		t.Errorf("the engine listens on %v", addr)
	}
}

func TestStreamsAreAsDesigned(t *testing.T) {
	s := open(t, t.TempDir())
	records := s.stream(recordsStream).CachedInfo().Config
	if records.Name != "ACTIONS" || records.Subjects[0] != "act.>" || records.MaxMsgsPerSubject != 120 ||
		records.MaxAge != 0 || records.Storage != jetstream.FileStorage || records.AllowDirect {
		t.Errorf("run records: %+v", records)
	}
	objects := s.stream(objectsStream).CachedInfo().Config
	if objects.MaxMsgsPerSubject != 1 || objects.Storage != jetstream.FileStorage || objects.AllowDirect {
		t.Errorf("objects: %+v", objects)
	}
}

// TestBucketIsAKeyValueBucket reads what was written as any NATS client would.
func TestBucketIsAKeyValueBucket(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	o := create(t, s, "a.b", "n")
	kv, err := s.engine().js.KeyValue(ctx, "objects")
	must(t, err)
	entry, err := kv.Get(ctx, "machines.a=2Eb")
	must(t, err)
	if entry.Revision() != o.Rev || !strings.Contains(string(entry.Value()), `"v":{"Name":"n"}`) {
		t.Errorf("the bucket has revision %d, %s", entry.Revision(), entry.Value())
	}
	_, err = s.Delete(ctx, "machines", "a.b", 0)
	must(t, err)
	if _, err := kv.Get(ctx, "machines.a=2Eb"); err == nil {
		t.Error("a deleted object is still in the bucket")
	}
}

func TestEngineLogGoesToTheLogger(t *testing.T) {
	log, out := logger()
	s, err := Open(context.Background(), Options{Dir: t.TempDir(), Logger: log})
	must(t, err)
	must(t, s.Close())
	if text := out.String(); !strings.Contains(text, "component=store") || strings.Contains(text, "level=INFO") ||
		strings.Contains(text, "level=WARN") || strings.Contains(text, "level=ERROR") {
		t.Errorf("an ordinary start and stop logs %s", text)
	}
}

func TestCloseIsIdempotentAndEndsEverything(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	o := create(t, s, "a", "n")
	var closers sync.WaitGroup
	for range 4 {
		closers.Go(func() {
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	closers.Wait()
	_, err := s.Update(ctx, o, named("n"))
	wantKind(t, err, model.Busy)
	_, err = s.PutRecord(ctx, Record{Prefix: "machines", ID: "a", Data: []byte("x")})
	wantKind(t, err, model.Busy)
	_, err = s.LastRecord(ctx, "machines", "a")
	wantKind(t, err, model.Busy)
	_, err = s.ReadRecord(ctx, 1)
	wantKind(t, err, model.Busy)
	wantKind(t, s.DeleteRecord(ctx, 1), model.Busy)
	wantKind(t, s.ScanRecords(ctx, "", "", func(Record) error { return nil }), model.Busy)
	if got, err := s.Get("machines", "a"); err != nil || got.Rev != o.Rev {
		t.Errorf("the view after Close: %+v, %v", got, err)
	}
}

func TestNothingAcknowledgedIsLostByClosingUnderLoad(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	acked := make(chan string, 10000)
	started := make(chan struct{}, 8)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := 0; ; i++ {
				id := string(rune('a'+w)) + "-" + strings.Repeat("i", i%50) + "-" + string(rune('0'+i%10)) + strings.Repeat("x", i/50)
				if _, err := s.Create(ctx, machine(id, raw(`1`)), named(id)); err != nil {
					return
				}
				acked <- id
				if i == 20 {
					started <- struct{}{}
				}
			}
		})
	}
	for range 8 {
		<-started
	}
	must(t, s.Close())
	writers.Wait()
	close(acked)
	s = open(t, dir)
	n := 0
	for id := range acked {
		n++
		if _, err := s.Get("machines", id); err != nil {
			t.Errorf("%s was acknowledged and is lost", id)
		}
	}
	if n < 8*20 {
		t.Errorf("only %d writes", n)
	}
}

// Who writes when a store is closed is waited for, and not for ever.
func TestWritersAreWaitedFor(t *testing.T) {
	for write, want := range map[time.Duration]time.Duration{0: 0, 300 * time.Millisecond: 300 * time.Millisecond, time.Hour: writersTimeout} {
		synctest.Test(t, func(t *testing.T) {
			s := &Store{}
			began := time.Now()
			if write > 0 {
				s.gate.RLock()
				time.AfterFunc(write, s.gate.RUnlock)
			}
			s.waitForWriters()
			if took := time.Since(began); took < want || took > want+2*time.Millisecond {
				t.Errorf("who writes for %s is waited for %s", write, took)
			}
			if write < writersTimeout && !s.gate.TryLock() {
				t.Error("the writers to come would wait for ever")
			}
		})
	}
}

// A writer that does not end does not keep a store open.
func TestCloseDoesNotWaitForEver(t *testing.T) {
	s := open(t, t.TempDir())
	s.gate.RLock()
	defer s.gate.RUnlock()
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }() // ends with its bound
	select {
	case err := <-closed:
		must(t, err)
	case <-time.After(patience):
		t.Error("it waits for ever")
	}
}

func TestDamagedStreamIsNotReplacedByAnEmptyOne(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	create(t, s, "a", "n")
	must(t, s.Close())
	meta := filepath.Join(streamDir(dir, bucketName), "meta.inf")
	good, err := os.ReadFile(meta)
	must(t, err)
	must(t, os.WriteFile(meta, good[:len(good)/2], 0o600))
	_, err = Open(context.Background(), Options{Dir: dir})
	wantKind(t, err, model.Internal)
	if !strings.Contains(err.Error(), "KV_objects is damaged") || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %q does not say what is damaged, and where", err)
	}
	must(t, os.WriteFile(meta, good, 0o600))
	if _, err := open(t, dir).Get("machines", "a"); err != nil {
		t.Errorf("after the mend: %v", err)
	}
}

func TestLaterLayoutIsRefused(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	msg, err := s.last(ctx, objectsStream, bucketSubject+schemaKey)
	must(t, err)
	if msg == nil || string(msg.Data) != `{"Version":2}` {
		t.Fatalf("the layout's record is %+v", msg)
	}
	_, err = s.put(ctx, write{stream: objectsStream, subject: msg.Subject, data: []byte(`{"Version":3}`), expect: msg.Sequence})
	must(t, err)
	must(t, s.Close())
	_, err = Open(ctx, Options{Dir: dir})
	wantKind(t, err, model.Invalid)
	if !strings.Contains(err.Error(), "version 3") {
		t.Errorf("error %q does not name the version", err)
	}
}

func TestDamagedRecordStopsTheStart(t *testing.T) {
	for name, w := range map[string]write{
		"not JSON":    {subject: bucketSubject + "machines.a", data: []byte(`{`)},
		"strange key": {subject: bucketSubject + "machines.a=zz", data: []byte(`{"v":1}`)},
	} {
		ctx := context.Background()
		dir := t.TempDir()
		s := open(t, dir)
		w.stream = objectsStream
		_, err := s.put(ctx, w)
		must(t, err)
		must(t, s.Close())
		if _, err := Open(ctx, Options{Dir: dir}); model.KindOf(err) != model.Internal || err == nil {
			t.Errorf("%s: %v, want an internal error", name, err)
		}
	}
}

func TestByteBoundRefusesAtOnceAndLosesNothing(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s, err := Open(ctx, Options{Dir: dir, MaxBytes: 1 << 20})
	must(t, err)
	var last error
	n := 0
	for last == nil && n < 100 {
		_, last = s.Create(ctx, machine(strings.Repeat("m", n+1), raw(`"%s"`, strings.Repeat("x", 100_000))), nil)
		n++
	}
	wantKind(t, last, model.Internal)
	if e := model.AsError(last); e.Code != http.StatusInsufficientStorage {
		t.Errorf("the last create: %v (%d)", last, e.Code)
	}
	// There is room for what has begun.
	if _, err := s.PutRecord(ctx, Record{Prefix: "machines", ID: "m", Data: []byte("{}")}); err != nil {
		t.Error(err)
	}
	if _, err := s.Delete(ctx, "machines", strings.Repeat("m", n-1), 0); err != nil {
		t.Error(err)
	}
	n--
	must(t, s.Room())
	if len(s.List("machines")) != n-1 || n < 5 {
		t.Errorf("%d objects in the view after %d creates", len(s.List("machines")), n-1)
	}
	must(t, s.Close())
	s = open(t, dir) // with the default bound there is room again
	if len(s.List("machines")) != n-1 {
		t.Errorf("%d objects after %d creates and a restart", len(s.List("machines")), n-1)
	}
	create(t, s, "small", "n")
}
