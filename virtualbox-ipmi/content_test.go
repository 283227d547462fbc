package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"provision-plugins/shared/content/bundle"
	"provision-plugins/shared/model"
)

// TestDefinition holds the definition to what the reference had: its actions by
// their names, and params that the content declares.
func TestDefinition(t *testing.T) {
	def := definition(newImpl().Provider)
	if def.Name != name || def.PluginVersion != model.PluginVersion || def.AutoStart || def.HasPublish {
		t.Errorf("defined %+v", def)
	}
	byCommand := map[string]model.AvailableAction{}
	for _, a := range def.AvailableActions {
		byCommand[a.Command] = a
		if a.Provider != name {
			t.Errorf("%s is of provider %q", a.Command, a.Provider)
		}
	}
	for _, command := range []string{"poweron", "poweroff", "powercycle", "nextbootpxe", "nextbootdisk"} {
		if a := byCommand[command]; a.Model != "machines" || !slices.Equal(a.RequiredParams, []string{paramID}) {
			t.Errorf("%s: %+v", command, a)
		}
	}
	for _, command := range []string{"createVm", "startVm", "stopVm", "destroyVm"} {
		if a := byCommand[command]; a.Model != "plugins" || len(a.RequiredParams) != 0 {
			t.Errorf("%s: %+v", command, a)
		}
	}
	if a := byCommand[model.Identify]; a.Model != "machines" {
		t.Error("identify is not offered, so that nobody is told that there is no locator")
	}
	for _, class := range []string{`"console":"read"`, `"createVm":"once"`, `"destroyVm":"idempotent"`, `"screenshot":"read"`} {
		if !strings.Contains(def.Meta[model.MetaClasses], class) {
			t.Errorf("the classes %s lack %s", def.Meta[model.MetaClasses], class)
		}
	}
	checkDeclared(t, def)
}

// checkDeclared checks that the content declares every param of a definition.
func checkDeclared(t *testing.T, def *model.PluginProvider) {
	t.Helper()
	parsed, err := bundle.Parse([]byte(def.Content))
	if err != nil {
		t.Fatal(err)
	}
	named := slices.Concat(def.RequiredParams, def.OptionalParams)
	for _, a := range def.AvailableActions {
		named = slices.Concat(named, a.RequiredParams, a.OptionalParams)
	}
	for _, param := range named {
		if strings.HasPrefix(param, "oob/") {
			continue
		}
		if _, ok := parsed.Sections["params"][param]; !ok {
			t.Errorf("content does not declare %s", param)
		}
	}
	if len(named) < 20 {
		t.Errorf("only %d params are named", len(named))
	}
}

// TestScripts has the shell scripts of the content looked at by who knows shell.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("content/templates/*.sh.tmpl")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts are found", err)
	}
	shellcheck, err := exec.LookPath("shellcheck")
	if err != nil {
		if os.Getenv("TEST_STRICT") == "1" {
			t.Fatal(err)
		}
		t.Skip("shellcheck is not there")
	}
	if out, err := exec.Command(shellcheck, files...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
