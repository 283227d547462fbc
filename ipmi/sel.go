package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/storage"
	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/broker"
	"provision-plugins/ipmi/facts"
	"provision-plugins/ipmi/rmcp"
	"provision-plugins/ipmi/sel"
	"provision-plugins/shared/model"
)

// The bounds of reading an event log.
const (
	maxEvents = 8192 // no BMC keeps more than a few thousand
	maxAnew   = 3    // how often it is begun anew because the log changed
)

// The IDs of records that are none (IPMI 2.0 §31.5).
const (
	firstRecord = 0x0000
	lastRecord  = 0xffff
)

// refusedWith reports whether the BMC answered one of the completion codes.
func refusedWith(err error, codes ...types.CompletionCode) bool {
	var refusal *rmcp.Refusal
	return errors.As(err, &refusal) && slices.Contains(codes, refusal.Code)
}

// changedMeanwhile reports whether the log was erased, or lost records, while it was
// read: the reservation is gone, or the record that comes next is.
func changedMeanwhile(err error) bool {
	return refusedWith(err, types.CodeReservationCanceled, types.CodeRequestedDataNotPresent)
}

// events reads the event log (IPMI 2.0 §31). The reservation tells whether it changed
// meanwhile; it is then read from the start again, and at last without.
func (s *session) events(ctx context.Context) (*facts.Log, error) {
	out, err := s.logInfo(ctx)
	if err != nil {
		return nil, err
	}
	records, note, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	out.note(note)
	names, note, err := s.names(ctx, records)
	if err != nil {
		return nil, err
	}
	out.note(note)
	out.Entries = make([]facts.Entry, 0, len(records))
	for i := range records {
		out.Entries = append(out.Entries, records[i].Entry(names))
	}
	return &out.Log, nil
}

// eventLog is a log that is being read.
type eventLog struct {
	facts.Log
	entries int // as the BMC counts them
}

// note adds a note, if there is one.
func (l *eventLog) note(text string) {
	if text != "" {
		l.Notes = append(l.Notes, text)
	}
}

// logInfo reads what the log tells of itself (IPMI 2.0 §31.2).
func (s *session) logInfo(ctx context.Context) (*eventLog, error) {
	var res storage.GetSELInfoResponse
	if err := s.read(ctx, false, &storage.GetSELInfoRequest{}, &res); err != nil {
		if refusedWith(err, types.CodeSELEraseInProgress) {
			return nil, model.Errorf(model.Busy, "the event log is being erased; try again: %w", err)
		}
		return nil, err
	}
	out := &eventLog{entries: int(res.Entries)}
	if free := int(res.FreeBytes); free != math.MaxUint16 { // which tells that there is as much or more
		out.Free = &free
	}
	out.Overflow = res.OperationSupport.Overflow
	out.Added = sel.Time(uint32(res.RecentAdditionTime.Unix()))
	out.Erased = sel.Time(uint32(res.RecentEraseTime.Unix()))
	return out, nil
}

// records reads all records.
func (s *session) records(ctx context.Context) (records []sel.Record, note string, err error) {
	for anew := 0; ; anew++ {
		var reservation uint16
		if anew < maxAnew {
			if reservation, err = s.reserveLog(ctx); err != nil {
				return nil, "", err
			}
		}
		records, note, err = s.recordsUnder(ctx, reservation)
		switch {
		case err == nil && anew == maxAnew:
			return records, "the log changed while it was read; what came or went meanwhile may be missing", nil
		case err == nil, !changedMeanwhile(err):
			return records, note, err
		case anew == maxAnew:
			return records, "the log changed while it was read, and is told as far as it was read", nil
		}
	}
}

// reserveLog reserves the log (IPMI 2.0 §31.4). A BMC that cannot is read without.
func (s *session) reserveLog(ctx context.Context) (uint16, error) {
	var res storage.ReserveSELResponse
	err := s.read(ctx, false, &storage.ReserveSELRequest{}, &res)
	if refusedWith(err, types.CodeInvalidCommand, types.CodeNotSupported) {
		return 0, nil
	}
	return res.ReservationID, err
}

