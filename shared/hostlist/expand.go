package hostlist

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Expand returns the names of a list in the order written, each once. The
// error is an *Error.
func Expand(list string) ([]string, error) {
	if len(list) > maxList {
		return nil, &Error{list, maxList, fmt.Sprintf("longer than %d bytes", maxList)}
	}
	p := &parser{list: list}
	words, err := p.parse()
	if err != nil {
		return nil, err
	}
	var names []string
	seen := make(map[string]bool)
	for _, w := range words {
		names = w.appendNames(names, seen)
	}
	return names, nil
}

// span is one number or range of a set; a plain text part is one span whose
// text is fixed.
type span struct {
	lo, hi uint64
	width  int // leading zeros to this width; 0 for none
}

// count is how many numbers the span holds.
func (s span) count() uint64 { return s.hi - s.lo + 1 }

// part is a stretch of fixed text, or a set of spans when it has any.
type part struct {
	text  string
	spans []span
}

// word is one element of the list.
type word []part

// appendNames appends the word's names to names, leaving out those seen.
func (w word) appendNames(names []string, seen map[string]bool) []string {
	prefixes := []string{""}
	for _, p := range w {
		if p.spans == nil {
			for i := range prefixes {
				prefixes[i] += p.text
			}
			continue
		}
		var next []string
		for _, prefix := range prefixes {
			next = p.appendNumbers(next, prefix)
		}
		prefixes = next
	}
	for _, name := range prefixes {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

// appendNumbers appends the prefix with each number of the set.
func (p part) appendNumbers(out []string, prefix string) []string {
	for _, s := range p.spans {
		for n := s.lo; n <= s.hi; n++ {
			out = append(out, prefix+pad(n, s.width))
		}
	}
	return out
}

// pad writes n with leading zeros to the width.
func pad(n uint64, width int) string {
	digits := strconv.FormatUint(n, 10)
	if missing := width - len(digits); missing > 0 {
		return strings.Repeat("0", missing) + digits
	}
	return digits
}

// parser reads a list from left to right.
type parser struct {
	list  string
	pos   int
	total uint64 // names of the words before this one
}

// errorAt is an error at a byte offset.
func (p *parser) errorAt(pos int, format string, args ...any) *Error {
	return &Error{p.list, pos + 1, fmt.Sprintf(format, args...)}
}

// parse reads the words of the list.
func (p *parser) parse() ([]word, error) {
	if strings.TrimSpace(p.list) == "" {
		return nil, p.errorAt(0, "it is empty; name machines, such as m1 or rack[1-4]n[01-32]")
	}
	var words []word
	for {
		w, err := p.word()
		if err != nil {
			return nil, err
		}
		words = append(words, w)
		if p.pos == len(p.list) {
			return words, nil
		}
		p.pos++ // the comma
	}
}

// word reads up to the next comma outside brackets and counts its names.
func (p *parser) word() (word, error) {
	start, count, length := p.pos, uint64(1), 0
	var w word
	for p.pos < len(p.list) && p.list[p.pos] != ',' {
		at := p.pos
		next, err := p.part()
		if err != nil {
			return nil, err
		}
		count = times(count, next.count())
		if p.total+count > MaxNames {
			return nil, p.errorAt(at, "expands to more than %d names", MaxNames)
		}
		length += next.length()
		w = append(w, next)
	}
	switch {
	case len(w) == 0:
		return nil, p.errorAt(start, "a name is missing")
	case length > MaxName:
		return nil, p.errorAt(start, "a name is longer than %d bytes", MaxName)
	}
	p.total += count
	return w, nil
}

// times multiplies two counts; past MaxNames only that much is known.
func times(a, b uint64) uint64 {
	if b > MaxNames || a*b > MaxNames {
		return MaxNames + 1
	}
	return a * b
}

// count is how many texts the part stands for.
func (p part) count() uint64 {
	if p.spans == nil {
		return 1
	}
	var n uint64
	for _, s := range p.spans {
		if s.count() > MaxNames {
			return MaxNames + 1
		}
		n += s.count()
	}
	return n
}

// length is the longest text the part stands for.
func (p part) length() int {
	n := len(p.text)
	for _, s := range p.spans {
		n = max(n, len(pad(s.hi, s.width)))
	}
	return n
}

// part reads a bracketed set or the text up to the next bracket or comma.
func (p *parser) part() (part, error) {
	if p.list[p.pos] == '[' {
		return p.set()
	}
	start := p.pos
	for p.pos < len(p.list) && !strings.ContainsRune("[,", rune(p.list[p.pos])) {
		r, size := utf8.DecodeRuneInString(p.list[p.pos:])
		switch {
		case r == ']':
			return part{}, p.errorAt(p.pos, "] without [")
		case r == utf8.RuneError && size == 1:
			return part{}, p.errorAt(p.pos, "not UTF-8")
		case unicode.IsControl(r) || unicode.IsSpace(r) && p.atEdge(size):
			return part{}, p.errorAt(p.pos, "white space around a name")
		}
		p.pos += size
	}
	return part{text: p.list[start:p.pos]}, nil
}

// atEdge reports whether the rune of that size at pos begins or ends a word.
func (p *parser) atEdge(size int) bool {
	end := p.pos + size
	return p.pos == 0 || p.list[p.pos-1] == ',' || end == len(p.list) || p.list[end] == ','
}

// set reads "[" spans "]".
func (p *parser) set() (part, error) {
	open := p.pos
	p.pos++
	var spans []span
	for {
		s, err := p.span()
		if err != nil {
			return part{}, err
		}
		spans = append(spans, s)
		switch {
		case p.pos == len(p.list):
			return part{}, p.errorAt(open, "[ without ]")
		case p.list[p.pos] == ']':
			p.pos++
			return part{spans: spans}, nil
		case p.list[p.pos] != ',':
			return part{}, p.errorAt(p.pos, "expected a digit, ',', '-' or ']'")
		}
		p.pos++
	}
}

// span reads a number or a range of a set.
func (p *parser) span() (span, error) {
	start := p.pos
	lo, loText, err := p.number()
	if err != nil {
		return span{}, err
	}
	s := span{lo: lo, hi: lo, width: width(loText)}
	if p.pos == len(p.list) || p.list[p.pos] != '-' {
		return s, nil
	}
	p.pos++
	hiAt := p.pos
	hi, hiText, err := p.number()
	switch {
	case err != nil:
		return span{}, err
	case hi < lo:
		return span{}, p.errorAt(start, "range %s-%s runs backwards", loText, hiText)
	case width(hiText) > 0 && len(hiText) != len(loText):
		return span{}, p.errorAt(hiAt, "%s has other leading zeros than %s", hiText, loText)
	}
	s.hi = hi
	return s, nil
}

// number reads digits.
func (p *parser) number() (uint64, string, error) {
	start := p.pos
	for p.pos < len(p.list) && isDigit(p.list[p.pos]) {
		p.pos++
	}
	text := p.list[start:p.pos]
	switch {
	case text == "" && start == len(p.list):
		return 0, "", p.errorAt(start, "the list ends where a number should stand")
	case text == "":
		return 0, "", p.errorAt(start, "expected a number")
	case len(text) > maxDigits:
		return 0, "", p.errorAt(start, "a number has more than %d digits", maxDigits)
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, "", p.errorAt(start, "%v", err)
	}
	return n, text, nil
}

// width is the width a number pads to: its length if it has leading zeros.
func width(digits string) int {
	if len(digits) > 1 && digits[0] == '0' {
		return len(digits)
	}
	return 0
}

// isDigit reports whether b is an ASCII digit.
func isDigit(b byte) bool { return '0' <= b && b <= '9' }
