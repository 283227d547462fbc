package query

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"provision-plugins/shared/model"
)

// mask is what the secrets of these tests are found by.
const mask = "######"

// object is an encoded object.
type object string

// columns read fields for the tests.
func columns() Columns[object] {
	return Columns[object]{
		Encoded: func(o *object) []byte { return []byte(*o) }, Aliases: map[string]string{"Key": "N", "Valid": "Validated"}, Mask: mask,
		Secret: func(name string) bool { return strings.Contains(name, "password") },
	}
}

// listOf makes a list of encoded objects.
func listOf(texts ...string) []*object {
	out := make([]*object, len(texts))
	for i, text := range texts {
		o := object(text)
		out[i] = &o
	}
	return out
}

// parse reads a query.
func parse(t testing.TB, query string) (List, error) {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return Parse(values)
}

// names are the members N of the objects, and the count.
func names(page []*object, count int) string {
	var out []string
	for _, o := range page {
		raw, _ := Member([]byte(*o), "N")
		out = append(out, strings.Trim(string(raw), `"`))
	}
	return strings.Join(append(out, strconv.Itoa(count)), " ")
}

func TestPages(t *testing.T) {
	all := listOf(`{"N":"b","T":"x","I":2}`, `{"N":"a","T":"x","I":10}`, `{"N":"c","T":"y","I":9}`, `{"N":"d","T":"x"}`)
	var table Table[object]
	for query, want := range map[string]string{
		"": "b a c d 4", "sort=N": "a b c d 4", "sort=N&reverse=true": "d c b a 4", "reverse=true": "d c a b 4", "sort=None": "b a c d 4",
		"limit=2": "b a 4", "limit=0": "4", "offset=3": "d 4", "offset=9": "4", "T=x&sort=N&limit=2": "a b 3", "T=x&offset=1&limit=1": "a 3",
		"sort=I": "d b c a 4", "sort=T,N": "a b d c 4", "sort=T&sort=N&reverse=true": "c d b a 4", "sort=Key&limit=1": "a 4",
		"slim=Params&params=x&decode=true&aggregate=true&force=true&compose=true&plugin=p&token=t": "b a c d 4",
	} {
		l, err := parse(t, query)
		if err != nil {
			t.Fatal(err)
		}
		if got := names(table.Select(l, all, columns())); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if got := names(table.Select(List{Limit: All}, all, columns())); got != "b a c d 4" {
		t.Errorf("the list itself were changed: %s", got)
	}
}

func TestBadQueries(t *testing.T) {
	many := make([]string, 0, maxTerms+1)
	for i := range maxTerms + 1 {
		many = append(many, fmt.Sprintf("f%d=1", i))
	}
	for query, want := range map[string]string{
		"limit=-1": "Limit cannot be negative", "limit=x": "Limit \"x\" is not a number", "limit=1.5": "not a number",
		"offset=-1": "Offset cannot be negative", "offset=x": "not a number",
		"Name=Re(()": "cannot filter by Name=Re(...): cannot read regular expression", "Name=Re(" + strings.Repeat("x", maxPattern+1) + ")": "longer than",
		"Name=Between(1)": "want two values", "Name=Between(1,2,3)": "want two values", "Name=Except()": "want two values",
		"Name=In(" + strings.Repeat(",", maxOperands) + ")": "at most", strings.Join(many, "&"): "at most 100",
	} {
		_, err := parse(t, strings.ReplaceAll(query, "+", "%2B"))
		if err == nil || model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", query, err, want)
		}
	}
}

