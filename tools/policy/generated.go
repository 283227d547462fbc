package policy

import (
	"bytes"
	"context"
	"go/ast"
	"io/fs"
	"path"
	"slices"
	"strings"

	"provision-plugins/shared/content"
	"provision-plugins/shared/content/bundle"
)

const whyGenerated = "the program would be built with content that nobody can read in its folder; run go generate ./..."

// directive is the beginning of the lines that bundle content.
const directive = "//go:generate go run ../tools/contents bundle "

// checkGenerated holds every generated file against what its directive gives
// now, and wants a directive for every content folder.
func checkGenerated(t *tree) {
	current := map[string]bool{}
	bundled := map[string]bool{}
	for _, f := range t.files {
		for _, group := range f.syntax.Comments {
			for _, c := range group.List {
				if args, ok := strings.CutPrefix(c.Text, directive); ok {
					file, dir := checkDirective(t, f, c, strings.Fields(args))
					current[file], bundled[dir] = true, true
				}
			}
		}
	}
	for _, f := range t.files {
		if f.generated && !current[f.path] {
			t.report(f.syntax.Package, whyGenerated, "%s is marked as generated, and no directive generates it", f.path)
		}
	}
	checkFolders(t, bundled)
}

// checkDirective compares one generated file, and returns it and the folder it
// comes from.
func checkDirective(t *tree, f *goFile, c *ast.Comment, args []string) (file, dir string) {
	names := bundle.GoNames{}
	for i := 0; i+1 < len(args); i++ {
		switch args[i] {
		case "--dir":
			dir = path.Join(f.dir, args[i+1])
		case "--package":
			names.Package = args[i+1]
		case "--variable":
			names.Variable = args[i+1]
		}
	}
	file = path.Join(f.dir, args[0])
	sub, err := fs.Sub(t.fsys, dir)
	if err != nil {
		t.report(c.Pos(), whyGenerated, "cannot read %s: %v", dir, err)
		return file, dir
	}
	loaded, err := content.LoadFS(context.Background(), sub, dir)
	if err != nil {
		t.report(c.Pos(), whyGenerated, "cannot bundle %s: %v", dir, err)
		return file, dir
	}
	var want bytes.Buffer
	if err := bundle.EncodeGo(&want, loaded, names); err != nil {
		t.report(c.Pos(), whyGenerated, "cannot bundle %s: %v", dir, err)
		return file, dir
	}
	got, err := fs.ReadFile(t.fsys, file)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.report(c.Pos(), whyGenerated, "%s is not what %s gives now", file, dir)
	}
	return file, dir
}

// checkFolders wants every content folder of a plugin to be bundled.
func checkFolders(t *tree, bundled map[string]bool) {
	metas, err := fs.Glob(t.fsys, "*/content/._Name.meta")
	if err != nil {
		return
	}
	slices.Sort(metas)
	for _, meta := range metas {
		dir := path.Dir(meta)
		if !bundled[dir] {
			t.found = append(t.found, Violation{meta, 1, dir + " is bundled by no directive", whyGenerated})
		}
	}
}
