package endpoint

import (
	"path"
	"regexp"

	"provision-plugins/shared/model"
)

// maxName bounds names in bytes.
const maxName = 255

// The reference's rules for names: a letter, then letters, digits and a few
// marks. A param's may have slashes, a machine's may begin with a digit.
var (
	objectName  = regexp.MustCompile(`^\pL[- _.\pN\pL]+$`)
	paramName   = regexp.MustCompile(`^\pL[- _./\pN\pL]+$`)
	machineName = regexp.MustCompile(`^[\pL\pN][- _.\pN\pL]*$`)
	uuidText    = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// checkName refuses an empty, long or ill-formed name of an object.
func checkName(prefix, name string) error {
	rule, want := objectName, "a letter, then letters, digits, and - _ . or blanks"
	switch prefix {
	case "params":
		rule, want = paramName, "a letter, then letters, digits, and - _ . / or blanks"
	case "machines":
		rule, want = machineName, "a letter or digit, then letters, digits, and - _ . or blanks"
	}
	switch {
	case name == "":
		return model.Errorf(model.Invalid, "Empty key not allowed").On(prefix, "")
	case len(name) > maxName:
		return refused(prefix, name[:32]+"...", "Invalid name: %d bytes long, at most %d are allowed", len(name), maxName)
	case !rule.MatchString(name):
		return refused(prefix, name, "Invalid name %q: want %s", name, want)
	case name != path.Clean(name): // no request could name it
		return refused(prefix, name, "Invalid name %q: a part between slashes is empty or dots", name)
	}
	return nil
}
