package model

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestDecode(t *testing.T) {
	var v any
	if err := Decode(strings.NewReader(" {\"n\": 12345678901234567890.123456789}\n"), 1000, &v); err != nil {
		t.Fatal(err)
	}
	if n := v.(map[string]any)["n"]; n != json.Number("12345678901234567890.123456789") {
		t.Errorf("the number became %v", n)
	}
	raw, err := Marshal(v)
	if err != nil || string(raw) != `{"n":12345678901234567890.123456789}` {
		t.Errorf("it went out as %s, %v", raw, err)
	}
}

// Bodies are bounded, whole and single.
func TestDecodeBounds(t *testing.T) {
	for _, tc := range []struct {
		body  string
		limit int64
		want  string
	}{
		{`[1]`, 3, ""},
		{`[1]`, 2, "cannot read body: larger than 2 bytes"},
		{``, 0, ""},
		{"  \n", 10, ""},
		{`[1`, 10, "cannot parse JSON: unexpected EOF"},
		{`[1] x`, 10, "cannot parse JSON: more than one value"},
		{`[1] [2]`, 10, "cannot parse JSON: more than one value"},
		{`[1]]`, 10, "cannot parse JSON: more than one value"},
		{`{"a":}`, 10, "cannot parse JSON: invalid character '}' looking for beginning of value"},
		{`"a"`, 10, "cannot parse JSON: json: cannot unmarshal string into Go value of type []int"},
		{strings.Repeat("[", 20000), MaxBody, "cannot parse JSON: "},
	} {
		var v []int
		err := Decode(strings.NewReader(tc.body), tc.limit, &v)
		if got := text(err); got != tc.want && (tc.want == "" || !strings.HasPrefix(got, tc.want)) {
			t.Errorf("%.20q: %q, want %q", tc.body, text(err), tc.want)
		}
		if err != nil && KindOf(err) != Invalid {
			t.Errorf("%.20q: kind %s", tc.body, KindOf(err))
		}
	}
	if err := Decode(iotest.ErrReader(io.ErrUnexpectedEOF), 10, new(any)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a broken body: %v", err)
	}
}

// An empty body is the zero value, as with the reference.
func TestUnmarshalEmpty(t *testing.T) {
	a := Action{Command: "kept"}
	if err := Unmarshal(nil, &a); err != nil || a.Command != "kept" {
		t.Errorf("%+v, %v", a, err)
	}
}

// HTML is not escaped, as with the reference.
func TestEncode(t *testing.T) {
	raw, err := Marshal("<a&b>")
	if err != nil || string(raw) != `"<a&b>"` {
		t.Errorf("%s, %v", raw, err)
	}
	if _, err := Marshal(func() {}); err == nil {
		t.Error("a func was encoded")
	}
	if err := Encode(failing{}, 1); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v", err)
	}
}

// failing is a writer that cannot write.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestRemarshal(t *testing.T) {
	var m Machine
	in := map[string]any{"Name": "m1", "Params": map[string]any{"n": json.Number("9007199254740993")}}
	if err := Remarshal(in, &m); err != nil || m.Name != "m1" || m.Params["n"] != json.Number("9007199254740993") {
		t.Errorf("%+v, %v", m, err)
	}
	if err := Remarshal(func() {}, &m); KindOf(err) != Invalid || !strings.HasPrefix(text(err), "cannot encode func()") {
		t.Errorf("%v", err)
	}
	if err := Remarshal([]int{1}, &m); KindOf(err) != Invalid {
		t.Errorf("%v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"Command":"poweron","Params":{"a":1e5}}`))
	f.Add([]byte(`{"Model":null}`))
	f.Add([]byte("\xff"))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, v := range []any{&Action{}, &Event{}, &Error{}, &Machine{}, &PluginProvider{}, &Content{}, &Run{}} {
			if err := Decode(strings.NewReader(string(body)), 1<<16, v); err != nil && KindOf(err) != Invalid {
				t.Errorf("%T: %v", v, err)
			}
		}
	})
}

// TestRemarshalRaw reads JSON that was not decoded as JSON that was.
func TestRemarshalRaw(t *testing.T) {
	for _, v := range []any{json.RawMessage(`{"Name":"m1","Params":{"n":12345678901234567890}}`), map[string]any{"Name": "m1", "Params": Params{"n": json.Number("12345678901234567890")}}} {
		var m Machine
		if err := Remarshal(v, &m); err != nil || m.Name != "m1" || m.Params["n"] != json.Number("12345678901234567890") {
			t.Errorf("%T: %+v, %v", v, m, err)
		}
	}
	var m Machine
	if err := Remarshal(json.RawMessage(`{"Name":`), &m); KindOf(err) != Invalid {
		t.Errorf("broken JSON: %v", err)
	}
}
