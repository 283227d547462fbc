package model

import (
	"fmt"
	"strings"
	"testing"
)

// A set masks what Redact masks, whatever the value looks like.
func TestASecretSetMasksAsRedactDoes(t *testing.T) {
	values := []string{"hunter22", "hunter22-longer", `p"w\d/é`, "12345", "abc", "", "a b&c"}
	var s SecretSet
	s.Add(values)
	for _, text := range []string{
		"", "abc", "login hunter22 failed", "hunter22-longer and hunter22", "hunter2", "xhunter22hunter22x",
		`{"password":"p\"w\\d/é"}`, "q=a+b%26c", "12345678", "the end is hunter22", strings.Repeat("hunter22 ", 100),
	} {
		if got, want := s.Redact(text), Redact(text, []string{"hunter22-longer", "hunter22", `p"w\d/é`, "12345", "a b&c"}); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestASecretSetCounts(t *testing.T) {
	var s SecretSet
	if got := s.Redact("nothing to hide"); got != "nothing to hide" {
		t.Errorf("an empty set: %q", got)
	}
	s.Add([]string{"hunter22", "hunter22"})
	s.Drop([]string{"hunter22"})
	if got := s.Redact("hunter22"); got != Masked {
		t.Errorf("dropped once of twice: %q", got)
	}
	s.Drop([]string{"hunter22", "never-there"})
	if got := s.Redact("hunter22"); got != "hunter22" {
		t.Errorf("dropped: %q", got)
	}
	if len(s.forms) != 0 {
		t.Errorf("left behind: %v", s.forms)
	}
}

func FuzzSecretSet(f *testing.F) {
	f.Add("login hunter22 failed", "hunter22")
	f.Add("\xff\xfe\xfd\xfc\xfb", "\xfe\xfd\xfc\xfb")
	f.Fuzz(func(t *testing.T, text, value string) {
		var s SecretSet
		s.Add([]string{value})
		got := s.Redact(text)
		if len(value) >= minSecret && !strings.Contains(Masked, value) && strings.Contains(got, value) && !strings.Contains(value, "*") {
			// Masking one may put the parts of another together only around a mask.
			t.Errorf("%q with %q masked is %q", text, value, got)
		}
		s.Drop([]string{value})
		if s.Redact(text) != text {
			t.Error("a dropped value is masked")
		}
	})
}

// What a line costs does not grow with the fleet.
func BenchmarkSecretSet10000(b *testing.B) {
	var s SecretSet
	for i := range 10_000 {
		s.Add([]string{fmt.Sprintf("pw-%08d-of-a-machine", i*7919)})
	}
	line := "cannot log in to 192.0.2.1: the device refused pw-00007919-of-a-machine after three tries; see its log"
	for b.Loop() {
		s.Redact(line)
	}
}
