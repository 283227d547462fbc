package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// However a Secret is shown, its value is not.
func TestSecretNeverShows(t *testing.T) {
	const value = "hunter2"
	s := Secret(value)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("login", "password", s, "params", Params{"x": s})
	slog.New(slog.NewJSONHandler(&log, nil)).Info("login", "password", s, "params", Params{"x": s})
	raw, err := json.Marshal(map[string]any{"a": s, "b": []Secret{s}})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{
		log.String(), string(raw), fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s),
		fmt.Sprintf("%v %#v", struct{ P Secret }{s}, struct{ P Secret }{s}), fmt.Sprint(Params{"x": s}), Errorf(Invalid, "cannot use %v", s).Error(),
	} {
		if strings.Contains(shown, value) || !strings.Contains(shown, Masked) {
			t.Errorf("got %s", shown)
		}
	}
}

func TestSecretName(t *testing.T) {
	for name, want := range map[string]bool{
		"ipmi/password": true, "ipmi/configure/password": true, "packet/api-key": true, "slack/bot-key": true, "slack/bot-token": true, "ipmi/kg": true,
		"Password": true, "userPassword": true, "PasswordHash": true, "botToken": true, "BotToken": true, "apiKey": true, "apikey": true, "api_key": true, "client-secret": true, "secrets": true, "passphrase": true,
		"credentials": true, "aws/credential": true, "IPMI_PASSWORD": true, "pwd": true, "passwd": true,
		"ipmi/address": false, "ipmi/username": false, "ipmi/mode": false, "password-file": false, "pubkey": false, "access/public-key": false, "keyboard": false, "passive": false, "tokenize": false,
		"secretary": false, "ipmi/configure/generate-random-password": false, "ipmi/configure/random-password-settings": false, "": false, "/": false, "package": false, "kgs": false,
	} {
		if got := SecretName(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// declared takes one name for Secure.
func declared(name string) bool { return name == "site/pin" }

func TestRedactParams(t *testing.T) {
	in := Params{
		"ipmi/address": "10.0.0.1", "ipmi/password": "hunter2", "site/pin": json.Number("1234"), "empty-password": nil, "count": 5,
		"nested": map[string]any{"password": "hunter2", "list": []any{map[string]any{"token": []any{"hunter2"}}, "plain"}},
		"params": Params{"api-key": "hunter2"},
		"go":     struct{ Password, Host string }{"hunter2", "h"},
		"map":    map[string]string{"secret": "hunter2", "a": "b"},
		"typed":  Secret("hunter2"),
		"func":   func() {},
	}
	want := Params{
		"ipmi/address": "10.0.0.1", "ipmi/password": Masked, "site/pin": Masked, "empty-password": nil, "count": 5,
		"nested": map[string]any{"password": Masked, "list": []any{map[string]any{"token": Masked}, "plain"}},
		"params": Params{"api-key": Masked},
		"go":     map[string]any{"Password": Masked, "Host": "h"},
		"map":    map[string]any{"secret": Masked, "a": "b"},
		"typed":  Masked,
		"func":   Masked,
	}
	got := RedactParams(in, declared)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if in["ipmi/password"] != "hunter2" || in["nested"].(map[string]any)["password"] != "hunter2" {
		t.Error("the original was changed")
	}
	if RedactParams(nil, nil) != nil {
		t.Error("nil params became something")
	}
}

func TestSecretValues(t *testing.T) {
	got := SecretValues(Params{
		"ipmi/address": "10.0.0.1", "ipmi/password": "hunter2", "site/pin": json.Number("123456789"), "x": Secret("typed"),
		"tokens": []any{"one-token", map[string]any{"any": "two-token-long"}}, "kg": []string{"kg-value"}, "nested": Params{"secret": "deep"}, "list": []any{map[string]any{"passwd": "in list"}},
	}, declared)
	want := []string{"two-token-long", "one-token", "123456789", "kg-value", "hunter2", "in list", "typed", "deep"}
	for i := 1; i < len(got); i++ {
		if len(got[i]) > len(got[i-1]) {
			t.Errorf("%v is not longest first", got)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRedact(t *testing.T) {
	for _, tc := range []struct {
		text   string
		values []string
		want   string
	}{
		{"login root/hunter2 failed", []string{"hunter2"}, "login root/****** failed"},
		{"abcdef abcd", []string{"abcd", "abcdef"}, "****** ******"},
		{"one cat", []string{"cat", ""}, "one cat"},
		{`{"p":"a\"b\\c"}`, []string{`a"b\c`}, `{"p":"******"}`},
		{`{"p":"\u003cpw\u003e"} <pw>`, []string{`<pw>`}, `{"p":"******"} ******`},
		{"GET /?token=p%40ss+w%2Frd", []string{"p@ss w/rd"}, "GET /?token=******"},
		{"GET /p@ss%20w%2Frd", []string{"p@ss w/rd"}, "GET /******"},
		{`bad "caf\u00e9" or "café"`, []string{"café"}, `bad "caf\u00e9" or "******"`},
		{`tab "a\tb12"`, []string{"a\tb12"}, `tab "******"`},
		{"nothing", nil, "nothing"},
	} {
		if got := Redact(tc.text, tc.values); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.text, got, tc.want)
		}
	}
}
