package endpoint

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// garage is a catalog with the params of an imaginary driver.
func garage(t *testing.T) *catalog {
	t.Helper()
	c := newCatalog(slog.New(slog.DiscardHandler))
	params := map[string]map[string]any{}
	for name, schema := range map[string]map[string]any{
		"car/address": {"type": "string", "default": ""}, "car/key": {"type": "string"}, "car/gear": {"type": "integer", "default": 1},
		"car/open": {"type": "boolean"}, "bike/lock": {"type": "string", "default": "closed"}, "oob/timeout": {"type": "number"},
	} {
		params[name] = map[string]any{"Name": name, "Schema": schema}
	}
	if err := c.put("garage", &model.Content{Sections: map[string]map[string]map[string]any{"params": params}}); err != nil {
		t.Fatal(err)
	}
	return c
}

// offered makes an offer of "go".
func offered(plugin, provider string, required ...string) offer {
	p := &model.PluginProvider{Name: provider}
	p.Meta = map[string]string{model.MetaTargets: `{"car/key":["car/address","car/gear"],"car/pin":["car/address"]}`}
	return offer{plugin: plugin, provider: p, action: model.AvailableAction{Model: "machines", Command: "go", RequiredParams: required, OptionalParams: []string{"car/gear", "car/open"}}}
}

func TestWhichPlugin(t *testing.T) {
	t.Parallel()
	c := garage(t)
	car, bike, second := offered("car", "car", "car/address", "car/key"), offered("bike", "bike", "bike/lock"), offered("car-two", "car", "car/address", "car/key")
	full := chain{{"car/address": "a", "car/key": "k"}}
	for _, x := range []struct {
		name   string
		asked  string
		offers []offer
		from   chain
		body   model.Params
		want   string // a plugin, or
		kind   model.Kind
	}{
		{name: "the only one", offers: []offer{car}, want: "car"},
		{name: "nobody", kind: model.NotFound},
		{name: "nobody, though asked for", asked: "car", kind: model.NotFound},
		{name: "asked for", asked: "car", offers: []offer{bike, car}, want: "car"},
		{name: "asked for by its provider", asked: "bike", offers: []offer{car, offered("b1", "bike")}, want: "b1"},
		{name: "a plugin's name before a provider's", asked: "car", offers: []offer{second, car}, want: "car"},
		{name: "asked for in vain", asked: "boat", offers: []offer{car}, kind: model.Unsupported},
		{name: "the machine's driver", offers: []offer{bike, car}, from: chain{{"oob/driver": "car"}}, want: "car"},
		{name: "a profile's driver", offers: []offer{bike, car}, from: chain{{}, {"oob/driver": "bike"}}, want: "bike"},
		{name: "the driver before machine-plugin", offers: []offer{bike, car}, from: chain{{"oob/driver": "car", "machine-plugin": "bike"}}, want: "car"},
		{name: "machine-plugin", offers: []offer{bike, car}, from: chain{{"oob/driver": "", "machine-plugin": "bike"}}, want: "bike"},
		{name: "a driver that is no text", offers: []offer{car}, from: chain{{"oob/driver": 7}}, kind: model.Invalid},
		{name: "a driver without the action", offers: []offer{car}, from: chain{{"oob/driver": "boat"}}, kind: model.Unsupported},
		{name: "the only complete one", offers: []offer{bike, car}, want: "bike"},
		{name: "two are complete", offers: []offer{bike, car}, from: full, kind: model.Conflict},
		{name: "the body completes it", offers: []offer{offered("boat", "boat", "boat/id"), car}, body: model.Params{"car/address": "a", "car/key": "k"}, want: "car"},
		{name: "none is complete", offers: []offer{offered("boat", "boat", "boat/id"), car}, kind: model.Conflict},
		{name: "the request before the driver", asked: "bike", offers: []offer{bike, car}, from: chain{{"oob/driver": "car"}}, want: "bike"},
	} {
		t.Run(x.name, func(t *testing.T) {
			got, err := c.choose(question{model: "machines", key: "u", command: "go", asked: x.asked, offers: x.offers, from: x.from, body: x.body})
			if x.kind != "" {
				wantError(t, err, x.kind)
			} else if err != nil || got.plugin != x.want {
				t.Errorf("got %s, %v, want %s", got.plugin, err, x.want)
			}
		})
	}
}

