package endpoint

import (
	"strings"
	"testing"
)

func TestOrderOfVersions(t *testing.T) {
	t.Parallel()
	order := []string{"v0.0.0", "0.0.1-1", "0.0.1-2", "0.0.1-10", "0.0.1-alpha", "0.0.1-alpha.1", "0.0.1-alpha.beta", "0.0.1-beta", "0.0.1", "0.2", "v0.10.0", "1", "v4.8.0-alpha00", "4.8.0+build", "v4.8.1"}
	for i, a := range order {
		for j, b := range order {
			va, errA := parseVersion(a)
			vb, errB := parseVersion(b)
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			if c := va.Compare(vb); (c < 0) != (i < j) || (c > 0) != (i > j) {
				t.Errorf("%s with %s: %d", a, b, c)
			}
		}
	}
}

func TestBadVersions(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "v", "1.2.foo", "1.2.3.4", "-1", "1..2", "1.2.3-", "1.2.3-a..b", "99999999999999999999", "1 2", strings.Repeat("1", maxVersion+1)} {
		if v, err := parseVersion(text); err == nil || !strings.HasPrefix(err.Error(), "invalid: invalid version") {
			t.Errorf("%q: %v, %v", text, v, err)
		}
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, in, out string }{
		{"", "0.0.0 1.2.3", ""},
		{"  ", "0.0.0 1.2.3", ""},
		{">=1.2.0", "1.2.0 v2.0.0", "1.1.9 1.2.0-rc1"},
		{">= 1.2.0", "1.2.0", "1.1.9"},
		{"4.0.0", "4.0.0 v4.0.0 4 4.0.0+x", "4.0.1"},
		{"==1.2.3", "1.2.3", "1.2.4"},
		{">1.2.0 <2.0.0", "1.2.1 1.9.9", "1.2.0 2.0.0"},
		{"<1.0.0 || >=2.0.0", "0.9.0 2.0.0", "1.5.0"},
		{"<1.0.0||>=2.0.0||1.5.0", "0.9.0 2.0.0 1.5.0", "1.5.1"},
		{"!=1.0.0", "1.0.1", "1.0.0"},
		{"1.2.x", "1.2.0 1.2.9", "1.3.0 1.1.9"},
		{"1.x", "1.0.0 1.9.9", "2.0.0 0.9.9"},
		{">1.2.x", "1.3.0", "1.2.9"},
	} {
		in, err := parseRange(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		for list, want := range map[string]bool{c.in: true, c.out: false} {
			for _, text := range strings.Fields(list) {
				v, err := parseVersion(text)
				if err != nil || in(v) != want {
					t.Errorf("%q has %s: %v (%v)", c.text, text, in(v), err)
				}
			}
		}
	}
}

func TestBadRanges(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		">=", ">=foo", "~1.2.3", ">>1.0.0", "1", "1.2.3 ||<", "|| 1.2.3", "1.2.3 ||", "1.0.0 || || 2.0.0", "1.0.0 | 2.0.0", "! 1.0.0", "1.0.0 5", ">=1.0.0 || 5",
		strings.Repeat(" ", maxVersion+1),
	} {
		if in, err := parseRange(text); err == nil {
			t.Errorf("%q is taken: %v", text, in != nil)
		}
	}
}

func FuzzVersions(f *testing.F) {
	f.Add(">=1.2.0 <2.0.0 || 3.x", "1.2.3-rc.1+b")
	f.Add("1.0.0 || || 2.0.0", "v1")
	f.Fuzz(func(t *testing.T, text, version string) {
		v, err := parseVersion(version)
		if err != nil {
			return
		}
		if in, err := parseRange(text); err == nil {
			in(v)
		}
		if own, err := parseRange("==" + v.String()); err != nil || !own(v) {
			t.Errorf("%s is not in its own range (%v)", v, err)
		}
	})
}
