package driver_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/internal/toy"
	"provision-plugins/shared/model"
)

// ending is one way a Provider ends while an action is at work.
type ending struct {
	name    string
	mode    string
	off     bool
	device  func(d *toy.Device)
	command string
	params  model.Params
	when    time.Duration // into the action
	late    func(d *toy.Device)
	end     func(p *driver.Provider, ctx context.Context) error
	takes   time.Duration // of end
	want    string        // the outcome, or "kind: text"
	done    map[string]int
}

func TestEndWhileAtWork(t *testing.T) {
	stop, orphaned := (*driver.Provider).Stop, (*driver.Provider).Orphaned
	never := slow(time.Hour)
	for _, row := range []ending{
		{
			name: "a cycle that fits into the grace is finished", mode: toy.Native, command: model.PowerCycle,
			device: func(d *toy.Device) { d.PowerDelay, d.CycleOff = time.Second, 4*time.Second },
			when:   time.Second, end: stop, takes: 4296 * time.Millisecond,
			want: "verified", done: map[string]int{model.PowerCycle: 1},
		},
		{
			name: "stop: the on that is owed is sent although off was not seen", mode: toy.Steps, command: model.PowerCycle,
			device: never, when: time.Second, end: stop, takes: 10 * time.Second,
			want: `unknown-outcome: cannot powercycle m1: the plugin is stopping: on sent, off not seen; last state on ("power is on")`,
			done: map[string]int{model.PowerOff: 1, model.PowerOn: 1},
		},
		{
			name: "orphaned: the same after two seconds", mode: toy.Steps, command: model.PowerCycle,
			device: never, when: time.Second, end: orphaned, takes: 2 * time.Second,
			want: `unknown-outcome: cannot powercycle m1: the plugin is stopping: on sent, off not seen; last state on ("power is on")`,
			done: map[string]int{model.PowerOff: 1, model.PowerOn: 1},
		},
		{
			name: "orphaned: off comes in time", mode: toy.Steps, command: model.PowerCycle,
			device: slow(2 * time.Second), when: time.Second, end: orphaned, takes: 2 * time.Second,
			want: `unknown-outcome: cannot powercycle m1: the plugin is stopping: on sent, on not seen yet; last state off ("power is off")`,
			done: map[string]int{model.PowerOff: 1, model.PowerOn: 1},
		},
		{
			name: "stop: the owed on has no reply", mode: toy.Steps, command: model.PowerCycle,
			device: never, when: time.Second, late: fault(toy.LoseReply, model.PowerOn), end: stop, takes: 13 * time.Second,
			want: `unknown-outcome: cannot powercycle m1: off not seen, and on was sent without a reply: power on: no reply from pipe; last state on ("power is on"); switch it on`,
			done: map[string]int{model.PowerOff: 1, model.PowerOn: often},
		},
		{
			name: "orphaned: the host is gone and the device silent", mode: toy.Steps, command: model.PowerCycle,
			device: never, when: time.Second, late: fault(toy.Silent, ""), end: orphaned, takes: 4 * time.Second,
			want: `unknown-outcome: cannot powercycle m1: off not seen, and on was sent without a reply`,
			done: map[string]int{model.PowerOff: 1},
		},
		{
			name: "the host dies while the plugin stops: the bounds of an orphan", mode: toy.Steps, command: model.PowerCycle,
			device: never, when: time.Second, end: diesWhileStopping, takes: 3 * time.Second,
			want: `unknown-outcome: cannot powercycle m1: the plugin is stopping: on sent, off not seen; last state on ("power is on")`,
			done: map[string]int{model.PowerOff: 1, model.PowerOn: 1},
		},
		{
			name: "a poweron is not waited for", mode: toy.Native, off: true, command: model.PowerOn,
			device: never, when: time.Second, end: stop, takes: 10 * time.Second,
			want: `unknown-outcome: cannot poweron m1: the plugin is stopping: power on sent; last state off ("power is off")`,
			done: map[string]int{model.PowerOn: 1},
		},
		{
			name: "a native cycle is not waited for", mode: toy.Native, command: model.PowerCycle,
			device: never, when: time.Second, end: orphaned, takes: 2 * time.Second,
			want: `unknown-outcome: cannot powercycle m1: the plugin is stopping: cycle sent, off not seen; last state on ("power is on")`,
			done: map[string]int{model.PowerCycle: 1},
		},
		{
			name: "orphaned: a plan before its first step does not take it", mode: toy.Steps, command: model.PowerCycle,
			device: fault(toy.LoseRequest, "power"), when: time.Second, late: fault("", ""), end: orphaned, takes: 2 * time.Second,
			want: `busy: cannot powercycle m1: the plugin is shutting down; nothing was sent`,
		},
		{
			name: "orphaned: nor when it gets to it in the meantime", mode: toy.Steps, command: model.PowerCycle,
			params: model.Params{"oob/timeout": 3}, device: fault(toy.LoseRequest, "power"), when: time.Second / 2,
			late: fault("", ""), end: orphaned, takes: time.Second,
			want: `busy: cannot powercycle m1: the plugin is shutting down; nothing was sent`,
		},
		{
			name: "a read ends too", mode: toy.Native, command: model.PowerStatus,
			device: fault(toy.Silent, ""), when: time.Second, end: stop, takes: 10 * time.Second,
			want: `busy: cannot powerstatus m1: the plugin is shutting down; nothing was sent`,
		},
	} {
		t.Run(row.name, func(t *testing.T) { synctest.Test(t, row.run) })
	}
}

