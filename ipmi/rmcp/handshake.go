package rmcp

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"time"
)

// step is one request of session setup and the answer it waits for.
type step struct {
	name   string
	send   payloadType
	want   payloadType
	minLen int           // of an answer without error
	tries  int           // 0: until the time is up
	most   time.Duration // between two copies
	// newest takes the answer to the newest transmission only. A BMC draws a
	// new random number for each RAKP 1, so an answer to an earlier one no
	// longer holds.
	newest bool
	// same sends the same datagram again, tag and all. A BMC whose answer to RAKP 3
	// was lost has the session open, and answers nothing but a copy.
	same bool
}

// The steps (IPMI 2.0 §13.17 to §13.23).
var (
	stepOpen  = &step{"Open Session", payloadOpenRequest, payloadOpenResponse, 36, 0, maxOpenTry, false, false}
	stepRAKP1 = &step{"RAKP 1", payloadRAKP1, payloadRAKP2, 40, 4, maxTry, true, false}
	stepRAKP3 = &step{"RAKP 3", payloadRAKP3, payloadRAKP4, 8, 4, maxTry, false, true}
)

// setupMax is the longest answer of session setup: RAKP 2 with a SHA-256 code.
const setupMax = 72

// setupRequestMax is the longest request of session setup: RAKP 1 with a user name
// of 16 bytes has 44.
const setupRequestMax = 64

// answersAtOnce is how many answers may come before the first is looked at. Where
// the network doubles all, Open Session, RAKP 1 and the end of the handshake before
// have four each, and they may come by one call.
const answersAtOnce = 16

// setupAnswer is an answer of session setup, copied out of its datagram.
type setupAnswer struct {
	kind payloadType
	n    int
	data [setupMax]byte
	at   time.Time
	took time.Duration // since the transmission it answers
	lost Reason        // set instead of all the others: no answer will come
}

// tag is the tag of the transmission it answers.
func (a *setupAnswer) tag() uint8 { return a.data[0] }

// status is its status code.
func (a *setupAnswer) status() status { return status(a.data[1]) }

// minSetup is the shortest answer of session setup: a tag and a status. Some
// BMCs leave the rest of a refusal out.
const minSetup = 2

// setupID is the console session id that an answer of session setup is for; 0
// if it does not say.
func setupID(p *packet) (uint32, bool) {
	switch p.kind {
	case payloadOpenResponse, payloadRAKP2, payloadRAKP4:
	default:
		return 0, false
	}
	if len(p.payload) < 8 {
		return 0, len(p.payload) >= minSetup
	}
	return binary.LittleEndian.Uint32(p.payload[4:]), true
}

// sent is one transmission of a step.
type sent struct {
	tag uint8
	at  time.Time
}

// handshake is one try to open a session.
type handshake struct {
	t      *Transport
	target *Target
	keys   setup
	// deadline ends this and every later try.
	deadline time.Time
	// wait is the time before the first retransmission of a step.
	wait time.Duration
	rtt  time.Duration
	tag  uint8
	// crossed tells that some message went out, or some answer came, twice: a
	// mismatch may then mean no more than that two of them crossed.
	crossed bool
	// proved tells that the BMC knows the password: if it refuses ours all the
	// same, a doubled RAKP 1 is the likely cause.
	proved bool
	// linger is how long to look out for a later RAKP 2 than the first; wary tells
	// not to choose between two, and doubled that there were two.
	linger        time.Duration
	wary, doubled bool
	// single sends RAKP 1 once, and a probe every message: a refusal then has no other
	// explanation than wrong credentials, or a network that doubles.
	single bool
	// lossy tells that some message was lost, and is not only slow to be answered:
	// it is sent again as soon, and more often. lost tells that it was seen in this
	// Open, and is not only known of earlier ones.
	lossy, lost bool
	// overtaken tells that a RAKP 2 came that answers an earlier RAKP 1 than the newest.
	overtaken bool
	answers   chan *setupAnswer
	out       [headerLen + setupRequestMax]byte // scratch of transmit
}

