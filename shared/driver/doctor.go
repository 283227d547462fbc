package driver

import (
	"context"

	"provision-plugins/shared/model"
)

// Doctor is a Driver that checks everything between here and a device. It makes
// at most one failing login.
type Doctor interface {
	// Doctor checks from the address up, in an order in which each check needs
	// the ones before. What it finds wrong is no error: its error says only that
	// there is nothing to check, such as a param that is wrong.
	Doctor(ctx context.Context, t *Target) (*model.Checkup, error)
}

// planDoctor runs the driver's checks, once: another try would be another
// failing login.
func planDoctor(ctx context.Context, r *run) (any, error) {
	d, ok := r.p.driver.(Doctor)
	if !ok {
		return nil, r.p.lacks(r.req.cap, nil)
	}
	report, err := d.Doctor(ctx, r.req.target)
	if err != nil {
		return nil, inStep("check", err)
	}
	report.TookMs = r.since().Milliseconds()
	report.Driver = r.p.driver.Name()
	return report, nil
}
