package runs

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// scheduleSeedEnv has one schedule alone run: that of the seed it names.
const scheduleSeedEnv = "RUNS_TEST_SCHEDULE"

// TestSchedulesOfCrashes has clients submit while processes die at any moment, by
// many schedules in a time of their own. Whatever happens, no run is executed
// twice, each one that was accepted ends, and its end is true.
func TestSchedulesOfCrashes(t *testing.T) {
	first, schedules := uint64(1), 300
	if os.Getenv(nightlyEnv) == "1" {
		first, schedules = uint64(time.Now().UnixNano()), 10_000 //nolint:gosec // a seed
	}
	if text := os.Getenv(scheduleSeedEnv); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		must(t, err)
		first, schedules = seed, 1
	}
	var sum tally
	for i := range schedules {
		seed := first + uint64(i) //nolint:gosec // a count
		synctest.Test(t, func(t *testing.T) {
			s := newSchedule(t, seed)
			s.run()
			s.judge()
			sum.add(&s.tally)
		})
		if t.Failed() {
			t.Fatalf("the schedule of %s=%d", scheduleSeedEnv, seed)
		}
	}
	t.Logf("seeds from %d: %d schedules, %d crashes, %d runs accepted, %d executed, %d done, %d failed, %d unknown, none twice",
		first, schedules, sum.crashes, sum.accepted, sum.executed, sum.states[model.RunDone], sum.states[model.RunFailed], sum.states[model.RunUnknown])
	if schedules > 1 && (sum.crashes < schedules || sum.executed < schedules || sum.states[model.RunUnknown] == 0) {
		t.Error("the schedules show nothing")
	}
}

// tally is what happened.
type tally struct {
	crashes, accepted, executed int
	states                      map[model.RunState]int
}

// add adds another one.
func (t *tally) add(o *tally) {
	if t.states == nil {
		t.states = map[model.RunState]int{}
	}
	t.crashes, t.accepted, t.executed = t.crashes+o.crashes, t.accepted+o.accepted, t.executed+o.executed
	for state, n := range o.states {
		t.states[state] += n
	}
}

// schedule is one world: a log that lasts, processes that do not, and clients.
type schedule struct {
	tally
	t    *testing.T
	log  *memory
	dice *dice

	mu       sync.Mutex      // guards all below
	current  *Manager        // of the process that serves, nil between two
	seen     map[string]bool // runs that were accepted
	started  map[string]int  // how often each was executed
	working  map[string]int  // executions under way, by machine
	overlaps int
}

// newSchedule makes the world of a seed.
func newSchedule(t *testing.T, seed uint64) *schedule {
	return &schedule{
		t: t, log: &memory{logs: map[[2]string][]store.Record{}}, dice: &dice{rnd: rand.New(rand.NewPCG(seed, 1))}, //nolint:gosec // chance
		seen: map[string]bool{}, started: map[string]int{}, working: map[string]int{},
	}
}

// sleep waits, in the schedule's own time, up to a bound.
func (s *schedule) sleep(bound time.Duration) {
	<-time.After(time.Duration(s.dice.roll(int(bound/time.Millisecond))) * time.Millisecond)
}

// run lets clients and processes go until the clients have done what they wanted,
// and then one last process that does not die settle everything.
func (s *schedule) run() {
	over := make(chan struct{})
	var clients, processes sync.WaitGroup
	for c := range 4 {
		clients.Go(func() { s.client(c) })
	}
	processes.Go(func() { s.processes(over) })
	clients.Wait()
	close(over)
	processes.Wait()
	last := s.start(0)
	<-time.After(3 * time.Minute) // past every deadline
	s.stop(last)
}

// served is a process with its manager.
type served struct {
	*process
	m *Manager
}

// start starts a process.
func (s *schedule) start(odds int) *served {
	p := &process{memory: s.log, dice: s.dice, odds: odds, died: make(chan struct{})}
	m := New(Options{Store: p})
	if err := m.Recover(context.Background()); err != nil {
		if !p.dead.Load() && odds == 0 {
			s.t.Errorf("the last process cannot recover: %v", err)
		}
		p.die()
		m.sweeper.Go(func() {}) // it was not begun
	}
	return &served{p, m}
}

// stop ends what is left of a process.
func (s *schedule) stop(p *served) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.m.Close(ended) // it cannot write any more, as a dead one
}

// processes runs one process after the other, with pauses, until it is over.
func (s *schedule) processes(over <-chan struct{}) {
	for {
		p := s.start(15 + s.dice.roll(40))
		s.serve(p.m)
		select {
		case <-p.died:
			s.mu.Lock()
			s.crashes++
			s.mu.Unlock()
		case <-over:
			p.die()
		}
		s.serve(nil)
		s.stop(p)
		s.sleep(5 * time.Second)
		select {
		case <-over:
			return
		default:
		}
	}
}

// serve has the clients find a manager, or none.
func (s *schedule) serve(m *Manager) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = m
}

