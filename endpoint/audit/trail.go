// Package audit keeps the trail of what callers asked to be changed: records
// that are only ever appended, each with a keyed hash over itself and the one
// before, so that none can be changed or taken out unnoticed by who lacks the
// key.
package audit

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"sync"
	"time"

	"provision-plugins/shared/model"
)

// Record is one request. It has no values, only the names of the fields that
// were sent and a keyed digest of all of it.
type Record struct {
	N      uint64 // counts from 1
	Time   time.Time
	ID     string // of the request, as its reply has it in X-Request-Id
	Who    string // the principal
	Via    string `json:",omitempty"` // the plugin by which a person asked
	Token  string `json:",omitempty"` // the ID of the token that was used
	From   string // the address, or "socket"
	Method string
	Path   string
	Needs  []string `json:",omitempty"` // what the request had to be allowed
	Denied bool     `json:",omitempty"` // it was not, and nothing was done
	Event  string   `json:",omitempty"` // of an event that was posted: Type.Action.Key
	Fields []string `json:",omitempty"`
	Digest string   `json:",omitempty"`
	Hash   string   // over the record and the hash before
}

// Batch is what is written at once: the records that came together.
type Batch struct {
	Before  string // the hash of the record before the first
	Records []Record
}

// Log is where batches are kept, in the order they came.
type Log interface {
	// AppendAudit writes a batch after the one of the sequence last, durably, and
	// returns its own.
	AppendAudit(ctx context.Context, data []byte, last uint64) (uint64, error)
	// LastAudit returns the newest batch and its sequence; nil if there is none.
	LastAudit(ctx context.Context) ([]byte, uint64, error)
}

// Trail writes records to a log.
type Trail struct {
	log Log
	key [sha256.Size]byte
	now func() time.Time

	mu      sync.Mutex // guards pending
	pending *round

	writing sync.Mutex // held by the one who writes; guards all below
	n, seq  uint64
	hash    string
	unsure  bool // the last write failed: it may be there all the same

	faulty sync.Mutex // guards all below; taken last
	fault  error      // of the last write, nil if it succeeded
	failed time.Time  // when it failed
}

// Fault is when and why the last record could not be written; no cause if it
// could.
func (t *Trail) Fault() (at time.Time, cause error) {
	t.faulty.Lock()
	defer t.faulty.Unlock()
	return t.failed, t.fault
}

// note keeps whether a write succeeded.
func (t *Trail) note(err error) {
	t.faulty.Lock()
	defer t.faulty.Unlock()
	t.fault, t.failed = err, t.now()
}

// round is what is written next; done is closed when it has been.
type round struct {
	records []Record
	done    bool // guarded by the trail's writing
	err     error
}

// Open continues the trail of a log.
func Open(ctx context.Context, log Log, key [sha256.Size]byte, now func() time.Time) (*Trail, error) {
	t := &Trail{log: log, key: key, now: now, pending: &round{}}
	return t, t.resume(ctx)
}

// resume finds out where the trail ends. The caller holds writing, or is alone.
func (t *Trail) resume(ctx context.Context) error {
	raw, seq, err := t.log.LastAudit(ctx)
	if err != nil {
		return err
	}
	t.unsure = false
	if raw == nil {
		return nil
	}
	var last Batch
	if err := model.Unmarshal(raw, &last); err != nil || len(last.Records) == 0 {
		return model.Errorf(model.Internal, "cannot continue the audit trail: its last batch (%d) is damaged", seq)
	}
	newest := last.Records[len(last.Records)-1]
	t.n, t.hash, t.seq = newest.N, newest.Hash, seq
	return nil
}

// Write appends a record, and returns when it is durable. Those that come while
// one is being written are written together.
func (t *Trail) Write(ctx context.Context, r Record) error {
	t.mu.Lock()
	mine := t.pending
	mine.records = append(mine.records, r)
	t.mu.Unlock()

	t.writing.Lock()
	defer t.writing.Unlock()
	if mine.done { // somebody before has written it with its own
		return mine.err
	}
	t.mu.Lock()
	t.pending = &round{}
	t.mu.Unlock()
	mine.err = t.append(context.WithoutCancel(ctx), mine.records)
	t.note(mine.err)
	mine.done = true
	return mine.err
}

// append numbers, hashes and writes records. The caller holds writing.
func (t *Trail) append(ctx context.Context, records []Record) error {
	if t.unsure {
		if err := t.resume(ctx); err != nil {
			return unwritten(err)
		}
	}
	batch := Batch{Before: t.hash, Records: records}
	hash := t.hash
	for i := range records {
		records[i].N = t.n + uint64(i) + 1
		records[i].Time = t.now().UTC()
		sum, err := t.sum(hash, records[i])
		if err != nil {
			return err
		}
		hash, records[i].Hash = sum, sum
	}
	raw, err := model.Marshal(batch)
	if err != nil {
		return err
	}
	seq, err := t.log.AppendAudit(ctx, raw, t.seq)
	if err != nil {
		t.unsure = true
		return unwritten(err)
	}
	t.n, t.seq, t.hash = t.n+uint64(len(records)), seq, hash
	return nil
}

// unwritten is the refusal of a request that could not be recorded.
func unwritten(err error) error {
	return model.Errorf(model.Internal, "cannot write the audit trail, so nothing was done: %w", err)
}

// sum is the hash of a record after another.
func (t *Trail) sum(before string, r Record) (string, error) {
	r.Hash = ""
	raw, err := model.Marshal(r)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, t.key[:])
	mac.Write([]byte(before + "\n"))
	mac.Write(raw)
	return hex.EncodeToString(mac.Sum(nil)), nil
}

// Digest is a keyed digest of a body: equal ones can be told, and no value be
// guessed from it.
func (t *Trail) Digest(body []byte) string {
	mac := hmac.New(sha256.New, t.key[:])
	mac.Write([]byte("body\n"))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// Verdict is what looking at a whole trail has shown.
type Verdict struct {
	Records     int    // that were looked at
	First, Last uint64 // their numbers; those before the first were dropped for their age
	Hash        string // of the last one: note it elsewhere to prove the trail by
	Broken      string `json:",omitempty"` // where the chain is broken; empty if it is whole
}

// Check looks at the batches of a trail, oldest first, one at a time.
type Check struct {
	trail *Trail
	Verdict
}

// NewCheck begins to look at the trail.
func (t *Trail) NewCheck() *Check { return &Check{trail: t} }

// Take looks at the next batch.
func (c *Check) Take(raw []byte) {
	var b Batch
	if c.Broken != "" {
		return
	}
	if err := model.Unmarshal(raw, &b); err != nil {
		c.Broken = "a batch is damaged after record " + number(c.Last)
		return
	}
	if c.Records == 0 {
		c.Hash = b.Before
	} else if b.Before != c.Hash {
		c.Broken = "records are missing after record " + number(c.Last)
		return
	}
	for _, r := range b.Records {
		sum, err := c.trail.sum(c.Hash, r)
		switch {
		case err != nil || !hmac.Equal([]byte(sum), []byte(r.Hash)):
			c.Broken = "record " + number(r.N) + " was changed"
			return
		case c.Records > 0 && r.N != c.Last+1:
			c.Broken = "records are missing after record " + number(c.Last)
			return
		case c.Records == 0:
			c.First = r.N
		}
		c.Records, c.Last, c.Hash = c.Records+1, r.N, sum
	}
}

// number writes a record's number.
func number(n uint64) string { return strconv.FormatUint(n, 10) }
