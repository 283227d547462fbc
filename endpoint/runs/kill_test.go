package runs

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

const (
	// writerEnv makes the test binary write runs into the store it names until
	// it is killed.
	writerEnv = "RUNS_TEST_WRITER"
	seedEnv   = "RUNS_TEST_SEED"
	// nightlyEnv asks for the long version.
	nightlyEnv = "OOB_NIGHTLY"

	ledgerName = "ledger" // beside the store: one line for every send
	machines   = 36       // enough for the store to write records together
)

// writer is the process that gets killed: it stores objects and runs as fast as
// it can and says what was acknowledged.
func writer(dir string) int {
	ctx := context.Background()
	s, err := store.Open(ctx, store.Options{Dir: dir})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	m := New(Options{Store: s})
	if err := m.Recover(ctx); err != nil {
		fmt.Println("error", err)
		return 1
	}
	seed, _ := strconv.ParseUint(os.Getenv(seedEnv), 10, 64) // 0 is a seed too
	ledger, err := os.OpenFile(filepath.Join(dir, ledgerName), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	var clients sync.WaitGroup
	for c := range machines {
		clients.Go(func() { client(m, s, ledger, rand.New(rand.NewPCG(seed, uint64(c)))) })
	}
	clients.Wait()
	return 1 // it never comes here
}

// say writes one line at once, so that a kill cuts between lines.
func say(f *os.File, format string, args ...any) {
	_, _ = fmt.Fprintf(f, format+"\n", args...)
}

// client is one client of the writer, on any machine.
func client(m *Manager, s *store.Store, ledger *os.File, rnd *rand.Rand) {
	ctx := context.Background()
	commands := []string{model.PowerOn, model.PowerCycle, model.PowerReset, model.PowerOff}
	for i := 0; ; i++ {
		n, key := rnd.IntN(4*machines), fmt.Sprint("u", rnd.IntN(machines))
		q := Request{
			Prefix: "machines", Key: key, Command: commands[n%4], Class: model.ActionOf(commands[n%4], nil).Class,
			Principal: "p", Digest: fmt.Sprint(n, i, rnd.Uint64()),
		}
		if live := m.List("machines", key); len(live) > 0 {
			q.AfterUnknown = live[0].ID // these clients look before they act
		}
		var ticket *Ticket
		known := make(chan struct{})
		pause := time.Duration(rnd.IntN(2000)) * time.Microsecond
		q.Send = func(ctx context.Context) (json.RawMessage, error) {
			<-known
			say(ledger, "%s", ticket.ID())
			timer := time.NewTimer(pause)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			return json.RawMessage(`{}`), nil
		}
		ticket, err := m.Submit(ctx, q)
		if err != nil {
			continue // another client was first
		}
		say(os.Stdout, "sent %s %s", ticket.ID(), key)
		close(known)
		run, err := ticket.Wait(ctx)
		if err == nil {
			say(os.Stdout, "%s %s %s", run.State, run.ID, key)
		}
		id := fmt.Sprintf("o%d", rnd.Uint64())
		o, err := s.Create(ctx, store.Object{Prefix: "things", ID: id, Value: json.RawMessage(`1`)}, map[string]string{"Name": id})
		if err == nil {
			say(os.Stdout, "object %s", o.ID)
		}
	}
}

// TestKill9LosesNothingAndSendsNothingTwice kills the writer again and again
// and looks at what it left.
func TestKill9LosesNothingAndSendsNothingTwice(t *testing.T) {
	kills := 5
	if os.Getenv(nightlyEnv) == "1" {
		kills = 200
	}
	const seed = 20261120
	rnd := rand.New(rand.NewPCG(seed, seed))
	book := &ledgerBook{t: t, dir: t.TempDir(), states: map[string]acked{}, objects: map[string]bool{}}
	for kill := range kills {
		lines := 20 + rnd.IntN(400)
		book.round(uint64(seed+kill), lines)
		book.audit()
		if t.Failed() {
			t.Fatalf("seed %d, kill %d after %d lines", seed, kill, lines)
		}
	}
	t.Logf("%d kills, %d runs acknowledged, %d sent, %d unknown, %d objects", kills, len(book.states), book.sends, book.unknown, len(book.objects))
}

// acked is what a writer acknowledged about a run.
type acked struct {
	state model.RunState
	key   string
}

// ledgerBook is what the writers said, and what must therefore be so.
type ledgerBook struct {
	t       *testing.T
	dir     string
	states  map[string]acked // by run
	objects map[string]bool  // acknowledged
	sends   int
	unknown int
}

// round runs one writer and kills it after a number of lines.
func (b *ledgerBook) round(seed uint64, lines int) {
	b.t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), writerEnv+"="+b.dir, seedEnv+"="+strconv.FormatUint(seed, 10))
	out, err := cmd.StdoutPipe()
	must(b.t, err)
	must(b.t, cmd.Start())
	watchdog := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	scanner := bufio.NewScanner(out)
	for n := 0; scanner.Scan(); n++ {
		if n == lines {
			must(b.t, cmd.Process.Kill())
		}
		b.note(scanner.Text())
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		b.t.Fatalf("the writer ended by itself: %v", cmd.ProcessState)
	}
}