// manager is the one that clients find.
func (s *schedule) manager() *Manager {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// client submits some requests, and does not always wait for what comes of them.
func (s *schedule) client(c int) {
	commands := []string{model.PowerOn, model.PowerCycle, model.PowerReset, model.PowerOff}
	for i := range 6 {
		s.sleep(20 * time.Second)
		m := s.manager()
		if m == nil {
			continue
		}
		key, command := fmt.Sprint("u", s.dice.roll(3)), commands[s.dice.roll(len(commands))]
		q := s.request(m, key, command, fmt.Sprint(c, i))
		if s.dice.roll(2) == 0 {
			q.Digest = "the same" // it may repeat another one
		}
		ticket, err := m.Submit(context.Background(), q)
		if err != nil {
			continue // another run was in the way, or the process is dead
		}
		s.mu.Lock()
		s.seen[ticket.ID()] = true
		s.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(s.dice.roll(40))*time.Second)
		if run, err := ticket.Wait(ctx); err == nil && !run.State.Terminal() {
			s.t.Errorf("run %s was waited for and is %s", run.ID, run.State)
		}
		cancel()
		if s.dice.roll(3) == 0 {
			ticket.Lost()
		}
	}
}

// request is one for an action that takes its time, fails now and then, and counts.
func (s *schedule) request(m *Manager, key, command, digest string) Request {
	q := Request{
		Prefix: "machines", Key: key, Command: command, Class: model.ActionOf(command, nil).Class,
		Principal: "p", Digest: digest, Timeout: 30 * time.Second,
	}
	if live := m.List("machines", key); len(live) > 0 && s.dice.roll(2) == 0 {
		q.AfterUnknown = live[0].ID
	}
	if s.dice.roll(3) == 0 {
		readyAt := time.Now().Add(time.Duration(s.dice.roll(90)) * time.Second)
		q.Ready = func() bool { return !time.Now().Before(readyAt) }
	}
	p, _ := m.store.(*process)
	q.Send = func(ctx context.Context) (json.RawMessage, error) { return s.execute(ctx, p, key) }
	return q
}

// execute is the plugin of a process: it dies with it.
func (s *schedule) execute(ctx context.Context, p *process, key string) (json.RawMessage, error) {
	if !p.moment() {
		return nil, errDead // nothing was sent
	}
	if s.dice.roll(10) == 0 {
		return nil, model.Errorf(model.Unreachable, "cannot reach the BMC, never sent")
	}
	s.mu.Lock()
	s.started[RunOf(ctx)]++
	if s.working[key]++; s.working[key] > 1 {
		s.overlaps++
	}
	s.mu.Unlock()
	// Past its deadline a run is unknown, and does not hold others back: from there
	// on the plugin itself keeps actions on one machine apart.
	work := time.Duration(s.dice.roll(70)) * time.Second
	counted := min(work, 49*time.Second)
	s.pass(ctx, p, counted)
	s.mu.Lock()
	s.working[key]--
	s.mu.Unlock()
	s.pass(ctx, p, work-counted)
	if !p.moment() {
		return nil, errDead
	}
	if s.dice.roll(10) == 0 {
		return nil, model.Errorf(model.UnknownOutcome, "no answer of the BMC")
	}
	return json.RawMessage(`{}`), nil
}

// pass lets time pass in a process.
func (s *schedule) pass(ctx context.Context, p *process, d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.died:
	case <-ctx.Done():
	}
}

// judge looks at what the log has in the end.
func (s *schedule) judge() {
	s.states = map[model.RunState]int{}
	ends := map[string]*model.Run{}
	for _, r := range s.log.records("", "") {
		var rec record
		must(s.t, model.Unmarshal(r.Data, &rec))
		if was := ends[rec.ID]; was != nil && was.State.Terminal() && was.State != rec.State {
			s.t.Errorf("run %s ended %s and then %s", rec.ID, was.State, rec.State)
		}
		ends[rec.ID] = &rec.Run
	}
	for id := range s.seen {
		if ends[id] == nil {
			s.t.Errorf("run %s was accepted and is lost", id)
		}
	}
	for id, run := range ends {
		s.judgeOne(id, run)
		s.states[run.State]++
	}
	for id, n := range s.started {
		s.executed += n
		if n != 1 || ends[id] == nil {
			s.t.Errorf("run %s was executed %d times, its record: %+v", id, n, ends[id])
		}
	}
	s.accepted = len(s.seen)
	if s.overlaps > 0 {
		s.t.Errorf("%d times two actions worked on one machine", s.overlaps)
	}
}

// judgeOne compares the end of a run with what was executed.
func (s *schedule) judgeOne(id string, run *model.Run) {
	switch n := s.started[id]; {
	case !run.State.Terminal():
		s.t.Errorf("run %s is stuck: %s", id, run.State)
	case run.State == model.RunDone && n != 1:
		s.t.Errorf("run %s is done and was executed %d times", id, n)
	case run.State == model.RunFailed && n != 0:
		s.t.Errorf("run %s failed as never sent and was executed: %v", id, run.Error)
	}
}
