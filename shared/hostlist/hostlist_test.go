package hostlist

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	tests := []struct {
		list string
		want string // names joined by spaces
	}{
		{"m1", "m1"},
		{"a,b", "a b"},
		{"b,a,b", "b a"},
		{"n[1-3]", "n1 n2 n3"},
		{"n[08-11]", "n08 n09 n10 n11"},
		{"n[8-11]", "n8 n9 n10 n11"},
		{"n[098-101]", "n098 n099 n100 n101"},
		{"n[00-01]", "n00 n01"},
		{"n[0-1]", "n0 n1"},
		{"n[1,3-4,07]", "n1 n3 n4 n07"},
		{"r[1-2]n[01-02]", "r1n01 r1n02 r2n01 r2n02"},
		{"r[1-2]n[1,3],spare7", "r1n1 r1n3 r2n1 r2n3 spare7"},
		{"[1-2]", "1 2"},
		{"10.0.0.[9-10]", "10.0.0.9 10.0.0.10"},
		{"n[3-3]", "n3"},
		{"n[1-2,2-3]", "n1 n2 n3"},
		{"node[1-2].example.org", "node1.example.org node2.example.org"},
		{"maße[1-2]", "maße1 maße2"},
	}
	for _, tt := range tests {
		got, err := Expand(tt.list)
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("Expand(%q) = %q, %v; want %q", tt.list, got, err, tt.want)
		}
	}
}

