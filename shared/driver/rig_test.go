package driver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/internal/toy"
	"provision-plugins/shared/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a Provider for the toy driver and its device, inside one bubble of
// testing/synctest: the connection is a pipe and time costs nothing.
type rig struct {
	*testing.T
	device   *toy.Device
	provider *driver.Provider
	logs     *safeBuffer
	mode     string
}

// newRig makes a rig whose machine is on. The driver may be replaced by change.
func newRig(t *testing.T, mode string, change func(d *toy.Driver) driver.Driver) *rig {
	t.Helper()
	r := &rig{T: t, device: toy.NewDevice(), mode: mode, logs: &safeBuffer{}}
	var d driver.Driver = &toy.Driver{Dial: r.device.Dial}
	if change != nil {
		d = change(&toy.Driver{Dial: r.device.Dial})
	}
	log := slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.provider = driver.NewProvider(d, driver.Options{Logger: log})
	t.Cleanup(r.device.Close)
	return r
}

// action makes an action on m1.
func (r *rig) action(command string, params model.Params) *model.Action {
	all := model.Params{
		"toy/address": "pipe", "toy/username": r.device.User, "toy/password": r.device.Password, "toy/mode": r.mode,
	}
	for name, v := range params {
		all[name] = v
	}
	return &model.Action{Command: command, Params: all, Model: map[string]any{"Name": "m1", "Uuid": "u1"}}
}

// run runs an action to its end.
func (r *rig) run(command string, params model.Params) (model.Result, error) {
	r.Helper()
	result, err := r.provider.Action(r.Context(), r.action(command, params))
	res, _ := result.(model.Result)
	return res, err
}

// answer is what an action ended with, and when.
type answer struct {
	res  model.Result
	err  error
	took time.Duration
}

// start runs an action beside the test.
func (r *rig) start(ctx context.Context, command string, params model.Params) <-chan answer {
	out := make(chan answer, 1)
	begin := time.Now()
	go func() {
		result, err := r.provider.Action(ctx, r.action(command, params))
		res, _ := result.(model.Result)
		out <- answer{res, err, time.Since(begin)}
	}()
	return out
}

// after lets time pass in the bubble.
func after(d time.Duration) { <-time.After(d) }

// wantErr checks an error's kind and text. One of kind unknown-outcome must also
// say where to look.
func wantErr(t *testing.T, err error, kind model.Kind, text string) {
	t.Helper()
	var e *model.Error
	if !errors.As(err, &e) {
		t.Fatalf("want an error of kind %s, got %v", kind, err)
	}
	got, advice, _ := strings.Cut(e.Text(), "; before sending it again look at ")
	if e.Kind() != kind || got != text || (advice != "") != (kind == model.UnknownOutcome) {
		t.Errorf("want %s: %s\n got %s: %s", kind, text, e.Kind(), e.Text())
	}
}

// wantResult checks a result as JSON. A wanted tookMs of -1 stands for any time:
// waits between tries have jitter.
func wantResult(t *testing.T, got model.Result, err error, want string) {
	t.Helper()
	if err != nil {
		t.Fatalf("want %s, got error %v", want, err)
	}
	if strings.Contains(want, `"tookMs":-1`) {
		got.TookMs = -1
	}
	raw, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if string(raw) != want {
		t.Errorf("want %s\n got %s", want, raw)
	}
}

// often stands for any number of executions but none.
const often = -1

// wantExecuted checks what the device executed; commands not named, never.
func (r *rig) wantExecuted(want map[string]int) {
	r.Helper()
	for _, command := range []string{
		model.PowerOn, model.PowerOff, model.PowerSoft, model.PowerCycle, model.PowerReset, model.PowerNMI, "setboot", model.Identify,
	} {
		if n := r.device.Executed(command); n != want[command] && (want[command] != often || n == 0) {
			r.Errorf("executed %s %d times, want %d", command, n, want[command])
		}
	}
}

// safeBuffer is a buffer for several goroutines.
type safeBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
