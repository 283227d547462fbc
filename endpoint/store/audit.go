package store

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"provision-plugins/shared/model"
)

const (
	auditName    = "AUDIT"
	auditSubject = "audit."
	auditAge     = 400 * 24 * time.Hour
	// auditShare is the part of the store that the audit trail may take; the
	// oldest of it goes first.
	auditShare = 10
)

// auditConfig is the stream of the audit trail. Nobody can delete a message of
// it, not even through the engine's own interface.
func (e *engine) auditConfig() jetstream.StreamConfig {
	var limit int64 = -1
	if c := e.srv.JetStreamConfig(); c != nil && c.MaxStore > 0 {
		limit = c.MaxStore / auditShare
	}
	return jetstream.StreamConfig{
		Subjects:   []string{auditSubject + ">"},
		Discard:    jetstream.DiscardOld,
		MaxAge:     auditAge,
		MaxBytes:   limit,
		DenyDelete: true,
		DenyPurge:  true,
	}
}

// auditOf is the subject of this site's trail.
func (s *Store) auditOf() string { return auditSubject + s.site }

// AppendAudit writes a batch of the audit trail after the one of the sequence
// last, and returns its own. It is on disk when this returns.
func (s *Store) AppendAudit(ctx context.Context, data []byte, last uint64) (uint64, error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	seq, err := s.put(ctx, write{stream: auditStream, subject: s.auditOf(), data: data, expect: last})
	if errors.Is(err, errStale) {
		return 0, model.Errorf(model.Conflict, "somebody else has written to it")
	}
	return seq, told(err)
}

// LastAudit returns the newest batch of the audit trail and its sequence.
func (s *Store) LastAudit(ctx context.Context) ([]byte, uint64, error) {
	msg, err := s.last(ctx, auditStream, s.auditOf())
	if err != nil || msg == nil {
		return nil, 0, err
	}
	return msg.Data, msg.Sequence, nil
}

// FirstAudit returns the oldest batch of the audit trail that is kept; nil if there
// is none.
func (s *Store) FirstAudit(ctx context.Context) ([]byte, error) {
	info, err := s.stream(auditStream).Info(ctx)
	if err != nil {
		return nil, model.Errorf(model.Internal, "cannot read the audit trail: %w", err)
	}
	if info.State.Msgs == 0 {
		return nil, nil
	}
	msg, err := s.stream(auditStream).GetMsg(ctx, info.State.FirstSeq)
	if errors.Is(err, jetstream.ErrMsgNotFound) { // it has just gone
		return nil, nil
	}
	if err != nil {
		return nil, model.Errorf(model.Internal, "cannot read the audit trail: %w", err)
	}
	return msg.Data, nil
}

// AuditBefore returns the newest batch whose sequence is below seq, and its
// own; nil if there is none.
func (s *Store) AuditBefore(ctx context.Context, seq uint64) ([]byte, uint64, error) {
	info, err := s.stream(auditStream).Info(ctx)
	if err != nil {
		return nil, 0, model.Errorf(model.Internal, "cannot read the audit trail: %w", err)
	}
	for at := seq - 1; at >= info.State.FirstSeq && at > 0; at-- {
		msg, err := s.stream(auditStream).GetMsg(ctx, at)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, 0, model.Errorf(model.Internal, "cannot read the audit trail: %w", err)
		}
		if msg.Subject == s.auditOf() {
			return msg.Data, msg.Sequence, nil
		}
	}
	return nil, 0, nil
}

// ScanAudit calls fn with every batch of the audit trail, oldest first.
func (s *Store) ScanAudit(ctx context.Context, fn func(data []byte)) error {
	return s.scan(ctx, auditStream, s.auditOf(), func(msg jetstream.Msg, _ *jetstream.MsgMetadata) error {
		fn(msg.Data())
		return nil
	})
}
