package drivertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/internal/toy"
	"provision-plugins/shared/model"
)

// recorder is a test that keeps its failures to itself.
type recorder struct {
	testing.TB
	mu       sync.Mutex // guards the rest
	failures []string
	cleanups []func()
}

func (r *recorder) Helper()             {}
func (r *recorder) Logf(string, ...any) {}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

func (r *recorder) Cleanup(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, fn)
}

// record runs fn and then its cleanups, each to its own end, and returns the
// failures.
func record(t *testing.T, fn func(tb testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t}
	alone := func(fn func()) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			fn()
		}()
		<-done
	}
	alone(func() { fn(r) })
	for len(r.cleanups) > 0 {
		last := len(r.cleanups) - 1
		fn := r.cleanups[last]
		r.cleanups = r.cleanups[:last]
		alone(fn)
	}
	return strings.Join(r.failures, "\n")
}

// runNamed runs one case of the suite.
func runNamed(t *testing.T, cfg Config, name string) string {
	t.Helper()
	i := slices.IndexFunc(cases(), func(c suiteCase) bool { return c.name == name })
	if i < 0 {
		t.Fatalf("no case %q", name)
	}
	return record(t, func(tb testing.TB) {
		cfg.check(tb)
		cfg.runCase(tb, cases()[i])
	})
}

// broken is the toy driver with a defect in its sessions.
type broken struct {
	*toy.Driver
	wrap func(s *toy.NativeSession, t *driver.Target) driver.Session
}

func (b *broken) Open(ctx context.Context, t *driver.Target) (driver.Session, error) {
	s, err := b.Driver.Open(ctx, t)
	if err != nil {
		return nil, err
	}
	return b.wrap(s.(*toy.NativeSession), t), nil
}

// badOpen is the toy driver with a defect in its Open.
type badOpen struct {
	*toy.Driver
	after func(ctx context.Context, t *driver.Target, s driver.Session, err error) (driver.Session, error)
}

func (b *badOpen) Open(ctx context.Context, t *driver.Target) (driver.Session, error) {
	s, err := b.Driver.Open(ctx, t)
	return b.after(ctx, t, s, err)
}

// resends sends again what had no reply: late enough that a cycle is over, and a
// device that is off does not refuse it.
type resends struct{ *toy.NativeSession }

func (s resends) twice(ctx context.Context, line string) error {
	for range 2 {
		try, cancel := context.WithTimeout(context.WithoutCancel(ctx), 400*time.Millisecond)
		reply, _, err := s.Call(try, line)
		cancel()
		if err == nil && reply == "ok" {
			return nil
		}
	}
	return model.Errorf(model.UnknownOutcome, "no reply")
}

func (s resends) PowerCycle(ctx context.Context) error { return s.twice(ctx, model.PowerCycle) }
func (s resends) PowerSoft(ctx context.Context) error  { return s.twice(ctx, model.PowerSoft) }
func (s resends) PowerReset(ctx context.Context) error { return s.twice(ctx, model.PowerReset) }

// optimist takes silence and refusal for success.
type optimist struct{ *toy.NativeSession }

func (s optimist) PowerReset(ctx context.Context) error {
	_ = s.NativeSession.PowerReset(ctx) // this is the defect
	return nil
}

// pessimist says that nothing was sent whenever there was no reply.
type pessimist struct{ *toy.NativeSession }

func (s pessimist) PowerReset(ctx context.Context) error {
	if err := s.NativeSession.PowerReset(ctx); err != nil {
		return model.Errorf(model.Unreachable, "no answer")
	}
	return nil
}

// liar says on, whatever the state.
type liar struct{ *toy.NativeSession }

func (liar) PowerState(context.Context) (driver.Reading, error) {
	return driver.Reading{State: model.StateOn, Raw: "on"}, nil
}

// believer says the state it ordered last.
type believer struct {
	*toy.NativeSession
	ordered *model.PowerState
}

func (s believer) SetPower(ctx context.Context, on bool) error {
	*s.ordered = stateOf(on)
	return s.NativeSession.SetPower(ctx, on)
}

func (s believer) PowerState(ctx context.Context) (driver.Reading, error) {
	if *s.ordered != "" {
		return driver.Reading{State: *s.ordered}, nil
	}
	return s.NativeSession.PowerState(ctx)
}

// deaf does not end with its context.
type deaf struct{ *toy.NativeSession }

func (s deaf) PowerReset(ctx context.Context) error {
	return s.NativeSession.PowerReset(context.WithoutCancel(ctx))
}

// kindless gives errors without a kind.
type kindless struct{ *toy.NativeSession }

func (kindless) PowerState(context.Context) (driver.Reading, error) {
	return driver.Reading{}, errors.New("something is wrong")
}

// talker puts the password into what it says of the state.
type talker struct {
	*toy.NativeSession
	password string
}

