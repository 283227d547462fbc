package endpoint

import (
	"fmt"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// keeperOf adds a user who may do to some objects what is asked for, and nothing
// else, and logs it in.
func (r *rig) keeperOf(name, scope, action string) string {
	r.t.Helper()
	r.wantStatus(201, "POST", "/roles", r.e.token, fmt.Sprintf(`{"Name":"role-%s","Claims":[{"scope":%q,"action":%q,"specific":"*"}]}`, name, scope, action))
	r.user(name, "role-"+name)
	return r.login(name, "")
}

// Who may change a machine, and not its secrets, cannot have them sent elsewhere,
// by whatever route a param can be changed.
func TestStoredCredentialsAreNotSentElsewhere(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil) // 192.0.2.1, with a password
	r.wantStatus(201, "POST", "/profiles", r.e.token, `{"Name":"deep","Params":{"toy/password":"of-the-profile"}}`)
	r.wantStatus(201, "POST", "/profiles", r.e.token, `{"Name":"far","Params":{"toy/address":"198.51.100.9"}}`)
	r.wantStatus(201, "POST", "/machines", r.e.token, `{"Name":"m2","Params":{"toy/address":"192.0.2.2"}}`)
	ed := r.keeperOf("ed", "machines,profiles", "get,create,update")
	const evil = "203.0.113.66"
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"PATCH", "/machines/" + uuid, `[{"op":"replace","path":"/Params/toy~1address","value":"` + evil + `"}]`, 403},
		{"PATCH", "/machines/" + uuid, `[{"op":"add","path":"/Params/toy~1port","value":66}]`, 403},
		{"PATCH", "/machines/" + uuid, `[{"op":"remove","path":"/Params/toy~1address"}]`, 403},
		{"PATCH", "/machines/" + uuid, `[{"op":"replace","path":"/Profiles","value":["far"]}]`, 200}, // its own address comes first
		{"POST", "/machines/" + uuid + "/params/toy/address", `"` + evil + `"`, 403},
		{"POST", "/machines/Name:m1/params", `{"toy/address":"` + evil + `","toy/password":"******"}`, 403},
		{"PATCH", "/machines/" + uuid + "/params", `[{"op":"replace","path":"/toy~1address","value":"` + evil + `"}]`, 403},
		{"DELETE", "/machines/" + uuid + "/params/toy/address", ``, 403},
		{"PATCH", "/machines/" + uuid, `[{"op":"replace","path":"/Params/toy~1address","value":"` + evil + `"},{"op":"replace","path":"/Params/toy~1password","value":"new"}]`, 403},
		{"PATCH", "/machines/" + uuid, `[{"op":"replace","path":"/Description","value":"x"}]`, 200},
		{"POST", "/machines/" + uuid + "/params/toy/size", `7`, 200},
		{"POST", "/machines/" + uuid + "/params/toy/address", `"192.0.2.1"`, 200}, // as it was
		// A machine without a password may have any address, until there is one.
		{"POST", "/machines/Name:m2/params/toy/address", `"` + evil + `"`, 200},
		{"PATCH", "/machines/Name:m2", `[{"op":"replace","path":"/Profiles","value":["deep"]}]`, 403},
		{"POST", "/machines", `{"Name":"m3","Profiles":["deep"],"Params":{"toy/address":"` + evil + `"}}`, 403},
		{"POST", "/machines", `{"Name":"m4","Params":{"toy/address":"` + evil + `"}}`, 201},
		// Profiles say for others where a password goes.
		{"POST", "/profiles/deep/params/toy/address", `"` + evil + `"`, 403},
		{"POST", "/profiles/far/params/toy/address", `"` + evil + `"`, 403},
		{"PATCH", "/profiles/deep", `[{"op":"replace","path":"/Profiles","value":["far"]}]`, 403},
		{"POST", "/profiles/global/params/toy/port", `66`, 403},
		{"POST", "/profiles", `{"Name":"new","Params":{"toy/address":"` + evil + `"}}`, 201},
		{"PATCH", "/machines/Name:m4", `[{"op":"replace","path":"/Profiles","value":["new"]}]`, 200},
	} {
		raw := string(r.wantStatus(c.want, c.method, c.path, ed, c.body))
		if c.want == 403 && !strings.Contains(raw, "updateSecure") {
			t.Errorf("%s %s: refused with %s", c.method, c.path, raw)
		}
	}
	// While the plugin is away its credentials stay where they are.
	r.wantStatus(200, "DELETE", "/plugin_providers/toy", r.e.token, "")
	r.wantStatus(403, "POST", "/machines/"+uuid+"/params/toy/address", ed, `"`+evil+`"`)
	if got := r.given("m1", "toy/address"); got != "192.0.2.1" {
		t.Errorf("the address is %v", got)
	}
}

