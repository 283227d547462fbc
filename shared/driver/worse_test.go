package driver

import (
	"errors"
	"testing"

	"provision-plugins/shared/model"
)

// TestDoubtOutlivesLaterTries: what one try of a change left in doubt stays in
// doubt, whatever a later try tells; of two that leave it so the worse is told.
func TestDoubtOutlivesLaterTries(t *testing.T) {
	of := func(kind model.Kind) error {
		if kind == "" {
			return nil
		}
		return model.Errorf(kind, "it was %s", kind)
	}
	st := step{name: "identify", changes: true}
	for _, row := range []struct{ before, now, want model.Kind }{
		{"", model.Unreachable, model.Unreachable},
		{model.UnknownOutcome, model.Unreachable, model.UnknownOutcome},
		{model.UnknownOutcome, model.Timeout, model.UnknownOutcome},
		{model.UnknownOutcome, model.Busy, model.UnknownOutcome},
		{model.UnknownOutcome, model.DeviceAuth, model.UnknownOutcome},
		{model.Timeout, model.Unreachable, model.Timeout},
		{model.Timeout, model.UnknownOutcome, model.UnknownOutcome},
		// Nothing was executed before: what is told last counts.
		{model.Unreachable, model.Busy, model.Busy},
		{model.Busy, model.Unreachable, model.Unreachable},
		{model.Busy, model.Timeout, model.Timeout},
	} {
		if got := model.KindOf(st.told(of(row.before), of(row.now))); got != row.want {
			t.Errorf("%s and then %s is told as %s, want %s", row.before, row.now, got, row.want)
		}
		if got := model.KindOf(st.untaken(of(row.before), of(row.now))); got != row.want {
			t.Errorf("%s and then no session, %s, is told as %s, want %s", row.before, row.now, got, row.want)
		}
	}
}

// TestDoubtTellsBoth: both causes stand in the text, unless the second is no more
// than the end of the time.
func TestDoubtTellsBoth(t *testing.T) {
	before := model.Errorf(model.UnknownOutcome, "the reply was lost")
	got := worse(before, model.Errorf(model.Unreachable, "nobody answers")).Error()
	if want := worse(nil, model.Errorf(model.UnknownOutcome, "the reply was lost; then nobody answers")).Error(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := worse(before, model.Errorf(model.Timeout, "%w", errTimeOver)); !errors.Is(got, before) {
		t.Errorf("%v, want %v", got, before)
	}
}

// TestReadsTellTheLastTry: a read leaves nothing in doubt.
func TestReadsTellTheLastTry(t *testing.T) {
	st := step{name: "read state"}
	before, now := model.Errorf(model.Timeout, "slow"), model.Errorf(model.Unreachable, "gone")
	if got := model.KindOf(st.told(before, now)); got != model.Unreachable {
		t.Errorf("told as %s", got)
	}
	if got := model.KindOf(st.untaken(before, now)); got != model.Unreachable {
		t.Errorf("without a session told as %s", got)
	}
}
