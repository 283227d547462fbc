package bmc

import (
	"bytes"

	ipmibmc "github.com/bougou/go-ipmi/pkg/bmc"
	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/types"
)

// userSlots is how many users there can be, the one without a name included.
const userSlots = 10

// Account is a user of a BMC besides the one in Options.
type Account struct {
	Name, Password string
	Limit          Privilege
	Disabled       bool
}

// newUsers makes the users as they are at first: the account of Options, and the one
// without a name, who may not log in.
func (b *BMC) newUsers() {
	b.ipmi.Users = ipmibmc.NewUserStore(ipmibmc.WithMaxUsers(userSlots))
	_ = b.ipmi.Users.Update(namelessID, func(u *ipmibmc.User) error {
		u.Enabled = false
		return nil
	}) // the slot always exists
	b.secret = ""
	b.setAccount(b.password(), true)
}

// AddUser puts a user into the next free slot, from 3 on; it reports whether there
// was one.
func (b *BMC) AddUser(a Account) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := uint8(accountID + 1); id <= userSlots; id++ {
		if _, err := b.ipmi.Users.Get(id); err == nil {
			continue
		}
		return b.ipmi.Users.Upsert(id, func(u *ipmibmc.User) error {
			u.Name, u.Enabled = a.Name, !a.Disabled
			u.SetPassword([]byte(a.Password))
			u.ChannelAccess[lanChannel] = ipmibmc.UserChannelAccess{Enabled: true, MaxPrivilege: ipmibmc.PrivilegeLevel(a.Limit)}
			return nil
		}) == nil
	}
	return false
}

// Password is the password that the account of Options has now.
func (b *BMC) Password() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.password()
}

// GivePassword gives the account of Options another password, as if by magic.
func (b *BMC) GivePassword(password string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.secret = password
	b.setAccount(b.password(), true)
}

// setUserPassword is Set User Password (IPMI 2.0 §22.30), by go-ipmi's own handler.
// What it sets for the account outlives SetFaults.
func setUserPassword(next handler) handler {
	return func(b *BMC, r *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
		const head, idMask, setPassword = 2, 0x3f, 2
		resp, cc := next(b, r, data)
		if cc == types.CodeOK && len(data) > head && data[0]&idMask == accountID && data[1]&3 == setPassword {
			b.secret = string(bytes.TrimRight(data[head:], "\x00"))
			if b.faults.Odd.CutsPasswords {
				b.secret = b.secret[:min(len(b.secret), shortPassword)]
				b.setAccount(b.secret, true)
			}
		}
		return resp, cc
	}
}

// shortPassword is what is left of a password that is cut: what IPMI 1.5 has room
// for.
const shortPassword = 16

// setRestorePolicy is Set Power Restore Policy (IPMI 2.0 §28.8).
func setRestorePolicy(b *BMC, _ *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
	const all, most, unchanged, mask = 0x07, 2, 3, 0x07
	switch {
	case len(data) < 1:
		return nil, types.CodeRequestDataLengthInvalid
	case data[0]&mask > unchanged:
		return nil, types.CodeRequestDataFieldInvalid
	case data[0]&mask <= most:
		b.restore = data[0] & mask
	}
	return []byte{all}, types.CodeOK
}