func TestActionParams(t *testing.T) {
	t.Parallel()
	c := garage(t)
	of := offered("car", "car", "car/address", "car/key")
	stored := chain{{"car/address": "stored", "car/key": "k1", "oob/driver": "car", "oob/wait": false, "oob/timeout": 5, "other": 1}, {"car/gear": 4}}
	for _, x := range []struct {
		name  string
		body  model.Params
		from  chain
		want  string // the params as JSON, or
		kind  model.Kind
		texts []string
	}{
		{name: "from the machine", from: stored, want: `{"car/address":"stored","car/gear":4,"car/key":"k1","oob/timeout":5}`},
		{name: "the body first", body: model.Params{"car/open": true, "free": "x", "oob/timeout": 9}, from: stored,
			want: `{"car/address":"stored","car/gear":4,"car/key":"k1","car/open":true,"free":"x","oob/timeout":9}`},
		{name: "a target with its credential", body: model.Params{"car/address": "new", "car/key": "k2", "car/pin": "p"}, from: stored,
			want: `{"car/address":"new","car/gear":4,"car/key":"k2","car/pin":"p","oob/timeout":5}`},
		{name: "a target without one of its credentials", body: model.Params{"car/address": "new", "car/key": "k2"}, from: append(chain{{"car/pin": "stored"}}, stored...), kind: model.Invalid, texts: []string{"car/address", "car/pin"}},
		{name: "a target alone", body: model.Params{"car/gear": 2}, from: stored, kind: model.Invalid, texts: []string{"car/gear", "car/key"}},
		{name: "the schema's default", from: chain{{"car/address": "a", "car/key": "k"}}, want: `{"car/address":"a","car/gear":1,"car/key":"k"}`},
		{name: "an empty default is none", from: chain{{"car/key": "k"}}, kind: model.Invalid, texts: []string{"Action go Missing Parameter car/address"}},
		{name: "null is none", body: model.Params{"car/key": nil}, from: chain{{"car/address": "a"}}, kind: model.Invalid, texts: []string{"Missing Parameter car/key"}},
		{name: "a wrong body", body: model.Params{"car/open": "yes"}, from: stored, kind: model.Invalid, texts: []string{"Action go: Invalid Parameter: car/open: : (root)", "Expected: boolean, given: string"}},
		{name: "a wrong stored value", from: chain{{"car/address": "a", "car/key": "k", "car/gear": "high"}}, kind: model.Invalid, texts: []string{"car/gear", "Expected: integer"}},
		{name: "identity in the body", body: model.Params{"oob/identity": "x"}, from: stored, kind: model.Invalid, texts: []string{"oob/identity", "never from a request"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			body := x.body
			if body == nil {
				body = model.Params{}
			}
			got, err := c.actionParams(of, body, x.from)
			if x.kind != "" {
				wantError(t, err, x.kind, x.texts...)
				return
			}
			raw, encodeErr := model.Marshal(got)
			if err != nil || encodeErr != nil || string(raw) != x.want {
				t.Errorf("got %s, %v, %v\nwant %s", raw, err, encodeErr, x.want)
			}
		})
	}
}

func TestTornTargetsAreRefused(t *testing.T) {
	t.Parallel()
	of := offered("car", "car")
	of.provider.Meta[model.MetaTargets] = "{"
	_, err := garage(t).actionParams(of, model.Params{}, nil)
	wantError(t, err, model.Internal, model.MetaTargets, "car")
	wantError(t, checkProvider(of.provider), model.Internal, model.MetaTargets)
}

// The toy does not know of protection.
func TestAProtectedMachineIsGuardedByTheEndpoint(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	ctx := t.Context()
	if err := errors.Join(
		r.c.Post(ctx, "profiles", json.RawMessage(`{"Name":"prod","Params":{"oob/protected":true}}`), nil),
		r.c.Post(ctx, "machines", json.RawMessage(`{"Name":"m1","Profiles":["prod"],"Params":{"toy/address":"192.0.2.1","toy/password":"s3cr3t-pw"}}`), nil)); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"poweroff", "powercycle", "powerreset"} {
		_, err := r.act("m1", command, nil)
		wantError(t, err, model.Forbidden, "machines", command, "protected", "nothing was sent")
	}
	if got := r.executed(); got != nil {
		t.Errorf("executed %v", got)
	}
	if got := r.e.runs.List("", ""); len(got) != 0 {
		t.Errorf("runs of what was refused: %+v", got)
	}
	if _, err := r.act("m1", "poweron", nil); err != nil {
		t.Error(err)
	}
	in := client.ActionRequest{Prefix: "machines", Key: "Name:m1", Command: "poweroff", OverrideProtected: true}
	if _, err := r.c.Invoke(ctx, in); err != nil {
		t.Error(err)
	}
	if got := strings.Join(r.executed(), " "); got != "poweron poweroff" {
		t.Errorf("executed %s", got)
	}
}

func TestProtectionInTheModel(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		own, profile any
		override     bool
		want         any
	}{
		{nil, nil, false, nil}, {true, nil, false, true}, {true, nil, true, nil}, {nil, true, false, true}, {nil, true, true, nil},
		{false, true, false, false}, {true, false, false, true},
	} {
		m := &model.Machine{Params: model.Params{"keep": 1, "oob/wait": false}}
		if x.own != nil {
			m.Params["oob/protected"] = x.own
		}
		s := &subject{machine: m, from: chain{m.Params, {"oob/protected": x.profile}}}
		sent, ok := s.model(x.override).(*model.Machine)
		if !ok || sent.Params["oob/protected"] != x.want || sent.Params["keep"] != 1 || sent.Params.Has("oob/wait") {
			t.Errorf("%+v: sent %v", x, sent.Params)
		}
		if m.Params["oob/protected"] != x.own || !m.Params.Has("oob/wait") {
			t.Errorf("%+v: the stored machine was changed: %v", x, m.Params)
		}
	}
}
