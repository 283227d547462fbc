package store

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"provision-plugins/shared/model"
)

const (
	// beatEvery is how often a store that nobody writes to writes something
	// itself, to know that it can.
	beatEvery = 2 * time.Second
	// beatTimeout is how long such a write may take, and maxMissed how many may fail
	// before the engine is taken for stuck.
	beatTimeout = time.Second
	maxMissed   = 2
	// mendEvery is how often an engine that cannot write is tried to be replaced.
	mendEvery = 500 * time.Millisecond
	// beatKey is the key that is written to.
	beatKey = systemPrefix + ".beat"
	// probeName is the file by which it is found out whether the disk takes
	// anything, and probeSize its size.
	probeName = "probe"
	probeSize = 64 << 10
)

// watchdog looks after the engine: one that has stopped to write is replaced as
// soon as the disk takes writes again. Until then writes are refused at once, and
// reads go on from the view.
type watchdog struct {
	kick     chan string // why the engine may be ill; one is enough
	done     sync.WaitGroup
	settling atomic.Bool

	mu     sync.Mutex // guards all below
	down   error      // why nothing can be written, nil if it can
	beat   time.Time  // of the last write that succeeded
	missed int        // beats in a row
	// gone is cancelled when the engine of the moment is given up: who waits for it
	// waits in vain.
	gone   context.Context
	giveUp context.CancelFunc
}

// newWatchdog returns one that has nothing to complain of.
func newWatchdog() *watchdog {
	w := &watchdog{kick: make(chan string, 1), beat: time.Now()}
	w.gone, w.giveUp = context.WithCancel(context.Background())
	return w
}

// ill has the watchdog look at once.
func (w *watchdog) ill(why string) {
	select {
	case w.kick <- why:
	default:
	}
}

// wrote notes a write that succeeded.
func (w *watchdog) wrote() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.beat, w.missed = time.Now(), 0
}

// fault is why nothing can be written, nil if it can.
func (w *watchdog) fault() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.down
}

// until returns a context that ends as ctx does, and when the engine is given up.
func (w *watchdog) until(ctx context.Context) (context.Context, context.CancelFunc) {
	w.mu.Lock()
	gone := w.gone
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(gone, cancel)
	return ctx, func() { stop(); cancel() }
}

// setDown notes why nothing can be written, and lets go who waits for it.
func (w *watchdog) setDown(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = err
	w.giveUp()
}

// setUp notes that there is an engine that writes.
func (w *watchdog) setUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.giveUp()
	w.gone, w.giveUp = context.WithCancel(context.Background())
	w.down, w.beat, w.missed = nil, time.Now(), 0
}

// end lets go who waits for the engine, and waits for the watchdog's goroutines,
// which the store's end has ended.
func (w *watchdog) end() {
	w.mu.Lock()
	w.giveUp()
	w.mu.Unlock()
	w.done.Wait()
}

// Health is how a store does.
type Health struct {
	// Err is why nothing can be written at the moment, nil if it can.
	Err error
	// Beat is when the last write succeeded. A store that nobody writes to writes
	// every few seconds itself.
	Beat time.Time
	// Used and Limit are the bytes that are stored, and that may be.
	Used, Limit uint64
	// Free and Size are of the file system, in bytes.
	Free, Size uint64
}

// Health tells how the store does.
func (s *Store) Health() Health {
	s.dog.mu.Lock()
	h := Health{Err: s.dog.down, Beat: s.dog.beat}
	s.dog.mu.Unlock()
	h.Used, h.Limit, _ = s.usage() // unknown while there is no engine
	if space, err := s.space(); err == nil {
		h.Free, h.Size = space.Free, space.Size
	}
	return h
}

// watch is the watchdog's goroutine; Close ends it.
func (s *Store) watch() {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.closed:
			return
		case why := <-s.dog.kick:
			s.mend(why)
		case <-ticker.C:
			if why := s.look(); why != nil {
				s.mend(why.Error())
			}
		}
	}
}

