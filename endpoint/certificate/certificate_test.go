package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// desk is a keeper under test, with a clock that only the test moves.
type desk struct {
	t   *testing.T
	o   Options
	log bytes.Buffer
	mu  sync.Mutex // guards at
	at  time.Time
}

// newDesk prepares a directory.
func newDesk(t *testing.T) *desk {
	d := &desk{t: t, at: time.Now()}
	d.o = Options{Dir: t.TempDir(), Listen: "192.0.2.7:8092", Logger: slog.New(slog.NewTextHandler(&d.log, nil)), Now: func() time.Time {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.at
	}}
	return d
}

// move moves the clock.
func (d *desk) move(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = d.at.Add(by)
}

// open opens the keeper.
func (d *desk) open() *Keeper {
	d.t.Helper()
	k, err := Open(d.o)
	if err != nil {
		d.t.Fatal(err)
	}
	return k
}

// shown is the chain that a client is shown.
func (d *desk) shown(k *Keeper) (leaf, ca *x509.Certificate) {
	d.t.Helper()
	got, err := k.Get(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	if ca, err = x509.ParseCertificate(got.Certificate[len(got.Certificate)-1]); err != nil {
		d.t.Fatal(err)
	}
	return got.Leaf, ca
}

// verify checks a certificate as a client does that knows the CA.
func (d *desk) verify(leaf, ca *x509.Certificate, name string) {
	d.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, CurrentTime: d.o.Now()}); err != nil {
		d.t.Errorf("for %s: %v", name, err)
	}
}

