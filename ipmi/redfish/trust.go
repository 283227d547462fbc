package redfish

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"provision-plugins/shared/model"
)

// rootPool are trusted certificates; nil are those of the system.
type rootPool = *x509.CertPool

// The ways to trust a BMC's certificate.
const (
	Verify   = "verify"   // by who signed it, for the host
	Pin      = "pin"      // by its SHA-256
	Insecure = "insecure" // whatever it is
)

// Trust is how the certificate of a BMC is checked. The zero value verifies.
type Trust struct {
	mode string
	pin  [sha256.Size]byte
}

// ParseTrust reads the two params. A pin that is given counts even if the mode is
// not; one that is missing is an error.
func ParseTrust(mode, pin string) (Trust, error) {
	t := Trust{mode: mode}
	if mode == "" || mode == Verify && pin != "" {
		t.mode = Verify
		if pin != "" {
			t.mode = Pin
		}
	}
	switch t.mode {
	case Verify, Insecure:
		return t, nil
	case Pin:
	default:
		return t, model.Errorf(model.Invalid, "param ipmi/tls: %.80q is none of %s, %s, %s", mode, Verify, Pin, Insecure)
	}
	raw, err := hex.DecodeString(strings.NewReplacer(":", "", " ", "").Replace(strings.ToLower(pin)))
	if err != nil || len(raw) != len(t.pin) {
		return t, model.Errorf(model.Invalid,
			"param ipmi/tls-pin must be the SHA-256 of the BMC's certificate, 64 hexadecimal digits; the action getTlsPin tells it")
	}
	copy(t.pin[:], raw)
	return t, nil
}

// Sure reports whether who answers is known to be the BMC.
func (t Trust) Sure() bool { return t.mode != Insecure }

// config is the setting of TLS for a host.
func (t Trust) config(host string, roots rootPool) *tls.Config {
	c := &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	switch t.mode {
	case Pin:
		c.InsecureSkipVerify = true // the pin says more than any signature
		c.VerifyConnection = t.checkPin
	case Insecure:
		c.InsecureSkipVerify = true
	}
	return c
}

// pinError is a certificate that is not the one that is pinned.
type pinError struct{ got [sha256.Size]byte }

// Error tells which one it is.
func (e *pinError) Error() string {
	return fmt.Sprintf("its certificate is not the pinned one: its SHA-256 is %x", e.got)
}

// checkPin compares the certificate with the pin.
func (t Trust) checkPin(c tls.ConnectionState) error {
	if len(c.PeerCertificates) == 0 {
		return errors.New("it shows no certificate")
	}
	if got := sha256.Sum256(c.PeerCertificates[0].Raw); got != t.pin {
		return &pinError{got}
	}
	return nil
}

// Certificate is what a BMC shows, for who wants to pin it.
type Certificate struct {
	Pin       string    `json:"pin"` // for ipmi/tls-pin
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	// Verified tells that it would be trusted without a pin; Problem why not.
	Verified bool   `json:"verified"`
	Problem  string `json:"problem,omitempty"`
}

// Certificate looks at the certificate of a target, and sends it nothing.
func (p *Pool) Certificate(ctx context.Context, t *Target) (*Certificate, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialBound}, Config: Trust{mode: Insecure}.config(t.Host, nil)}
	conn, err := d.DialContext(ctx, "tcp", t.Peer.String())
	if err != nil {
		return nil, explain(t.Peer, err, false)
	}
	defer conn.Close()
	secured, ok := conn.(*tls.Conn)
	if !ok || len(secured.ConnectionState().PeerCertificates) == 0 {
		return nil, model.Errorf(model.Unreachable, "BMC %s shows no certificate", t.Peer)
	}
	chain := secured.ConnectionState().PeerCertificates
	leaf := chain[0]
	sum := sha256.Sum256(leaf.Raw)
	c := &Certificate{
		Pin: hex.EncodeToString(sum[:]), Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
	}
	between := x509.NewCertPool()
	for _, other := range chain[1:] {
		between.AddCert(other)
	}
	_, err = leaf.Verify(x509.VerifyOptions{DNSName: t.Host, Roots: p.opts.Roots, Intermediates: between})
	if c.Verified = err == nil; err != nil {
		c.Problem = err.Error()
	}
	return c, nil
}
