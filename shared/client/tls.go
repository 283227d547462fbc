package client

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strings"

	"provision-plugins/shared/model"
)

// maxCAFile bounds a CA file, in bytes.
const maxCAFile = 4 << 20

// tlsConfig verifies by fingerprint, by CA file or by the system's roots. It
// verifies nothing only for a loopback endpoint that names neither.
func tlsConfig(o Options, local bool) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case o.Fingerprint != "":
		want, err := parseFingerprint(o.Fingerprint)
		if err != nil {
			return nil, err
		}
		// The pin replaces the chain, in VerifyConnection below.
		cfg.InsecureSkipVerify = true
		cfg.VerifyConnection = func(s tls.ConnectionState) error { return checkPin(want, s) }
	case o.CAFile != "":
		pool, err := loadCAs(o.CAFile)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = pool
	case local:
		cfg.InsecureSkipVerify = true
	}
	return cfg, nil
}

// errPin is what a server with another certificate gets.
var errPin = errors.New("certificate does not have the expected fingerprint")

// checkPin compares the SHA-256 of the server's certificate, or of the CA that
// issued it: an endpoint renews its certificate, and keeps its CA.
func checkPin(want [sha256.Size]byte, s tls.ConnectionState) error {
	for i, cert := range s.PeerCertificates {
		got := sha256.Sum256(cert.Raw)
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			continue
		}
		if i == 0 {
			return nil
		}
		return issuedBy(cert, s.PeerCertificates)
	}
	return errPin
}

// issuedBy checks a chain against the one CA in it that is trusted. Its names are
// of no matter: the pin stands for them.
func issuedBy(ca *x509.Certificate, chain []*x509.Certificate) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(ca)
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}

// parseFingerprint reads hex with or without colons, in either case.
func parseFingerprint(text string) (sum [sha256.Size]byte, err error) {
	raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimPrefix(text, "SHA256:"), ":", ""))
	if err != nil || len(raw) != sha256.Size {
		return sum, model.Errorf(model.Invalid, "fingerprint %q is not a SHA-256 in hex", text)
	}
	return [sha256.Size]byte(raw), nil
}

// loadCAs reads a PEM file of certificates.
func loadCAs(path string) (*x509.CertPool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot read CA file: %w", err)
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, maxCAFile))
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot read CA file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, model.Errorf(model.Invalid, "cannot read CA file %s: no PEM certificate in it", path)
	}
	return pool, nil
}

// loopback reports whether host can only be this machine.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