// What is made at first is kept, for all names of the endpoint, its keys private.
func TestMade(t *testing.T) {
	d := newDesk(t)
	leaf, ca := d.shown(d.open())
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "192.0.2.7"} {
		d.verify(leaf, ca, name)
	}
	if leaf.IsCA || !ca.IsCA {
		t.Error("the certificate is a CA's")
	}
	for _, name := range []string{KeyFile, caKeyFile, CertFile, CAFile} {
		info, err := os.Stat(filepath.Join(d.o.Dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	again, _ := d.shown(d.open())
	if !again.Equal(leaf) {
		t.Error("it was made again")
	}
}

// It is renewed before its end, while connections come, with the same key and by
// the same CA.
func TestRenewedWhileRunning(t *testing.T) {
	d := newDesk(t)
	k := d.open()
	first, ca := d.shown(k)
	for range 8 {
		before, _ := d.shown(k)
		d.move(certLife - renewBefore - time.Hour)
		if same, _ := d.shown(k); !same.Equal(before) {
			t.Fatal("renewed too soon")
		}
		d.move(2 * time.Hour)
		after, by := d.shown(k)
		if after.Equal(before) || !by.Equal(ca) || after.SerialNumber.Cmp(before.SerialNumber) == 0 {
			t.Fatal("not renewed, or by another CA")
		}
		d.verify(after, ca, "localhost")
	}
	if last, _ := d.shown(k); !first.PublicKey.(*ecdsa.PublicKey).Equal(last.PublicKey) {
		t.Error("another key")
	}
	if !strings.Contains(d.log.String(), "certificate renewed") {
		t.Errorf("logged %s", &d.log)
	}
}

// One that has expired while nothing ran is renewed at the start, and one for
// other names too.
func TestRenewedAtTheStart(t *testing.T) {
	d := newDesk(t)
	first, ca := d.shown(d.open())
	d.move(2 * certLife)
	second, by := d.shown(d.open())
	if second.Equal(first) || !by.Equal(ca) {
		t.Error("not renewed, or by another CA")
	}
	d.o.Listen = "bmc.example:1"
	third, by := d.shown(d.open())
	d.verify(third, by, "bmc.example")
	if third.Equal(second) || !by.Equal(ca) {
		t.Error("not for the new name, or by another CA")
	}
}

// A clock that jumps back is no reason to do anything but look again.
func TestTheClockJumpsBack(t *testing.T) {
	d := newDesk(t)
	k := d.open()
	first, _ := d.shown(k)
	d.move(-time.Hour)
	if again, _ := d.shown(k); !again.Equal(first) {
		t.Error("made again")
	}
}

// What was made while the clock was ahead is made again once it is right: at once,
// for those whose clocks were right all the time refuse it.
func TestTheClockWasAhead(t *testing.T) {
	d := newDesk(t)
	k := d.open()
	_, ca := d.shown(k)
	d.move(2 * 365 * 24 * time.Hour)
	ahead, by := d.shown(k)
	d.verify(ahead, by, "localhost")
	d.move(-2 * 365 * 24 * time.Hour)
	leaf, by := d.shown(k)
	d.verify(leaf, by, "localhost")
	if !by.Equal(ca) {
		t.Error("by another CA")
	}
	d.move(2 * 365 * 24 * time.Hour)
	d.open()
	d.move(-2 * 365 * 24 * time.Hour)
	leaf, by = d.shown(d.open()) // it was right again only while nothing ran
	d.verify(leaf, by, "localhost")
}

// A start that was cut off between two files goes on.
func TestCutOff(t *testing.T) {
	for _, gone := range [][]string{{CertFile}, {CertFile, KeyFile}, {CertFile, KeyFile, CAFile}, {CertFile, CAFile}} {
		d := newDesk(t)
		d.open()
		for _, name := range gone {
			if err := os.Remove(filepath.Join(d.o.Dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		leaf, ca := d.shown(d.open())
		d.verify(leaf, ca, "localhost")
	}
}

// brought makes the files of a certificate that is brought.
func brought(t *testing.T) (cert, key string) {
	t.Helper()
	d := newDesk(t)
	d.open()
	return filepath.Join(d.o.Dir, CertFile), filepath.Join(d.o.Dir, KeyFile)
}

// replace puts the content of one file in place of another.
func replace(t *testing.T, path, by string) {
	t.Helper()
	raw, err := os.ReadFile(by)
	if err == nil {
		err = writePrivate(path, raw)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A certificate that is brought is loaded again when its files change; what cannot
// be used of them is told in one line, and the one before stays.
func TestBrought(t *testing.T) {
	d := newDesk(t)
	d.o.Cert, d.o.Key = brought(t)
	k := d.open()
	first, _ := d.shown(k)
	if files, err := os.ReadDir(d.o.Dir); err != nil || len(files) != 0 {
		t.Errorf("made %v, %v", files, err)
	}
	nextCert, nextKey := brought(t)
	replace(t, d.o.Cert, nextCert) // and its key not yet
	d.move(checkEvery)
	if now, _ := d.shown(k); !now.Equal(first) {
		t.Error("a certificate without its key")
	}
	for range 3 {
		d.move(checkEvery)
		d.shown(k)
	}
	if got := strings.Count(d.log.String(), "the one before stays in use"); got != 1 || !strings.Contains(d.log.String(), d.o.Cert) {
		t.Errorf("told %d times: %s", got, &d.log)
	}
	replace(t, d.o.Key, nextKey)
	if now, _ := d.shown(k); !now.Equal(first) {
		t.Error("looked at again at once")
	}
	d.move(checkEvery)
	now, _ := d.shown(k)
	if now.Equal(first) || !k.Current().Equal(now) {
		t.Error("not loaded again")
	}
	d.move(certLife - time.Hour) // never renewed, but told of
	d.shown(k)
	d.move(2 * time.Hour)
	if last, _ := d.shown(k); !last.Equal(now) {
		t.Error("a brought certificate was renewed")
	}
	for _, text := range []string{"expires soon", "has expired"} {
		if !strings.Contains(d.log.String(), text) {
			t.Errorf("not told that it %s", text)
		}
	}
}

// What cannot be used at the start is one line that names the file.
func TestUnusable(t *testing.T) {
	cert, key := brought(t)
	_, other := brought(t)
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string][2]string{
		"no key": {cert, ""}, "no certificate": {"", key}, "another key": {cert, other}, "missing": {cert + "x", key}, "junk": {junk, key}, "junk key": {cert, junk},
	} {
		d := newDesk(t)
		d.o.Cert, d.o.Key = files[0], files[1]
		_, err := Open(d.o)
		if model.KindOf(err) != model.Invalid || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{CertFile, KeyFile, CAFile, caKeyFile} {
		d := newDesk(t)
		d.open()
		if err := os.WriteFile(filepath.Join(d.o.Dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(d.o); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// foreign puts a certificate into a directory that no endpoint has made.
func foreign(t *testing.T, dir string, ends time.Time) {
	t.Helper()
	key, err := openKey(filepath.Join(dir, KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	_, raw, err := sign(&x509.Certificate{Subject: pkix.Name{CommonName: "x", Organization: []string{"Example"}}, NotAfter: ends}, nil, key, key)
	if err == nil {
		err = writePrivate(filepath.Join(dir, CertFile), encode(raw))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A certificate that somebody put where the endpoint's own would be is shown, and
// never replaced.
func TestPutThere(t *testing.T) {
	d := newDesk(t)
	foreign(t, d.o.Dir, d.at.Add(time.Hour))
	first, _ := d.shown(d.open())
	if again, _ := d.shown(d.open()); !again.Equal(first) || first.Subject.Organization[0] != "Example" {
		t.Error("replaced")
	}
	if err := Renew(d.o.Dir, d.at, false); model.KindOf(err) != model.Unsupported {
		t.Errorf("renewed: %v", err)
	}
	got, err := Describe(d.o.Dir)
	if err != nil || got.Fingerprint != Fingerprint(first) || !got.Renewed.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
}

// One of an earlier version, which is its own CA, is pinned by clients: it stays
// until its time.
func TestOfAnEarlierVersion(t *testing.T) {
	d := newDesk(t)
	key, err := openKey(filepath.Join(d.o.Dir, KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	_, raw, err := sign(&x509.Certificate{Subject: pkix.Name{CommonName: "x", Organization: []string{madeBy}}, NotAfter: d.at.Add(2 * renewBefore), IsCA: true, BasicConstraintsValid: true}, nil, key, key)
	if err == nil {
		err = writePrivate(filepath.Join(d.o.Dir, CertFile), encode(raw))
	}
	if err != nil {
		t.Fatal(err)
	}
	k := d.open()
	if first, _ := d.shown(k); !bytes.Equal(first.Raw, raw) {
		t.Error("replaced")
	}
	d.move(renewBefore + time.Hour)
	leaf, ca := d.shown(k)
	if bytes.Equal(leaf.Raw, raw) {
		t.Error("not renewed")
	}
	d.verify(leaf, ca, "localhost")
}

// What is renewed by hand is shown by who runs, and what is pinned stays.
func TestRenewedByHand(t *testing.T) {
	d := newDesk(t)
	if _, err := Describe(d.o.Dir); model.KindOf(err) != model.NotFound {
		t.Errorf("%v", err)
	}
	if err := Renew(d.o.Dir, d.at, false); model.KindOf(err) != model.NotFound {
		t.Errorf("%v", err)
	}
	k := d.open()
	first, ca := d.shown(k)
	was, err := Describe(d.o.Dir)
	if err != nil || was.Fingerprint != Fingerprint(ca) || len(was.Names) < 4 {
		t.Fatalf("%+v, %v", was, err)
	}
	for _, newKeyToo := range []bool{false, true} {
		if err := Renew(d.o.Dir, d.at, newKeyToo); err != nil {
			t.Fatal(err)
		}
		d.move(checkEvery)
		now, by := d.shown(k)
		if now.Equal(first) || !by.Equal(ca) || now.PublicKey.(*ecdsa.PublicKey).Equal(first.PublicKey) == newKeyToo {
			t.Errorf("with a new key %t: not as asked", newKeyToo)
		}
		if got, err := Describe(d.o.Dir); err != nil || got.Fingerprint != was.Fingerprint || len(got.Names) != len(was.Names) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// Many connections begin while it is renewed.
func TestConnectionsWhileRenewed(t *testing.T) {
	d := newDesk(t)
	k := d.open()
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 50 {
				if got, err := k.Get(nil); err != nil || got.Leaf == nil {
					t.Error(err)
				}
				d.move(12 * time.Hour)
			}
		})
	}
	clients.Wait()
	if strings.Count(d.log.String(), "certificate renewed") < 3 {
		t.Errorf("renewed rarely: %s", &d.log)
	}
}
