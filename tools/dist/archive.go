package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// packer writes a compressed tar of which every byte is given by what is in it.
type packer struct {
	zip *gzip.Writer
	tar *tar.Writer
	at  time.Time
}

// newPacker begins one.
func newPacker(w io.Writer, at time.Time) (*packer, error) {
	zip, err := gzip.NewWriterLevel(w, gzip.DefaultCompression) // its header has neither name nor time
	if err != nil {
		return nil, err
	}
	return &packer{zip, tar.NewWriter(zip), at}, nil
}

// header is what all entries have.
func (p *packer) header(name string, kind byte, mode, size int64) *tar.Header {
	return &tar.Header{
		Name: name, Typeflag: kind, Mode: mode, Size: size, ModTime: p.at,
		Uname: "root", Gname: "root", Format: tar.FormatGNU, // as dpkg reads it
	}
}

// folder adds a folder.
func (p *packer) folder(name string) error {
	return p.tar.WriteHeader(p.header(name+"/", tar.TypeDir, 0o755, 0))
}

// text adds a small file.
func (p *packer) text(name string, mode int64, data []byte) error {
	if err := p.tar.WriteHeader(p.header(name, tar.TypeReg, mode, int64(len(data)))); err != nil {
		return err
	}
	_, err := p.tar.Write(data)
	return err
}

// file adds a file of this machine.
func (p *packer) file(name string, i item) error {
	raw, err := os.ReadFile(i.from)
	if err != nil {
		return err
	}
	return p.text(name, i.mode, raw)
}

// close ends it.
func (p *packer) close() error {
	if err := p.tar.Close(); err != nil {
		return err
	}
	return p.zip.Close()
}

// archive packs what is for any Linux, below a folder of its name.
func archive(w io.Writer, name string, list []item, at time.Time) error {
	p, err := newPacker(w, at)
	if err != nil {
		return err
	}
	list = placed(list, inArchive)
	if err := p.folder(name); err != nil {
		return err
	}
	for _, dir := range folders(list, inArchive) {
		if err := p.folder(name + "/" + dir); err != nil {
			return err
		}
	}
	for _, i := range list {
		if err := p.file(name+"/"+i.archive, i); err != nil {
			return err
		}
	}
	return p.close()
}

// sumsFile is the file of the checksums.
const sumsFile = "SHA256SUMS"

// writeSums writes the checksums of the packages in a folder, as sha256sum -c
// reads them.
func writeSums(dir string) error {
	var names []string
	for _, pattern := range []string{"*.tar.gz", "*.deb"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		names = append(names, found...)
	}
	if len(names) == 0 {
		return fmt.Errorf("cannot write checksums: no package is in %s", dir)
	}
	slices.Sort(names)
	var text bytes.Buffer
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("cannot write checksums: %w", err)
		}
		sum := sha256.Sum256(raw)
		fmt.Fprintf(&text, "%s  %s\n", hex.EncodeToString(sum[:]), filepath.Base(name))
	}
	return writeFile(filepath.Join(dir, sumsFile), func(w *output) error {
		_, err := io.Copy(w, strings.NewReader(text.String()))
		return err
	})
}
