package query

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// thing is an object of the tests of indexes.
type thing struct {
	id  string
	raw []byte
}

// thingFields are what things are indexed by; the field Note is not.
var thingFields = []Field{
	{Name: "Name"}, {Name: "Address"}, {Name: "On"}, {Name: "Any"}, {Name: "Profiles", Words: true},
	{Name: "rack/unit", Param: true}, {Name: "oob/driver", Param: true},
}

// thingColumns tell how things are read.
func thingColumns() Columns[thing] {
	return Columns[thing]{
		Encoded: func(o *thing) []byte { return o.raw }, Aliases: map[string]string{"Key": "Name", "Valid": "On"},
		Secret: func(name string) bool { return name == "secret" }, Mask: "***",
	}
}

// newThings returns an index of things.
func newThings() *Index[thing] {
	return NewIndex(func(o *thing) string { return o.id }, func(o *thing) []byte { return o.raw }, thingFields)
}

// source makes objects and lists at random.
type source struct{ *rand.Rand }

// pick returns one of some texts.
func (r source) pick(from ...string) string { return from[r.IntN(len(from))] }

// any is a value of any form, encoded, few enough that many are equal.
func (r source) any() string {
	return r.pick(`null`, `true`, `false`, `0`, `1`, `1.0`, `-3`, `2e1`, `""`, `"a"`, `"ab"`, `"a b"`, `"a\u0062"`, `"b"`, `"B"`, `"é"`, `"true"`, `"1"`,
		`"10.0.0.9"`, `"10.0.0.10"`, `"::1"`, `"0:0::1"`, `"\"q\""`, `{"x":1}`, `[]`, `["a"]`, `["a","b","a"]`, `[1,"b"]`, `[null]`)
}

// thing makes an object.
func (r source) thing(id string) *thing {
	var b strings.Builder
	fmt.Fprintf(&b, `{"Name":"n%d"`, r.IntN(40))
	if r.IntN(5) > 0 {
		fmt.Fprintf(&b, `,"Address":"10.0.0.%d"`, r.IntN(20))
	}
	fmt.Fprintf(&b, `,"On":%t,"Note":"%d"`, r.IntN(3) > 0, r.IntN(4))
	if r.IntN(4) > 0 {
		fmt.Fprintf(&b, `,"Any":%s`, r.any())
	}
	list := make([]string, r.IntN(4))
	for i := range list {
		list[i] = r.pick(`"p0"`, `"p1"`, `"p2"`, `"p\u0033"`)
	}
	fmt.Fprintf(&b, `,"Profiles":[%s],"Params":{"secret":"s","rack/unit":%d`, strings.Join(list, ","), r.IntN(12))
	if r.IntN(2) == 0 {
		fmt.Fprintf(&b, `,"oob/driver":"%s"`, r.pick("ipmi", "packet", "virtualbox"))
	}
	return &thing{id, []byte(b.String() + "}}")}
}

// list makes what a caller may ask for.
func (r source) list(t testing.TB) (List, string) {
	q := url.Values{}
	for range r.IntN(4) {
		field := r.pick("Name", "Address", "On", "Any", "Any", "Profiles", "rack/unit", "Params.rack/unit", "oob/driver", "Note", "Key", "Valid", "secret")
		operands := func() string {
			return r.pick("", "a", "ab", "b", "p0", "p1", "p3", "n3", "n17", "n30", "true", "false", "1", "3", "8", "-3", "NaN", "10.0.0.5", "10.0.0.12", "::1", "ipmi", "packet", "0", "2", "é", "s", "***")
		}
		switch op := r.pick("", "Eq", "Ne", "Lt", "Lte", "Gt", "Gte", "Between", "Except", "In", "Nin", "Re"); op {
		case "":
			q.Add(field, operands())
		case "Between", "Except":
			q.Add(field, fmt.Sprintf("%s(%s,%s)", op, operands(), operands()))
		case "In", "Nin":
			q.Add(field, fmt.Sprintf("%s(%s,%s,%s)", op, operands(), operands(), operands()))
		case "Re":
			q.Add(field, "Re("+r.pick("^n1", "^n1.*", "^n1$", "^n", "n1", "^(?i)N1", "(?i)^N1", "^", "^10", "^1|2", "^t", "^-", "^é", "^p.", "^ab*", "(?m)^a", "^a.*b")+")")
		default:
			q.Add(field, fmt.Sprintf("%s(%s)", op, operands()))
		}
	}
	if r.IntN(2) == 0 {
		q.Set("sort", r.pick("Name", "Any", "Address", "rack/unit", "Profiles", "Note", "Name,Any", "On,Name", "Key", "secret"))
	}
	q.Set("reverse", r.pick("true", "false"))
	if r.IntN(2) == 0 {
		q.Set("limit", fmt.Sprint(r.IntN(20)))
		q.Set("offset", fmt.Sprint(r.IntN(20)))
	}
	l, err := Parse(q)
	if err != nil {
		t.Fatal(err)
	}
	return l, q.Encode()
}

