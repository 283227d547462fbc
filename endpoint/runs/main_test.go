package runs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		os.Exit(writer(dir))
	}
	goleak.VerifyTestMain(m)
}

// patience bounds every wait of these tests; it is only reached when they fail.
const patience = 30 * time.Second

// clockwork is a clock that stands still until it is moved.
type clockwork struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func (c *clockwork) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// forward moves the clock.
func (c *clockwork) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// rig is a Manager on a store of its own, with a clock in the test's hands.
type rig struct {
	*Manager
	t     testing.TB
	dir   string
	store *store.Store
	clock *clockwork
	gone  func() time.Duration // nil: by the clock
	ticks chan time.Time
	log   *logBuffer

	mu     sync.Mutex // guards events
	events []string   // "powercycle: -> sent", in the order they were told
}

// newRig opens a store and recovers its runs.
func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), clock: &clockwork{now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}, log: &logBuffer{}}
	r.openStore()
	r.start(nil, "boot-1")
	t.Cleanup(func() { r.stop() })
	return r
}

// openStore opens the rig's directory.
func (r *rig) openStore() {
	r.t.Helper()
	s, err := store.Open(context.Background(), store.Options{Dir: r.dir})
	must(r.t, err)
	r.store = s
}

// start starts a Manager on the open store, or on another engine.
func (r *rig) start(engine Engine, boot string) {
	r.t.Helper()
	if engine == nil {
		engine = r.store
	}
	r.ticks = make(chan time.Time)
	r.Manager = New(Options{
		Store: engine, Boot: boot, Now: r.clock.Now, Elapsed: r.gone, Ticks: r.ticks, OnRun: r.onRun,
		Logger: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	must(r.t, r.Recover(context.Background()))
}

// stop ends Manager and store; what is still sent then becomes unknown.
func (r *rig) stop() {
	r.t.Helper()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.Manager.Close(ended); err != nil {
		r.t.Errorf("Close: %v", err)
	}
	must(r.t, r.store.Close())
}

// crash ends the process as far as the records can tell: nothing more is
// written, and the next Manager has another boot id.
func (r *rig) crash(boot string) {
	r.t.Helper()
	must(r.t, r.store.Close())
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	// The outcomes cannot be written any more, which Close says.
	_ = r.Manager.Close(ended)
	r.openStore()
	r.start(nil, boot)
}

// onRun keeps what was told.
func (r *rig) onRun(old, updated *model.Run) {
	was := ""
	if old != nil {
		was = string(old.State)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	is := string(updated.State)
	if updated.Released != "" {
		is += " released"
	}
	r.events = append(r.events, updated.Command+": "+was+" -> "+is)
}

// told returns what was told so far, in one line, and forgets it.
func (r *rig) told() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := strings.Join(r.events, ", ")
	r.events = nil
	return out
}

// tick has the sweeper go round once.
func (r *rig) tick() {
	r.t.Helper()
	for range 2 { // the second is taken when the first is done with
		select {
		case r.ticks <- r.clock.Now():
		case <-time.After(patience):
			r.t.Fatal("the sweeper does not take its tick")
		}
	}
}

// later moves the clock and has the sweeper go round.
func (r *rig) later(d time.Duration) {
	r.t.Helper()
	r.clock.forward(d)
	r.tick()
}

// submit submits a request that must not be refused.
func (r *rig) submit(q Request) *Ticket {
	r.t.Helper()
	ticket, err := r.Submit(context.Background(), q)
	must(r.t, err)
	return ticket
}

// refused submits a request that must be refused as a conflict, and returns why.
func (r *rig) refused(q Request) string {
	r.t.Helper()
	ticket, err := r.Submit(context.Background(), q)
	if err == nil {
		r.t.Fatalf("%s was not refused: run %s", q.Command, ticket.ID())
	}
	if model.KindOf(err) != model.Conflict {
		r.t.Fatalf("%s was refused with %v, want a conflict", q.Command, err)
	}
	return err.Error()
}

// wait waits for the end of a run.
func (r *rig) wait(ticket *Ticket) *model.Run {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	run, err := ticket.Wait(ctx)
	must(r.t, err)
	return run
}

// state fails the test unless a run is in a state, and returns it.
func (r *rig) state(id string, want model.RunState) *model.Run {
	r.t.Helper()
	run, err := r.Get(context.Background(), id)
	must(r.t, err)
	if run.State != want {
		r.t.Fatalf("%s is %s (%v), want %s", run.Command, run.State, run.Error, want)
	}
	return run
}

// eventually waits for a condition, having the sweeper go round meanwhile.
func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.After(patience)
	for !ok() {
		select {
		case r.ticks <- r.clock.Now():
		case <-deadline:
			r.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// plugin is the far side of a Send: it tells when it was called and answers
// when it is told to.
type plugin struct {
	called chan struct{}
	answer chan reply
}

// reply is what a plugin answers.
type reply struct {
	result string
	err    error
}

// newPlugin returns a plugin that has not been called.
func newPlugin() *plugin {
	return &plugin{called: make(chan struct{}, 100), answer: make(chan reply, 100)}
}

// Send is a Request's Send.
func (p *plugin) Send(ctx context.Context) (json.RawMessage, error) {
	p.called <- struct{}{}
	select {
	case a := <-p.answer:
		if a.err != nil {
			return nil, a.err
		}
		return json.RawMessage(a.result), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answers makes the plugin answer its next call.
func (p *plugin) answers(result string) { p.answer <- reply{result: result} }

// fails makes the plugin refuse its next call.
func (p *plugin) fails(err error) { p.answer <- reply{err: err} }

// reached waits until the plugin is called.
func (p *plugin) reached(t testing.TB) {
	t.Helper()
	select {
	case <-p.called:
	case <-time.After(patience):
		t.Fatal("the plugin is not called")
	}
}

// request is an action of ada's on machine m1.
func request(command string, p *plugin) Request {
	return Request{
		Prefix: "machines", Key: "u1", Name: "m1", Command: command, Class: model.ActionOf(command, nil).Class,
		Plugin: "ipmi", Principal: "ada", Digest: "d", Send: p.Send,
	}
}

// by is a request of somebody else's.
func by(principal string, q Request) Request {
	q.Principal = principal
	return q
}

// done runs a request to a good end.
func (r *rig) done(q Request, p *plugin) *Ticket {
	r.t.Helper()
	p.answers(`{"power":"on"}`)
	ticket := r.submit(q)
	if run := r.wait(ticket); run.State != model.RunDone {
		r.t.Fatalf("%s ended %s: %v", q.Command, run.State, run.Error)
	}
	p.reached(r.t)
	return ticket
}

// unknown runs a request to an unknown end.
func (r *rig) unknown(q Request, p *plugin) *Ticket {
	r.t.Helper()
	p.fails(model.Errorf(model.UnknownOutcome, "cannot cycle m1: no reply, no evidence"))
	ticket := r.submit(q)
	if run := r.wait(ticket); run.State != model.RunUnknown {
		r.t.Fatalf("%s ended %s: %v", q.Command, run.State, run.Error)
	}
	p.reached(r.t)
	return ticket
}

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantText fails the test unless text has all the parts, in one line.
func wantText(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not say %q", text, part)
		}
	}
	if strings.Contains(text, "\n") {
		t.Errorf("%q has more than one line", text)
	}
}

// logBuffer is a logger's output that may be read while it is written to.
type logBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// faulty is a real store whose writes fail when they are told to.
type faulty struct {
	*store.Store
	mu     sync.Mutex // guards what follows
	before error      // fail before writing
	after  error      // fail after writing
	left   int        // how many more writes fail
	full   error      // no room
}

var errDisk = errors.New("disk in trouble")

// fail has the next n writes fail, before or after they are written.
func (f *faulty) fail(n int, before, after error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.before, f.after = n, before, after
}

// fill leaves no room, or makes it again.
func (f *faulty) fill(full error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.full = full
}

func (f *faulty) Room() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.full
}

func (f *faulty) PutRecord(ctx context.Context, r store.Record) (uint64, error) {
	f.mu.Lock()
	before, after := f.before, f.after
	if f.left == 0 {
		before, after = nil, nil
	} else {
		f.left--
	}
	f.mu.Unlock()
	if before != nil {
		return 0, before
	}
	seq, err := f.Store.PutRecord(ctx, r)
	if after != nil {
		return 0, after
	}
	return seq, err
}
