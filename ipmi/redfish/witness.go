package redfish

import (
	"context"
	"time"

	"provision-plugins/shared/driver"
)

// The sign of a restart and its values.
const (
	signReset  = "last reset time"
	resetNot   = "as before"
	resetLater = "later than before"
)

// resetWithin is how long after a restart the time is watched for.
const resetWithin = 15 * time.Second

// RestartSigns reads when the system was last reset (ComputerSystem,
// LastResetTime), and compares that with what it was when it was asked for without a
// name. BootProgress proves nothing: an operating system that restarts by itself
// changes it, too, and it may not have come far enough to begin with.
func (s *Session) RestartSigns(ctx context.Context, names ...string) ([]driver.Sign, error) {
	sys, _, err := s.system(ctx)
	if err != nil {
		return nil, err
	}
	now, err := time.Parse(time.RFC3339, sys.LastResetTime)
	if err != nil { // it does not tell
		return nil, nil
	}
	sign := driver.Sign{Name: signReset, Value: resetNot, Proof: resetLater, Within: resetWithin}
	p := s.bmc.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(names) == 0 {
		s.bmc.restarts[s.path] = sys.LastResetTime
	}
	if before, err := time.Parse(time.RFC3339, s.bmc.restarts[s.path]); err == nil && now.After(before) {
		sign.Value = resetLater
	}
	return []driver.Sign{sign}, nil
}
