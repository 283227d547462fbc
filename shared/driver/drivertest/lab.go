package drivertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// lab is one case at work: a rig, a Provider on it, and what they said.
type lab struct {
	tb       testing.TB
	cfg      *Config
	rig      *Rig
	provider actor
	own      map[string]any // the machine's own params
	logs     *logBuffer
	secrets  []string

	mu    sync.Mutex   // guards extra
	extra model.Params // what the fault needs on top of the rig's params
}

// newLab makes a rig and arranges what is checked after every case: nothing
// stays open, and no secret was logged.
func newLab(tb testing.TB, cfg *Config) *lab {
	tb.Helper()
	l := &lab{tb: tb, cfg: cfg, logs: &logBuffer{}}
	log := slog.New(slog.NewJSONHandler(l.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l.rig = cfg.New(tb, log)
	l.secrets = model.SecretValues(l.rig.Params, nil)
	l.provider = driver.NewProvider(l.rig.Driver, driver.Options{Logger: log, StopGrace: cfg.Short})
	if cfg.provider != nil {
		l.provider = cfg.provider(l.provider)
	}
	tb.Cleanup(l.close)
	return l
}

// close ends the Provider and checks what it leaves.
func (l *lab) close() {
	ctx, cancel := l.bounded(0)
	defer cancel()
	if err := l.provider.Stop(ctx); err != nil {
		l.Errorf("Stop: %v", err)
	}
	if l.rig.Sessions != nil {
		l.until("no session stays open on the device", func() bool { return l.rig.Sessions() == 0 })
	}
	l.noSecret("a log line", l.logs.String())
}

// Errorf reports a failure of the case.
func (l *lab) Errorf(format string, args ...any) {
	l.tb.Helper()
	l.tb.Errorf(format, args...)
}

// Fatalf reports a failure and ends the case.
func (l *lab) Fatalf(format string, args ...any) {
	l.tb.Helper()
	l.tb.Fatalf(format, args...)
}

// bounded returns a context that ends Config.Grace after d.
func (l *lab) bounded(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d+l.cfg.Grace)
}

// fault arranges a fault.
func (l *lab) fault(f Fault, command string) {
	l.rig.Fault(f, command)
	extra := l.rig.Meets[f]
	l.mu.Lock()
	defer l.mu.Unlock()
	l.extra = extra
	l.secrets = append(l.secrets, model.SecretValues(extra, nil)...)
}

// params are what an action has besides its oob/timeout.
func (l *lab) params() model.Params {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(model.Params)
	for name, v := range l.rig.Params {
		out[name] = v
	}
	for name, v := range l.extra {
		out[name] = v
	}
	return out
}

// target is the rig's machine, for a driver called without a Provider.
func (l *lab) target() *driver.Target {
	return &driver.Target{Name: "m1", UUID: machineID, Params: l.params()}
}

const machineID = "4f1d3b5e-7a10-4a5e-9a8c-0d5b6f2e1c01"

// answer is what an action ended with.
type answer struct {
	result any
	err    error
}

// res is the result as that of a power or boot action.
func (a answer) res() model.Result {
	res, _ := a.result.(model.Result)
	return res
}

// kind is the kind of the error, "" without one.
func (a answer) kind() model.Kind {
	if a.err == nil {
		return ""
	}
	return model.KindOf(a.err)
}

// String is the answer for failure texts.
func (a answer) String() string {
	if a.err != nil {
		return "error " + a.err.Error()
	}
	raw, err := json.Marshal(a.result)
	if err != nil {
		return fmt.Sprintf("a result that does not encode: %v", err)
	}
	return string(raw)
}

// act runs an action with oob/timeout=d and waits for its answer.
func (l *lab) act(command string, d time.Duration) answer {
	l.tb.Helper()
	return l.actOn(context.Background(), machineID, command, d)
}

// start runs an action beside the case; its answer comes on the channel.
func (l *lab) start(ctx context.Context, command string, d time.Duration) <-chan answer {
	out := make(chan answer, 1)
	go func() { out <- l.actOn(ctx, machineID, command, d) }()
	return out
}

// actOn runs an action on a machine of that id at the rig's address, and checks
// what holds for every answer.
func (l *lab) actOn(ctx context.Context, id, command string, d time.Duration) answer {
	params := l.params()
	params["oob/timeout"] = d.Seconds()
	a := &model.Action{
		Model: map[string]any{"Name": "m1", "Uuid": id, "Params": l.own}, Command: command, Params: params,
	}
	got := make(chan answer, 1)
	go func() {
		result, err := l.provider.Action(ctx, a)
		got <- answer{result, err}
	}()
	late, cancel := l.bounded(d)
	defer cancel()
	select {
	case ans := <-got:
		l.checkAnswer(command, ans)
		return ans
	case <-late.Done():
		l.Errorf("%s: no answer long after its oob/timeout of %v", command, d)
		return answer{nil, late.Err()}
	}
}

// checkAnswer checks what holds for every answer.
func (l *lab) checkAnswer(command string, ans answer) {
	l.noSecret("the answer to "+command, ans.String())
	if strings.Contains(ans.String(), model.Masked) {
		l.Errorf("%s: the driver let out a secret, which was masked on the way: %s", command, ans)
	}
	if ans.err == nil {
		if res, ok := ans.result.(model.Result); ok && res.Outcome == model.Verified && res.Evidence == "" {
			l.Errorf("%s: verified without evidence: %s", command, ans)
		}
		return
	}
	var e *model.Error
	if !errors.As(ans.err, &e) {
		l.Errorf("%s: error %v has no kind", command, ans.err)
		return
	}
	l.noSecret("the error chain of "+command, fmt.Sprintf("%+v %+v", ans.err, errors.Unwrap(ans.err)))
	if text := e.Text(); !strings.HasPrefix(text, "cannot "+command) || !strings.Contains(text, "m1") || strings.Contains(text, "\n") {
		l.Errorf("%s: error %q is not one line that names action and machine", command, text)
	}
	if e.Model != "machines" || e.Key != "m1" {
		l.Errorf("%s: error is on %s/%s, not on the machine", command, e.Model, e.Key)
	}
	if e.Kind() == model.Internal {
		l.Errorf("%s: the driver gave an error without a kind: %v", command, ans.err)
	}
}

// noSecret checks a text for secret values, as they are and as JSON has them.
func (l *lab) noSecret(what, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.secrets {
		form, err := model.Marshal(s)
		if len(s) < 4 || err != nil {
			continue
		}
		if strings.Contains(text, s) || strings.Contains(text, string(form[1:len(form)-1])) {
			l.Errorf("%s shows a secret: %s", what, strings.ReplaceAll(text, s, "<SECRET>"))
		}
	}
}

// want checks the kind of an error.
func (l *lab) want(command string, ans answer, kinds ...model.Kind) {
	l.tb.Helper()
	if !slices.Contains(kinds, ans.kind()) {
		l.Errorf("%s: want an error of kind %v, got %s", command, kinds, ans)
	}
}

// verified checks that a change was seen to happen.
func (l *lab) verified(command string, ans answer) model.Result {
	l.tb.Helper()
	if ans.err != nil || ans.res().Outcome != model.Verified {
		l.Errorf("%s: want outcome verified, got %s", command, ans)
	}
	return ans.res()
}

// notVerified checks that nobody claims to have seen what did not happen.
func (l *lab) notVerified(command string, ans answer) {
	l.tb.Helper()
	if ans.err == nil && ans.res().Outcome == model.Verified {
		l.Errorf("%s: verified, but it did not happen: %s", command, ans)
	}
}

// executed checks how often the device executed a command.
func (l *lab) executed(command string, want int) {
	l.tb.Helper()
	if n := l.rig.Device.Executed(command); n != want {
		l.Errorf("the device executed %s %d times, want %d", command, n, want)
	}
}

// untouched checks that the device executed nothing that changes it.
func (l *lab) untouched() {
	l.tb.Helper()
	for _, command := range changing {
		l.executed(command, 0)
	}
}

// changing are the commands that a device counts.
var changing = []string{
	model.PowerOn, model.PowerOff, model.PowerSoft, model.PowerCycle, model.PowerReset, model.PowerNMI, SetBoot, model.Identify,
}

// until waits for a condition.
func (l *lab) until(what string, cond func() bool) {
	l.tb.Helper()
	ctx, cancel := l.bounded(0)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			l.Fatalf("did not come: %s", what)
		}
	}
}

// logBuffer keeps what was logged.
type logBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Write keeps p.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns all that was written.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
