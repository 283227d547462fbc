package main

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"provision-plugins/shared/model"
)

// askingCommands are command lines that ask the endpoint for something.
var askingCommands = []string{
	"power on m1", "power off m1 --yes", "power soft m1 --yes", "power cycle m1 --yes", "power reset m1 --yes", "power nmi m1 --yes",
	"power status m1", "power status --all", "power status @rack", "power status --filter a=b", "power status m[1-40]",
	"boot pxe m1", "boot disk --always m1", "boot cd m1", "boot bios m1", "boot status m1",
	"action getInfo m1", "action pause m1", "plugin action slack status",
	"status m1", "identify m1", "power cycle m1 --dry-run", "power status m1 --param a/b=1",
	"machine add m1 --driver ipmi", "machine add m1 --param a/b=1", "machine list", "machine show m1",
	"machine set m1 a/b=1", "machine set m1 --unset a/b", "machine remove m1 --yes",
	"plugin list", "plugin show ipmi", "plugin add ipmi a/b=1", "plugin set ipmi a/b=1", "plugin remove ipmi --yes",
	"machine set m1 --add-profile p", "plugin trust ipmi --yes", "plugin trust ipmi --revoke --yes", "plugin delegate slack --yes", "plugin delegate slack --revoke --yes",
	"contents list", "contents show x", "contents remove x --yes", "param list", "param show a/b",
	"profile list", "profile show p", "profile add p a/b=1", "profile set p a/b=1", "profile remove p --yes",
	"user list", "user add ada --role viewer", "user roles", "user roles ada", "user roles ada viewer", "user remove ada --yes",
	"token create ada", "token list", "token list ada", "token revoke ada --all", "token revoke ada 1", "export", "export m1 --secrets", "export @rack --format csv",
	"runs show r1 --log", "runs show r1 -f", "runs cancel r1",
	"runs", "runs list", "runs show r1", "runs --machine m1", "events", "events -f", "version --with-endpoint",
}

// httpOn serves a handler on a unix socket.
func httpOn(t *testing.T, h http.Handler) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: ln, Config: &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}}
	srv.Start()
	t.Cleanup(srv.Close)
	return socket
}

// runLine runs a command line and returns what it printed and its exit code.
func runLine(ctx context.Context, line string) (stdout, stderr string, code int) {
	a, out, errs := testApp("")
	code = run(ctx, a, strings.Fields(line))
	return out.String(), errs.String(), code
}

// TestEveryCommandReportsTheEndpointsFailure runs every command against
// endpoints that fail: each failure is one line, with its exit code, and
// nothing else is printed.
func TestEveryCommandReportsTheEndpointsFailure(t *testing.T) {
	answer := func(status int, body string) string {
		return httpOn(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
	}
	endpoints := []struct {
		name, socket string
		kind         model.Kind
		text         string
	}{
		{"absent", filepath.Join(t.TempDir(), "none"), model.Unreachable, "is `oob serve` running?"},
		{"refuses", answer(403, `{"Type":"forbidden","Messages":["Access Denied: the role viewer may not"],"Code":403}`), model.Forbidden, "Access Denied: the role viewer may not"},
		{"broken", answer(500, `<html>`), model.Internal, "answered 500 Internal Server Error"},
		{"full", answer(507, `{"Type":"","Messages":["the store is full"],"Code":507}`), model.Internal, "the store is full"},
		{"hangs up", httpOn(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })), model.Unreachable, "cannot reach endpoint"},
	}
	for _, e := range endpoints {
		t.Run(e.name, func(t *testing.T) {
			for _, line := range askingCommands {
				stdout, stderr, code := runLine(t.Context(), line+" --socket "+e.socket)
				if strings.HasPrefix(line, "version") {
					stdout = "" // its own version comes first
				}
				want := e.kind.Info().Exit
				if e.name == "hangs up" && code == model.UnknownOutcome.Info().Exit {
					want = code // what was sent may have been done
				}
				if code != want || stdout != "" {
					t.Errorf("%s: exit code %d, want %d; printed %q", line, code, want, stdout)
				}
				if strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, e.text) && code == e.kind.Info().Exit {
					t.Errorf("%s: printed %q, want one line with %q", line, stderr, e.text)
				}
			}
		})
	}
}

