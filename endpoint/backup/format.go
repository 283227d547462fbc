package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"strconv"
	"time"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

const (
	// maxLine bounds a line: the largest value as base64, and what stands round it.
	maxLine = store.MaxValue/3*4 + 1<<20
	// sumLength is how much of a line's checksum is written, in bytes.
	sumLength = 8
)

// The types of lines, in the order they come.
const (
	typeHead   = "oob-snapshot"
	typeKey    = "key"
	typeObject = "object"
	typeRecord = "record"
	typeAudit  = "audit"
	typeEnd    = "end"
)

// Head is the first line: what a snapshot is of.
type Head struct {
	Schema  int       // the layout
	Time    time.Time // when it was taken
	Site    string
	Version string // of the program that took it
	// Revision and Sequence are those of the newest object and run record.
	Revision, Sequence uint64
	// MasterKey tells one master key from another, and nothing about it.
	MasterKey string
}

// keyLine is the master key.
type keyLine struct{ Master []byte }

// objectLine is an object.
type objectLine struct {
	Prefix, ID string
	Unique     map[string]string `json:",omitempty"`
	Key        []byte            `json:",omitempty"`
	Value      json.RawMessage
}

// recordLine is a run record.
type recordLine struct {
	Prefix, ID string
	Data       blob
}

// auditLine is a batch of the audit trail.
type auditLine struct{ Data blob }

// endLine is the last line.
type endLine struct {
	Counts Counts
	Sum    string // of all lines before it
}

// Counts are how much a snapshot has.
type Counts struct{ Objects, Records, Audit int }

// blob is bytes that come back as they were: an object of JSON stands as it is,
// anything else as base64.
type blob []byte

// MarshalJSON implements json.Marshaler.
func (b blob) MarshalJSON() ([]byte, error) {
	var compact bytes.Buffer
	if len(b) > 0 && b[0] == '{' && json.Compact(&compact, b) == nil && bytes.Equal(compact.Bytes(), b) {
		return b, nil
	}
	return json.Marshal(base64.StdEncoding.EncodeToString(b))
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *blob) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '{' {
		*b = bytes.Clone(raw)
		return nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	data, err := base64.StdEncoding.DecodeString(text)
	*b = data
	return err
}

// writer writes lines.
type writer struct {
	out  *bufio.Writer
	sum  hash.Hash // of all lines
	line int
}

// newWriter returns a writer to w.
func newWriter(w io.Writer) *writer {
	return &writer{out: bufio.NewWriterSize(w, 1<<20), sum: sha256.New()}
}

// write writes one line.
func (w *writer) write(kind string, v any) error {
	data, err := model.Marshal(v)
	if err != nil {
		return model.Errorf(model.Internal, "cannot encode a line of the snapshot: %w", err)
	}
	w.line++
	line := encodeLine(w.line, kind, data)
	w.sum.Write(line)
	_, err = w.out.Write(line)
	return err
}

// end writes the last line.
func (w *writer) end(c Counts) error {
	if err := w.write(typeEnd, endLine{Counts: c, Sum: hex.EncodeToString(w.sum.Sum(nil))}); err != nil {
		return err
	}
	return w.out.Flush()
}

// encodeLine makes a line of its data.
func encodeLine(n int, kind string, data []byte) []byte {
	line := make([]byte, 0, len(data)+64)
	line = append(line, `{"sum":"`...)
	line = append(line, lineSum(n, kind, data)...)
	line = append(line, `","type":"`...)
	line = append(line, kind...)
	line = append(line, `","data":`...)
	line = append(line, data...)
	return append(line, "}\n"...)
}

// lineSum is the checksum of a line. Its number is in it, so that lines that are
// missing, doubled or swapped are found where they are.
func lineSum(n int, kind string, data []byte) string {
	h := sha256.New()
	h.Write(strconv.AppendInt(nil, int64(n), 10))
	h.Write([]byte(" " + kind + " "))
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil)[:sumLength])
}

// reader reads lines and checks them.
type reader struct {
	in   *bufio.Reader
	sum  hash.Hash
	line int
}

// newReader returns a reader of r.
func newReader(r io.Reader) *reader {
	return &reader{in: bufio.NewReaderSize(r, 1<<20), sum: sha256.New()}
}

// next returns the next line's type and data. After the last line it is io.EOF;
// a file that ends before is cut off.
func (r *reader) next() (kind string, data json.RawMessage, err error) {
	r.line++
	before := r.sum.Sum(nil)
	raw, err := r.raw()
	if err != nil {
		return "", nil, err
	}
	var line struct {
		Sum  string          `json:"sum"`
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(raw, &line); err != nil {
		return "", nil, r.refuse("it is no line of a snapshot")
	}
	if !bytes.Equal(encodeLine(r.line, line.Type, line.Data), raw) {
		return "", nil, r.refuse("it was changed: its checksum does not fit")
	}
	r.sum.Write(raw)
	if line.Type == typeEnd {
		return typeEnd, line.Data, r.checkEnd(line.Data, before)
	}
	return line.Type, line.Data, nil
}

// raw reads one line with its newline.
func (r *reader) raw() ([]byte, error) {
	var raw []byte
	for {
		part, err := r.in.ReadSlice('\n')
		raw = append(raw, part...)
		switch {
		case err == nil:
			return raw, nil
		case len(raw) > maxLine:
			return nil, r.refuse("it is longer than any line of a snapshot")
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return nil, r.refuse("the file ends here, before its end")
		}
		return nil, model.Errorf(model.Internal, "cannot read the snapshot: %w", err)
	}
}

// checkEnd compares the last line with all before it, and refuses what follows.
func (r *reader) checkEnd(data, sum []byte) error {
	var end endLine
	if err := json.Unmarshal(data, &end); err != nil || end.Sum != hex.EncodeToString(sum) {
		return r.refuse("the checksum of the whole file does not fit")
	}
	if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
		r.line++
		return r.refuse("there is more after the end")
	}
	return nil
}

// refuse is the refusal of a snapshot for one of its lines.
func (r *reader) refuse(why string) error {
	return model.Errorf(model.Invalid, "cannot use the snapshot: line %d: %s", r.line, why)
}
