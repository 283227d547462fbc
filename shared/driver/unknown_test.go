package driver_test

import (
	"context"
	"testing"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/internal/toy"
	"provision-plugins/shared/model"
)

// stateless answers every reading, and says nothing in it.
type stateless struct{ *toy.NativeSession }

func (stateless) PowerState(context.Context) (driver.Reading, error) {
	return driver.Reading{Raw: "mains ok"}, nil
}

// A state that the device does not tell is unknown: it is neither reported as
// off, nor acted on as if it were.
func TestStateThatIsNotTold(t *testing.T) {
	open := func(_ int, s *toy.NativeSession) (driver.Session, error) { return stateless{s}, nil }
	withQuirk(t, open, func(r *rig) {
		res, err := r.run(model.PowerStatus, nil)
		if err != nil || res.Power != model.StateUnknown || res.Raw != "mains ok" {
			r.Errorf("powerstatus: %+v, %v", res, err)
		}
	})
	withQuirk(t, open, func(r *rig) {
		res, err := r.run(model.PowerOff, nil)
		if res.Outcome == model.Verified || res.Power == model.StateOff {
			r.Errorf("poweroff: %+v, %v", res, err)
		}
		if n := r.device.Executed(model.PowerOff); n == 0 {
			r.Error("poweroff was taken for done without an order")
		}
	})
}
