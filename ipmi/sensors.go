package main

import (
	"context"
	"fmt"
	"math"

	"github.com/bougou/go-ipmi/pkg/command/storage"
	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/facts"
	"provision-plugins/ipmi/sdr"
	"provision-plugins/shared/model"
)

// The bounds of reading a repository of sensors.
const (
	maxRecords = 2048
	wholeSDR   = math.MaxUint8
	firstPart  = 32 // bytes of a record that are asked for at once where the whole is too much
	leastPart  = 8
)

// repository is what a BMC tells of its sensors.
type repository struct {
	stamp   sdr.Stamp
	records []sdr.Record
	note    string
}

// raw is the data of an answer, as they came.
type raw []byte

// Unpack keeps the data.
func (r *raw) Unpack(data []byte) error {
	*r = data
	return nil
}

// Format is part of what go-ipmi wants of a response; nothing uses it.
func (*raw) Format() string { return "" }

// repository returns the BMC's repository of sensors (IPMI 2.0 §33): the one that is
// remembered, if the BMC says that it is still the same.
func (s *session) repository(ctx context.Context) (*repository, error) {
	stamp, err := s.repositoryStamp(ctx)
	if err != nil {
		return nil, err
	}
	if known := s.devices.repositories.get(s.peer, stamp); known != nil {
		return known, nil
	}
	for anew := 0; ; anew++ {
		out, err := s.readRepository(ctx, stamp)
		switch {
		case err == nil:
			s.devices.repositories.put(s.peer, out)
			return out, nil
		case !changedMeanwhile(err):
			return nil, err
		case anew == maxAnew:
			return nil, model.Errorf(model.Busy, "the BMC's records of sensors change while they are read; try again: %w", err)
		}
		if stamp, err = s.repositoryStamp(ctx); err != nil {
			return nil, err
		}
	}
}

// repositoryStamp reads what the repository tells of itself (IPMI 2.0 §33.9).
func (s *session) repositoryStamp(ctx context.Context) (sdr.Stamp, error) {
	var data raw
	if err := s.read(ctx, false, bare{types.CommandGetSDRRepoInfo}, &data); err != nil {
		return sdr.Stamp{}, err
	}
	stamp, err := sdr.ParseStamp(data)
	if err != nil {
		return stamp, model.Errorf(model.Unsupported, "BMC %s: cannot read its sensors: %w", s.peer, err)
	}
	return stamp, nil
}

// readRepository reads all records.
func (s *session) readRepository(ctx context.Context, stamp sdr.Stamp) (*repository, error) {
	out := &repository{stamp: stamp}
	in := recordReader{session: s, part: wholeSDR}
	bad, seen := 0, map[uint16]bool{}
	for id, n := uint16(firstRecord), 0; stamp.Records > 0; n++ {
		data, next, err := in.record(ctx, id)
		if err != nil {
			return nil, err
		}
		switch r, known, err := sdr.Parse(data); {
		case err != nil:
			bad++
		case known:
			out.records = append(out.records, r.Sensors()...)
		}
		if next == lastRecord || next == firstRecord || seen[next] || n == maxRecords {
			break
		}
		seen[next] = true
		id = next
	}
	if bad > 0 {
		out.note = fmt.Sprintf("records of sensors that cannot be read: %d", bad)
	}
	return out, nil
}

// recordReader reads records, in parts if the BMC has no room for whole ones.
type recordReader struct {
	session     *session
	part        int // how much is asked for at once
	reservation uint16
	reserved    bool
}

// record reads one record (IPMI 2.0 §33.12).
func (in *recordReader) record(ctx context.Context, id uint16) (data []byte, next uint16, err error) {
	for in.part == wholeSDR {
		data, next, err = in.read(ctx, id, 0, wholeSDR)
		if !tooMuch(err) {
			return data, next, err
		}
		in.part = firstPart
	}
	if err := in.reserve(ctx); err != nil {
		return nil, 0, err
	}
	head, next, err := in.read(ctx, id, 0, sdr.HeaderSize)
	if err != nil {
		return nil, 0, err
	}
	size, err := sdr.Length(head)
	if err != nil {
		return head, next, nil //nolint:nilerr // Parse says so of what came
	}
	data = head[:sdr.HeaderSize]
	for len(data) < size {
		part, _, err := in.read(ctx, id, len(data), min(in.part, size-len(data)))
		if tooMuch(err) && in.part > leastPart {
			in.part /= 2
			continue
		}
		if err != nil || len(part) == 0 {
			return data, next, err
		}
		data = append(data, part[:min(len(part), size-len(data))]...)
	}
	return data, next, nil
}

