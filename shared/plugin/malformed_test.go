package plugin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// raw writes bytes to a socket, says that there are no more, and returns the
// status and the body of the answer; "closed" where there is none.
func raw(t testing.TB, socket, request string) string {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "closed"
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}

// posted is a POST of JSON.
func posted(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: unix\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// refusedBy is an answer of 400 as the reference words it.
func refusedBy(message string) string {
	return `400 {"Model":"","Key":"","Type":"POST","Messages":["` + message + `"],"Code":400}` + "\n"
}

// noRoute is the answer to what is not served.
func noRoute(method, path string) string {
	return fmt.Sprintf(`404 {"Model":"","Key":"%s","Type":"%s","Messages":null,"Code":404}`, path, method) + "\n"
}

// Each malformed request to the socket of the plugin has an exact answer, and
// none harms the plugin.
func TestMalformedRequestsToThePlugin(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct{ request, want string }{
		"no HTTP":            {"hello\r\n\r\n", "400 400 Bad Request"},
		"nothing":            {"", "closed"},
		"half a head":        {"POST " + pathAction + " HTTP/1.1\r\nHost", "400 400 Bad Request"},
		"no host":            {"POST " + pathAction + " HTTP/1.1\r\n\r\n", "400 400 Bad Request: missing required Host header"},
		"HTTP/3.0":           {"POST " + pathAction + " HTTP/3.0\r\nHost: x\r\n\r\n", "505 505 HTTP Version Not Supported: unsupported protocol version"},
		"space in a header":  {"POST " + pathAction + " HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n", "400 400 Bad Request: invalid header name"},
		"bad length":         {"POST " + pathAction + " HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", "400 400 Bad Request"},
		"two lengths":        {"POST " + pathAction + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400 400 Bad Request"},
		"unknown coding":     {"POST " + pathAction + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", "501 Unsupported transfer encoding"},
		"long head":          {"POST " + pathAction + " HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("x", maxHeader+8<<10), "431 431 Request Header Fields Too Large"},
		"half a body":        {strings.Replace(posted(pathAction, `{"Comm`), "Length: 6", "Length: 60", 1), refusedBy("cannot read body: unexpected EOF")},
		"bad chunk":          {"POST " + pathAction + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", refusedBy("cannot read body: invalid byte in chunk length")},
		"GET":                {"GET " + pathAction + " HTTP/1.1\r\nHost: x\r\n\r\n", noRoute("GET", pathAction)},
		"odd method":         {"BREW " + pathConfig + " HTTP/1.1\r\nHost: x\r\n\r\n", noRoute("BREW", pathConfig)},
		"path above":         {posted("/api-plugin/v4/../v4/action", "{}"), noRoute("POST", "/api-plugin/v4/../v4/action")},
		"slash at the end":   {posted(pathAction+"/", "{}"), noRoute("POST", pathAction+"/")},
		"escaped path":       {posted("/api-plugin/v4/%00", "{}"), noRoute("POST", `/api-plugin/v4/\u0000`)},
		"metrics":            {"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", noRoute("GET", "/metrics")},
		"no API":             {"GET /plugin-apis/x/y HTTP/1.1\r\nHost: x\r\n\r\n", noRoute("GET", "/plugin-apis/x/y")},
		"no type":            {"POST " + pathAction + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", refusedBy("Invalid content type: ")},
		"form":               {strings.Replace(posted(pathConfig, "a=b"), "application/json", "application/x-www-form-urlencoded", 1), refusedBy("Invalid content type: application/x-www-form-urlencoded")},
		"list as config":     {posted(pathConfig, "[]"), refusedBy("cannot parse JSON: json: cannot unmarshal array into Go value of type model.Params")},
		"text as action":     {posted(pathAction, `"x"`), refusedBy("cannot parse JSON: json: cannot unmarshal string into Go value of type model.Action")},
		"number as command":  {posted(pathAction, `{"Command":1}`), refusedBy("cannot parse JSON: json: cannot unmarshal number into Go struct field Action.Command of type string")},
		"cut JSON":           {posted(pathAction, `{"Command":`), refusedBy("cannot parse JSON: unexpected EOF")},
		"deep JSON":          {posted(pathConfig, `{"a":`+strings.Repeat("[", 20_000)), refusedBy("cannot parse JSON: invalid character '[' exceeded max depth")},
		"event of bad time":  {posted(pathPublish, `{"Time":"noon"}`), refusedBy(`cannot parse JSON: parsing time \"noon\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"noon\" as \"2006\"`)},
		"command of no kind": {posted(pathAction, `{"Command":"fly"}`), `404 {"Model":"plugin","Key":"incrementer","Type":"plugin","Messages":["Unknown command: fly\n"],"Code":404}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := raw(t, r.socket, c.request); got != c.want {
				t.Errorf("\n%.300s\nwant\n%s", got, c.want)
			}
		})
	}
	if status, body := r.post(t, pathAction, `{"Command":"incrstatus"}`); status != 200 || body != "\"Running\"\n" {
		t.Errorf("afterwards: %d %s", status, body)
	}
}

// The same for the socket of the host.
func TestMalformedRequestsToTheHost(t *testing.T) {
	host := newRecorder()
	socket := hostSocket(t, host)
	invalid := func(message string) string {
		return `400 {"Model":"","Key":"","Type":"invalid","Messages":["` + message + `"],"Code":400}` + "\n"
	}
	for name, c := range map[string]struct{ request, want string }{
		"no HTTP":       {"\x16\x03\x01\x02\r\n\r\n", "400 400 Bad Request"},
		"long head":     {"GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("x", maxHeader+8<<10), "431 431 Request Header Fields Too Large"},
		"root":          {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", noRoute("GET", "/")},
		"prefix of old": {posted("/api-plugin-server/v4/log", "{}"), noRoute("POST", "/api-plugin-server/v4/log")},
		"GET of log":    {"GET " + pathLog + " HTTP/1.1\r\nHost: x\r\n\r\n", noRoute("GET", pathLog)},
		"log of a list": {posted(pathLog, "[]"), invalid("cannot parse JSON: json: cannot unmarshal array into Go value of type model.Line")},
		"cut log":       {posted(pathLog, `{"Level":"info`), invalid("cannot parse JSON: unexpected EOF")},
		"cut event":     {posted(pathEvent, `{`), invalid("cannot parse JSON: unexpected EOF")},
		"leaving a 1":   {posted(pathLeaving, `1`), invalid("cannot parse JSON: json: cannot unmarshal number into Go value of type model.Error")},
		"half a body":   {strings.Replace(posted(pathLog, `{"Lev`), "Length: 5", "Length: 50", 1), invalid("cannot read body: unexpected EOF")},
		"objects":       {"GET " + pathObjects + "machines HTTP/1.1\r\nHost: x\r\n\r\n", `501 {"Model":"","Key":"","Type":"unsupported","Messages":["cannot list machines: this host lists no objects"],"Code":501}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := raw(t, socket, c.request); got != c.want {
				t.Errorf("\n%.300s\nwant\n%s", got, c.want)
			}
		})
	}
	if len(host.lines)+len(host.events)+len(host.leaving) != 0 {
		t.Errorf("something was taken: %+v", host)
	}
}
