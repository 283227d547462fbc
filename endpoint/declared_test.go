package endpoint

import (
	"encoding/json"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// TestDeclaredSecretIsNotShown: a param whose name says nothing is as secret as
// its declaration says, wherever a machine is shown.
func TestDeclaredSecretIsNotShown(t *testing.T) {
	t.Parallel()
	const name, value = "site/rack-phrase", "correct-horse-battery"
	r := start(t)
	ctx := t.Context()
	if model.SecretName(name) {
		t.Fatalf("%s would be masked for its name alone", name)
	}
	param := map[string]any{"Name": name, "Secure": true, "Schema": map[string]any{"type": "string"}}
	if err := r.c.Post(ctx, "params", param, nil); err != nil {
		t.Fatal(err)
	}
	var made json.RawMessage
	machine := map[string]any{"Name": "m1", "Params": model.Params{name: value}}
	if err := r.c.Post(ctx, "machines", machine, &made); err != nil {
		t.Fatal(err)
	}
	shown := map[string]json.RawMessage{"the answer to POST": made}
	for _, path := range []string{
		"machines", "machines/Name:m1", "machines/Name:m1/params", "machines/Name:m1/params?aggregate=true", "events/recent",
	} {
		var raw json.RawMessage
		if err := r.c.Get(ctx, path, &raw); err != nil {
			t.Fatal(err)
		}
		shown[path] = raw
	}
	for where, raw := range shown {
		if strings.Contains(string(raw), value) {
			t.Errorf("%s shows the secret: %s", where, raw)
		}
		if !strings.Contains(string(raw), name) {
			t.Errorf("%s does not have the param at all: %s", where, raw)
		}
	}
	if strings.Contains(r.log.String(), value) {
		t.Error("the log has the secret")
	}
}