// note keeps one line of the writer's.
func (b *ledgerBook) note(line string) {
	b.t.Helper()
	what, rest, _ := strings.Cut(line, " ")
	id, key, _ := strings.Cut(rest, " ")
	switch what {
	case "object":
		b.objects[id] = true
	case "sent", "done", "failed", "unknown":
		b.states[id] = acked{model.RunState(what), key}
	default:
		b.t.Fatalf("the writer says %q", line)
	}
}

// audit opens the store as the next process and compares it with the book.
func (b *ledgerBook) audit() {
	b.t.Helper()
	ctx := context.Background()
	s, err := store.Open(ctx, store.Options{Dir: b.dir})
	must(b.t, err)
	defer func() { must(b.t, s.Close()) }()
	m := New(Options{Store: s})
	must(b.t, m.Recover(ctx))
	defer func() { must(b.t, m.Close(ctx)) }()

	sent := b.ledger()
	b.sends, b.unknown = len(sent), 0
	found := map[string]*model.Run{}
	for _, run := range m.List("", "") {
		found[run.ID] = run
		if !run.State.Terminal() {
			b.t.Errorf("run %s is %s after a restart", run.ID, run.State)
		}
		if run.State == model.RunUnknown {
			b.unknown++
		}
		if run.State == model.RunDone && sent[run.ID] != 1 {
			b.t.Errorf("run %s is done and was sent %d times", run.ID, sent[run.ID])
		}
		if run.State == model.RunFailed && sent[run.ID] != 0 {
			b.t.Errorf("run %s failed unsent and was sent", run.ID)
		}
	}
	for id, n := range sent {
		if n != 1 {
			b.t.Errorf("run %s was sent %d times", id, n)
		}
	}
	b.compare(found)
	for id := range b.objects {
		if _, err := s.Get("things", id); err != nil {
			b.t.Errorf("object %s was acknowledged and is lost", id)
		}
	}
}

// compare looks for everything that was acknowledged. A run is gone by right
// only if as many younger ones of its machine are there as history keeps.
func (b *ledgerBook) compare(found map[string]*model.Run) {
	b.t.Helper()
	for id, ack := range b.states {
		run, younger := found[id], 0
		for other, r := range found {
			if r.Key == ack.key && other > id {
				younger++
			}
		}
		switch {
		case run == nil && younger < keptRuns:
			b.t.Errorf("run %s of %s was acknowledged as %s and is lost; %d younger ones are there", id, ack.key, ack.state, younger)
		case run == nil:
			delete(b.states, id)
		case ack.state.Terminal() && run.State != ack.state:
			b.t.Errorf("run %s was acknowledged as %s and is %s", id, ack.state, run.State)
		case ack.state == model.RunSent && run.State != model.RunDone && run.State != model.RunUnknown:
			b.t.Errorf("run %s was acknowledged as sent and is %s", id, run.State)
		}
	}
}

// ledger counts the sends by run.
func (b *ledgerBook) ledger() map[string]int {
	b.t.Helper()
	raw, err := os.ReadFile(filepath.Join(b.dir, ledgerName))
	must(b.t, err)
	sent := map[string]int{}
	for line := range strings.Lines(string(raw)) {
		sent[strings.TrimSpace(line)]++
	}
	return sent
}
