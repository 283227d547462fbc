package scope

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"sigs.k8s.io/yaml"

	simslack "provision-plugins/sim/slack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The YAML and the JSON of the manifest say the same.
func TestManifest(t *testing.T) {
	m := NewManifest("oob", "/metal")
	asJSON, err := m.JSON()
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := m.YAML()
	if err != nil {
		t.Fatal(err)
	}
	var one, other any
	if err := json.Unmarshal(asJSON, &one); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(asYAML, &other); err != nil {
		t.Fatalf("%v in\n%s", err, asYAML)
	}
	if !reflect.DeepEqual(one, other) {
		t.Errorf("JSON\n%s\nYAML\n%s", asJSON, asYAML)
	}
	for _, want := range []string{`"/metal"`, `"chat:write"`, "socket_mode_enabled: true", "is_enabled: true", "bot_user:\n    display_name: \"oob\""} {
		if !strings.Contains(string(asYAML), want) {
			t.Errorf("no %s in\n%s", want, asYAML)
		}
	}
	for _, s := range Bot() {
		if !strings.Contains(string(asJSON), `"`+s.Name+`"`) || s.For == "" {
			t.Errorf("scope %+v is not asked for, or for nothing", s)
		}
	}
	if odd, err := NewManifest("a \"b\": c\n- d", "/x").YAML(); err != nil || yaml.Unmarshal(odd, &other) != nil {
		t.Errorf("an odd name makes\n%s\n%v", odd, err)
	}
}

// check checks against a workspace, and returns what was found by what was checked.
func check(t *testing.T, sim simslack.Options, change func(*Options), faults map[string]simslack.Fault) map[string]Finding {
	t.Helper()
	sim.Token = "xoxb-good"
	server, err := simslack.New(sim)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for method, f := range faults {
		server.Fail(method, f)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	o := Options{URL: server.URL(), Bot: "xoxb-good", Channel: "C1", Client: client}
	if change != nil {
		change(&o)
	}
	out := map[string]Finding{}
	for _, f := range Check(t.Context(), o) {
		out[f.What] = f
		if strings.Contains(f.Detail, "xoxb-") && f.What != "bot token" || strings.Contains(f.Detail, "xapp-good") || strings.Contains(f.Detail, "\n") {
			t.Errorf("a token, or lines, in %+v", f)
		}
	}
	if n := len(server.Messages()); n > 0 {
		t.Errorf("%d messages were posted", n)
	}
	return out
}

// want compares a finding.
func want(t *testing.T, found map[string]Finding, what string, v Verdict, detail string) {
	t.Helper()
	if f := found[what]; f.Verdict != v || !strings.Contains(f.Detail, detail) {
		t.Errorf("%s is %+v, want %s, %q; all: %v", what, f, v, detail, found)
	}
}

func TestAllIsWell(t *testing.T) {
	var all []string
	for _, s := range Bot() {
		all = append(all, s.Name)
	}
	got := check(t, simslack.Options{Channels: []string{"C1=ops"}, Scopes: all}, nil, nil)
	want(t, got, "bot token", OK, "workspace")
	want(t, got, "channel C1", OK, "#ops")
	for _, s := range Bot() {
		want(t, got, "scope "+s.Name, OK, s.For)
	}
	want(t, got, "app token", Lacks, "no commands")
}

// What is missing is named, with what it is for.
func TestWhatIsMissing(t *testing.T) {
	got := check(t, simslack.Options{Channels: []string{"C1"}, Scopes: []string{"channels:read", "chat:write.public"}}, nil, nil)
	want(t, got, "scope chat:write", Fails, "install the app again")
	want(t, got, "scope files:write", Lacks, "attach a log")
	want(t, got, "scope channels:read", OK, "")
	got = check(t, simslack.Options{Channels: []string{"C1"}, Scopes: []string{"chat:write"}}, nil, nil)
	want(t, got, "channel C1", Lacks, "cannot be asked for without")
	got = check(t, simslack.Options{Channels: []string{"C2"}}, nil, nil)
	want(t, got, "channel C1", Fails, "channel_not_found")
	got = check(t, simslack.Options{}, func(o *Options) { o.Channel = "" }, nil)
	if len(got) != 3 {
		t.Errorf("without a channel: %v", got)
	}
}

// A channel may be given by its name, where the app may look for it.
func TestChannelByName(t *testing.T) {
	named := func(o *Options) { o.Channel = "#ops" }
	got := check(t, simslack.Options{Channels: []string{"C1=lab", "C2=ops"}}, named, nil)
	want(t, got, "channel #ops", OK, "#ops")
	got = check(t, simslack.Options{Channels: []string{"C1=lab"}}, named, nil)
	want(t, got, "channel #ops", Fails, "none of that name")
	got = check(t, simslack.Options{Channels: []string{"C2=ops"}, Scopes: []string{"chat:write"}}, named, nil)
	want(t, got, "channel #ops", Fails, "without channels:read")
	got = check(t, simslack.Options{Channels: []string{"C2=ops"}}, named, map[string]simslack.Fault{"conversations.info": {Error: "internal_error"}})
	want(t, got, "channel #ops", Fails, "internal_error")
}

func TestTokensAreRefused(t *testing.T) {
	got := check(t, simslack.Options{}, func(o *Options) { o.Bot = "xoxb-bad" }, nil)
	want(t, got, "bot token", Fails, "invalid_auth")
	if len(got) != 2 {
		t.Errorf("nothing else can be asked: %v", got)
	}
	got = check(t, simslack.Options{}, nil, map[string]simslack.Fault{"auth.test": {Cut: true}})
	want(t, got, "Slack", Fails, "cannot be reached")
	got = check(t, simslack.Options{}, func(o *Options) { o.App = "xapp-good" }, map[string]simslack.Fault{"apps.connections.open": {Error: "missing_scope"}})
	want(t, got, "app token", Fails, "connections:write")
	got = check(t, simslack.Options{}, func(o *Options) { o.App = "xapp-good" }, map[string]simslack.Fault{"apps.connections.open": {Error: "token_revoked"}})
	want(t, got, "app token", Fails, "token_revoked")
}
