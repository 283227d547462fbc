package endpoint

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/nacl/box"

	"provision-plugins/endpoint/secret"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// sealFor seals a value to an object as drpcli does.
func (r *rig) sealFor(path string, value any) json.RawMessage {
	r.t.Helper()
	var text string
	if err := r.c.Get(r.t.Context(), path+"/pubkey", &text); err != nil {
		r.t.Fatal(err)
	}
	peer, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(peer) != 32 {
		r.t.Fatalf("public key %q, %v", text, err)
	}
	public, own, err := box.GenerateKey(rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	plain, err := model.Marshal(value)
	if err != nil {
		r.t.Fatal(err)
	}
	var nonce [24]byte
	sealed := box.Seal(nil, plain, &nonce, (*[32]byte)(peer), own)
	raw, err := model.Marshal(model.SecureData{Key: public[:], Nonce: nonce[:], Payload: sealed})
	if err != nil {
		r.t.Fatal(err)
	}
	return raw
}

// given is what the toy's process was given, as it noted it itself.
func (r *rig) given(machine, name string) any {
	r.t.Helper()
	found, err := r.e.api.actions.subject("machines", "Name:"+machine)
	if err != nil {
		r.t.Fatal(err)
	}
	return found.machine.Params[name]
}

// onDisk reports whether a text is in any file of the data directory.
func (r *rig) onDisk(text string) (where []string) {
	r.t.Helper()
	err := filepath.WalkDir(r.opts.DataDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(raw), text) {
			where = append(where, path)
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return where
}

func TestSecureParams(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", model.Params{"toy/password": "first-secret"})
	path := "/machines/" + uuid
	// Sealed by a client, as drpcli does it: opened, checked, and sealed.
	r.wantStatus(200, "POST", path+"/params/toy/password", r.e.token, string(r.sealFor("machines/"+uuid, "second-secret")))
	if got := r.given("m1", "toy/password"); got != "second-secret" {
		t.Errorf("the plugin gets %v", got)
	}
	for _, text := range []string{"first-secret", "second-secret"} {
		if where := r.onDisk(text); where != nil {
			t.Errorf("%s lies in clear in %v", text, where)
		}
		if strings.Contains(r.log.String(), text) {
			t.Errorf("%s is in the log", text)
		}
	}
	r.user("viewer", "viewer")
	viewer := r.login("viewer", "")
	for _, at := range []string{path, path + "/params", path + "/params/toy/password", "/machines", path + "/params?aggregate=true"} {
		raw := string(r.wantStatus(200, "GET", at, viewer, ""))
		if strings.Contains(raw, "second-secret") || !strings.Contains(raw, `"Payload":"`) {
			t.Errorf("%s shows %s", at, raw)
		}
		with := at + "?decode=true"
		if strings.Contains(at, "?") {
			with = at + "&decode=true"
		}
		if raw := string(r.wantStatus(200, "GET", with, r.e.token, "")); !strings.Contains(raw, `"second-secret"`) {
			t.Errorf("%s, decoded: %s", at, raw)
		}
		if raw := string(r.wantStatus(403, "GET", with, viewer, "")); !strings.Contains(raw, "getSecure") {
			t.Errorf("%s, decoded for a viewer: %s", at, raw)
		}
	}
	r.again()
	if got := r.given("m1", "toy/password"); got != "second-secret" {
		t.Errorf("after a restart the plugin gets %v", got)
	}
}

// A value of another type than the schema's is refused before it is sealed, and
// no message shows it.
func TestSealedValuesAreChecked(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	one, two := r.machine("m1", nil), r.machine("m2", nil)
	raw := string(r.wantStatus(400, "POST", "/machines/"+one+"/params/toy/password", r.e.token, string(r.sealFor("machines/"+one, []string{"hunter2-in-a-list"}))))
	if strings.Contains(raw, "hunter2") || !strings.Contains(raw, "Expected: string, given: array") {
		t.Errorf("refused with %s", raw)
	}
	ofTwo := string(r.sealFor("machines/"+two, "x"))
	if raw := string(r.wantStatus(400, "POST", "/machines/"+one+"/params/toy/password", r.e.token, ofTwo)); !strings.Contains(raw, "pubkey") {
		t.Errorf("sealed to another machine: %s", raw)
	}
	r.wantStatus(400, "POST", "/machines", r.e.token, `{"Name":"m3","Params":{"toy/password":`+ofTwo+`}}`)
	// What is stored of one param does not open as another one's.
	stored := string(r.wantStatus(200, "GET", "/machines/"+one+"/params/toy/password", r.e.token, ""))
	if raw := string(r.wantStatus(400, "POST", "/machines/"+one+"/params/slack/bot-token", r.e.token, stored)); !strings.Contains(raw, "another param's") {
		t.Errorf("moved to another param: %s", raw)
	}
	r.wantStatus(400, "POST", "/machines/"+two+"/params/toy/password", r.e.token, stored)
	if got := r.given("m2", "toy/password"); got != "s3cr3t-pw" {
		t.Errorf("m2 has %v", got)
	}
}

// What was shown may be written back, sealed or masked, and changes nothing.
func TestSealedValuesWrittenBack(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", model.Params{"undeclared-password": "by its name"})
	path := "/machines/" + uuid
	shown := string(r.wantStatus(200, "GET", path, r.e.token, ""))
	if !strings.Contains(shown, `"undeclared-password":"******"`) {
		t.Errorf("shown: %s", shown)
	}
	again := string(r.wantStatus(200, "PUT", path, r.e.token, shown))
	if again != shown {
		t.Errorf("written back it is\n%s, was\n%s", again, shown)
	}
	r.wantStatus(200, "POST", path+"/params/toy/password", r.e.token, `"******"`)
	if a, b := r.given("m1", "toy/password"), r.given("m1", "undeclared-password"); a != "s3cr3t-pw" || b != "by its name" {
		t.Errorf("kept %v, %v", a, b)
	}
	if where := r.onDisk("by its name"); where != nil {
		t.Errorf("it lies in clear in %v", where)
	}
	r.wantStatus(200, "DELETE", path+"/params/toy/password", r.e.token, "")
	r.wantStatus(400, "POST", path+"/params/toy/password", r.e.token, `"******"`)
}

func TestSettingSecureValuesNeedsAClaim(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	r.wantStatus(201, "POST", "/roles", r.e.token, `{"Name":"editor","Claims":[{"scope":"machines","action":"get,update","specific":"*"}]}`)
	r.user("ed", "editor")
	token, path := r.login("ed", ""), "/machines/"+uuid
	r.wantStatus(200, "POST", path+"/params/toy/size", token, "5")
	shown := string(r.wantStatus(200, "GET", path, token, ""))
	r.wantStatus(200, "PUT", path, token, shown)
	for _, value := range []string{`"new"`, string(r.sealFor("machines/"+uuid, "new"))} {
		if raw := string(r.wantStatus(403, "POST", path+"/params/toy/password", token, value)); !strings.Contains(raw, "updateSecure") {
			t.Errorf("refused with %s", raw)
		}
	}
	if got := r.given("m1", "toy/password"); got != "s3cr3t-pw" {
		t.Errorf("it is now %v", got)
	}
}

// The first look at an object's public key makes it, once, and tells nobody that
// the object has changed.
func TestPublicKeys(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	if err := r.c.Post(t.Context(), "profiles", map[string]any{"Name": "pr"}, nil); err != nil {
		t.Fatal(err)
	}
	first := string(r.wantStatus(200, "GET", "/profiles/pr/pubkey", r.e.token, ""))
	r.again()
	if again := string(r.wantStatus(200, "GET", "/profiles/Name:pr/pubkey", r.e.token, "")); again != first {
		t.Errorf("key %s, was %s", again, first)
	}
	var recent []model.Event
	if err := r.c.Get(t.Context(), "events/recent", &recent); err != nil {
		t.Fatal(err)
	}
	for _, e := range recent {
		if e.Type == "profiles" && e.Action != "create" {
			t.Errorf("event %+v", e)
		}
	}
	r.wantStatus(404, "GET", "/profiles/none/pubkey", r.e.token, "")
	r.wantStatus(404, "GET", "/params/toy/password/pubkey", r.e.token, "")
}

// Values of a profile are sealed to the profile's key, and reach the plugins of
// its machines in clear.
func TestSecureParamsOfProfiles(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	r.wantStatus(201, "POST", "/profiles", r.e.token, `{"Name":"pr","Params":{"toy/password":"of the profile"}}`)
	r.wantStatus(200, "DELETE", "/machines/"+uuid+"/params/toy/password", r.e.token, "")
	r.wantStatus(200, "PATCH", "/machines/"+uuid, r.e.token, `[{"op":"replace","path":"/Profiles","from":"","value":["pr"]}]`)
	s, err := r.e.api.actions.subject("machines", uuid)
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := s.from.lookup("toy/password"); !ok || v != "of the profile" {
		t.Errorf("found %v", v)
	}
	raw := string(r.wantStatus(200, "GET", "/machines/"+uuid+"/params/toy/password?aggregate=true", r.e.token, ""))
	if !strings.Contains(raw, "Payload") {
		t.Errorf("aggregated: %s", raw)
	}
	if raw := string(r.wantStatus(200, "GET", "/machines/"+uuid+"/params/toy/password?aggregate=true&decode=true", r.e.token, "")); raw != "\"of the profile\"\n" {
		t.Errorf("decoded: %s", raw)
	}
	if where := r.onDisk("of the profile"); where != nil {
		t.Errorf("it lies in clear in %v", where)
	}
}

// plain puts an object into the store as an endpoint that did not seal did.
func (r *rig) plain(prefix, id, value string) {
	r.t.Helper()
	unique := map[string]string(nil)
	if prefix == "machines" {
		unique = map[string]string{"Name": id[:8]}
	}
	if _, err := r.e.store.Create(r.t.Context(), store.Object{Prefix: prefix, ID: id, Value: json.RawMessage(value)}, unique); err != nil {
		r.t.Fatal(err)
	}
}

// isSealed reports whether a param of a stored object is sealed.
func (r *rig) isSealed(prefix, id, param string) bool {
	r.t.Helper()
	found, err := r.e.store.Get(prefix, id)
	if err != nil {
		r.t.Fatal(err)
	}
	var object struct{ Params model.Params }
	if err := model.Unmarshal(found.Value, &object); err != nil {
		r.t.Fatal(err)
	}
	return secret.Parse(object.Params[param]) != nil
}

// A data directory of an endpoint that did not seal is upgraded at the start:
// what is secret by its name at once, what a plugin declares with the plugin.
func TestOldDataIsSealedAtTheStart(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.plain("machines", referenceUUID, `{"Name":"`+referenceUUID[:8]+`","Uuid":"`+referenceUUID+`","Params":{"toy/address":"192.0.2.1","toy/password":"old-secret-1","x/pin":"1234567"}}`)
	r.plain("profiles", "pr", `{"Name":"pr","Params":{"my-token":"old-secret-2"}}`)
	for _, id := range []string{seenSecrets, "layer toy"} {
		if _, err := r.e.store.Delete(t.Context(), seenPrefix, id, 0); err != nil && model.KindOf(err) != model.NotFound {
			t.Fatal(err)
		}
	}
	r.install("toy", "toy")
	r.again()
	r.ready("toy")
	if !r.isSealed("machines", referenceUUID, "toy/password") || !r.isSealed("profiles", "pr", "my-token") {
		t.Error("an old secret is stored in clear")
	}
	if got := r.given(referenceUUID[:8], "toy/password"); got != "old-secret-1" {
		t.Errorf("the plugin gets %v", got)
	}
	if r.isSealed("machines", referenceUUID, "x/pin") {
		t.Error("what is no secret was sealed")
	}
	// The feature secure-param-upgrade: a param that becomes Secure.
	r.wantStatus(201, "POST", "/params", r.e.token, `{"Name":"x/pin","Schema":{"type":"string"}}`)
	if raw := string(r.wantStatus(200, "GET", "/machines/"+referenceUUID, r.e.token, "")); !strings.Contains(raw, `"x/pin":"1234567"`) {
		t.Errorf("shown: %s", raw)
	}
	r.wantStatus(200, "PATCH", "/params/x/pin", r.e.token, `[{"op":"replace","path":"/Secure","from":"","value":true}]`)
	if raw := string(r.wantStatus(200, "GET", "/machines/"+referenceUUID, r.e.token, "")); strings.Contains(raw, "1234567") {
		t.Errorf("shown: %s", raw)
	}
	if !r.isSealed("machines", referenceUUID, "x/pin") || r.given(referenceUUID[:8], "x/pin") != "1234567" {
		t.Error("what became Secure is not sealed, or lost")
	}
	r.wantStatus(200, "PATCH", "/params/x/pin", r.e.token, `[{"op":"replace","path":"/Secure","from":"","value":false}]`)
	if r.isSealed("machines", referenceUUID, "x/pin") || r.given(referenceUUID[:8], "x/pin") != "1234567" {
		t.Error("what is no longer Secure is still sealed, or lost")
	}
}

// With another master key no secret could be read: the start is refused, and
// says which key was tried.
func TestAnotherMasterKey(t *testing.T) {
	t.Parallel()
	r := start(t)
	path := filepath.Join(r.opts.DataDir, secret.KeyFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	other := base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n"
	if err := os.WriteFile(path, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	r.build()
	err = r.e.Start(t.Context())
	wantError(t, err, model.Invalid, "master key", path, "another one")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	r.open()
}

// Events and runs go to many: they hold neither a secret nor its sealed form,
// also of a param that only its declaration tells to be one.
func TestEventsHideSealedSecrets(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.wantStatus(201, "POST", "/params", r.e.token, `{"Name":"x/pin","Secure":true,"Schema":{"type":"string"}}`)
	uuid := r.machine("m1", model.Params{"x/pin": "1234567"})
	r.wantStatus(200, "PATCH", "/machines/"+uuid, r.e.token, `[{"op":"replace","path":"/Description","from":"","value":"x"}]`)
	r.wantStatus(200, "POST", "/machines/"+uuid+"/actions/poweron", r.e.token, `{"x/pin":"7654321"}`)
	for _, path := range []string{"/events/recent?limit=1000", "/runs"} {
		raw := string(r.wantStatus(200, "GET", path, r.e.token, ""))
		if !strings.Contains(raw, `"x/pin":"******"`) {
			t.Errorf("%s does not mask it: %s", path, raw)
		}
		for _, text := range []string{"1234567", "7654321", "s3cr3t-pw", "Payload"} {
			if strings.Contains(raw, text) {
				t.Errorf("%s shows %s", path, text)
			}
		}
	}
}
