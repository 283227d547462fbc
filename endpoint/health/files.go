package health

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"provision-plugins/endpoint/certificate"
	"provision-plugins/endpoint/secret"
	"provision-plugins/shared/model"
)

const (
	// certSoon is how long before its end a certificate is told of: later than the
	// endpoint renews one of its own.
	certSoon = 20 * 24 * time.Hour
	// maxFile bounds what is read of a file.
	maxFile = 64 << 10

	// tightDisk and fullDisk are the parts of a file system, in percent, that must
	// be free, and leastDisk the bytes.
	tightDisk = 10
	fullDisk  = 5
	leastDisk = 64 << 20

	// maxSkew is how far newer than now a file may be.
	maxSkew = time.Minute
)

// keyBytes is the size of the master key.
const keyBytes = 32

// masterKey checks that the key under which credentials are sealed is there.
func (e *examination) masterKey(context.Context) model.Check {
	const name = "master key"
	for _, variable := range []string{secret.EnvKey, secret.EnvKeyFile} {
		if e.Getenv(variable) != "" {
			return good(name, "from the variable "+variable)
		}
	}
	path := filepath.Join(e.DataDir, secret.KeyFile)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && e.owner < 0:
		return skipped(name, "there is no data directory")
	case errors.Is(err, fs.ErrNotExist):
		return doubtful(name, "", "it is not in the data directory", "right if systemd or the environment hands it over; otherwise put "+path+" back from its copy: without it no stored credential can be read")
	case err != nil:
		return bad(name, model.Forbidden, path+": "+plain(err), "run this as the endpoint's user or as root")
	case info.Mode().Perm()&0o077 != 0:
		return bad(name, model.Invalid, fmt.Sprintf("others may read %s (mode %04o)", path, info.Mode().Perm()), "chmod 0600 "+path+"; who has read it can open every credential of a backup")
	}
	text, err := readSome(path)
	if err != nil {
		return bad(name, model.Forbidden, path+": "+plain(err), "run this as the endpoint's user or as root")
	}
	raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(raw) != keyBytes {
		return bad(name, model.Invalid, path+" holds no key", "put it back from its copy: without it no stored credential can be read")
	}
	return good(name, path+"; keep a copy of it elsewhere than the backups")
}

// readSome reads a small file.
func readSome(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("it has %d bytes", info.Size())
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// certificate checks the age of the certificate.
func (e *examination) certificate(context.Context) model.Check {
	const name = "certificate"
	if e.shown != nil {
		return e.ageOf(e.shown)
	}
	path := filepath.Join(e.DataDir, certificate.CertFile)
	text, err := readSome(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return skipped(name, "there is none yet: the endpoint makes one when it starts")
	case err != nil:
		return bad(name, model.Forbidden, path+": "+plain(err), "run this as the endpoint's user or as root")
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return bad(name, model.Invalid, path+" is no certificate in PEM", "remove it and its key to have both made anew, or put yours back")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return bad(name, model.Invalid, path+" cannot be read: "+err.Error(), "remove it and its key to have both made anew, or put yours back")
	}
	return e.ageOf(cert)
}

// ageOf checks the age of a certificate.
func (e *examination) ageOf(cert *x509.Certificate) model.Check {
	const name = "certificate"
	left := cert.NotAfter.Sub(e.Now())
	until := "valid until " + cert.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case e.Now().Before(cert.NotBefore):
		return bad(name, model.Invalid, "not valid before "+cert.NotBefore.UTC().Format(time.DateOnly), "set the clock of this machine, or install the right certificate")
	case left <= 0:
		return bad(name, model.Invalid, "it has expired on "+cert.NotAfter.UTC().Format(time.DateOnly), "renew it; one that the endpoint has made: oob certificate renew")
	case left < certSoon:
		return doubtful(name, until, fmt.Sprintf("that is in %d days", int(left.Hours()/24)), "install its successor; one that the endpoint has made is renewed by itself while it runs")
	}
	return good(name, until)
}

// disk checks the room for the data.
func (e *examination) disk(context.Context) model.Check {
	const name = "disk"
	var fsys syscall.Statfs_t
	dir := e.DataDir
	for {
		err := syscall.Statfs(dir, &fsys)
		if err == nil {
			break
		}
		if parent := filepath.Dir(dir); parent != dir && errors.Is(err, syscall.ENOENT) {
			dir = parent
			continue
		}
		return skipped(name, dir+": "+err.Error())
	}
	return roomOf(dir, space{
		free: fsys.Bavail * uint64(fsys.Bsize), size: fsys.Blocks * uint64(fsys.Bsize), inodes: fsys.Ffree, allInodes: fsys.Files,
		readOnly: fsys.Flags&syscall.MS_RDONLY != 0,
	})
}

// space is what a file system has.
type space struct {
	free, size        uint64
	inodes, allInodes uint64
	readOnly          bool
}

// roomOf judges the room that there is.
func roomOf(dir string, s space) model.Check {
	const name = "disk"
	found := fmt.Sprintf("%d of %d MiB are free", s.free>>20, s.size>>20)
	const mend = "make room, or move the data directory to a larger disk"
	switch {
	case s.readOnly:
		return bad(name, model.Internal, "the file system of "+dir+" is read-only", "see why with: dmesg; mend it, then: mount -o remount,rw")
	case s.free < leastDisk || s.free < s.size/100*fullDisk:
		return bad(name, model.Internal, found+": nothing new can be stored", mend)
	case s.allInodes > 0 && s.inodes < s.allInodes/100:
		return bad(name, model.Internal, fmt.Sprintf("%d of %d inodes are free", s.inodes, s.allInodes), "remove files that are not needed")
	case s.free < s.size/100*tightDisk:
		return doubtful(name, found, "that is little", mend)
	}
	return good(name, found)
}

// clock checks that the time is plausible, and that somebody keeps it so.
func (e *examination) clock(context.Context) model.Check {
	const name = "clock"
	now := e.Now()
	newest, path := time.Time{}, ""
	entries, _ := os.ReadDir(e.DataDir) // the check of the directory tells what is wrong
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.ModTime().After(newest) {
			newest, path = info.ModTime(), filepath.Join(e.DataDir, entry.Name())
		}
	}
	if ahead := newest.Sub(now); ahead > maxSkew {
		return bad(name, model.Invalid, fmt.Sprintf("it is %s, but %s was written %s later: the clock has gone back", now.UTC().Format(time.RFC3339), path, ahead.Round(time.Second)),
			"set the clock, and have it kept: timedatectl set-ntp true")
	}
	shown := now.UTC().Format(time.RFC3339)
	if synced, known := clockKept(); known && !synced {
		return doubtful(name, shown, "nobody keeps it right; tokens and certificates depend on it", "timedatectl set-ntp true, or run chrony")
	}
	return good(name, shown)
}