// recordsUnder reads all records under a reservation; with an error those that came
// before it.
func (s *session) recordsUnder(ctx context.Context, reservation uint16) (records []sel.Record, note string, err error) {
	seen := map[uint16]bool{}
	for id := uint16(firstRecord); ; {
		var res storage.GetSELEntryResponse
		req := &storage.GetSELEntryRequest{ReservationID: reservation, RecordID: id, ReadBytes: math.MaxUint8}
		err := s.read(ctx, false, req, &res)
		if id == firstRecord && refusedWith(err, types.CodeRequestedDataNotPresent) {
			return nil, "", nil // an empty log has no first record
		}
		if err != nil {
			return records, "", err
		}
		r, err := sel.Parse(res.Data)
		if err != nil {
			return nil, "", model.Errorf(model.Unreachable, "BMC %s: cannot read its event log: %w", s.peer, err)
		}
		records = append(records, r)
		id = res.NextRecordID
		switch {
		case id == lastRecord:
			return records, "", nil
		case id == firstRecord || seen[id]:
			return records, fmt.Sprintf("the log runs in circles: record %d comes again", id), nil
		case len(records) == maxEvents:
			return records, fmt.Sprintf("the log has more than %d records; the rest was not read", maxEvents), nil
		}
		seen[id] = true
	}
}

// names returns the names of the sensors that records are of. Where the BMC does not
// tell them the numbers do.
func (s *session) names(ctx context.Context, records []sel.Record) (sel.Names, string, error) {
	if len(records) == 0 {
		return nil, "", nil
	}
	repository, err := s.repository(ctx)
	if err != nil && lacking(err) {
		return nil, "the names of sensors: " + reason(err), nil
	}
	if err != nil {
		return nil, "", err
	}
	return sel.NewNames(repository.records), repository.note, nil
}

// erasePoll is how often it is asked how far an erasure is.
const erasePoll = 250 * time.Millisecond

// clearEvents erases the event log (IPMI 2.0 §31.9). The reservation makes sure that
// nothing is erased that came after: one that was lost is taken anew, as nothing was
// erased then.
func (s *session) clearEvents(ctx context.Context) (model.Result, error) {
	before, err := s.logInfo(ctx)
	if err != nil {
		return model.Result{}, err
	}
	for anew := 0; ; anew++ {
		reservation, err := s.reserveLog(ctx)
		if err != nil {
			return model.Result{}, err
		}
		if err = s.erase(ctx, reservation); err == nil || model.KindOf(err) == model.UnknownOutcome {
			return s.erased(ctx, before, err)
		}
		if !refusedWith(err, types.CodeReservationCanceled) || anew == maxAnew {
			return model.Result{}, err
		}
	}
}

// erase orders the erasure, once.
func (s *session) erase(ctx context.Context, reservation uint16) error {
	var res storage.ClearSELResponse
	return s.do(ctx, &broker.Call{
		Call: rmcp.Call{
			Request: &storage.ClearSELRequest{ReservationID: reservation}, Response: &res, Class: model.Once,
		},
		Operator: true,
	})
}

// erased waits until the log is erased, and makes sure of it by what the log tells.
func (s *session) erased(ctx context.Context, before *eventLog, sent error) (model.Result, error) {
	for {
		now, err := s.logInfo(ctx)
		switch {
		case err == nil && (now.entries == 0 || now.entries < before.entries):
			changed := before.entries > 0
			return model.Result{
				Outcome: model.Verified, Changed: &changed,
				Evidence: fmt.Sprintf("%d events before, %d after", before.entries, now.entries),
			}, nil
		case err == nil && sent != nil:
			return model.Result{}, sent
		case err == nil && later(now.Erased, before.Erased):
			changed := true
			return model.Result{
				Outcome: model.Verified, Changed: &changed,
				Evidence: fmt.Sprintf("the log says that it was erased at %s", now.Erased.Format(time.RFC3339)),
			}, nil
		case err != nil && model.KindOf(err) != model.Busy:
			return model.Result{}, model.Errorf(model.UnknownOutcome, "the erasure was ordered, and the log cannot be read since: %w", err)
		}
		if !wait(ctx, erasePoll) {
			return model.Result{}, model.Errorf(model.Timeout, "the BMC took the order, and still tells %d events", before.entries)
		}
	}
}

// later reports whether a time is after another.
func later(now, was *time.Time) bool { return now != nil && (was == nil || now.After(*was)) }

// wait waits; it reports false if the time is over before.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
