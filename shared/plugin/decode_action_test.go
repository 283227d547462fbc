package plugin

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// TestDecodeAction leaves the Model as it came, and all else decoded.
func TestDecodeAction(t *testing.T) {
	for name, c := range map[string]struct {
		body  string
		model string // "" is none
	}{
		"machine":    {`{"Model":{"Name":"m1","Params":{"x/pin":"4711"}},"Command":"poweron","Params":{"n":12345678901234567890}}`, `{"Name":"m1","Params":{"x/pin":"4711"}}`},
		"spaces":     {`{ "Model" : [ 1 ] , "Command":"poweron","Params":{"n":12345678901234567890}}`, `[ 1 ]`},
		"lower case": {`{"model":"m","command":"poweron","params":{"n":12345678901234567890}}`, `"m"`},
		"null":       {`{"Model":null,"Command":"poweron","Params":{"n":12345678901234567890}}`, ""},
		"none":       {`{"Command":"poweron","Params":{"n":12345678901234567890}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", pathAction, strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			a, e := decodeAction(r)
			if e != nil {
				t.Fatal(e)
			}
			raw, isRaw := a.Model.(json.RawMessage)
			if string(raw) != c.model || isRaw != (c.model != "") || !isRaw && a.Model != nil {
				t.Errorf("the model is %T %s", a.Model, raw)
			}
			if a.Command != model.PowerOn || a.Params["n"] != json.Number("12345678901234567890") {
				t.Errorf("got %+v", a)
			}
		})
	}
}

// TestSecretsOfAnAction finds them wherever an action has them, however its
// Model is held.
func TestSecretsOfAnAction(t *testing.T) {
	body := model.Params{"ipmi/password": "hunter22"}
	object := map[string]any{"Name": "m1", "Params": map[string]any{"ipmi/password": "swordfish"}}
	raw, err := model.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{
		"decoded": object, "params": model.Params(object), "raw": json.RawMessage(raw),
		"no object": json.RawMessage(`"swordfish"`), "broken": json.RawMessage(`{"Params":`), "none": nil,
	} {
		req := &request{}
		req.holds(nil, func() []model.Params { return actionParams(&model.Action{Model: v, Params: body}) })
		got := strings.Join(req.secrets(), " ")
		want := "hunter22 swordfish"
		if name == "no object" || name == "broken" || name == "none" {
			want = "hunter22"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
