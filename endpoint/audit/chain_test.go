package audit

import (
	"context"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// Numbers that do not follow each other are noticed, even in records that were
// written with the key.
func TestNumbersFollowEachOther(t *testing.T) {
	m := &memory{}
	trail := open(t, m)
	write(t, trail, "a")
	trail.n += 3
	write(t, trail, "b")
	if v := check(trail, m.batches); !strings.Contains(v.Broken, "missing after record 1") {
		t.Errorf("%+v", v)
	}
}

// patient is a log that writes for as long as it is asked to.
type patient struct{ *memory }

// AppendAudit keeps a batch, unless nobody waits any more.
func (p patient) AppendAudit(ctx context.Context, data []byte, last uint64) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return p.memory.AppendAudit(ctx, data, last)
}

// A client that goes away takes no record of others with it: one write is for
// all who wait.
func TestARecordOutlivesItsClient(t *testing.T) {
	m := &memory{}
	trail := open(t, m)
	trail.log = patient{m}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := trail.Write(ctx, Record{Who: "gone"}); err != nil {
		t.Error(err)
	}
	if v := check(trail, m.batches); v.Records != 1 || v.Broken != "" {
		t.Errorf("%+v", v)
	}
}

// No body has a digest that is the hash of a record.
func TestDigestsAreNoHashes(t *testing.T) {
	trail := open(t, &memory{})
	r := Record{Who: "alice"}
	sum, err := trail.sum("before", r)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := model.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if digest := trail.Digest([]byte("before\n" + string(raw))); strings.HasPrefix(sum, digest) {
		t.Error("a body can be made whose digest is a record's hash")
	}
}

// A trail that lost its newest batches goes on from what is left: the chain is
// whole, and the number and hash that were noted elsewhere tell the loss.
func TestALostEndIsToldByANotedHash(t *testing.T) {
	m := &memory{}
	trail := open(t, m)
	write(t, trail, "a", "b", "c")
	noted := check(trail, m.batches)
	m.batches = m.batches[:2]
	again := open(t, m)
	write(t, again, "d")
	v := check(again, m.batches)
	if v.Broken != "" || v.Last != noted.Last || v.Hash == noted.Hash {
		t.Errorf("noted %+v, now %+v", noted, v)
	}
}
