package client

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// seen is a request as the endpoint saw it.
type seen struct{ method, uri, body string }

// recorder answers every request with one body and keeps the last request.
func recorder(t *testing.T, status int, body string) (*Client, *seen) {
	t.Helper()
	last := &seen{}
	c := onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		*last = seen{r.Method, r.RequestURI, string(raw)}
		w.Header().Set(countHeader, "7")
		answer(status, body)(w, r)
	}))
	return c, last
}

func TestObjectRequests(t *testing.T) {
	const one = `{"Name":"m1","Uuid":"u1","Params":{"n":12345678901234567890}}`
	c, last := recorder(t, 200, one)
	ctx, m := t.Context(), c.Machines()
	calls := []struct {
		name string
		call func() (*model.Machine, error)
		want seen
	}{
		{"get", func() (*model.Machine, error) { return m.Get(ctx, "Name:m 1/x") }, seen{"GET", "/api/v3/machines/Name:m%201%2Fx", ""}},
		{"replace", func() (*model.Machine, error) { return m.Replace(ctx, "u1", nil) }, seen{"PUT", "/api/v3/machines/u1", "null"}},
		{"delete", func() (*model.Machine, error) { return m.Delete(ctx, "u1") }, seen{"DELETE", "/api/v3/machines/u1", ""}},
		{
			"patch", func() (*model.Machine, error) {
				return m.Patch(ctx, "u1", Test("/Name", "m1"), Add(Pointer("Params", "a/b~c"), 1), Replace("/Name", "<m2>"), Remove("/Params/x"))
			},
			seen{"PATCH", "/api/v3/machines/u1", `[{"op":"test","path":"/Name","from":"","value":"m1"},` +
				`{"op":"add","path":"/Params/a~1b~0c","from":"","value":1},{"op":"replace","path":"/Name","from":"","value":"<m2>"},` +
				`{"op":"remove","path":"/Params/x","from":"","value":null}]`},
		},
	}
	for _, tt := range calls {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.call()
			if err != nil {
				t.Fatal(err)
			}
			if *last != tt.want {
				t.Errorf("asked %v,\nwant %v", *last, tt.want)
			}
			if n, _ := got.Params["n"].(json.Number); got.Uuid != "u1" || n != "12345678901234567890" {
				t.Errorf("got %+v", got)
			}
		})
	}
	made, err := m.Create(ctx, model.NewMachine("m1"))
	if err != nil || made.Uuid != "u1" || last.method != "POST" || last.uri != "/api/v3/machines" || !strings.Contains(last.body, `"Name":"m1"`) {
		t.Errorf("create: %v, %v, %v", made, err, *last)
	}
	if n, err := m.Count(ctx, Query{Limit: 1}); n != 7 || err != nil || *last != (seen{"HEAD", "/api/v3/machines?limit=1", ""}) {
		t.Errorf("count: %d, %v, %v", n, err, *last)
	}
}

func TestKinds(t *testing.T) {
	c, last := recorder(t, 200, "{}")
	ctx := t.Context()
	for want, call := range map[string]func() error{
		"/api/v3/plugins/p":           func() error { _, err := c.Plugins().Get(ctx, "p"); return err },
		"/api/v3/plugin_providers/p":  func() error { _, err := c.Providers().Get(ctx, "p"); return err },
		"/api/v3/profiles/global":     func() error { _, err := c.Profiles().Get(ctx, model.GlobalProfile); return err },
		"/api/v3/params/ipmi/a%20b":   func() error { _, err := c.Params().Get(ctx, "ipmi/a b"); return err },
		"/api/v3/runs/r1":             func() error { _, err := c.Runs().Get(ctx, "r1"); return err },
		"/api/v3/stages/s%3Fx":        func() error { _, err := Of[model.Run](c, "stages").Get(ctx, "s?x"); return err },
		"/api/v3/info":                func() error { _, err := Fetch[model.Info](ctx, c, "info"); return err },
		"/api/v3/machines/u1/actions": func() error { _, err := c.Machines().Actions(ctx, "u1", ""); return ignoreInvalid(err) },
		"/api/v3/machines/u1/actions?plugin=a%26b": func() error {
			_, err := c.Machines().Actions(ctx, "u1", "a&b")
			return ignoreInvalid(err)
		},
		"/api/v3/machines/u1/actions/poweron?plugin=ipmi": func() error {
			_, err := c.Machines().Action(ctx, "u1", model.PowerOn, "ipmi")
			return err
		},
	} {
		if err := call(); err != nil || last.uri != want || last.method != "GET" {
			t.Errorf("want %s: asked %v, %v", want, *last, err)
		}
	}
}

