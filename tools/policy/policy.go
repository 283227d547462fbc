// Package policy holds the rules that this repository keeps for itself, as
// tests: which package may import which, what must be documented, what is never
// called, and that generated files are current. It parses files and starts no
// program, so that the test cache can tell when it must run again.
package policy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Module is the path that the repository's own imports begin with.
const Module = "provision-plugins"

// Violation is a place where a rule is broken.
type Violation struct {
	File string
	Line int
	Text string
	// Why is the reason of the rule.
	Why string
}

// String renders the place, what is wrong and why it matters.
func (v Violation) String() string {
	return fmt.Sprintf("%s:%d: %s. The reason: %s", v.File, v.Line, v.Text, v.Why)
}

// goFile is a parsed source file.
type goFile struct {
	path      string // from the repository's root
	dir       string
	test      bool
	generated bool
	syntax    *ast.File
}

// tree is the repository as the rules see it.
type tree struct {
	fsys  fs.FS
	fset  *token.FileSet
	files []*goFile
	texts []string // every file, Go or not, that is text of the repository
	found []Violation
}

// rules are all of them; each adds what it finds to the tree.
var rules = []func(*tree){
	checkImports, checkExternals, checkPackageDocs, checkExportedDocs, checkCalls, checkWords, checkGenerated,
}

// Check applies every rule to the repository in fsys.
func Check(fsys fs.FS) ([]Violation, error) {
	t, err := load(fsys)
	if err != nil {
		return nil, err
	}
	for _, rule := range rules {
		rule(t)
	}
	slices.SortStableFunc(t.found, func(a, b Violation) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
	return t.found, nil
}

// skipped are folders that hold nothing written by hand.
var skipped = []string{".git", "bin"}

// load reads and parses the repository.
func load(fsys fs.FS) (*tree, error) {
	t := &tree{fsys: fsys, fset: token.NewFileSet()}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(skipped, p):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		t.texts = append(t.texts, p)
		if path.Ext(p) == ".go" && !strings.Contains(p, "testdata/") {
			return t.parse(p)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the repository: %w", err)
	}
	return t, nil
}

// parse adds one Go file.
func (t *tree) parse(p string) error {
	src, err := fs.ReadFile(t.fsys, p)
	if err != nil {
		return err
	}
	syntax, problem := parser.ParseFile(t.fset, p, src, parser.ParseComments|parser.SkipObjectResolution)
	if problem == nil {
		t.files = append(t.files, &goFile{
			path: p, dir: path.Dir(p), test: strings.HasSuffix(p, "_test.go"), generated: ast.IsGenerated(syntax), syntax: syntax,
		})
	} else {
		t.found = append(t.found, Violation{p, 1, "does not parse: " + problem.Error(), "a file that cannot be read cannot be checked"})
	}
	return nil
}

// report adds a violation at a position.
func (t *tree) report(pos token.Pos, why, format string, args ...any) {
	at := t.fset.Position(pos)
	t.found = append(t.found, Violation{at.Filename, at.Line, fmt.Sprintf(format, args...), why})
}
