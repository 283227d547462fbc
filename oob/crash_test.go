package main

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
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
// act on machines and change them: what was acknowledged is there after the next
// start, every run has ended, and no BMC has executed more than was asked of it.
func TestKilledEndpointLosesNothing(t *testing.T) {
	kills := 5
	if os.Getenv("OOB_NIGHTLY") != "" {
		kills = 200
	}
	plugins := t.TempDir()
	buildPlugin(t, filepath.Join(plugins, "ipmi"))
	c := &crashes{
		killRig: killRig{plugin: filepath.Join(plugins, "ipmi")}, plugins: plugins,
		states: map[string]*model.Run{}, changed: map[int]int{}, rnd: rand.New(rand.NewPCG(200, 1)),
	}
	dir, err := os.MkdirTemp("", "crash") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	c.dir = dir
	c.fleet, err = bmc.New(bmc.Options{Count: crashMachines, Host: netip.MustParseAddr("127.0.0.1"), On: true, CycleOff: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.fleet.Close()
	c.start(t)
	for i := range crashMachines {
		c.addMachine(t, i)
	}
	for kill := range kills {
		c.round(t)
		c.start(t)
		c.audit(t)
		if t.Failed() {
			t.Fatalf("kill %d", kill)
		}
	}
	c.end(t)
	executed := c.executed()
	count := map[model.RunState]int{}
	for _, run := range c.states {
		count[run.State]++
	}
	t.Logf("%d kills, %d changes acknowledged, %d runs acknowledged and %d found (%d done, %d failed, %d unknown), %d resets executed, none twice",
		kills, c.changes, c.accepted, len(c.states), count[model.RunDone], count[model.RunFailed], count[model.RunUnknown], executed)
	if c.accepted == 0 || c.changes == 0 || executed == 0 {
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

	mu                sync.Mutex // guards all below
	acked             []*model.Run
	accepted, changes int
	changed           map[int]int // the last acknowledged change of each machine
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
}

// round has clients work until the daemon is killed.
func (c *crashes) round(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	var clients sync.WaitGroup
	for w := range crashMachines {
		seed := c.rnd.Uint64()
		clients.Go(func() { c.client(ctx, w, rand.New(rand.NewPCG(seed, 1))) })
	}
	begun, patience := c.progress(), 1+c.rnd.IntN(8)
	before, least := c.executed(), c.rnd.IntN(2) // some die before anything is executed
	if before == 0 {
		least = 1
	}
	c.until(t, "the clients get on", func() bool { return c.progress() >= begun+patience && c.executed() >= before+least })
	c.end(t)
	cancel()
	clients.Wait()
}

// executed counts the resets of all machines.
func (c *crashes) executed() (n int) {
	for i := range crashMachines {
		n += c.fleet.BMC(i).Executed(bmc.PowerReset)
	}
	return n
}

// progress counts the runs that were acknowledged.
func (c *crashes) progress() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accepted
}

// end kills the daemon.
func (c *crashes) end(t *testing.T) {
	if err := c.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait() // it was killed
	_ = c.api.Close()
}

// client changes and resets one machine until the daemon is gone. Each has a look
// first where the last outcome is unknown, as it has to.
func (c *crashes) client(ctx context.Context, i int, rnd *rand.Rand) {
	path := "machines/Name:" + machineOf(i)
	c.mu.Lock()
	n := c.changed[i]
	c.mu.Unlock()
	for runs := 0; ctx.Err() == nil; {
		n++
		if err := c.api.Post(ctx, path+"/params/count", n, nil); err != nil {
			return
		}
		c.mu.Lock()
		c.changed[i] = n
		c.changes++
		c.mu.Unlock()
		if runs == 20 || rnd.IntN(2) == 0 {
			continue
		}
		runs++
		req := client.ActionRequest{Prefix: "machines", Key: "Name:" + machineOf(i), Command: model.PowerReset, Params: model.Params{"oob/wait": rnd.IntN(2) == 0}}
		reply, err := c.api.Invoke(ctx, req)
		if model.KindOf(err) == model.Conflict {
			req.Command, req.Params = model.PowerStatus, nil
			_, _ = c.api.Invoke(ctx, req) // it may fail: then the next reset is refused, too
			continue
		}
		if err == nil {
			c.mu.Lock()
			c.accepted++
			c.acked = append(c.acked, &model.Run{ID: reply.Run, Name: machineOf(i)})
			c.mu.Unlock()
		}
	}
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
		if c.states[ack.ID] == nil {
			t.Errorf("run %s of %s was acknowledged and is lost", ack.ID, ack.Name)
		}
	}
	c.acked = nil
	for i := range crashMachines {
		c.auditMachine(t, i)
	}
}

// auditMachine compares one machine with what its client was told and with what
// its BMC counts. The caller holds mu.
func (c *crashes) auditMachine(t *testing.T, i int) {
	t.Helper()
	var n int
	err := c.api.Get(t.Context(), "machines/Name:"+machineOf(i)+"/params/count", &n)
	if err != nil && c.changed[i] > 0 || n < c.changed[i] {
		t.Errorf("%s counts %d, %d was acknowledged: %v", machineOf(i), n, c.changed[i], err)
	}
	c.changed[i] = n
	done, atMost := 0, 0
	for _, run := range c.states {
		if run.Name != machineOf(i) || run.Command != model.PowerReset {
			continue
		}
		if run.State == model.RunDone {
			done++
		}
		if run.State != model.RunFailed {
			atMost++
		}
	}
	// A run that failed was not executed; one that is unknown was, or was not.
	if got := c.fleet.BMC(i).Executed(bmc.PowerReset); got < done || got > atMost {
		t.Errorf("%s was reset %d times: %d runs are done, %d may have been executed", machineOf(i), got, done, atMost)
	}
}
