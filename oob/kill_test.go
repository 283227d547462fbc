package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// killRow is a moment at which the plugin is killed: some readings of the state
// after the BMC executed the command.
type killRow struct {
	command, executed string
	// lost is how long the BMC holds back the reply; the plugin dies before it
	// came, or after it and before the outcome was read.
	lost  bool
	reads int
}

// String names the moment.
func (r killRow) String() string {
	reply := "after its reply"
	if r.lost {
		reply = "before its reply"
	}
	return fmt.Sprintf("%s, %s, %d readings later", r.command, reply, r.reads)
}

// killRows draws moments.
func killRows(seed uint64, n int) []killRow {
	rng := rand.New(rand.NewPCG(seed, 1))
	cycle := killRow{model.PowerCycle, bmc.PowerCycle, true, 0}
	soft := killRow{model.PowerSoft, bmc.PowerSoft, false, 0}
	// These have no reading of the state while their reply is waited for.
	reset := killRow{model.PowerReset, bmc.PowerReset, true, 0}
	interrupt := killRow{model.PowerNMI, bmc.PowerDiag, true, 0}
	rows := []killRow{cycle, soft, reset, interrupt}
	for len(rows) < n {
		r := []killRow{cycle, cycle, soft, reset, interrupt}[rng.IntN(5)]
		if r == cycle {
			r.lost, r.reads = rng.IntN(2) == 0, rng.IntN(6)
		} else if r == soft {
			r.reads = rng.IntN(6)
		}
		rows = append(rows, r)
	}
	return rows[:n]
}

// TestPluginIsKilledBetweenSendAndOutcome kills the ipmi plugin, in the real
// endpoint, while a BMC has executed what is sent once and nobody knows it yet.
// The run is unknown, the next action is refused and names it, and nothing is
// executed twice.
func TestPluginIsKilledBetweenSendAndOutcome(t *testing.T) {
	const perEndpoint = 4 // a plugin that crashes more often is not started again
	seed, n := uint64(1), perEndpoint
	if os.Getenv("OOB_NIGHTLY") != "" {
		seed, n = rand.Uint64(), 200
	}
	t.Logf("seed %d", seed)
	plugins := t.TempDir()
	buildPlugin(t, filepath.Join(plugins, "ipmi"))
	t.Parallel()
	rows := killRows(seed, n)
	worst := &killTimes{}
	defer func() {
		t.Logf("%d kills: an action ended %d ms after the kill at the latest, the plugin answered again after %d ms", n, worst.ended.Milliseconds(), worst.back.Milliseconds())
	}()
	for len(rows) > 0 {
		some := rows[:min(perEndpoint, len(rows))]
		rows = rows[len(some):]
		t.Run("endpoint", func(t *testing.T) {
			k := startKillRig(t, plugins, len(some), time.Hour) // the plugin looks out for on until it is killed
			k.worst = worst
			for i, row := range some {
				t.Run(row.String(), func(t *testing.T) { k.kill(t, i, row) })
			}
		})
	}
}

// ipmiBinary is the ipmi plugin, built once for all tests. What it is made of is
// read here, so that a result of a test is not kept when that changes.
var ipmiBinary = sync.OnceValues(func() ([]byte, error) {
	for _, dir := range []string{"ipmi", "shared"} {
		err := filepath.WalkDir(filepath.Join("..", dir), func(name string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
				_, err = os.ReadFile(name)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp("", "oob-test")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "ipmi")
	if out, err := exec.Command("go", "build", "-o", path, "provision-plugins/ipmi").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cannot build the plugin: %w\n%s", err, out)
	}
	return os.ReadFile(path)
})

// buildPlugin puts the ipmi plugin into a file that nobody else has.
func buildPlugin(t *testing.T, path string) {
	t.Helper()
	binary, err := ipmiBinary()
	if err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1_000_000_000, 0) // a file that was changed a moment ago is watched for a second first
	if err := errors.Join(os.WriteFile(path, binary, 0o700), os.Chmod(path, 0o755), os.Chtimes(path, old, old)); err != nil {
		t.Fatal(err)
	}
}

