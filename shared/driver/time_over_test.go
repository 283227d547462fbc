package driver_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/internal/toy"
	"provision-plugins/shared/model"
)

// runsOut is a device that is called unreachable or busy once; from then on its
// driver says only that its time was over.
type runsOut struct {
	*toy.Driver
	first model.Kind
	tries int
}

func (f *runsOut) Open(ctx context.Context, _ *driver.Target) (driver.Session, error) {
	f.tries++
	if f.tries == 1 {
		return nil, model.Errorf(f.first, "device 9: it said so")
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// What was wrong with a device is told, not that a later try had no more time.
func TestEndOfTimeHidesNoCause(t *testing.T) {
	for _, kind := range []model.Kind{model.Unreachable, model.Busy} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &runsOut{first: kind}
				r := newRig(t, toy.Native, func(d *toy.Driver) driver.Driver {
					f.Driver = d
					return f
				})
				_, err := r.run(model.PowerStatus, model.Params{"oob/timeout": 3})
				wantErr(t, err, kind, "cannot powerstatus m1: open session: device 9: it said so")
				if f.tries < 2 {
					t.Errorf("%d tries: the time was not used", f.tries)
				}
			})
		})
	}
}

// overtaken is a device that answers each order with busy in its own good time,
// unless its caller leaves before.
type overtaken struct {
	*toy.NativeSession
	takes  time.Duration
	orders *int
}

func (s overtaken) wait(ctx context.Context) error {
	*s.orders++
	select {
	case <-time.After(s.takes):
		return model.Errorf(model.Busy, "somebody else is at it")
	case <-ctx.Done():
		return model.Errorf(model.UnknownOutcome, "nobody waited for the answer")
	}
}

func (s overtaken) SetPower(ctx context.Context, _ bool) error { return s.wait(ctx) }

func (s overtaken) SetBoot(ctx context.Context, _ model.BootDevice, _ bool) error { return s.wait(ctx) }

// TestNoChangeAtTheLastMoment: a change is not sent when there is too little time
// for its answer, so that what the device said stays said; but it is sent again
// as long as there is.
func TestNoChangeAtTheLastMoment(t *testing.T) {
	for _, command := range []string{model.PowerOff, model.NextBootPXE} {
		for takes, least := range map[time.Duration]int{
			time.Millisecond: 4, 150 * time.Millisecond: 3, 400 * time.Millisecond: 2, 900 * time.Millisecond: 1,
		} {
			orders := 0
			open := func(_ int, s *toy.NativeSession) (driver.Session, error) { return overtaken{s, takes, &orders}, nil }
			for range 20 { // the waits between tries have jitter
				orders = 0
				withQuirk(t, open, func(r *rig) {
					_, err := r.run(command, model.Params{"oob/timeout": 4})
					if model.KindOf(err) != model.Busy || orders < least {
						r.Errorf("%s, answered after %v: %d orders, then %v", command, takes, orders, err)
					}
				})
			}
		}
	}
}

// hurried is a device that says that its locator is off, and then nothing.
type hurried struct {
	*toy.NativeSession
	readings *int
}

func (s hurried) Locator(ctx context.Context) (bool, error) {
	if *s.readings++; *s.readings == 1 {
		return false, nil
	}
	<-ctx.Done()
	return false, ctx.Err()
}

// TestLastReadingOfALocator: what a reading told is not forgotten for one that the
// end of the time cut off.
func TestLastReadingOfALocator(t *testing.T) {
	readings := 0
	open := func(_ int, s *toy.NativeSession) (driver.Session, error) { return hurried{s, &readings}, nil }
	withQuirk(t, open, func(r *rig) {
		res, err := r.run(model.Identify, nil)
		if err != nil || res.Outcome != model.Acknowledged || readings < 2 || !strings.HasSuffix(res.Note, "tells that the locator is off") {
			r.Errorf("%d readings: %+v, %v", readings, res, err)
		}
	})
}
