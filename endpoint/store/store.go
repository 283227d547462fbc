package store

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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
}

// Store is an open data directory. Its methods may be called concurrently.
type Store struct {
	site string
	log  *slog.Logger

	lock    *dirLock
	srv     *server.Server
	conn    *nats.Conn
	js      jetstream.JetStream
	objects jetstream.Stream // the bucket
	records jetstream.Stream // ACTIONS
	audit   jetstream.Stream // AUDIT
	group   group            // writes run records

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
	if o.Site == "" {
		o.Site = DefaultSite
	}
	lock, err := openDir(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		site:   encode(o.Site),
		log:    o.Logger,
		lock:   lock,
		view:   newView(),
		closed: make(chan struct{}),
	}
	s.group.store = s
	if err := s.start(ctx, o); err != nil {
		// The first error tells what went wrong; a failed cleanup adds nothing.
		_ = s.Close()
		if e := (*model.Error)(nil); errors.As(err, &e) {
			return nil, err
		}
		return nil, model.Errorf(model.Internal, "cannot open data directory %s: %w", o.Dir, err)
	}
	return s, nil
}

// start brings the engine up and loads what it holds.
func (s *Store) start(ctx context.Context, o Options) error {
	found := streamsOnDisk(o.Dir)
	if err := s.startEngine(o); err != nil {
		return err
	}
	if err := s.openStreams(ctx, found); err != nil {
		return err
	}
	return s.load(ctx)
}

// Close stops the engine and gives the data directory up. What was acknowledged
// is on disk already. It is bounded, and a second call does nothing but return
// what the first returned.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closed)
		if s.conn != nil {
			s.conn.Close()
		}
		if s.srv != nil {
			s.closeErr = stopServer(s.srv)
		}
		// The lock goes last: nobody may open what is still being written.
		s.closeErr = errors.Join(s.closeErr, s.lock.release())
	})
	return s.closeErr
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
