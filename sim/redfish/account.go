package redfish

import (
	"net/http"
	"slices"
	"strconv"
)

// accountByID returns the account with an Id; nil if there is none.
func (b *BMC) accountByID(id string) *account {
	for i := range b.accounts {
		if b.accounts[i].id == id {
			return &b.accounts[i]
		}
	}
	return nil
}

// addAccount is a POST to the accounts.
func (x *exchange) addAccount() answer {
	a := account{enabled: true, role: "ReadOnly"}
	for _, p := range []struct {
		name string
		set  func(v any) *message
	}{
		{"UserName", func(v any) *message { return setText(&a.name, v) }},
		{"Password", func(v any) *message { return setText(&a.password, v) }},
		{"RoleId", func(v any) *message { return setWord(&a.role, v, roles) }},
	} {
		v, ok := x.body[p.name]
		if !ok {
			return x.fail(http.StatusBadRequest, msgMissing, p.name)
		}
		if bad := p.set(v); bad != nil {
			return x.fail(http.StatusBadRequest, *bad, shown(v), p.name)
		}
	}
	if x.b.account(a.name) != nil {
		return x.fail(http.StatusConflict, msgInUse)
	}
	if len(x.b.accounts) >= maxAccounts {
		return x.fail(http.StatusBadRequest, msgTooMany)
	}
	a.id = x.b.freeID(a.name)
	ok := x.run("add account", http.StatusCreated, func() { x.b.accounts = append(x.b.accounts, a) })
	if ok.status == http.StatusCreated {
		ok.header = map[string]string{"Location": x.b.fleet.store.href(x.path + "/" + a.id)}
	}
	return ok
}

// freeID is the Id of a new account.
func (b *BMC) freeID(name string) string {
	if b.fleet.dialect.name == "openbmc" {
		return name
	}
	n := 1
	for b.accountByID(strconv.Itoa(n)) != nil {
		n++
	}
	return strconv.Itoa(n)
}

// dropAccount is a DELETE of an account.
func (x *exchange) dropAccount() answer {
	return x.run("delete account", x.b.fleet.dialect.remove, func() {
		x.b.accounts = slices.DeleteFunc(x.b.accounts, func(a account) bool { return a.id == x.id })
	})
}
