package plugin

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// judge is a plugin whose definition is what a function says.
type judge struct {
	Base
	validate func(ctx context.Context, c *client.Client) (*model.PluginProvider, error)
}

// Config takes everything.
func (judge) Config(context.Context, *client.Client, model.Params) error { return nil }

// Validate asks the function.
func (j judge) Validate(ctx context.Context, c *client.Client) (*model.PluginProvider, error) {
	return j.validate(ctx, c)
}

// definedBy runs define with a function as the Validator.
func definedBy(t *testing.T, validate func(context.Context, *client.Client) (*model.PluginProvider, error)) (string, error) {
	t.Helper()
	p := newProgram("judged", "v2", &model.PluginProvider{Documentation: "as built"}, judge{validate: validate})
	p.timing = fastTiming()
	cmd := p.command("x")
	var out strings.Builder
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs([]string{"define"})
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestValidatorReplacesTheDefinition(t *testing.T) {
	out, err := definedBy(t, func(context.Context, *client.Client) (*model.PluginProvider, error) {
		return &model.PluginProvider{Documentation: "as found"}, nil
	})
	if err != nil || !strings.Contains(out, `"as found"`) || !strings.Contains(out, `"Name": "judged"`) || !strings.Contains(out, `"PluginVersion": 4`) {
		t.Errorf("%v %s", err, out)
	}
	out, err = definedBy(t, func(context.Context, *client.Client) (*model.PluginProvider, error) { return nil, nil })
	if err != nil || !strings.Contains(out, `"as built"`) {
		t.Errorf("%v %s", err, out)
	}
}

func TestValidatorAsksTheEndpoint(t *testing.T) {
	for token, want := range map[string]string{"": "", "tok": "Bearer tok"} {
		t.Setenv(EnvToken, token)
		t.Setenv(EnvLocalProxy, serverSocket(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			writeReply(w, http.StatusOK, r.Header.Get("Authorization"))
		})}))
		got := "nothing"
		_, err := definedBy(t, func(ctx context.Context, c *client.Client) (*model.PluginProvider, error) {
			return nil, c.Get(ctx, "info", &got)
		})
		if err != nil || got != want {
			t.Errorf("token %q: endpoint saw %q, error %v", token, got, err)
		}
	}
}

func TestCatalogSkipsTheValidator(t *testing.T) {
	t.Setenv(EnvToken, "catalog")
	out, err := definedBy(t, func(context.Context, *client.Client) (*model.PluginProvider, error) {
		t.Error("it was called")
		return nil, nil
	})
	if err != nil || !strings.Contains(out, `"as built"`) {
		t.Errorf("%v %s", err, out)
	}
}

func TestValidatorFails(t *testing.T) {
	refuse := func(context.Context, *client.Client) (*model.PluginProvider, error) {
		return nil, model.Errorf(model.Invalid, "the endpoint is too old").On("plugin", "judged")
	}
	hang := func(ctx context.Context, _ *client.Client) (*model.PluginProvider, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	broken := func(context.Context, *client.Client) (*model.PluginProvider, error) { panic("oh\nno") }
	for name, c := range map[string]struct {
		endpoint string
		validate func(context.Context, *client.Client) (*model.PluginProvider, error)
		want     string
	}{
		"refuses":      {"", refuse, "Error: invalid: plugin/judged: the endpoint is too old\n"},
		"hangs":        {"", hang, "Error: context deadline exceeded\n"},
		"panics":       {"", broken, "Error: cannot define judged: its Validate panicked: oh no\n"},
		"bad endpoint": {"ftp://x", refuse, "Error: cannot define judged: invalid: cannot use RS_ENDPOINT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(EnvEndpoint, c.endpoint)
			out, err := definedBy(t, c.validate)
			if err == nil || !strings.HasPrefix(out, c.want) {
				t.Errorf("%v %s", err, out)
			}
		})
	}
}

