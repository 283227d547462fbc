package store

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"provision-plugins/shared/model"
)

// The audit trail is appended to in its order, kept over a restart, and not to
// be deleted from.
func TestAuditIsOnlyAppended(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	s := open(t, dir)
	if data, seq, err := s.LastAudit(ctx); data != nil || seq != 0 || err != nil {
		t.Fatalf("empty: %s, %d, %v", data, seq, err)
	}
	if data, err := s.FirstAudit(ctx); data != nil || err != nil {
		t.Fatalf("empty: %s, %v", data, err)
	}
	var last uint64
	for _, text := range []string{"one", "two", "three"} {
		seq, err := s.AppendAudit(ctx, []byte(text), last)
		must(t, err)
		last = seq
	}
	_, err := s.AppendAudit(ctx, []byte("late"), last-1)
	wantKind(t, err, model.Conflict)
	s = reopen(t, s, dir)
	first, err := s.FirstAudit(ctx)
	must(t, err)
	if string(first) != "one" {
		t.Errorf("the first is %q", first)
	}
	if err := s.stream(auditStream).DeleteMsg(ctx, 1); err == nil {
		t.Error("a batch was deleted")
	}
	if err := s.stream(auditStream).Purge(ctx); err == nil {
		t.Error("the trail was purged")
	}
	var all []string
	must(t, s.ScanAudit(ctx, func(data []byte) { all = append(all, string(data)) }))
	if len(all) != 3 || all[0] != "one" || all[2] != "three" {
		t.Errorf("scanned %q", all)
	}
	var back []string
	for at := last + 1; ; {
		data, seq, err := s.AuditBefore(ctx, at)
		must(t, err)
		if data == nil {
			break
		}
		back, at = append(back, string(data)), seq
	}
	if len(back) != 3 || back[0] != "three" {
		t.Errorf("backwards %q", back)
	}
	cfg := s.stream(auditStream).CachedInfo().Config
	if !cfg.DenyDelete || !cfg.DenyPurge || cfg.MaxAge != auditAge || cfg.Discard != jetstream.DiscardOld || cfg.MaxBytes <= 0 {
		t.Errorf("%+v", cfg)
	}
}