// Who may set secrets may say where they go, and so may who sets the credential
// anew where that takes no claim.
func TestCredentialsMayMoveWithAClaim(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	sam := r.keeperOf("sam", "machines", "get,update,updateSecure")
	r.wantStatus(200, "POST", "/machines/"+uuid+"/params/toy/address", sam, `"192.0.2.7"`)
	r.wantStatus(200, "PATCH", "/machines/"+uuid, sam, `[{"op":"replace","path":"/Params/toy~1address","value":"192.0.2.8"},{"op":"replace","path":"/Params/toy~1password","value":"new"}]`)
	ed := r.keeperOf("ed", "machines", "get,update")
	r.wantStatus(403, "POST", "/machines/"+uuid+"/params/toy/address", ed, `"192.0.2.9"`)
	r.wantStatus(200, "DELETE", "/machines/"+uuid+"/params/toy/password", ed, "")
	r.wantStatus(200, "POST", "/machines/"+uuid+"/params/toy/address", ed, `"192.0.2.9"`)
}

// Where the credentials of a plugin of its own go is its config's.
func TestCredentialsOfPluginsStay(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.wantStatus(200, "POST", "/plugins/toy/params/toy/password", r.e.token, `"of-the-plugin"`)
	pat := r.keeperOf("pat", "plugins", "get,update")
	r.wantStatus(403, "POST", "/plugins/toy/params/toy/address", pat, `"203.0.113.66"`)
	r.wantStatus(200, "POST", "/plugins/toy/params/toy/size", pat, `7`)
}

// What a provider declares is kept, and what cannot be read of it is no table.
func TestDeclaredTargets(t *testing.T) {
	t.Parallel()
	r := start(t)
	o, log := r.e.objects, r.e.log
	provider := func(text string) *model.PluginProvider {
		return &model.PluginProvider{Name: "p", MetaData: model.MetaData{Meta: map[string]string{model.MetaTargets: text}}}
	}
	for _, text := range []string{"", `{"a/password":["a/address"]}`, `{"a/password":["a/address"]}`, `{"a/password":["a/url"]}`} {
		if err := o.declareTargets(t.Context(), provider(text)); err != nil {
			t.Fatal(err)
		}
	}
	if got := o.targets(log); len(got) != 1 || got["a/password"][0] != "a/url" {
		t.Errorf("%v", got)
	}
	if err := o.declareTargets(t.Context(), provider("nonsense")); err != nil {
		t.Fatal(err)
	}
	if got := o.targets(log); len(got) != 0 || !strings.Contains(r.log.String(), "where a provider's credentials go") {
		t.Errorf("%v", got)
	}
}

// No action of any plugin takes a target from a request without its credential,
// whatever the machine has stored, and with it the stored one is not sent along.
func TestEveryActionWithEveryTarget(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	values := map[string]any{"toy/address": "203.0.113.66", "toy/port": 66}
	n := 0
	for _, of := range r.e.sup.offers("machines", "") {
		table, err := credentialTargets(of.provider)
		if err != nil {
			t.Fatal(err)
		}
		for _, credential := range table.Credentials() {
			for _, target := range table[credential] {
				n++
				_, err := r.act("m1", of.action.Command, model.Params{target: values[target]})
				wantError(t, err, model.Invalid, target, credential)
				from := chain{{"toy/address": "192.0.2.1", "toy/label": "x", credential: "stored"}}
				sent, err := r.e.cat.actionParams(of, model.Params{target: values[target], credential: "of-the-request"}, from)
				if err != nil || fmt.Sprint(sent[target]) != fmt.Sprint(values[target]) || sent[credential] != "of-the-request" {
					t.Errorf("%s with %s and its credential: %v, %v", of.action.Command, target, sent, err)
				}
			}
		}
	}
	if done := r.executed(); n < 18 || len(done) != 0 {
		t.Errorf("%d pairs were tried, executed %v", n, done)
	}
}
