package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/sim/vbox"
)

// crowd is how many act at a time.
const crowd = 12

// together runs an action for many at once and returns their results. None may
// fail.
func together(t *testing.T, act func(n int) (any, error)) []model.Result {
	t.Helper()
	out := make([]model.Result, crowd)
	var all sync.WaitGroup
	for n := range crowd {
		all.Go(func() {
			got, err := act(n)
			if err != nil {
				t.Errorf("%d: %v", n, err)
			}
			out[n], _ = got.(model.Result)
		})
	}
	all.Wait()
	return out
}

// Twelve plugins act on one VM at once. None fails, and it is started once.
func TestCrowdOnOneVM(t *testing.T) {
	t.Parallel()
	h := startHost(t, vbox.Options{Behaviour: vbox.Behaviour{SessionLag: 100 * time.Millisecond, StartDelay: 100 * time.Millisecond, Flaky: true}})
	vm := newVM(t, h, "n1")
	o := vboxOptions(t, h) // with one folder of locks, as the processes of one host have it
	o.Concurrency = 4
	var all []*impl
	for range crowd {
		all = append(all, startPlugin(t, o))
	}
	rounds := 1
	if nightly() {
		rounds = 5
	}
	for round := range rounds {
		together(t, func(n int) (any, error) { return act(all[n], model.PowerOn, vm) })
		if n := executed(t, h, vm, "start"); n != round+1 {
			t.Errorf("started %d times, want %d", n, round+1)
		}
		together(t, func(n int) (any, error) { return act(all[n], model.NextBootPXE, vm) })
		together(t, func(n int) (any, error) { return act(all[n], model.BootStatus, vm) })
		together(t, func(n int) (any, error) { return act(all[n], model.PowerOff, vm) })
		if n := executed(t, h, vm, "stop"); n != round+1 {
			t.Errorf("stopped %d times, want %d", n, round+1)
		}
	}
	if n := asksOf(t, h); n != rounds*crowd {
		t.Errorf("an override was recorded %d times, want %d", n, rounds*crowd)
	}
	mustAct(t, all[0], model.PowerOn, vm)
	mustAct(t, all[0], model.PowerOff, vm)
	clean(t, h, vm, "disk", "none", "none", "none")
}

// One plugin acts on twelve VMs at once. None fails, and each is cycled once.
func TestCrowdOfVMs(t *testing.T) {
	t.Parallel()
	h := startHost(t, vbox.Options{Behaviour: vbox.Behaviour{SessionLag: 100 * time.Millisecond, StartDelay: 50 * time.Millisecond, Flaky: true}})
	o := vboxOptions(t, h)
	o.Concurrency = 4
	i := startPlugin(t, o)
	var vms []string
	for n := range crowd {
		vms = append(vms, newVM(t, h, fmt.Sprintf("node %02d", n)))
	}
	together(t, func(n int) (any, error) { return act(i, model.PowerOn, vms[n]) })
	for _, res := range together(t, func(n int) (any, error) { return act(i, model.PowerCycle, vms[n]) }) {
		if res.Outcome != model.Verified {
			t.Errorf("powercycle: %+v", res)
		}
	}
	for _, vm := range vms {
		if starts, stops := executed(t, h, vm, "start"), executed(t, h, vm, "stop"); starts != 2 || stops != 1 {
			t.Errorf("started %d times and stopped %d times", starts, stops)
		}
	}
}

// transient are faults that pass, on what reads and on what changes.
func transient() []vbox.Fault {
	var out []vbox.Fault
	for n := range 200 { // one command in about a dozen
		out = append(out, vbox.Fault{Kind: []string{vbox.FaultNotReady, vbox.FaultClosing, vbox.FaultLocked, vbox.FaultPartial}[n%4], Command: "showvminfo", Skip: 12 * n, Count: 1})
	}
	for n := range 50 {
		out = append(out,
			vbox.Fault{Kind: vbox.FaultLocked, Command: "startvm", Skip: 7 * n, Count: 1},
			vbox.Fault{Kind: vbox.FaultLocked, Command: "modifyvm", Skip: 5 * n, Count: 1},
			vbox.Fault{Kind: vbox.FaultNotReady, Command: "getextradata", Skip: 9 * n, Count: 1},
		)
	}
	return out
}

