package driver

import (
	"context"
	"errors"
	"time"

	"provision-plugins/shared/model"
)

// identifyDefault is how long the locator is lit when the driver has no param
// for it.
const identifyDefault = 15 * time.Second

// planIdentify lights the locator.
func planIdentify(ctx context.Context, r *run) (any, error) {
	lit := identifyDefault
	if d, ok := r.p.driver.(IdentifyTimer); ok {
		var err error
		if lit, err = d.IdentifyDuration(r.req.target.Params); err != nil {
			return nil, err
		}
	}
	err := r.do(ctx, step{name: "identify", changes: true, call: with(func(ctx context.Context, s Identifier) error {
		return s.Identify(ctx, lit)
	})})
	if err != nil {
		return nil, err
	}
	if lit > 0 {
		r.note("locator lit for %v", lit)
	} else {
		r.note("locator off")
	}
	r.readLocator(ctx, lit > 0)
	return r.conclude(model.Identify, model.Result{}), nil
}

// locatorSettle is how long a device may take to tell the locator it lit.
const locatorSettle = 2 * time.Second

// readLocator reads the locator until two readings in a row tell that it is as it
// was ordered. A device that
// took the order and tells otherwise is remarked upon and no failure: it is a
// lamp.
func (r *run) readLocator(ctx context.Context, want bool) {
	ctx, cancel := context.WithTimeout(ctx, min(locatorSettle, r.req.timeout/2))
	defer cancel()
	words := map[bool]string{true: "on", false: "off"}
	held := false      // the reading before told it
	otherwise := false // the last that was answered did not
	for gap := firstGap; r.reopen(ctx) == nil && has[LocatorReader](r.sess); gap = min(gap*3/2, maxGap) {
		var lit bool
		err := r.take(ctx, step{name: "read locator", call: with(func(ctx context.Context, s LocatorReader) error {
			got, err := s.Locator(ctx)
			lit = got
			return err
		})}, 1)
		is := err == nil && lit == want
		otherwise = !is && (err == nil || otherwise)
		switch {
		case is && held:
			r.saw(SawLocator, "locator reads %s", words[lit])
			return
		case refused(err):
			return
		case pause(ctx, gap):
			held = is
		case otherwise:
			r.note("the device confirmed it, and tells that the locator is %s", words[lit])
			return
		default:
			return
		}
	}
}

// planHealth reads the health.
func planHealth(ctx context.Context, r *run) (any, error) {
	var health any
	err := r.do(ctx, step{name: "read health", long: true, call: with(func(ctx context.Context, s HealthReader) error {
		h, err := s.Health(ctx)
		health = h
		return err
	})})
	return health, err
}

// planExtra hands an action over to the driver.
func planExtra(e *Extra) plan {
	return func(ctx context.Context, r *run) (any, error) {
		if e.Class != model.Read {
			if err := r.commit(e.Command); err != nil {
				return nil, err
			}
		}
		result, err := e.Run(ctx, r.req.target, r.req.action)
		var known *model.Error
		if err != nil && e.Class == model.Once && !errors.As(err, &known) {
			return nil, model.Errorf(model.UnknownOutcome, "it may have been done: %s", textOf(err))
		}
		return result, err
	}
}
