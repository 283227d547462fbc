package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"provision-plugins/shared/model"
)

func TestResultTexts(t *testing.T) {
	tests := []struct {
		name, raw     string
		alone, folded string
	}{
		{"state", `{"power":"on","raw":"Chassis Power is on","tookMs":3}`, "on", "on"},
		{"unknown word", `{"power":"unknown","raw":"standby","tookMs":3}`, "unknown (standby)", "unknown (standby)"},
		{"unknown without a word", `{"power":"unknown","tookMs":3}`, "unknown", "unknown"},
		{"transition", `{"power":"transition","tookMs":3}`, "transition", "transition"},
		{"verified", `{"power":"on","changed":true,"outcome":"verified","evidence":"off at 1.2s, on at 6.0s"}`,
			"on (verified: off at 1.2s, on at 6.0s)", "on (verified)"},
		{"acknowledged", `{"outcome":"acknowledged"}`, "done (acknowledged)", "done (acknowledged)"},
		{"unchanged", `{"power":"off","changed":false,"outcome":"verified","evidence":"off at 0.1s","note":"nothing was sent"}`,
			"already off (verified: off at 0.1s)", "already off (verified)"},
		{"note", `{"power":"on","changed":true,"outcome":"verified","note":"it was off: switched on"}`,
			"on (verified); it was off: switched on", "on (verified); it was off: switched on"},
		{"note with a time", `{"outcome":"acknowledged","note":"lit for 15s"}`, "done (acknowledged); lit for 15s", "done (acknowledged)"},
		{"accepted", `{"outcome":"accepted","run":"r1","tookMs":0}`, "accepted, run r1", "accepted"},
		{"accepted without a run", `{"outcome":"accepted"}`, "accepted", "accepted"},
		{"boot", `{"boot":{"device":"pxe","persistent":false,"uefi":true,"valid":true},"outcome":"verified","evidence":"parameter 5"}`,
			"pxe, next boot only, UEFI (verified: parameter 5)", "pxe, next boot only, UEFI (verified)"},
		{"boot read", `{"boot":{"device":"disk","persistent":true,"uefi":false,"valid":true},"evidence":"read"}`,
			"disk, every boot (read)", "disk, every boot"},
		{"no override", `{"boot":{"device":"none","persistent":false,"uefi":false,"valid":false}}`, "no override", "no override"},
		{"other device", `{"boot":{"device":"other","raw":"0x3c","valid":true}}`, "other (0x3c), next boot only", "other (0x3c), next boot only"},
		{"health", `{"Status":"OK","MemoryStatus":"OK","note":"1 sensor"}`, "OK; 1 sensor", "OK; 1 sensor"},
		{"bad health", `{"Status":"Critical","EthernetStatus":"Warning","SimpleStorageStatus":"Critical"}`,
			"Critical (ethernet Warning, simple storage Critical)", "Critical (ethernet Warning, simple storage Critical)"},
		{"text", `"Chassis Power is on\n"`, "Chassis Power is on\n", "Chassis Power is on\n"},
		{"bare", `{ "a": [1, 2] }`, `{"a":[1,2]}`, `{"a":[1,2]}`},
		{"null", `null`, "done", "done"},
		{"nothing", ``, "done", "done"},
		{"no JSON", `{`, "done", "done"},
	}
	for _, tt := range tests {
		ans := answer{raw: json.RawMessage(tt.raw)}
		if got := ans.text(); got != tt.alone {
			t.Errorf("%s: alone %q, want %q", tt.name, got, tt.alone)
		}
		if got := ans.foldKey(); got != tt.folded {
			t.Errorf("%s: folded %q, want %q", tt.name, got, tt.folded)
		}
	}
}

func TestBareTextIsCut(t *testing.T) {
	got := bareText(json.RawMessage(`"` + strings.Repeat("ä", maxShown) + `"`))
	if len(got) > maxShown+40 || !strings.HasSuffix(got, "... (--json prints all)") {
		t.Errorf("got %d bytes ending in %q", len(got), got[len(got)-30:])
	}
}