// scan answers a list by reading every object.
func scan(l List, all []*thing, c Columns[thing]) string {
	var out []*thing
	for _, o := range all {
		if !slices.ContainsFunc(l.Filters, func(f Filter) bool { return !f.selects(c.read(o.raw, f.Field)) }) {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b *thing) int {
		for _, field := range l.Sort {
			if order := compare(c.read(a.raw, field), c.read(b.raw, field)); order != 0 {
				return order
			}
		}
		return 0
	})
	if l.Reverse {
		slices.Reverse(out)
	}
	count := len(out)
	out = out[min(l.Offset, count):]
	if l.Limit != All {
		out = out[:min(l.Limit, len(out))]
	}
	return ids(out, count)
}

// ids are the keys of a page, and the count.
func ids(page []*thing, count int) string {
	var out []string
	for _, o := range page {
		out = append(out, o.id)
	}
	return strings.Join(append(out, fmt.Sprint(count)), " ")
}

// TestIndexEqualsScan has objects come, go and change at random, and compares what the
// index answers with what reading every object selects.
func TestIndexEqualsScan(t *testing.T) {
	t.Parallel()
	for range 5 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := source{rand.New(rand.NewPCG(seed, 2))}
			x, all, c := newThings(), map[string]*thing{}, thingColumns()
			answered, asked := 0, 0
			for round := range 40 {
				r.change(x, all, 30)
				if round%20 == 19 { // as a start does
					x = newThings()
					x.Load(valuesOf(all))
				}
				sorted := valuesOf(all)
				for range 30 {
					l, text := r.list(t)
					page, count, ok := x.Select(l, c)
					if asked++; !ok {
						continue
					}
					answered++
					if got, want := ids(page, count), scan(l, sorted, c); got != want {
						t.Fatalf("round %d, %s:\n got %s\nwant %s", round, text, got, want)
					}
				}
			}
			if answered < asked/4 {
				t.Errorf("only %d of %d lists were answered by the index", answered, asked)
			}
		})
	}
}

// change makes n changes of an index and of what it is compared with.
func (r source) change(x *Index[thing], all map[string]*thing, n int) {
	for range n {
		id := fmt.Sprintf("%03d", r.IntN(200))
		if r.IntN(3) == 0 {
			x.Remove(id)
			delete(all, id)
			continue
		}
		all[id] = r.thing(id)
		x.Put(all[id])
	}
}

// valuesOf are objects by their keys.
func valuesOf(all map[string]*thing) []*thing {
	out := make([]*thing, 0, len(all))
	for _, o := range all {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b *thing) int { return strings.Compare(a.id, b.id) })
	return out
}

// TestIndexWhileItChanges has lists read while objects change: whatever is answered
// is what its filters select, once and in its order.
func TestIndexWhileItChanges(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	x, c := newThings(), thingColumns()
	var work sync.WaitGroup
	for w := range uint64(3) {
		work.Go(func() {
			source{rand.New(rand.NewPCG(seed, w))}.change(x, map[string]*thing{}, 2000)
		})
		work.Go(func() {
			r := source{rand.New(rand.NewPCG(seed, 10+w))}
			for range 500 {
				l, text := r.list(t)
				page, count, ok := x.Select(l, c)
				if !ok {
					continue
				}
				l.Limit, l.Offset = min(l.Limit, len(page)), 0 // the page is cut already
				slices.SortFunc(page, func(a, b *thing) int { return strings.Compare(a.id, b.id) })
				if len(slices.CompactFunc(slices.Clone(page), func(a, b *thing) bool { return a.id == b.id })) != len(page) {
					t.Errorf("seed %d, %s: an object twice", seed, text)
				}
				for _, o := range page {
					if slices.ContainsFunc(l.Filters, func(f Filter) bool { return !f.selects(c.read(o.raw, f.Field)) }) {
						t.Errorf("seed %d, %s: %s is not what was asked for", seed, text, o.raw)
					}
				}
				if count < len(page) {
					t.Errorf("seed %d, %s: %d of %d", seed, text, len(page), count)
				}
			}
		})
	}
	work.Wait()
}

