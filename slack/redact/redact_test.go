package redact

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// event is one whose object has params.
func event(params model.Params) *model.Event {
	return &model.Event{Object: map[string]any{"Name": "m1", "Params": map[string]any(params)}}
}

// pin names a param that is Secure though its name does not say so.
func pin(name string) bool { return name == "site/pin" }

func TestSecureValues(t *testing.T) {
	r := New()
	r.Configure(nil, "xoxb-own")
	e := event(model.Params{
		"ipmi/password": "hunter2hunter", "site/pin": json.Number("123456"), "site/rack": "rack seven", "ssh/key": []any{"AAAA-one", "BBBB-two"},
		"short/password": "abc", "masked/password": model.Masked,
		"nested": map[string]any{"token": "deep-token", "plain": "plain-text"},
	})
	e.Original = model.Machine{Params: model.Params{"ipmi/password": "older-secret"}}
	r.Learn(e, pin)
	got := r.Text("hunter2hunter older-secret 123456 rack seven AAAA-one BBBB-two abc deep-token plain-text xoxb-own " + model.Masked)
	want := strings.ReplaceAll("* * * rack seven * * abc * plain-text * *", "*", model.Masked)
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if s := r.String(); !strings.HasPrefix(s, "0 patterns, ") || strings.Contains(s, "hunter") {
		t.Errorf("it says %s", s)
	}
}

// What an event showed once stays a secret for those that follow.
func TestValuesAreRemembered(t *testing.T) {
	r := New()
	r.Learn(event(model.Params{"a/password": "first-secret"}), nil)
	r.Learn(event(nil), nil)
	r.Learn(&model.Event{Object: func() {}}, nil)
	r.Learn(&model.Event{Object: []int{1}}, nil)
	if got := r.Text("first-secret"); got != model.Masked {
		t.Errorf("%s", got)
	}
	for i := range maxValues + 10 {
		r.Learn(event(model.Params{"a/password": fmt.Sprintf("secret-%06d", i)}), nil)
	}
	if len(r.known) > maxValues {
		t.Errorf("%d values are remembered", len(r.known))
	}
	if got := r.Text(fmt.Sprintf("secret-%06d", maxValues+9)); got != model.Masked {
		t.Errorf("the newest is %s", got)
	}
}

func TestPatterns(t *testing.T) {
	p, err := Parse([]any{`cust-[0-9]+`, `(?i)project \w+`})
	if err != nil {
		t.Fatal(err)
	}
	r := New()
	r.Configure(p)
	if got := r.Text("rack of cust-4711 and Project Icarus, $1"); got != "rack of "+model.Masked+" and "+model.Masked+", $1" {
		t.Errorf("%s", got)
	}
	if p, err := Parse(nil); p != nil || err != nil {
		t.Errorf("nothing is %v, %v", p, err)
	}
	many := make([]any, maxPatterns+1)
	for i := range many {
		many[i] = "x"
	}
	for want, value := range map[string]any{
		"no list of texts":    5,
		"pattern 2: error":    []any{"ok", "("},
		"pattern 1 is empty":  []any{""},
		"longer than 1000":    []any{strings.Repeat("x", maxPattern+1)},
		"it would match ever": []any{"a*"},
		"101 patterns":        many,
	} {
		if _, err := Parse(value); err == nil || !strings.Contains(err.Error(), want) || model.KindOf(err) != model.Invalid {
			t.Errorf("%.40v: %v, want %q", value, err, want)
		}
	}
}

// A text of any length is done with soon, and what is left of it is masked.
func TestLongText(t *testing.T) {
	r := New()
	r.Learn(event(model.Params{"a/password": "the-secret"}), nil)
	got := r.Text(strings.Repeat("x", 3*maxScan) + "the-secret")
	if len(got) > maxScan+10 || strings.Contains(got, "the-secret") || !strings.HasSuffix(got, model.Masked) {
		t.Errorf("%d bytes, %s", len(got), got[len(got)-20:])
	}
}

// No text with a value in it comes out with it.
func FuzzText(f *testing.F) {
	f.Add("before ", "s3cr3t", " after")
	f.Fuzz(func(t *testing.T, before, value, after string) {
		if len(value) < minValue || strings.Contains(model.Masked, value) || strings.Contains(value, "*") {
			return
		}
		r := New()
		r.Learn(event(model.Params{"x/password": value}), nil)
		if got := r.Text(before + value + after); len(before+value+after) < maxScan && strings.Contains(got, value) {
			t.Errorf("%q is in %q", value, got)
		}
	})
}

// The key of a run names what it acts on: it is no secret, whatever it is called,
// and what is secret beside it still is.
func TestKeysOfRuns(t *testing.T) {
	r := New()
	run := model.Run{Key: "slack", Name: "slack", Prefix: "plugins", Error: model.Errorf(model.Invalid, "no").On("plugins", "slack")}
	r.Learn(&model.Event{Type: "runs", Object: run}, nil)
	plain := map[string]any{"Key": "rack1n07", "Params": map[string]any{"a/key": "the-secret"}}
	r.Learn(&model.Event{Type: "runs", Object: plain}, nil)
	if got := r.Text("slack rack1n07 the-secret"); got != "slack rack1n07 "+model.Masked {
		t.Errorf("%s", got)
	}
	if plain["Key"] != "rack1n07" {
		t.Errorf("the event was changed: %v", plain)
	}
	r.Learn(&model.Event{Type: "others", Object: map[string]any{"Key": "another-secret"}}, nil)
	if got := r.Text("another-secret"); got != model.Masked {
		t.Errorf("%s", got)
	}
}