// killRig is an endpoint with the ipmi plugin, and machines whose BMCs are
// simulated.
type killRig struct {
	plugin string
	fleet  *bmc.Fleet
	api    *client.Client
	worst  *killTimes
}

// killTimes are the longest times after a kill: until the action had ended, and until
// the plugin answered again.
type killTimes struct{ ended, back time.Duration }

// startKillRig starts all that. It ends with the test. off is how long a cycle
// is off.
func startKillRig(t *testing.T, plugins string, machines int, off time.Duration) *killRig {
	t.Helper()
	k := &killRig{plugin: filepath.Join(plugins, "ipmi")}
	var err error
	k.fleet, err = bmc.New(bmc.Options{Count: machines, Host: netip.MustParseAddr("127.0.0.1"), On: true, CycleOff: off})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.fleet.Close(); err != nil {
			t.Error(err)
		}
	})
	e := startEndpoint(t, t.TempDir(), plugins)
	if k.api, err = client.New(client.Options{Socket: e.Socket()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.api.Close() })
	for i := range machines {
		k.addMachine(t, i)
	}
	k.until(t, "the plugin answers", func() bool {
		_, err := k.act(t, 0, model.PowerStatus)
		return err == nil
	})
	return k
}

// addMachine adds the machine of the i-th BMC.
func (k *killRig) addMachine(t *testing.T, i int) {
	t.Helper()
	addr := k.fleet.BMC(i).Addr()
	m := &model.Machine{Name: machineOf(i), Params: model.Params{
		"oob/driver": "ipmi", "ipmi/address": addr.Addr().String(), "ipmi/port-ipmitool": int64(addr.Port()),
		"ipmi/username": "admin", "ipmi/password": "password",
	}}
	k.until(t, "the endpoint takes the machine", func() bool { return k.api.Post(t.Context(), "machines", m, nil) == nil })
}

// machineOf is the name of a machine.
func machineOf(i int) string { return fmt.Sprintf("m%d", i) }

// act runs an action on a machine.
func (k *killRig) act(t *testing.T, i int, command string) (*client.ActionReply, error) {
	return k.api.Invoke(t.Context(), client.ActionRequest{Prefix: "machines", Key: "Name:" + machineOf(i), Command: command})
}

// until waits for a condition.
func (k *killRig) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(bound)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("did not come: %s", what)
		}
	}
}

// pid finds the plugin's process among those of this machine by its binary,
// which nobody else has.
func (k *killRig) pid() int {
	names, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return 0
	}
	for _, name := range names {
		var pid int
		if path, err := os.Readlink(name); err == nil && path == k.plugin {
			if _, err := fmt.Sscanf(name, "/proc/%d/exe", &pid); err == nil {
				return pid
			}
		}
	}
	return 0
}

// kill acts on the i-th machine, kills the plugin at the row's moment and holds
// what is said afterwards.
func (k *killRig) kill(t *testing.T, i int, row killRow) {
	b := k.fleet.BMC(i)
	faults := bmc.Faults{SoftIgnored: true}
	if row.lost {
		faults.DropReplies = map[string]int{row.executed: bmc.Always}
	}
	pid := 0
	k.until(t, "the plugin answers", func() bool {
		_, err := k.act(t, i, model.PowerStatus)
		pid = k.pid()
		return err == nil && pid != 0
	})
	b.SetFaults(faults)
	ended := make(chan error, 1)
	go func() {
		_, err := k.act(t, i, row.command)
		ended <- err
	}()
	reads := 0
	k.until(t, "the BMC executes "+row.executed, func() bool {
		reads = b.Executed(bmc.ChassisStatus)
		return b.Executed(row.executed) > 0
	})
	k.until(t, "the state is read so often", func() bool { return b.Executed(bmc.ChassisStatus) >= reads+row.reads })
	killed := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err := <-ended
	k.worst.ended = max(k.worst.ended, time.Since(killed))
	if model.KindOf(err) != model.UnknownOutcome {
		t.Errorf("the action answers %v, want %s", err, model.UnknownOutcome)
	}
	b.SetFaults(bmc.Faults{})
	k.checkUnknown(t, i, row)
	k.worst.back = max(k.worst.back, time.Since(killed)) // it was asked for the state, and for more
	if n := b.Executed(row.executed); n != 1 {
		t.Errorf("the BMC executed %s %d times, want 1", row.executed, n)
	}
}

