package plugin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// sane are actions of the twin that come to an end by themselves.
var sane = map[string]bool{"increment": true, "incrstatus": true, "panic": true, "fail": true, "echo": true, "unprintable": true}

// FuzzInbound feeds the plugin side arbitrary requests: it answers each with
// JSON and a status of the protocol, and never panics.
func FuzzInbound(f *testing.F) {
	f.Add(pathAction, "application/json", "info", []byte(`{"Command":"increment","Model":{"Uuid":"u"},"Params":{"incrementer/step":1e400}}`))
	f.Add(pathConfig, "application/json", "", []byte(`{"Name":"x","deep":{"password":[1,{"a":null}]}}`))
	f.Add(pathPublish, "application/json", "err", []byte(`{"Time":"2021-09-01T10:00:00Z","Type":"machines","Object":{}}`))
	f.Add("/plugin-apis/x", "", "", []byte{0xff})
	impl := newTwin()
	p := newProgram("incrementer", "v1", twinDefinition(), impl)
	q := &logQueue{wake: make(chan struct{}, 1)} // holds what it can, and drops
	s := newServer(p, newLineHandler(q, "incrementer"), nil)
	impl.SetLogger(slog.New(s.lines))
	f.Fuzz(func(t *testing.T, path, contentType, level string, body []byte) {
		var a model.Action
		if path == pathStop || path == pathAction && json.Unmarshal(body, &a) == nil && !sane[a.Command] {
			return
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.URL.Path = path
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("X-Log-Request", level)
		s.ServeHTTP(w, r)
		if !json.Valid(w.Body.Bytes()) || w.Code != 200 && (w.Code < 400 || w.Code > 599) {
			t.Fatalf("%d %q", w.Code, w.Body)
		}
	})
}

// FuzzAnswer feeds the host side arbitrary answers.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(ok200(2) + "{}"))
	f.Add([]byte("HTTP/1.1 500 x\r\nRetry-After: 99\r\n\r\n{\"Messages\":[\"{\\\"Code\\\":1}\"],\"Code\":1}"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := readAnswer(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return
		}
		if v, err := a.value(); err == nil && !json.Valid(v) {
			t.Fatalf("value %q", v)
		}
		e := unnested(a.failure())
		_ = model.ExitCode(e)
		if _, err := model.Marshal(validStatus(e)); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzHostInbound feeds the host side what a broken plugin may send.
func FuzzHostInbound(f *testing.F) {
	f.Add("log", []byte(`{"Group":1,"Time":"2026-11-20T09:49:35.220437988Z","Level":"info","Message":"x","Data":[]}`))
	f.Add("publish", []byte(`{"Type":"x","Object":[1]}`))
	f.Add("leaving", []byte(`{"Messages":null,"Code":-1}`))
	in := &inbound{handler: quietHandler{slog.New(slog.DiscardHandler)}, logger: slog.New(slog.DiscardHandler)}
	f.Fuzz(func(t *testing.T, what string, body []byte) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.URL.Path = pathHost + what
		in.ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 && w.Code != 404 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}

// FuzzPrinted feeds the follower of a process's output.
func FuzzPrinted(f *testing.F) {
	f.Add([]byte("READY!\nx\n"))
	f.Add([]byte("\x1b[31m\xff\x00" + strings.Repeat("y", 5000)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(raw), 64)
		for {
			line, err := readLine(r)
			if strings.ContainsAny(line, "\n\r\x00\x1b") || len(line) > 3*64 {
				t.Fatalf("line %q", line)
			}
			if err != nil {
				return
			}
		}
	})
}
