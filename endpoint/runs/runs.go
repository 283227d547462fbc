package runs

import (
	"context"
	"log/slog"
	"time"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

var errNotYet = model.Errorf(model.Unsupported, "runs: not built yet")

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
	// ScanRecords calls fn for the records of one object, or of all.
	ScanRecords(ctx context.Context, prefix, id string, fn func(store.Record) error) error
	// ReadRecord returns the record at a sequence.
	ReadRecord(ctx context.Context, seq uint64) (store.Record, error)
	// DeleteRecord removes the record at a sequence.
	DeleteRecord(ctx context.Context, seq uint64) error
}

// Engine is the store as the runs use it.
type Engine interface {
	Log
	History
}

// Options are the surroundings of a Manager.
type Options struct {
	Store Engine
	// Site stands in every record; default "local".
	Site string
	// Boot is the id of this process; default: a new one.
	Boot string
	// Now tells the time; default time.Now.
	Now func() time.Time
	// Ticks drives deadlines, queued runs and the daily sweep; default: a ticker of 250 ms.
	Ticks <-chan time.Time
	// Logger; default: discarded.
	Logger *slog.Logger
	// OnRun is called for every transition once it is durable, old nil for a
	// new run; in order per object, and before Send. It must be quick; it may
	// call Get and List, nothing else of the Manager.
	OnRun func(old, updated *model.Run)
}

// Manager owns the runs of one endpoint. Its methods may be called concurrently.
type Manager struct {
}

// New returns a Manager. Call Recover before anything else, and Close at the end.
func New(o Options) *Manager {
	return &Manager{}
}

// Recover loads the records and settles what an earlier process left: a sent
// run becomes unknown, a queued one failed. It then starts the sweeper.
func (m *Manager) Recover(ctx context.Context) error {
	return errNotYet
}

// Close takes no new runs, fails the queued ones, waits for the outcomes of
// those that were sent and writes them. When ctx ends first the remaining ones
// are recorded as unknown and their Send is cancelled.
func (m *Manager) Close(ctx context.Context) error {
	return errNotYet
}

// Get returns a run, with its whole result and log, or a not-found error.
func (m *Manager) Get(ctx context.Context, id string) (*model.Run, error) {
	return nil, errNotYet
}

// List returns the kept runs, newest first, without their logs: those of one
// object, or with an empty prefix all. Runs are shared: do not change them.
func (m *Manager) List(prefix, key string) []*model.Run {
	return nil
}

// Live returns the run of an object that has not ended, or nil: an object with
// one must not be deleted.
func (m *Manager) Live(prefix, key string) *model.Run {
	return nil
}

// Cancel ends a queued run as failed. A sent one is a conflict that says when
// it ends, an ended one a conflict too.
func (m *Manager) Cancel(ctx context.Context, id, who string) error {
	return errNotYet
}

// Release lets the next once action follow the unknown run id. Seen says what
// state was seen, for the record.
func (m *Manager) Release(ctx context.Context, id, who, seen string) error {
	return errNotYet
}

// Observation is an answer of powerstatus.
type Observation struct {
	Prefix string
	Key    string
	Who    string // the principal that asked
	State  model.PowerState
	Began  time.Time // when the request began, by Options.Now
}

// ObservedPower releases the object's unknown run if the observation began
// after the run became unknown and says on or off. Call it for every
// powerstatus answered; it writes only when there is something to release.
func (m *Manager) ObservedPower(ctx context.Context, o Observation) error {
	return errNotYet
}

// Read keeps a finished read action in a ring of 1,000, in memory only.
func (m *Manager) Read(r model.Run) {
}

// Reads returns the read actions in the ring, newest first.
func (m *Manager) Reads() []model.Run {
	return nil
}