func TestErrorTexts(t *testing.T) {
	tests := []struct {
		name          string
		err           *model.Error
		alone, folded string
	}{
		{"name first", model.Errorf(model.Unreachable, "m7: cannot open a session with 10.0.0.7:623: no answer in 4.1s"),
			"unreachable: cannot open a session with 10.0.0.7:623: no answer in 4.1s",
			"unreachable: cannot open a session with ADDRESS: no answer in TIME"},
		{"name inside", model.Errorf(model.DeviceAuth, "cannot log in at m7 (bmc7.example.org)"),
			"device-auth: cannot log in at m7 (bmc7.example.org)", "device-auth: cannot log in at NAME (ADDRESS)"},
		{"IPv6", model.Errorf(model.Unreachable, "no answer from [fd00::7]:623"),
			"unreachable: no answer from [fd00::7]:623", "unreachable: no answer from ADDRESS"},
		{"kind in the text", model.Errorf(model.Busy, "busy: powercycle is running"), "busy: powercycle is running", "busy: powercycle is running"},
		{"unknown outcome", model.Errorf(model.UnknownOutcome, "look (run run-7)"), "unknown-outcome: look (run run-7)", "unknown-outcome: look (run RUN)"},
		{"unknown outcome without its run", model.Errorf(model.UnknownOutcome, "look before you act"),
			"unknown-outcome: look before you act (run run-7)", "unknown-outcome: look before you act"},
		{"another run", model.Errorf(model.Conflict, "run 0198f2a1-0000-7000-8000-00000000000a is not over"),
			"conflict: run 0198f2a1-0000-7000-8000-00000000000a is not over", "conflict: run ID is not over"},
		{"reference style", &model.Error{Type: "INVOKE", Code: 404, Messages: []string{"Not Found"}}, "not-found: Not Found", "not-found: Not Found"},
	}
	for _, tt := range tests {
		ans := answer{machine: machine{name: "m7", uuid: "u7", address: "bmc7.example.org"}, run: "run-7", err: tt.err}
		if got := ans.text(); got != tt.alone {
			t.Errorf("%s: alone %q, want %q", tt.name, got, tt.alone)
		}
		if got := ans.foldKey(); got != tt.folded {
			t.Errorf("%s: folded %q, want %q", tt.name, got, tt.folded)
		}
	}
}

func TestReplaceWord(t *testing.T) {
	tests := []struct{ text, value, want string }{
		{"m1", "m1", "NAME"},
		{"m1: m1, m1.", "m1", "NAME: NAME, NAME."},
		{"m10 and xm1 and m1-a", "m1", "m10 and xm1 and m1-a"},
		{"m1m1 m1", "m1", "m1m1 NAME"},
		{"nothing", "m1", "nothing"},
	}
	for _, tt := range tests {
		if got := replaceWord(tt.text, tt.value, "NAME"); got != tt.want {
			t.Errorf("replaceWord(%q, %q) = %q, want %q", tt.text, tt.value, got, tt.want)
		}
	}
}

// FuzzAnswer renders whatever an endpoint could answer.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"power":"on","outcome":"verified"}`), "m1", "m1: cannot reach 10.0.0.1:623 in 3s")
	f.Add([]byte(`"on\u001b[2J\n"`), "", "")
	f.Add([]byte(`{"Status":null,"boot":[]}`), "[", "\xff")
	f.Fuzz(func(t *testing.T, raw []byte, name, message string) {
		m := machine{name: name, address: "a"}
		for _, ans := range []answer{
			{machine: m, raw: raw},
			{machine: m, run: name, err: model.Errorf(model.Busy, "%s", message)},
		} {
			for _, text := range []string{ans.text(), ans.foldKey()} {
				if strings.ContainsFunc(clean(text), unicode.IsControl) {
					t.Fatalf("%q lets a control character through", clean(text))
				}
			}
		}
	})
}
