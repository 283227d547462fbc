package query

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// has reports whether a value is in a span.
func (s span) has(v value) bool {
	point := func(c cut) bool { // v is behind the cut
		order := compare(v, c.value)
		return order > 0 || order == 0 && !c.after
	}
	return point(s.from) && !point(s.to)
}

// checkReach compares what a filter's reach tells of an encoded value with what the
// filter selects.
func checkReach(t *testing.T, f Filter, raw string) {
	t.Helper()
	v := valueOf([]byte(raw))
	if f.reach == nil || v.form == list { // lists are looked at one by one
		return
	}
	selected := f.selects(v) != f.not
	reached := slices.ContainsFunc(f.reach.spans, func(s span) bool { return s.has(v) })
	if selected && !reached || reached && !selected && f.reach.exact {
		t.Errorf("%s of %s: selected %t, reached %t (exact: %t)", f.text, raw, selected, reached, f.reach.exact)
	}
}

// operandTexts are what callers compare with, and values texts encoded.
var (
	operandTexts = []string{"", "0", "1", "-3", "2.5", "1e3", "NaN", "Inf", "-Inf", "a", "ab", "b", "B", "é", "true", "false", "tru", "10.0.0.9", "10.0.0.10", "::1", "0::1", "fe80::1%eth0", " ", "z"}
	valueTexts   = []string{
		"", "null", "true", "false", "0", "1", "1.0", "-3", "2.5", "1000", "1e400", `""`, `"0"`, `"1"`, `"a"`, `"ab"`, `"a\u0062"`, `"b"`, `"B"`, `"é"`, `"true"`, `"10.0.0.9"`,
		`"10.0.0.10"`, `"::1"`, `"0::1"`, `"fe80::1%eth0"`, `" "`, `"zz"`, `{}`,
	}
)

func TestReachOfEveryOperator(t *testing.T) {
	t.Parallel()
	filter := func(text string) Filter {
		f, err := newFilter("x", text)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	told := 0
	for _, o := range operators {
		for _, a := range operandTexts {
			list := []string{fmt.Sprintf("%s(%s)", o.name, a)}
			if o.name == "Between" || o.name == "Except" {
				list = nil
			}
			for _, b := range operandTexts {
				if o.name == "Re" || len(list) == 1 && o.name != "In" && o.name != "Nin" {
					continue
				}
				list = append(list, fmt.Sprintf("%s(%s,%s)", o.name, a, b))
			}
			for _, text := range list {
				f := filter(text)
				if f.reach != nil {
					told++
				}
				for _, raw := range valueTexts {
					checkReach(t, f, raw)
				}
			}
		}
	}
	if told < 500 {
		t.Errorf("only %d filters have a reach", told)
	}
}

func TestLiteralStart(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"^rack7-": "rack7- true", "^rack7-.*": "rack7- true", "^rack7-.*$": "rack7- false", "^rack7-[0-9]": "rack7- false", "^a$": "a false", "^ab*": "a false",
		"rack": " false", "": " false", "^": " false", "(?i)^a": " false", "^(?i)a": " false", "(?m)^a": " false", "^a|b": " false", "^(a|b)c": " false",
		"(^a)": " false", `\Aab`: "ab true", `^\Qa.b\E`: "a.b true", "^é": "é true", "^\uFFFD": " false", "(": " false", "(?s)^a.*": "a false",
	} {
		prefix, whole := literalStart(expression)
		if got := fmt.Sprint(prefix, " ", whole); got != want {
			t.Errorf("%q: %q, want %q", expression, got, want)
		}
	}
}

func TestFollowing(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{"a": "b", "az": "a{", "a\xff": "b", "\xff": "", "\xff\xff": ""} {
		if got := following(prefix); got != want {
			t.Errorf("after %q comes %q, want %q", prefix, got, want)
		}
	}
}

