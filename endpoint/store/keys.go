package store

import (
	"strings"

	"provision-plugins/shared/model"
)

const (
	// uniquePrefix is the prefix of the records that reserve unique values.
	uniquePrefix = "unique"
	// systemPrefix is the prefix of what the store keeps for itself.
	systemPrefix = "system"

	maxPrefix = 64
	maxID     = 512 // bytes; tripled by encoding it still fits into a subject

	hexDigits = "0123456789ABCDEF"
)

// plain reports whether a byte stands for itself in a key.
func plain(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-'
}

// encode writes every byte outside [A-Za-z0-9-] as =XX, so that any name is one
// token of a subject and no two names share one.
func encode(id string) string {
	i := 0
	for i < len(id) && plain(id[i]) {
		i++
	}
	if i == len(id) {
		return id
	}
	var b strings.Builder
	b.Grow(len(id) + 8)
	b.WriteString(id[:i])
	for ; i < len(id); i++ {
		if c := id[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('=')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// decode is the reverse of encode. It refuses what encode does not write.
func decode(token string) (string, bool) {
	if !strings.Contains(token, "=") {
		return token, plainToken(token)
	}
	var b strings.Builder
	b.Grow(len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		if plain(c) {
			b.WriteByte(c)
			continue
		}
		if c != '=' || i+2 >= len(token) {
			return "", false
		}
		hi, lo := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
		if hi < 0 || lo < 0 || plain(byte(hi<<4|lo)) {
			return "", false
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), true
}

// plainToken reports whether a token without escapes is one that encode writes.
func plainToken(token string) bool {
	for i := range len(token) {
		if !plain(token[i]) {
			return false
		}
	}
	return token != ""
}

// key is the key of an object in the bucket.
func key(prefix, id string) string { return encode(prefix) + "." + encode(id) }

// splitKey is the reverse of key.
func splitKey(k string) (prefix, id string, ok bool) {
	p, i, found := strings.Cut(k, ".")
	if !found {
		return "", "", false
	}
	prefix, okPrefix := decode(p)
	id, okID := decode(i)
	return prefix, id, okPrefix && okID
}

// uniqueKey is the key of the record that reserves a value.
func uniqueKey(prefix, index, value string) string {
	return uniquePrefix + "." + encode(prefix) + "." + encode(index) + "." + encode(value)
}

// checkName refuses names that no object can have.
func checkName(prefix, id string) error {
	switch {
	case prefix == "" || len(prefix) > maxPrefix:
		return model.Errorf(model.Invalid, "prefix %.80q is empty or longer than %d bytes", prefix, maxPrefix)
	case prefix == uniquePrefix || prefix == systemPrefix:
		return model.Errorf(model.Invalid, "prefix %s is the store's own", prefix)
	case id == "":
		return model.Errorf(model.Invalid, "%s: empty key", prefix)
	case len(id) > maxID:
		return model.Errorf(model.Invalid, "%s: key %.40q… is longer than %d bytes", prefix, id, maxID)
	}
	return nil
}
