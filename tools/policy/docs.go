package policy

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strings"
)

// checkPackageDocs wants one comment for each package.
func checkPackageDocs(t *tree) {
	first := map[string]*goFile{}
	documented := map[string]int{}
	for _, f := range t.files {
		if f.test {
			continue
		}
		if first[f.dir] == nil {
			first[f.dir] = f
		}
		if strings.TrimSpace(f.syntax.Doc.Text()) != "" {
			documented[f.dir]++
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(first)) {
		pos := first[dir].syntax.Package
		switch documented[dir] {
		case 0:
			t.report(pos, "whoever opens a folder wants to know what it is for", "package %s has no comment", dir)
		case 1:
		default:
			t.report(pos, "go doc runs several comments together into one", "package %s has %d comments", dir, documented[dir])
		}
	}
}

const whyDocs = "a name that others use is a promise, and its comment says what is promised"

// checkExportedDocs wants a comment on every exported name and on every method
// of an interface.
func checkExportedDocs(t *tree) {
	for _, f := range t.files {
		if f.test || f.generated {
			continue
		}
		for _, decl := range f.syntax.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				checkFuncDoc(t, d)
			case *ast.GenDecl:
				checkSpecDocs(t, d)
			}
		}
	}
}

// checkFuncDoc wants a comment on an exported function, or on an exported
// method of an exported type.
func checkFuncDoc(t *tree, d *ast.FuncDecl) {
	if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || ast.IsExported(receiver(d))) {
		t.report(d.Pos(), whyDocs, "%s has no comment", d.Name.Name)
	}
}

// receiver names the type of a method.
func receiver(d *ast.FuncDecl) string {
	expr := d.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// checkSpecDocs wants a comment on exported types, constants and variables;
// one on their group will do for the latter.
func checkSpecDocs(t *tree, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc == nil && (d.Lparen.IsValid() || d.Doc == nil) {
				t.report(s.Pos(), whyDocs, "%s has no comment", s.Name.Name)
			}
			if i, ok := s.Type.(*ast.InterfaceType); ok {
				checkMethodDocs(t, s.Name.Name, i)
			}
		case *ast.ValueSpec:
			if d.Doc == nil && s.Doc == nil && s.Comment == nil && d.Tok != token.IMPORT {
				checkValueDocs(t, s)
			}
		}
	}
}

// checkMethodDocs wants a comment on every method of an interface.
func checkMethodDocs(t *tree, name string, i *ast.InterfaceType) {
	for _, m := range i.Methods.List {
		if len(m.Names) > 0 && m.Doc == nil && m.Comment == nil {
			t.report(m.Pos(), "a method's contract, such as whether it may be retried, stands nowhere else", "%s.%s has no comment", name, m.Names[0].Name)
		}
	}
}

// checkValueDocs reports the exported names of a group without a comment.
func checkValueDocs(t *tree, s *ast.ValueSpec) {
	for _, n := range s.Names {
		if n.IsExported() {
			t.report(n.Pos(), whyDocs, "%s has no comment", n.Name)
		}
	}
}
