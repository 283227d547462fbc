package hostlist

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Fold returns the list that expands to the names, sorted and each once:
// Fold of r1n01..r1n03 is "r1n[01-03]". Names that no list can express stand
// in it as they are.
func Fold(names []string) string {
	sorted := slices.Clone(names)
	Sort(sorted)
	sorted = slices.Compact(sorted)
	var order []string
	shapes := make(map[string][]vector)
	for _, name := range sorted {
		shape, v := split(name)
		if shapes[shape] == nil {
			order = append(order, shape)
		}
		shapes[shape] = append(shapes[shape], v)
	}
	var words []string
	for _, shape := range order {
		texts := strings.Split(shape, hole)
		for _, v := range merge(shapes[shape]) {
			words = append(words, v.write(texts))
		}
	}
	return strings.Join(words, ",")
}

// Sort sorts names as people do: numbers by value, n2 before n10.
func Sort(names []string) { slices.SortFunc(names, Compare) }

// Compare orders two names, numbers in them by value.
func Compare(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		dx, dy := digits(x), digits(y)
		if dx == "" || dy == "" {
			if x[0] != y[0] {
				return cmp.Compare(x[0], y[0])
			}
			x, y = x[1:], y[1:]
			continue
		}
		if c := compareNumbers(dx, dy); c != 0 {
			return c
		}
		x, y = x[len(dx):], y[len(dy):]
	}
	if (x == "") != (y == "") {
		return cmp.Compare(len(x), len(y))
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// compareNumbers orders digits by value, of any length.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// digits is the leading digits of s.
func digits(s string) string {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return s[:n]
}

// hole stands in a shape where a number stood in the name. No name that can
// be folded holds it.
const hole = "\x00"

// vector is the numbers of a name, each widened to a set when merged.
type vector [][]string

// split separates a name into its text with holes and its numbers. A number
// too long to count with stays text, and so does all of a name that holds what
// a list gives a meaning.
func split(name string) (string, vector) {
	if strings.ContainsAny(name, "[],"+hole) {
		return strings.ReplaceAll(name, hole, "?"), nil
	}
	var shape strings.Builder
	v := vector{}
	for name != "" {
		d := digits(name)
		switch {
		case d == "":
			shape.WriteByte(name[0])
			name = name[1:]
			continue
		case len(d) > maxDigits:
			shape.WriteString(d)
		default:
			shape.WriteString(hole)
			v = append(v, []string{d})
		}
		name = name[len(d):]
	}
	return shape.String(), v
}

// merge joins vectors that differ in one place only, place by place from the
// right, so that the numbers of a rack fold before the racks.
func merge(list []vector) []vector {
	if len(list) == 0 || len(list[0]) == 0 {
		return list[:min(1, len(list))]
	}
	for place := len(list[0]) - 1; place >= 0; place-- {
		list = mergePlace(list, place)
	}
	return list
}

// mergePlace joins vectors that are equal but for one place.
func mergePlace(list []vector, place int) []vector {
	var out []vector
	at := make(map[string]int)
	for _, v := range list {
		key := v.keyWithout(place)
		i, ok := at[key]
		if !ok {
			at[key] = len(out)
			out = append(out, slices.Clone(v))
			continue
		}
		out[i][place] = append(slices.Clone(out[i][place]), v[place]...)
	}
	return out
}

// keyWithout is equal for vectors that are equal but for one place.
func (v vector) keyWithout(place int) string {
	var key strings.Builder
	for i, set := range v {
		if i != place {
			key.WriteString(strings.Join(set, ","))
		}
		key.WriteByte('/')
	}
	return key.String()
}

// write puts the sets into the holes between the texts.
func (v vector) write(texts []string) string {
	var out strings.Builder
	for i, text := range texts {
		out.WriteString(text)
		if i < len(v) {
			out.WriteString(writeSet(v[i]))
		}
	}
	return out.String()
}

// writeSet writes the numbers of one place, consecutive ones as ranges.
func writeSet(set []string) string {
	if len(set) == 1 {
		return set[0]
	}
	slices.SortFunc(set, func(a, b string) int {
		return cmp.Or(compareNumbers(a, b), cmp.Compare(len(a), len(b)))
	})
	var spans []string
	for len(set) > 0 {
		n := runLength(set)
		if n == 1 {
			spans = append(spans, set[0])
		} else {
			spans = append(spans, set[0]+"-"+set[n-1])
		}
		set = set[n:]
	}
	return "[" + strings.Join(spans, ",") + "]"
}

// runLength is how many of the first numbers one range can express.
func runLength(set []string) int {
	first, err := strconv.ParseUint(set[0], 10, 64)
	if err != nil {
		return 1
	}
	n := 1
	for n < len(set) && set[n] == pad(first+uint64(n), width(set[0])) {
		n++
	}
	return n
}
