package main

import (
	"context"
	"fmt"

	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/command/dcmi"

	"provision-plugins/ipmi/facts"
	"provision-plugins/ipmi/sel"
	"provision-plugins/shared/model"
)

// powerReading reads what the machine takes (DCMI 1.5 §6.6.1).
func (s *session) powerReading(ctx context.Context) (*dcmi.GetDCMIPowerReadingResponse, error) {
	var res dcmi.GetDCMIPowerReadingResponse
	if err := s.read(ctx, false, &dcmi.GetDCMIPowerReadingRequest{}, &res); err != nil {
		return nil, err
	}
	if !res.PowerMeasurementActive {
		return nil, model.Errorf(model.Unsupported, "the BMC has a power reading that is switched off")
	}
	return &res, nil
}

// watts reads what the machine takes now.
func (s *session) watts(ctx context.Context) (uint16, error) {
	res, err := s.powerReading(ctx)
	if err != nil {
		return 0, err
	}
	return res.CurrentPower, nil
}

// power reads what the machine takes, and how much it may take.
func (s *session) power(ctx context.Context) (*facts.Power, error) {
	const milliseconds = 1000
	res, err := s.powerReading(ctx)
	if err != nil {
		return nil, err
	}
	out := &facts.Power{Watts: int(res.CurrentPower), Time: sel.Time(res.Timestamp)}
	if res.ReportingPeriod != 0 {
		least, most, average := int(res.MinimumPower), int(res.MaximumPower), int(res.AveragePower)
		out.Minimum, out.Maximum, out.Average = &least, &most, &average
		out.PeriodSeconds = float64(res.ReportingPeriod) / milliseconds
	}
	out.Limit, err = s.powerLimit(ctx)
	return out, err
}

// noLimit is with what a BMC tells that there is no limit (DCMI 1.5 §6.6.2).
const noLimit = 0x80

// powerLimit reads how much the machine may take (DCMI 1.5 §6.6.2); nil if the BMC has
// no such thing.
func (s *session) powerLimit(ctx context.Context) (*facts.PowerLimit, error) {
	var res dcmi.GetDCMIPowerLimitResponse
	err := s.read(ctx, false, &dcmi.GetDCMIPowerLimitRequest{}, &res)
	switch {
	case refusedWith(err, noLimit):
		return &facts.PowerLimit{}, nil
	case err != nil && lacking(err):
		return nil, nil //nolint:nilnil // there is none, which is no error
	case err != nil:
		return nil, err
	}
	return &facts.PowerLimit{Active: true, Watts: int(res.PowerLimitRequested), Action: limitAction(uint8(res.ExceptionAction))}, nil
}

// limitAction says what is done when the limit is exceeded (DCMI 1.5 Table 6-17).
func limitAction(code uint8) string {
	const none, powerOff, logOnly = 0x00, 0x01, 0x11
	switch code {
	case none:
		return "nothing"
	case powerOff:
		return "switch off and log"
	case logOnly:
		return "log"
	}
	return fmt.Sprintf("manufacturer's own, %02xh", code)
}

// restorePolicies are what a machine does when mains power comes back, by the words
// of the param (IPMI 2.0 §28.8).
var restorePolicies = map[string]chassis.PowerRestorePolicy{
	"always-off": chassis.PowerRestorePolicyAlwaysOff,
	"previous":   chassis.PowerRestorePolicyPrevious,
	"always-on":  chassis.PowerRestorePolicyAlwaysOn,
}

// restoreWord is the word of a policy.
func restoreWord(p chassis.PowerRestorePolicy) string {
	for word, policy := range restorePolicies {
		if policy == p {
			return word
		}
	}
	return "unknown"
}

// setRestorePolicy sets what the machine does when mains power comes back (IPMI 2.0
// §28.8), and reads it back.
func (s *session) setRestorePolicy(ctx context.Context, policy string) (model.Result, error) {
	want := restorePolicies[policy]
	was, err := s.restorePolicy(ctx)
	if err != nil {
		return model.Result{}, err
	}
	if was != want {
		if err := s.change(ctx, model.Idempotent, &chassis.SetPowerRestorePolicyRequest{PowerRestorePolicy: want}); err != nil {
			return model.Result{}, err
		}
	}
	is, err := s.restorePolicy(ctx)
	switch {
	case err != nil:
		return model.Result{}, err
	case is != want:
		return model.Result{}, model.Errorf(model.Conflict, "the BMC took %s, and tells %s", policy, restoreWord(is))
	}
	changed := was != want
	return model.Result{
		Outcome: model.Verified, Changed: &changed,
		Evidence: fmt.Sprintf("policy was %s, is %s", restoreWord(was), restoreWord(is)),
	}, nil
}

// restorePolicy reads it (IPMI 2.0 §28.2).
func (s *session) restorePolicy(ctx context.Context) (chassis.PowerRestorePolicy, error) {
	var res chassis.GetChassisStatusResponse
	err := s.read(ctx, false, &chassis.GetChassisStatusRequest{}, &res)
	return res.PowerRestorePolicy, err
}
