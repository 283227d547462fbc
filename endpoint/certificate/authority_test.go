package certificate

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Where the CA was removed, and made anew, the certificate is of the new one: what
// clients are told to pin is what they are shown.
func TestANewAuthority(t *testing.T) {
	d := newDesk(t)
	_, old := d.shown(d.open())
	if err := errors.Join(os.Remove(filepath.Join(d.o.Dir, CAFile)), os.Remove(filepath.Join(d.o.Dir, caKeyFile))); err != nil {
		t.Fatal(err)
	}
	leaf, ca := d.shown(d.open())
	if ca.Equal(old) {
		t.Error("the old CA is shown")
	}
	if !ca.MaxPathLenZero || leaf.IsCA {
		t.Error("others could be CAs by it")
	}
	d.verify(leaf, ca, "localhost")
	known, err := Describe(d.o.Dir)
	if err != nil || known.Fingerprint != Fingerprint(ca) {
		t.Errorf("%+v, %v", known, err)
	}
}
