package main

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// control is what the package manager is told.
type control struct {
	version, arch string
	commit        string // what it was built from
	scripts       string // the folder of what runs when it is installed and removed
}

// versions are those that can be packed: a tag, what git describe makes of a later
// commit, or a development version.
var versions = regexp.MustCompile(`^v([0-9]+\.[0-9]+\.[0-9]+)(?:-([0-9]+-g[0-9a-f]+|[A-Za-z]+[0-9.]*))?(\+g[0-9a-f]+)?$`)

// debianVersion is a version as Debian orders them: a release candidate before its
// release, a later commit after it. Debian's revision would follow a hyphen, so there
// is none.
func debianVersion(version string) (string, error) {
	m := versions.FindStringSubmatch(version)
	if m == nil {
		return "", fmt.Errorf("cannot pack version %q: want v1.2.3, v1.2.3-rc1 or what git describe prints", version)
	}
	out := m[1]
	switch {
	case m[2] == "":
	case m[2][0] >= '0' && m[2][0] <= '9':
		out += "+" + strings.ReplaceAll(m[2], "-", ".")
	default:
		out += "~" + m[2]
	}
	return out + strings.Replace(m[3], "+", ".", 1), nil
}

// maintainer is who the package says made it. The domain is one that there never is:
// who wants to write finds the way in the documentation.
const maintainer = "The provision-plugins authors <maintainers@provision-plugins.invalid>"

// scripts are those of the package.
var scripts = []string{"postinst", "prerm", "postrm"}

// text is the control file.
func (c control) text(size int64) string {
	return fmt.Sprintf(`Package: oob
Version: %s
Architecture: %s
Maintainer: %s
Installed-Size: %d
Recommends: systemd
Section: admin
Priority: optional
Description: power, boot and watch machines out of band
 An endpoint, its plugins and a command line that switch, boot and read
 machines when their operating system is dead: through a BMC, a metal cloud
 or a hypervisor. What must not happen twice is sent once, and done says what
 was seen.
`, c.version, c.arch, maintainer, (size+1023)/1024)
}

// debian packs the package: an ar of a version, a control and a data archive.
func debian(w io.Writer, c control, list []item, at time.Time) error {
	list = placed(list, onSystem)
	var data, meta bytes.Buffer
	sums, size, err := c.packData(&data, list, at)
	if err != nil {
		return err
	}
	if err := c.pack(&meta, list, packed{sums, size}, at); err != nil {
		return err
	}
	if _, err := io.WriteString(w, "!<arch>\n"); err != nil {
		return err
	}
	for _, member := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.gz", meta.Bytes()}, {"data.tar.gz", data.Bytes()}} {
		if err := arMember(w, member.name, member.data, at); err != nil {
			return err
		}
	}
	return nil
}

// packed is what the data archive has come to.
type packed struct {
	sums []byte
	size int64
}

// packData packs the files, and returns their checksums and their size.
func (c control) packData(w io.Writer, list []item, at time.Time) (sums []byte, size int64, err error) {
	p, err := newPacker(w, at)
	if err != nil {
		return nil, 0, err
	}
	if err := p.folder("."); err != nil {
		return nil, 0, err
	}
	for _, dir := range folders(list, onSystem) {
		if err := p.folder("./" + dir); err != nil {
			return nil, 0, err
		}
	}
	var text bytes.Buffer
	add := func(name string, mode int64, raw []byte) error {
		size += int64(len(raw))
		sum := md5.Sum(raw)
		fmt.Fprintf(&text, "%s  %s\n", hex.EncodeToString(sum[:]), name)
		return p.text("./"+name, mode, raw)
	}
	for _, i := range list {
		raw, err := os.ReadFile(i.from)
		if err == nil {
			err = add(i.system, i.mode, raw)
		}
		if err != nil {
			return nil, 0, err
		}
	}
	log, err := c.changelog(at)
	if err == nil {
		err = add(docDir+"/changelog.gz", 0o644, log)
	}
	if err != nil {
		return nil, 0, err
	}
	return text.Bytes(), size, p.close()
}

// changelog is the page that Debian wants of each package: which commit it is.
func (c control) changelog(at time.Time) ([]byte, error) {
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(zip, "oob (%s) stable; urgency=medium\n\n  * Built from %s; its history tells what has changed.\n\n -- %s  %s\n",
		c.version, c.commit, maintainer, at.Format(time.RFC1123Z))
	err = zip.Close()
	return out.Bytes(), err
}

// pack packs what the package manager is told.
func (c control) pack(w io.Writer, list []item, data packed, at time.Time) error {
	p, err := newPacker(w, at)
	if err != nil {
		return err
	}
	var kept strings.Builder
	for _, i := range list {
		if i.config {
			kept.WriteString("/" + i.system + "\n")
		}
	}
	if err := p.folder("."); err != nil {
		return err
	}
	for _, f := range []struct{ name, text string }{{"control", c.text(data.size)}, {"md5sums", string(data.sums)}, {"conffiles", kept.String()}} {
		if err := p.text("./"+f.name, 0o644, []byte(f.text)); err != nil {
			return err
		}
	}
	for _, name := range scripts {
		if err := p.file("./"+name, item{from: filepath.Join(c.scripts, name), mode: 0o755}); err != nil {
			return err
		}
	}
	return p.close()
}

// arMember writes one member of an ar archive.
func arMember(w io.Writer, name string, data []byte, at time.Time) error {
	if _, err := fmt.Fprintf(w, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, at.Unix(), 0, 0, "100644", len(data)); err != nil {
		return err
	}
	if len(data)%2 == 1 {
		data = append(data[:len(data):len(data)], '\n')
	}
	_, err := w.Write(data)
	return err
}
