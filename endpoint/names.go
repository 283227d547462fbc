package endpoint

import (
	"path"
	"regexp"
	"sync"

	"provision-plugins/shared/model"
)

// maxName bounds names in bytes.
const maxName = 255

// The reference's rules for names: a letter, then letters, digits and a few
// marks. A param's may have slashes, a machine's may begin with a digit. They are
// compiled when first used: every start of the binary would pay for the tables of
// letters otherwise.
var (
	objectName  = rule(`^\pL[- _.\pN\pL]+$`)
	paramName   = rule(`^\pL[- _./\pN\pL]+$`)
	machineName = rule(`^[\pL\pN][- _.\pN\pL]*$`)
	uuidText    = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// rule is a pattern that is compiled once, when it is first used.
func rule(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// checkName refuses an empty, long or ill-formed name of an object.
func checkName(prefix, name string) error {
	pattern, want := objectName, "a letter, then letters, digits, and - _ . or blanks"
	switch prefix {
	case "params":
		pattern, want = paramName, "a letter, then letters, digits, and - _ . / or blanks"
	case "machines":
		pattern, want = machineName, "a letter or digit, then letters, digits, and - _ . or blanks"
	}
	switch {
	case name == "":
		return model.Errorf(model.Invalid, "Empty key not allowed").On(prefix, "")
	case len(name) > maxName:
		return refused(prefix, name[:32]+"...", "Invalid name: %d bytes long, at most %d are allowed", len(name), maxName)
	case !pattern().MatchString(name):
		return refused(prefix, name, "Invalid name %q: want %s", name, want)
	case name != path.Clean(name): // no request could name it
		return refused(prefix, name, "Invalid name %q: a part between slashes is empty or dots", name)
	}
	return nil
}
