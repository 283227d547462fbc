package endpoint

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"provision-plugins/endpoint/auth"
	"provision-plugins/shared/model"
)

// FuzzAPI sends whatever comes to every route: there is an answer, of the
// reference's shape if it is an error, and never the blame on the endpoint.
func FuzzAPI(f *testing.F) {
	r := start(f)
	routes := r.allRoutes()
	for i, body := range []string{
		"", "{}", "[]", "null", `"x"`, `{"Name":"a","Params":{"x":1}}`, `[{"op":"add","path":"/Params/x","from":"","value":{}}]`, `{"Name":7}`, "{", `[{"op":"test"}]`,
		`{"defaultStage":"x"}`, `{"Type":"a","Action":"b"}`, `{"meta":{"Name":"c"},"sections":{"params":{"p":7}}}`, `{"Password":"x"}`, `{"Name":"u","Roles":[7]}`,
	} {
		for j := range routes {
			if (i+j)%7 == 0 {
				f.Add(uint16(j), "m1", "sort=Name&limit=3", body)
			}
		}
	}
	f.Add(uint16(0), "Name:m1", "Name=Re(x)&slim=Params&params=a&aggregate=true&decode=true", "{}")
	f.Fuzz(func(t *testing.T, route uint16, key, query, body string) {
		pattern := routes[int(route)%len(routes)]
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.NewReplacer("Name:m1", url.PathEscape(key)).Replace(examplePath(path))
		u, err := url.Parse("http://unix" + apiRoot + path)
		if err != nil || strings.Contains(pattern, "/log") {
			return
		}
		u.RawQuery = query
		req := httptest.NewRequestWithContext(t.Context(), method, "http://unix/", strings.NewReader(body))
		req.URL = u
		who := caller{name: "user:fuzz", grant: auth.AllGrant()}
		w := &recorder{ResponseRecorder: httptest.NewRecorder()}
		h, _ := r.e.api.lookup(req)
		h.ServeHTTP(w, req.WithContext(withCaller(req.Context(), who)))
		raw := w.Body.Bytes()
		if w.Code == http.StatusInternalServerError || w.Code < 200 {
			t.Errorf("%s %s?%s %q: %d: %s", method, u.Path, query, body, w.Code, raw)
		}
		if w.Code < 400 || w.Code == http.StatusNotFound && !json.Valid(raw) { // the mux's own
			return
		}
		var e model.Error
		if err := json.Unmarshal(raw, &e); err != nil || e.Code != w.Code || len(e.Messages) == 0 {
			t.Errorf("%s %s?%s %q: %d: %s", method, u.Path, query, body, w.Code, raw)
		}
	})
}

// recorder is a response recorder on which bounds can be set.
type recorder struct{ *httptest.ResponseRecorder }

// SetReadDeadline bounds nothing: there is no connection.
func (*recorder) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline bounds nothing.
func (*recorder) SetWriteDeadline(time.Time) error { return nil }
