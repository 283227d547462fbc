package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/app"
	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/broker"
	"provision-plugins/ipmi/facts"
	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// thisChannel is the channel that a command comes by (IPMI 2.0 §22.23).
const thisChannel = 0x0e

// maxUsers is how many users a BMC can have (IPMI 2.0 §22.27).
const maxUsers = 63

// account is a user in its slot.
type account struct {
	slot   uint8
	name   string
	access app.GetUserAccessResponse
}

// accounts reads the users that have a name, and how many there can be (IPMI 2.0
// §22.27, §22.29).
func (s *session) accounts(ctx context.Context) (out []account, slots int, err error) {
	slots = 1
	for slot := uint8(1); int(slot) <= min(slots, maxUsers); slot++ {
		a := account{slot: slot}
		if err := s.read(ctx, true, &app.GetUserAccessRequest{ChannelNumber: thisChannel, UserID: slot}, &a.access); err != nil {
			return nil, 0, err
		}
		if slot == 1 {
			slots = int(a.access.MaxUsersIDCount)
		}
		var name app.GetUsernameResponse
		err := s.read(ctx, true, &app.GetUsernameRequest{UserID: slot}, &name)
		if err != nil && !refusedWith(err, types.CodeRequestDataFieldInvalid, types.CodeRequestedDataNotPresent, types.CodeParameterOutOfRange) {
			return nil, 0, err
		}
		a.name = shown(name.Username)
		if a.name != "" || a.enabled() {
			out = append(out, a)
		}
	}
	return out, slots, nil
}

// shown is a name without what cannot be shown.
func shown(name string) string {
	name, _, _ = strings.Cut(name, "\x00")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return -1
		}
		return r
	}, name)
}

// The states in which a user can be (IPMI 2.0 §22.27).
const (
	userEnabled  = 1
	userDisabled = 2
)

// enabled reports whether the BMC says that the user may log in.
func (a *account) enabled() bool { return a.access.EnableStatus == userEnabled }

// privileges are the limits of users (IPMI 2.0 §22.26).
var privileges = map[uint8]string{1: "CALLBACK", 2: "USER", 3: "OPERATOR", 4: "ADMINISTRATOR", 5: "OEM", 0x0f: "NO ACCESS"}

// users reads the accounts.
func (s *session) users(ctx context.Context) (*facts.Users, error) {
	all, slots, err := s.accounts(ctx)
	if err != nil {
		return nil, err
	}
	out := &facts.Users{Users: []facts.User{}, Slots: slots}
	for i := range all {
		a := &all[i]
		u := facts.User{ID: fmt.Sprint(a.slot), Name: a.name, Privilege: privileges[uint8(a.access.MaxPrivLevel)]}
		if status := a.access.EnableStatus; status == userEnabled || status == userDisabled {
			is := a.enabled()
			u.Enabled = &is
		}
		out.Users = append(out.Users, u)
	}
	return out, nil
}

// administrator opens a session of its own at that privilege, in place of the one
// that is open.
func (s *session) administrator(ctx context.Context) (*session, error) {
	b := *s.board
	b.login.Administrator = true
	h, err := s.driver.broker.Open(ctx, s.driver.reach(s.peer, &b))
	if err != nil {
		return nil, administratorOnly(explain(s.peer, err, model.Read))
	}
	return s.driver.session(h, s.peer, &b), nil
}

// administratorOnly says of a privilege that is lacking which one it is.
func administratorOnly(err error) error {
	var e *rmcp.Error
	if errors.As(err, &e) && e.Reason == rmcp.Privilege || refusedWith(err, types.CodeInsufficientPrivilege) {
		return model.Errorf(model.DeviceAuth, "this takes the ADMINISTRATOR privilege: %w", err)
	}
	return err
}

// passwordChange is what setUserPassword is to do.
type passwordChange struct {
	user     string
	password model.Secret
	anew     bool // whatever change is under way is given up
}

// The sizes of passwords (IPMI 2.0 §22.30).
const (
	maxPassword   = 20
	shortPassword = 16
)

// passwordParams reads what setUserPassword is to do.
func passwordParams(t *driver.Target) (*passwordChange, error) {
	user, err := t.Params.String(paramChangeUser, "")
	if err != nil {
		return nil, err
	}
	if user == "" {
		if user, err = t.Params.String(paramUsername, ""); err != nil {
			return nil, err
		}
	}
	password, err := t.Asked.String(paramNewPassword, "")
	if err != nil {
		return nil, err
	}
	confirmed, err := t.Asked.String(paramConfirm, "")
	switch {
	case err != nil:
		return nil, err
	case password == "":
		return nil, model.Errorf(model.Invalid, "param %s is not in the request", paramNewPassword)
	case len(password) > maxPassword:
		return nil, model.Errorf(model.Invalid, "param %s: it has %d bytes, and a BMC has room for %d", paramNewPassword, len(password), maxPassword)
	case strings.ContainsRune(password, 0):
		return nil, model.Errorf(model.Invalid, "param %s: it has a zero byte, at which a BMC takes it to end", paramNewPassword)
	}
	return &passwordChange{user: user, password: model.Secret(password), anew: confirmed != "" && confirmed == t.Name}, nil
}

