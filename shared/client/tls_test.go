package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// issuer is a CA of the tests.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate, of the issuer or of its own.
func (by *issuer) issue(t *testing.T, name string, ca bool, until time.Time) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		IsCA: ca, BasicConstraintsValid: true, DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ca {
		template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageCertSign, nil
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{cert, key}
}

// A pinned CA stands for the certificates that it has issued, and for no others
// that are shown beside it.
func TestPinOfACA(t *testing.T) {
	later := time.Now().Add(time.Hour)
	var none *issuer
	ca, other := none.issue(t, "ca", true, later), none.issue(t, "other", true, later)
	leaf, foreign := ca.issue(t, "leaf", false, later), other.issue(t, "leaf", false, later)
	between := ca.issue(t, "between", true, later)
	for name, c := range map[string]struct {
		pin   *issuer
		chain []*issuer
		ok    bool
	}{
		"the certificate":         {leaf, []*issuer{leaf, ca}, true},
		"its CA":                  {ca, []*issuer{leaf, ca}, true},
		"a renewed one":           {ca, []*issuer{ca.issue(t, "leaf", false, later), ca}, true},
		"over another CA":         {ca, []*issuer{between.issue(t, "leaf", false, later), between, ca}, true},
		"of another CA":           {ca, []*issuer{foreign, ca}, false},
		"of another, both shown":  {ca, []*issuer{foreign, other, ca}, false},
		"another":                 {ca, []*issuer{foreign, other}, false},
		"without its CA":          {ca, []*issuer{leaf}, false},
		"of its own beside a CA":  {ca, []*issuer{none.issue(t, "leaf", false, later), ca}, false},
		"expired":                 {ca, []*issuer{ca.issue(t, "leaf", false, time.Now().Add(-time.Hour)), ca}, false},
		"nothing":                 {ca, nil, false},
		"a leaf that stood as CA": {leaf, []*issuer{leaf.issue(t, "x", false, later), leaf}, false},
	} {
		var s tls.ConnectionState
		for _, i := range c.chain {
			s.PeerCertificates = append(s.PeerCertificates, i.cert)
		}
		if err := checkPin(sha256.Sum256(c.pin.cert.Raw), s); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
