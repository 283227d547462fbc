package main

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// crashMachines is how many machines the crashes have; fewer runs of each are
// started between two crashes than its history keeps.
const crashMachines = 12

// TestKilledEndpointLosesNothing kills the daemon at random moments while clients
// act on machines, change them, and make and delete others: what was acknowledged
// is there after the next start, whole, every run has ended, as was said where
// something was said, and no BMC has executed more than was asked of it.
func TestKilledEndpointLosesNothing(t *testing.T) {
	kills := 5
	if os.Getenv("OOB_NIGHTLY") != "" {
		kills = 200
	}
	plugins := t.TempDir()
	buildPlugin(t, filepath.Join(plugins, "ipmi"))
	c := &crashes{
		killRig: killRig{plugin: filepath.Join(plugins, "ipmi")}, plugins: plugins,
		states: map[string]*model.Run{}, changed: map[int]int{}, ids: map[string]bool{}, rnd: rand.New(rand.NewPCG(200, 1)),
	}
	dir, err := os.MkdirTemp("", "crash") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	c.dir = dir
	c.fleet, err = bmc.New(bmc.Options{Count: crashMachines, Host: netip.MustParseAddr("127.0.0.1"), On: true, CycleOff: 50 * time.Millisecond, Seed: 200})
	if err != nil {
		t.Fatal(err)
	}
	defer c.fleet.Close()
	c.start(t)
	defer func() { _ = c.cmd.Process.Kill() }() // also where the test ends before
	for i := range crashMachines {
		c.fleet.BMC(i).SetFaults(bmc.Faults{Latency: time.Millisecond, Jitter: 10 * time.Millisecond}) // there is a time between sent and answered
		c.addMachine(t, i)
	}
	for kill := range kills {
		c.round(t, kill)
		c.start(t)
		c.audit(t)
		if t.Failed() {
			t.Fatalf("kill %d", kill)
		}
	}
	c.end(t)
	c.report(t, kills)
}

// report prints the figures.
func (c *crashes) report(t *testing.T, kills int) {
	t.Helper()
	count := map[model.RunState]int{}
	for _, run := range c.states {
		count[run.State]++
	}
	executed := c.executed()
	t.Logf("%d kills: %d changes, %d creations and %d deletions of objects acknowledged, 0 lost, 0 in part", kills, c.changes, c.made.created, c.made.deleted)
	t.Logf("%d runs acknowledged, %d results told, and %d found: %d done, %d failed, %d unknown, 0 sent; %d commands of class once executed, 0 twice",
		len(c.ids), c.finished, len(c.states), count[model.RunDone], count[model.RunFailed], count[model.RunUnknown], executed)
	t.Logf("ready again after %s at most", c.slowest.Round(time.Millisecond))
	if c.finished == 0 || c.changes == 0 || executed == 0 || count[model.RunDone] == 0 || count[model.RunUnknown] == 0 {
		t.Error("the crashes show nothing")
	}
}

// crashes is a daemon that is killed again and again.
type crashes struct {
	killRig
	plugins, dir string
	cmd          *exec.Cmd
	rnd          *rand.Rand
	states       map[string]*model.Run // as last seen, by id
	slowest      time.Duration         // from a start until clients are answered and the plugin works

	mu       sync.Mutex // guards all below
	acked    []*model.Run
	ids      map[string]bool // of all runs that were acknowledged; a repetition may get one again
	finished int             // answers that told the result
	changes  int
	changed  map[int]int // the last acknowledged change of each machine
	made     makings
}

// start starts the daemon, and waits until its plugin works.
func (c *crashes) start(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(c.dir, socketName)
	c.cmd = &exec.Cmd{
		Path: self, Args: []string{"oob", "serve", "--data-dir", c.dir, "--plugin-dir", c.plugins, "--listen", "127.0.0.1:0", "--socket", socket, "--backup-keep", "0", "--log", "0"},
		Env: append(os.Environ(), "GORACE=atexit_sleep_ms=0"),
	}
	began := time.Now()
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if c.api, err = client.New(client.Options{Socket: socket}); err != nil {
		t.Fatal(err)
	}
	c.until(t, "the plugin is ready", func() bool {
		var list []*model.PluginProvider
		return c.api.Get(t.Context(), "plugin_providers", &list) == nil && len(list) > 0
	})
	c.slowest = max(c.slowest, time.Since(began))
}

// round has clients work until the daemon is killed: every other time when little
// has been done and most is under way, otherwise when some runs have ended.
func (c *crashes) round(t *testing.T, kill int) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	var clients sync.WaitGroup
	for w := range crashMachines {
		seed := c.rnd.Uint64()
		clients.Go(func() { c.client(ctx, w, rand.New(rand.NewPCG(seed, 1))) })
	}
	clients.Go(func() { c.maker(ctx) })
	begun, ended := c.progress()
	acknowledged, finished := 1+c.rnd.IntN(8), c.rnd.IntN(3)
	if kill%2 == 0 {
		finished = 5 + c.rnd.IntN(50)
	}
	began := time.Now() // a round in which the BMCs let nobody get on ends, too
	c.until(t, "the clients get on", func() bool {
		a, f := c.progress()
		return a >= begun+acknowledged && f >= ended+finished || time.Since(began) > 10*time.Second
	})
	<-time.After(time.Duration(c.rnd.Int64N(int64(30 * time.Millisecond)))) // what ends a run must not always be what was just done
	c.end(t)
	cancel()
	clients.Wait()
}

