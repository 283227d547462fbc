package slack

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestArguments(t *testing.T) {
	const form, object = "application/x-www-form-urlencoded", "application/json; charset=utf-8"
	for name, c := range map[string]struct {
		kind, query, body string
		want              string // url.Values.Encode; "error" for none
	}{
		"form":          {form, "", "a=1&b=x+y", "a=1&b=x+y"},
		"query":         {form, "c=3", "a=1", "a=1&c=3"},
		"bad form":      {form, "", "a=%zz", "error"},
		"bad query":     {form, "c=%zz", "a=1", "error"},
		"object":        {object, "", `{"a":"1","b":2,"c":{"d":[true]},"e":null,"f":"\u0000"}`, "a=1&b=2&c=%7B%22d%22%3A%5Btrue%5D%7D&f=%00"},
		"empty object":  {object, "", " ", ""},
		"bad object":    {object, "", `{"a"`, "error"},
		"list":          {object, "", `[1]`, "error"},
		"many members":  {object, "", "{" + strings.TrimSuffix(strings.Repeat(`"a":1,`, 3), ",") + "}", "a=1"},
		"no kind":       {"", "a=1", "ignored", "a=1"},
		"odd kind":      {";;;", "", "a=1", "error"},
		"other kind":    {"text/plain", "", "a=1", ""},
		"bad multipart": {"multipart/form-data; boundary=x", "", "--x\r\nbroken", "error"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/?"+c.query, strings.NewReader(c.body))
		if c.kind != "" {
			r.Header.Set("Content-Type", c.kind)
		}
		got, err := readForm(httptest.NewRecorder(), r)
		if text := got.Encode(); err != nil && c.want != "error" || err == nil && text != c.want {
			t.Errorf("%s: %q, %v; want %q", name, text, err, c.want)
		}
	}
}

func TestArgumentsAreBounded(t *testing.T) {
	s, _ := start(t, Options{})
	many, members := url.Values{"token": {"x"}}, map[string]string{}
	for i := range maxArguments + 1 {
		many.Set("a"+strings.Repeat("x", i), "1")
		members["a"+strings.Repeat("x", i)] = "1"
	}
	object, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ kind, body string }{
		"a long form":     {"application/x-www-form-urlencoded", "token=x&text=" + strings.Repeat("y", maxBody)},
		"a long object":   {"application/json", `{"text":"` + strings.Repeat("y", maxBody) + `"}`},
		"many arguments":  {"application/x-www-form-urlencoded", many.Encode()},
		"many of objects": {"application/json", string(object)},
	} {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Post(s.URL()+"auth.test", c.kind, strings.NewReader(c.body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		raw, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(string(raw), "invalid_form_data") {
			t.Errorf("%s: %s, %v", name, raw, err)
		}
	}
}

// FuzzCall sends a workspace calls of any kind, and reads what it keeps as a person
// would: nothing panics, and what was refused is not kept.
func FuzzCall(f *testing.F) {
	f.Add("chat.postMessage", "application/x-www-form-urlencoded", []byte("token=x&channel=C1&text=hello"))
	f.Add("chat.postMessage", "application/json", []byte(`{"token":"x","channel":"C1","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"<!channel> <@U1>"}}]}`))
	f.Add("chat.postEphemeral", "application/json", []byte(`{"token":"x","channel":"U1","user":"U1","attachments":[{"color":"#12","blocks":[{"type":"actions","elements":[{"type":"button"}]}]}]}`))
	f.Add("conversations.history", "application/x-www-form-urlencoded", []byte("token=x&channel=C1&limit=-1&cursor=9999999999999999999"))
	f.Add("views.open", "application/json", []byte(`{"token":"x","view":`+asks+`}`))
	f.Add("files.completeUploadExternal", "application/json", []byte(`{"token":"x","files":[{"id":"F1"}]}`))
	f.Add("auth.test", "multipart/form-data; boundary=x", []byte("--x\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nx\r\n--x--"))
	s, err := New(Options{Users: []User{{ID: "U1"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	f.Fuzz(func(t *testing.T, method, kind string, body []byte) {
		before := len(s.Messages())
		r := httptest.NewRequest(http.MethodPost, "/api/x", bytes.NewReader(body))
		r.SetPathValue("method", method)
		r.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		s.serve(w, r)
		var answer struct{ OK *bool }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.OK == nil {
			t.Fatalf("answered %q: %v", w.Body, err)
		}
		all := s.Messages()
		if !*answer.OK && len(all) != before {
			t.Errorf("%s refused and kept %+v", method, all[before:])
		}
		for _, m := range all[min(before, len(all)):] {
			s.Render(m)
			m.Buttons()
		}
		s.acknowledge(body)
	})
}
