package rmcp

import (
	"context"
	"testing"
	"time"
)

// Only what refuses the login counts as a refusal, and who leaves is no silence.
func TestRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	tr := NewTransport()
	tr.countFailure(t.Context(), nil)
	for _, r := range []Reason{NoSlot, Checksum} {
		tr.countFailure(t.Context(), fail(r, "x", nil))
	}
	if tr.Counted(Refusals) != 0 || tr.Counted(Timeouts) != 0 {
		t.Error("counted as what it is not")
	}
	tr.countFailure(t.Context(), fail(BadPassword, "x", nil))
	tr.countFailure(t.Context(), fail(Silent, "x", nil))
	over, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	tr.countFailure(over, ended(over, "x"))
	left, leave := context.WithCancel(t.Context())
	leave()
	tr.countFailure(left, ended(left, "x"))
	if tr.Counted(Refusals) != 1 || tr.Counted(Timeouts) != 2 {
		t.Errorf("%d refusals, %d timeouts", tr.Counted(Refusals), tr.Counted(Timeouts))
	}
}
