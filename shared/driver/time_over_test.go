package driver_test

import (
	"context"
	"testing"
	"testing/synctest"

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
