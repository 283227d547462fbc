package scripts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/template"

	"provision-plugins/shared/content"
	"provision-plugins/shared/model"
)

// machineID is the machine that the scripts are rendered for.
const machineID = "3e7031fe-3062-45f1-835c-92541bc9cbd3"

// params are set on the machine.
type params map[string]any

// loadPack reads the content folder once.
var loadPack = sync.OnceValues(func() (*model.Content, error) {
	return content.LoadDir(context.Background(), "../content")
})

// pack returns the content.
func pack(t *testing.T) *model.Content {
	t.Helper()
	c, err := loadPack()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// renderMachine is .Machine in a template.
type renderMachine struct{ Name, UUID string }

// renderData is what a template sees of a machine.
type renderData struct {
	Machine renderMachine
	set     params
	schemas map[string]*model.Param
}

var (
	errUnset   = errors.New("param is not set and has no default")
	errUnknown = errors.New("param is not declared")
	errSecret  = errors.New("a Secure param would stand in the text of the script")
)

// Param returns a param of the machine or its default. Rendering stops at one
// that is not set, and here also at one that is secret.
func (d *renderData) Param(name string) (any, error) {
	schema := d.schemas[name]
	if schema == nil {
		return nil, fmt.Errorf("%s: %w", name, errUnknown)
	}
	if schema.Secure {
		return nil, fmt.Errorf("%s: %w", name, errSecret)
	}
	if v, ok := d.set[name]; ok {
		return v, nil
	}
	raw, err := json.Marshal(schema.Schema)
	if err != nil {
		return nil, err
	}
	var s struct{ Default any }
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	if s.Default == nil {
		return nil, fmt.Errorf("%s: %w", name, errUnset)
	}
	return s.Default, nil
}

// ParamExists tells whether a param is set or has a default.
func (d *renderData) ParamExists(name string) bool {
	_, err := d.Param(name)
	return err == nil
}

// functions are those of the endpoint's templates that the content uses.
var functions = template.FuncMap{
	"toString": func(v any) string { return fmt.Sprint(v) },
	"replace":  func(old, replacement, text string) string { return strings.ReplaceAll(text, old, replacement) },
	"dict": func(pairs ...any) (map[string]any, error) {
		out := map[string]any{}
		for i := 0; i+1 < len(pairs); i += 2 {
			key, ok := pairs[i].(string)
			if !ok {
				return nil, fmt.Errorf("key %v: %w", pairs[i], errUnknown)
			}
			out[key] = pairs[i+1]
		}
		return out, nil
	},
}

// templatesOf joins all templates of the content into one, each between define
// and end, as an endpoint does: one that defines another is refused by that.
func templatesOf(c *model.Content) (*template.Template, error) {
	var all strings.Builder
	for _, id := range slices.Sorted(maps.Keys(c.Sections["templates"])) {
		fmt.Fprintf(&all, "{{define %q}}%s{{end}}\n", id, c.Sections["templates"][id]["Contents"])
	}
	return template.New("").Funcs(functions).Option("missingkey=error").Parse(all.String())
}

// render renders the script of a task for a machine with params.
func render(t *testing.T, task string, set params) string {
	t.Helper()
	c := pack(t)
	schemas, err := content.Params(c)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range set {
		if schemas[name] == nil {
			t.Fatalf("%s is not declared", name)
		}
		if err := content.CheckValue(schemas[name], v); err != nil {
			t.Fatal(err)
		}
	}
	all, err := templatesOf(c)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	data := &renderData{Machine: renderMachine{Name: "m1.local", UUID: machineID}, set: set, schemas: schemas}
	if err := all.ExecuteTemplate(&out, templateOf(t, task), data); err != nil {
		t.Fatalf("task %s: %v", task, err)
	}
	return out.String()
}

// templateOf returns the template that a task runs.
func templateOf(t *testing.T, task string) string {
	t.Helper()
	list, ok := pack(t).Sections["tasks"][task]["Templates"].([]any)
	if !ok || len(list) != 1 {
		t.Fatalf("task %s has not one template", task)
	}
	info, _ := list[0].(map[string]any)
	id, _ := info["ID"].(string)
	if id == "" || info["Path"] != "" {
		t.Fatalf("task %s: the template is no script: %v", task, info)
	}
	return id
}

// A template that asks for a secret is not rendered: its text is kept by the
// endpoint with the job.
func TestNoSecretIsRendered(t *testing.T) {
	t.Parallel()
	schemas, err := content.Params(pack(t))
	if err != nil {
		t.Fatal(err)
	}
	d := &renderData{set: params{"ipmi/password": "x"}, schemas: schemas}
	if _, err := d.Param("ipmi/password"); !errors.Is(err, errSecret) {
		t.Errorf("the renderer gave a secret: %v", err)
	}
	for id, obj := range pack(t).Sections["templates"] {
		for name, p := range schemas {
			text := fmt.Sprint(obj["Contents"])
			if p.Secure && (strings.Contains(text, `Param "`+name+`"`) || strings.Contains(text, `"name" "`+name+`"`)) {
				t.Errorf("%s renders %s", id, name)
			}
		}
	}
}

// Whatever a param holds is one word of the shell, and is never run.
func TestParamsAreQuoted(t *testing.T) {
	t.Parallel()
	all, err := templatesOf(pack(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"", "plain", "it's", "$(touch /tmp/x)", "`id`", `\`, "a\nb", `"; rm -rf / #`, "''", "$HOME !x"} {
		var out strings.Builder
		if err := all.ExecuteTemplate(&out, "ipmi-quote.sh", value); err != nil {
			t.Fatal(err)
		}
		if got := runText(t, "printf %s "+out.String()); got != value {
			t.Errorf("%q is %q to the shell", value, got)
		}
	}
	for _, tc := range []struct {
		set  params
		want string
	}{{nil, "0:"}, {params{"ipmi/configure/dns-servers": []any{"10.0.0.1", "a b'c"}}, "2:10.0.0.1|a b'c|"}} {
		schemas, err := content.Params(pack(t))
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		data := map[string]any{"data": &renderData{set: tc.set, schemas: schemas}, "name": "ipmi/configure/dns-servers"}
		if err := all.ExecuteTemplate(&out, "ipmi-values.sh", data); err != nil {
			t.Fatal(err)
		}
		got := runText(t, "x="+out.String()+`; printf %s: "${#x[@]}"; for v in "${x[@]}"; do printf '%s|' "$v"; done`)
		if got != tc.want {
			t.Errorf("%v is %q to the shell", tc.set, got)
		}
	}
}

// Every template is used by a task, every task by a stage, every stage by the
// workflow.
func TestNothingIsUnused(t *testing.T) {
	t.Parallel()
	c := pack(t)
	for _, level := range []struct{ section, by string }{{"templates", "tasks"}, {"tasks", "stages"}, {"stages", "workflows"}} {
		raw, err := json.Marshal([]any{c.Sections[level.by], c.Sections["templates"]})
		if err != nil {
			t.Fatal(err)
		}
		for key := range c.Sections[level.section] {
			if !strings.Contains(string(raw), `"`+key+`"`) && !strings.Contains(string(raw), `\"`+key+`\"`) {
				t.Errorf("%s/%s is used by nothing", level.section, key)
			}
		}
	}
	want := []string{"ipmi-configure", "ipmi-discover", "ipmi-install", "ipmi-install-cert-or-key", "ipmi-inventory", "ipmi-network-validation", "ipmi-run-commands", "ipmi-status-validation"}
	if got := slices.Sorted(maps.Keys(c.Sections["tasks"])); !slices.Equal(got, want) {
		t.Errorf("tasks are %v", got)
	}
	want = []string{"ipmi-configure", "ipmi-install-cert", "ipmi-inventory"}
	if got := slices.Sorted(maps.Keys(c.Sections["stages"])); !slices.Equal(got, want) {
		t.Errorf("stages are %v", got)
	}
}

// Each task names every param that its script reads or sets.
func TestTasksNameTheirParams(t *testing.T) {
	t.Parallel()
	for task, obj := range pack(t).Sections["tasks"] {
		named, err := json.Marshal(obj["OptionalParams"])
		if err != nil {
			t.Fatal(err)
		}
		script := render(t, task, everything(t, params{}))
		for line := range strings.Lines(script) {
			for _, use := range []string{"read_param ", "put ", "put_json ", "own "} {
				_, rest, ok := strings.Cut(line, use)
				if !ok || strings.HasPrefix(strings.TrimSpace(line), "#") || task == "ipmi-install" {
					continue
				}
				for word := range strings.FieldsSeq(rest) {
					word = strings.Trim(word, `";)`)
					if strings.HasPrefix(word, "ipmi/") && !strings.Contains(word, "$") && !strings.Contains(string(named), `"`+word+`"`) {
						t.Errorf("task %s: %s is not among its params", task, word)
					}
				}
			}
		}
	}
}

// everything returns params with which every part of each script is rendered.
func everything(t *testing.T, more params) params {
	t.Helper()
	out := params{
		"ipmi/configure/network": true, "ipmi/configure/ip-mode": "static", "ipmi/configure/address": "10.0.0.9", "ipmi/configure/netmask": "255.255.255.0",
		"ipmi/configure/gateway": "10.0.0.1", "ipmi/configure/port": "dedicated", "ipmi/configure/hostname": "it's $(hostname)", "ipmi/configure/domain": "example.org",
		"ipmi/configure/dns-servers": []any{"10.0.0.2", "10.0.0.3"}, "ipmi/configure/ntp-servers": []any{"10.0.0.4"}, "ipmi/configure/timezone": "Etc/UTC",
		"ipmi/configure/user": true, "ipmi/service-user": true, "ipmi/configure/userid": 4, "ipmi/configure/generate-random-password": true,
		"ipmi/configure/generate-csr": true, "ipmi/configure/post-csr-task": "sign", "ipmi/force-lan-chan": 1, "ipmi/force-protocol": "v4",
		"ipmi/prefer-v6": true, "ipmi/configure/no-bmc-fatal": true, "ipmi/skip-status-validation": false, "ipmi/extra-ipmi-commands": []any{"mc info"},
	}
	maps.Copy(out, more)
	return out
}
