package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unicode/utf8"
)

// passwords reads password files, each once.
type passwords struct {
	dir  string
	seen map[string]string
}

// read returns the password in a file.
func (p *passwords) read(name string) (string, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(p.dir, name)
	}
	if password, ok := p.seen[name]; ok {
		return password, nil
	}
	password, err := ReadSecret(name)
	if err != nil {
		return "", err
	}
	p.seen[name] = password
	return password, nil
}

// ReadSecret reads a secret from a file, without the newline at its end.
func ReadSecret(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", fmt.Errorf("cannot read the secret: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("cannot read the secret: %s is not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("cannot read the secret: %w", err)
	}
	defer f.Close()
	secret, err := TrimSecret(f)
	if err != nil {
		return "", fmt.Errorf("cannot read the secret in %s: %w", name, err)
	}
	return secret, nil
}

// TrimSecret reads a secret of at most 16 KiB from r, without the newline at
// its end.
func TrimSecret(r io.Reader) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxPassword+1))
	if err != nil {
		return "", err
	}
	raw = bytes.TrimSuffix(raw, []byte("\n"))
	raw = bytes.TrimSuffix(raw, []byte("\r"))
	switch {
	case len(raw) > maxPassword:
		return "", errors.New("it is longer than 16 KiB")
	case len(raw) == 0:
		return "", errors.New("it is empty")
	case !utf8.Valid(raw):
		return "", errors.New("it is not UTF-8")
	}
	return string(raw), nil
}
