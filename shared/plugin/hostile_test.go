package plugin

import (
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
)

// hostileBody is a body that no peer would send, and the messages of the plugin,
// which takes it for an action, and of the host, for a log line; "" if the same.
type hostileBody struct {
	name         string
	body         func() io.Reader
	action, line string
}

// said is a body that is held in memory.
func said(text string) func() io.Reader {
	return func() io.Reader { return strings.NewReader(text) }
}

// large is a body of so many bytes that nobody holds in memory.
func large(n int64) func() io.Reader {
	return func() io.Reader {
		return io.MultiReader(strings.NewReader(`{"a":"`), io.LimitReader(letters{}, n-8), strings.NewReader(`"}`))
	}
}

// letters are without end.
type letters struct{}

// Read never ends.
func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// badParams is an action, and a line, with something else than a value in it.
func badParams(value string) string {
	return `{"Command":"incrstatus","Message":"x","Params":{"a":` + value + `},"Data":[` + value + `]}`
}

// hostileBodies are those of the fault tests.
var hostileBodies = []hostileBody{
	{"45 MB", large(45 << 20), `cannot read body: larger than 16777216 bytes`, ""},
	{"500,000 lists deep", said(strings.Repeat("[", 500_000)), `cannot parse JSON: invalid character '[' exceeded max depth`, ""},
	{"500,000 deep, whole", said(badParams(strings.Repeat("[", 500_000) + strings.Repeat("]", 500_000))), `cannot parse JSON: invalid character '[' exceeded max depth`, ""},
	{"truncated", said(`{"Command":"incrstatus","Params":{"a":`), `cannot parse JSON: unexpected EOF`, ""},
	{"truncated text", said(`{"Command":"incr`), `cannot parse JSON: unexpected EOF`, ""},
	{"another type", said(`"x"`), `cannot parse JSON: json: cannot unmarshal string into Go value of type model.Action`, `cannot parse JSON: json: cannot unmarshal string into Go value of type model.Line`},
	{"a type inside", said(`{"Command":7,"Level":7}`), `cannot parse JSON: json: cannot unmarshal number into Go struct field Action.Command of type string`, `cannot parse JSON: json: cannot unmarshal number into Go struct field Line.Level of type string`},
	{"twice the key", said(`{"Command":"a","Command":"incrstatus","Level":"info","Level":"warn"}`), `cannot parse JSON: key \"Command\" is there twice`, ""},
	{"NaN", said(badParams("NaN")), `cannot parse JSON: invalid character 'N' looking for beginning of value`, ""},
	{"Infinity", said(badParams("-Infinity")), `cannot parse JSON: invalid character 'I' in numeric literal`, ""},
	{"out of range", said(badParams("1e999")), `cannot parse JSON: a number is out of range`, ""},
	{"not UTF-8", said("{\"Command\":\"incr\xff\xfe\",\"Level\":\"\xff\"}"), `cannot parse JSON: it is not UTF-8`, ""},
	{"text after", said(`{"Command":"incrstatus"} {"Command":"incrstatus"}`), `cannot parse JSON: more than one value`, ""},
	{"nothing but NULs", said(strings.Repeat("\x00", 1000)), `cannot parse JSON: invalid character '\\x00' looking for beginning of value`, ""},
}

// socketClient speaks to a socket.
func socketClient(t *testing.T, socket string) *http.Client {
	t.Helper()
	c := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// residentKB is the memory of this process; 0 where the system does not tell.
func residentKB(t *testing.T) int {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb
}

// Each body that no peer would send has an exact answer of the client's fault, at
// both sockets, soon, and leaves nothing in memory.
func TestHostileBodies(t *testing.T) {
	host := newRecorder()
	hosts := socketClient(t, hostSocket(t, host))
	plugins := socketClient(t, newRig(t).socket)
	debug.FreeOSMemory()
	before, slowest, count := residentKB(t), time.Duration(0), 0
	ask := func(c *http.Client, path string, body io.Reader) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://unix"+path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = -1
		req.Header.Set("Content-Type", "application/json")
		began := time.Now()
		resp, err := c.Do(req)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			return err.Error()
		}
		slowest, count = max(slowest, time.Since(began)), count+1
		return strconv.Itoa(resp.StatusCode) + " " + string(raw)
	}
	for _, b := range hostileBodies {
		if got := ask(plugins, pathAction, b.body()); got != refusedBy(b.action) {
			t.Errorf("%s: the plugin answers\n%.300s\nwant\n%s", b.name, got, refusedBy(b.action))
		}
		want := strings.Replace(refusedBy(cmp.Or(b.line, b.action)), `"POST"`, `"invalid"`, 1)
		if got := ask(hosts, pathLog, b.body()); got != want {
			t.Errorf("%s: the host answers\n%.300s\nwant\n%s", b.name, got, want)
		}
	}
	debug.FreeOSMemory()
	t.Logf("%d hostile bodies at both sockets, the slowest answered after %s, %+d kB afterwards", count, slowest.Round(100*time.Microsecond), residentKB(t)-before)
	if len(host.lines) != 0 {
		t.Errorf("lines were taken: %+v", host.lines)
	}
}
