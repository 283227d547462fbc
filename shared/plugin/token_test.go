package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// tokenEndpoint is an endpoint that takes some tokens, and counts who asks.
func tokenEndpoint(t testing.TB, takes func(token string) bool) *atomic.Int64 {
	t.Helper()
	asked := &atomic.Int64{}
	hs := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/api/v3/info" || !takes(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
			writeError(w, &model.Error{Type: "GET", Messages: []string{"no such token"}, Code: http.StatusUnauthorized})
			return
		}
		writeReply(w, http.StatusOK, map[string]string{})
	}))
	t.Cleanup(hs.Close)
	t.Setenv(EnvEndpoint, hs.URL)
	return asked
}

// foreign is a console under a host that signs nothing.
func foreign(t testing.TB) *rig {
	t.Helper()
	r := newRig(t, func(r *rig) {
		r.program = newProgram("console", "v1", &model.PluginProvider{}, console{})
		r.program.timing = fastTiming()
	})
	if status, _, body := send(t, r.client, "GET", "/plugin-apis/con/x", "", "Authorization", "Bearer good"); status != 404 {
		t.Errorf("before config: %d %s", status, body)
	}
	if status, body := r.post(t, pathConfig, `{"Name":"con"}`); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	return r
}

// Where no host vouches for principals, the endpoint's word on a token counts.
// These are all the answers.
func TestTokensAreConfirmedByTheEndpoint(t *testing.T) {
	asked := tokenEndpoint(t, func(token string) bool { return token == "good" })
	r := foreign(t)
	before := asked.Load()
	const refused = `{"Model":"","Key":"","Type":"forbidden","Messages":["cannot serve the request: %s"],"Code":%d}` + "\n"
	for name, c := range map[string]struct {
		path    string
		headers []string
		status  int
		body    string
	}{
		"good":           {"/plugin-apis/con/x", []string{"Authorization", "bearer good"}, 200, `GET /plugin-apis/con/x token [] true auth="" signed="" body=0 <nil>`},
		"bad":            {"/plugin-apis/con/x", []string{"Authorization", "Bearer bad"}, 403, fmt.Sprintf(refused, "the endpoint does not take its token", 403)},
		"none":           {"/plugin-apis/con/x", nil, 401, fmt.Sprintf(refused, "it has no token", 401)},
		"password":       {"/plugin-apis/con/x", []string{"Authorization", "Basic Z29vZDpnb29k"}, 401, fmt.Sprintf(refused, "it has no token", 401)},
		"in the query":   {"/plugin-apis/con/x?token=good", nil, 401, fmt.Sprintf(refused, "it has no token", 401)},
		"signed by none": {"/plugin-apis/con/x", []string{headerSignature, "00", headerPrincipal, "user:root"}, 401, fmt.Sprintf(refused, "it has no token", 401)},
		"not its name":   {"/plugin-apis/console/x", []string{"Authorization", "Bearer good"}, 404, `{"Model":"","Key":"/plugin-apis/console/x","Type":"GET","Messages":null,"Code":404}` + "\n"},
		"no name":        {"/plugin-apis/", []string{"Authorization", "Bearer good"}, 404, `{"Model":"","Key":"/plugin-apis/","Type":"GET","Messages":null,"Code":404}` + "\n"},
		"not a path":     {"/plugin-apisx/con", []string{"Authorization", "Bearer good"}, 404, `{"Model":"","Key":"/plugin-apisx/con","Type":"GET","Messages":null,"Code":404}` + "\n"},
		"page elsewhere": {"/plugin-apis/con/ws?token=good", []string{"Upgrade", "websocket", "Origin", "https://evil.example"}, 403, fmt.Sprintf(refused, "it is a websocket of a page of another origin", 403)},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				status, header, body := send(t, r.client, "GET", c.path, "", c.headers...)
				if status != c.status || body != c.body || (status == 401) != (header.Get("WWW-Authenticate") == "Bearer") {
					t.Errorf("%d %v\n%s\nwant %d\n%s", status, header, body, c.status, c.body)
				}
			}
		})
	}
	if n := asked.Load() - before; n > 2 {
		t.Errorf("the endpoint was asked %d times about two tokens", n)
	}
	if log := r.host.messages(); strings.Contains(log, "=good") || strings.Contains(log, "Bearer") {
		t.Errorf("a token is in the log:\n%s", log)
	}
}

func TestTokensThatCannotBeConfirmed(t *testing.T) {
	tokenEndpoint(t, func(string) bool { return true })
	e := newTokens().confirm(t.Context(), "any")
	if e == nil || e.Code != 403 || !strings.Contains(e.Text(), "the endpoint answers anybody") {
		t.Errorf("endpoint without locks: %v", e)
	}
	t.Setenv(EnvEndpoint, "https://127.0.0.1:1")
	if e := newTokens().confirm(t.Context(), "any"); e == nil || e.Code != 403 || !strings.Contains(e.Text(), "connection refused") {
		t.Errorf("endpoint that is gone: %v", e)
	}
	t.Setenv(EnvEndpoint, "ftp://x")
	if e := newTokens().confirm(t.Context(), "any"); e == nil || e.Code != 403 {
		t.Errorf("no endpoint: %v", e)
	}
}

// The endpoint's word is kept for a moment, of a bounded number of tokens.
func TestVerdictsAreKeptBriefly(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	asked := 0
	v := newTokens()
	v.now = func() time.Time { return now }
	v.ask = func(_ context.Context, token string) error {
		switch asked++; token {
		case "good":
			return nil
		case "lost":
			return errors.New("no answer")
		}
		return model.Errorf(model.Forbidden, "no")
	}
	steps := []struct {
		after time.Duration
		token string
		good  bool
		asked int
	}{
		{0, "good", true, 2}, // the first asks about a token that is none, too
		{29 * time.Second, "good", true, 2},
		{time.Second, "good", true, 3},
		{0, "bad", false, 4},
		{4 * time.Second, "bad", false, 4},
		{time.Second, "bad", false, 5},
		{0, "lost", false, 6},
		{probeEvery, "good", true, 8},
	}
	for i, s := range steps {
		now = now.Add(s.after)
		if e := v.confirm(t.Context(), s.token); (e == nil) != s.good || asked != s.asked {
			t.Errorf("step %d: %v, asked %d times", i, e, asked)
		}
	}
	for i := range 3 * maxVerdicts {
		_ = v.confirm(t.Context(), fmt.Sprint(i))
	}
	if len(v.verdicts) > maxVerdicts {
		t.Errorf("%d are kept", len(v.verdicts))
	}
	for range maxConfirms {
		v.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if e := v.confirm(ctx, "waits"); e == nil || !strings.Contains(e.Text(), "context canceled") {
		t.Errorf("too many at a time: %v", e)
	}
}

// A plugin process reads its key from the descriptor that Launch passes, and
// the key is in nobody's environment.
func TestLaunchHandsTheKeyOver(t *testing.T) {
	p := launch(t, LaunchOptions{Exec: self(t, "console"), Name: "con"})
	if err := p.Config(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	outside := httptest.NewServer(p.Proxy(Principal{Name: "user:x"}))
	defer outside.Close()
	status, _, body := get(t, "GET", outside.URL+"/plugin-apis/con/x", "")
	if status != 200 || !strings.Contains(body, " user:x [] true ") {
		t.Errorf("%d %s", status, body)
	}
	p.key = newKey()
	if status, _, body := get(t, "GET", outside.URL+"/plugin-apis/con/x", ""); status != 403 || !strings.Contains(body, "its signature is wrong") {
		t.Errorf("another key: %d %s", status, body)
	}
}
