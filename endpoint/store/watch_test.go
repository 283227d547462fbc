package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// patience bounds what a test waits for.
const patience = 30 * time.Second

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for bound := time.After(patience); !ok(); {
		select {
		case <-ticker.C:
		case <-bound:
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// breakFile has every further write of this process to files below a directory
// fail as the device does: another file takes the place of the descriptors.
func breakFile(t *testing.T, dir, device string, flags int) (n int) {
	t.Helper()
	bad, err := os.OpenFile(device, flags, 0)
	must(t, err)
	defer bad.Close()
	names, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, name := range names {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", name.Name()))
		if err != nil || !strings.HasPrefix(target, dir) || !strings.HasSuffix(target, ".blk") {
			continue
		}
		fd, err := strconv.Atoi(name.Name())
		must(t, err)
		must(t, syscall.Dup3(int(bad.Fd()), fd, syscall.O_CLOEXEC))
		n++
	}
	return n
}

// The engine's own files fail: with a full device, with one that only reads, and
// with one that answers with an input/output error.
func TestEngineThatCannotWriteIsReplaced(t *testing.T) {
	for name, bad := range map[string]struct {
		device string
		flags  int
	}{
		"full":      {"/dev/full", os.O_RDWR},
		"read-only": {"/dev/null", os.O_RDONLY},
		"I/O error": {"/proc/self/mem", os.O_RDWR},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			dir := t.TempDir()
			s := open(t, dir)
			o := create(t, s, "a", "n")
			_, err := s.PutRecord(ctx, Record{Prefix: "machines", ID: "a", Data: []byte("{}")})
			must(t, err)
			if breakFile(t, streamDir(dir, bucketName), bad.device, bad.flags) == 0 {
				t.Fatal("the engine has no file open")
			}
			began := time.Now()
			o.Value = raw(`{"Name":"m"}`)
			_, err = s.Update(ctx, o, named("m"))
			t.Logf("answered after %s: %v", time.Since(began).Round(time.Millisecond), err)
			wantKind(t, err, model.Internal)
			if got, err := s.Get("machines", "a"); err != nil || string(got.Value) == "" {
				t.Errorf("a read while nothing can be written: %v", err)
			}
			eventually(t, "a write", func() bool {
				now, err := s.Get("machines", "a")
				must(t, err)
				now.Value = raw(`{"Name":"later"}`)
				_, err = s.Update(ctx, now, named("later"))
				return err == nil
			})
			t.Logf("it writes again after %s", time.Since(began).Round(time.Millisecond))
			if h := s.Health(); h.Err != nil || h.Limit == 0 || h.Size == 0 {
				t.Errorf("health %+v", h)
			}
			s = reopen(t, s, dir)
			if got, err := s.Find("machines", "Name", "later"); err != nil || got.ID != "a" {
				t.Errorf("after a restart: %+v, %v", got, err)
			}
		})
	}
}

// Whatever a writer was told while the engine failed, the view is what the next
// start finds, and nothing acknowledged is lost.
func TestFailuresUnderLoadLoseNothing(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	log, text := logger()
	s, err := Open(ctx, Options{Dir: dir, Logger: log})
	must(t, err)
	defer func() {
		if t.Failed() {
			t.Log(text)
		}
	}()
	const writers, failures = 24, 3
	var stop atomic.Bool
	var wg sync.WaitGroup
	var acked, refused atomic.Int64
	last := make([]int, writers)
	for w := range writers {
		id := fmt.Sprint("m", w)
		create(t, s, id, id)
		wg.Go(func() {
			for i := 1; !stop.Load(); i++ {
				now, err := s.Get("machines", id)
				if err == nil {
					now.Value = raw(`{"N":%d}`, i)
					_, err = s.Update(ctx, now, named(id))
				}
				if err != nil {
					refused.Add(1)
					continue
				}
				acked.Add(1)
				last[w] = i
			}
		})
	}
	for range failures {
		before := acked.Load()
		eventually(t, "writes", func() bool { return acked.Load() > before+writers })
		broken := refused.Load()
		eventually(t, "a failure", func() bool {
			breakFile(t, streamDir(dir, bucketName), "/dev/full", os.O_RDWR)
			return refused.Load() > broken
		})
	}
	before := acked.Load()
	eventually(t, "writes at the end", func() bool { return acked.Load() > before })
	stop.Store(true)
	wg.Wait()
	eventually(t, "no doubt", func() bool { s.settleDoubts(ctx); return len(s.doubts.all()) == 0 })
	view := s.List("machines")
	s = reopen(t, s, dir)
	for w := range writers {
		got, err := s.Get("machines", fmt.Sprint("m", w))
		must(t, err)
		var n struct{ N int }
		must(t, model.Unmarshal(got.Value, &n))
		if n.N < last[w] {
			t.Errorf("m%d has %d, %d was acknowledged", w, n.N, last[w])
		}
	}
	for _, was := range view {
		if now, err := s.Get("machines", was.ID); err != nil || string(now.Value) != string(was.Value) {
			t.Errorf("the view had %s, the store %s, %v", was.Value, now.Value, err)
		}
	}
	t.Logf("%d failures, %d writes acknowledged, %d refused, none lost", failures, acked.Load(), refused.Load())
}

