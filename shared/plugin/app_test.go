package plugin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"none":              {nil, 0, "Usage:", ""},
		"help":              {[]string{"help"}, 0, "Usage:", ""},
		"version":           {[]string{"version"}, 0, "Version: v1.2.3\n", ""},
		"debug flag":        {[]string{"-d", "version"}, 0, "Version: v1.2.3\n", ""},
		"unknown":           {[]string{"fly"}, 1, "", `Error: unknown command "fly" for "incrementer"`},
		"unknown flag":      {[]string{"define", "--fly"}, 1, "", "Error: unknown flag: --fly"},
		"define with more":  {[]string{"define", "a", "b"}, 0, `"Name": "incrementer"`, ""},
		"unpack":            {[]string{"unpack", filepath.Join(dir, "u")}, 0, "", ""},
		"unpack nowhere":    {[]string{"unpack", ""}, 1, "", "Error: cannot unpack: not a valid location"},
		"unpack no arg":     {[]string{"unpack"}, 1, "", "Error: cannot unpack: not a valid location"},
		"unpack on a file":  {[]string{"unpack", "/dev/null/x"}, 1, "", "Error: cannot unpack: mkdir"},
		"listen one arg":    {[]string{"listen", "x"}, 1, "Failed\n", "listen requires 2 argument"},
		"listen nowhere":    {[]string{"listen", dir + "/no/to", dir + "/from"}, 1, "", "Error: cannot listen: listen unix"},
		"autocomplete":      {[]string{"autocomplete", filepath.Join(dir, "comp")}, 0, "", ""},
		"autocomplete none": {[]string{"autocomplete"}, 1, "", "Error: accepts 1 arg(s)"},
		"autocomplete bad":  {[]string{"autocomplete", dir + "/no/where"}, 1, "", "Error: cannot write the completion"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := command(t, "", c.args...)
			if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) || c.code == 0 && stderr != "" {
				t.Errorf("exit %d\nstdout %s\nstderr %s", code, stdout, stderr)
			}
			if strings.Contains(stderr, "goroutine") {
				t.Errorf("a stack trace:\n%s", stderr)
			}
		})
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "u", "file")); err != nil || string(raw) != "text" {
		t.Errorf("unpacked %q, %v", raw, err)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "comp")); err != nil || !strings.Contains(string(raw), "bash completion") {
		t.Errorf("completion %.40q, %v", raw, err)
	}
}

func TestUnpackOfAPluginWithoutFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	p := newProgram("plain", "v1", &model.PluginProvider{}, plain{})
	if err := p.unpack(t.Context(), dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the directory was made")
	}
}

// V7: the keys of a definition, in their order.
func TestDefinitionForm(t *testing.T) {
	p := newProgram("slack", "v4.8.0", &model.PluginProvider{HasPublish: true, Documentation: "a < b", RequiredParams: []string{"slack/bot-key"}}, plain{})
	var out strings.Builder
	if err := writeDefinition(&out, p.def); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	want := "Meta Name Version PluginVersion AutoStart HasPublish AvailableActions RequiredParams OptionalParams StoreObjects Documentation Content"
	if got := keysOf(t, text); got != want {
		t.Errorf("keys %s", got)
	}
	for _, part := range []string{"{\n  \"Meta\": {},\n  \"Name\": \"slack\",\n  \"Version\": \"v4.8.0\",\n  \"PluginVersion\": 4,", `"AvailableActions": null`, `"StoreObjects": {}`, `"a < b"`} {
		if !strings.Contains(text, part) {
			t.Errorf("no %s in %s", part, text)
		}
	}
	if !strings.HasSuffix(text, "}\n") || !json.Valid([]byte(text)) {
		t.Errorf("%s", text)
	}
}

func TestInitAppLeavesTheDefinitionAlone(t *testing.T) {
	def := &model.PluginProvider{Content: "x"}
	p := newProgram("slack", "v1", def, plain{})
	if def.Name != "" || p.def.Name != "slack" || p.def.Content != "x" {
		t.Errorf("%+v, %+v", def, p.def)
	}
}
