package query

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestEqualIsOrderedAsTheSame compares the short way of Eq with the order of values,
// for texts of which some are addresses in several spellings.
func TestEqualIsOrderedAsTheSame(t *testing.T) {
	texts := []string{"", "10", "10.0.0.1", "010.0.0.1", "10.0.0.01", "10.0.0.1 ", "::ffff:10.0.0.1", "::1", "0:0:0:0:0:0:0:1", "FE80::1", "fe80::1", "fe80::1%eth0", "10.0.0.1/8", "m1", "M1", "true"}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	for range 50 {
		texts = append(texts, fmt.Sprintf("10.0.%d.%d", rnd.IntN(2), rnd.IntN(3)))
	}
	for _, a := range texts {
		same, err := equal(a)
		if err != nil {
			t.Fatal(err)
		}
		o := operandOf(a)
		for _, b := range texts {
			v := value{form: text, text: b}
			order, comparable := o.against(v)
			if got, want := same(v), comparable && order == 0; got != want {
				t.Errorf("seed %d: Eq(%q) of %q is %t, want %t", seed, a, b, got, want)
			}
		}
	}
}

// TestListsFollowRandomChanges has objects come, go and change at random, and compares
// each list with what reading every object anew selects.
func TestListsFollowRandomChanges(t *testing.T) {
	type object struct{ raw []byte }
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	one := func() *object {
		return &object{fmt.Appendf(nil, `{"Address":"10.0.0.%d","Profiles":["p%d","p%d"],"Params":{"rack":%d}}`, rnd.IntN(4), rnd.IntN(3), rnd.IntN(3), rnd.IntN(4))}
	}
	columns := Columns[object]{Encoded: func(o *object) []byte { return o.raw }}
	var table Table[object]
	var objects []*object
	for range 400 {
		next := append(make([]*object, 0, len(objects)+3), objects...)
		for range rnd.IntN(4) {
			switch at := rnd.IntN(len(next) + 1); {
			case at == len(next) || rnd.IntN(3) == 0:
				next = append(next[:at:at], append([]*object{one()}, next[at:]...)...)
			case rnd.IntN(2) == 0:
				next[at] = one()
			default:
				next = append(next[:at:at], next[at+1:]...)
			}
		}
		objects = next
		field, want := "rack", fmt.Sprint(rnd.IntN(4))
		switch rnd.IntN(3) {
		case 0:
			field, want = "Address", "10.0.0."+want
		case 1:
			field, want = "Profiles", "p"+want
		}
		filter, err := newFilter(field, want)
		if err != nil {
			t.Fatal(err)
		}
		got, count := table.Select(List{Filters: []Filter{filter}, Limit: All}, objects, columns)
		var scanned []*object
		for _, o := range objects {
			if filter.selects(columns.read(o.raw, field)) {
				scanned = append(scanned, o)
			}
		}
		if count != len(scanned) || !slices.Equal(got, scanned) {
			t.Fatalf("seed %d: %s=%s selects %d of %d, want %d", seed, field, want, count, len(objects), len(scanned))
		}
	}
}

// The cost of an equality over many objects, whose columns are there.
func BenchmarkEqual100000(b *testing.B) {
	type object struct{ raw []byte }
	objects := make([]*object, 100_000)
	for i := range objects {
		objects[i] = &object{fmt.Appendf(nil, `{"Address":"10.%d.%d.%d","Profiles":["p%d"],"Params":{"rack":"r%d"}}`, i>>16, i>>8&255, i&255, i%20, i/40)}
	}
	columns := Columns[object]{Encoded: func(o *object) []byte { return o.raw }}
	for _, ask := range [][2]string{{"Address", "10.0.7.7"}, {"rack", "r7"}, {"Profiles", "p3"}} {
		b.Run(ask[0], func(b *testing.B) {
			filter, err := newFilter(ask[0], ask[1])
			if err != nil {
				b.Fatal(err)
			}
			var table Table[object]
			for b.Loop() {
				if _, n := table.Select(List{Filters: []Filter{filter}, Limit: All}, objects, columns); n == 0 {
					b.Fatal("nothing is selected")
				}
			}
		})
	}
}
