package driver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/internal/toy"
	"provision-plugins/shared/model"
)

// wantLogged checks that texts were logged, and the password was not.
func wantLogged(t *testing.T, r *rig, texts ...string) {
	t.Helper()
	log := r.logs.String()
	for _, text := range texts {
		if !strings.Contains(log, text) {
			t.Errorf("the log does not have %q:\n%s", text, log)
		}
	}
	if strings.Contains(log, r.device.Password) {
		t.Errorf("the log shows the password:\n%s", log)
	}
}

func TestModels(t *testing.T) {
	loop := map[string]any{}
	loop["self"] = loop
	machine := model.Machine{Name: "m1", Uuid: "u1"}
	for _, row := range []struct {
		name  string
		model any
		want  string // of the error, "" for success
	}{
		{"map", map[string]any{"Name": "m1", "Uuid": "u1"}, ""},
		{"name only", map[string]any{"Name": "m1"}, ""},
		{"machine", machine, ""},
		{"pointer", &machine, ""},
		{"nil pointer", (*model.Machine)(nil), "cannot powerstatus: the object to act on has no Name and no Uuid"},
		{"nothing", nil, "cannot powerstatus: the object to act on has no Name and no Uuid"},
		{"text", "m1", "cannot powerstatus: the object to act on cannot be read: cannot parse JSON: json: cannot unmarshal string"},
		{"list", []any{1}, "cannot powerstatus: the object to act on cannot be read: cannot parse JSON"},
		{"params of a wrong type", map[string]any{"Name": "m1", "Params": 7}, "cannot powerstatus: the object to act on cannot be read"},
		{"not JSON", map[string]any{"Name": make(chan int)}, "cannot powerstatus: the object to act on cannot be read: cannot encode"},
		{"no end", loop, "cannot powerstatus: the object to act on cannot be read: cannot encode"},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, toy.Native, func(r *rig) {
				a := r.action(model.PowerStatus, nil)
				a.Model = row.model
				_, err := r.provider.Action(r.Context(), a)
				switch {
				case row.want == "" && err != nil:
					t.Error(err)
				case row.want != "" && (model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), row.want)):
					t.Errorf("want %s, got %v", row.want, err)
				}
			})
		})
	}
}

func TestBadRequests(t *testing.T) {
	for _, row := range []struct {
		command string
		params  model.Params
		kind    model.Kind
		text    string
	}{
		{"fly", nil, model.NotFound, `cannot "fly": driver toy has no such action`},
		{"", nil, model.NotFound, `cannot "": driver toy has no such action`},
		{model.PowerOn, model.Params{"oob/timeout": 0}, model.Invalid, "cannot poweron m1: param oob/timeout must be more than 0"},
		{model.PowerOn, model.Params{"oob/timeout": -3}, model.Invalid, "cannot poweron m1: param oob/timeout: -3 seconds is outside 0..7200"},
		{model.PowerOn, model.Params{"oob/timeout": 1e9}, model.Invalid, "cannot poweron m1: param oob/timeout: 1e+09 seconds is outside 0..7200"},
		{model.PowerOn, model.Params{"oob/timeout": []any{}}, model.Invalid, "cannot poweron m1: param oob/timeout must be a number of seconds, not an array"},
		{model.PowerOn, model.Params{"oob/wait": "no"}, model.Invalid, "cannot poweron m1: param oob/wait must be a boolean, not a string"},
		{model.PowerSoft, model.Params{"oob/force-after": "soon"}, model.Invalid, "cannot powersoft m1: param oob/force-after must be a number of seconds, not a string"},
		{model.PowerSoft, model.Params{"oob/force-after": 180}, model.Invalid, "cannot powersoft m1: param oob/force-after (3m0s) must be less than oob/timeout (3m0s)"},
		{model.PowerOn, model.Params{"toy/address": 7}, model.Invalid, "cannot poweron m1: open session: param toy/address must be a string, not a number"},
		{model.PowerOn, model.Params{"toy/mode": toy.Gone}, model.Unsupported, "cannot poweron m1: open session: mode gone is not supported; use native"},
		{model.PowerCycle, model.Params{"toy/mode": toy.Bare}, model.Unsupported, "cannot powercycle m1: driver toy does not have this action in mode bare, but in mode native, steps"},
	} {
		t.Run(row.command, func(t *testing.T) {
			bubble(t, toy.Native, func(r *rig) {
				_, err := r.run(row.command, row.params)
				wantErr(t, err, row.kind, row.text)
				r.wantExecuted(nil)
			})
		})
	}
	bubble(t, toy.Native, func(r *rig) {
		_, err := r.provider.Action(r.Context(), nil)
		wantErr(t, err, model.Invalid, "cannot run an action: the request has no body")
	})
}

