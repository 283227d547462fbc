package content_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"provision-plugins/shared/content"
	"provision-plugins/shared/content/bundle"
	"provision-plugins/shared/model"
)

// generator makes bundles from a seed.
type generator struct{ *rand.Rand }

// traps are strings that one of the forms could read as something else.
var traps = []string{
	"", " ", "y", "yes", "No", "on", "off", "true", "null", "~", "0755", "089", "1_000", "1:30", "1e3", ".nan", "0x1f", "2021-01-01", "<<", "=", "- a", "a: b", "#x", "a #b",
	"*a", "&a", "!x", "%x", "@x", "`x`", "---", "...", "tab\there", "line\nline\n", "\n\n", "\r\n", " in front\n  and more", "trailing ", "\x00", "\x7f", "\u0085", "\u2028", "\ufeff", "\ufffd",
	"é", "😀", "\"q\"", "'q'", "\\n", "{{ .Param }}", "{a", "[a", "a, b", "?", ": ", strings.Repeat("long words ", 30), "package main\n\nvar x = \"\"",
}

// text makes a string.
func (g generator) text() string {
	if g.IntN(3) > 0 {
		return traps[g.IntN(len(traps))]
	}
	var b strings.Builder
	for range g.IntN(20) {
		b.WriteRune([]rune("ab \n\t:-#'\"é\u2029\U0001F600")[g.IntN(13)])
	}
	return b.String()
}

// value makes a JSON value.
func (g generator) value(depth int) any {
	switch kind := g.IntN(8); {
	case kind == 0:
		return g.IntN(2) == 0
	case kind == 1:
		return json.Number(strconv.FormatInt(g.Int64()-g.Int64(), 10))
	case kind == 2:
		return json.Number(strconv.Itoa(g.IntN(99)) + "." + strconv.Itoa(1+g.IntN(9)))
	case kind == 3 && depth > 0:
		list := []any{}
		for range g.IntN(4) {
			list = append(list, g.value(depth-1))
		}
		return list
	case kind == 4 && depth > 0:
		m := map[string]any{}
		for range g.IntN(4) {
			m[g.text()] = g.value(depth - 1)
		}
		return m
	}
	return g.text()
}

// names makes different names; slash allows slashes.
func (g generator) names(most int, slash bool) []string {
	letters := "abyY-_.0"
	if slash {
		letters += "/"
	}
	seen := map[string]bool{}
	var out []string
	for range g.IntN(most + 1) {
		name := "n"
		for range 1 + g.IntN(6) {
			name += string(letters[g.IntN(len(letters))])
		}
		if file := strings.ReplaceAll(name, "/", "."); !seen[file] {
			seen[file] = true
			out = append(out, name)
		}
	}
	return out
}

// bundle makes a bundle that keeps all rules.
func (g generator) bundle(t *testing.T) *model.Content {
	t.Helper()
	c := &model.Content{Meta: model.ContentMeta{Name: "made", Type: "plugin"}, Sections: map[string]map[string]map[string]any{}}
	for _, field := range bundle.MetaFields()[1:] {
		if field != "Type" && g.IntN(2) == 0 {
			bundle.SetMeta(&c.Meta, field, strings.TrimSpace(g.text()))
		}
	}
	params := g.names(6, true)
	g.section(c, "params", params, func() map[string]any {
		return map[string]any{"Secure": g.IntN(2) == 0, "Schema": map[string]any{"title": g.text(), "x": g.value(2)}}
	})
	g.section(c, "profiles", g.names(4, false), func() map[string]any {
		values := map[string]any{}
		for _, name := range params {
			values[name] = g.value(3)
		}
		return map[string]any{"Params": values, "Profiles": []any{"global"}}
	})
	g.section(c, "tasks", g.names(3, false), func() map[string]any {
		return map[string]any{"Templates": []any{map[string]any{"Name": g.text(), "Contents": g.text()}}}
	})
	g.section(c, "templates", append(g.names(4, false), "nn.yaml", "nn.json"), func() map[string]any {
		obj := map[string]any{"Contents": g.text()}
		if g.IntN(3) == 0 {
			obj["Description"] = g.text()
		}
		return obj
	})
	for name, obj := range c.Sections["templates"] {
		delete(obj, "Name")
		delete(obj, "Meta")
		obj["ID"] = name
	}
	g.section(c, "freds", g.names(3, false), func() map[string]any {
		return map[string]any{"X": g.value(3), "Bundle": "made"}
	})
	g.section(c, "workflows", nil, nil)
	if problems := bundle.Check(c); len(problems) > 0 {
		t.Fatalf("the generator breaks rules: %v", problems)
	}
	return c
}

// section adds objects to a bundle.
func (g generator) section(c *model.Content, section string, names []string, object func() map[string]any) {
	c.Sections[section] = map[string]map[string]any{}
	for _, name := range names {
		obj := object()
		obj["Name"] = name
		obj["Meta"] = map[string]any{g.text(): g.text()}
		c.Sections[section][name] = obj
	}
}

// files reads a directory: file to text.
func files(t *testing.T, dir string) tree {
	t.Helper()
	out := tree{}
	err := filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(file)
		rel, _ := filepath.Rel(dir, file)
		out[rel] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Directory, YAML, JSON, Go and directory again: each step gives the same
// bundle, and the last directory is the first, to the byte. The seed of a
// failure is in its name: SEED=n runs that one alone.
func TestRoundTrips(t *testing.T) {
	first, count := rand.Uint64()>>1, 12
	if os.Getenv("OOB_NIGHTLY") != "" {
		count = 300
	}
	if text := os.Getenv("SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, count = seed, 1
	}
	t.Logf("seeds from %d", first)
	for n := range count {
		seed := first + uint64(n)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			roundTrip(t, generator{rand.New(rand.NewPCG(seed, 0))})
		})
	}
}

// roundTrip makes one bundle and takes it through all forms.
func roundTrip(t *testing.T, g generator) {
	c := g.bundle(t)
	want := yamlOf(t, c)
	asYAML := g.IntN(2) == 0
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	for i, dir := range dirs {
		// The second has the objects in the other form.
		target := content.Target{Dir: filepath.Join(dir, "made", "here"), YAML: asYAML != (i == 1)}
		if err := content.Unbundle(context.Background(), c, target); err != nil {
			t.Fatal(err)
		}
		dirs[i] = target.Dir
		var err error
		if c, err = content.Read(context.Background(), target.Dir); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, yamlOf(t, c)); diff != "" {
			t.Fatalf("directory %d (-want +got):\n%s", i, diff)
		}
		for _, file := range []string{"x.yaml", "x.json", "x.go"} {
			if c, err = content.ParseFile(file, []byte(form(t, file, c))); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, yamlOf(t, c)); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", file, diff)
			}
		}
	}
	if diff := cmp.Diff(files(t, dirs[0]), files(t, dirs[2])); diff != "" {
		t.Errorf("the last directory is not the first:\n%s", diff)
	}
}
