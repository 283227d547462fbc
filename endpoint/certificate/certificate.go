// Package certificate keeps the certificate that the https API shows: one that it
// makes and renews itself, of a CA of the endpoint's own that clients can pin, or
// one that is brought. Both are loaded again when their files change, without a
// restart.
package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"provision-plugins/shared/model"
)

// checkEvery is the time between two looks at the files and the clock.
const checkEvery = time.Second

// Options are where a Keeper finds its certificate.
type Options struct {
	// Dir is where the endpoint's own CA and certificate are.
	Dir string
	// Listen is the address that the certificate is for.
	Listen string
	// Cert and Key are the files of a certificate that is brought, with its chain;
	// empty: one is made in Dir.
	Cert, Key string
	// Now is time.Now.
	Now func() time.Time
	// Logger is told of renewals and of files that cannot be used.
	Logger *slog.Logger
}

// Keeper has the certificate that is shown now.
type Keeper struct {
	o    Options
	cert string // the files that are shown
	key  string

	mu      sync.Mutex // guards all below
	current *tls.Certificate
	stamp   [2]stamp
	checked time.Time
	told    string // the last problem that was logged
}

// stamp tells one state of a file from another.
type stamp struct {
	size     int64
	modified time.Time
	inode    any
}

// Open loads the certificate, or makes it.
func Open(o Options) (*Keeper, error) {
	k := &Keeper{o: o, cert: o.Cert, key: o.Key}
	if (o.Cert == "") != (o.Key == "") {
		return nil, model.Errorf(model.Invalid, "cannot use a certificate without its key: give both --tls-cert and --tls-key, or none")
	}
	if k.own() {
		k.cert, k.key = filepath.Join(o.Dir, CertFile), filepath.Join(o.Dir, KeyFile)
		if err := k.provide(); err != nil {
			return nil, err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.checked = o.Now()
	return k, k.load()
}

// own reports whether the certificate is the endpoint's to make.
func (k *Keeper) own() bool { return k.o.Cert == "" }

// Get is the certificate for a connection that begins: tls.Config's
// GetCertificate.
func (k *Keeper) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.o.Now()
	if age := now.Sub(k.checked); age >= checkEvery || age < 0 {
		k.checked = now
		k.look(now)
	}
	return k.current, nil
}

// Current is the certificate that is shown now.
func (k *Keeper) Current() *x509.Certificate {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current.Leaf
}

// look renews the certificate if it is time, and loads it again if its files have
// changed. What fails is told once, and the old one stays. The caller holds the
// lock.
func (k *Keeper) look(now time.Time) {
	var err error
	if k.own() && due(k.current.Leaf, now) {
		if err = k.provide(); err == nil {
			k.o.Logger.Info("certificate renewed", "file", k.cert)
		}
	}
	if err == nil && k.stamps() != k.stamp {
		if err = k.load(); err == nil {
			k.o.Logger.Info("certificate loaded", "file", k.cert, "until", k.current.Leaf.NotAfter)
		}
	}
	problem := ""
	switch left := k.current.Leaf.NotAfter.Sub(now); {
	case err != nil:
		problem = err.Error()
	case left < 0:
		problem = "the certificate " + k.cert + " has expired"
	case left < renewBefore && !k.own():
		problem = "the certificate " + k.cert + " expires soon: " + k.current.Leaf.NotAfter.UTC().Format(time.DateOnly)
	}
	if problem != "" && problem != k.told {
		k.o.Logger.Warn("certificate", "problem", problem)
	}
	k.told = problem
}

// load reads the files. The caller holds the lock.
func (k *Keeper) load() error {
	stamps := k.stamps() // before: what changes meanwhile is read again
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		hint := "; the one before stays in use"
		if k.current == nil {
			hint = "; repair it"
			if k.own() {
				hint = "; remove it and " + KeyFile + " to have both made anew"
			}
		}
		return model.Errorf(model.Invalid, "cannot load certificate %s and its key: %w%s", k.cert, pathCause(err), hint)
	}
	k.current, k.stamp = &pair, stamps
	return nil
}

// stamps are those of both files.
func (k *Keeper) stamps() (out [2]stamp) {
	for i, path := range []string{k.cert, k.key} {
		if info, err := os.Stat(path); err == nil {
			out[i] = stamp{info.Size(), info.ModTime(), inode(info)}
		}
	}
	return out
}

// provide makes the endpoint's own certificate, if there is none or it is due, or
// is not for the names by which the endpoint is reached now. One that somebody
// else made and put there is left as it is.
func (k *Keeper) provide() error {
	now := k.o.Now()
	found, err := found(k.o.Dir)
	if err != nil || found != nil && !made(found) {
		return err
	}
	if found != nil && selfSigned(found) && !due(found, now) { // of an earlier version, and pinned
		return nil
	}
	ca, err := openAuthority(k.o.Dir, now)
	if err == nil && (found == nil || due(found, now) || !ca.issued(found) || !covers(found, k.o.Listen)) {
		names, addrs := namesFor(k.o.Listen)
		err = ca.issue(k.o.Dir, names, addrs, now)
	}
	if err != nil {
		return model.Errorf(model.Internal, "cannot make certificate %s: %w", k.cert, pathCause(err))
	}
	return nil
}

// found is the certificate of a directory, nil for none.
func found(dir string) (*x509.Certificate, error) {
	path := filepath.Join(dir, CertFile)
	pair, err := tls.LoadX509KeyPair(path, filepath.Join(dir, KeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot load certificate %s: %w; remove it and %s to have both made anew", path, pathCause(err), KeyFile)
	}
	return pair.Leaf, nil
}

// made reports whether a certificate was made by an endpoint.
func made(cert *x509.Certificate) bool {
	return len(cert.Subject.Organization) == 1 && cert.Subject.Organization[0] == madeBy
}

// selfSigned reports whether a certificate is its own CA's.
func selfSigned(cert *x509.Certificate) bool { return cert.Issuer.String() == cert.Subject.String() }

// due reports whether a certificate ends soon, or is of a time to come: it was made
// while the clock was ahead, and clients whose clocks are right refuse it.
func due(cert *x509.Certificate, now time.Time) bool {
	return now.Add(renewBefore).After(cert.NotAfter) || now.Before(cert.NotBefore)
}

// covers reports whether a certificate is for all names of an address to listen
// at.
func covers(cert *x509.Certificate, listen string) bool {
	names, addrs := namesFor(listen)
	for _, addr := range addrs {
		names = append(names, addr.String())
	}
	for _, name := range names {
		if cert.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}

// pathCause strips the operation and the path, which the message names.
func pathCause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
