package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// TestUsage gives commands what cannot be meant: each is one line and exit code
// 2, and nothing is sent.
func TestUsage(t *testing.T) {
	asked := 0
	socket := httpOn(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			asked++
		}
		if r.URL.Path == "/api/v3/users/ada/tokens" {
			_, _ = io.WriteString(w, `[{"ID":"abc","User":"ada"},{"ID":"abd","User":"ada"}]`)
			return
		}
		_, _ = io.WriteString(w, `{}`)
	}))
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty, text := file("empty", ""), file("text", "just text\n")
	for line, want := range map[string]string{
		"power on m1 --yes --batch -1":                      "--batch must be at least 1, not -1; 0 means no batches",
		"power on m1 --yes --pause 1s":                      "--pause is between batches: give --batch N too",
		"power on m1 --yes --max-failures -1":               "--max-failures must be at least 1, not -1; 0 means no bound",
		"machine set m1":                                    "nothing to set: give k=v, --param-file k=FILE, --unset k, --add-profile P or --remove-profile P",
		"machine set m1 --add-profile p --remove-profile p": "profile p is to be added and removed",
		"profile add":                                       "oob profile add takes the NAME of one profile, then k=v, not 0 arguments",
		"profile add a b":                                   `want one profile, not "a b"`,
		"profile add a my/password=x":                       "param my/password is secret and cannot stand on a command line; give --param-file my/password=FILE",
		"profile set a":                                     "nothing to set: give k=v, --param-file k=FILE or --unset k",
		"profile remove a":                                  "profile remove 1 profile: a: --yes is required without a terminal",
		"user add ada --password-file " + empty:             "--password-file: cannot read the secret in " + empty + ": it is empty",
		"user password ada":                                 "no password: give --password-file FILE, or ask on a terminal",
		"user roles --none":                                 "--none takes the NAME of one user",
		"user roles ada viewer --none":                      "--none takes the NAME of one user",
		"user remove ada":                                   "user remove 1 user: ada: --yes is required without a terminal",
		"token create":                                      "oob token create takes the name of one USER, not 0 arguments",
		"token create ada --ttl -1h":                        "--ttl must be at least 1s, not -1h0m0s",
		"token create ada --out " + text:                    "--out: open " + text + ": file exists",
		"token revoke ada":                                  "give IDs of tokens, or --all; `oob token list` lists them",
		"token revoke ada abc --all":                        "give IDs of tokens, or --all; `oob token list` lists them",
		"token revoke ada ab":                               "more than one token begins with ab: give more of the ID",
		"contents remove x":                                 "contents remove 1 layer: x: --yes is required without a terminal",
		"contents upload " + dir + "/none":                  "cannot read bundle " + dir + "/none: no such file or directory",
		"plugin upload " + dir + " --yes":                   "cannot upload: " + dir + " is not a regular file",
		"plugin upload " + empty + " --yes":                 "cannot upload: " + empty + " is empty",
		"plugin upload " + text + " --yes":                  "cannot upload: " + text + " is not a program",
		"plugin upload " + text + " --name ../x --yes":      `"../x" cannot be a plugin's name; give --name`,
		"plugin upload " + dir + "/none --yes":              "cannot upload: open " + dir + "/none: no such file or directory",
		"plugin trust x":                                    "plugin trust 1 plugin: x: --yes is required without a terminal",
		"plugin delegate x":                                 "plugin delegate 1 plugin: x: --yes is required without a terminal",
		"plugin trust x --revoke":                           "plugin trust --revoke 1 plugin: x: --yes is required without a terminal",
		"export --format xml":                               `--format must be yaml or csv, not "xml"`,
		"export m1 --all":                                   "name machines, or give --all or --filter, not both",
		"import " + dir + "/none":                           "cannot read machines: open " + dir + "/none: no such file or directory",
		"import " + text + " --format ini":                  `--format must be yaml or csv, not "ini"`,
		"import " + text + " -j 0":                          "--parallel must be 1..4096, not 0",
		"import " + text + " --pause 1s":                    "--pause is between batches: give --batch N too",
		"import " + text:                                    "cannot read machines: want a list under the key machines, and nothing else at the top",
		"import " + empty:                                   "cannot read machines: empty: there is no object in it",
		"import " + empty + " --format csv":                 "cannot read inventory: it is empty; its first row names the columns, such as name,address,username,password-file",
		"import " + text + " --driver ipmi":                 "--driver is for the rows of a CSV; in YAML it is the param oob/driver",
		"param show":                                        "oob param show takes the NAME of one param, not 0 arguments",
		"runs cancel":                                       "oob runs cancel takes the ID of one run, not 0 arguments",
		"config now":                                        "oob config takes no arguments, not 1 argument",
	} {
		t.Run(line, func(t *testing.T) {
			stdout, stderr, code := runLine(t.Context(), line+" --socket "+socket)
			if code != 2 || stdout != "" || stderr != "Error: "+want+"\n" {
				t.Errorf("exit code %d, printed %q and %q, want %q", code, stdout, stderr, want)
			}
		})
	}
	if asked != 0 {
		t.Errorf("%d changes were asked for", asked)
	}
}

