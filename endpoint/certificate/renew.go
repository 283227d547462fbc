package certificate

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"time"

	"provision-plugins/shared/model"
)

// Description is what people want to know of a certificate.
type Description struct {
	// File is where the certificate is.
	File string
	// Fingerprint is what clients pin: that of the CA, where it is the endpoint's
	// own, so that it stays when the certificate is renewed.
	Fingerprint string
	// Names are the names and addresses that it is for.
	Names []string
	// Until is when it ends, Renewed when it is made anew; zero if it never is.
	Until   time.Time
	Renewed time.Time `json:",omitzero"`
}

// Describe looks at the certificate in a directory.
func Describe(dir string) (*Description, error) {
	cert, err := found(dir)
	if err == nil && cert == nil {
		err = model.Errorf(model.NotFound, "cannot find a certificate in %s: it is made when the endpoint first starts", dir)
	}
	if err != nil {
		return nil, err
	}
	out := &Description{File: filepath.Join(dir, CertFile), Fingerprint: Fingerprint(cert), Names: slices.Clone(cert.DNSNames), Until: cert.NotAfter.UTC()}
	for _, addr := range cert.IPAddresses {
		out.Names = append(out.Names, addr.String())
	}
	if made(cert) {
		out.Renewed = cert.NotAfter.Add(-renewBefore).UTC()
	}
	if ca := authorityOf(dir, cert); ca != nil {
		out.Fingerprint = Fingerprint(ca.cert)
	}
	return out, nil
}

// authorityOf is the CA of a directory if a certificate is of it, or nil.
func authorityOf(dir string, cert *x509.Certificate) *authority {
	if _, err := os.Stat(filepath.Join(dir, CAFile)); err != nil {
		return nil
	}
	ca, err := openAuthority(dir, time.Now())
	if err != nil || !ca.issued(cert) {
		return nil
	}
	return ca
}

// Fingerprint is the SHA-256 of a certificate as clients take it.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return "SHA256:" + hex.EncodeToString(sum[:])
}

// Renew makes the certificate of a directory anew, for the same names; a running
// endpoint takes it within a second. With a new key, whoever had the old one
// cannot use it with the new certificate.
func Renew(dir string, now time.Time, newKeyToo bool) error {
	cert, err := found(dir)
	switch {
	case err != nil:
		return err
	case cert == nil:
		return model.Errorf(model.NotFound, "cannot renew the certificate: there is none in %s; it is made when the endpoint first starts", dir)
	case !made(cert):
		return model.Errorf(model.Unsupported, "cannot renew the certificate %s: the endpoint has not made it", filepath.Join(dir, CertFile))
	}
	ca, err := openAuthority(dir, now)
	if err == nil && newKeyToo {
		_, err = newKey(filepath.Join(dir, KeyFile))
	}
	if err == nil {
		err = ca.issue(dir, cert.DNSNames, cert.IPAddresses, now)
	}
	if err != nil {
		return model.Errorf(model.Internal, "cannot renew the certificate in %s: %w", dir, pathCause(err))
	}
	return nil
}