// setPassword changes a user's password in steps each of which can be the last before
// a crash: it is written down, set, proven by a login, and struck out. Whoever asks
// the same again finishes it, see finishPassword.
func (s *session) setPassword(ctx context.Context, c *passwordChange) (model.Result, error) {
	journal, peer := &s.driver.journal, s.peer.String()
	if err := journal.Begin(peer, c.user, c.password, time.Now()); err != nil {
		return model.Result{}, err
	}
	if err := s.orderPassword(ctx, c); err != nil {
		if model.KindOf(err) != model.UnknownOutcome {
			err = errors.Join(err, journal.End(peer, c.user)) // nothing was set
		}
		return model.Result{}, err
	}
	if err := s.driver.proves(ctx, s.peer, s.board, c); err != nil {
		return model.Result{}, unproven(err)
	}
	return s.driver.passwordSet(s.peer, s.board, c, "")
}

// finishPassword finishes the change that is under way, if the password is the one
// that it is to: nobody knows by which the BMC lets in, and to try the one before
// first would be a login that is refused. Done is false if there is a change to make.
func (d *ipmiDriver) finishPassword(ctx context.Context, t *driver.Target) (out any, done bool, err error) {
	c, err := passwordParams(t)
	if err != nil {
		return nil, true, err
	}
	b, err := parseBoard(t.Params)
	if err != nil {
		return nil, true, err
	}
	peer, err := b.resolve(ctx)
	if err != nil {
		return nil, true, err
	}
	pending, err := d.journal.Find(peer.String(), c.user)
	switch {
	case err != nil:
		return nil, true, err
	case pending == nil || c.anew:
		return nil, false, nil
	case !pending.Is(c.password):
		return nil, true, model.Errorf(model.Conflict, "a change of this password to another one was begun at %s and not finished: ask for that one again, or give it up by %s=%s",
			pending.At.Format(time.RFC3339), paramConfirm, t.Name)
	}
	err = d.proves(ctx, peer, b, c)
	if err == nil {
		out, err = d.passwordSet(peer, b, c, "the change that was begun at "+pending.At.Format(time.RFC3339)+" had been made")
		return out, true, err
	}
	if refusesLogin(err) {
		err = nil // it had not been made
	}
	return nil, err != nil, err
}

// passwordSet strikes the change out.
func (d *ipmiDriver) passwordSet(peer netip.AddrPort, b *board, c *passwordChange, note string) (model.Result, error) {
	if err := d.journal.End(peer.String(), c.user); err != nil {
		return model.Result{}, err
	}
	changed := note == ""
	if c.user == b.login.Username && c.password != b.login.Password {
		note = strings.TrimPrefix(note+"; set param "+paramPassword+" of the machine to the new one: this plugin logs in by it", "; ")
	}
	return model.Result{
		Outcome: model.Verified, Changed: &changed, Note: note,
		Evidence: fmt.Sprintf("a login of user %s with the new password", c.user),
	}, nil
}

// orderPassword sets the password (IPMI 2.0 §22.30), as an administrator.
func (s *session) orderPassword(ctx context.Context, c *passwordChange) error {
	admin, err := s.administrator(ctx)
	if err != nil {
		return err
	}
	defer admin.handle.Close()
	all, _, err := admin.accounts(ctx)
	if err != nil {
		return administratorOnly(err)
	}
	for i := range all {
		if all[i].name != c.user {
			continue
		}
		return administratorOnly(admin.change(ctx, model.Idempotent, &app.SetUserPasswordRequest{
			UserID: all[i].slot, Operation: app.PasswordOperationSetPassword,
			Stored20: len(c.password) > shortPassword, Password: string(c.password),
		}))
	}
	return model.Errorf(model.NotFound, "BMC %s has no user %.16q; getUsers tells which it has", s.peer, c.user)
}

// proves logs in with the new password, once.
func (d *ipmiDriver) proves(ctx context.Context, peer netip.AddrPort, b *board, c *passwordChange) error {
	own := *b
	own.login = rmcp.Login{Username: c.user, Password: c.password, Kg: b.login.Kg, Ways: b.login.Ways}
	t := d.reach(peer, &own)
	t.Again = true // it was set since, if it was ever refused
	h, err := d.broker.OpenOnce(ctx, t)
	if err != nil {
		return explain(peer, err, model.Read)
	}
	h.Close()
	return nil
}

// refusesLogin reports whether it is the password that a BMC refused.
func refusesLogin(err error) bool {
	var e *rmcp.Error
	return errors.As(err, &e) && (e.Reason.RefusesLogin() || e.Reason == broker.Suspended)
}

// unproven is the error of a password that was set and does not work, or was not
// tried.
func unproven(err error) error {
	if refusesLogin(err) {
		return model.Errorf(model.Conflict, "the BMC took the new password, and refuses a login with it: "+
			"it may have kept a part of it, or the user may not log in over the LAN; the change stays in the journal: %w", err)
	}
	return model.Errorf(model.UnknownOutcome, "the BMC took the new password, and no login proved it; ask for the same again: %w", err)
}
