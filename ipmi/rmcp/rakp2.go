package rmcp

import (
	"context"
	"crypto/hmac"
	"encoding/binary"
	"time"
)

// rakp12 exchanges random numbers and lets the BMC prove that it knows the
// password.
func (h *handshake) rakp12(ctx context.Context) *Error {
	k := &h.keys
	a, err := h.exchange(ctx, stepRAKP1, func(dst []byte) []byte {
		dst = append(dst, 0, 0, 0)
		dst = binary.LittleEndian.AppendUint32(dst, k.managedID)
		dst = append(dst, k.consoleRnd[:]...)
		dst = append(dst, k.role, 0, 0, uint8(len(k.username)))
		return append(dst, k.username...)
	})
	if err == nil {
		err = h.proves(a)
	}
	if err = h.doubt(ctx, stepRAKP1, err, h.proves); err != nil {
		return err
	}
	return h.newestRAKP2(ctx)
}

// proves takes a RAKP 2 that proves that the BMC knows the password; any other
// is an error, and changes nothing.
func (h *handshake) proves(a *setupAnswer) *Error {
	k := h.keys
	copy(k.managedRnd[:], a.data[8:])
	copy(k.guid[:], a.data[24:])
	if !hmac.Equal(k.rakp2(), a.data[40:a.n]) {
		return k.mismatch(a.data[40:a.n])
	}
	// These alone: who receives reads the console's id meanwhile.
	h.keys.managedRnd, h.keys.guid, h.proved = k.managedRnd, k.guid, true
	return nil
}

// mismatch is the error of a proof that is not the one expected. A BMC that
// hashes another privilege level than it should is told from one with another
// password: its proof is right by its own way.
func (s *setup) mismatch(proof []byte) *Error {
	s.unhashed ^= nameOnlyLookup
	defer func() { s.unhashed ^= nameOnlyLookup }()
	if hmac.Equal(s.rakp2(), proof) {
		return fail(OtherHash, stepRAKP1.name, nil)
	}
	return fail(BadPassword, stepRAKP1.name, errProof)
}

// minDoubt is the least time to look out for another answer after one that
// refuses.
const minDoubt = 30 * time.Millisecond

// doubt looks out for another answer to a step after one that refuses the login,
// and returns what counts. Who sees our datagrams can forge a refusal, and a
// network can garble one; nobody but the BMC can make an answer that passes.
func (h *handshake) doubt(ctx context.Context, st *step, refusal *Error, check func(*setupAnswer) *Error) *Error {
	if refusal == nil || !refusal.Reason.RefusesLogin() {
		return refusal
	}
	timer := time.NewTimer(max(h.rtt, minDoubt))
	defer timer.Stop()
	for {
		a, err := h.await(ctx, st, []sent{{h.tag, time.Now()}}, timer)
		switch {
		case a != nil:
			if err = check(a); err == nil {
				h.t.drop(DropForged) // the one before
				return nil
			}
		case err == nil:
			return refusal
		case err.Reason == LostSession:
			// The BMC ended the session with the refusal: so it answers a copy of
			// what it refused. That undoes no failed login.
		case !err.Reason.RefusesLogin():
			return err
		}
	}
}

// firstLinger bounds the look out of a first handshake where nothing came twice yet.
const firstLinger = 300 * time.Millisecond

// lookout is how long to wait for a second RAKP 2. A first handshake waits for one
// round trip more: to cross there and once again is two failed logins, after which
// none is tried for long. Where something came twice already it waits for longer.
func (h *handshake) lookout() time.Duration {
	switch {
	case h.linger > 0 || !h.wary: // who cannot begin anew gains nothing by a second answer
		return h.linger
	case h.crossed:
		return min(max(2*h.rtt, minLinger), lastLinger) // a slow BMC is sent copies too
	}
	return min(h.rtt, firstLinger)
}

// newestRAKP2 waits for further answers with the same tag: a network that doubles RAKP 1 makes the BMC draw another
// random number. Which of two it drew last cannot be told from the order in which
// they come: a handshake that is wary begins anew, which is no failed login, and
// any other believes the order.
func (h *handshake) newestRAKP2(ctx context.Context) *Error {
	wait := h.lookout()
	if wait == 0 {
		return nil
	}
	h.overtaken = false
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		a, err := h.await(ctx, stepRAKP1, []sent{{h.tag, time.Now()}}, timer)
		switch {
		case a != nil:
			if before := h.keys.managedRnd; h.proves(a) != nil {
				h.t.drop(DropForged)
			} else if h.crossed = true; h.wary && h.keys.managedRnd != before {
				h.doubled = true
				return fail(LostSession, stepRAKP1.name, errDoubled)
			}
		case err == nil && h.overtaken && h.wary:
			// An earlier RAKP 1 was answered after the newest: maybe it came after it.
			h.doubled = true
			return fail(LostSession, stepRAKP1.name, errDoubled)
		case err == nil:
			return nil
		case !err.Reason.RefusesLogin():
			return err
		}
	}
}