// TestExpressionsReach compares expressions with a beginning with random texts that
// begin like it or nearly so.
func TestExpressionsReach(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 5))
	letters := []string{"a", "b", "-", "7", "é", "\x7f", "~", "1", "t"}
	word := func(n int) string {
		var b strings.Builder
		for range rnd.IntN(n + 1) {
			b.WriteString(letters[rnd.IntN(len(letters))])
		}
		return b.String()
	}
	for range 2000 {
		prefix := word(3)
		f, err := newFilter("x", "Re(^"+strings.NewReplacer("-", `\-`).Replace(prefix)+[]string{"", ".*", "$", "[ab]", "a?"}[rnd.IntN(5)]+")")
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			checkReach(t, f, fmt.Sprintf("%q", prefix+word(2)))
			checkReach(t, f, fmt.Sprintf("%q", word(4)))
		}
		for _, raw := range []string{"7", "71", "-7", "true", "1.5"} {
			checkReach(t, f, raw)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestReaderFindsAsMember compares the look at all fields with a look for each.
func TestReaderFindsAsMember(t *testing.T) {
	t.Parallel()
	fields := []Field{{Name: "Name"}, {Name: "a/b", Param: true}, {Name: "Any"}, {Name: "c", Param: true}}
	x := NewIndex(func(o *thing) string { return o.id }, func(o *thing) []byte { return o.raw }, fields)
	for _, raw := range []string{
		`{}`, `{"Name":"n"}`, `{"Any":{"Name":"inner"},"Name":1}`, `{"Params":{"a/b":[1],"Name":"p","c":null}}`, `{"Params":null,"Name":"n"}`,
		`{"\u004eame":"escaped","Params":{"\u0061/b":true}}`, `{"a/b":"not a param","c":2}`, `{"Params":{"Params":{"c":3}}}`, `{"Name":"first","Name":"second"}`, `[]`, `null`,
	} {
		var values [maxIndexed][]byte
		x.readers.read([]byte(raw), &values)
		x.rows = []*thing{{"id", []byte(raw)}}
		for i, f := range fields {
			if want := x.raw(i, 0); string(values[i]) != string(want) {
				t.Errorf("%s of %s is %s, want %s", f.Name, raw, values[i], want)
			}
		}
	}
}

// TestIndexChangesInPlace follows one object through each kind of change.
func TestIndexChangesInPlace(t *testing.T) {
	t.Parallel()
	x, c := newThings(), thingColumns()
	found := func(text string) string {
		q, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		l, err := Parse(q)
		if err != nil {
			t.Fatal(err)
		}
		page, count, ok := x.Select(l, c)
		if !ok {
			t.Fatalf("the index does not answer %s", text)
		}
		return ids(page, count)
	}
	x.Put(&thing{"a", []byte(`{"Name":"n1","Profiles":["p","q","p"]}`)})
	x.Put(&thing{"b", []byte(`{"Name":"n2","Profiles":["q"]}`)})
	for text, want := range map[string]string{"Name=n1": "a 1", "Profiles=q": "a b 2", "Profiles=p": "a 1", "Profiles=In(p,q)": "a b 2", "Profiles=Ne(p)": "b 1"} {
		if got := found(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	x.Put(&thing{"a", []byte(`{"Name":"n3","Profiles":[]}`)})
	x.Remove("nobody")
	x.Remove("b")
	x.Remove("b")
	for text, want := range map[string]string{"Name=n1": "0", "Name=n3": "a 1", "Profiles=q": "0", "Profiles=p": "0", "": "a 1", "Name=In(n1,n2,n3)": "a 1"} {
		if got := found(text); got != want {
			t.Errorf("after the change %s: %s, want %s", text, got, want)
		}
	}
	if x.Len() != 1 || len(x.words[x.byName["Profiles"]].of) != 0 {
		t.Errorf("%d objects and %d words are left", x.Len(), len(x.words[x.byName["Profiles"]].of))
	}
	x.Put(&thing{"c", []byte(`{"Name":"n4"}`)})
	if len(x.rows) != 2 { // it has the slot that was free
		t.Errorf("%d slots for two objects", len(x.rows))
	}
}

// FuzzReach has any filter compared with what its reach tells of any value.
func FuzzReach(f *testing.F) {
	for _, text := range []string{"Re(^a)", "Re(^\xff)", "Between(1,b)", "In(1,true,)", "Lt(10.0.0.1)", "Except(a,)", "a"} {
		f.Add(text, "a")
		f.Add(text, "10")
	}
	f.Fuzz(func(t *testing.T, text, word string) {
		filter, err := newFilter("x", text)
		if err != nil {
			return
		}
		if quoted, err := json.Marshal(word); err == nil {
			checkReach(t, filter, string(quoted))
		}
		checkReach(t, filter, word)
	})
}
