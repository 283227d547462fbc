package bmc

// Locked reports whether the account was locked by refused logins (see
// Faults.LockoutAfter).
func (b *BMC) Locked() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.faults.LockoutAfter > 0 && b.failedLogins >= b.faults.LockoutAfter
}
