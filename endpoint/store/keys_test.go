package store

import (
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

func TestEncode(t *testing.T) {
	for id, want := range map[string]string{
		"m1":                  "m1",
		"a.b":                 "a=2Eb",
		"a_b":                 "a=5Fb",
		"Name=x y":            "Name=3Dx=20y",
		"*":                   "=2A",
		">":                   "=3E",
		"ü":                   "=C3=BC",
		"\x00\n":              "=00=0A",
		"00000000-0000-4abc-": "00000000-0000-4abc-",
		"plugin_providers":    "plugin=5Fproviders",
	} {
		if got := encode(id); got != want {
			t.Errorf("encode(%q) = %q, want %q", id, got, want)
		}
		if back, ok := decode(want); !ok || back != id {
			t.Errorf("decode(%q) = %q %v, want %q", want, back, ok, id)
		}
	}
}

func TestDecodeRefusesWhatEncodeDoesNotWrite(t *testing.T) {
	for _, token := range []string{"", "a.b", "=", "=4", "=2e", "=41", "a=2", "=ZZ", "=2E.", "ü"} {
		if got, ok := decode(token); ok {
			t.Errorf("decode(%q) = %q, want it refused", token, got)
		}
	}
}

func TestSplitKey(t *testing.T) {
	for _, k := range []string{"", "machines", ".", "machines.", ".a", "a.b.c"} {
		if p, id, ok := splitKey(k); ok {
			t.Errorf("splitKey(%q) = %q %q, want it refused", k, p, id)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, c := range [][2]string{
		{"", "a"}, {"machines", ""}, {uniquePrefix, "a"}, {systemPrefix, "a"},
		{strings.Repeat("p", maxPrefix+1), "a"}, {"machines", strings.Repeat("i", maxID+1)},
	} {
		wantKind(t, checkName(c[0], c[1]), model.Invalid)
	}
	must(t, checkName("machines", strings.Repeat("\x00", maxID)))
}

func FuzzKeys(f *testing.F) {
	f.Add("machines", "a.b")
	f.Add("", "=2E")
	f.Add("plugin_providers", "\xff")
	f.Fuzz(func(t *testing.T, prefix, id string) {
		k := key(prefix, id)
		if strings.ContainsAny(k, " *>\r\n\t") || strings.Count(k, ".") != 1 {
			t.Fatalf("key(%q, %q) = %q is no subject", prefix, id, k)
		}
		p, i, ok := splitKey(k)
		if want := prefix != "" && id != ""; ok != want || ok && (p != prefix || i != id) {
			t.Fatalf("splitKey(%q) = %q %q %v, want %q %q", k, p, i, ok, prefix, id)
		}
		// And the other way round: whatever decodes is written one way only.
		if back, ok := decode(id); ok && encode(back) != id {
			t.Fatalf("decode(%q) = %q, which is written %q", id, back, encode(back))
		}
	})
}
