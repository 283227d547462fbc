package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/inventory"
	"provision-plugins/shared/model"
)

// sleeper is an implementation whose actions end with their context, or after a
// time of their own.
type sleeper struct {
	Base
	own   time.Duration                   // 0 is never
	after func(ctx context.Context) error // what they answer then
}

// Config takes everything.
func (*sleeper) Config(context.Context, *client.Client, model.Params) error { return nil }

// Action waits.
func (s *sleeper) Action(ctx context.Context, _ *model.Action) (any, error) {
	if s.own == 0 {
		<-ctx.Done()
		return nil, s.after(ctx)
	}
	select {
	case <-ctx.Done():
		return nil, s.after(ctx)
	case <-time.After(s.own):
		return "slept", nil
	}
}

// TestRunDeadline bounds each machine's action by itself, however the
// implementation tells that it was cut off.
func TestRunDeadline(t *testing.T) {
	plain := func(ctx context.Context) error { return ctx.Err() }
	cause := context.Cause
	wrapped := func(ctx context.Context) error { return fmt.Errorf("cannot read: %w", ctx.Err()) }
	told := func(context.Context) error { return model.Errorf(model.Unreachable, "no answer from 10.0.0.1") }
	const over = "cannot finish %s: the deadline of 2s is over"
	tests := []struct {
		name     string
		impl     sleeper
		command  string
		deadline time.Duration
		took     time.Duration // of two machines, one after the other
		kind     model.Kind
		text     string
	}{
		{"in time", sleeper{own: time.Second, after: plain}, "look", 2 * time.Second, 2 * time.Second, "", ""},
		{"no deadline", sleeper{own: time.Hour, after: plain}, "look", 0, 2 * time.Hour, "", ""},
		{"plain", sleeper{own: 0, after: plain}, "getlook", 2 * time.Second, 4200 * time.Millisecond, model.Timeout, over},
		{"cause", sleeper{own: 0, after: cause}, "getlook", 2 * time.Second, 4200 * time.Millisecond, model.Timeout, over},
		{"wrapped", sleeper{own: 0, after: wrapped}, "getlook", 2 * time.Second, 4200 * time.Millisecond, model.Timeout, over},
		{"its own words", sleeper{own: 0, after: told}, "getlook", 2 * time.Second, 4200 * time.Millisecond, model.Unreachable, "no answer from 10.0.0.1"},
		{"sent once", sleeper{own: 0, after: plain}, model.PowerCycle, 2 * time.Second, 4200 * time.Millisecond, model.UnknownOutcome, over},
		{"sent once, cause", sleeper{own: 0, after: cause}, model.PowerCycle, 2 * time.Second, 4200 * time.Millisecond, model.UnknownOutcome, over},
		{"sent once, its own words", sleeper{own: 0, after: told}, model.PowerCycle, 2 * time.Second, 4200 * time.Millisecond, model.Unreachable, "no answer from 10.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &runner{program: newProgram("x", "", twinDefinition(), &tt.impl), actor: &tt.impl, command: tt.command, concurrency: 1, deadline: tt.deadline}
				rows := []inventory.Row{{Name: "m1", Params: model.Params{}}, {Name: "m2", Params: model.Params{}}}
				var out bytes.Buffer
				began := time.Now()
				sum := r.run(t.Context(), t.Context(), &out, rows)
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if tt.kind == "" {
					if sum.ok != 2 {
						t.Errorf("%+v", sum)
					}
					return
				}
				want := tt.text
				if want == over {
					want = fmt.Sprintf(over, tt.command)
				}
				for name, line := range lines(t, out.String()) {
					if line.Error == nil || line.Error.Kind != string(tt.kind) || line.Error.Text != want {
						t.Errorf("%s: %+v", name, line.Error)
					}
				}
				if sum.failed[tt.kind] != 2 {
					t.Errorf("%+v", sum)
				}
			})
		})
	}
}

// TestRunDeadlineAndInterrupt has the caller leave before the deadline: that is
// what is told.
func TestRunDeadlineAndInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		impl := &sleeper{own: 0, after: context.Cause}
		r := &runner{program: newProgram("x", "", twinDefinition(), impl), actor: impl, command: "getlook", deadline: time.Minute}
		ctx, cancel := context.WithCancelCause(t.Context())
		left := errors.New("left")
		time.AfterFunc(time.Second, func() { cancel(left) })
		if _, err := r.bounded(ctx, &inventory.Row{Params: model.Params{}}); !errors.Is(err, left) {
			t.Errorf("got %v", err)
		}
	})
}

// TestRunDeadlineShortens lowers what a driver takes as its time, and nothing
// else.
func TestRunDeadlineShortens(t *testing.T) {
	impl := &sleeper{}
	rows := func(values ...any) []inventory.Row {
		var out []inventory.Row
		for _, v := range values {
			p := model.Params{}
			if v != nil {
				p[timeoutParam] = v
			}
			out = append(out, inventory.Row{Params: p})
		}
		return out
	}
	tests := []struct {
		name     string
		deadline time.Duration
		params   model.Params // of the command line
		own, got any
		common   any
	}{
		{"not set", 2 * time.Second, model.Params{}, nil, 2.0, nil},
		{"longer", 2 * time.Second, model.Params{}, int64(30), 2.0, nil},
		{"shorter", 2 * time.Second, model.Params{}, 1.5, 1.5, nil},
		{"wrong type", 2 * time.Second, model.Params{}, "soon", "soon", nil},
		{"longer than the action's own", time.Minute, model.Params{}, nil, nil, nil},
		{"on the command line", 500 * time.Millisecond, model.Params{timeoutParam: int64(9)}, int64(9), 0.5, 0.5},
		{"none", 0, model.Params{timeoutParam: int64(9)}, int64(9), int64(9), int64(9)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &runner{program: newProgram("x", "", twinDefinition(), impl), command: model.PowerStatus, params: tt.params, deadline: tt.deadline}
			list := rows(tt.own)
			r.shorten(list)
			if got := list[0].Params[timeoutParam]; got != tt.got {
				t.Errorf("the machine's is %v, want %v", got, tt.got)
			}
			if got := r.params[timeoutParam]; got != tt.common {
				t.Errorf("the command line's is %v, want %v", got, tt.common)
			}
		})
	}
}