func TestParamsOfTheRequestWin(t *testing.T) {
	bubble(t, toy.Native, func(r *rig) {
		a := r.action(model.Identify, model.Params{"toy/identify-duration": 20})
		a.Params["toy/username"] = nil // null sets nothing
		a.Model = map[string]any{"Name": "m1", "Params": map[string]any{"toy/identify-duration": 10, "toy/username": r.device.User}}
		if _, err := r.provider.Action(r.Context(), a); err != nil || r.device.Lit() != "20" {
			t.Errorf("lit for %q, %v", r.device.Lit(), err)
		}
	})
}

func TestProtection(t *testing.T) {
	guarded := map[string]bool{
		model.PowerOff: true, model.PowerCycle: true, model.PowerReset: true, model.PowerNMI: true, model.PowerSoft: true,
	}
	for _, info := range model.Actions() {
		bubble(t, toy.Native, func(r *rig) {
			a := r.action(info.Command, model.Params{"oob/protected": false})
			a.Model = map[string]any{"Name": "m1", "Params": map[string]any{"oob/protected": true}}
			_, err := r.provider.Action(r.Context(), a)
			if !guarded[info.Command] {
				if err != nil {
					t.Errorf("%s on a protected machine: %v", info.Command, err)
				}
				return
			}
			wantErr(t, err, model.Forbidden, "cannot "+info.Command+" m1: the machine is protected (oob/protected); nothing was sent")
			r.wantExecuted(nil)

			a.Model = map[string]any{"Name": "m1", "Params": map[string]any{"oob/protected": "yes"}}
			_, err = r.provider.Action(r.Context(), a)
			wantErr(t, err, model.Invalid, "cannot "+info.Command+" m1: param oob/protected must be a boolean, not a string")

			a.Model, a.Params["oob/protected"] = map[string]any{"Name": "m1"}, true // not the machine's own
			if _, err = r.provider.Action(r.Context(), a); err != nil {
				t.Errorf("%s: oob/protected in a request counts: %v", info.Command, err)
			}
		})
	}
}

func TestErrorsNameTheObject(t *testing.T) {
	bubble(t, toy.Native, func(r *rig) {
		_, err := r.run(model.PowerOn, model.Params{"oob/timeout": 0})
		raw, encodeErr := json.Marshal(err)
		want := `{"Model":"machines","Key":"m1","Type":"invalid","Messages":["cannot poweron m1: param oob/timeout must be more than 0"],"Code":400}`
		if encodeErr != nil || string(raw) != want {
			t.Errorf("want %s\n got %s", want, raw)
		}
	})
}

// gossip is a driver whose every error tells the password, in several forms.
type gossip struct{ *toy.Driver }

func (gossip) Open(_ context.Context, t *driver.Target) (driver.Session, error) {
	password := t.Params["toy/password"].(string)
	quoted, err := json.Marshal(password)
	if err != nil {
		return nil, err
	}
	return nil, model.Errorf(model.Conflict, "login\n with %s, %q, %s failed: %w", password, password, quoted, errors.New("x="+password))
}

func TestNoSecretGetsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toy.Native, func(d *toy.Driver) driver.Driver { return gossip{d} })
		r.device.Password = "two\"words\nin it"
		_, err := r.run(model.PowerOn, nil)
		wantErr(t, err, model.Conflict, `cannot poweron m1: open session: login with ******, "******", "******" failed: x=******`)
		if inner := errors.Unwrap(err); inner != nil {
			t.Errorf("the chain still holds %v", inner)
		}
		wantLogged(t, r, "action ended")
	})
}

// FuzzAction: whatever comes as an action, the answer is a result or an error
// of ours.
func FuzzAction(f *testing.F) {
	f.Add([]byte(`{"Model":{"Name":"m1","Uuid":"u1","Params":{}},"Command":"powerstatus","Params":{"oob/timeout":0.01,"toy/address":"x"}}`))
	f.Add([]byte(`{"Model":{"Name":1},"Command":"poweron"}`))
	f.Add([]byte(`{"Model":[null],"Command":"powercycle","Params":{"oob/wait":1}}`))
	f.Add([]byte(`{"Model":{"name":"m1"},"Command":"powersoft","Params":{"oob/force-after":1e300,"oob/timeout":0.01}}`))
	d := &toy.Driver{Dial: func(context.Context, string) (net.Conn, error) { return nil, errors.New("no network") }}
	p := driver.NewProvider(d, driver.Options{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var a model.Action
		if model.Decode(bytes.NewReader(raw), 1<<16, &a) != nil {
			return
		}
		if a.Params == nil {
			a.Params = model.Params{}
		}
		a.Params["oob/timeout"] = 0.01
		_, err := p.Action(t.Context(), &a)
		var e *model.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("error without a kind: %v", err)
		}
	})
}
