package bundle

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode"
)

// The names the reference takes: a letter, then letters, digits, space and
// - _ . in any order; params may have slashes too. They are compiled
// when first used: every start of a binary would pay for the tables of letters
// otherwise.
var (
	paramName  = rule(`^\pL+([- _./]+|\pN+|\pL+)+$`)
	objectName = rule(`^\pL+([- _.]+|\pN+|\pL+)+$`)
	bundleName = rule(`^[\pL\pN][\pL\pN._-]*$`)
)

// rule is a pattern that is compiled once, when it is first used.
func rule(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// maxName bounds a name, in bytes: it becomes part of file names and keys.
const maxName = 200

// CheckName tells what is wrong with the name of an object in a section, or
// returns "".
func CheckName(section, name string) string {
	pattern, also := objectName, ""
	if t, ok := TypeOf(section); ok && t.Slash {
		pattern, also = paramName, " /"
	}
	switch {
	case len(name) > maxName:
		return fmt.Sprintf("name %.40q… is longer than %d bytes", name, maxName)
	case strings.TrimSpace(name) != name:
		return fmt.Sprintf("name %q begins or ends with a space", name)
	case !pattern().MatchString(name):
		return fmt.Sprintf("name %q is not valid: a letter, then at least one of letters, digits, space, - _ .%s", name, also)
	}
	return ""
}

// CheckSection tells what is wrong with the name of a section, which is also
// that of a folder, or returns "".
func CheckSection(section string) string {
	switch {
	case len(section) > maxName:
		return fmt.Sprintf("section %.40q… is longer than %d bytes", section, maxName)
	case section == "" || section[0] == '.' || strings.ContainsFunc(section, notInFolder):
		return fmt.Sprintf("section %q cannot be a folder: no point in front, no slash, no control character", section)
	}
	return ""
}

// notInFolder reports whether r must not stand in a folder's name.
func notInFolder(r rune) bool {
	return r == '/' || r == '\\' || unicode.IsControl(r)
}

// KeyField returns the field that holds an object's key, or the first that
// could.
func KeyField(section string, obj map[string]any) string {
	fields := keyFields(section)
	for _, f := range fields {
		if obj[f] != nil {
			return f
		}
	}
	return fields[0]
}

// KeyOf returns an object's key, or what is wrong with it.
func KeyOf(section string, obj map[string]any) (key, problem string) {
	fields := keyFields(section)
	for _, f := range fields {
		switch v := obj[f].(type) {
		case nil:
		case string:
			if v == "" {
				return "", f + " is empty: an object needs a name"
			}
			return v, CheckName(section, v)
		default:
			return "", fmt.Sprintf("%s must be a string, not %s", f, describe(v))
		}
	}
	return "", fields[0] + " is missing: an object needs a name"
}
