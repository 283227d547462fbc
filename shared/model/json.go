package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// MaxBody bounds every JSON body that is read from a socket, in bytes.
const MaxBody = 16 << 20

// Encode writes v as the reference does: one line, HTML not escaped.
func Encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// Marshal is Encode into memory, without the final newline.
func Marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	if err := Encode(&buf, v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buf.Bytes(), "\n"), nil
}

// Decode reads one JSON value of at most limit bytes into v. Numbers in untyped
// places keep their digits (json.Number); anything after the value is refused.
// An empty body leaves v as it is, as the reference does.
func Decode(r io.Reader, limit int64, v any) error {
	raw, err := readBody(r, limit)
	if err != nil {
		return err
	}
	return Unmarshal(raw, v)
}

// DecodeClear is Decode that refuses what is ambiguous, see Ambiguous. V is not to be
// used then.
func DecodeClear(r io.Reader, limit int64, v any) error {
	raw, err := readBody(r, limit)
	if err != nil {
		return err
	}
	if err := Unmarshal(raw, v); err != nil { // it bounds the depth, too
		return err
	}
	if err := Ambiguous(raw); err != nil {
		return Errorf(Invalid, "cannot parse JSON: %w", err)
	}
	return nil
}

// readBody reads a bounded body.
func readBody(r io.Reader, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, Errorf(Invalid, "cannot read body: %w", err)
	}
	if int64(len(raw)) > limit {
		return nil, Errorf(Invalid, "cannot read body: larger than %d bytes", limit)
	}
	return raw, nil
}

// Unmarshal is Decode from memory.
func Unmarshal(raw []byte, v any) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		return Errorf(Invalid, "cannot parse JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Errorf(Invalid, "cannot parse JSON: more than one value")
	}
	return nil
}

// Remarshal turns a JSON value, decoded or as it came, such as Action.Model, into
// out.
func Remarshal(in, out any) error {
	if raw, ok := in.(json.RawMessage); ok {
		return Unmarshal(raw, out)
	}
	raw, err := json.Marshal(in)
	if err != nil {
		return Errorf(Invalid, "cannot encode %T: %w", in, err)
	}
	return Unmarshal(raw, out)
}
