package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Envelope is what was sent to the app over Socket Mode.
type Envelope struct {
	// ID is what its acknowledgement names.
	ID string

	// Type is slash_commands, interactive or events_api.
	Type string

	// Payload is what is in it.
	Payload json.RawMessage

	// Socket is the number of the socket it went to, 0 if there was none, and Copies
	// how often it was sent.
	Socket, Copies int

	// Attempt is 0 at first, and counts what was sent again for want of an
	// acknowledgement.
	Attempt int

	// Acks counts its acknowledgements, and Late says that the first came after the
	// user had seen an error.
	Acks int
	Late bool

	// Answer is the payload of the first acknowledgement.
	Answer json.RawMessage

	// answers tells that Slack takes a payload with its acknowledgement.
	answers bool
	over    bool // nobody waits for its acknowledgement any more
}

// Envelopes returns what was sent to the app, in order.
func (s *Server) Envelopes() []Envelope {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Envelope, 0, len(s.link.envelopes))
	for _, e := range s.link.envelopes {
		out = append(out, *e)
	}
	return out
}

// The errors a user sees when the app does not answer.
const (
	// NotConnected is that of an app without a socket.
	NotConnected = "dispatch_failed"
	// NoAck is that of an app that does not acknowledge in time.
	NoAck = "operation_timeout"
)

// dispatch sends an envelope and waits for its acknowledgement. seen is the error
// the user sees, empty if it was acknowledged in time; err is that of ctx.
func (s *Server) dispatch(ctx context.Context, e *Envelope, payload any) (seen string, err error) {
	if e.Payload, err = json.Marshal(payload); err != nil {
		return "", fmt.Errorf("cannot encode a payload: %w", err)
	}
	to, acked, faults := s.register(e)
	if to == nil {
		return NotConnected, nil
	}
	timeout := time.NewTimer(s.opts.AckTimeout)
	defer timeout.Stop()
	if faults.Delay > 0 {
		late := time.NewTimer(faults.Delay)
		defer late.Stop()
		select {
		case <-late.C:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	for range e.Copies {
		// A socket that breaks now leaves the envelope without acknowledgement.
		_ = to.send(e.object())
	}
	select {
	case <-acked:
		return "", nil
	case <-timeout.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Acks > 0 {
		return "", nil
	}
	e.over = true
	return NoAck, err
}

// register keeps an envelope and chooses its socket, nil if there is none.
func (s *Server) register(e *Envelope) (to *socket, acked chan struct{}, faults SocketFaults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	if e.ID == "" {
		e.ID = fmt.Sprintf("00000000-0000-4000-8000-%012d", s.seq)
	}
	s.link.envelopes = append(s.link.envelopes, e)
	defer s.changedNow()
	live := s.live()
	if len(live) == 0 {
		e.over = true
		return nil, nil, s.link.faults
	}
	s.link.next++
	to, acked, faults = live[s.link.next%len(live)], make(chan struct{}), s.link.faults
	e.Socket, e.Copies = to.number, 1+faults.Copies
	if faults.Lose {
		e.Copies = 0
	}
	s.link.waiting[e.ID] = acked
	return to, acked, faults
}

// object is an envelope as it is sent.
func (e *Envelope) object() map[string]any {
	out := map[string]any{"envelope_id": e.ID, "type": e.Type, "accepts_response_payload": e.answers, "payload": e.Payload}
	if e.Type == typeEvent {
		out["retry_attempt"], out["retry_reason"] = e.Attempt, ""
		if e.Attempt > 0 {
			out["retry_reason"] = "timeout"
		}
	}
	return out
}

// acknowledge takes a message of the app. What is no acknowledgement of an
// envelope that was sent, or is too long, is dropped, as Slack does.
func (s *Server) acknowledge(raw []byte) {
	var ack struct {
		ID      string          `json:"envelope_id"`
		Payload json.RawMessage `json:"payload"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(raw) >= maxAck || json.Unmarshal(raw, &ack) != nil {
		s.complain("an acknowledgement of %d bytes was dropped: it is no JSON or has %d bytes or more", len(raw), maxAck)
		return
	}
	i := slices.IndexFunc(s.link.envelopes, func(e *Envelope) bool { return e.ID == ack.ID && e.Socket != 0 })
	if i < 0 {
		s.complain("an acknowledgement names no envelope that was sent")
		return
	}
	e := s.link.envelopes[i]
	if e.Acks++; e.Acks == 1 {
		e.Late, e.Answer = e.over, ack.Payload
		close(s.link.waiting[e.ID])
		delete(s.link.waiting, e.ID)
	}
	s.changedNow()
}
