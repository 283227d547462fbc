package rmcp

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/app"
	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/shared/model"
)

// maxTries bounds the transmissions of a command. If none is answered the
// session is more likely gone than the network that bad.
const maxTries = 3

// Call is one command to execute.
type Call struct {
	Request types.Request
	// Response is filled from a good answer; nil if nothing is of interest.
	Response types.Response
	// Class decides what may be sent: a command of class once leaves as exactly
	// one datagram; all others are sent again, with a fresh sequence number,
	// until they are answered.
	Class model.Class
	// Wait is how long the answer of a command that is sent once is waited for
	// at least; default 2 s. A slow BMC gets more.
	Wait time.Duration
	// OnSilence, if set, is called when the first try was not answered.
	OnSilence func()
	// Lenient takes an answer whose own checksum is wrong. It is authenticated
	// all the same.
	Lenient bool
}

// Session is an open RMCP+ session. Do must be called by one goroutine at a
// time; the other methods by any. A resting session has no goroutine, no timer
// and no socket of its own.
type Session struct {
	t         *Transport
	peer      netip.AddrPort
	consoleID uint32
	managedID uint32
	suite     uint8
	privilege uint8
	lenient   bool          // takes answers with a wrong checksum
	wake      chan struct{} // an outcome is there
	out       []byte        // scratch of Do

	mu       sync.Mutex // guards everything below
	keys     *keys
	sequence uint32 // of the newest packet sent
	rqSeq    uint8  // of the newest request sent
	window   window
	pending  pending
	rtt      time.Duration
	heard    time.Time // when the BMC last answered
	lossy    bool      // see handshake
	stale    bool
	closed   bool
}

// pending is the command in flight.
type pending struct {
	active  bool
	netFn   uint8 // of the answer
	cmd     uint8
	first   uint8  // the request sequence number of the first transmission
	seqs    uint64 // those of all transmissions, as bits
	sent    [lossyTries]time.Time
	lenient bool // takes an answer whose checksum is wrong
	// The outcome.
	done bool
	code uint8
	data []byte
	lost Reason
}

// newSession returns the session a handshake is about to get.
func newSession(h *handshake, k *keys) *Session {
	return &Session{
		t: h.t, peer: h.target.Peer,
		consoleID: h.keys.consoleID, managedID: h.keys.managedID,
		suite: h.keys.suite.id, privilege: h.keys.role &^ nameOnlyLookup,
		lenient: h.target.Login.Ways.NoChecksum, lossy: h.lost,
		wake: make(chan struct{}, 1),
		keys: k,
		out:  make([]byte, 0, 128),
	}
}

// learn records the round trip of the handshake, which also is an answer.
func (s *Session) learn(rtt time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rtt, s.heard = rtt, time.Now()
}

// Known returns what the session taught about the BMC.
func (s *Session) Known() Known {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known()
}

// MayControl reports whether the login got OPERATOR. The session itself begins
// at USER (IPMI 2.0 §22.18) and has to be raised.
func (s *Session) MayControl() bool { return s.privilege >= uint8(types.PrivilegeLevelOperator) }

// Heard returns when the BMC last answered in this session.
func (s *Session) Heard() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard
}

// Stale reports whether a datagram that changes something may still be on its
// way: such a session must be discarded before the next change.
func (s *Session) Stale() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stale
}

// Do executes one command. The error is a *Refusal if the BMC answered that it
// did not, else an *Error.
func (s *Session) Do(ctx context.Context, c *Call) error {
	command := c.Request.Command()
	data := c.Request.Pack()
	s.begin(command)
	s.ease(c.Lenient)
	err := s.transact(ctx, c, command, data)
	s.t.countFailure(ctx, err)
	p := s.end(err != nil && err.Sent && c.Class != model.Read)
	switch {
	case err != nil:
		return err
	case p.code != 0:
		return &Refusal{command, types.CompletionCode(p.code)}
	case c.Response == nil:
		return nil
	}
	if cause := c.Response.Unpack(p.data); cause != nil {
		return &Error{Reason: Protocol, Step: command.Name, Err: cause, Sent: true}
	}
	return nil
}

