package bmc

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	ipmibmc "github.com/bougou/go-ipmi/pkg/bmc"
	"github.com/bougou/go-ipmi/pkg/clock"
	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/rmcpplus"
	"github.com/bougou/go-ipmi/pkg/types"
)

// idleTimeout is after how long without a datagram a session ends (IPMI 2.0
// §6.12.15).
const idleTimeout = 60 * time.Second

// The window of session sequence numbers that are accepted (IPMI 2.0 §6.12.13).
const (
	windowAhead  = 15
	windowBehind = 16
)

// lanChannel is the channel all sessions are on.
const lanChannel = 1

// session is an active session: what go-ipmi knows of it, and what the replay
// rule and a repeated handshake need.
type session struct {
	*ipmibmc.Session
	*cryptor

	high uint32 // the highest sequence number accepted
	seen uint32 // bit n: high-n was accepted

	rakp3, rakp4 []byte // the last handshake message and its answer
}

// accept applies the sequence number rule to an authentic datagram.
func (s *session) accept(seq uint32, replays bool) bool {
	ahead := int64(seq) - int64(s.high)
	if seq == 0 || ahead > windowAhead || ahead < -windowBehind {
		return false
	}
	if ahead > 0 {
		s.seen = s.seen<<ahead | 1
		s.high = seq
		return true
	}
	bit := uint32(1) << -ahead
	if s.seen&bit != 0 && !replays {
		return false
	}
	s.seen |= bit
	return true
}

// ipmiClock lends the fleet's clock to go-ipmi, which asks it for the time
// only: its timers belong to features that are not used here.
type ipmiClock struct {
	clock.Clock
	now func() time.Time
}

// Now returns the fleet's time.
func (c ipmiClock) Now() time.Time { return c.now() }

// newSessions returns empty session slots that forget a session here when they
// forget it there.
func (b *BMC) newSessions() *ipmibmc.SessionStore {
	s := ipmibmc.NewSessionStoreWithOptions(b.ipmi.Clock(),
		ipmibmc.WithMaxSessions(b.opts.Sessions),
		// The store allows its tolerance on top.
		ipmibmc.WithInactivityTimeout(idleTimeout-ipmibmc.DefaultInactivityTimeoutTolerance))
	s.SetOnRemove(func(id uint32) { delete(b.sessions, id) })
	return s
}

// openSession answers an RMCP+ Open Session Request (IPMI 2.0 §13.17).
func (b *BMC) openSession(r *request) []byte {
	b.ipmi.Sessions.EvictExpired()
	if b.faults.SessionsFull && len(r.payload) >= rmcpplus.OpenSessionResponseMinSize {
		full := rmcpplus.OpenSessionResponse{
			MessageTag:             r.payload[0],
			RmcpStatusCode:         types.RmcpStatusCodeNoResToCreateSess,
			RemoteConsoleSessionID: binary.LittleEndian.Uint32(r.payload[4:]),
		}
		return framePlus(types.PayloadTypeRmcpOpenSessionResponse, full.Pack())
	}
	if b.deaf(r.payload) {
		return nil
	}
	resp, err := handlers.HandleOpenSession(context.Background(), b.ipmi, r.payload)
	if err != nil {
		return nil
	}
	b.executed.add(SessionRequest)
	return framePlus(types.PayloadTypeRmcpOpenSessionResponse, resp)
}

// rakp1 answers RAKP message 1 (IPMI 2.0 §13.20).
func (b *BMC) rakp1(r *request) []byte {
	const fixed, lengthAt = 28, 27
	if len(r.payload) < fixed {
		return nil
	}
	if n := int(r.payload[lengthAt]); n > maxName || fixed+n > len(r.payload) {
		return nil
	}
	payload, ok := b.oddRAKP1(r.payload, binary.LittleEndian.Uint32(r.payload[4:]))
	if !ok {
		return nil
	}
	resp, err := handlers.HandleRAKP1(context.Background(), b.ipmi, payload)
	if err != nil {
		return nil
	}
	b.executed.add(RAKP1)
	if resp[1] == byte(types.RmcpStatusCodeUnauthorizedName) {
		b.executed.add(LoginRefused)
	}
	return framePlus(types.PayloadTypeRAKPMessage2, resp)
}