// TestOrderKeepsStep compares an order with a slice.
func TestOrderKeepsStep(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 3))
	var o order
	var want []uint32
	grow := true
	for round := range 20_000 {
		slot := r.Uint32N(50_000)
		at, found := slices.BinarySearch(want, slot)
		p := o.search(func(s uint32) bool { return s < slot })
		if n := o.number(p); n != at || o.where(at) != p && at < len(want) {
			t.Fatalf("seed %d, round %d: slot %d is number %d, want %d", seed, round, slot, n, at)
		}
		if len(want) > 6000 {
			grow = false
		}
		switch {
		case found:
			want = slices.Delete(want, at, at+1)
			o.remove(p)
		case grow || r.IntN(3) == 0:
			want = slices.Insert(want, at, slot)
			o.insert(p, slot)
		case len(want) > 0: // so that it shrinks
			at = r.IntN(len(want))
			o.remove(o.where(at))
			want = slices.Delete(want, at, at+1)
		}
		if round%500 == 0 {
			from, to := r.IntN(len(want)+1), len(want)
			if got := slices.Collect(o.from(from, to)); !slices.Equal(got, want[from:]) || o.n != len(want) {
				t.Fatalf("seed %d, round %d: the order is another one", seed, round)
			}
		}
	}
	for _, piece := range o.pieces {
		if len(piece) == 0 || len(piece) >= maxPiece {
			t.Errorf("seed %d: a piece of %d", seed, len(piece))
		}
	}
}

// TestRawComparesAsValues compares every pair of encoded values in both ways.
func TestRawComparesAsValues(t *testing.T) {
	t.Parallel()
	raws := []string{"", "null", "true", "false", "0", "-0", "1", "1.0", "1e400", "-1", "2e1", "20", `""`, `"a"`, `"a b"`, `"a!"`, `"a\"b"`, `"12345678901234567"`, `"12345678901234568"`, `"1234567\u0038"`, `"\u0061"`, `"b"`, `"é"`, `[]`, `["a"]`, `{}`, `{"a":1}`}
	for _, a := range raws {
		for _, b := range raws {
			want := compare(valueOf([]byte(a)), valueOf([]byte(b)))
			if got := compareRaw([]byte(a), []byte(b)); got != want {
				t.Errorf("%s with %s: %d, want %d", a, b, got, want)
			}
			if got := newSortKey(0, []byte(a)).compare(newSortKey(1, []byte(b))); got != 0 && got != want {
				t.Errorf("the keys of %s and %s: %d, want %d", a, b, got, want)
			}
			if got := compareWith([]byte(a), valueOf([]byte(b))); got != want {
				t.Errorf("%s with the value %s: %d, want %d", a, b, got, want)
			}
		}
	}
}

// TestIndexTells has a list of each kind that an index is to answer, and of those that
// it is not.
func TestIndexTells(t *testing.T) {
	t.Parallel()
	r := source{rand.New(rand.NewPCG(1, 1))}
	x := newThings()
	var all []*thing
	for i := range 1000 {
		o := r.thing(fmt.Sprintf("%04d", i))
		o.raw = fmt.Appendf(nil, `{"Name":"n%d","Address":"10.0.%d.%d","On":%t,"Note":"x","Profiles":["p%d"],"Params":{"rack/unit":%d}}`, i, i/256, i%256, i%2 == 0, i%50, i%40)
		all = append(all, o)
	}
	x.Load(all)
	for text, want := range map[string]bool{
		"": true, "sort=Name&limit=3": true, "sort=On": true, "sort=Note": false, "sort=On,Name": false, "Name=n1": true, "Name=In(n1,n2)": true,
		"Name=Re(^n1)": true, "Name=Re(^n1.$)": false, "Name=Re(^n99.$)": true, "Name=Re(1)": false, "Address=10.0.0.1": true, "Address=Lt(10.0.0.9)": false, "Address=::1": false,
		"On=true": true, "On=true&Note=x": false, "Profiles=p1&Note=x": true, "Profiles=In(p1,p2)": true, "Profiles=Re(^p1)": false, "Profiles=p1&sort=Note": true,
		"rack%2Funit=Gte(39)": true, "rack%2Funit=Gte(39)&Note=Ne(x)": true, "rack%2Funit=Ne(3)": true, "Params.rack%2Funit=Between(3,5)": true, "secret=x": false, "oob%2Fdriver=": true,
		"Name=Nin(n1,n2)&sort=Name": true,
	} {
		q, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		l, err := Parse(q)
		if err != nil {
			t.Fatal(err)
		}
		page, count, ok := x.Select(l, thingColumns())
		if ok != want {
			t.Errorf("%s: answered %t, want %t", text, ok, want)
		}
		if ok && ids(page, count) != scan(l, all, thingColumns()) {
			t.Errorf("%s: %.200s", text, ids(page, count))
		}
	}
}