// begin makes the command the one in flight.
func (s *Session) begin(command types.Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.wake:
	default:
	}
	s.pending = pending{
		active: true,
		netFn:  uint8(command.NetFn) | 1, // answers have the odd number
		cmd:    command.ID,
		first:  (s.rqSeq + 1) % seqCount,
	}
}

// ease makes the command in flight take answers with a wrong checksum, if
// lenient.
func (s *Session) ease(lenient bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending.lenient = lenient || s.lenient
}

// end takes the outcome; mark makes the session stale.
func (s *Session) end(mark bool) pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pending
	s.pending = pending{}
	s.stale = s.stale || mark
	return p
}

// transact sends the command and waits, as often as its class allows.
func (s *Session) transact(ctx context.Context, c *Call, command types.Command, data []byte) *Error {
	k, cause := s.t.socket(s.peer)
	if cause != nil {
		return unsent(command.Name, cause)
	}
	k.join(s)
	defer k.leave(s)
	tries, wait, more := s.patience(c)
	for n := range tries {
		if n > 0 {
			s.mark(c.Class != model.Read)
			s.t.count(Retransmits)
		}
		if ctx.Err() != nil {
			return left(ctx, command.Name, n > 0)
		}
		sent, cause := s.transmit(k, n, command, data)
		if cause != nil {
			err := unsent(command.Name, cause)
			err.Sent = n > 0
			return err
		}
		if answered, err := s.await(ctx, k, sent.Add(wait), command.Name); answered || err != nil {
			return err
		}
		if n == 0 && c.OnSilence != nil {
			c.OnSilence()
		}
		wait = more(wait)
	}
	return &Error{Reason: Silent, Step: command.Name, Err: unanswered(tries), Sent: true}
}

// patience is how often a command is sent at most, how long the first answer is
// waited for, and how long the next one after a wait.
func (s *Session) patience(c *Call) (tries int, wait time.Duration, more func(time.Duration) time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.Class == model.Once:
		return 1, onceFor(c.Wait, s.rtt), longer
	case s.lossy:
		return lossyTries, lossyTry(s.t.FirstTry, s.rtt), func(wait time.Duration) time.Duration { return wait }
	}
	return maxTries, tryFor(s.t.FirstTry, s.rtt), longer
}

// left is the error of a command whose caller has left.
func left(ctx context.Context, step string, sent bool) *Error {
	err := ended(ctx, step)
	err.Sent = sent
	return err
}

// await waits for an outcome, which also is what the network and the Transport's
// end bring, for the time to be up or the end of the caller.
func (s *Session) await(ctx context.Context, k *socket, until time.Time, step string) (answered bool, err *Error) {
	for woken := true; woken; {
		k.read(ctx, s, until)
		woken = s.sleep(ctx, until)
		if answered, err = s.outcome(step); answered || err != nil {
			return answered, err
		}
	}
	if ctx.Err() != nil {
		return false, left(ctx, step, true)
	}
	return false, nil
}

