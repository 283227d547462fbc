package vbox

import (
	"bytes"
	"strings"
)

// maxFields is how many keys are kept of one output.
const maxFields = 20_000

// Fields are the keys and values that a command prints with --machinereadable.
type Fields map[string]string

// ParseFields reads such output. Lines that are no key and value are passed
// over; of a key that comes twice the first counts, so that text that a user
// wrote into a later value cannot replace it. It never fails.
func ParseFields(out []byte) Fields {
	f := Fields{}
	for len(out) > 0 && len(f) < maxFields {
		key, rest, ok := fieldKey(out)
		if !ok {
			out = afterLine(out)
			continue
		}
		var value string
		value, out = fieldValue(rest)
		if _, have := f[key]; !have {
			f[key] = value
		}
	}
	return f
}

// fieldKey reads a key at the begin of a line, quoted or not, up to its equals
// sign.
func fieldKey(line []byte) (key string, rest []byte, ok bool) {
	if line[0] == '"' {
		key, rest, ok = quoted(line)
		if !ok || strings.ContainsAny(key, "\r\n") || !bytes.HasPrefix(rest, []byte("=")) {
			return "", nil, false
		}
		return key, rest[1:], key != ""
	}
	for i, c := range line {
		switch {
		case c == '=':
			return string(line[:i]), line[i+1:], i > 0
		case c <= ' ' || c == '"':
			return "", nil, false
		}
	}
	return "", nil, false
}

// fieldValue reads a value and returns what is behind its line. A quoted value
// goes on to its closing quote, over lines if need be; what stands behind the
// quote on its line is of no use.
func fieldValue(in []byte) (value string, rest []byte) {
	if len(in) > 0 && in[0] == '"' {
		if value, rest, ok := quoted(in); ok {
			return value, afterLine(rest)
		}
	}
	line, _, _ := bytes.Cut(in, []byte("\n"))
	// VRDEClients==0
	value = strings.TrimPrefix(strings.TrimSuffix(string(line), "\r"), "=")
	return value, afterLine(in)
}

// quoted reads a quoted string; a backslash keeps the meaning of a quote and of
// another backslash from them.
func quoted(in []byte) (s string, rest []byte, ok bool) {
	var b strings.Builder
	for i := 1; i < len(in); i++ {
		switch c := in[i]; {
		case c == '"':
			return b.String(), in[i+1:], true
		case c == '\\' && i+1 < len(in) && (in[i+1] == '"' || in[i+1] == '\\'):
			i++
			b.WriteByte(in[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", nil, false
}

// afterLine is what follows the first line.
func afterLine(in []byte) []byte {
	_, rest, _ := bytes.Cut(in, []byte("\n"))
	return rest
}
