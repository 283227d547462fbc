package plugin

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"provision-plugins/shared/model"
)

// countsItself is a plugin that counts.
type countsItself struct {
	*twin
	counts []model.Count
}

// Counts returns what it was given.
func (c *countsItself) Counts() []model.Count { return c.counts }

// A plugin that counts tells it under its own path; one that does not has no such
// path.
func TestAPluginTellsItsCounters(t *testing.T) {
	want := []model.Count{{Name: "a_total", Value: 1e15 + 1}, {Name: "b_total", Labels: map[string]string{"code": "429"}, Value: 3}}
	impl := &countsItself{twin: newTwin(), counts: want}
	r := newRig(t, func(r *rig) { r.program.impl = impl })
	p := process(r.socket)
	t.Cleanup(p.resting.close)
	for range 2 {
		got, err := p.Counts(t.Context())
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	plain := newRig(t)
	if status, body := plain.post(t, pathCounts, "null"); status != http.StatusNotFound {
		t.Errorf("a plugin that counts nothing answers %d: %s", status, body)
	}
}

// Whatever a plugin answers is bounded, and no error of the endpoint's.
func TestCountersThatAreNone(t *testing.T) {
	say := ""
	p, _ := talking(t, func(int64, int64) string { return say })
	for _, body := range []string{"{}", `[{"Name":1}]`, "not JSON", "[" + strings.Repeat(" ", maxCountsBody) + "]"} {
		say = fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		if got, err := p.Counts(t.Context()); model.KindOf(err) != model.Invalid || got != nil {
			t.Errorf("%.20q: %v, %v", body, got, err)
		}
	}
	say = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
	if _, err := p.Counts(t.Context()); err == nil {
		t.Error("no error")
	}
	say = ""
	if _, err := p.Counts(t.Context()); model.KindOf(err) != model.Unreachable {
		t.Errorf("of a plugin that hangs up: %v", err)
	}
}
