package policy

import (
	"go/ast"
	"path"
	"strings"
)

// banned is a function that is not called.
type banned struct {
	pkg  string   // import path
	name []string // functions
	// tests tells that tests must not call it either.
	tests bool
	// main tells that main.go of a command may.
	main bool
	why  string
}

var bannedCalls = []banned{
	{pkg: "time", name: []string{"Sleep"}, tests: true, why: "a sleep is too long or too short, and cannot be cancelled: wait for what is awaited"},
	{pkg: "os", name: []string{"Exit"}, main: true, why: "an exit runs no deferred call: sessions stay open and runs unwritten; return an error to main"},
	{pkg: "log", name: []string{"Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln"}, main: true, why: "an exit runs no deferred call: sessions stay open and runs unwritten; return an error to main"},
}

// checkCalls finds init functions and banned calls.
func checkCalls(t *tree) {
	for _, f := range t.files {
		names := importNames(f.syntax)
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					t.report(n.Pos(), "an init runs in every program that links it, in an order nobody chose", "init function")
				}
			case *ast.SelectorExpr:
				checkSelector(t, f, names, n)
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "panic" && !f.test {
					t.report(n.Pos(), "a panic takes down every machine's action with the one that failed; return an error", "panic is called")
				}
			}
			return true
		})
	}
}

// checkSelector reports a banned function, called or passed on.
func checkSelector(t *tree, f *goFile, names map[string]string, sel *ast.SelectorExpr) {
	id, ok := sel.X.(*ast.Ident)
	if !ok {
		return
	}
	for _, b := range bannedCalls {
		if names[id.Name] != b.pkg || f.test && !b.tests || b.main && isMain(f) {
			continue
		}
		for _, name := range b.name {
			if sel.Sel.Name == name {
				t.report(sel.Pos(), b.why, "%s.%s is used", b.pkg, name)
			}
		}
	}
}

// isMain reports whether f is the file of a command's main function.
func isMain(f *goFile) bool {
	return f.syntax.Name.Name == "main" && path.Base(f.path) == "main.go"
}

// importNames maps the names under which a file knows its imports to their
// paths.
func importNames(f *ast.File) map[string]string {
	names := map[string]string{}
	for _, spec := range f.Imports {
		p := importPath(spec.Path.Value)
		name := p[strings.LastIndex(p, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = p
	}
	return names
}
