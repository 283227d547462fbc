package quirks

import (
	"math/bits"
	"os"
	"strings"
	"testing"
)

func TestFlagsAreWhole(t *testing.T) {
	var all Set
	names := map[string]bool{}
	for _, f := range Flags() {
		if bits.OnesCount16(uint16(f.Set)) != 1 || all&f.Set != 0 {
			t.Errorf("%s: not a bit of its own", f.Name)
		}
		if names[f.Name] || f.Name == "" || f.Name != strings.ToLower(f.Name) || strings.ContainsAny(f.Name, " ,-") {
			t.Errorf("name %q", f.Name)
		}
		if f.Meaning == "" || f.Effect == "" || f.Source == "" {
			t.Errorf("%s: says not what, what then, or from where", f.Name)
		}
		all |= f.Set
		names[f.Name] = true
	}
	if all&(all+1) != 0 {
		t.Errorf("flags leave a bit out: %b", all)
	}
}

func TestDevicesAreWhole(t *testing.T) {
	for _, e := range Devices() {
		if e.Set == 0 || e.Name == "" || e.Reason == "" || e.Source == "" || e.Manufacturer == 0 || e.Product < AnyProduct {
			t.Errorf("row is not whole: %+v", e)
		}
		if e.Set.Has(Suite3 | Suite17) {
			t.Errorf("%s: no suite is left", e.Name)
		}
	}
}

func TestOf(t *testing.T) {
	for d, want := range map[Device]Set{
		{}:                                 0,
		{Manufacturer: 7154}:               0,
		{Manufacturer: 10876, Product: 99}: NoChecksumCheck,
		{Manufacturer: 49871, Major: 2}:    OffErrors | NoRestartCause,
	} {
		if got := Of(d); got != want {
			t.Errorf("%v: %v, want %v", d, got, want)
		}
	}
}

func TestOverride(t *testing.T) {
	const known = NoChecksumCheck | OffErrors | Suite3
	for text, want := range map[string]Set{
		"":                            known,
		"slow":                        known | Slow,
		"-offerrors":                  NoChecksumCheck | Suite3,
		"none":                        0,
		"none,slow":                   Slow,
		"slow, noparam3":              known | Slow | NoParam3,
		"slow,none":                   Slow,
		"suite17":                     NoChecksumCheck | OffErrors | Suite17,
		"-suite3":                     NoChecksumCheck | OffErrors,
		"-slow":                       known,
		" nochecksumcheck ,,authcap ": known | AuthCap,
	} {
		o, err := Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := o.Apply(known); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"fast":                   `"fast" is not a quirk; they are opensesspriv,`,
		"slow,-slow":             "slow is both set and removed",
		"suite3,suite17":         "leave no cipher suite",
		"--slow":                 `"--slow" is not a quirk`,
		"-none":                  `"-none" is not a quirk`,
		"Slow":                   `"Slow" is not a quirk`,
		strings.Repeat("x", 500): "is not a quirk",
	} {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%.20q: an error of %d bytes", text, len(err.Error()))
		}
	}
}

func TestNames(t *testing.T) {
	for s, want := range map[Set]string{0: "none", Slow: "slow", Slow | OpenSessPriv: "opensesspriv,slow"} {
		if got := s.String(); got != want {
			t.Errorf("%b: %q, want %q", s, got, want)
		}
		back, err := Parse(want)
		if err != nil || back.Apply(0) != s {
			t.Errorf("%q reads as %v, %v", want, back.Apply(0), err)
		}
	}
	for d, want := range map[Device]string{
		{Manufacturer: 674, Product: 256, Major: 2, Minor: 5}: "Dell, product 256, firmware 2.05",
		{Manufacturer: 99999}: "manufacturer 99999, product 0, firmware 0.00",
	} {
		if got := d.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "none", "slow,-authcap", "suite3 suite17", "-,-"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := Parse(text)
		if err != nil {
			return
		}
		s := o.Apply(Slow | AuthCap)
		back, err := Parse(s.String())
		if s.Has(Suite3|Suite17) || err != nil || back.Apply(0) != s {
			t.Fatalf("%q gives %v, which reads as %v, %v", text, s, back.Apply(0), err)
		}
	})
}

// TestDocument holds the table in the documentation to the data.
func TestDocument(t *testing.T) {
	const path = "../../docs/ipmi.md"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(raw), Begin)
	body, _, ended := strings.Cut(rest, End)
	want := Markdown()
	if !found || !ended || Begin+body+End+"\n" != want {
		t.Errorf("%s does not hold the tables as they are; it must hold:\n%s", path, want)
	}
}
