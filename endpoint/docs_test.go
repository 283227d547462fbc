package endpoint

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The table of routes in docs/api.md is the table of the code.
func TestTheDocumentedRoutes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:[A-Z]+ )?/[^`]*)` \\|").FindAllStringSubmatch(string(text), -1) {
		if documented[m[1]] {
			t.Errorf("%s is documented twice", m[1])
		}
		documented[m[1]] = true
	}
	r := start(t)
	built := map[string]bool{apisPattern: true}
	for _, row := range r.e.api.routes() {
		built[row.pattern] = true
	}
	for pattern := range r.e.api.rawRoutes() {
		built[strings.Replace(pattern, " "+apiRoot, " ", 1)] = true
	}
	for _, k := range r.e.objects.kinds.list() {
		for _, row := range r.e.api.kindRoutes(k) {
			pattern := strings.Replace(row.pattern, "/"+k.prefix, "/{P}", 1)
			built[strings.Replace(pattern, "{key...}", "{key}", 1)] = true
		}
		if !strings.Contains(string(text), "`"+k.prefix+"`") {
			t.Errorf("the kind %s is not documented", k.prefix)
		}
	}
	for pattern := range built {
		if !documented[pattern] {
			t.Errorf("%s is not documented", pattern)
		}
	}
	for pattern := range documented {
		if !built[pattern] {
			t.Errorf("%s is documented and not built", pattern)
		}
	}
}

// Every operator and every parameter that is no filter stands in the text.
func TestTheDocumentedParameters(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{
		"`Eq(a)`", "`Ne(a)`", "`Lt(a)`", "`Lte(a)`", "`Gt(a)`", "`Gte(a)`", "`Between(a,b)`", "`Except(a,b)`", "`In(a,b,…)`", "`Nin(a,b,…)`", "`Re(x)`",
		"`sort=", "`reverse=", "`limit=", "`offset=", "`slim=", "`params=", "`aggregate=", "`decode=", "`plugin=", "`override-protected=", "`force=", "`compose=",
	} {
		if !strings.Contains(string(text), word) {
			t.Errorf("%s is not documented", word)
		}
	}
}
