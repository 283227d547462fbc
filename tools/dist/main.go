// Command dist packs what `./build.sh dist` has built: an archive and a Debian
// package for each architecture, and their checksums. The same files give the same
// bytes: no time, owner or order is of the machine that packs.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// options are the flags.
type options struct {
	root    string // of the repository
	bin     string // what was built: oob and plugins/
	shells  string // completions of shells
	out     string
	arch    string
	version string
	epoch   int64
}

func main() { os.Exit(run(os.Args[1:])) }

// run packs one architecture, and returns the exit code.
func run(args []string) int {
	var o options
	fs := flag.NewFlagSet("dist", flag.ContinueOnError)
	fs.StringVar(&o.root, "root", ".", "the repository")
	fs.StringVar(&o.bin, "bin", "", "what was built")
	fs.StringVar(&o.shells, "completions", "", "completions of shells")
	fs.StringVar(&o.out, "out", "dist", "where the packages go")
	fs.StringVar(&o.arch, "arch", "", "amd64 or arm64")
	fs.StringVar(&o.version, "version", "", "the version, v1.2.3")
	fs.Int64Var(&o.epoch, "epoch", 0, "the time of all files, Unix")
	sums := fs.Bool("sums", false, "write the checksums of what is in --out, and nothing else")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	pack := o.pack
	if *sums {
		pack = func() error { return writeSums(o.out) }
	}
	if err := pack(); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		return 1
	}
	return 0
}

// pack writes the archive and the package of one architecture.
func (o options) pack() error {
	if o.arch != "amd64" && o.arch != "arm64" {
		return fmt.Errorf("cannot pack for %q: want amd64 or arm64", o.arch)
	}
	version, err := debianVersion(o.version)
	if err != nil {
		return err
	}
	at := time.Unix(o.epoch, 0).UTC()
	list, err := o.layout()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("oob-%s-linux-%s", o.version, o.arch)
	if err := writeFile(filepath.Join(o.out, name+".tar.gz"), func(w *output) error {
		return archive(w, name, list, at)
	}); err != nil {
		return err
	}
	deb := fmt.Sprintf("oob_%s_%s.deb", version, o.arch)
	return writeFile(filepath.Join(o.out, deb), func(w *output) error {
		return debian(w, control{version: version, arch: o.arch, commit: o.version, scripts: filepath.Join(o.root, "packaging", "deb")}, list, at)
	})
}

// output is a file that is written.
type output struct{ *os.File }

// writeFile writes a file, whole or not at all.
func writeFile(path string, write func(*output) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".dist-*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // it has another name by then, if all went well
	err = write(&output{f})
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}