// crashCommands are what is asked of the machines, as often as they stand here, and
// which of them are counted: what is sent once.
var crashCommands = []string{
	model.PowerReset, model.PowerReset, model.PowerReset, model.PowerNMI, model.PowerNMI, model.PowerNMI, model.PowerCycle, model.PowerOn, model.PowerOn, model.NextBootPXE,
}

// crashOnce are the commands that a BMC must not execute more often than asked.
var crashOnce = map[string]string{model.PowerReset: bmc.PowerReset, model.PowerNMI: bmc.PowerDiag, model.PowerCycle: bmc.PowerCycle}

// executed counts what all machines executed of that.
func (c *crashes) executed() (n int) {
	for i := range crashMachines {
		for _, name := range crashOnce {
			n += c.fleet.BMC(i).Executed(name)
		}
	}
	return n
}

// progress counts the runs that were acknowledged, and those whose result was told.
func (c *crashes) progress() (accepted, finished int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ids), c.finished
}

// end kills the daemon.
func (c *crashes) end(t *testing.T) {
	if err := c.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait() // it was killed
	_ = c.api.Close()
}

// client changes one machine and acts on it until the daemon is gone. It has a
// look first where the last outcome is unknown, as it has to.
func (c *crashes) client(ctx context.Context, i int, rnd *rand.Rand) {
	c.mu.Lock()
	n := c.changed[i]
	c.mu.Unlock()
	for runs := 0; ctx.Err() == nil; {
		n++
		if err := c.change(ctx, i, n); err != nil {
			return
		}
		if runs < 20 && rnd.IntN(2) == 0 && c.act(ctx, i, crashCommands[rnd.IntN(len(crashCommands))], rnd.IntN(4) > 0) {
			runs++
		}
	}
}

// change writes a number into a machine, at two places in one request.
func (c *crashes) change(ctx context.Context, i, n int) error {
	err := c.api.Patch(ctx, "machines/Name:"+machineOf(i), []map[string]any{
		{"op": "add", "path": "/Description", "value": strconv.Itoa(n)},
		{"op": "add", "path": "/Params/count", "value": n},
	}, nil)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed[i] = n
	c.changes++
	return nil
}

// act asks for an action, notes what was said, and reports whether there may be a
// run of it.
func (c *crashes) act(ctx context.Context, i int, command string, wait bool) bool {
	req := client.ActionRequest{Prefix: "machines", Key: "Name:" + machineOf(i), Command: command, Params: model.Params{"oob/wait": wait}}
	reply, err := c.api.Invoke(ctx, req)
	if model.KindOf(err) == model.Conflict {
		req.Command, req.Params = model.PowerStatus, nil
		_, _ = c.api.Invoke(ctx, req) // it may fail: then the next action is refused, too
		return false
	}
	if err != nil {
		return true
	}
	run := &model.Run{ID: reply.Run, Name: machineOf(i)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids[run.ID] = true
	if wait {
		run.State = model.RunDone
		c.finished++
	}
	c.acked = append(c.acked, run)
	return true
}

// audit looks at what the next process has.
func (c *crashes) audit(t *testing.T) {
	t.Helper()
	var runs []*model.Run
	if err := c.api.Get(t.Context(), "runs", &runs); err != nil {
		t.Fatal(err)
	}
	for _, run := range runs {
		if !run.State.Terminal() {
			t.Errorf("run %s of %s is %s after a start", run.ID, run.Name, run.State)
		}
		if was := c.states[run.ID]; was != nil && was.State != run.State {
			t.Errorf("run %s was %s and is %s", run.ID, was.State, run.State)
		}
		c.states[run.ID] = run
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ack := range c.acked {
		switch run := c.states[ack.ID]; {
		case run == nil:
			t.Errorf("run %s of %s was acknowledged and is lost", ack.ID, ack.Name)
		case ack.State != "" && ack.State != run.State:
			t.Errorf("run %s of %s was told %s and is %s", ack.ID, ack.Name, ack.State, run.State)
		}
	}
	c.acked = nil
	for i := range crashMachines {
		c.auditMachine(t, i)
	}
	c.auditMade(t)
}

// auditMachine compares one machine with what its client was told and with what
// its BMC counts. The caller holds mu.
func (c *crashes) auditMachine(t *testing.T, i int) {
	t.Helper()
	var m model.Machine
	if err := c.api.Get(t.Context(), "machines/Name:"+machineOf(i), &m); err != nil {
		t.Error(err)
	}
	count, err := m.Params.Int("count", 0, 0, 1<<31)
	n := int(count)
	if err != nil || n < c.changed[i] {
		t.Errorf("%s counts %d, %d was acknowledged: %v", machineOf(i), n, c.changed[i], err)
	}
	if n > 0 && m.Description != strconv.Itoa(n) {
		t.Errorf("%s was changed in part: it counts %d, and says %q", machineOf(i), n, m.Description)
	}
	c.changed[i] = n
	done, atMost := map[string]int{}, map[string]int{}
	for _, run := range c.states {
		if run.Name != machineOf(i) {
			continue
		}
		if run.State == model.RunDone {
			done[run.Command]++
		}
		if run.State != model.RunFailed {
			atMost[run.Command]++
		}
	}
	// A run that failed was not executed; one that is unknown was, or was not.
	for command, name := range crashOnce {
		if got := c.fleet.BMC(i).Executed(name); got < done[command] || got > atMost[command] {
			t.Errorf("%s executed %s %d times: %d runs are done, %d may have been executed", machineOf(i), name, got, done[command], atMost[command])
		}
	}
}