// TestEveryCommandOnGarbage runs every command against endpoints that answer
// JSON of every wrong type.
func TestEveryCommandOnGarbage(t *testing.T) {
	for _, body := range []string{``, `null`, `[]`, `{}`, `5`, `"x"`, `[null]`, `[5]`, `{"a":`, "\xff"} {
		socket := httpOn(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		for _, line := range askingCommands {
			ctx, cancel := context.WithCancel(t.Context())
			if strings.HasPrefix(line, "plugin add") || strings.HasPrefix(line, "plugin set") {
				cancel() // they would wait for a plugin that never comes
			}
			_, stderr, code := runLine(ctx, line+" --socket "+socket)
			cancel()
			if code != 0 && strings.TrimSpace(stderr) == "" {
				t.Errorf("%s on %s: exit code %d without a word", line, body, code)
			}
			if code == 0 && !json.Valid([]byte(body)) && body != "" && !strings.HasPrefix(line, "machine remove") && !strings.HasPrefix(line, "plugin remove") {
				t.Errorf("%s on %s: success", line, body)
			}
		}
	}
}

// leaves calls fn for every command that does something.
func leaves(cmd *cobra.Command, fn func(*cobra.Command)) {
	if !cmd.HasSubCommands() {
		fn(cmd)
	}
	for _, sub := range cmd.Commands() {
		leaves(sub, fn)
	}
}

// TestEveryCommandIsDescribed wants a line of help for every command and flag,
// no capital at the start of a flag's, and a name for what a flag takes.
func TestEveryCommandIsDescribed(t *testing.T) {
	a, _, _ := testApp("")
	leaves(newRootCommand(a), func(cmd *cobra.Command) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short help is %q", cmd.CommandPath(), cmd.Short)
		}
		usage := cmd.LocalFlags().FlagUsages()
		for line := range strings.Lines(usage) {
			if !strings.Contains(strings.TrimSpace(line), "   ") {
				t.Errorf("%s: a flag has no help: %s", cmd.CommandPath(), line)
			}
		}
		stdout, stderr, code := runLine(t.Context(), strings.TrimPrefix(cmd.CommandPath(), "oob ")+" --help")
		if code != 0 || stderr != "" || !strings.Contains(stdout, "Usage:") {
			t.Errorf("%s --help: exit code %d, %s", cmd.CommandPath(), code, stderr)
		}
		_, stderr, code = runLine(t.Context(), strings.TrimPrefix(cmd.CommandPath(), "oob ")+" --no-such-flag")
		if code != 2 || stderr != "Error: unknown flag: --no-such-flag; see `"+cmd.CommandPath()+" --help`\n" {
			t.Errorf("%s --no-such-flag: exit code %d, %s", cmd.CommandPath(), code, stderr)
		}
	})
}

func TestGroupsPrintTheirHelp(t *testing.T) {
	for _, group := range []string{"", "power", "boot", "machine", "plugin", "sim"} {
		stdout, stderr, code := runLine(t.Context(), group)
		if code != 0 || stderr != "" || !strings.Contains(stdout, "Available Commands:") {
			t.Errorf("%q: exit code %d, %s", group, code, stderr)
		}
	}
}

func TestConnect(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join("/home", "op")
	fromHome := "/var/lib/oob/oob.sock"
	if os.Geteuid() != 0 {
		fromHome = filepath.Join(home, ".local", "state", "oob", "oob.sock")
	}
	tests := []struct {
		name  string
		flags globalFlags
		env   map[string]string
		where string
	}{
		{"nothing given", globalFlags{}, map[string]string{"HOME": home}, fromHome},
		{"socket in the environment", globalFlags{}, map[string]string{"OOB_SOCKET": "/run/s"}, "/run/s"},
		{"endpoint in the environment", globalFlags{}, map[string]string{"OOB_ENDPOINT": "https://h:1"}, "https://h:1"},
		{"socket before endpoint", globalFlags{}, map[string]string{"OOB_SOCKET": "/run/s", "OOB_ENDPOINT": "https://h:1"}, "/run/s"},
		{"flag before environment", globalFlags{endpoint: "https://h:2"}, map[string]string{"OOB_SOCKET": "/run/s"}, "https://h:2"},
		{"socket flag", globalFlags{socket: "/run/t"}, map[string]string{"OOB_ENDPOINT": "https://h:1"}, "/run/t"},
		{"token file", globalFlags{endpoint: "https://h:2", tokenFile: token}, nil, "https://h:2"},
	}
	for _, tt := range tests {
		a, _, _ := testApp("")
		a.flags, a.getenv = tt.flags, func(name string) string { return tt.env[name] }
		c, err := a.connect()
		if err != nil || c.Where() != tt.where {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.where)
		}
	}
}

func TestTokenIsSent(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got string
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		_, _ = io.WriteString(w, "[]")
	}))
	defer srv.Close()
	for _, tt := range []struct{ args, env, want string }{
		{"", "from-env", "Bearer from-env"},
		{" --token-file " + token, "from-env", "Bearer from-file"},
		{"", "", ""},
	} {
		a, _, stderr := testApp("")
		a.getenv = func(name string) string { return map[string]string{"OOB_TOKEN": tt.env}[name] }
		if code := run(t.Context(), a, strings.Fields("runs --endpoint "+srv.URL+tt.args)); code != 0 || got != tt.want {
			t.Errorf("%+v: sent %q, exit code %d, %s", tt, got, code, stderr)
		}
	}
}
