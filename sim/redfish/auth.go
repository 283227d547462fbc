package redfish

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// account is who may log in (ManagerAccount).
type account struct {
	id, name, password, role string
	enabled                  bool
	failed                   int // refused logins since the last good one
}

// session is a login (Session).
type session struct {
	id, token, user string
	made, used      time.Time
	requests        int
}

// firstAccount is the Id of the account there is at first.
func (f *Fleet) firstAccount() string {
	if f.dialect.name == "openbmc" {
		return f.opts.Username
	}
	return "1"
}

// open reports whether a request needs no login: the versions, the root, and the
// login itself (DSP0266 §13.3).
func (x *exchange) open() bool {
	return (x.path == root || x.path == versions) && x.reads() || x.op == "session open"
}

// reads reports whether a request changes nothing.
func (x *exchange) reads() bool {
	return x.r.Method == http.MethodGet || x.r.Method == http.MethodHead
}

// authenticate finds out who asks. The answer is the refusal, if there is one.
func (x *exchange) authenticate() *answer {
	if x.open() {
		return nil
	}
	if token := x.r.Header.Get("X-Auth-Token"); token != "" {
		return x.byToken(token)
	}
	name, password, ok := x.r.BasicAuth()
	if !ok || x.b.faults.NoBasic {
		a := x.fail(http.StatusUnauthorized, msgNoSession)
		if !x.b.faults.NoBasic {
			a.header = map[string]string{"WWW-Authenticate": `Basic realm="Redfish"`}
		}
		return &a
	}
	if x.who = x.b.login(name, password); x.who == nil {
		a := x.fail(http.StatusUnauthorized, msgBadLogin)
		return &a
	}
	return x.privileged()
}

// byToken finds the session of a token.
func (x *exchange) byToken(token string) *answer {
	for i := range x.b.sessions {
		s := &x.b.sessions[i]
		if s.token != token {
			continue
		}
		s.requests++
		if most := x.b.faults.ForgetsSessions; most > 0 && s.requests > most {
			break
		}
		s.used = x.now
		if x.who = x.b.account(s.user); x.who != nil {
			return x.privileged()
		}
	}
	a := x.fail(http.StatusUnauthorized, msgNoSession)
	return &a
}

// privileged refuses what the role of the account does not allow: only
// administrators configure users and managers, operators change systems, and
// read-only accounts close their own sessions.
func (x *exchange) privileged() *answer {
	ok := x.reads() || x.who.role == "Administrator" || x.op == "session close"
	if x.who.role == "Operator" && !ok {
		ok = !strings.Contains(x.op, "account") && x.op != "bmc reset"
	}
	if ok {
		return nil
	}
	a := x.fail(http.StatusForbidden, msgForbidden)
	return &a
}

// login returns the account of a name and password; nil if there is none, or it may
// not log in.
func (b *BMC) login(name, password string) *account {
	a := b.account(name)
	if a == nil || !a.enabled || b.locked(a) {
		return nil
	}
	if b.faults.WrongPassword || a.password != password {
		a.failed++
		return nil
	}
	a.failed = 0
	return a
}

// locked reports whether an account is locked for refused logins.
func (b *BMC) locked(a *account) bool {
	return b.faults.LockoutAfter > 0 && a.failed >= b.faults.LockoutAfter
}

// account returns the account with a user name; nil if there is none.
func (b *BMC) account(name string) *account {
	for i := range b.accounts {
		if b.accounts[i].name == name {
			return &b.accounts[i]
		}
	}
	return nil
}

// expire closes the sessions that were not used for too long.
func (b *BMC) expire(now time.Time) {
	kept := b.sessions[:0]
	for _, s := range b.sessions {
		if now.Sub(s.used) < b.fleet.opts.SessionTimeout {
			kept = append(kept, s)
		}
	}
	clear(b.sessions[len(kept):])
	b.sessions = kept
}

// openSession is a POST to the sessions.
func (x *exchange) openSession() answer {
	b, d := x.b, x.b.fleet.dialect
	for _, name := range []string{"UserName", "Password"} {
		if _, ok := x.body[name].(string); !ok {
			return x.fail(http.StatusBadRequest, msgMissing, name)
		}
	}
	who := b.login(x.body["UserName"].(string), x.body["Password"].(string))
	if who == nil {
		b.did("session refused")
		return x.fail(http.StatusUnauthorized, msgBadLogin)
	}
	if b.faults.SessionsFull || len(b.sessions) >= b.fleet.opts.Sessions {
		return x.fail(http.StatusServiceUnavailable, msgFull)
	}
	b.did(x.op)
	b.tokens++
	s := session{id: strconv.Itoa(int(b.tokens)), token: b.token(), user: who.name, made: x.now, used: x.now}
	b.sessions = append(b.sessions, s)
	location := b.fleet.store.href(x.path + "/" + s.id)
	if d.fullLocation {
		location = "https://" + x.r.Host + location
	}
	v := x.view()
	v.who = who
	body := v.show(b.fleet.store.resources[x.path+"/*"], s.id)
	return answer{status: http.StatusCreated, body: body, header: map[string]string{"X-Auth-Token": s.token, "Location": location}}
}

// token makes the token of the session that is opened last.
func (b *BMC) token() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d/%d", b.fleet.opts.Seed, b.index, b.tokens))
	return hex.EncodeToString(sum[:16])
}

// closeSession is a DELETE of a session.
func (x *exchange) closeSession() answer {
	for i, s := range x.b.sessions {
		if s.id != x.id {
			continue
		}
		if x.who.role != "Administrator" && x.who.name != s.user {
			return x.fail(http.StatusForbidden, msgForbidden)
		}
		x.b.sessions = append(x.b.sessions[:i:i], x.b.sessions[i+1:]...)
		x.b.did(x.op)
		break
	}
	return x.success(x.b.fleet.dialect.remove)
}

// rateLimit counts the requests of one second.
type rateLimit struct {
	second time.Time
	count  int
}

// over counts a request and reports whether it is one too many; 0 is no limit.
func (l *rateLimit) over(now time.Time, limit int) bool {
	if limit == 0 {
		return false
	}
	if now.Sub(l.second) >= time.Second {
		*l = rateLimit{second: now}
	}
	l.count++
	return l.count > limit
}