// newHandshake prepares a try with a fresh session id and random number.
func (t *Transport) newHandshake(p *plan) *handshake {
	h := &handshake{
		t: t, target: p.target, deadline: p.deadline, wait: p.wait, rtt: p.rtt, linger: p.linger,
		single:  p.refusals > 0,
		lossy:   p.lossy,
		lost:    p.lost,
		wary:    p.doubled < maxWary && !p.target.Probe,
		answers: make(chan *setupAnswer, answersAtOnce),
	}
	h.keys = setup{
		suite: p.suites[0], role: nameOnlyLookup | p.privilege, username: p.target.Login.Username,
		mac: newAuthenticator(p.suites[0].hash),
	}
	if p.target.Login.Ways.OpenPrivilege {
		h.keys.unhashed = nameOnlyLookup
	}
	copy(h.keys.kuid[:], p.target.Login.Password)
	h.keys.kg = h.keys.kuid
	if p.target.Login.Kg != "" {
		h.keys.kg = [keyLen]byte{}
		copy(h.keys.kg[:], p.target.Login.Kg)
	}
	var random [5]byte
	for h.keys.consoleID == 0 {
		rand.Read(random[:]) // never fails
		h.keys.consoleID = binary.LittleEndian.Uint32(random[:])
	}
	h.tag = random[4]
	rand.Read(h.keys.consoleRnd[:])
	return h
}

// nameOnlyLookup in the role byte makes the BMC find the user by name alone
// (IPMI 2.0 Table 13-11).
const nameOnlyLookup = 0x10

// receive takes an answer of session setup. It drops what cannot be one.
func (h *handshake) receive(p *packet) {
	id, ok := setupID(p)
	if !ok || p.session != 0 {
		h.t.drop(DropUnexpected)
		return
	}
	a := &setupAnswer{kind: p.kind, at: time.Now()}
	a.n = copy(a.data[:], p.payload)
	// A refusal may lack the id, because the BMC does not know the session or
	// is sparing; its tag then has to do. Nothing else may.
	if id != h.keys.consoleID && (id != 0 || a.status() == statusOK) {
		h.t.drop(DropUnexpected)
		return
	}
	select {
	case h.answers <- a:
	default:
		h.t.drop(DropUnexpected)
	}
}

// unreachable takes news from the network, or of the Transport's end. Where there is no
// room for it, answers are there to be looked at, and the next transmission
// brings the news again.
func (h *handshake) unreachable(r Reason) {
	select {
	case h.answers <- &setupAnswer{lost: r}:
	default:
	}
}

// run goes through the four messages and returns the session.
func (h *handshake) run(ctx context.Context) (*Session, *Error) {
	k, cause := h.t.socket(h.target.Peer)
	if cause != nil {
		return nil, unsent(stepOpen.name, cause)
	}
	k.join(nil)
	defer k.leave(nil)
	h.t.register(h.target.Peer, h.keys.consoleID, h)
	s, err := h.negotiate(ctx)
	if err != nil {
		h.t.unregister(h.target.Peer, h.keys.consoleID, h)
		return nil, err
	}
	return s, nil
}

// negotiate is run without the bookkeeping.
func (h *handshake) negotiate(ctx context.Context) (*Session, *Error) {
	if err := h.openSession(ctx); err != nil {
		return nil, err
	}
	if err := h.rakp12(ctx); err != nil {
		// The BMC holds a slot for a session that will not be: tell it.
		h.abandon(h.keys.managedID, err.Reason)
		return nil, err
	}
	return h.rakp34(ctx)
}

// openSession asks for a session with one suite and privilege.
func (h *handshake) openSession(ctx context.Context) *Error {
	a, err := h.exchange(ctx, stepOpen, func(dst []byte) []byte {
		dst = append(dst, h.keys.role&^nameOnlyLookup, 0, 0)
		dst = binary.LittleEndian.AppendUint32(dst, h.keys.consoleID)
		for i, alg := range h.algorithms() {
			dst = append(dst, uint8(i), 0, 0, 8, alg, 0, 0, 0)
		}
		return dst
	})
	if err != nil {
		if errors.Is(err.Err, statusIllegal) {
			// A BMC older than a suite does not know its algorithms at all.
			err.Reason = NoSuite
		}
		return err
	}
	h.keys.managedID = binary.LittleEndian.Uint32(a.data[8:])
	for i, alg := range h.algorithms() {
		if a.data[12+8*i+4]&typeMask != alg {
			return fail(NoSuite, stepOpen.name, errAlgorithm)
		}
	}
	if h.keys.managedID == 0 {
		return fail(Protocol, stepOpen.name, errNoID)
	}
	return nil
}

