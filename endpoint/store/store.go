package store

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"provision-plugins/shared/model"
)

// DefaultSite stands in record subjects when no site was named.
const DefaultSite = "local"

// closeTimeout bounds the engine's shutdown.
const closeTimeout = 10 * time.Second

// Options say where the data are and how much of it there may be.
type Options struct {
	// Dir is the data directory. It is made if it is absent, kept at mode
	// 0700 and held by one process at a time.
	Dir string
	// Site stands in the subject of every run record; default DefaultSite.
	Site string
	// Logger takes the engine's log; default: discarded.
	Logger *slog.Logger
	// MaxBytes bounds what is stored; default: three quarters of the space
	// that is free at start, beside what is stored already.
	MaxBytes int64
	// Space tells what room a directory's file system has; default: as the system
	// says.
	Space func(dir string) (Space, error)
	// Written is told how long each write took that succeeded; default: nobody is.
	Written func(took time.Duration)
	// Indexes are kept in step with the objects of their prefixes.
	Indexes map[string]Index
	// Upgrade is called, if it is not nil, before a store of an earlier layout is
	// brought to the present one, with that layout's version: to keep a snapshot. An
	// error leaves the store as it is.
	Upgrade func(ctx context.Context, s *Store, from int) error

	compactAbove int           // default: the constant of that name
	sweepEvery   time.Duration // likewise
}

// Store is an open data directory. Its methods may be called concurrently.
type Store struct {
	opts Options
	site string
	log  *slog.Logger

	lock    *dirLock
	running atomic.Pointer[engine]
	groups  [streamCount]group // write objects and run records
	dog     *watchdog
	doubts  doubts
	markers int  // of deletes, that were found at the start
	loaded  bool // it was opened

	// gate is held for reading by who writes, until the view has it, and for
	// writing by who wants to see no write half done.
	gate  sync.RWMutex
	view  *view
	locks keyLocks // one holder per key between its compare-and-set and its event

	listeners listeners

	closeOnce sync.Once
	closeErr  error
	closed    chan struct{} // closed by Close
}

// Open opens the data directory, starts the engine and loads the view. A
// directory that another process holds is a conflict naming that process; one
// that cannot be written is forbidden or invalid, saying what to do.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Space == nil {
		o.Space = diskSpace
	}
	if o.compactAbove == 0 {
		o.compactAbove = compactAbove
	}
	if o.sweepEvery == 0 {
		o.sweepEvery = sweepEvery
	}
	if o.Site == "" {
		o.Site = DefaultSite
	}
	lock, err := openDir(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := tidy(o.Dir); err != nil {
		return nil, errors.Join(dirError(o.Dir, err), lock.release())
	}
	s := &Store{
		opts:   o,
		site:   encode(o.Site),
		log:    o.Logger,
		lock:   lock,
		dog:    newWatchdog(),
		view:   newView(o.Indexes),
		closed: make(chan struct{}),
	}
	for id := range s.groups {
		s.groups[id].store = s
	}
	if err := s.start(ctx); err != nil {
		// The first error tells what went wrong; a failed cleanup adds nothing.
		_ = s.Close()
		if e := (*model.Error)(nil); errors.As(err, &e) {
			return nil, err
		}
		return nil, model.Errorf(model.Internal, "cannot open data directory %s: %w", o.Dir, err)
	}
	return s, nil
}

// start brings the engine up, loads what it holds and has it watched.
func (s *Store) start(ctx context.Context) error {
	if err := s.startLoaded(ctx); err != nil {
		return err
	}
	if err := s.startCompact(ctx); err != nil {
		return err
	}
	s.loaded = true
	s.dog.done.Go(s.watch)
	s.dog.done.Go(s.sweepDaily)
	return nil
}

// startLoaded starts the engine, on files that are whole, and loads what it holds.
func (s *Store) startLoaded(ctx context.Context) error {
	files, err := verify(s.opts.Dir)
	if err != nil {
		return err
	}
	found, err := files.contents()
	if err != nil {
		return err
	}
	if err := setInUse(s.opts.Dir); err != nil {
		return dirError(s.opts.Dir, err)
	}
	e, err := s.newEngine(ctx)
	s.running.Store(e)
	if err != nil {
		return err
	}
	return s.load(ctx, found)
}

// Close stops the engine and gives the data directory up. What was acknowledged
// is on disk already. It is bounded, and a second call does nothing but return
// what the first returned.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closed)
		s.waitForWriters()
		s.dog.end()
		s.closeErr = s.engine().stop()
		if s.closeErr == nil && s.loaded {
			s.closeErr = setClean(s.opts.Dir)
		}
		// The lock goes last: nobody may open what is still being written.
		s.closeErr = errors.Join(s.closeErr, s.lock.release())
	})
	return s.closeErr
}

// writersTimeout is how long those who write at the end are waited for. An engine
// that answers takes milliseconds.
const writersTimeout = time.Second

// waitForWriters waits until those are done who were writing when the store was
// closed, within bounds: an engine that is stopped in the middle of a batch may begin
// to gather it while it ends, and leaves the goroutines of that behind.
func (s *Store) waitForWriters() {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for bound := time.After(writersTimeout); !s.gate.TryLock(); {
		select {
		case <-ticker.C:
		case <-bound:
			return
		}
	}
	s.gate.Unlock()
}

// stopServer shuts the engine down and waits for it, within bounds.
func stopServer(srv *server.Server) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Shutdown()
		srv.WaitForShutdown()
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
		return model.Errorf(model.Timeout, "cannot stop the store: not down after %s", closeTimeout)
	}
}
