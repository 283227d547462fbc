package bmc

import (
	"strings"
	"testing"
)

// administrator is operator for what takes more.
func administrator(t testing.TB, b *BMC, password string) *console {
	t.Helper()
	c := dial(t, b)
	c.privilege, c.password = byte(Administrator), password
	c.login()
	c.raise(Administrator)
	return c
}

// passwordCall sets a password of 20 bytes.
func passwordCall(id byte, password string) call {
	q := append(call{6, 0x47, id | 0x80, 2}, password...)
	return append(q, make([]byte, maxPassword-len(password))...)
}

// A password that was set is the one that counts, also after other faults.
func TestSetUserPassword(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := administrator(t, b, "password")
	c.must(passwordCall(accountID, "an-owl-in-the-barn"))
	b.SetFaults(Faults{})
	if got := b.Password(); got != "an-owl-in-the-barn" {
		t.Errorf("the password is %q", got)
	}
	administrator(t, b, "an-owl-in-the-barn").must(callStatus)
	old := dial(t, b)
	if _, proven := old.tryLogin(); proven {
		t.Error("the old password works")
	}
	b.SetFaults(Faults{Odd: Odd{CutsPasswords: true}})
	administrator(t, b, "an-owl-in-the-barn").must(passwordCall(accountID, "seventeen-letters"))
	if got := b.Password(); got != "seventeen-letter" {
		t.Errorf("the password is %q, and not cut", got)
	}
	executed(t, b, SetPassword, 2)
}

// tryLogin goes as far as the proof of who knows the password.
func (c *console) tryLogin() (status byte, proven bool) {
	c.open()
	return c.rakp1()
}

// Users are listed to an operator, and changed by an administrator.
func TestUsers(t *testing.T) {
	b, _ := newOne(t, Options{})
	if !b.AddUser(Account{Name: "viewer", Password: "x", Limit: User, Disabled: true}) {
		t.Fatal("no slot")
	}
	c := operator(t, b)
	if got := c.must(call{6, 0x44, 1, 3}); got[0] != userSlots || got[1]>>6 != 2 || got[3]&0x0f != byte(User) {
		t.Errorf("%x", got)
	}
	if got := c.must(call{6, 0x46, 3}); strings.TrimRight(string(got), "\x00") != "viewer" {
		t.Errorf("%q", got)
	}
	c.refused(call{6, 0x46, 4}, 0xcc)
	c.refused(passwordCall(accountID, "x"), ccPrivilege)
	for range userSlots - 3 {
		if !b.AddUser(Account{Name: strings.Repeat("x", 1+b.ipmi.Users.Count())}) {
			t.Error("no slot")
		}
	}
	if b.AddUser(Account{Name: "one more"}) {
		t.Error("a slot too many")
	}
}

// What is done when mains power comes back is told by the chassis status.
func TestRestorePolicy(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	for _, row := range []struct{ set, want byte }{{2, 2}, {1, 1}, {3, 1}, {0, 0}} {
		if got := c.must(call{0, 0x06, row.set}); got[0] != 7 {
			t.Errorf("it can do %x", got)
		}
		if got := c.must(callStatus); got[0]>>5 != row.want {
			t.Errorf("set to %d, it is %x", row.set, got[0]>>5)
		}
	}
	c.refused(call{0, 0x06, 4}, 0xcc)
	c.refused(call{0, 0x06}, 0xc7)
}

// ipmitool lists the users, sets a password, and the policy.
func TestUsersPeer(t *testing.T) {
	t.Parallel()
	b := newFleet(t, Options{}).BMC(0)
	b.AddUser(Account{Name: "viewer", Password: "x", Limit: User})
	ask := ipmitool(t, b, 17)
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"user", "list", "1"}, "viewer"},
		{[]string{"chassis", "policy", "always-on"}, "always-on"},
		{[]string{"chassis", "status"}, "Power Restore Policy : always-on"},
		{[]string{"user", "set", "password", "2", "an-owl-in-the-barn", "20"}, "successful"},
	} {
		if out, _ := ask(row.args...); !strings.Contains(out, row.want) {
			t.Errorf("%s: no %q in %s", row.args[:2], row.want, out)
		}
	}
	if b.Password() != "an-owl-in-the-barn" {
		t.Error("the password was not set")
	}
}
