package bundle

import (
	"regexp"
	"strings"
)

// trapKey is a key that YAML 1.1 reads as a boolean, as it stands in a text.
var trapKey = regexp.MustCompile(`(?m)(?:^|[{,?-])[ \t]*(y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF|true|True|TRUE|false|False|FALSE)[ \t]*:(?:\s|$)`)

// CheckKeys refuses a decoded YAML text with a key that was read as a boolean,
// and so does not have the name it seems to have.
func CheckKeys(text []byte, v any) error {
	if !hasBoolKey(v) {
		return nil
	}
	m := trapKey.FindSubmatchIndex(text)
	if m == nil {
		return nil
	}
	word := string(text[m[2]:m[3]])
	return &SyntaxError{lineAt(text, m[2]), "key " + word + " is read as " + boolWord(word) + " by YAML 1.1; quote it"}
}

// boolWord is the key that YAML 1.1 makes of a word.
func boolWord(word string) string {
	switch strings.ToLower(word) {
	case "y", "yes", "on", "true":
		return "true"
	}
	return "false"
}

// hasBoolKey reports whether a key anywhere in v is true or false.
func hasBoolKey(v any) bool {
	switch t := v.(type) {
	case map[string]any:
		for k, e := range t {
			if k == "true" || k == "false" || hasBoolKey(e) {
				return true
			}
		}
	case []any:
		for _, e := range t {
			if hasBoolKey(e) {
				return true
			}
		}
	}
	return false
}
