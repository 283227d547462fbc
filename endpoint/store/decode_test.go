package store

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// bits are what the texts of random envelopes are made of: the marks that stand
// between the members of one, and what could pass for them.
var bits = []string{`},"v":{`, `},"k":"`, `"`, `\`, `{`, `}`, `}}`, `"}`, `,"v":`, "é", "\n", "<&>", "a", ""}

// anyText returns a random text of bits.
func anyText(rnd *rand.Rand) string {
	var b strings.Builder
	for range rnd.IntN(5) {
		b.WriteString(bits[rnd.IntN(len(bits))])
	}
	return b.String()
}

// anyValue returns a random object whose members bear the names of an envelope's.
func anyValue(rnd *rand.Rand, depth int) map[string]any {
	out := map[string]any{}
	for range rnd.IntN(4) {
		name := []string{"u", "v", "k", "Name", anyText(rnd)}[rnd.IntN(5)]
		switch rnd.IntN(4) {
		case 0:
			out[name] = rnd.IntN(100)
		case 1:
			out[name] = anyText(rnd)
		case 2:
			out[name] = []any{anyText(rnd), nil, true}
		case 3:
			if depth > 0 {
				out[name] = anyValue(rnd, depth-1)
			}
		}
	}
	return out
}

// TestEnvelopesAreReadAsTheyWereWritten compares the short way with the long one.
func TestEnvelopesAreReadAsTheyWereWritten(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	for i := range 5_000 {
		want := envelope{}
		value, err := model.Marshal(anyValue(rnd, 3))
		must(t, err)
		want.Value = value
		for range rnd.IntN(3) {
			if want.Unique == nil {
				want.Unique = map[string]string{}
			}
			want.Unique["i"+anyText(rnd)] = anyText(rnd)
		}
		if rnd.IntN(3) == 0 {
			want.Key = []byte(anyText(rnd) + "k")
		}
		data, err := model.Marshal(want)
		must(t, err)
		if joined, err := joinEnvelope(want.Unique, want.Value, want.Key); err != nil || string(joined) != string(data) {
			t.Fatalf("seed %d: %d: %s is written as %s (%v)", seed, i, data, joined, err)
		}
		got, ok := splitEnvelope(data)
		if !ok {
			t.Fatalf("seed %d: %d: %s is read the long way", seed, i, data)
		}
		if string(got.Value) != string(want.Value) || string(got.Key) != string(want.Key) || !maps.Equal(got.Unique, want.Unique) {
			t.Fatalf("seed %d: %d: %s is read as %s, %q, %v", seed, i, data, got.Value, got.Key, got.Unique)
		}
	}
}

// TestOddEnvelopes has records that the store does not write read as JSON says, or
// refused.
func TestOddEnvelopes(t *testing.T) {
	for _, c := range []struct{ data, value, key string }{
		{data: `{"v":1}`, value: `1`},
		{data: `{"v":"}}"}`, value: `"}}"`},
		{data: `{ "v":{"a":1}}`, value: `{"a":1}`},
		{data: `{"k":"YQ==","v":{"a":{}}}`, value: `{"a":{}}`, key: "a"},
		{data: `{"v":{"a":{}},"x":{"b":{}}}`, value: `{"a":{}}`},
		{data: `{"v":{"a":{},"k":"YQ=="},"x":"b"}`, value: `{"a":{},"k":"YQ=="}`},
		{data: `{"v":{"a":{}},"k":"YQ==","k":"Yg=="}`, value: `{"a":{}}`, key: "b"},
		{data: `{"u":{"Name":"n"},"x":1,"v":{}}`, value: `{}`},
		{data: `{"v":{}`}, {data: `{"v":{"a":1}}}`}, {data: `{"v":{"a"}}`}, {data: `{"u":{"Name":1},"v":{}}`},
		{data: `{"v":{},"k":"not base64"}`}, {data: `{"u":{`}, {data: `{"v":{`}, {data: `}}`}, {data: ``}, {data: `{"v":{}}{"v":{}}`},
	} {
		it, err := itemOf("machines.a", []byte(c.data), 7)
		if c.value == "" {
			if err == nil || !strings.Contains(err.Error(), "record machines.a is damaged") {
				t.Errorf("%s: %v", c.data, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.data, err)
			continue
		}
		if string(it.Value) != c.value || string(it.Key) != c.key || it.Rev != 7 || it.Prefix != "machines" || it.ID != "a" {
			t.Errorf("%s is read as %+v", c.data, it)
		}
	}
}

// TestItemsKeepNothingOfTheirRecord changes a record after it was read.
func TestItemsKeepNothingOfTheirRecord(t *testing.T) {
	data := []byte(`{"u":{"Name":"n"},"v":{"a":1},"k":"YQ=="}`)
	it, err := itemOf("machines.a", data, 1)
	must(t, err)
	clear(data)
	if string(it.Value) != `{"a":1}` || string(it.Key) != "a" || fmt.Sprint(it.holding()) != "map[Name:n]" {
		t.Errorf("it is %s, %s, %v now", it.Value, it.Key, it.unique)
	}
}

func BenchmarkItemOf(b *testing.B) {
	value, err := json.Marshal(map[string]any{"Name": "m1", "Params": map[string]any{"note": strings.Repeat("x", 1000)}})
	must(b, err)
	data, err := model.Marshal(envelope{Unique: named("m1"), Value: value})
	must(b, err)
	for b.Loop() {
		if _, err := itemOf("machines.a", data, 1); err != nil {
			b.Fatal(err)
		}
	}
}
