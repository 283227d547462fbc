package main

import (
	"strings"
	"testing"

	"provision-plugins/oob/config"
	"provision-plugins/shared/model"
)

// withEnv is an app with an environment and a configuration file.
func withEnv(env map[string]string, file *config.File) *app {
	a, _, _ := testApp("")
	a.getenv = func(name string) string { return env[name] }
	a.config = file
	if file == nil {
		a.config = &config.File{}
	}
	return a
}

// TestConnection checks what comes first, and that what belongs to one endpoint
// goes to no other.
func TestConnection(t *testing.T) {
	file := &config.File{Path: "f", Endpoint: "https://a", Token: "file-token", CAFile: "file-ca", Fingerprint: "file-pin"}
	general := &config.File{Path: "f", TokenFile: "file-token-file"}
	for name, tt := range map[string]struct {
		flags globalFlags
		env   map[string]string
		file  *config.File
		want  string
	}{
		"nothing":                    {globalFlags{}, map[string]string{"HOME": "/h"}, nil, "/oob/oob.sock"},
		"file":                       {globalFlags{}, nil, file, "https://a file-token file-ca file-pin"},
		"file, and a flag":           {globalFlags{caFile: "ca"}, nil, file, "https://a file-token ca file-pin"},
		"file's socket":              {globalFlags{}, nil, &config.File{Socket: "s"}, "s"},
		"environment before file":    {globalFlags{}, map[string]string{"OOB_SOCKET": "s"}, file, "s"},
		"another endpoint":           {globalFlags{}, map[string]string{"OOB_ENDPOINT": "https://b"}, file, "https://b"},
		"another endpoint by flag":   {globalFlags{endpoint: "https://b"}, nil, file, "https://b"},
		"the same endpoint by flag":  {globalFlags{endpoint: "https://a"}, nil, file, "https://a file-token file-ca file-pin"},
		"a file of no endpoint":      {globalFlags{endpoint: "https://b"}, nil, general, "https://b file-token-file"},
		"flag before environment":    {globalFlags{socket: "s"}, map[string]string{"OOB_ENDPOINT": "https://b"}, nil, "s"},
		"socket before endpoint":     {globalFlags{}, map[string]string{"OOB_SOCKET": "s", "OOB_ENDPOINT": "https://b"}, nil, "s"},
		"token of the environment":   {globalFlags{}, map[string]string{"OOB_TOKEN": "env"}, file, "https://a env file-ca file-pin"},
		"token file before that":     {globalFlags{tokenFile: "flag-file"}, map[string]string{"OOB_TOKEN": "env"}, file, "https://a flag-file file-ca file-pin"},
		"environment's other values": {globalFlags{}, map[string]string{"OOB_TOKEN_FILE": "tf", "OOB_CA_FILE": "ca", "OOB_FINGERPRINT": "pin"}, file, "https://a tf ca pin"},
	} {
		t.Run(name, func(t *testing.T) {
			a := withEnv(tt.env, tt.file)
			a.flags = tt.flags
			c, err := a.connection()
			var got []string
			for _, s := range []setting{c.socket, c.endpoint, c.token, c.tokenFile, c.caFile, c.fingerprint} {
				if s.value != "" {
					got = append(got, s.value)
				}
			}
			if text := strings.Join(got, " "); err != nil || !strings.HasSuffix(text, tt.want) || text == "" {
				t.Errorf("got %q, %v; want %q", text, err, tt.want)
			}
		})
	}
	a := withEnv(nil, nil)
	a.flags = globalFlags{socket: "s", endpoint: "https://b"}
	if _, err := a.connection(); model.KindOf(err) != model.Invalid {
		t.Errorf("both of a socket and an endpoint: got %v", err)
	}
}

func TestLastTarget(t *testing.T) {
	for word, want := range map[string][2]string{
		"":             {"", ""},
		"a":            {"", "a"},
		"a,b":          {"a,", "b"},
		"a,":           {"a,", ""},
		"r[1,2]n,x":    {"r[1,2]n,", "x"},
		"r[1,2":        {"", "r[1,2"},
		"a,r[1,2]n[3,": {"a,", "r[1,2]n[3,"},
		"@p,@q":        {"@p,", "@q"},
	} {
		if before, last := lastTarget(word); before != want[0] || last != want[1] {
			t.Errorf("%q: got %q, %q", word, before, last)
		}
	}
}

func TestPickToken(t *testing.T) {
	list := []model.TokenInfo{{ID: "abc"}, {ID: "abd"}, {ID: "x"}, {ID: "xy"}}
	for id, want := range map[string]string{"abc": "abc", "abd": "abd", "x": "x", "xy": "xy"} {
		if got, err := pickToken(list, id); err != nil || got.ID != want {
			t.Errorf("%s: got %v, %v", id, got, err)
		}
	}
	for id, kind := range map[string]model.Kind{"ab": model.Invalid, "q": model.NotFound, "": model.NotFound} {
		if got, err := pickToken(list, id); model.KindOf(err) != kind {
			t.Errorf("%q: got %v, %v", id, got, err)
		}
	}
}

func TestCleanLines(t *testing.T) {
	var out strings.Builder
	w := &cleanLines{out: &out}
	for _, piece := range []string{"one\ntw", "o \x1b[2J\n", "", "\n", "three"} {
		if n, err := w.Write([]byte(piece)); err != nil || n != len(piece) {
			t.Errorf("wrote %d of %q, %v", n, piece, err)
		}
	}
	if err := w.end(); err != nil || out.String() != "one\ntwo ?[2J\n\nthree\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	if err := w.end(); err != nil {
		t.Error(err)
	}
	out.Reset()
	// A line without end does not grow without end.
	for range 3 {
		if _, err := w.Write([]byte(strings.Repeat("x", maxLogLine))); err != nil || len(w.rest) != 0 {
			t.Errorf("%d bytes are kept, %v", len(w.rest), err)
		}
	}
	if got := strings.Count(out.String(), "\n"); got != 3 {
		t.Errorf("%d lines", got)
	}
}

func TestProfileEdit(t *testing.T) {
	now := []string{"a", "b"}
	for name, tt := range map[string]struct {
		edit profileEdit
		want []string
	}{
		"add":          {profileEdit{add: []string{"c"}}, []string{"a", "b", "c"}},
		"has it":       {profileEdit{add: []string{"b"}}, nil},
		"remove":       {profileEdit{remove: []string{"a"}}, []string{"b"}},
		"has it not":   {profileEdit{remove: []string{"z"}}, nil},
		"both":         {profileEdit{add: []string{"c"}, remove: []string{"b"}}, []string{"a", "c"}},
		"none":         {profileEdit{}, nil},
		"the same one": {profileEdit{add: []string{"c", "c"}}, []string{"a", "b", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			ops := tt.edit.ops(now)
			if tt.want == nil && len(ops) == 0 {
				return
			}
			got, _ := ops[len(ops)-1].Value.([]string)
			if len(ops) != 2 || ops[0].Op != "test" || strings.Join(got, " ") != strings.Join(tt.want, " ") {
				t.Errorf("got %+v", ops)
			}
		})
	}
}
