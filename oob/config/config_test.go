package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"provision-plugins/shared/model"
)

// env is an environment.
func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestPath(t *testing.T) {
	for name, tt := range map[string]struct {
		env   map[string]string
		want  string
		named bool
	}{
		"by name":      {map[string]string{"OOB_CONFIG": "x.yaml", "XDG_CONFIG_HOME": "/c", "HOME": "/h"}, "x.yaml", true},
		"xdg":          {map[string]string{"XDG_CONFIG_HOME": "/c", "HOME": "/h"}, "/c/oob/config.yaml", false},
		"relative xdg": {map[string]string{"XDG_CONFIG_HOME": "c", "HOME": "/h"}, "/h/.config/oob/config.yaml", false},
		"home":         {map[string]string{"HOME": "/h"}, "/h/.config/oob/config.yaml", false},
		"no home":      {nil, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			if path, named := Path(env(tt.env)); path != tt.want || named != tt.named {
				t.Errorf("got %q, %v", path, named)
			}
		})
	}
}

func TestParse(t *testing.T) {
	const text = `# my endpoint
endpoint: https://oob.example:8092
token-file: token
fingerprint: SHA256:00ff
defaults:
  batch: 8
  pause: 1m30s
  max-failures: "2"
  timeout: 12.5
`
	f, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := &File{
		Endpoint: "https://oob.example:8092", TokenFile: "token", Fingerprint: "SHA256:00ff",
		Defaults: map[string]string{"batch": "8", "pause": "1m30s", "max-failures": "2", "timeout": "12.5"},
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Error(diff)
	}
	for _, empty := range []string{"", "# nothing\n", "---\n", "defaults:\n"} {
		if f, err := Parse([]byte(empty)); err != nil || len(f.Defaults) > 0 || f.Endpoint != "" {
			t.Errorf("%q: %+v, %v", empty, f, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const settings = "; there are socket, endpoint, token, token-file, ca-file, fingerprint, and below defaults parallel, timeout, batch, pause, max-failures"
	for name, tt := range map[string]struct{ text, want string }{
		"unknown key":         {"endpoint: https://a\nendpiont: x\n", `line 2: "endpiont" is not a setting` + settings},
		"unknown default":     {"defaults:\n  batch: 1\n\n  yes: true\n", `line 4: "yes" is not a setting` + settings},
		"default at the top":  {"batch: 8\n", `line 1: "batch" is not a setting` + settings},
		"key twice":           {"token: s3cr3t-1\ntoken: s3cr3t-2\n", `line 2: "token" is set already`},
		"list":                {"- endpoint\n", "line 1: not settings of the form KEY: VALUE"},
		"text":                {"s3cr3t-1\n", "line 1: not settings of the form KEY: VALUE"},
		"defaults no map":     {"\ndefaults: 7\n", "line 2: not settings of the form KEY: VALUE"},
		"nested value":        {"token: {s3cr3t-1: a}\n", "token must be one value"},
		"nested default":      {"defaults: {batch: [1, 2]}\n", "batch must be one value"},
		"not YAML":            {"endpoint: [\n", "line 1: did not find expected node content"},
		"tab":                 {"defaults:\n\tbatch: 1\n", "line 2: found character that cannot start any token"},
		"socket and endpoint": {"socket: s\nendpoint: e\n", "socket and endpoint exclude each other"},
		"two tokens":          {"token: s3cr3t-1\ntoken-file: f\n", "token and token-file exclude each other"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Parse([]byte(tt.text))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %+v, %v\nwant %s", f, err, tt.want)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Run("paths are beside the file", func(t *testing.T) {
		path := write("a.yaml", "socket: s\nca-file: sub/ca.pem\ntoken-file: /abs/token\n", 0o644)
		f, err := Load(env(map[string]string{"OOB_CONFIG": path}))
		want := &File{Path: path, Socket: filepath.Join(dir, "s"), CAFile: filepath.Join(dir, "sub/ca.pem"), TokenFile: "/abs/token", Defaults: map[string]string{}}
		if err != nil || cmp.Diff(want, f) != "" {
			t.Errorf("got %+v, %v", f, err)
		}
	})
	t.Run("a token is private", func(t *testing.T) {
		for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o620: false} {
			path := write("token.yaml", "token: s3cr3t\n", mode)
			f, err := Load(env(map[string]string{"OOB_CONFIG": path}))
			if ok != (err == nil) || ok && f.Token != "s3cr3t" {
				t.Errorf("mode %o: %+v, %v", mode, f, err)
			}
			if err != nil && (!strings.Contains(err.Error(), "chmod 0600") || strings.Contains(err.Error(), "s3cr3t")) {
				t.Error(err)
			}
		}
	})
	t.Run("absent", func(t *testing.T) {
		if f, err := Load(env(map[string]string{"HOME": dir})); err != nil || f.Path != "" {
			t.Errorf("got %+v, %v", f, err)
		}
		if f, err := Load(env(nil)); err != nil || f.Path != "" {
			t.Errorf("got %+v, %v", f, err)
		}
	})
	for name, path := range map[string]string{
		"absent though named": filepath.Join(dir, "nope"),
		"a directory":         dir,
		"too large":           write("large.yaml", strings.Repeat("#", maxFile+1), 0o600),
		"broken":              write("broken.yaml", "x: 1\n", 0o600),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(env(map[string]string{"OOB_CONFIG": path}))
			if model.KindOf(err) != model.Invalid || !strings.HasPrefix(model.AsError(err).Text(), "cannot use configuration file "+path+": ") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("endpoint: https://a\ndefaults: {batch: 3}\n"))
	f.Add([]byte("token: s3cr3t-token\ntoken: again\n"))
	f.Add([]byte("a: &a [*a, *a]\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := Parse(raw)
		if err == nil && file.Socket != "" && file.Endpoint != "" {
			t.Errorf("both of %+v", file)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of several lines: %q", err)
		}
	})
}
