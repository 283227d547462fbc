package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/sim/packet"
)

// goodKey is the key of the simulated account.
const goodKey = "Heron-4711-is-not-a-key"

// startSim starts a simulated API.
func startSim(tb testing.TB, o packet.Options) *packet.Server {
	tb.Helper()
	if o.Accounts == nil {
		o.Accounts = []packet.Account{{Key: goodKey}}
	}
	sim, err := packet.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { sim.Close() })
	return sim
}

// startDriver returns a driver of a simulated API, which keeps what it must in a
// folder of its own. It ends with the test.
func startDriver(tb testing.TB, sim *packet.Server, log *slog.Logger) *metalDriver {
	tb.Helper()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	conf, err := parseConfig(model.Params{paramURL: sim.URL(), paramKey: goodKey, paramPoll: 0.05, paramSettle: 0.3, paramRate: 1000})
	if err != nil {
		tb.Fatal(err)
	}
	d := newDriver()
	api := conf.client(log)
	d.configure(conf, api, nil)
	if err := d.boots.Start(tb.TempDir(), api.Key(goodKey), conf.boots(log)); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := d.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return d
}

// lab is a simulated device and a Provider that acts on it.
type lab struct {
	sim      *packet.Server
	id       string
	driver   *metalDriver
	provider *driver.Provider
}

// newLab makes one.
func newLab(tb testing.TB, o packet.Options, like packet.Device) *lab {
	tb.Helper()
	sim := startSim(tb, o)
	d := startDriver(tb, sim, nil)
	return &lab{sim: sim, id: sim.Add("default", 1, like)[0], driver: d, provider: driver.NewProvider(d, driver.Options{})}
}

// act runs an action on the machine of the device.
func (l *lab) act(tb testing.TB, command string, params model.Params) (any, error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	return l.provider.Action(ctx, &model.Action{
		Model: map[string]any{"Name": "m1", "Uuid": "u1", "Params": map[string]any{paramUUID: l.id}}, Command: command, Params: params,
	})
}

// result runs an action that should succeed.
func (l *lab) result(tb testing.TB, command string, params model.Params) model.Result {
	tb.Helper()
	got, err := l.act(tb, command, params)
	if err != nil {
		tb.Fatalf("%s: %v", command, err)
	}
	res, _ := got.(model.Result)
	return res
}

// refused runs an action that should not succeed.
func (l *lab) refused(tb testing.TB, kind model.Kind, says, command string, params model.Params) {
	tb.Helper()
	got, err := l.act(tb, command, params)
	if model.KindOf(err) != kind || err == nil || !strings.Contains(err.Error(), says) {
		tb.Errorf("%s: %v, %v; want %s: %q", command, got, err, kind, says)
	}
}

// device is the device as it is.
func (l *lab) device(tb testing.TB) packet.Device {
	tb.Helper()
	d, ok := l.sim.Device(l.id)
	if !ok {
		tb.Fatal("the device is gone")
	}
	return d
}

// until waits for a condition.
func until(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-limit.C:
			tb.Fatalf("did not come: %s", what)
		}
	}
}

// text is a value as JSON.
func text(tb testing.TB, v any) string {
	tb.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return string(raw)
}
