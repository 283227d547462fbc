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
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// built makes folders as build.sh leaves them, with small files for binaries.
func built(t *testing.T) options {
	t.Helper()
	dir := t.TempDir()
	o := options{root: filepath.Join("..", ".."), bin: filepath.Join(dir, "bin"), shells: dir, out: filepath.Join(dir, "out"), arch: "amd64", version: "v1.2.3", epoch: 1_700_000_000}
	for name, text := range map[string]string{
		"bin/oob": "\x7fELF oob", "bin/plugins/ipmi": "\x7fELF ipmi", "bin/plugins/slack": "\x7fELF slack!", "bin/plugins/.ipmi": "half built",
		"oob.bash": "bash", "oob.zsh": "zsh", "oob.fish": "fish", "out/keep": "x",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// pack packs, and returns the bytes of each package by its name.
func pack(t *testing.T, o options) map[string][]byte {
	t.Helper()
	if err := o.pack(); err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	entries, err := os.ReadDir(o.out)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(o.out, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = raw
	}
	delete(out, "keep")
	return out
}

// unpacked lists what a compressed tar holds.
func unpacked(t *testing.T, raw []byte) map[string]*tar.Header {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*tar.Header{}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if out[h.Name] != nil {
			t.Errorf("%s is there twice", h.Name)
		}
		out[h.Name] = h
	}
}

// members are those of an ar archive.
func members(t *testing.T, raw []byte) map[string][]byte {
	t.Helper()
	rest, ok := bytes.CutPrefix(raw, []byte("!<arch>\n"))
	if !ok {
		t.Fatalf("no ar archive: %.20q", raw)
	}
	out := map[string][]byte{}
	for len(rest) > 0 {
		var size int
		name := strings.TrimSpace(string(rest[:16]))
		if _, err := fmt.Sscanf(string(rest[48:58]), "%d", &size); err != nil || string(rest[58:60]) != "`\n" {
			t.Fatalf("member %s: %v", name, err)
		}
		out[name] = rest[60 : 60+size]
		rest = rest[60+size+size%2:]
	}
	return out
}

// The same files give the same bytes, whatever their times, modes and place.
func TestPackagesAreReproducible(t *testing.T) {
	t.Parallel()
	one, two := built(t), built(t)
	for i, path := range []string{"bin/oob", "bin/plugins/ipmi"} {
		at := filepath.Join(filepath.Dir(two.bin), path)
		if err := os.Chtimes(at, time.Unix(int64(i), 0), time.Unix(int64(i), 0)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(at, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	first, second := pack(t, one), pack(t, two)
	if len(first) != 2 || len(second) != 2 {
		t.Errorf("%d and %d packages", len(first), len(second))
	}
	for name, raw := range first {
		if !bytes.Equal(raw, second[name]) {
			t.Errorf("%s differs", name)
		}
	}
}

func TestTheArchive(t *testing.T) {
	t.Parallel()
	o := built(t)
	list := unpacked(t, pack(t, o)["oob-v1.2.3-linux-amd64.tar.gz"])
	for path, mode := range map[string]int64{
		"": 0o755, "bin/oob": 0o755, "plugins/ipmi": 0o755, "plugins/slack": 0o755, "install.sh": 0o755, "systemd/oob.service": 0o644,
		"completions/oob.zsh": 0o644, "LICENSE": 0o644, "doc/docs/cli.md": 0o644, "doc/docs/reference/cli.md": 0o644, "doc/examples/alerts.yml": 0o644,
	} {
		h := list["oob-v1.2.3-linux-amd64/"+path]
		if h == nil || h.Mode != mode || h.Uid != 0 || h.Uname != "root" || !h.ModTime.Equal(time.Unix(o.epoch, 0)) {
			t.Errorf("%s: %+v", path, h)
		}
	}
	for name := range list {
		if strings.Contains(name, "/.") || strings.Contains(name, "deb/") {
			t.Errorf("%s is in it", name)
		}
	}
}

func TestTheDebianPackage(t *testing.T) {
	t.Parallel()
	o := built(t)
	o.arch = "arm64"
	parts := members(t, pack(t, o)["oob_1.2.3_arm64.deb"])
	if string(parts["debian-binary"]) != "2.0\n" {
		t.Errorf("%q", parts["debian-binary"])
	}
	meta := unpacked(t, parts["control.tar.gz"])
	for _, name := range []string{"./control", "./md5sums", "./conffiles", "./postinst", "./prerm", "./postrm"} {
		if meta[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	if meta["./postinst"].Mode != 0o755 {
		t.Error("postinst cannot be run")
	}
	data := unpacked(t, parts["data.tar.gz"])
	for path, mode := range map[string]int64{
		"usr/": 0o755, "usr/bin/oob": 0o755, "usr/lib/oob/plugins/ipmi": 0o755, "usr/lib/systemd/system/oob.service": 0o644,
		"etc/default/oob": 0o644, "usr/share/doc/oob/copyright": 0o644, "usr/share/doc/oob/changelog.gz": 0o644,
	} {
		if h := data["./"+path]; h == nil || h.Mode != mode {
			t.Errorf("%s: %+v", path, h)
		}
	}
	if data["./install.sh"] != nil || data["./usr/lib/oob/plugins/.ipmi"] != nil {
		t.Error("what is not for a system is in it")
	}
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		return // what follows is dpkg's own opinion
	}
	path := filepath.Join(o.out, "oob_1.2.3_arm64.deb")
	out, err := exec.Command("dpkg-deb", "--field", path, "Package", "Version", "Architecture").CombinedOutput()
	if err != nil || string(out) != "Package: oob\nVersion: 1.2.3\nArchitecture: arm64\n" {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := exec.Command("dpkg-deb", "--extract", path, filepath.Join(o.out, "x")).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if raw, err := os.ReadFile(filepath.Join(o.out, "x/usr/lib/oob/plugins/slack")); err != nil || string(raw) != "\x7fELF slack!" {
		t.Errorf("%q, %v", raw, err)
	}
}

func TestDebianVersions(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"v1.2.3": "1.2.3", "v1.2.3-rc1": "1.2.3~rc1", "v1.2.3-14-gabcdef1": "1.2.3+14.gabcdef1", "v0.0.0-dev+gabcdef1": "0.0.0~dev.gabcdef1",
		"": "", "1.2.3": "", "v1.2": "", "v1.2.3;rm": "", "v1.2.3-dirty thing": "",
	} {
		got, err := debianVersion(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
	ordered := []string{"v0.0.0-dev+gabcdef1", "v1.2.3-rc1", "v1.2.3", "v1.2.3-14-gabcdef1"}
	if _, err := exec.LookPath("dpkg"); err != nil {
		return
	}
	for i := range ordered[1:] {
		older, err := debianVersion(ordered[i])
		if err != nil {
			t.Fatal(err)
		}
		newer, err := debianVersion(ordered[i+1])
		if err != nil {
			t.Fatal(err)
		}
		if err := exec.Command("dpkg", "--compare-versions", older, "lt", newer).Run(); err != nil {
			t.Errorf("%s is not before %s: %v", older, newer, err)
		}
	}
}

func TestChecksums(t *testing.T) {
	t.Parallel()
	o := built(t)
	packages := pack(t, o)
	if code := run([]string{"--sums", "--out", o.out}); code != 0 {
		t.Fatalf("exit %d", code)
	}
	raw, err := os.ReadFile(filepath.Join(o.out, sumsFile))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for name, data := range packages {
		sum := sha256.Sum256(data)
		want = append(want, hex.EncodeToString(sum[:])+"  "+name)
	}
	got := strings.Split(strings.TrimSpace(string(raw)), "\n")
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if code := run([]string{"--sums", "--out", t.TempDir()}); code != 1 {
		t.Errorf("checksums of nothing: exit %d", code)
	}
}

// What cannot be packed leaves nothing behind.
func TestPackingFails(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*options){
		"another architecture": func(o *options) { o.arch = "mips" },
		"no version":           func(o *options) { o.version = "latest" },
		"no binary":            func(o *options) { o.bin += "x" },
		"no completions":       func(o *options) { o.shells += "x" },
		"no repository":        func(o *options) { o.root += "x" },
	} {
		o := built(t)
		spoil(&o)
		if err := o.pack(); err == nil {
			t.Errorf("%s: packed", name)
		}
		if left, err := filepath.Glob(filepath.Join(o.out, "*oob*")); err != nil || len(left) != 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
	if code := run([]string{"--nonsense"}); code != 2 {
		t.Errorf("exit %d", code)
	}
	if code := run([]string{"--arch", "mips"}); code != 1 {
		t.Errorf("exit %d", code)
	}
}

// install.sh puts below DESTDIR what the Debian package holds, keeps a changed
// configuration, and replaces plugins in one step.
func TestInstallBelowARoot(t *testing.T) {
	t.Parallel()
	o := built(t)
	packages := pack(t, o)
	dir := t.TempDir()
	untar := exec.Command("tar", "-xzf", "-", "-C", dir)
	untar.Stdin = bytes.NewReader(packages["oob-v1.2.3-linux-amd64.tar.gz"])
	if out, err := untar.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	root := filepath.Join(dir, "root")
	for round := range 2 {
		cmd := exec.Command(filepath.Join(dir, "oob-v1.2.3-linux-amd64", "install.sh"))
		cmd.Env = append(os.Environ(), "DESTDIR="+root)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("round %d: %v: %s", round, err, out)
		}
		if round == 0 {
			if err := os.WriteFile(filepath.Join(root, "etc/default/oob"), []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if raw, err := os.ReadFile(filepath.Join(root, "etc/default/oob")); err != nil || string(raw) != "mine" {
		t.Errorf("the configuration is %q, %v", raw, err)
	}
	o.arch = "amd64"
	for name, h := range unpacked(t, members(t, packages["oob_1.2.3_amd64.deb"])["data.tar.gz"]) {
		info, err := os.Stat(filepath.Join(root, name))
		debianOnly := strings.Contains(name, "lintian") || strings.HasSuffix(name, "/copyright") || strings.HasSuffix(name, "/changelog.gz")
		switch {
		case debianOnly:
		case err != nil:
			t.Errorf("%s is not installed", name)
		case h.Typeflag == tar.TypeReg && name != "./etc/default/oob" && info.Mode().Perm() != os.FileMode(h.Mode):
			t.Errorf("%s has mode %v, in the package %o", name, info.Mode(), h.Mode)
		}
	}
	if left, err := filepath.Glob(filepath.Join(root, "usr/lib/oob/plugins/.*")); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