// ignoreInvalid drops the error of an answer that is not a list.
func ignoreInvalid(err error) error {
	if model.KindOf(err) == model.Internal {
		return nil
	}
	return err
}

func TestQueries(t *testing.T) {
	tests := []struct {
		q    Query
		want string
	}{
		{Query{}, ""},
		{Query{Filters: []Filter{Where("Name", AsGiven, "m1")}}, "?Name=m1"},
		{Query{Filters: []Filter{Where("Name", Eq, "Ne(x)")}}, "?Name=Eq%28Ne%28x%29%29"},
		{Query{Filters: []Filter{Where("virtualbox/id", Eq, "X")}}, "?virtualbox%2Fid=Eq%28X%29"},
		{Query{Filters: []Filter{Where("Created", Between, "1", "2")}}, "?Created=Between%281%2C2%29"},
		{Query{Filters: []Filter{Where("A", Gt, "1"), Where("A", Lt, "9")}}, "?A=Gt%281%29&A=Lt%289%29"},
		{Query{Sort: "Name", Reverse: true, Limit: 10, Offset: 20}, "?limit=10&offset=20&reverse=true&sort=Name"},
	}
	for _, tt := range tests {
		if got := tt.q.suffix(); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.q, got, tt.want)
		}
	}
	c, last := recorder(t, 200, `[{"Name":"a"},{"Name":"b"}]`)
	list, err := c.Machines().List(t.Context(), Query{Sort: "Name"})
	if err != nil || len(list) != 2 || list[1].Name != "b" || last.uri != "/api/v3/machines?sort=Name" {
		t.Errorf("got %v, %v, asked %v", list, err, *last)
	}
}

func TestParamRequests(t *testing.T) {
	c, last := recorder(t, 200, `12345678901234567890`)
	ctx, m := t.Context(), c.Machines()
	const base = "/api/v3/machines/u1/params/ipmi/x%20y"
	calls := []struct {
		name string
		call func() (any, error)
		want seen
	}{
		{"get", func() (any, error) { return m.Param(ctx, "u1", "ipmi/x y", View{}) }, seen{"GET", base, ""}},
		{
			"get all there is", func() (any, error) { return m.Param(ctx, "u1", "ipmi/x y", View{Aggregate: true, Decode: true}) },
			seen{"GET", base + "?aggregate=true&decode=true", ""},
		},
		{"set", func() (any, error) { return m.SetParam(ctx, "u1", "ipmi/x y", []int{1}) }, seen{"POST", base, "[1]"}},
		{"unset", func() (any, error) { return m.RemoveParam(ctx, "u1", "ipmi/x y") }, seen{"DELETE", base, ""}},
	}
	for _, tt := range calls {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.call()
			if err != nil || got != json.Number("12345678901234567890") || *last != tt.want {
				t.Errorf("got %v, %v; asked %v, want %v", got, err, *last, tt.want)
			}
		})
	}
	c, last = recorder(t, 200, `{"a":1.50}`)
	want := model.Params{"a": json.Number("1.50")}
	if got, err := c.Machines().Params(ctx, "u1", View{}); err != nil || !reflect.DeepEqual(got, want) || last.uri != "/api/v3/machines/u1/params" {
		t.Errorf("all: %v, %v, %v", got, err, *last)
	}
	if got, err := c.Machines().SetParams(ctx, "u1", want); err != nil || !reflect.DeepEqual(got, want) || *last != (seen{"POST", "/api/v3/machines/u1/params", `{"a":1.50}`}) {
		t.Errorf("set all: %v, %v, %v", got, err, *last)
	}
	c, _ = recorder(t, 200, `null`)
	if got, err := c.Machines().Param(ctx, "u1", "unset", View{}); got != nil || err != nil {
		t.Errorf("a param that is not set: %v, %v", got, err)
	}
}