// sleep waits until the session is woken, and reports false if the time was up
// before, or the caller has left.
func (s *Session) sleep(ctx context.Context, until time.Time) (woken bool) {
	select {
	case <-s.wake: // without a timer
		return true
	default:
	}
	timer := s.t.timer(time.Until(until))
	defer s.t.rest(timer)
	select {
	case <-s.wake:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// outcome is that of the command in flight, if it has one: an answer, or an error.
func (s *Session) outcome(step string) (answered bool, err *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if lost := s.pending.lost; lost != "" && !s.pending.done {
		return false, &Error{Reason: lost, Step: step, Sent: true}
	}
	return s.pending.done, nil
}

// mark makes the session stale if changed.
func (s *Session) mark(changed bool) {
	if changed {
		s.mu.Lock()
		s.stale = true
		s.mu.Unlock()
	}
}

// transmit sends the command once more, under fresh sequence numbers. mu is not
// held while sending: the socket may first have to tell of a returned datagram,
// perhaps to this session.
func (s *Session) transmit(k *socket, n int, command types.Command, data []byte) (at time.Time, err error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return at, net.ErrClosed
	}
	s.out = s.seal(s.out[:0], command, data)
	s.pending.seqs |= 1 << s.rqSeq
	at = time.Now()
	s.pending.sent[n] = at
	s.mu.Unlock()
	return at, k.send(s.out, s.peer)
}

// seal appends the datagram of one request. mu is held.
func (s *Session) seal(dst []byte, command types.Command, data []byte) []byte {
	var buf [64]byte
	s.rqSeq = (s.rqSeq + 1) % seqCount
	s.sequence++
	return s.keys.seal(dst, s.managedID, s.sequence,
		appendRequest(buf[:0], uint8(command.NetFn), command.ID, s.rqSeq, data))
}

// receive checks a datagram and, if it answers the command in flight, ends the
// wait.
func (s *Session) receive(p *packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.accept(p); !ok {
		s.t.drop(d)
	}
}

// accept does the work of receive: the reason tells which check failed.
func (s *Session) accept(p *packet) (Drop, bool) {
	switch {
	case p.session != s.consoleID || p.kind != payloadIPMI:
		return DropUnexpected, false
	case !s.keys.authentic(p):
		return DropForged, false
	case !p.encrypted:
		return DropPlain, false
	case !s.window.accept(p.sequence):
		return DropReplayed, false
	}
	plain, ok := s.keys.open(p.payload)
	if !ok {
		return DropMalformed, false
	}
	m, ok := parseResponse(plain)
	if !ok {
		return DropMalformed, false
	}
	w := &s.pending
	if !w.active || w.done || m.netFn != w.netFn || m.cmd != w.cmd || w.seqs&(1<<m.seq) == 0 {
		return DropUnexpected, false
	}
	if !m.sound && !w.lenient {
		// Another try would have no other answer.
		w.lost = Checksum
		s.signal()
		return DropMalformed, false
	}
	now := time.Now()
	n := (m.seq - w.first) % seqCount
	took := now.Sub(w.sent[n])
	s.rtt = smooth(s.rtt, took)
	s.lossy = s.lossy || n > 0 && took < w.sent[1].Sub(w.sent[0]) // what was sent before was not slow, but lost
	s.heard = now
	w.done, w.code = true, m.code
	w.data = append([]byte(nil), m.data...)
	s.signal()
	return 0, true
}

// unreachable takes news from the network.
func (s *Session) unreachable(r Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending.active && !s.pending.done {
		s.pending.lost = r
		s.signal()
	}
}

// signal wakes the waiter.
func (s *Session) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close tells the BMC that the session ends (IPMI 2.0 §22.19) and forgets it.
// It waits for nothing and may be called again.
func (s *Session) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	id := binary.LittleEndian.AppendUint32(nil, s.managedID)
	b := s.seal(nil, types.CommandCloseSession, id)
	copies := courtesies(s.lossy)
	s.mu.Unlock()
	s.t.unregister(s.peer, s.consoleID, s)
	for range copies {
		_ = s.t.send(b, s.peer) // a courtesy: the BMC times it out too
	}
}

// Discard closes the session and waits for the BMC to confirm, so that nothing
// sent in it can be executed any more. A BMC that stays silent has most likely
// forgotten the session by itself.
func (s *Session) Discard(ctx context.Context) {
	req := &app.CloseSessionRequest{SessionID: s.managedID}
	_ = s.Do(ctx, &Call{Request: req, Class: model.Read})
	s.Close()
}
