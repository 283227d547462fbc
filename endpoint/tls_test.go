package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"testing"
	"time"

	"provision-plugins/endpoint/certificate"
	"provision-plugins/shared/client"
)

// shownBy is the certificate that an endpoint shows.
func shownBy(t *testing.T, r *rig) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", r.e.Addr(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// A certificate is renewed without a restart, by itself before its end and by
// hand at any time, and a client that pins what was shown at first never notices.
func TestRenewalBehindAPin(t *testing.T) {
	t.Parallel()
	r, clock := startAt(t)
	first := shownBy(t, r)
	known, err := certificate.Describe(r.opts.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	pinned, err := client.New(client.Options{Endpoint: "https://" + r.e.Addr(), Token: r.e.token, Fingerprint: known.Fingerprint})
	if err != nil {
		t.Fatal(err)
	}
	defer pinned.Close()
	if err := certificate.Renew(r.opts.DataDir, clock.now(), true); err != nil {
		t.Fatal(err)
	}
	clock.move(time.Minute)
	byHand := shownBy(t, r)
	if byHand.Equal(first) {
		t.Error("what was renewed by hand is not shown")
	}
	if err := pinned.Get(t.Context(), "info", nil); err != nil {
		t.Error(err)
	}
	clock.move(time.Until(known.Renewed.Add(time.Hour)))
	if byItself := shownBy(t, r); byItself.Equal(byHand) {
		t.Error("not renewed by itself")
	}
}

// A certificate that is brought is shown, and read again when it changes.
func TestBroughtCertificate(t *testing.T) {
	t.Parallel()
	from := newRig(t)
	from.start() // its own is brought to the other
	r := newRig(t)
	r.opts.TLSCert, r.opts.TLSKey = filepath.Join(from.opts.DataDir, certificate.CertFile), filepath.Join(from.opts.DataDir, certificate.KeyFile)
	clock := &testClock{at: time.Now()}
	r.build()
	r.e.now = clock.now
	if err := r.e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.connect()
	t.Cleanup(r.stop)
	was := shownBy(t, r)
	if !was.Equal(shownBy(t, from)) {
		t.Error("another one is shown")
	}
	if err := certificate.Renew(from.opts.DataDir, time.Now(), true); err != nil {
		t.Fatal(err)
	}
	clock.move(time.Minute)
	if shownBy(t, r).Equal(was) {
		t.Error("not read again")
	}
}
