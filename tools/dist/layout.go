package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// item is one file of the packages.
type item struct {
	from string // on this machine
	// archive is where it is in the archive, system where a machine has it; empty:
	// not there.
	archive, system string
	mode            int64
	config          bool // one that the package manager does not overwrite
}

// docDir is where a machine has the documentation.
const docDir = "usr/share/doc/oob"

// fixed are the files that are in every package.
var fixed = []item{
	{from: "packaging/oob.service", archive: "systemd/oob.service", system: "usr/lib/systemd/system/oob.service"},
	{from: "packaging/oob.sysusers", archive: "systemd/oob.sysusers", system: "usr/lib/sysusers.d/oob.conf"},
	{from: "packaging/oob.default", archive: "systemd/oob.default", system: "etc/default/oob", config: true},
	{from: "packaging/install.sh", archive: "install.sh", mode: 0o755},
	{from: "packaging/virtualbox.conf", archive: "doc/examples/virtualbox.conf", system: docDir + "/examples/virtualbox.conf"},
	{from: "packaging/alerts.yml", archive: "doc/examples/alerts.yml", system: docDir + "/examples/alerts.yml"},
	{from: "packaging/prometheus.yml", archive: "doc/examples/prometheus.yml", system: docDir + "/examples/prometheus.yml"},
	{from: "packaging/deb/copyright", system: docDir + "/copyright"},
	{from: "packaging/deb/overrides", system: "usr/share/lintian/overrides/oob"},
	{from: "LICENSE", archive: "LICENSE"},
	{from: "README.md", archive: "doc/README.md", system: docDir + "/README.md"},
}

// completions are those of the shells.
var completions = []item{
	{from: "oob.bash", archive: "completions/oob.bash", system: "usr/share/bash-completion/completions/oob"},
	{from: "oob.zsh", archive: "completions/oob.zsh", system: "usr/share/zsh/vendor-completions/_oob"},
	{from: "oob.fish", archive: "completions/oob.fish", system: "usr/share/fish/vendor_completions.d/oob.fish"},
}

// layout lists all files, by their place.
func (o options) layout() ([]item, error) {
	list := []item{{from: filepath.Join(o.bin, "oob"), archive: "bin/oob", system: "usr/bin/oob", mode: 0o755}}
	for _, i := range fixed {
		i.from = filepath.Join(o.root, i.from)
		list = append(list, i)
	}
	for _, i := range completions {
		i.from = filepath.Join(o.shells, i.from)
		list = append(list, i)
	}
	plugins, err := os.ReadDir(filepath.Join(o.bin, "plugins"))
	if err != nil {
		return nil, fmt.Errorf("cannot find the plugins: %w", err)
	}
	for _, p := range plugins {
		if !p.Type().IsRegular() || strings.HasPrefix(p.Name(), ".") {
			continue
		}
		list = append(list, item{
			from: filepath.Join(o.bin, "plugins", p.Name()), archive: "plugins/" + p.Name(), system: "usr/lib/oob/plugins/" + p.Name(), mode: 0o755,
		})
	}
	docs, err := o.docs()
	if err != nil {
		return nil, err
	}
	list = append(list, docs...)
	for i := range list {
		if list[i].mode == 0 {
			list[i].mode = 0o644
		}
	}
	return list, nil
}

// docs are the pages for users.
func (o options) docs() ([]item, error) {
	var list []item
	root := filepath.Join(o.root, "docs")
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || filepath.Ext(file) != ".md" {
			return err
		}
		below, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		below = filepath.ToSlash(below)
		list = append(list, item{from: file, archive: "doc/docs/" + below, system: docDir + "/docs/" + below})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot find the documentation: %w", err)
	}
	return list, nil
}

// place is where a file is in what is packed.
type place func(item) string

// inArchive and onSystem are the two.
func inArchive(i item) string { return i.archive }
func onSystem(i item) string  { return i.system }

// placed are the files that have a place, by it.
func placed(list []item, where place) []item {
	out := slices.DeleteFunc(slices.Clone(list), func(i item) bool { return where(i) == "" })
	slices.SortFunc(out, func(a, b item) int { return strings.Compare(where(a), where(b)) })
	return out
}

// folders are those above the files, the outer ones first.
func folders(list []item, where place) []string {
	seen := map[string]bool{}
	for _, i := range list {
		for dir := path.Dir(where(i)); dir != "."; dir = path.Dir(dir) {
			seen[dir] = true
		}
	}
	var out []string
	for dir := range seen {
		out = append(out, dir)
	}
	slices.Sort(out)
	return out
}
