package endpoint

import (
	"log/slog"
	"strings"
	"testing"

	"provision-plugins/endpoint/loglevel"
)

// What is secret by the name of a field, of a param, of a path or of a patch is
// masked in traffic, and what is too long is cut.
func TestTrafficIsMasked(t *testing.T) {
	t.Parallel()
	var log logBuffer
	shown := &traffic{
		log:    slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: loglevel.Traffic})),
		secure: func(name string) bool { return name == "a/pin" },
		redact: func(text string) string { return strings.ReplaceAll(text, "known-value", "******") },
	}
	for _, c := range []struct{ path, body, want string }{
		{"/machines", `{"Name":"m1","Params":{"a/pin":"S1","x":{"password":"S2"}}}`, `{"Name":"m1","Params":{"a/pin":"******","x":{"password":"******"}}}`},
		{"/machines/u", `[{"op":"replace","path":"/Params/a~1pin","value":"S3"},{"op":"add","path":"/Name","value":"n"}]`, `[{"op":"replace","path":"/Params/a~1pin","value":"******"},{"op":"add","path":"/Name","value":"n"}]`},
		{"/machines/u/params", `[{"op":"add","path":"/bmc-password","value":{"S4":1}}]`, `[{"op":"add","path":"/bmc-password","value":"******"}]`},
		{"/machines/u/params/a/pin", `["S5"]`, `"******"`},
		{"/machines/u/params/size", `5`, `5`},
		{"/x", `"known-value"`, `"******"`},
		{"/x", `password=S6`, `(11 bytes that are not JSON)`},
		{"/x", ``, ``},
	} {
		if got := shown.text(c.path, []byte(c.body)); got != c.want {
			t.Errorf("%s: %s, want %s", c.path, got, c.want)
		}
	}
	if got := shown.text("/x", []byte(`"`+strings.Repeat("x", 3*maxTraffic)+`"`)); len(got) > maxTraffic+40 || !strings.HasSuffix(got, "bytes)") {
		t.Errorf("%d bytes are shown", len(got))
	}
	shown.show("request", "/a\nb", []byte("{}"), "method", "GET")
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "method=GET") {
		t.Errorf("%q", text)
	}
	var none *traffic
	if none.show("request", "/", nil); none.on() {
		t.Error("nobody wants it")
	}
}
