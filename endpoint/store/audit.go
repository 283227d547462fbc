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

// openAudit makes or opens the stream of the audit trail. Nobody can delete a
// message of it, not even through the engine's own interface.
func (s *Store) openAudit(ctx context.Context, found map[string]bool) error {
	var limit int64 = -1
	if c := s.srv.JetStreamConfig(); c != nil && c.MaxStore > 0 {
		limit = c.MaxStore / auditShare
	}
	var err error
	s.audit, err = s.openStream(ctx, found, jetstream.StreamConfig{
		Name:       auditName,
		Subjects:   []string{auditSubject + ">"},
		Storage:    jetstream.FileStorage,
		Replicas:   1,
		Discard:    jetstream.DiscardOld,
		MaxAge:     auditAge,
		MaxBytes:   limit,
		DenyDelete: true,
		DenyPurge:  true,
	})
	return err
}

// auditOf is the subject of this site's trail.
func (s *Store) auditOf() string { return auditSubject + s.site }

// AppendAudit writes a batch of the audit trail after the one of the sequence
// last, and returns its own. It is on disk when this returns.
func (s *Store) AppendAudit(ctx context.Context, data []byte, last uint64) (uint64, error) {
	seq, err := s.put(ctx, write{stream: s.audit, subject: s.auditOf(), data: data, expect: last})
	if errors.Is(err, errStale) {
		return 0, model.Errorf(model.Conflict, "somebody else has written to it")
	}
	return seq, err
}

// LastAudit returns the newest batch of the audit trail and its sequence.
func (s *Store) LastAudit(ctx context.Context) ([]byte, uint64, error) {
	msg, err := s.last(ctx, s.audit, s.auditOf())
	if err != nil || msg == nil {
		return nil, 0, err
	}
	return msg.Data, msg.Sequence, nil
}

// AuditBefore returns the newest batch whose sequence is below seq, and its
// own; nil if there is none.
func (s *Store) AuditBefore(ctx context.Context, seq uint64) ([]byte, uint64, error) {
	info, err := s.audit.Info(ctx)
	if err != nil {
		return nil, 0, model.Errorf(model.Internal, "cannot read the audit trail: %w", err)
	}
	for at := seq - 1; at >= info.State.FirstSeq && at > 0; at-- {
		msg, err := s.audit.GetMsg(ctx, at)
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
	return s.scan(ctx, s.audit, s.auditOf(), func(msg jetstream.Msg, _ *jetstream.MsgMetadata) error {
		fn(msg.Data())
		return nil
	})
}