// algorithms lists the suite's, in the order of the Open Session payloads.
func (h *handshake) algorithms() [3]uint8 {
	s := h.keys.suite
	return [3]uint8{s.auth, s.integrity, s.confidentiality}
}

// rakp34 proves that we know the password, and takes the session.
func (h *handshake) rakp34(ctx context.Context) (*Session, *Error) {
	k := &h.keys
	sik := k.sessionKey()
	code, proof := bytes.Clone(k.rakp3()), bytes.Clone(k.rakp4(sik))
	packetKeys, cause := k.deriveKeys(sik)
	if cause != nil {
		return nil, fail(Protocol, stepRAKP3.name, cause)
	}
	s := newSession(h, packetKeys)
	a, err := h.exchange(ctx, stepRAKP3, func(dst []byte) []byte {
		dst = append(dst, 0, 0, 0)
		dst = binary.LittleEndian.AppendUint32(dst, k.managedID)
		return append(dst, code...)
	})
	checks := func(a *setupAnswer) *Error {
		if !hmac.Equal(proof, a.data[8:a.n]) {
			return fail(BadKg, stepRAKP3.name, errCheck)
		}
		return nil
	}
	if err == nil {
		err = checks(a)
	}
	if err = h.doubt(ctx, stepRAKP3, err, checks); err != nil {
		// The BMC may have the session open, with these keys.
		s.Close()
		return nil, err
	}
	s.learn(h.rtt)
	h.t.register(h.target.Peer, k.consoleID, s)
	return s, nil
}

// abandon tells the BMC in a RAKP 3 that a session will not be (IPMI 2.0 §13.22),
// and why: only a proof that does not match is a login that failed, such as a BMC
// may count. Nothing is waited for.
func (h *handshake) abandon(managedID uint32, why Reason) {
	code, copies := statusIllegal, courtesies(h.lossy)
	if why.RefusesLogin() {
		code, copies = statusBadIntegrity, 1
	}
	b := appendHeader(make([]byte, 0, headerLen+8), uint8(payloadRAKP3), 0, 0, 8)
	b = append(b, h.tag^0x80, uint8(code), 0, 0) // a tag that answers nothing: the handshake may go on
	b = binary.LittleEndian.AppendUint32(b, managedID)
	for range copies {
		_ = h.t.send(b, h.target.Peer) // a courtesy: the BMC times it out too
	}
}

// courtesies is how often a BMC is told that a session ends. Nobody hears whether it
// arrives, and where it does not the BMC keeps one of its few slots for a minute.
func courtesies(lossy bool) int {
	if lossy {
		return 3
	}
	return 1
}

// spare gives back the session of another answer to Open Session than the one that
// was taken: the BMC makes one of each copy, and has few slots.
func (h *handshake) spare(a *setupAnswer) {
	if a.kind != payloadOpenResponse || a.status() != statusOK || a.n < stepOpen.minLen || h.keys.managedID == 0 {
		return
	}
	if id := binary.LittleEndian.Uint32(a.data[8:]); id != 0 && id != h.keys.managedID {
		h.abandon(id, LostSession)
	}
}

// exchange sends a message, again after each silence, and returns the answer.
// body appends the message after its tag. Every transmission has its own tag,
// which tells what an answer is the answer to.
func (h *handshake) exchange(ctx context.Context, st *step, body func([]byte) []byte) (*setupAnswer, *Error) {
	out := make([]sent, 0, 4) // more are rare
	tries, wait := h.patience(st)
	timer := h.t.timer(wait)
	defer h.t.rest(timer)
	for n := 0; tries == 0 || n < tries; n++ {
		left := time.Until(h.deadline)
		if left <= 0 {
			break
		}
		if ctx.Err() != nil { // nobody would take the answer, and the slot that goes with it
			return nil, ended(ctx, st.name)
		}
		if n == 1 {
			h.crossed = true
			h.target.silent()
		}
		if n > 0 {
			h.t.count(Retransmits)
		}
		if n == 0 || !st.same {
			h.tag++
		}
		out = append(out, sent{h.tag, time.Now()})
		if err := h.transmit(st, body); err != nil {
			return nil, unsent(st.name, err)
		}
		timer.Reset(min(wait, left))
		a, err := h.await(ctx, st, out, timer)
		if a != nil && (n == 0 || !st.same) { // else it may answer any of the copies
			h.learn(a.took)
			h.lost = h.lost || lostBefore(out, a.tag(), a.took)
			h.lossy = h.lossy || h.lost
		}
		if a != nil || err != nil {
			return a, err
		}
		if tries == 1 {
			h.target.silent()
		}
		if !h.lossy {
			wait = longerTo(st.most, wait)
		}
	}
	return nil, fail(Silent, st.name, unanswered(len(out)))
}