// diesWhileStopping is a host that dies a second after it said stop.
func diesWhileStopping(p *driver.Provider, ctx context.Context) error { //nolint:revive // of the form of Provider's methods
	stopped := make(chan error, 1)
	go func() { stopped <- p.Stop(ctx) }()
	after(time.Second)
	return errors.Join(p.Orphaned(ctx), <-stopped)
}

// run ends the Provider in mid-action and checks everything about it.
func (row ending) run(t *testing.T) {
	r := newRig(t, row.mode, nil)
	r.device.SetPower(!row.off)
	if row.device != nil {
		row.device(r.device)
	}
	ended := r.start(t.Context(), row.command, row.params)
	after(row.when)
	if row.late != nil {
		row.late(r.device)
	}
	begin := time.Now()
	if err := row.end(r.provider, context.Background()); err != nil {
		t.Errorf("end: %v", err)
	}
	if took := time.Since(begin); took.Round(time.Millisecond) > row.takes {
		t.Errorf("end took %v, want at most %v", took, row.takes)
	}
	synctest.Wait()
	select {
	case ans := <-ended:
		got := string(ans.res.Outcome)
		if ans.err != nil {
			got = string(model.KindOf(ans.err)) + ": " + model.AsError(ans.err).Text()
		}
		if !strings.HasPrefix(got, row.want) {
			t.Errorf("want %s\n got %s", row.want, got)
		}
	default:
		t.Errorf("the action has not ended")
	}
	r.wantExecuted(row.done)
	_, err := r.run(model.PowerStatus, nil)
	wantErr(t, err, model.Busy, "cannot powerstatus m1: the plugin is shutting down; nothing was sent")
	_, err = r.run(model.PowerOn, nil)
	wantErr(t, err, model.Busy, "cannot poweron m1: the plugin is shutting down; nothing was sent")
	if n := r.device.Sessions(); n != 0 {
		t.Errorf("%d sessions stay open", n)
	}
}

// stopper is a driver that holds something.
type stopper struct {
	*toy.Driver
	stops *atomic.Int32
}

func (s stopper) Stop(context.Context) error {
	s.stops.Add(1)
	return nil
}

func TestStopEndsTheDriverOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stops atomic.Int32
		r := newRig(t, toy.Native, func(d *toy.Driver) driver.Driver { return stopper{d, &stops} })
		begin := time.Now()
		for _, end := range []func(context.Context) error{r.provider.Stop, r.provider.Orphaned, r.provider.Stop} {
			if err := end(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if n := stops.Load(); n != 1 {
			t.Errorf("the driver was stopped %d times", n)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("with nothing at work it took %v", took)
		}
	})
}

func TestStopWithoutTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toy.Steps, nil)
		r.device.PowerDelay = time.Hour
		ended := r.start(t.Context(), model.PowerCycle, nil)
		after(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begin := time.Now()
		if err := r.provider.Stop(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("Stop took %v", took)
		}
		if ans := <-ended; model.KindOf(ans.err) != model.UnknownOutcome {
			t.Errorf("want unknown-outcome, got %v", ans.err)
		}
		r.wantExecuted(map[string]int{model.PowerOff: 1, model.PowerOn: 1})
	})
}

// deaf is a session that hangs until it is let go.
type deaf struct {
	*toy.NativeSession
	let <-chan struct{}
}

func (s deaf) PowerReset(context.Context) error {
	<-s.let
	return nil
}

// opening is the toy driver with other sessions.
type opening struct {
	*toy.Driver
	wrap func(s driver.Session, t *driver.Target) driver.Session
}

func (o opening) Open(ctx context.Context, t *driver.Target) (driver.Session, error) {
	s, err := o.Driver.Open(ctx, t)
	if err != nil {
		return nil, err
	}
	return o.wrap(s, t), nil
}

func TestADriverThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		r := newRig(t, toy.Native, func(d *toy.Driver) driver.Driver {
			return opening{d, func(s driver.Session, _ *driver.Target) driver.Session {
				return deaf{s.(*toy.NativeSession), let}
			}}
		})
		ans := <-r.start(t.Context(), model.PowerReset, model.Params{"oob/timeout": 30})
		wantErr(t, ans.err, model.UnknownOutcome,
			"cannot powerreset m1: waiting ended and the action goes on")
		if ans.took != 38*time.Second {
			t.Errorf("the caller waited %v", ans.took)
		}
		err := r.provider.Stop(t.Context())
		if want := "cannot end driver toy cleanly: 1 actions did not return"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Stop: want %q, got %v", want, err)
		}
		close(let)
		synctest.Wait()
	})
}
