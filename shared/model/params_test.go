package model

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// odd are values of every type that JSON or Go code may put into a param.
func odd() []any {
	cycle := map[string]any{}
	cycle["self"] = cycle
	return []any{
		nil, "", "text", Secret("hunter2"), true, 0, 7, int64(7), int32(7), uint(7), 7.5, math.NaN(), math.Inf(1), 1e300,
		json.Number("7"), json.Number("7.5"), json.Number("1e3"), json.Number("1e999"), json.Number("nonsense"), json.Number(""), json.Number("9007199254740993"),
		[]any{}, []any{"a", 1}, []any{nil}, []string{"a"}, map[string]any{}, Params{"a": 1}, map[string]any(nil), Params(nil), struct{}{}, func() {}, make(chan int), (*int)(nil),
		[]byte("x"), time.Second, errors.New("x"), &Error{}, cycle["none"],
	}
}

// access calls every accessor on one param and returns their errors.
func access(p Params, name string) []error {
	var out struct{ A int }
	var free any
	_, e1 := p.String(name, "")
	_, e2 := p.Int(name, 0, 0, 100)
	_, e3 := p.Bool(name, false)
	_, e4 := p.Seconds(name, 0, time.Minute)
	_, e5 := p.Strings(name)
	return []error{e1, e2, e3, e4, e5, p.Object(name, &out), p.Object(name, &free)}
}

