package runs

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

const (
	// startWithin is how long a run may stay queued.
	startWithin = 60 * time.Second
	// margin is added to an action's timeout: a plugin bounds the action
	// itself, and its answer has to travel.
	margin = 20 * time.Second
	// lateGrace is how long after its deadline a Send may still come back with
	// something to log.
	lateGrace = 60 * time.Second
	// tickEvery is how often queued runs and deadlines are looked at.
	tickEvery = 250 * time.Millisecond
	// settleTimeout bounds what Close does once its own context has ended.
	settleTimeout = 5 * time.Second
)

// Log is what a run is decided on: the last record of an object, and the
// compare-and-set that follows it. *store.Store is one.
type Log interface {
	// LastRecord returns the last record of an object, Seq 0 without one.
	LastRecord(ctx context.Context, prefix, id string) (store.Record, error)
	// PutRecord appends a durable record if the last one has the sequence
	// r.Seq; otherwise it is a conflict.
	PutRecord(ctx context.Context, r store.Record) (uint64, error)
}

// History is what is read and swept beside Log. *store.Store is one.
type History interface {
	// ScanRecords calls fn for the records of one object, or of all, in order.
	ScanRecords(ctx context.Context, prefix, id string, fn func(store.Record) error) error
	// ReadRecord returns the record at a sequence.
	ReadRecord(ctx context.Context, seq uint64) (store.Record, error)
	// DeleteRecord removes the record at a sequence.
	DeleteRecord(ctx context.Context, seq uint64) error
}

// Bounds is how full the store is. *store.Store is one.
type Bounds interface {
	// Room refuses while nothing new may begin. What has begun may go on.
	Room() error
}

// Engine is the store as the runs use it.
type Engine interface {
	Log
	History
	Bounds
}

// Options are the surroundings of a Manager.
type Options struct {
	Store Engine
	// Site stands in every run; default store.DefaultSite.
	Site string
	// Boot is the id of this process; default: a new one.
	Boot string
	// Now tells the time of day; default time.Now.
	Now func() time.Time
	// Elapsed tells how much time has gone by, whoever sets the clock; default: by
	// Now, which in time.Now is what has gone by.
	Elapsed func() time.Duration
	// Ticks drives deadlines, queued runs and the daily sweep; default: a ticker of 250 ms.
	Ticks <-chan time.Time
	// Logger; default: discarded.
	Logger *slog.Logger
	// OnRun is called for every transition once it is durable, old nil for a
	// new run; in order per object, and before Send. It must be quick; it may
	// call Get, List and Live, nothing else of the Manager.
	OnRun func(old, updated *model.Run)
}

// Manager owns the runs of one endpoint. Its methods may be called concurrently.
type Manager struct {
	store Engine
	site  string
	boot  string
	now   func() time.Time
	// elapsed is what deadlines, repetitions and intervals go by.
	elapsed func() time.Duration
	ticks   <-chan time.Time
	log     *slog.Logger
	onRun   func(old, updated *model.Run)

	// base is the context of everything that must not end with a caller.
	base   context.Context
	cancel context.CancelFunc

	systemMu sync.Mutex // held while a request for the endpoint itself is decided on

	mu      sync.RWMutex          // guards what follows, and what entry says; and object.runs for readers
	objects map[[2]string]*object // by prefix and key
	byID    map[string]*entry
	active  map[*entry]bool // not ended, or its Send not back
	closing bool
	work    sync.WaitGroup // Submits, and Sends until their outcome is written; added to under mu

	closeOnce sync.Once
	closeErr  error

	sweeper sync.WaitGroup // the sweeper's goroutine
	stop    chan struct{}  // closed by Close; ends the sweeper

	reads ring
}

// New returns a Manager. Call Recover before anything else, and Close at the end.
func New(o Options) *Manager {
	if o.Site == "" {
		o.Site = store.DefaultSite
	}
	if o.Boot == "" {
		o.Boot = uuid.NewString()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Elapsed == nil {
		began := o.Now()
		o.Elapsed = func() time.Duration { return o.Now().Sub(began) }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnRun == nil {
		o.OnRun = func(_, _ *model.Run) {}
	}
	m := &Manager{
		store: o.Store, site: o.Site, boot: o.Boot, now: o.Now, elapsed: o.Elapsed, ticks: o.Ticks, log: o.Logger, onRun: o.OnRun,
		objects: map[[2]string]*object{},
		byID:    map[string]*entry{},
		active:  map[*entry]bool{},
		stop:    make(chan struct{}),
	}
	m.base, m.cancel = context.WithCancel(context.Background())
	return m
}

// begin registers a piece of work that Close waits for; work.Done ends it.
func (m *Manager) begin() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closing {
		return model.Errorf(model.Busy, "cannot start a run: the endpoint is stopping")
	}
	m.work.Add(1)
	return nil
}

// Refuse takes no new runs from now on. Those that were taken go on, and Close
// is still to be called.
func (m *Manager) Refuse() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closing = true
}

// Refusing reports whether no new runs are taken any more.
func (m *Manager) Refusing() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.closing
}

// Close takes no new runs, fails the queued ones, waits for the outcomes of
// those that were sent and writes them. When ctx ends first the remaining ones
// are recorded as unknown and their Send is cancelled.
func (m *Manager) Close(ctx context.Context) error {
	m.closeOnce.Do(func() { m.closeErr = m.close(ctx) })
	return m.closeErr
}

// close is what Close does, once.
func (m *Manager) close(ctx context.Context) error {
	m.Refuse()
	close(m.stop)
	m.sweeper.Wait()
	defer m.cancel()
	for _, e := range m.ownRuns() {
		if e.snapshot(m).State == model.RunQueued {
			m.settle(m.base, e, neverSent("the endpoint stopped while it waited for its plugin"))
		}
	}
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		m.work.Wait()
	}()
	select {
	case <-idle:
	case <-ctx.Done():
		m.abandon(idle)
	}
	return m.flush()
}

// abandon records every run that is still out as unknown and cancels its Send.
func (m *Manager) abandon(idle <-chan struct{}) {
	ctx, cancel := context.WithTimeout(m.base, settleTimeout)
	defer cancel()
	for _, e := range m.ownRuns() {
		if !e.unwritten.Load() {
			m.settle(ctx, e, lostTrack("the endpoint stopped before an answer came"))
		}
	}
	m.cancel()
	select {
	case <-idle:
	case <-ctx.Done():
		m.log.Warn("actions still on their way at the end")
	}
}

// flush writes the outcomes that could not be written when they came, once
// more, and tells what is left.
func (m *Manager) flush() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.base), settleTimeout)
	defer cancel()
	left := 0
	for _, e := range m.ownRuns() {
		if e.unwritten.Load() {
			m.writeOutcome(ctx, e)
		}
		if !e.snapshot(m).State.Terminal() {
			left++
		}
	}
	if left > 0 {
		return model.Errorf(model.Internal, "cannot write the outcome of %d runs; they are unknown at the next start", left)
	}
	return nil
}

// ownRuns returns the active runs of this process.
func (m *Manager) ownRuns() []*entry {
	return slices.DeleteFunc(m.activeRuns(), func(e *entry) bool { return e.snapshot(m).Boot != m.boot })
}

// activeRuns returns the runs that the sweeper and Close look after.
func (m *Manager) activeRuns() []*entry {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]*entry, 0, len(m.active))
	for e := range m.active {
		out = append(out, e)
	}
	return out
}
