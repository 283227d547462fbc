package button

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// claim is one that is good until noon.
func claim() Claim {
	return Claim{Verb: "confirm", ID: "abc", Expires: time.Unix(1000, 0), Requester: "U1", Channel: "C1", Subject: []string{"powercycle", "m1"}}
}

func TestAValueStandsForOneClaim(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.Sign(claim())
	if err != nil {
		t.Fatal(err)
	}
	v, err := Read(text)
	if err != nil || v.Verb != "confirm" || v.ID != "abc" {
		t.Fatalf("%+v, %v", v, err)
	}
	before := time.Unix(999, 0)
	if err := s.Verify(v, claim(), before); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(c *Claim){
		"verb":      func(c *Claim) { c.Verb = "cancel" },
		"id":        func(c *Claim) { c.ID = "abd" },
		"expiry":    func(c *Claim) { c.Expires = time.Unix(2000, 0) },
		"requester": func(c *Claim) { c.Requester = "U2" },
		"channel":   func(c *Claim) { c.Channel = "C2" },
		"machines":  func(c *Claim) { c.Subject = []string{"powercycle", "m2"} },
		"nothing":   func(c *Claim) { c.Subject = nil },
	} {
		c := claim()
		change(&c)
		if err := s.Verify(v, c, before); err == nil {
			t.Errorf("another %s: it counts", name)
		}
	}
	if err := s.Verify(v, claim(), time.Unix(1000, 0)); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("too late: %v", err)
	}
	again, err := Open(dir) // the key is kept
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Verify(v, claim(), before); err != nil {
		t.Error(err)
	}
	other, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Verify(v, claim(), before); err == nil {
		t.Error("another's key counts")
	}
}

func TestTamperedValues(t *testing.T) {
	t.Parallel()
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.Sign(claim())
	if err != nil {
		t.Fatal(err)
	}
	for i := range text {
		changed := []byte(text)
		changed[i] ^= 1
		v, err := Read(string(changed))
		if err == nil && s.Verify(v, claim(), time.Unix(1, 0)) == nil {
			t.Errorf("%s counts", changed)
		}
	}
	for _, bad := range []string{"", ".", "....", "v1.confirm.abc.1000", text + ".x", "v2" + text[2:], "v1.confirm.abc.+1000.x", "v1.confirm.abc.0001.x", strings.Repeat("x", 600)} {
		if v, err := Read(bad); err == nil {
			t.Errorf("%.40q is %+v", bad, v)
		}
	}
}

func TestTheKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Open(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, keyFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || info.Size() != keySize {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.Chmod(path, 0o644); err != nil { // as a copy may come
		t.Fatal(err)
	}
	if _, err := Open(dir); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("%v", err)
	}
	if _, err := Open(filepath.Join(dir, "absent")); model.KindOf(err) != model.Invalid {
		t.Errorf("%v", err)
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		id := NewID()
		if len(id) != 32 || seen[id] {
			t.Fatalf("%q", id)
		}
		seen[id] = true
	}
}

func FuzzRead(f *testing.F) {
	s := &Signer{key: make([]byte, keySize)}
	text, err := s.Sign(claim())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("v1.confirm.abc.1000.")
	f.Fuzz(func(t *testing.T, in string) {
		v, err := Read(in)
		if err == nil && in != text && s.Verify(v, claim(), time.Unix(1, 0)) == nil {
			t.Errorf("%q counts", in)
		}
	})
}
