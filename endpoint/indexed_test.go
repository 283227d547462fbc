package endpoint

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"provision-plugins/endpoint/query"
	"provision-plugins/endpoint/store"
)

// TestIndexedListsAreThoseOfAScan changes machines through the API at random, and
// compares lists by the indexes with lists without.
func TestIndexedListsAreThoseOfAScan(t *testing.T) {
	t.Parallel()
	r := start(t)
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	o := r.e.objects
	k := o.kinds.get("machines")
	r.want(201, "POST", "/profiles", `{"Name":"site"}`, nil)
	names := map[string]bool{}
	for range 120 {
		name := fmt.Sprintf("m%d", rnd.IntN(40))
		switch {
		case !names[name]:
			r.want(201, "POST", "/machines", fmt.Sprintf(`{"Name":%q,"Address":"10.0.0.%d","Params":{"oob/driver":"%s"}}`,
				name, rnd.IntN(9), []string{"ipmi", "packet"}[rnd.IntN(2)]), nil)
			names[name] = true
		case rnd.IntN(4) == 0:
			r.want(200, "DELETE", "/machines/Name:"+name, "", nil)
			delete(names, name)
		default:
			r.want(200, "PATCH", "/machines/Name:"+name, []string{
				`[{"op":"replace","path":"/Profiles","value":["site"]}]`,
				`[{"op":"replace","path":"/Runnable","value":false}]`,
				fmt.Sprintf(`[{"op":"add","path":"/Params/ipmi~1address","value":"10.1.0.%d"}]`, rnd.IntN(9)),
			}[rnd.IntN(3)], nil)
		}
	}
	for _, text := range []string{
		"", "limit=3&offset=2", "sort=Address&reverse=true", "Profiles=site", "Profiles=Ne(site)", "Runnable=false&oob%2Fdriver=ipmi", "Address=In(10.0.0.1,10.0.0.2)",
		"Params.oob%2Fdriver=packet&sort=Name", "ipmi%2Faddress=", "Name=Re(^m1)&limit=2", "Stage=none", "Available=true&Description=x", "Pool=default&limit=0",
	} {
		l := parseList(t, text)
		want, wantCount := k.table.Select(l, o.candidates(k, l), o.columns(k))
		got, count, ok := o.byIndex(k, l, o.columns(k), view{})
		if !ok {
			continue // there is too much to look into: it is read as without an index
		}
		if idsOf(got) != idsOf(want) || count != wantCount {
			t.Errorf("seed %d: %s: %d of %s, want %d of %s", seed, text, count, idsOf(got), wantCount, idsOf(want))
		}
	}
}

// idsOf are the keys of objects.
func idsOf(list []*store.Object) string {
	out := make([]string, len(list))
	for i, o := range list {
		out[i] = o.ID
	}
	return strings.Join(out, " ")
}

// TestIndexedFieldsAreFields wants each row of the table to name what objects have,
// and what the reference calls an index to be one where it is listed.
func TestIndexedFieldsAreFields(t *testing.T) {
	t.Parallel()
	kinds := newKinds()
	for prefix, fields := range indexed {
		k := kinds.get(prefix)
		if k == nil {
			t.Errorf("there is no kind %s", prefix)
			continue
		}
		for _, f := range fields {
			is, known := k.fieldTypes()[f.Name]
			if known == f.Param {
				t.Errorf("%s: %s is declared a param %t", prefix, f.Name, f.Param)
			}
			if known && f.Words != (is == "an array") {
				t.Errorf("%s: %s is %s", prefix, f.Name, is)
			}
		}
	}
}

// TestDocsListTheIndexes wants the reference to name every indexed field.
func TestDocsListTheIndexes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for prefix, fields := range indexed {
		line := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Indexed of "+prefix+":") })
		if line < 0 {
			t.Fatalf("docs/api.md does not say what of %s is indexed", prefix)
		}
		for _, f := range fields {
			if !strings.Contains(lines[line], "`"+f.Name+"`") {
				t.Errorf("docs/api.md does not say that %s of %s is indexed", f.Name, prefix)
			}
		}
	}
}

// BenchmarkIndexedList measures a list of a few of many machines after each change,
// by an index and without.
func BenchmarkIndexedList(b *testing.B) {
	r := start(b)
	for i := range 2000 {
		r.machine("m"+itoa(i), nil)
	}
	o := r.e.objects
	k := o.kinds.get("machines")
	l := query.List{Limit: 10, Sort: []string{"Name"}}
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			if _, _, ok := o.byIndex(k, l, o.columns(k), view{}); !ok {
				b.Fatal("the index does not answer")
			}
		}
	})
	b.Run("columns", func(b *testing.B) {
		for b.Loop() {
			k.table.Select(l, o.candidates(k, l), o.columns(k))
		}
	})
}