// TestObjectErrors checks that every call gives the endpoint's error as it is,
// and no object beside it.
func TestObjectErrors(t *testing.T) {
	c, _ := recorder(t, 409, `{"Model":"machines","Key":"u1","Type":"conflict","Messages":["held by run 7"],"Code":409}`)
	ctx, m := t.Context(), c.Machines()
	for name, call := range map[string]func() (any, error){
		"get":     func() (any, error) { return m.Get(ctx, "u1") },
		"list":    func() (any, error) { return m.List(ctx, Query{}) },
		"create":  func() (any, error) { return m.Create(ctx, nil) },
		"replace": func() (any, error) { return m.Replace(ctx, "u1", nil) },
		"patch":   func() (any, error) { return m.Patch(ctx, "u1") },
		"delete":  func() (any, error) { return m.Delete(ctx, "u1") },
		"params":  func() (any, error) { return m.Params(ctx, "u1", View{}) },
		"param":   func() (any, error) { return m.Param(ctx, "u1", "p", View{}) },
		"set":     func() (any, error) { return m.SetParam(ctx, "u1", "p", 1) },
		"set all": func() (any, error) { return m.SetParams(ctx, "u1", nil) },
		"unset":   func() (any, error) { return m.RemoveParam(ctx, "u1", "p") },
		"actions": func() (any, error) { return m.Actions(ctx, "u1", "") },
		"action":  func() (any, error) { return m.Action(ctx, "u1", "poweron", "") },
	} {
		got, err := call()
		var e *model.Error
		if !errors.As(err, &e) || e.Kind() != model.Conflict || e.Error() != "conflict: machines/u1: held by run 7" {
			t.Errorf("%s: %v", name, err)
		}
		if v := reflect.ValueOf(got); v.IsValid() && !v.IsNil() {
			t.Errorf("%s: %v beside an error", name, got)
		}
	}
	if _, err := m.Count(ctx, Query{}); model.KindOf(err) != model.Conflict {
		t.Errorf("count: %v", err)
	}
	c = onSocket(t, answer(200, ""))
	if _, err := c.Machines().Count(ctx, Query{}); model.KindOf(err) != model.Internal || !strings.Contains(err.Error(), "no count in header") {
		t.Errorf("no count: %v", err)
	}
}

// TestChangesAreSentOnce loses the reply to every changing call: each is told as
// unknown, and reached the endpoint once.
func TestChangesAreSentOnce(t *testing.T) {
	arrived := make(chan string, 100)
	c := onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- r.Method
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			conn.Close()
		}
	}))
	ctx, m := t.Context(), c.Machines()
	for name, call := range map[string]func() error{
		"create":  func() error { _, err := m.Create(ctx, nil); return err },
		"replace": func() error { _, err := m.Replace(ctx, "u1", nil); return err },
		"patch":   func() error { _, err := m.Patch(ctx, "u1"); return err },
		"delete":  func() error { _, err := m.Delete(ctx, "u1"); return err },
		"set":     func() error { _, err := m.SetParam(ctx, "u1", "p", 1); return err },
		"set all": func() error { _, err := m.SetParams(ctx, "u1", nil); return err },
		"unset":   func() error { _, err := m.RemoveParam(ctx, "u1", "p"); return err },
	} {
		if err := call(); model.KindOf(err) != model.UnknownOutcome {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(arrived); n != 1 {
			t.Errorf("%s: arrived %d times", name, n)
		}
		for len(arrived) > 0 {
			<-arrived
		}
	}
	if _, err := m.Get(ctx, "u1"); model.KindOf(err) != model.Unreachable {
		t.Errorf("get: %v", err)
	}
}
