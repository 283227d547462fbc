package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/ipmi/broker"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// newPlugin returns the plugin as its endpoint configures it, with the state
// directory dir. It is stopped with the test, so that until then others are as
// after a crash of it.
func newPlugin(t *testing.T, dir string) (p *impl, log *bytes.Buffer) {
	t.Helper()
	d := patientDriver()
	p = &impl{Provider: driver.NewProvider(d, driver.Options{}), driver: d}
	t.Cleanup(func() { stop(t, p.Provider) })
	log = &bytes.Buffer{}
	p.SetLogger(slog.New(slog.NewTextHandler(log, nil)))
	if err := p.Config(t.Context(), nil, model.Params{paramStateDir: dir}); err != nil {
		t.Fatal(err)
	}
	return p, log
}

// TestLockoutNever: a hundred actions with a wrong password, and as many of the
// plugin's next lives, leave the account unlocked.
func TestLockoutNever(t *testing.T) {
	t.Parallel()
	b := startFleet(t, bmc.Options{On: true}).BMC(0)
	b.SetFaults(bmc.Faults{LockoutAfter: 3})
	dir := t.TempDir()
	guess := model.Params{paramPassword: "guess"}
	for range 3 {
		p, log := newPlugin(t, dir)
		var all sync.WaitGroup
		for i := range 100 {
			command := []string{model.PowerStatus, model.PowerOn, model.PowerReset, model.BootStatus}[i%4]
			all.Go(func() {
				_, err := act(p.Provider, command, b.Addr(), guess)
				// Of two changes at once one is busy with the other.
				if kind := model.KindOf(err); kind != model.DeviceAuth && kind != model.Busy {
					t.Errorf("%s: %v", command, err)
				}
			})
		}
		all.Wait()
		_, err := act(p.Provider, model.PowerStatus, b.Addr(), guess)
		var e *model.Error
		if !errors.As(err, &e) || e.RetryAfter <= 0 || e.RetryAfter > 15*time.Minute || !strings.Contains(e.Text(), "not tried again") {
			t.Errorf("%v", err)
		}
		if strings.Contains(e.Text()+log.String(), "guess") {
			t.Errorf("the password is told: %v, %s", err, log)
		}
	}
	if got := b.Executed(bmc.RAKP1); got != 2 || b.Locked() {
		t.Errorf("%d logins, locked: %v; want 2 and not", got, b.Locked())
	}
	p, _ := newPlugin(t, dir)
	if res := mustAct(t, p.Provider, model.PowerStatus, b.Addr()); res.Power != model.StateOn {
		t.Errorf("the right password: %+v", res)
	}
}

// TestConfigWithoutState: a plugin that can keep nothing works, and says so.
func TestConfigWithoutState(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p, log := newPlugin(t, filepath.Join(file, "below"))
	if !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("logged %q", log)
	}
	b := startFleet(t, bmc.Options{On: true}).BMC(0)
	mustAct(t, p.Provider, model.PowerStatus, b.Addr())
}

// TestMinInterval: what the param means to the BMC's owner.
func TestMinInterval(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddrPort("10.0.0.5:623")
	for _, tc := range []struct {
		param any
		want  time.Duration
	}{
		{nil, broker.DefaultInterval}, {0, -1}, {0.0, -1}, {0.15, 150 * time.Millisecond}, {1, time.Second},
	} {
		params := paramsOf(addr)
		if tc.param != nil {
			params[paramInterval] = tc.param
		}
		if b, err := parseBoard(params); err != nil || b.interval != tc.want {
			t.Errorf("%v: %+v, %v; want %v", tc.param, b, err, tc.want)
		}
	}
	for _, bad := range []any{-1, 1.5, "fast", true} {
		params := paramsOf(addr)
		params[paramInterval] = bad
		if _, err := parseBoard(params); model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), paramInterval) {
			t.Errorf("%v: %v, want it refused", bad, err)
		}
	}
}

// waits is how long what is under way is given in a test.
const waits = 30 * time.Second

// TestOneReadForAll: many actions that ask one BMC for its state at once are
// answered by fewer exchanges.
func TestOneReadForAll(t *testing.T) {
	t.Parallel()
	b := startFleet(t, bmc.Options{On: true}).BMC(0)
	b.SetFaults(bmc.Faults{Latency: 20 * time.Millisecond})
	p := newProvider(t)
	mustAct(t, p, model.PowerStatus, b.Addr())
	before := b.Executed(bmc.ChassisStatus)
	ctx, cancel := context.WithTimeout(t.Context(), waits)
	defer cancel()
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			m := &model.Machine{Name: "m1", Uuid: b.Addr().String()}
			a := &model.Action{Model: m, Command: model.PowerStatus, Params: paramsOf(b.Addr())}
			if _, err := p.Action(ctx, a); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	all.Wait()
	if got := b.Executed(bmc.ChassisStatus) - before; got > 150 {
		t.Errorf("%d exchanges for 300 callers", got)
	}
}