// disk is the space of a file system as a test wants it.
type disk struct{ free atomic.Uint64 }

// space is what Options take.
func (d *disk) space(string) (Space, error) {
	return Space{Free: d.free.Load(), Size: 100 << 20}, nil
}

// A disk that fills up refuses first what is new, then everything, and takes
// writes again as soon as there is room, without a restart.
func TestFullDiskRefusesBeforeTheEngineFails(t *testing.T) {
	ctx := context.Background()
	d := &disk{}
	d.free.Store(50 << 20)
	s, err := Open(ctx, Options{Dir: t.TempDir(), Space: d.space, MaxBytes: 1 << 30})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	o := create(t, s, "a", "n")
	engine := s.engine()
	full := func(err error) {
		t.Helper()
		if e := model.AsError(err); err == nil || e.Code != http.StatusInsufficientStorage {
			t.Errorf("answered %v, want status 507", err)
		}
	}
	d.free.Store(minReserve - 1)
	_, err = s.Create(ctx, machine("b", raw(`1`)), nil)
	full(err)
	full(s.Room())
	o.Value = raw(`{"Name":"m"}`)
	o, err = s.Update(ctx, o, named("m"))
	must(t, err)
	seq, err := s.PutRecord(ctx, Record{Prefix: "machines", ID: "a", Data: []byte("{}")})
	must(t, err)
	d.free.Store(floor - 1)
	_, err = s.Update(ctx, o, named("n"))
	full(err)
	_, err = s.PutRecord(ctx, Record{Prefix: "machines", ID: "a", Seq: seq, Data: []byte("{}")})
	full(err)
	_, err = s.AppendAudit(ctx, []byte("{}"), 0)
	full(err)
	_, err = s.Delete(ctx, "machines", "a", 0)
	full(err)
	if got, err := s.Get("machines", "a"); err != nil || got.Rev != o.Rev {
		t.Errorf("a read: %v", err)
	}
	must(t, s.look()) // a full disk is no sickness of the engine
	d.free.Store(50 << 20)
	_, err = s.Update(ctx, o, named("n"))
	must(t, err)
	create(t, s, "b", "b")
	if s.engine() != engine {
		t.Error("the engine was replaced")
	}
}

// A store that nobody writes to writes something itself, and what it writes is
// nobody's object.
func TestIdleStoreBeats(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.dog.mu.Lock()
	s.dog.beat = time.Now().Add(-time.Minute)
	s.dog.mu.Unlock()
	must(t, s.look())
	if h := s.Health(); time.Since(h.Beat) > beatEvery {
		t.Errorf("the last write was at %s", h.Beat)
	}
	s = reopen(t, s, dir)
	if n := len(s.List(systemPrefix)); n != 0 {
		t.Errorf("%d objects of the store's own", n)
	}
}

// An engine that misses two beats is replaced.
func TestStuckEngineIsReplaced(t *testing.T) {
	s := open(t, t.TempDir())
	first := s.engine()
	first.conn.Close()
	eventually(t, "another engine", func() bool { return s.engine() != first && s.Health().Err == nil })
	create(t, s, "a", "n")
}

func TestRefusalsWhileNothingCanBeWritten(t *testing.T) {
	for _, tt := range []struct {
		cause error
		code  int
	}{
		{&os.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}, http.StatusInsufficientStorage},
		{&os.PathError{Op: "write", Path: "/x", Err: syscall.EDQUOT}, http.StatusInsufficientStorage},
		{noSpace("so it is"), http.StatusInsufficientStorage},
		{&os.PathError{Op: "write", Path: "/x", Err: syscall.EROFS}, http.StatusServiceUnavailable},
		{&os.PathError{Op: "write", Path: "/x", Err: syscall.EIO}, http.StatusServiceUnavailable},
		{errors.New("no answer"), http.StatusServiceUnavailable},
	} {
		if e := model.AsError(unwritable(tt.cause)); e.Code != tt.code {
			t.Errorf("%v: %v (%d), want %d", tt.cause, e, e.Code, tt.code)
		}
		if e := model.AsError(told(&doubtful{unwritable(tt.cause)})); e.Code != tt.code {
			t.Errorf("doubtful %v: %v (%d), want %d", tt.cause, e, e.Code, tt.code)
		}
	}
}
