package redfish

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"time"
)

// validFor is how long a certificate is valid, before and after it is made.
const validFor = 365 * 24 * time.Hour

// issuer issues the certificates of a fleet. All have one key: making a key is the
// dear part, and whoever verifies or pins looks at the certificate.
type issuer struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// newIssuer makes the authority of a fleet.
func newIssuer(c Clock) (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	now := c.Now()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "Simulated BMCs"},
		NotBefore:    now.Add(-validFor), NotAfter: now.Add(validFor),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("cannot read a certificate back: %w", err)
	}
	return &issuer{key: key, cert: cert}, nil
}

// issue makes the certificate of one address.
func (i *issuer) issue(at netip.Addr, serial int64, from, until time.Time) (*tls.Certificate, error) {
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: at.String()},
		NotBefore:    from, NotAfter: until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{at.AsSlice()},
	}
	if at.IsLoopback() {
		tmpl.DNSNames = []string{"localhost"}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, i.cert, &i.key.PublicKey, i.key)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: i.key}, nil
}

// tlsCertificate returns the certificate the BMC shows now.
func (b *BMC) tlsCertificate() (*tls.Certificate, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.currentCert()
}

// currentCert makes the certificate when it is first wanted. The lock is held.
func (b *BMC) currentCert() (*tls.Certificate, error) {
	if b.cert != nil {
		return b.cert, nil
	}
	now := b.fleet.opts.Clock.Now()
	from, until := now.Add(-validFor), now.Add(validFor)
	if b.faults.Expired {
		until = now.Add(-time.Hour)
	}
	b.certs++
	cert, err := b.fleet.issuer.issue(b.addr.Addr(), int64(b.index)<<16|int64(b.certs)+1, from, until)
	if err == nil {
		b.cert = cert
	}
	return cert, err
}

// Certificate returns the certificate the BMC shows now.
func (b *BMC) Certificate() (*x509.Certificate, error) {
	cert, err := b.tlsCertificate()
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(cert.Certificate[0])
}

// ChangeCertificate gives the BMC another certificate, for the connections that
// come.
func (b *BMC) ChangeCertificate() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cert = nil
}