// Whatever a param holds, an accessor gives a value or an invalid error that
// names the param.
func TestAccessorsNeverPanic(t *testing.T) {
	for _, v := range odd() {
		for _, err := range access(Params{"ipmi/x": v}, "ipmi/x") {
			if err == nil {
				continue
			}
			if KindOf(err) != Invalid || !strings.Contains(err.Error(), "param ipmi/x") {
				t.Errorf("%T %v: %v", v, v, err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the value is in %v", err)
			}
		}
	}
	for _, err := range access(nil, "ipmi/x") {
		if err != nil {
			t.Errorf("nil params: %v", err)
		}
	}
}

func TestDefaults(t *testing.T) {
	for _, p := range []Params{nil, {}, {"x": nil}} {
		s, _ := p.String("x", "def")
		n, _ := p.Int("x", 623, 1, 65535)
		b, _ := p.Bool("x", true)
		d, _ := p.Seconds("x", time.Second, time.Minute)
		l, _ := p.Strings("x")
		out := 5
		err := p.Object("x", &out)
		if p.Has("x") || s != "def" || n != 623 || !b || d != time.Second || l != nil || out != 5 || err != nil {
			t.Errorf("%v: %q %d %v %v %v %d %v", p, s, n, b, d, l, out, err)
		}
	}
	if !(Params{"x": false}).Has("x") {
		t.Error("a param that is false is not there")
	}
}

func TestInt(t *testing.T) {
	for _, tc := range []struct {
		v    any
		want int64
		err  string
	}{
		{json.Number("443"), 443, ""},
		{json.Number("1e3"), 1000, ""},
		{443, 443, ""},
		{int64(443), 443, ""},
		{443.0, 443, ""},
		{json.Number("9007199254740993"), 9007199254740993, ""},
		{json.Number("443.5"), 0, "param x must be an integer, not a number"},
		{443.5, 0, "param x must be an integer, not a number"},
		{9007199254740992.0, 0, "param x must be an integer, not a number"},
		{json.Number("1e400"), 0, "param x must be an integer, not a number"},
		{"443", 0, "param x must be an integer, not a string"},
		{Secret("443"), 0, "param x must be an integer, not a string"},
		{true, 0, "param x must be an integer, not a boolean"},
		{[]any{}, 0, "param x must be an integer, not an array"},
		{map[string]any{}, 0, "param x must be an integer, not an object"},
		{-1, 0, "param x: -1 is outside 0..9223372036854775807"},
	} {
		got, err := Params{"x": tc.v}.Int("x", 0, 0, math.MaxInt64)
		if got != tc.want || text(err) != tc.err {
			t.Errorf("%T %v: %d, %q", tc.v, tc.v, got, text(err))
		}
	}
}

// text is an error's text without its kind, "" for none.
func text(err error) string {
	if err == nil {
		return ""
	}
	return AsError(err).Text()
}

func TestString(t *testing.T) {
	for _, tc := range []struct {
		v         any
		want, err string
	}{
		{"a", "a", ""}, {"", "", ""}, {Secret("s"), "s", ""},
		{5, "", "param x must be a string, not a number"},
		{json.Number("5"), "", "param x must be a string, not a number"},
		{[]string{"a"}, "", "param x must be a string, not an array"},
		{Params{}, "", "param x must be a string, not an object"},
		{time.Second, "", "param x must be a string, not time.Duration"},
	} {
		got, err := Params{"x": tc.v}.String("x", "")
		if got != tc.want || text(err) != tc.err {
			t.Errorf("%v: %q, %q", tc.v, got, text(err))
		}
	}
}

func TestSeconds(t *testing.T) {
	for _, tc := range []struct {
		v    any
		want time.Duration
		err  string
	}{
		{3, 3 * time.Second, ""},
		{json.Number("0.25"), 250 * time.Millisecond, ""},
		{0, 0, ""},
		{60.0, time.Minute, ""},
		{int64(60), time.Minute, ""},
		{60.5, 0, "param x: 60.5 seconds is outside 0..60"},
		{-1, 0, "param x: -1 seconds is outside 0..60"},
		{math.NaN(), 0, "param x: NaN seconds is outside 0..60"},
		{math.Inf(1), 0, "param x: +Inf seconds is outside 0..60"},
		{json.Number("1e999"), 0, "param x must be a number of seconds, not a number"},
		{"3", 0, "param x must be a number of seconds, not a string"},
	} {
		got, err := Params{"x": tc.v}.Seconds("x", 0, time.Minute)
		if got != tc.want || text(err) != tc.err {
			t.Errorf("%v: %v, %q", tc.v, got, text(err))
		}
	}
}

func TestBoolAndStrings(t *testing.T) {
	if b, err := (Params{"x": true}).Bool("x", false); !b || err != nil {
		t.Errorf("%v, %v", b, err)
	}
	if _, err := (Params{"x": "true"}).Bool("x", false); text(err) != "param x must be a boolean, not a string" {
		t.Errorf("%v", err)
	}
	for _, v := range []any{[]string{"a", "b"}, []any{"a", "b"}} {
		if l, err := (Params{"x": v}).Strings("x"); !reflect.DeepEqual(l, []string{"a", "b"}) || err != nil {
			t.Errorf("%v, %v", l, err)
		}
	}
	if _, err := (Params{"x": []any{"a", true}}).Strings("x"); text(err) != "param x[1] must be a string, not a boolean" {
		t.Errorf("%v", err)
	}
	if _, err := (Params{"x": "a"}).Strings("x"); text(err) != "param x must be an array of strings, not a string" {
		t.Errorf("%v", err)
	}
}

func TestObject(t *testing.T) {
	var out struct {
		Host, Password string
		Port           int
		Free           any
	}
	p := Params{"x": map[string]any{"Host": "h", "Password": Secret("s3cret"), "Port": json.Number("443"), "Free": []any{json.Number("9007199254740993")}}}
	if err := p.Object("x", &out); err != nil || out.Password != "s3cret" || out.Port != 443 || !reflect.DeepEqual(out.Free, []any{json.Number("9007199254740993")}) {
		t.Errorf("%+v, %v", out, err)
	}
	for want, v := range map[string]any{
		`param x: field "Port" must be a int, not a string`: Params{"Port": "hunter2"},
		`param x: field "Port" must be a int, not a number`: Params{"Port": json.Number("99999999999999999999")},
		`param x: field "" must be a `:                      []any{"hunter2"},
		`param x: json: unsupported type: func()`:           func() {},
	} {
		err := Params{"x": v}.Object("x", &out)
		if KindOf(err) != Invalid || !strings.HasPrefix(text(err), want) || strings.Contains(text(err), "hunter2") || strings.Contains(text(err), "9999") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func FuzzParams(f *testing.F) {
	for _, seed := range []string{`{"x":1}`, `{"x":"a"}`, `{"x":[1,"a",null]}`, `{"x":{"A":"b"}}`, `{"x":1e999}`, `{"x":-0.0}`, `{"x":9223372036854775808}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var p Params
		if Unmarshal(raw, &p) != nil {
			return
		}
		for name := range p {
			for _, err := range access(p, name) {
				if err != nil && KindOf(err) != Invalid {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		for name, v := range RedactParams(p, nil) {
			if SecretName(name) && v != nil && v != Masked {
				t.Errorf("%s is not masked", name)
			}
		}
		SecretValues(p, nil)
	})
}