// rakp3 answers RAKP message 3 (IPMI 2.0 §13.22) and opens the session.
func (b *BMC) rakp3(r *request) []byte {
	if len(r.payload) < 8 {
		return nil
	}
	id := binary.LittleEndian.Uint32(r.payload[4:])
	if s := b.sessions[id]; s != nil {
		// The session is open: a repeated message gets the same answer, any
		// other is not for a session that is in use.
		if !bytes.Equal(s.rakp3, r.payload) {
			return nil
		}
		return framePlus(types.PayloadTypeRAKPMessage4, s.rakp4)
	}
	pending, err := b.ipmi.Sessions.Get(id)
	known := err == nil
	resp, err := handlers.HandleRAKP3(context.Background(), b.ipmi, r.payload)
	if err != nil {
		return nil
	}
	b.executed.add(RAKP3)
	switch {
	case resp[1] == byte(types.RmcpStatusCodeNoErrors) && known:
		b.activate(pending, r.payload, resp)
	case known && r.payload[1] != byte(types.RmcpStatusCodeIllegalParameter):
		// A console that gives up for another reason than the proof it was
		// given has not failed to log in.
		b.refused()
	}
	return framePlus(types.PayloadTypeRAKPMessage4, resp)
}

// activate starts a session at USER, or below if no more was asked for
// (IPMI 2.0 §22.18). It may be raised to what the handshake agreed on
// and the account allows.
func (b *BMC) activate(s *ipmibmc.Session, rakp3, rakp4 []byte) {
	c, ok := newCryptor(s)
	if !ok {
		return
	}
	limit := ipmibmc.PrivilegeLevel(b.opts.Limit)
	if asked := ipmibmc.PrivilegeLevel(s.Role & 0x0f); asked != 0 {
		limit = min(limit, asked)
	}
	s.MaxPrivilege = min(s.MaxPrivilege, limit)
	s.PrivilegeLevel = min(s.MaxPrivilege, ipmibmc.PrivilegeLevelUser)
	b.sessions[s.BMCID] = &session{
		Session: s, cryptor: c, seen: 1,
		rakp3: bytes.Clone(rakp3), rakp4: rakp4,
	}
	b.executed.add(SessionOpen)
}

// refused counts a login that failed and locks the account if that is too many.
func (b *BMC) refused() {
	b.executed.add(LoginRefused)
	b.failedLogins++
	if b.faults.LockoutAfter > 0 && b.failedLogins >= b.faults.LockoutAfter {
		b.setAccount(b.password(), false)
	}
}

// password returns the password the account has now.
func (b *BMC) password() string {
	password := []byte(b.opts.Password)
	if b.secret != "" {
		password = []byte(b.secret)
	}
	if b.faults.WrongPassword {
		password[0] ^= 1
	}
	return string(password)
}

// The slots of users (IPMI 2.0 §6.9.1): the user without a name, who may not
// log in, and the one account.
const (
	namelessID = 1
	accountID  = 2
)

// setAccount sets the password of the account and whether it may log in.
func (b *BMC) setAccount(password string, enabled bool) {
	_ = b.ipmi.Users.Upsert(accountID, func(u *ipmibmc.User) error {
		u.Name = b.opts.Username
		u.SetPassword([]byte(password))
		u.Enabled = enabled
		u.ChannelAccess[lanChannel] = ipmibmc.UserChannelAccess{
			Enabled:      true,
			MaxPrivilege: ipmibmc.PrivilegeLevel(b.opts.Limit),
		}
		return nil
	}) // the slot and the name are checked in Options
}