// look writes something, if nobody else has, and settles what is in doubt. The
// error is why the engine is taken for stuck.
func (s *Store) look() error {
	s.settleBeside()
	s.dog.mu.Lock()
	idle := time.Since(s.dog.beat)
	s.dog.mu.Unlock()
	if idle < beatEvery || s.spaceFor(0) != nil { // a full disk is no reason to start anew
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), beatTimeout)
	defer cancel()
	_, err := s.engine().js.PublishMsg(ctx, &nats.Msg{Subject: bucketSubject + beatKey, Data: []byte("{}")}, jetstream.WithRetryAttempts(0))
	if err == nil {
		s.dog.wrote()
		return nil
	}
	s.dog.mu.Lock()
	defer s.dog.mu.Unlock()
	if s.dog.missed++; s.dog.missed < maxMissed {
		return nil
	}
	return err
}

// mend replaces the engine when the disk takes writes.
func (s *Store) mend(why string) {
	s.log.Error("the store cannot write; it is started again as soon as its disk takes writes", "err", why)
	s.dog.setDown(unwritable(errors.New(strings.TrimSpace(why))))
	began := time.Now()
	ticker := time.NewTicker(mendEvery)
	defer ticker.Stop()
	for {
		err := s.probe()
		if err == nil {
			err = s.restart()
		}
		if err == nil {
			s.dog.setUp()
			s.settleBeside()
			s.log.Info("the store writes again", "after", time.Since(began).Round(time.Millisecond))
			return
		}
		s.log.Debug("the store cannot be started again yet", "err", err)
		s.dog.setDown(unwritable(err))
		select {
		case <-s.closed:
			return
		case <-ticker.C:
		}
	}
}

// probe finds out whether the disk takes anything.
func (s *Store) probe() error {
	if err := s.spaceFor(probeSize); err != nil {
		return err
	}
	path := filepath.Join(s.opts.Dir, probeName)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probeSize))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(path))
}

// restart puts another engine in the place of the present one.
func (s *Store) restart() error {
	// Two engines must not write to one directory: the old one has to be gone.
	if err := s.engine().stop(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), restartTimeout)
	defer cancel()
	next, err := s.newEngine(ctx)
	if err != nil {
		return errors.Join(err, next.stop())
	}
	s.running.Store(next)
	// Lines of the old engine's end are not about this one.
	select {
	case <-s.dog.kick:
	default:
	}
	return nil
}

// restartTimeout bounds the start of an engine.
const restartTimeout = 60 * time.Second

// newEngine starts an engine and opens its streams. With an error too, it may
// have to be stopped.
func (s *Store) newEngine(ctx context.Context) (*engine, error) {
	found := streamsOnDisk(s.opts.Dir)
	e, err := startEngine(s.opts, s.dog.ill)
	if err != nil {
		return e, err
	}
	if err := e.openStreams(ctx, found); err != nil {
		return e, err
	}
	e.openStage(s.log)
	return e, nil
}

// unwritable is the refusal of a write while the disk takes none.
func unwritable(cause error) error {
	if e := (*model.Error)(nil); errors.As(cause, &e) && e.Code == http.StatusInsufficientStorage {
		return cause
	}
	full := func(errno syscall.Errno) bool { // the engine tells in words alone
		return errors.Is(cause, errno) || strings.HasSuffix(cause.Error(), errno.Error())
	}
	if full(syscall.ENOSPC) || full(syscall.EDQUOT) {
		return noSpace("the disk is full")
	}
	if path := (*fs.PathError)(nil); errors.As(cause, &path) {
		cause = path.Err
	}
	e := model.Errorf(model.Internal, "cannot write to the store: %w; it goes on by itself once its disk takes writes", cause)
	e.Code = http.StatusServiceUnavailable
	return e
}

// noSpace is the refusal of what there is no room for.
func noSpace(why string) *model.Error {
	e := model.Errorf(model.Internal, "cannot store anything: %s; make room, and it goes on by itself", why)
	e.Code = http.StatusInsufficientStorage
	return e
}