// tooMuch reports whether the BMC has no room for so much in an answer.
func tooMuch(err error) bool {
	return refusedWith(err, types.CodeCannotReturnRequestedDataBytes, types.CodeRequestDataLengthLimitExceeded, types.CodeParameterOutOfRange, types.CodeUnspecifiedError)
}

// reserve takes the reservation that reading in parts needs (IPMI 2.0 §33.11).
func (in *recordReader) reserve(ctx context.Context) error {
	if in.reserved {
		return nil
	}
	var res storage.ReserveSDRRepoResponse
	if err := in.session.read(ctx, false, &storage.ReserveSDRRepoRequest{}, &res); err != nil {
		return err
	}
	in.reservation, in.reserved = res.ReservationID, true
	return nil
}

// read reads a part of a record.
func (in *recordReader) read(ctx context.Context, id uint16, at, n int) (data []byte, next uint16, err error) {
	var res storage.GetSDRResponse
	req := &storage.GetSDRRequest{ReservationID: in.reservation, RecordID: id, ReadOffset: uint8(at), ReadBytes: uint8(n)}
	if err := in.session.read(ctx, false, req, &res); err != nil {
		return nil, 0, err
	}
	return res.RecordData, res.NextRecordID, nil
}

// sensors reads all sensors. One that the BMC has no reading of is told as such, and
// never as 0.
func (s *session) sensors(ctx context.Context) (*facts.Sensors, error) {
	all, err := s.repository(ctx)
	if err != nil {
		return nil, err
	}
	out := &facts.Sensors{Sensors: []facts.Sensor{}}
	if all.note != "" {
		out.Notes = append(out.Notes, all.note)
	}
	for i := range all.records {
		r := &all.records[i]
		if !r.Sensor() {
			continue
		}
		one, err := s.sensor(ctx, r)
		if err != nil {
			return nil, err
		}
		out.Sensors = append(out.Sensors, one)
	}
	return out, nil
}

// ownAddress is the BMC's own, on the bus on which others have sensors, too.
const ownAddress = 0x20

// sensor reads one sensor (IPMI 2.0 §35.14).
func (s *session) sensor(ctx context.Context, r *sdr.Record) (facts.Sensor, error) {
	out := r.Describe()
	if r.Owner != ownAddress || r.LUN != 0 {
		out.Unavailable = "another controller has it"
		return out, nil
	}
	var data raw
	if err := s.read(ctx, false, numbered{types.CommandGetSensorReading, []byte{r.Number}}, &data); err != nil {
		return unreadable(out, err)
	}
	reading, err := sdr.ParseReading(data)
	if err != nil {
		out.Unavailable = err.Error()
		return out, nil //nolint:nilerr // it is told in the answer
	}
	by := r.Factors()
	if !r.Linear() && r.Analog() && reading.Lacking == "" {
		var data raw
		if err := s.read(ctx, false, numbered{types.CommandGetSensorReadingFactors, []byte{r.Number, reading.Raw}}, &data); err != nil {
			return unreadable(out, err)
		}
		if by, err = sdr.ParseFactors(data); err != nil {
			out.Unavailable = err.Error()
			return out, nil //nolint:nilerr // it is told in the answer
		}
	}
	return r.Tell(reading, by), nil
}

// unreadable is a sensor that the BMC tells nothing of. That it cannot be asked at all is
// an error.
func unreadable(out facts.Sensor, err error) (facts.Sensor, error) {
	if !lacking(err) && !refusedWith(err, types.CodeIllegalCommand, types.CodeCannotProvideResponse, types.CodeNotSupported, types.CodeUnspecifiedError) {
		return out, err
	}
	out.Unavailable = reason(err)
	return out, nil
}

// numbered is a request with some bytes.
type numbered struct {
	command types.Command
	data    []byte
}

// Command is the command.
func (n numbered) Command() types.Command { return n.command }

// Pack returns the bytes.
func (n numbered) Pack() []byte { return n.data }