func TestExpandKeepsSpacesInsideNames(t *testing.T) {
	got, err := Expand("rack 1,rack 2")
	if err != nil || !slices.Equal(got, []string{"rack 1", "rack 2"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestExpandRefuses(t *testing.T) {
	tests := []struct {
		list string
		pos  int
		msg  string
	}{
		{"", 1, "it is empty; name machines, such as m1 or rack[1-4]n[01-32]"},
		{"  ", 1, "it is empty; name machines, such as m1 or rack[1-4]n[01-32]"},
		{",", 1, "a name is missing"},
		{"a,,b", 3, "a name is missing"},
		{"a,", 3, "a name is missing"},
		{"n[1-4", 2, "[ without ]"},
		{"n[", 3, "the list ends where a number should stand"},
		{"n[]", 3, "expected a number"},
		{"n[a]", 3, "expected a number"},
		{"n[1-]", 5, "expected a number"},
		{"n[1--2]", 5, "expected a number"},
		{"n[1,,2]", 5, "expected a number"},
		{"n[1;2]", 4, "expected a digit, ',', '-' or ']'"},
		{"n[1-[2-3]]", 5, "expected a number"},
		{"n1]", 3, "] without ["},
		{"n[4-1]", 3, "range 4-1 runs backwards"},
		{"n[1-04]", 5, "04 has other leading zeros than 1"},
		{"n[01-100,001-0100]", 14, "0100 has other leading zeros than 001"},
		{"a, b", 3, "white space around a name"},
		{"a\nb", 2, "white space around a name"},
		{"a\xff", 2, "not UTF-8"},
		{"n[1-100001]", 2, "expands to more than 100000 names"},
		{"n[1-1000]m[1-1000]", 11, "expands to more than 100000 names"},
		{"n[1-60000],m[1-60000]", 13, "expands to more than 100000 names"},
		{"n[0-999999999999999999]", 2, "expands to more than 100000 names"},
		{"n[1234567890123456789]", 3, "a number has more than 18 digits"},
		{strings.Repeat("x", 256), 1, "a name is longer than 255 bytes"},
	}
	for _, tt := range tests {
		_, err := Expand(tt.list)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("Expand(%q) = %v, want an *Error", tt.list, err)
			continue
		}
		if e.Pos != tt.pos || e.Msg != tt.msg {
			t.Errorf("Expand(%q): position %d: %s; want position %d: %s", tt.list, e.Pos, e.Msg, tt.pos, tt.msg)
		}
	}
}

func TestErrorIsOneShortLine(t *testing.T) {
	_, err := Expand(strings.Repeat("n[1-2]", 1000) + "\n")
	if err == nil || strings.Contains(err.Error(), "\n") || len(err.Error()) > 200 {
		t.Errorf("got %v", err)
	}
	_, err = Expand("n[1-")
	want := `host list "n[1-", position 5: the list ends where a number should stand`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestExpandBounds(t *testing.T) {
	got, err := Expand("n[1-100000]")
	if err != nil || len(got) != MaxNames {
		t.Errorf("got %d names, %v; want %d", len(got), err, MaxNames)
	}
	if _, err := Expand(strings.Repeat("a", maxList+1)); err == nil {
		t.Error("a list past the bound was taken")
	}
}

func TestFold(t *testing.T) {
	tests := []struct{ names, want string }{
		{"", ""},
		{"m1", "m1"},
		{"m7 m7", "m7"},
		{"n3 n1 n2", "n[1-3]"},
		{"n1 n2 n4", "n[1-2,4]"},
		{"n08 n09 n10 n11", "n[08-11]"},
		{"n8 n9 n10", "n[8-10]"},
		{"n1 n01 n2 n02", "n[1,01,2,02]"},
		{"n9 n010", "n[9,010]"},
		{"r1n01 r1n02 r2n01 r2n02", "r[1-2]n[01-02]"},
		{"r1n01 r1n02 r2n01", "r1n[01-02],r2n01"},
		{"r2n1 r10n1", "r[2,10]n1"},
		{"a b", "a,b"},
		{"b2 a1 a2 b1", "a[1-2],b[1-2]"},
		{"10.0.0.9 10.0.0.10", "10.0.0.[9-10]"},
		{"1234567890123456789 1234567890123456790", "1234567890123456789,1234567890123456790"},
		{"odd[1 odd[2", "odd[1,odd[2"},
	}
	for _, tt := range tests {
		if got := Fold(strings.Fields(tt.names)); got != tt.want {
			t.Errorf("Fold(%s) = %q, want %q", tt.names, got, tt.want)
		}
	}
}

func TestFoldLeavesItsInputAlone(t *testing.T) {
	names := []string{"n2", "n1"}
	Fold(names)
	if !slices.Equal(names, []string{"n2", "n1"}) {
		t.Errorf("names are now %q", names)
	}
}

func TestCompare(t *testing.T) {
	sorted := []string{"", "1", "01", "2", "10", "a", "a1", "a01", "a1b", "a2", "a10", "ab", "b", "b99999999999999999999", "b100000000000000000000"}
	for i, a := range sorted {
		for j, b := range sorted {
			got, want := Compare(a, b), min(max(i-j, -1), 1)
			if got != want {
				t.Errorf("Compare(%q, %q) = %d, want %d", a, b, got, want)
			}
		}
	}
}

// TestRoundTrip folds random sets of names and expands them again.
func TestRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	formats := []string{"n%d", "n%02d", "r%dn%03d", "%d", "x%d-%d.y", "web"}
	for range 2000 {
		var names []string
		for range 1 + rng.IntN(40) {
			format := formats[rng.IntN(len(formats))]
			args := make([]any, strings.Count(format, "%"))
			for i := range args {
				args[i] = rng.IntN(12)
			}
			names = append(names, fmt.Sprintf(format, args...))
		}
		checkRoundTrip(t, names)
	}
}

// checkRoundTrip fails unless the folded names expand to the same set.
func checkRoundTrip(t *testing.T, names []string) {
	t.Helper()
	folded := Fold(names)
	got, err := Expand(folded)
	if err != nil {
		t.Fatalf("Fold(%q) = %q, which does not expand: %v", names, folded, err)
	}
	want := slices.Clone(names)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, slices.Compact(want)) {
		t.Fatalf("Fold(%q) = %q, which expands to %q", names, folded, got)
	}
}

func TestFoldOfManyIsQuickAndShort(t *testing.T) {
	names, err := Expand("site[1-4]rack[1-25]n[001-100]")
	if err != nil {
		t.Fatal(err)
	}
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	if got := Fold(names); got != "site[1-4]rack[1-25]n[001-100]" {
		t.Errorf("got %.200s", got)
	}
}

func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"a", "n[1-3]", "r[1-2]n[01-10],x", "n[", "[1,02]", "a,b,,", "n[1-9999999999]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		names, err := Expand(list)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Pos < 1 || e.Pos > len(list)+1 {
				t.Fatalf("Expand(%q) = %#v", list, err)
			}
			return
		}
		if len(names) == 0 || len(names) > MaxNames {
			t.Fatalf("Expand(%q) has %d names", list, len(names))
		}
		if len(names) <= 1000 && !strings.Contains(list, hole) {
			checkRoundTrip(t, names)
		}
	})
}

func FuzzCompare(f *testing.F) {
	f.Add("a1", "a01", "a2")
	f.Add("n10", "n9", "")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if Compare(a, b) != -Compare(b, a) {
			t.Fatalf("Compare(%q, %q) is not the reverse of its reverse", a, b)
		}
		if (Compare(a, b) == 0) != (a == b) {
			t.Fatalf("Compare(%q, %q) = 0", a, b)
		}
		if Compare(a, b) < 0 && Compare(b, c) < 0 && Compare(a, c) >= 0 {
			t.Fatalf("%q < %q < %q, and not %q < %q", a, b, c, a, c)
		}
	})
}