func TestOperators(t *testing.T) {
	var table Table[object]
	all := listOf(
		`{"N":"a","S":"alpha","I":2,"B":true,"L":["x","y"],"A":"10.0.0.9","Meta":{"color":"red","a.b":"dot"},"Params":{"p/q":"v","n":5,"password":"pw","S":"shadowed"}}`,
		`{"N":"b","S":"beta","I":10,"B":false,"L":["y","z"],"A":"10.0.0.10","Meta":{"color":"blue"},"Params":{"p/q":["v","w"],"n":5.0,"password":""}}`,
		`{"N":"c","S":"","I":-1.5e1,"B":true,"L":[],"A":"","Meta":{},"Params":{"p/q":{"deep":"v"},"n":"5"}}`,
		`{"N":"d","S":null,"Validated":true,"Params":null}`,
	)
	for query, want := range map[string]string{
		"S=alpha": "a 1", "S=Eq(alpha)": "a 1", "S=eq(alpha)": "a 1", "S=Ne(alpha)": "b c d 3", "S=": "c d 2", "S=Eq()": "c d 2",
		"S=Lt(b)": "a c 2", "S=Lte(beta)": "a b c 3", "S=Gt(alpha)": "b 1", "S=Gte(alpha)": "a b 2",
		"I=2": "a 1", "I=2.0": "a 1", "I=Lt(10)": "a c 2", "I=Gt(2)": "b 1", "I=Gte(-15)": "a b c 3", "I=Between(2,10)": "a b 2", "I=Except(2,10)": "c d 2",
		"I=In(2,-15)": "a c 2", "I=Nin(2,-15)": "b d 2", "I=x": "0", "I=Lt(x)": "0",
		"S=In(alpha,beta)": "a b 2", "S=Nin(alpha)": "b c d 3", "S=Between(a,b)": "a 1", "S=Except(a,b)": "b c d 3",
		"S=Re(^.*ta$)": "b 1", "S=Re(a)": "a b 2", "S=Re(^$)": "c 1", "I=Re(^1)": "b 1",
		"B=true": "a c 2", "B=Ne(true)": "b d 2", "B=Lt(true)": "b 1", "B=maybe": "0",
		"L=x": "a 1", "L=y": "a b 2", "L=Ne(y)": "c d 2", "L=In(x,z)": "a b 2", "L=": "d 1", "L=Re(z)": "b 1",
		"A=Gt(10.0.0.9)": "b 1", "A=Between(10.0.0.0,10.0.0.9)": "a 1", "A=10.0.0.9": "a 1",
		"Meta.color=red": "a 1", "Meta.color=Ne(red)": "b c d 3", "Meta.a.b=dot": "a 1", "Meta=red": "0",
		"p%2Fq=v": "a b 2", "p%2Fq=w": "b 1", "Params.p%2Fq=v": "a b 2", "n=5": "a b c 3", "n=Gt(4)": "a b c 3", "none=x": "0", "none=": "a b c d 4",
		"Key=a": "a 1", "Valid=true": "d 1", "Validated=true": "d 1", "S=alpha&I=2": "a 1", "S=alpha&I=10": "0", "S=alpha&S=Re(a)": "a 1",
		"S=fred(x)": "0", "password=pw": "0", "Params.password=pw": "0", "password=Re(p)": "0", "password=" + url.QueryEscape(mask): "a 1", "password=": "b c d 3",
	} {
		l, err := parse(t, query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		for _, when := range []string{"first", "kept"} {
			if got := names(table.Select(l, all, columns())); got != want {
				t.Errorf("%s, %s: %s, want %s", query, when, got, want)
			}
		}
	}
}

func TestExactFilters(t *testing.T) {
	for given, want := range map[string]string{"m1": "m1", "Eq(m1)": "m1", "Ne(m1)": "", "odd(": "odd(", "": "", "In(a)": ""} {
		f, err := newFilter("Name", given)
		if err != nil {
			t.Fatal(err)
		}
		if got, exact := f.Exact(); got != want || exact != (given == "" || !strings.HasSuffix(given, ")") || strings.HasPrefix(given, "Eq")) {
			t.Errorf("%q: %q, %v", given, got, exact)
		}
	}
}

// What was read of an object is read again when what is secret may have changed.
func TestSecretsOfALaterEpoch(t *testing.T) {
	secret := false
	all := listOf(`{"N":"a","Params":{"x":"clear"}}`)
	c := columns()
	c.Secret = func(string) bool { return secret }
	l, err := parse(t, "x=clear")
	if err != nil {
		t.Fatal(err)
	}
	var table Table[object]
	if got := names(table.Select(l, all, c)); got != "a 1" {
		t.Errorf("before: %s", got)
	}
	secret = true
	if got := names(table.Select(l, all, c)); got != "a 1" {
		t.Errorf("what is kept was not used: %s", got)
	}
	c.Epoch++
	if got := names(table.Select(l, all, c)); got != "0" {
		t.Errorf("after: %s", got)
	}
}

// More fields than are kept are answered too.
func TestManyFields(t *testing.T) {
	all := listOf(`{"N":"a","Params":{"f7":"1","f99":"1"}}`)
	var table Table[object]
	for i := range 8 * maxColumns {
		l, err := parse(t, fmt.Sprintf("f%d=1", i))
		if err != nil {
			t.Fatal(err)
		}
		want := "0"
		if i == 7 || i == 99 {
			want = "a 1"
		}
		if got := names(table.Select(l, all, columns())); got != want {
			t.Errorf("f%d: %s, want %s", i, got, want)
		}
	}
	last := table.columns[len(table.columns)-1].field
	if len(table.columns) != maxColumns || last != fmt.Sprintf("f%d", 8*maxColumns-1) {
		t.Errorf("%d columns are kept, %s last", len(table.columns), last)
	}
	var many []string
	for i := range 2 * maxColumns {
		many = append(many, fmt.Sprintf("f%d=Ne(x)", i))
	}
	l, err := parse(t, strings.Join(many, "&"))
	if err != nil {
		t.Fatal(err)
	}
	if got := names(table.Select(l, all, columns())); got != "a 1" {
		t.Errorf("by %d fields at once: %s", len(many), got)
	}
}

// Objects that come, go, change and move: each is read once, and what a list
// answers is what one without a memory would.
func TestATableFollowsItsObjects(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	read := 0
	c := columns()
	c.Encoded = func(o *object) []byte { read++; return []byte(*o) }
	l, err := parse(t, "T=Gte(5)&sort=T,N")
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	fresh := func() *object {
		made++
		o := object(fmt.Sprintf(`{"N":"n%d","T":%d}`, made, random.IntN(10)))
		return &o
	}
	var table Table[object]
	var all []*object
	for range 300 {
		all = slices.Clone(all)
		for range random.IntN(4) {
			at := random.IntN(len(all) + 1)
			switch {
			case at == len(all) || random.IntN(3) == 0:
				all = slices.Insert(all, at, fresh())
			case random.IntN(2) == 0:
				all[at] = fresh()
			default:
				all = slices.Delete(all, at, at+1)
			}
		}
		if random.IntN(20) == 0 {
			random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		}
		got := names(table.Select(l, all, c))
		var forgetful Table[object]
		if want := names(forgetful.Select(l, all, columns())); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	if read > 20*made { // two columns, and more when many have moved
		t.Errorf("%d objects were read %d times", made, read)
	}
}

func TestListsAtTheSameTime(t *testing.T) {
	var table Table[object]
	all := listOf(`{"N":"a","T":1}`, `{"N":"b","T":2}`)
	var readers sync.WaitGroup
	for i := range 8 {
		readers.Go(func() {
			mine := all[:1+i%2]
			for j := range 200 {
				l, err := Parse(url.Values{"T": {"Gte(1)"}, fmt.Sprint("f", j%20): {""}})
				if err != nil {
					t.Error(err)
				}
				if _, count := table.Select(l, mine, columns()); count != len(mine) {
					t.Errorf("%d of %d", count, len(mine))
				}
			}
		})
	}
	readers.Wait()
}

func TestMember(t *testing.T) {
	const object = ` { "a" : 1 , "b\"c" : "x\\\"}" , "n" : { "a" : [ 1 , { "b" : "]" } ] } , "e" : {} , "l":[],"last":null}`
	for name, want := range map[string]string{
		"a": "1", `b"c`: `"x\\\"}"`, "n": `{ "a" : [ 1 , { "b" : "]" } ] }`, "e": "{}", "l": "[]", "last": "null", "none": "", "": "", "b": "",
	} {
		if got, found := Member([]byte(object), name); string(got) != want || found != (want != "") {
			t.Errorf("%s: %q, %v", name, got, found)
		}
	}
}

func TestDeeper(t *testing.T) {
	for text, deep := range map[string]bool{
		"": false, "1": false, "[[]]": false, "[[[]]]": true, `{"a":{"b":[]}}`: true, `["[[["]`: false, `["\"[[["]`: false, "[][][]": false, "]]][[[": false, `"[[[`: false,
	} {
		if got := Deeper([]byte(text), 2); got != deep {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// FuzzMember looks into whatever comes; what is valid is found as the standard
// decoder finds it.
func FuzzMember(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `{"a":"\"","b":[{}]}`, `{"\u0061":1}`, `{`, `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":}`, `{"a":1,`, `[1]`, `{"a":[`, "\\", `{"a":1,"a":2}`, `{"a":1 }`} {
		f.Add(s, "a")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		raw, found := Member([]byte(text), name)
		Deeper([]byte(text), 3)
		valueOf([]byte(text))
		var all map[string]json.RawMessage
		if !json.Valid([]byte(text)) || json.Unmarshal([]byte(text), &all) != nil {
			return
		}
		members := 0
		Members([]byte(text), func(_, _ []byte) bool { members++; return true })
		want, has := all[name]
		if members != len(all) || strings.ContainsRune(text+name, '\uFFFD') || !utf8.ValidString(text+name) {
			return // names that are alike, or that the standard decoder repairs
		}
		if found != has || found && string(raw) != string(want) {
			t.Errorf("%q of %s: %s %v, want %s %v", name, text, raw, found, want, has)
		}
	})
}

// FuzzParse reads whatever a client may ask.
func FuzzParse(f *testing.F) {
	for _, q := range []string{"Name=Eq(a)&limit=3&sort=Name", "a=Re([)", "x=Between(1,2)", "x=In(,,)", "limit=99999999999999999999", "Meta.=1", ".=1", "=1", "sort=,,,"} {
		f.Add(q, `{"N":"a","Meta":{"":1},"Params":{"x":[1,"2",[3]]}}`)
	}
	f.Fuzz(func(t *testing.T, q, text string) {
		values, err := url.ParseQuery(q)
		if err != nil {
			return
		}
		l, err := Parse(values)
		if err != nil {
			if model.KindOf(err) != model.Invalid {
				t.Errorf("%q: %v", q, err)
			}
			return
		}
		var table Table[object]
		page, count := table.Select(l, listOf(text, text), columns())
		if len(page) > count || count > 2 {
			t.Errorf("%q: %d of %d", q, len(page), count)
		}
	})
}

// BenchmarkSelect finds 1,000 among 100,000 objects of which the field was read
// before.
func BenchmarkSelect(b *testing.B) {
	objects := make([]string, 100_000)
	for i := range objects {
		objects[i] = fmt.Sprintf(`{"Name":"m%d","Description":"%s","Params":{"rack":"r%d","unit":%d}}`, i, strings.Repeat("x", 700), i%100, i)
	}
	all := listOf(objects...)
	l, err := parse(b, "rack=r7")
	if err != nil {
		b.Fatal(err)
	}
	var table Table[object]
	table.Select(l, all, columns())
	for b.Loop() {
		all = slices.Clone(all) // somebody has changed an object
		changed := *all[50_000]
		all[50_000] = &changed
		if _, count := table.Select(l, all, columns()); count != 1_000 {
			b.Fatal(count)
		}
	}
}

// BenchmarkFirstSelect reads the field of 100,000 objects.
func BenchmarkFirstSelect(b *testing.B) {
	text := object(fmt.Sprintf(`{"Name":"m","Description":"%s","Params":{"rack":"r7","unit":1}}`, strings.Repeat("x", 700)))
	encoded := []byte(text)
	all := make([]*object, 100_000)
	for i := range all {
		all[i] = &text
	}
	c := columns()
	c.Encoded = func(*object) []byte { return encoded }
	l, err := parse(b, "rack=r7")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var table Table[object]
		table.Select(l, all, c)
	}
}

func TestRewrite(t *testing.T) {
	fn := func(name string, value []byte) []byte {
		switch name {
		case "gone", "ré":
			return nil
		case "new":
			return []byte("true")
		}
		return value
	}
	for in, want := range map[string]string{
		`{}`:                 `{}`,
		` { } `:              `{}`,
		`{"gone":1}`:         `{}`,
		`{"gone":1,"a":"}"}`: `{"a":"}"}`,
		`{ "a" : [1, {"gone":2}], "gone":{"a":[]} , "new":false }`: `{"a":[1, {"gone":2}],"new":true}`,
		`{"a\"b":1,"r\u00e9":2,"c":3,"gone":4}`:                    `{"a\"b":1,"c":3}`,
		`[1]`:                                                      `[1]`,
		`null`:                                                     `null`,
		``:                                                         ``,
	} {
		if got := string(Rewrite([]byte(in), fn)); got != want {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
	}
}
