package endpoint

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// endless repeats a text.
type endless struct {
	text string
	at   int
}

// Read never ends.
func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.text[e.at]
		e.at = (e.at + 1) % len(e.text)
	}
	return len(p), nil
}

// long is a list of so many bytes that nobody holds in memory.
func long(n int64) io.Reader {
	return io.MultiReader(strings.NewReader("[0"), io.LimitReader(&endless{text: ",0"}, n-3), strings.NewReader("]"))
}

// Each body that no client would send is refused with one line and a status of the
// client's, by each kind of route, over both listeners, and costs the endpoint no
// memory that it keeps.
func TestHostileBodies(t *testing.T) {
	r := start(t, "toy")
	r.ready("toy")
	uuid := r.machine("m1", nil)
	const large = 45 << 20
	bodies := map[string]struct {
		body   func() io.Reader
		length int64 // -1: not announced
	}{
		"45 MB":              {func() io.Reader { return long(large) }, large},
		"45 MB in pieces":    {func() io.Reader { return long(large) }, -1},
		"500,000 lists deep": {text(strings.Repeat("[", 500_000)), 500_000},
		"500,000 deep, whole": {
			text(`{"Params":{"a":` + strings.Repeat("[", 500_000) + strings.Repeat("]", 500_000) + "}}"), -1,
		},
		"truncated":        {text(`{"Name":"x","Params":{"a":`), -1},
		"truncated text":   {text(`{"Name":"x`), -1},
		"another type":     {text(`"x"`), -1},
		"a type inside":    {text(`{"Name":7,"Params":[],"Object":7,"op":7}`), -1},
		"twice the key":    {text(`{"Name":"a","Name":"b","Params":{"a":1},"Params":{"a":2}}`), -1},
		"NaN":              {text(`{"Params":{"a":NaN}}`), -1},
		"Infinity":         {text(`{"Params":{"a":-Infinity}}`), -1},
		"out of range":     {text(`{"Params":{"a":1e999}}`), -1},
		"not UTF-8":        {text("{\"Name\":\"a\xff\xfe\",\"Params\":{\"a\xc0\":1}}"), -1},
		"text after":       {text(`{"Name":"a"} {"Name":"b"}`), -1},
		"nothing but NULs": {text(strings.Repeat("\x00", 1000)), -1},
	}
	routes := []string{
		"POST /machines", "PUT /machines/" + uuid, "PATCH /machines/" + uuid, "POST /machines/" + uuid + "/params",
		"POST /profiles", "POST /contents", "POST /users", "POST /machines/" + uuid + "/actions/poweron",
	}
	secure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: patience}
	defer secure.CloseIdleConnections()
	debug.FreeOSMemory()
	before := residentMiB(t, os.Getpid())
	slowest, count := time.Duration(0), 0
	for name, b := range bodies {
		for _, route := range routes {
			if name == "a type inside" && (strings.HasSuffix(route, "/params") || strings.HasSuffix(route, "/poweron")) { // params may be called so
				continue
			}
			method, path, _ := strings.Cut(route, " ")
			req, err := http.NewRequestWithContext(t.Context(), method, "https://"+r.e.Addr()+apiRoot+path, b.body())
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = b.length
			req.Header.Set("Authorization", "Bearer "+r.e.token)
			req.Header.Set("Content-Type", "application/json")
			began := time.Now()
			resp, err := secure.Do(req)
			if err != nil {
				t.Errorf("%s: %s: %v", route, name, err)
				continue
			}
			raw, err := io.ReadAll(resp.Body)
			slowest, count = max(slowest, time.Since(began)), count+1
			_ = resp.Body.Close() // it was read
			var e model.Error
			if err != nil || resp.StatusCode < 400 || resp.StatusCode > 499 || model.Unmarshal(raw, &e) != nil || strings.Count(string(raw), "\n") > 1 || len(raw) > 4096 {
				t.Errorf("%s: %s: %d: %v: %.300s", route, name, resp.StatusCode, err, raw)
			}
		}
	}
	debug.FreeOSMemory()
	grown := residentMiB(t, os.Getpid()) - before
	t.Logf("%d hostile bodies, the slowest refused after %s, %+.1f MiB afterwards", count, slowest.Round(time.Millisecond), grown)
	r.want(200, "GET", "/machines/"+uuid, "", nil)
	var all []*model.Machine
	if r.want(200, "GET", "/machines", "", &all); len(all) != 1 {
		t.Error(fmt.Sprint(len(all)) + " machines")
	}
}

// text is a body that is held in memory.
func text(s string) func() io.Reader { return func() io.Reader { return strings.NewReader(s) } }
