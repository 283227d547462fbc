package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The files of certificates that are made here. The key of the server stays when
// its certificate is renewed, so that one file is replaced, at once.
const (
	CAFile    = "ca.crt"
	caKeyFile = "ca.key"
	CertFile  = "tls.crt"
	KeyFile   = "tls.key"
)

const (
	// caLife is long: clients pin the CA, and its end would lock them out.
	caLife = 20 * 365 * 24 * time.Hour
	// certLife is short, and nobody notices: what clients know is the CA.
	certLife = 90 * 24 * time.Hour
	// renewBefore is how long before its end a certificate is renewed.
	renewBefore = 30 * 24 * time.Hour
	// madeBy is the organization in the certificates that are made here.
	madeBy = "oob endpoint"
	// clocksDiffer is how far a client's clock may be behind.
	clocksDiffer = time.Hour
)

// authority is the CA of one endpoint.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// openAuthority loads the CA of a directory, or makes it.
func openAuthority(dir string, now time.Time) (*authority, error) {
	key, err := openKey(filepath.Join(dir, caKeyFile))
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, CAFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newAuthority(path, key, now)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s holds no certificate", CAFile)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", CAFile, err)
	}
	if public, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(key.Public()) {
		return nil, fmt.Errorf("%s is not the certificate of %s", CAFile, caKeyFile)
	}
	return &authority{cert, key}, nil
}

// newAuthority makes the certificate of a CA, for the one key.
func newAuthority(path string, key *ecdsa.PrivateKey, now time.Time) (*authority, error) {
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "CA of " + hostName(), Organization: []string{madeBy}},
		NotBefore: now.Add(-clocksDiffer), NotAfter: now.Add(caLife),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	cert, raw, err := sign(template, nil, key, key)
	if err != nil {
		return nil, err
	}
	return &authority{cert, key}, writePrivate(path, encode(raw))
}

// issue makes the server's certificate for names and addresses, with that of the
// CA behind it.
func (a *authority) issue(dir string, names []string, addrs []net.IP, now time.Time) error {
	key, err := openKey(filepath.Join(dir, KeyFile))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: names[0], Organization: []string{madeBy}},
		NotBefore: now.Add(-clocksDiffer), NotAfter: now.Add(certLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: names, IPAddresses: addrs, BasicConstraintsValid: true,
	}
	_, raw, err := sign(template, a.cert, key, a.key)
	if err != nil {
		return err
	}
	return writePrivate(filepath.Join(dir, CertFile), append(encode(raw), encode(a.cert.Raw)...))
}

// issued reports whether a certificate is of this CA.
func (a *authority) issued(cert *x509.Certificate) bool {
	return cert.CheckSignatureFrom(a.cert) == nil
}

// sign makes a certificate of a key; without a parent it is its own.
func sign(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) (*x509.Certificate, []byte, error) {
	var err error
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, nil, err
	}
	if parent == nil {
		parent = template
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(raw)
	return cert, raw, err
}

// encode is a certificate as files hold it.
func encode(raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}

// openKey loads a key, or makes it.
func openKey(path string) (*ecdsa.PrivateKey, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newKey(path)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key", filepath.Base(path))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no ECDSA key", filepath.Base(path))
	}
	return key, nil
}

// newKey makes a key and keeps it.
func newKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePrivate(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

// writePrivate puts a file of mode 0600 in place, at once and durably.
func writePrivate(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable: a CA that a power cut took would
// lock out all who have pinned it.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// hostName is the machine's name, or a stand-in.
func hostName() string {
	if host, err := os.Hostname(); err == nil {
		return host
	}
	return "localhost"
}

// namesFor are the names and addresses that a server is reached by which listens
// at an address.
func namesFor(listen string) ([]string, []net.IP) {
	names, addrs := []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if host := hostName(); host != "localhost" {
		names = append([]string{host}, names...)
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil || host == "" {
		return names, addrs
	}
	if ip := net.ParseIP(host); ip == nil {
		names = append(names, host)
	} else if !ip.IsUnspecified() && !ip.IsLoopback() {
		addrs = append(addrs, ip)
	}
	return names, addrs
}
