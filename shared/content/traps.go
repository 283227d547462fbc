package content

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"provision-plugins/shared/content/bundle"
	"provision-plugins/shared/model"
)

// YAML 1.1 reads some plain words as what they do not look like. In a source
// file each of them is refused where the reading could change what was meant:
//
//   - y, yes, on, n, no, off are booleans. As the value of a field that is a
//     boolean that is what was meant; as a key or anywhere else it may not be.
//   - 0755 is the octal 493, 089 the decimal 89, 1_000 is 1000.
//   - 1:30 is 90, sixty to the digit, to other readers of YAML 1.1; the
//     reference's reads it as text.
//   - .nan and .inf are numbers that JSON does not have.

// sortFields puts entries in the order of the file.
func sortFields(fields []field) {
	slices.SortFunc(fields, func(a, b field) int {
		return cmp.Or(cmp.Compare(a.key.line, b.key.line), cmp.Compare(a.key.text, b.key.text))
	})
}

// trap is a word that is not read as it looks.
type trap struct {
	line int
	text string
}

// findTraps finds the traps of a source file.
func findTraps(section string, text []byte, root *place) []trap {
	f := trapFinder{lines: strings.Split(string(text), "\n")}
	if e := root.find("Secure"); e != nil && e.value != nil {
		f.secure = e.value.text != "false"
	}
	t, _ := bundle.TypeOf(section)
	f.object("", root, t.Fields, bundle.Any)
	return f.found
}

// trapFinder walks the places of one file.
type trapFinder struct {
	lines  []string
	secure bool // the values are secret and must not be shown
	found  []trap
}

// object looks through an object; types are those of its known fields, others
// the kind of all others.
func (f *trapFinder) object(path string, p *place, types []bundle.Field, others bundle.Kind) {
	for _, e := range p.fields {
		if why := reading(e.key.tag, e.key.text); why != "" {
			f.found = append(f.found, trap{e.key.line, "key " + e.key.text + " " + why + "; quote it"})
		}
		t := bundle.Field{Kind: others}
		for _, known := range types {
			if known.Name == e.key.text {
				t = known
			}
		}
		if e.value != nil && (t.Kind != bundle.Flag || e.value.tag != "!!bool") {
			f.value(strings.TrimPrefix(path+"."+e.key.text, "."), e.value, t)
		}
	}
}

// value looks through a value.
func (f *trapFinder) value(path string, p *place, t bundle.Field) {
	others := bundle.Any
	if t.Kind == bundle.TextMap {
		others = bundle.Text
	}
	f.object(path, p, t.Fields, others)
	for i, item := range p.items {
		if item != nil {
			f.value(path+"["+strconv.Itoa(i)+"]", item, t)
		}
	}
	n, sixty := sexagesimal(p.text)
	switch why := reading(p.tag, p.text); {
	case why == "" && (!sixty || p.tag != "!!str" || !f.isPlain(p)):
	case f.secure || model.SecretName(path):
		f.found = append(f.found, trap{p.line, path + ": the value is not read as it looks by YAML 1.1; quote it"})
	case why != "":
		f.found = append(f.found, trap{p.line, path + ": " + p.text + " " + why + "; " + advice(p, t.Kind)})
	default:
		f.found = append(f.found, trap{p.line, path + ": " + p.text + " is read as text here and as " + n + " by other readers of YAML 1.1; quote it"})
	}
}

// advice tells how to write a value that was read as another.
func advice(p *place, kind bundle.Kind) string {
	switch {
	case kind == bundle.Text, kind == bundle.Texts, kind == bundle.TextMap, p.tag == "!!float" && !hasNumber(p.text):
		return "quote it"
	}
	return "quote it, or write " + readAs(p.tag, p.text)
}

// reading says as what YAML 1.1 reads a plain word that looks like something
// else, "" for one that is what it seems.
func reading(tag, text string) string {
	as := readAs(tag, text)
	if as == "" {
		return ""
	}
	return "is read as " + as + " by YAML 1.1"
}

// readAs returns the value of a plain word that looks like something else.
func readAs(tag, text string) string {
	switch tag {
	case "!!bool":
		switch strings.ToLower(text) {
		case "y", "yes", "on":
			return "true"
		case "n", "no", "off":
			return "false"
		}
	case "!!int", "!!float":
		return readNumber(text)
	}
	return ""
}

// leadingZero is a number with a zero in front, of which YAML 1.1 makes an
// octal if it can.
var leadingZero = regexp.MustCompile(`^[-+]?0[0-9_]+$`)

// hasNumber reports whether text is a number that JSON has.
func hasNumber(text string) bool { return strings.ContainsAny(text, "0123456789") }

// readNumber returns the value of a number that is not written as JSON would.
func readNumber(text string) string {
	if !hasNumber(text) {
		return "a number that JSON does not have"
	}
	digits := strings.ReplaceAll(text, "_", "")
	if n, err := strconv.ParseInt(digits, 0, 64); err == nil {
		if leadingZero.MatchString(text) || digits != text {
			return strconv.FormatInt(n, 10)
		}
		return ""
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err == nil && (leadingZero.MatchString(text) || digits != text) {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return ""
}

var sixties = regexp.MustCompile(`^[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$`)

// sexagesimal returns the value of a number to the base of sixty.
func sexagesimal(text string) (string, bool) {
	if !sixties.MatchString(text) {
		return "", false
	}
	sum, sign := 0.0, 1.0
	if text[0] == '-' {
		sign = -1
	}
	for part := range strings.SplitSeq(strings.Trim(strings.ReplaceAll(text, "_", ""), "+-"), ":") {
		n, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return "", false
		}
		sum = sum*60 + n
	}
	if math.IsInf(sum, 0) {
		return "", false
	}
	return strconv.FormatFloat(sign*sum, 'f', -1, 64), true
}

// isPlain reports whether a text stands on its line without quotes. A quote
// beside it would be part of the same word.
func (f *trapFinder) isPlain(p *place) bool {
	if p.line < 1 || p.line > len(f.lines) {
		return false
	}
	for _, w := range strings.FieldsFunc(f.lines[p.line-1], isBetween) {
		if w == p.text {
			return true
		}
	}
	return false
}

// isBetween reports whether r separates plain words on a line of YAML.
func isBetween(r rune) bool { return strings.ContainsRune(" \t\r,[]{}", r) }