func (s talker) PowerState(ctx context.Context) (driver.Reading, error) {
	r, err := s.NativeSession.PowerState(ctx)
	r.Raw = "on (" + s.password + ")"
	return r, err
}

// keeper does not give its connection back.
type keeper struct{ *toy.NativeSession }

func (keeper) Close(context.Context) error { return nil }

// forgetful does not set what it reads back.
type forgetful struct {
	*toy.NativeSession
	set *model.BootOverride
}

func (s forgetful) SetBoot(_ context.Context, d model.BootDevice, persistent bool) error {
	*s.set = model.BootOverride{Device: d, Persistent: persistent, Valid: true}
	return nil
}

func (s forgetful) Boot(context.Context) (model.BootOverride, error) { return *s.set, nil }

// newBeliever makes a driver that believes its orders.
func newBeliever(*testing.T, *slog.Logger) driver.Driver {
	var ordered model.PowerState
	return &broken{&toy.Driver{}, func(s *toy.NativeSession, _ *driver.Target) driver.Session { return believer{s, &ordered} }}
}

// newForgetful makes a driver that reads back what it did not set.
func newForgetful(*testing.T, *slog.Logger) driver.Driver {
	var set model.BootOverride
	return &broken{&toy.Driver{}, func(s *toy.NativeSession, _ *driver.Target) driver.Session { return forgetful{s, &set} }}
}

// newKeeper makes a driver that keeps its connections. It refers to them, or
// the collector of garbage would close them.
func newKeeper(t *testing.T, _ *slog.Logger) driver.Driver {
	var kept []*toy.NativeSession
	t.Cleanup(func() {
		for _, s := range kept {
			_ = s.Close(context.Background()) // the device may have closed it
		}
	})
	return &broken{&toy.Driver{}, func(s *toy.NativeSession, _ *driver.Target) driver.Session {
		kept = append(kept, s)
		return keeper{s}
	}}
}

// wrapped makes a broken driver from a session's defect.
func wrapped(wrap func(s *toy.NativeSession, t *driver.Target) driver.Session) func(*testing.T, *slog.Logger) driver.Driver {
	return func(*testing.T, *slog.Logger) driver.Driver { return &broken{Driver: &toy.Driver{}, wrap: wrap} }
}

// password is the target's.
func password(t *driver.Target) string {
	s, _ := t.Params.String("toy/password", "")
	return s
}

// TestBrokenDriversFail shows for each rule that a driver that breaks it does
// not pass, and that the failure says why.
func TestBrokenDriversFail(t *testing.T) {
	resend := wrapped(func(s *toy.NativeSession, _ *driver.Target) driver.Session { return resends{s} })
	hope := wrapped(func(s *toy.NativeSession, _ *driver.Target) driver.Session { return optimist{s} })
	for _, row := range []struct {
		defect, inCase, says string
		driver               func(*testing.T, *slog.Logger) driver.Driver
	}{
		{"sends a cycle again", "lost-reply/powercycle", "executed 2 times", resend},
		{"sends a soft-off again", "lost-reply/powersoft", "executed 2 times", resend},
		{"presses the button of a machine that is off", "powersoft/from-off", "executed powersoft 1 times", wrapped(
			func(s *toy.NativeSession, _ *driver.Target) driver.Session { return liar{s} })},
		{"sends a reset again", "lost-reply/powerreset", "executed 2 times", resend},
		{"takes silence for success", "lost-request/powerreset", "want an error of kind", hope},
		{"takes a refusal for success", "wrong-state/powerreset", "want an error of kind", hope},
		{"calls unknown not sent", "lost-reply/powerreset", "want an error of kind", wrapped(
			func(s *toy.NativeSession, _ *driver.Target) driver.Session { return pessimist{s} })},
		{"says on for off", "powerstatus", "machine that is off", wrapped(
			func(s *toy.NativeSession, _ *driver.Target) driver.Session { return liar{s} })},
		{"believes its own orders", "stuck/poweron", "want an error of kind|nothing was seen to happen|verified", newBeliever},
		{"outlives its context", "lost-request/powerreset", "no answer long after", wrapped(
			func(s *toy.NativeSession, _ *driver.Target) driver.Session { return deaf{s} })},
		{"gives errors without kind", "powerstatus", "without a kind", wrapped(
			func(s *toy.NativeSession, _ *driver.Target) driver.Session { return kindless{s} })},
		{"tells the password in a result", "powerstatus", "let out a secret", wrapped(
			func(s *toy.NativeSession, t *driver.Target) driver.Session { return talker{s, password(t)} })},
		{"keeps its connections", "powerstatus", "no session stays open", newKeeper},
		{"does not set the boot device", "boot/nextbootpxe", "the device has the override", newForgetful},
		{"tells the password in an error", "credentials/powerstatus", "let out a secret", func(*testing.T, *slog.Logger) driver.Driver {
			return &badOpen{&toy.Driver{}, func(_ context.Context, t *driver.Target, s driver.Session, err error) (driver.Session, error) {
				if err != nil {
					return nil, model.Errorf(model.KindOf(err), "login with %q: %w", password(t), err)
				}
				return s, nil
			}}
		}},
		{"calls refused credentials unreachable", "credentials/poweron", "want an error of kind", func(*testing.T, *slog.Logger) driver.Driver {
			return &badOpen{&toy.Driver{}, func(_ context.Context, _ *driver.Target, s driver.Session, err error) (driver.Session, error) {
				if err != nil {
					return nil, model.Errorf(model.Unreachable, "no luck")
				}
				return s, nil
			}}
		}},
		{"tries a refused login again and again", "credentials/poweron", "refused 4 logins", func(*testing.T, *slog.Logger) driver.Driver {
			inner := &toy.Driver{}
			return &badOpen{inner, func(ctx context.Context, t *driver.Target, s driver.Session, err error) (driver.Session, error) {
				for range 3 {
					if err != nil {
						s, err = inner.Open(ctx, t)
					}
				}
				return s, err
			}}
		}},
		{"logs the password", "powerstatus", "a log line shows a secret", func(_ *testing.T, log *slog.Logger) driver.Driver {
			return &badOpen{&toy.Driver{}, func(_ context.Context, t *driver.Target, s driver.Session, err error) (driver.Session, error) {
				log.Debug("opened", "params", t.Params)
				return s, err
			}}
		}},
		{"leaves a goroutine", "powerstatus", "goroutines are left", func(t *testing.T, _ *slog.Logger) driver.Driver {
			end := make(chan struct{})
			t.Cleanup(func() { close(end) })
			return &badOpen{&toy.Driver{}, func(_ context.Context, _ *driver.Target, s driver.Session, err error) (driver.Session, error) {
				go func() { <-end }()
				return s, err
			}}
		}},
	} {
		t.Run(row.defect, func(t *testing.T) {
			t.Parallel()
			cfg := Config{Timeout: 3 * time.Second, Short: time.Second, Grace: 1500 * time.Millisecond}
			cfg.New = func(tb testing.TB, log *slog.Logger) *Rig {
				return toyRig(tb, toy.Native, row.driver(t, log))
			}
			got := runNamed(t, cfg, row.inCase)
			if !slices.ContainsFunc(strings.Split(row.says, "|"), func(s string) bool { return strings.Contains(got, s) }) {
				t.Errorf("case %s on a driver that %s: want a failure with %q, got:\n%s", row.inCase, row.defect, row.says, got)
			}
		})
	}
}

