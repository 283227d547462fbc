package endpoint

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"provision-plugins/shared/model"
)

const (
	certFile = "tls.crt"
	keyFile  = "tls.key"
	// certLife is long: clients pin a self-made certificate, and its end would
	// lock them out without making anything safer.
	certLife = 10 * 365 * 24 * time.Hour
)

// certificate loads the endpoint's certificate from dir, and makes one if there
// is none or it has expired.
func certificate(dir, listen string) (tls.Certificate, error) {
	certPath, keyPath := filepath.Join(dir, certFile), filepath.Join(dir, keyFile)
	pair, err := tls.LoadX509KeyPair(certPath, keyPath)
	if err == nil && time.Now().Before(pair.Leaf.NotAfter) {
		return pair, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return pair, model.Errorf(model.Invalid, "cannot load certificate %s: %w; remove it and %s to have both made anew", certPath, cause(err), keyFile)
	}
	certPEM, keyPEM, err := selfSigned(listen)
	if err == nil {
		err = errors.Join(writePrivate(keyPath, keyPEM), writePrivate(certPath, certPEM))
	}
	if err != nil {
		return pair, model.Errorf(model.Internal, "cannot make certificate %s: %w", certPath, err)
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}

// selfSigned makes an ECDSA certificate for this host and the listen address.
func selfSigned(listen string) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	names, addrs := certNames(listen)
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: names[0], Organization: []string{"oob endpoint"}},
		// A little before now: clients' clocks differ.
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: names, IPAddresses: addrs,
		// A client may put the file into its pool as it is.
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

// certNames are the names and addresses the certificate is for.
func certNames(listen string) ([]string, []net.IP) {
	names, addrs := []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if host, err := os.Hostname(); err == nil && host != "localhost" {
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