// TestCycles starts and stops a VM many times, while somebody asks for its state
// all the time and VirtualBox fails in passing. No wrong state is told, ever.
func TestCycles(t *testing.T) {
	t.Parallel()
	cycles := 2
	if nightly() {
		cycles = 100
	}
	h := startHost(t, vbox.Options{Behaviour: vbox.Behaviour{SessionLag: 120 * time.Millisecond, StartDelay: 60 * time.Millisecond, Flaky: true}})
	vm := newVM(t, h, "n1")
	if err := h.SetFaults(transient()...); err != nil {
		t.Fatal(err)
	}
	i := startPlugin(t, vboxOptions(t, h))
	w := &watcher{plugin: i, vm: vm}
	w.begin()
	for range cycles {
		w.next(func() {
			if res := mustAct(t, i, model.PowerOn, vm); res.Power != model.StateOn {
				t.Errorf("poweron: %+v", res)
			}
		}, model.StateOn)
		w.next(func() {
			if res := mustAct(t, i, model.PowerOff, vm); res.Power != model.StateOff {
				t.Errorf("poweroff: %+v", res)
			}
			if now := look(t, h, vm); now.State != "poweroff" || now.Session != "" {
				t.Errorf("told off, and is %s with session %q", now.State, now.Session)
			}
		}, model.StateOff)
	}
	wrong, seen := w.end()
	for _, text := range wrong {
		t.Error(text)
	}
	if starts, stops := executed(t, h, vm, "start"), executed(t, h, vm, "stop"); starts != cycles || stops != cycles {
		t.Errorf("started %d and stopped %d times, want %d", starts, stops, cycles)
	}
	if seen[model.StateOn] == 0 || seen[model.StateOff] == 0 || seen[model.StateUnknown] > 0 {
		t.Errorf("states seen: %v", seen)
	}
}

// watcher asks for a VM's state all the time.
type watcher struct {
	plugin *impl
	vm     string
	phase  atomic.Int64 // odd while the VM is switched; else its state holds
	stop   context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex // guards all below
	holds map[int64]model.PowerState
	wrong []string
	seen  map[model.PowerState]int
}

// begin begins to ask, of a VM that is off.
func (w *watcher) begin() {
	w.holds, w.seen = map[int64]model.PowerState{0: model.StateOff}, map[model.PowerState]int{}
	ctx, cancel := context.WithCancel(context.Background())
	w.stop, w.done = cancel, make(chan struct{})
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			before := w.phase.Load()
			got, err := act(w.plugin, model.PowerStatus, w.vm)
			w.judge(before, w.phase.Load(), got, err)
		}
	}()
}

// next switches the VM, whose state then holds until the next time.
func (w *watcher) next(switching func(), then model.PowerState) {
	w.phase.Add(1)
	switching()
	w.mu.Lock()
	w.holds[w.phase.Load()+1] = then
	w.mu.Unlock()
	w.phase.Add(1)
	w.awaitOne(then)
}

// awaitOne waits until the state was told once more.
func (w *watcher) awaitOne(state model.PowerState) {
	count := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.seen[state]
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for first := count(); count() == first; {
		select {
		case <-tick.C:
		case <-late:
			return // the test ends by what was not seen
		}
	}
}

// judge looks at an answer: it must be the state that held all the time, and is
// never unknown or an error.
func (w *watcher) judge(before, after int64, got any, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	res, _ := got.(model.Result)
	w.seen[res.Power]++
	switch {
	case err != nil:
		w.wrong = append(w.wrong, "an error: "+err.Error())
	case before == after && before%2 == 0 && res.Power != w.holds[before]:
		w.wrong = append(w.wrong, fmt.Sprintf("told %s (%s) while it was %s", res.Power, res.Raw, w.holds[before]))
	case !slices.Contains([]model.PowerState{model.StateOn, model.StateOff, model.StateTransition}, res.Power):
		w.wrong = append(w.wrong, fmt.Sprintf("told %s (%s)", res.Power, res.Raw))
	}
}

// end stops asking.
func (w *watcher) end() (wrong []string, seen map[model.PowerState]int) {
	w.stop()
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wrong, w.seen
}

// The states that are told say nothing of what fails in passing; what fails for
// good is told as that.
func TestServiceGone(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	if err := h.SetFaults(vbox.Fault{Kind: vbox.FaultService}); err != nil {
		t.Fatal(err)
	}
	_, err := act(i, model.PowerStatus, vm, model.Params{"oob/timeout": 4})
	want(t, err, model.Unreachable, "VBoxSVC")
	got, err := act(i, model.Doctor, vm)
	report, _ := got.(*model.Checkup)
	if err != nil || report == nil || report.Failed() == nil || report.Failed().Kind != model.Unreachable || !strings.Contains(report.Failed().Cause, "VBoxSVC") {
		t.Errorf("doctor: %+v, %v", got, err)
	}
}