// fewer is the toy driver with one mode that only reads.
type fewer struct{ *toy.Driver }

func (fewer) Modes() []driver.Mode {
	return []driver.Mode{{Name: toy.Bare, Session: &toy.BareSession{}}}
}

func TestMissingActionsFail(t *testing.T) {
	cfg := toyConfig(toy.Bare, fewer{&toy.Driver{}})
	if got := runNamed(t, cfg, "actions"); !strings.Contains(got, "does not have powercycle") {
		t.Errorf("a driver without powercycle passes: %s", got)
	}
	cfg = toyConfig(toy.Native, &toy.Driver{})
	cfg.Without = map[string]string{model.PowerNMI: "no wire for it"}
	if got := runNamed(t, cfg, "actions"); !strings.Contains(got, "has powernmi, which Config.Without leaves out") {
		t.Errorf("an exclusion that is not true passes: %s", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	rig := func(testing.TB, *slog.Logger) *Rig { return nil }
	for want, cfg := range map[string]Config{
		"New is not set":    {},
		`names "fly"`:       {New: rig, Without: map[string]string{"fly": "no wings"}},
		`names "no-case"`:   {New: rig, Skip: map[string]string{"no-case": "why not"}},
		`names "rust"`:      {New: rig, NoFault: map[Fault]string{"rust": "dry"}},
		`out "powernmi" wi`: {New: rig, Without: map[string]string{model.PowerNMI: ""}},
	} {
		if got := record(t, cfg.check); !strings.Contains(got, want) {
			t.Errorf("want a failure with %q, got %q", want, got)
		}
	}
}

func TestLeftOut(t *testing.T) {
	cfg := Config{
		Without: map[string]string{model.PowerNMI: "no wire"},
		NoFault: map[Fault]string{LoseReply: "no tap"},
		Skip:    map[string]string{"identify": "no lamp"},
	}
	var out, left []string
	for _, c := range cases() {
		if reason := cfg.leftOut(c); reason != "" {
			left = append(left, reason)
			out = append(out, c.name)
		}
	}
	for _, name := range []string{"powernmi", "lost-reply/poweron", "lost-request/powernmi", "identify"} {
		if !slices.Contains(out, name) {
			t.Errorf("case %s is not left out", name)
		}
	}
	if slices.Contains(out, "powercycle/from-on") || !slices.Contains(left, "no lose-reply: no tap") {
		t.Errorf("left out %v because of %v", out, left)
	}
}