// patience is how often a message is sent at most, and how long the first answer is
// waited for.
func (h *handshake) patience(st *step) (tries int, wait time.Duration) {
	switch {
	case h.single && h.target.Probe && st != stepRAKP1:
		return 1, onceFor(0, h.rtt)
	case h.single && st == stepRAKP1 && h.lossy:
		return 1, 2 * lossyTry(h.t.FirstTry, h.rtt)
	case h.single && st == stepRAKP1:
		return 1, onceFor(0, h.rtt)
	case h.lossy && st.tries > 1:
		return lossyTries, lossyTry(h.t.FirstTry, h.rtt)
	}
	return st.tries, h.wait
}

// lostBefore reports whether an answer tells that what was sent before was lost: it
// is the answer to the newest of several transmissions, and came sooner than the
// first was waited for.
func lostBefore(out []sent, tag uint8, took time.Duration) bool {
	n := len(out)
	return n > 1 && out[n-1].tag == tag && took < out[1].at.Sub(out[0].at)
}

// transmit sends the message of a step once.
func (h *handshake) transmit(st *step, body func([]byte) []byte) error {
	payload := body(append(h.out[headerLen:headerLen], h.tag))
	b := appendHeader(h.out[:0], uint8(st.send), 0, 0, len(payload))
	return h.t.send(append(b, payload...), h.target.Peer)
}

// await waits for the answer to one of the transmissions. It returns nothing
// when the timer ends.
func (h *handshake) await(ctx context.Context, st *step, out []sent, timer *time.Timer) (*setupAnswer, *Error) {
	for {
		select {
		case a := <-h.answers:
			if a.lost != "" {
				return nil, fail(a.lost, st.name, nil)
			}
			if fits(a, st, out) {
				return judge(a, st)
			}
			// Two answers to one Open Session mean that more may come twice.
			h.overtaken = h.overtaken || st == stepRAKP1 && a.kind == payloadRAKP2
			h.crossed = h.crossed || a.kind == payloadRAKP2 || a.kind == payloadOpenResponse
			h.spare(a)
			h.t.drop(DropUnexpected)
		case <-timer.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ended(ctx, st.name)
		}
	}
}

// fits reports whether an answer is one to this step, and notes how long it
// took.
func fits(a *setupAnswer, st *step, out []sent) bool {
	if a.kind != st.want || a.status() == statusOK && a.n < st.minLen {
		return false
	}
	if st.newest {
		out = out[len(out)-1:]
	}
	for _, s := range out {
		if s.tag == a.tag() {
			a.took = a.at.Sub(s.at)
			return true
		}
	}
	return false
}

// learn adjusts the waiting to the BMC's round trip.
func (h *handshake) learn(took time.Duration) {
	h.rtt = smooth(h.rtt, took)
	h.wait = max(h.wait, tryFor(h.t.FirstTry, h.rtt))
}

// judge turns a status into an error.
func judge(a *setupAnswer, st *step) (*setupAnswer, *Error) {
	if s := a.status(); s != statusOK {
		return nil, fail(s.reason(), st.name, s)
	}
	return a, nil
}

// ended is the error of a wait that the caller ended. The caller's cause may
// tell that its time was over, or that all is being closed.
func ended(ctx context.Context, step string) *Error {
	cause := context.Cause(ctx)
	switch {
	case ctx.Err() == context.DeadlineExceeded, errors.Is(cause, context.DeadlineExceeded):
		return fail(Silent, step, cause)
	case errors.Is(cause, net.ErrClosed):
		return fail(Closed, step, cause)
	}
	return fail(Cancelled, step, cause)
}