func TestLogLevel(t *testing.T) {
	for name, c := range map[string]struct {
		env  string
		args []string
		want slog.Level
	}{
		"default":           {"", nil, slog.LevelDebug},
		"flag":              {"", []string{"--log", "trace"}, slog.LevelDebug - 4},
		"short name":        {"", []string{"--log=ERR"}, slog.LevelError},
		"environment":       {"warn", nil, slog.LevelWarn},
		"flag before":       {"warn", []string{"--log", "info"}, slog.LevelInfo},
		"unknown by others": {"loud", nil, slog.LevelDebug},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(EnvLog, c.env)
			p := newProgram("x", "v1", &model.PluginProvider{}, plain{})
			cmd := p.command("x")
			cmd.SetOut(&strings.Builder{})
			cmd.SetArgs(append([]string{"version"}, c.args...))
			if err := cmd.Execute(); err != nil || p.level != c.want {
				t.Errorf("%v, error %v", p.level, err)
			}
		})
	}
	_, stderr, code := command(t, "", "define", "--log", "loud")
	if code != 1 || !strings.Contains(stderr, "the levels are trace, debug, info, warn, error, fatal, panic, audit") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// A request may have more logged than the plugin does, or less.
func TestRequestsLevelCountsBeforeThePlugins(t *testing.T) {
	r := newRig(t, func(r *rig) { r.program.level = slog.LevelWarn })
	r.post(t, pathAction, `{"Command":"increment"}`)
	r.post(t, pathAction, `{"Command":"increment"}`, "X-Log-Request", "loud")
	r.post(t, pathAction, `{"Command":"increment"}`, "X-Log-Request", "Info")
	r.host.await(t, "the action's line", func() bool { return len(r.host.lines) == 2 })
	want := "error Invalid requested log level loud\ninfo Action: increment pin=<nil>\n"
	if got := r.host.messages(); got != want {
		t.Errorf("log:\n%s", got)
	}
	r.twin.logger.Info("hidden")
	r.twin.logger.Warn("shown")
	r.host.await(t, "the warning", func() bool { return len(r.host.lines) == 3 })
	if got := r.host.messages(); got != want+"warn shown\n" {
		t.Errorf("log:\n%s", got)
	}
}

func TestListObjects(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.from = hostSocket(t, lister(func(prefix string) (string, error) {
			if prefix != "machines" {
				return "", model.Errorf(model.NotFound, "no prefix %s", prefix)
			}
			return `{"Name":"m1"}`, nil
		}))
	})
	list, err := r.twin.host.ListObjects(t.Context(), "machines")
	if err != nil || len(list) != 1 || string(list[0]) != `{"Name":"m1"}` {
		t.Errorf("%s, error %v", list, err)
	}
	_, err = r.twin.host.ListObjects(t.Context(), "a/../b?c")
	checkError(t, err, model.NotFound, "no prefix a/../b?c")
	garbage := newOutbound(serverSocket(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeReply(w, http.StatusOK, "no list")
	})}))
	defer garbage.close()
	if _, err := garbage.ListObjects(t.Context(), "machines"); err == nil || !strings.Contains(err.Error(), "cannot read the host's list of machines") {
		t.Errorf("error %v", err)
	}
}

func TestStateDir(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	given, named := filepath.Join(dir, "given"), filepath.Join(dir, "deep", "named")
	for name, c := range map[string]struct {
		env    string
		params model.Params
		want   string
		err    string
	}{
		"environment": {given, model.Params{"slack/state-dir": named}, given, ""},
		"param":       {"", model.Params{"slack/state-dir": named}, named, ""},
		"relative":    {"", model.Params{"slack/state-dir": "state"}, "", `cannot keep state in "state": give OOB_STATE_DIR or slack/state-dir an absolute path`},
		"in a file":   {filepath.Join(file, "x"), nil, "", "cannot keep state in " + file + "/x: mkdir"},
		"read-only":   {"/proc/self", nil, "", "cannot keep state in /proc/self: "},
		"no text":     {"", model.Params{"slack/state-dir": 7}, "", "slack/state-dir"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(EnvStateDir, c.env)
			got, err := StateDir("slack", c.params)
			if c.err != "" {
				checkError(t, err, model.Invalid, c.err)
				return
			}
			left, readErr := os.ReadDir(got)
			if err != nil || got != c.want || readErr != nil || len(left) != 0 {
				t.Errorf("%s with %v, error %v, %v", got, left, err, readErr)
			}
		})
	}
}