// TestIndexOfSecrets wants what became a secret not to be found by its value.
func TestIndexOfSecrets(t *testing.T) {
	t.Parallel()
	x, c := newThings(), thingColumns()
	x.Load([]*thing{{"a", []byte(`{"Params":{"oob/driver":"ipmi"}}`)}})
	l, err := Parse(url.Values{"oob/driver": {"ipmi"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, count, ok := x.Select(l, c); !ok || count != 1 {
		t.Fatal("a param was not found")
	}
	c.Secret = func(name string) bool { return name == "oob/driver" }
	if _, _, ok := x.Select(l, c); ok {
		t.Error("the index answers for a secret")
	}
	l, err = Parse(url.Values{"Params.oob/driver": {"ipmi"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := x.Select(l, c); ok {
		t.Error("the index answers for a secret by its other name")
	}
}

// crowd is an index of n things as machines are.
func crowd(n int) (*Index[thing], []*thing) {
	all := make([]*thing, n)
	for i := range all {
		all[i] = &thing{fmt.Sprintf("%08x", i*7919), fmt.Appendf(nil, `{"Available":true,"Name":"m%d","Description":"","Address":"10.%d.%d.%d","On":%t,"Profiles":["p%d"],"Params":{"note":"%s","rack/unit":%d,"oob/driver":"%s"},"Note":"%d"}`,
			i, i>>16, i>>8&255, i&255, i%7 == 0, i%1000, strings.Repeat("x", 500), i%48, []string{"ipmi", "packet"}[i%2], i%3)}
	}
	slices.SortFunc(all, func(a, b *thing) int { return cmp.Compare(a.id, b.id) })
	x := newThings()
	x.Load(all)
	return x, all
}

func BenchmarkIndexSelect(b *testing.B) {
	x, all := crowd(100_000)
	c := thingColumns()
	for _, text := range []string{"limit=50", "sort=Name&limit=50", "Address=10.0.47.11", "Profiles=p7", "rack%2Funit=17", "rack%2Funit=17&Note=1", "On=false&limit=10",
		"Name=Re(^m1)&sort=Address&limit=50", "oob%2Fdriver=Ne(ipmi)&rack%2Funit=Lt(2)", "Name=In(m1,m2,m3)"} {
		q, err := url.ParseQuery(text)
		if err != nil {
			b.Fatal(err)
		}
		l, err := Parse(q)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("index/"+text, func(b *testing.B) {
			for b.Loop() {
				if _, _, ok := x.Select(l, c); !ok {
					b.Fatal("the index does not answer")
				}
			}
		})
		b.Run("columns/"+text, func(b *testing.B) {
			var table Table[thing]
			for b.Loop() {
				table.Select(l, all, c)
			}
		})
	}
}

func BenchmarkIndexPut(b *testing.B) {
	x, all := crowd(100_000)
	i := 0
	b.Run("same", func(b *testing.B) {
		for b.Loop() {
			x.Put(all[i%len(all)])
			i++
		}
	})
	b.Run("other", func(b *testing.B) {
		for b.Loop() {
			o := *all[i%len(all)]
			o.raw = fmt.Appendf(nil, `{"Name":"m%d","Address":"10.9.9.%d","Params":{}}`, i*31%len(all), i%256)
			x.Put(&o)
			i++
		}
	})
}

func BenchmarkIndexLoad(b *testing.B) {
	_, all := crowd(100_000)
	for b.Loop() {
		newThings().Load(all)
	}
}

// TestIndexOfManyValues loads more values than are gathered one by one.
func TestIndexOfManyValues(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := source{rand.New(rand.NewPCG(seed, 4))}
	var all []*thing
	for i := range 3 * manyValues {
		any := r.any()
		if i%2 == 0 {
			any = fmt.Sprintf(`"a long beginning %d"`, r.IntN(2*manyValues))
		}
		all = append(all, &thing{fmt.Sprintf("%05d", i), fmt.Appendf(nil, `{"Name":"n%d","Any":%s}`, r.IntN(1<<20), any)})
	}
	x, c := newThings(), thingColumns()
	x.Load(all)
	for _, text := range []string{"sort=Any", "sort=Name&reverse=true&limit=100", "Any=Between(a,b)", "Any=1", "Any=Lt(5)", "Any=a+long+beginning+7", "Any=In(a,b,true)"} {
		q, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		l, err := Parse(q)
		if err != nil {
			t.Fatal(err)
		}
		if page, count, ok := x.Select(l, c); ok && ids(page, count) != scan(l, all, c) {
			t.Errorf("seed %d, %s: another list than that of a scan", seed, text)
		}
	}
}
