package bmc

import "testing"

// TestLocked follows the account to its lock and out of it.
func TestLocked(t *testing.T) {
	b, _ := newOne(t, Options{})
	b.SetFaults(Faults{LockoutAfter: 3})
	for n := range 3 {
		if b.Locked() {
			t.Errorf("locked after %d refusals, want 3", n)
		}
		c := dial(t, b)
		c.password = "guess"
		c.open()
		c.rakp1()
		c.rakp3()
	}
	if !b.Locked() {
		t.Error("not locked after 3 refusals")
	}
	b.SetFaults(Faults{LockoutAfter: 3})
	if b.Locked() {
		t.Error("still locked after new faults")
	}
}