// forbidding is an endpoint that lets nobody see secrets.
func forbidding(t *testing.T, machine string, patched *[]string) string {
	return httpOn(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		switch {
		case err != nil:
			w.WriteHeader(http.StatusBadRequest)
		case r.Method == http.MethodPatch:
			*patched = append(*patched, string(raw))
			_, _ = io.WriteString(w, machine)
		case r.URL.Query().Get("decode") == "true":
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"Type":"forbidden","Messages":["may not: machines getSecure"]}`)
		case strings.HasSuffix(r.URL.Path, "/machines"):
			_, _ = io.WriteString(w, "["+machine+"]")
		default:
			_, _ = io.WriteString(w, machine)
		}
	}))
}

// TestImportByWhoMayNotSeeSecrets sets the secrets of the file again, and nothing
// else that is so already.
func TestImportByWhoMayNotSeeSecrets(t *testing.T) {
	var patched []string
	socket := forbidding(t, `{"Name":"m1","Uuid":"u1","Params":{"a/port":623,"a/password":"******"}}`, &patched)
	path := filepath.Join(t.TempDir(), "f.yaml")
	for _, tt := range []struct{ text, want, sent string }{
		{"machines: [{Name: m1, Params: {a/port: 623}}]", "m1: unchanged\n", ""},
		{
			"machines: [{Name: m1, Params: {a/port: 623, a/password: s3cr3t}}]", "m1: updated: a/password\n",
			`[{"op":"add","path":"/Params/a~1password","from":"","value":"s3cr3t"}]`,
		},
	} {
		patched = nil
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		stdout, stderr, code := runLine(t.Context(), "import "+path+" --yes --socket "+socket)
		if code != 0 || stdout != tt.want || stderr != "" || strings.Join(patched, "") != tt.sent {
			t.Errorf("exit code %d, printed %q and %q, sent %q", code, stdout, stderr, patched)
		}
	}
}

// TestExportByWhoMayNotSeeSecrets leaves no file behind when it is refused.
func TestExportByWhoMayNotSeeSecrets(t *testing.T) {
	var patched []string
	socket := forbidding(t, `{"Name":"m1","Uuid":"u1","Runnable":true,"Params":{"a/password":"******"}}`, &patched)
	dir := t.TempDir()
	stdout, stderr, code := runLine(t.Context(), "export --secrets --out "+dir+"/f.yaml --socket "+socket)
	if code != model.Forbidden.Info().Exit || stdout != "" || !strings.Contains(stderr, "getSecure") {
		t.Errorf("exit code %d, printed %q and %q", code, stdout, stderr)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	stdout, stderr, code = runLine(t.Context(), "export --socket "+socket)
	if code != 0 || stdout != "machines:\n- Name: m1\n  Uuid: u1\n" || stderr != "1 secret left out; --secrets exports them, if you may\n" {
		t.Errorf("exit code %d, printed %q and %q", code, stdout, stderr)
	}
}

// TestTokenIsNotLost keeps no file for a token that did not come.
func TestTokenIsNotLost(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		code   int
	}{
		"refused":  {403, `{"Type":"forbidden","Messages":["no"]}`, 7},
		"no token": {200, `{"Token":""}`, 11},
		"garbage":  {200, `{`, 11},
	} {
		t.Run(name, func(t *testing.T) {
			socket := httpOn(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			out := filepath.Join(t.TempDir(), "token")
			stdout, stderr, code := runLine(t.Context(), "token create ada --out "+out+" --socket "+socket)
			if code != tt.code || stdout != "" || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, printed %q and %q", code, stdout, stderr)
			}
			if _, err := os.Stat(out); !os.IsNotExist(err) {
				t.Errorf("a file is there: %v", err)
			}
		})
	}
}

// TestWriteOut replaces a file in one step, and leaves nothing else.
func TestWriteOut(t *testing.T) {
	a, stdout, _ := testApp("")
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write := func(text string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		}
	}
	for _, private := range []bool{false, true, false} {
		if err := a.writeOut(path, private, write("new")); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || (info.Mode().Perm() == 0o600) != private {
			t.Errorf("private %v: mode %v, %v", private, info.Mode(), err)
		}
	}
	if err := a.writeOut(path, false, func(io.Writer) error { return io.ErrShortWrite }); err == nil {
		t.Error("a file that was not written is no error")
	}
	raw, err := os.ReadFile(path)
	if err != nil || string(raw) != "new" {
		t.Errorf("the file holds %q, %v", raw, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left %v, %v", left, err)
	}
	if err := a.writeOut("", true, write("out")); err != nil || stdout.String() != "out" {
		t.Errorf("printed %q, %v", stdout, err)
	}
}