// checkUnknown holds what follows an unknown run: it is refused to go on until
// somebody has looked.
func (k *killRig) checkUnknown(t *testing.T, i int, row killRow) {
	var runs []*model.Run
	if err := k.api.Get(t.Context(), "runs", &runs); err != nil {
		t.Fatal(err)
	}
	id := ""
	for _, r := range runs {
		if r.Name == machineOf(i) {
			id = r.ID
			if r.State != model.RunUnknown || r.Command != row.command {
				t.Errorf("the run is %s of %s: %v", r.State, r.Command, r.Error)
			}
		}
	}
	next, executed := model.PowerNMI, bmc.PowerDiag
	if row.command == next {
		next, executed = model.PowerReset, bmc.PowerReset
	}
	_, err := k.act(t, i, next)
	if model.KindOf(err) != model.Conflict || id == "" || !strings.Contains(err.Error(), id) || !strings.Contains(err.Error(), "powerstatus") {
		t.Errorf("the next action answers %v, want a conflict that names run %q and says what to do", err, id)
	}
	k.until(t, "the state is read again", func() bool {
		_, err := k.act(t, i, model.PowerStatus)
		return err == nil
	})
	_, err = k.act(t, i, model.PowerOn)
	if err != nil {
		t.Errorf("after the state was read: %v", err)
	}
	if b := k.fleet.BMC(i); b.Executed(executed) != 0 {
		t.Errorf("what was refused was executed")
	}
}

// TestRunCarriesItsEvidence: what was seen of a cycle stands in the record of its
// run, as it was answered, and of one whose reply was lost, too.
func TestRunCarriesItsEvidence(t *testing.T) {
	plugins := t.TempDir()
	buildPlugin(t, filepath.Join(plugins, "ipmi"))
	t.Parallel()
	k := startKillRig(t, plugins, 1, time.Second)
	b := k.fleet.BMC(0)
	for n, lost := range []bool{false, true} {
		if lost {
			b.SetFaults(bmc.Faults{DropReplies: map[string]int{bmc.PowerCycle: bmc.Always}})
		}
		answer, err := k.act(t, 0, model.PowerCycle)
		if err != nil {
			t.Fatal(err)
		}
		var run model.Run
		if err := k.api.Get(t.Context(), "runs/"+answer.Run, &run); err != nil {
			t.Fatal(err)
		}
		var said, kept model.Result
		if err := errors.Join(json.Unmarshal(answer.Result, &said), json.Unmarshal(run.Result, &kept)); err != nil {
			t.Fatal(err)
		}
		if run.State != model.RunDone || kept.Outcome != model.Verified || kept.Evidence != said.Evidence || kept.Attempts != 1 {
			t.Errorf("the run is %s with %+v, and %+v was answered", run.State, kept, said)
		}
		var off, on float64
		if _, err := fmt.Sscanf(kept.Evidence, "state off at %fs, on at %fs", &off, &on); err != nil || on <= off || float64(kept.TookMs) < on*1000-100 {
			t.Errorf("evidence %q in %d ms: %v", kept.Evidence, kept.TookMs, err)
		}
		if strings.Contains(kept.Note, "the reply to \"cycle\" was lost") != lost {
			t.Errorf("reply lost %v, note %q", lost, kept.Note)
		}
		if got := b.Executed(bmc.PowerCycle); got != n+1 {
			t.Errorf("%d cycles were executed, want %d", got, n+1)
		}
	}
}
