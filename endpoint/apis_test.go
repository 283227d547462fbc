package endpoint

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"provision-plugins/endpoint/auth"
	"provision-plugins/shared/model"
)

// What a caller sends below /plugin-apis/ reaches the plugin as it is, but for
// the caller's credentials.
func TestAPluginsOwnAPI(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	for _, path := range []string{"/plugin-apis/toy", "/plugin-apis/toy/", "/plugin-apis/toy/a//b/../c%2Fd/?x=1&y=%20z"} {
		resp, raw := r.ask("PUT", path, r.e.token, "body")
		want := "PUT " + path + " by user:" + adminName
		if resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(raw), want) || !strings.Contains(string(raw), "plugins:console:toy") {
			t.Errorf("%s: %d %s, want %s", path, resp.StatusCode, raw, want)
		}
		if strings.Contains(string(raw), "Authorization") || strings.Contains(string(raw), "X-Oob") {
			t.Errorf("%s: the plugin sees %s", path, raw)
		}
	}
	resp, raw := r.ask("GET", "/plugin-apis/nobody/x", r.e.token, "")
	if resp.StatusCode != http.StatusNotFound || !strings.Contains(string(raw), `"Key":"nobody"`) {
		t.Errorf("of nobody: %d %s", resp.StatusCode, raw)
	}
	if resp, raw := r.ask("GET", "/plugin-apis/../api/v3/machines", r.e.token, ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a way around: %d %s", resp.StatusCode, raw)
	}
}

// Who may not reach consoles does not reach the plugin.
func TestAPluginsOwnAPINeedsAClaim(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	for _, c := range []struct {
		name   string
		token  string
		status int
	}{
		{"nobody", "", http.StatusUnauthorized},
		{"a viewer", r.e.sup.tokens.issue("viewer", readerGrant()), http.StatusForbidden},
		{"of another plugin", r.e.sup.tokens.issue("other", auth.Grant{{{Scope: "plugins", Action: "console", Specific: "else"}}}), http.StatusForbidden},
		{"with the claim", r.e.sup.tokens.issue("console", auth.Grant{{{Scope: "plugins", Action: "console", Specific: "toy"}}}), http.StatusOK},
	} {
		resp, raw := r.ask("GET", "/plugin-apis/toy/x", c.token, "")
		if resp.StatusCode != c.status {
			t.Errorf("%s: %d %s", c.name, resp.StatusCode, raw)
		}
		if c.status == http.StatusOK && !strings.Contains(string(raw), "who may plugins:console:toy\n") {
			t.Errorf("%s: told as %s", c.name, raw)
		}
	}
}

func TestAPluginsOwnWebsocket(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	d := websocket.Dialer{NetDialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", r.e.Socket())
	}}
	conn, resp, err := d.DialContext(t.Context(), "ws://unix/plugin-apis/toy/console?token=not-for-the-plugin", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	defer conn.Close()
	for _, text := range []string{"one", strings.Repeat("x", 100_000)} {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.ReadMessage(); err != nil || !strings.HasPrefix(string(got), "user:") || !strings.HasSuffix(string(got), " said "+text) {
			t.Fatalf("heard %.80q, %v", got, err)
		}
	}
}

// While its plugin is away an API says so.
func TestTheAPIOfABrokenPlugin(t *testing.T) {
	t.Parallel()
	r := newRig(t, "needy")
	r.start()
	eventually(t, "param missed", func() bool { return strings.Contains(r.pluginErrors("needy"), "missing param") })
	resp, raw := r.ask("GET", "/plugin-apis/needy/x", r.e.token, "")
	if resp.StatusCode != model.Unreachable.Info().Status || !strings.Contains(string(raw), "missing param needy/key") {
		t.Errorf("%d %s", resp.StatusCode, raw)
	}
}
