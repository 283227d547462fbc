package route

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/slack/notice"
)

// world has one machine, u1, and one open incident, i1.
type world struct{ asked int }

func (w *world) Facts(uuid string) ([]string, model.Params, error) {
	w.asked++
	if uuid != "u1" {
		return nil, nil, errors.New("not there")
	}
	return []string{"prod", "web"}, model.Params{"rack": "r1", "slot": json.Number("4")}, nil
}

func (w *world) Open(_ *Rule, incident string) bool { return incident == "i1" }

// table parses routes as a param has them.
func table(t *testing.T, text string) *Table {
	t.Helper()
	var v any
	if err := model.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	out, err := Parse(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// names are those of the rules that match.
func names(rules []*Rule) string {
	var out []string
	for _, r := range rules {
		out = append(out, r.Name)
	}
	return strings.Join(out, " ")
}

func TestMatch(t *testing.T) {
	n := notice.Notice{Type: "runs", Action: "update", Command: "powercycle", Machine: "rack1n07", Uuid: "u1", Severity: notice.Error}
	for rules, want := range map[string]string{
		`[{}]`:                    "1",
		`[{"types":["runs"]}]`:    "1",
		`[{"types":["plugins"]}]`: "",
		`[{"actions":["create"]},{"actions":["create","update"]}]`:                  "2",
		`[{"commands":["powercycle"]}]`:                                             "1",
		`[{"commands":["poweron"]}]`:                                                "",
		`[{"machines":["rack1*"]}]`:                                                 "1",
		`[{"machines":["rack2*","rack3*"]}]`:                                        "",
		`[{"min_severity":"error"}]`:                                                "1",
		`[{"min_severity":"critical"}]`:                                             "",
		`[{"profiles":["db","web"]}]`:                                               "1",
		`[{"profiles":["db"]}]`:                                                     "",
		`[{"params":{"rack":"r1","slot":4}}]`:                                       "1",
		`[{"params":{"rack":"r1","slot":5}}]`:                                       "",
		`[{"params":{"none":null}}]`:                                                "1",
		`[{"name":"a","continue":true},{"name":"b"},{"name":"c"}]`:                  "a b",
		`[{"name":"a","mode":"drop"},{"name":"b"}]`:                                 "",
		`[{"name":"a","mode":"drop","continue":true},{"name":"b"}]`:                 "b",
		`[{"name":"a","commands":["x"]},{"name":"b","mode":"digest"},{"name":"c"}]`: "b",
		`[]`: "",
	} {
		if got := names(table(t, rules).Match(&n, &world{})); got != want {
			t.Errorf("%s: %q, want %q", rules, got, want)
		}
	}
}

// What a rule does not ask for is not asked of the endpoint.
func TestFactsAreAskedForLast(t *testing.T) {
	w := &world{}
	n := notice.Notice{Type: "runs", Uuid: "u1"}
	table(t, `[{"types":["plugins"],"profiles":["web"]},{}]`).Match(&n, w)
	if w.asked != 0 {
		t.Errorf("asked %d times", w.asked)
	}
	for _, uuid := range []string{"", "u2"} {
		n.Uuid = uuid
		if got := names(table(t, `[{"profiles":["web"]}]`).Match(&n, w)); got != "" {
			t.Errorf("machine %q: %s", uuid, got)
		}
	}
}

func TestDefaults(t *testing.T) {
	defaults, err := Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		n    notice.Notice
		want string
	}{
		{notice.Notice{Type: "runs", Severity: notice.Warning}, "failures actions"},
		{notice.Notice{Type: "machines", Severity: notice.Warning}, "trouble"},
		{notice.Notice{Type: "runs"}, "actions"},
		{notice.Notice{Type: "runs", Started: true}, "actions"},
		{notice.Notice{Type: "runs", Resolved: true, Incident: "i1"}, "failures actions"},
		{notice.Notice{Type: "machines", Resolved: true, Incident: "i1"}, "trouble"},
		{notice.Notice{Type: "runs", Resolved: true, Incident: "i2"}, "actions"},
		{notice.Notice{Type: "machines"}, "rest"},
		{notice.Notice{Type: "machines", Started: true}, ""},
	} {
		if got := names(defaults.Match(&c.n, &world{})); got != c.want {
			t.Errorf("%+v: %q, want %q", c.n, got, c.want)
		}
	}
}

func TestBadRoutes(t *testing.T) {
	for text, want := range map[string]string{
		`5`:                                               "the routes are no list of rules",
		`{"name":"a"}`:                                    "the routes are no list of rules",
		`[{"chanel":"C1"}]`:                               `unknown field "chanel"`,
		`[{"types":"runs"}]`:                              "the routes are no list of rules",
		`[{"name":"a","mode":"shout"}]`:                   `route a: mode: "shout" is none of`,
		`[{},{"min_severity":"bad"}]`:                     `route 2: min_severity: "bad" is no severity; they are info, warning, error, critical`,
		`[{"machines":["["]}]`:                            `route 1: machines: "[" is no pattern`,
		`[{"types":[""]}]`:                                "route 1: types has an empty word",
		`[{"group_by":["machine"]}]`:                      "route 1: group_by, group_wait and window are of mode digest, not post",
		`[{"mode":"digest","group_by":["x"]}]`:            "route 1: group_by:",
		`[{"mode":"digest","group_wait":"5"}]`:            `route 1: group_wait: "5" is no time between 0s and 1h0m0s`,
		`[{"mode":"digest","window":"-1s"}]`:              "route 1: window:",
		`[{"quiet_hours":{"from":"22","to":"07:00"}}]`:    `route 1: quiet_hours: from: "22" is no time of the day such as 22:00`,
		`[{"quiet_hours":{"from":"22:00","to":"22:00"}}]`: "from and to are the same",
		`[{"quiet_hours":{"from":"22:00","to":"07:00","zone":"Mars"}}]`: `zone: "Mars" is no time zone`,
		`[{"quiet_hours":{"from":"22:00","to":"07:00","except":"x"}}]`:  "quiet_hours: except:",
		`[{"template":"{{"}]`:        "route 1: template:",
		`[{"template":"{{.None}}"}]`: "route 1: template:",
		`[{"template":"` + strings.Repeat("x", maxTemplate+1) + `"}]`:                      "the text is too long",
		`[{"template":"` + strings.Repeat("x", maxWords+1) + `"}]`:                         "the text is too long",
		`[{"mode":"x"},{"mode":"y"}]`:                                                      `route 2: mode: "y"`,
		"[" + strings.TrimSuffix(strings.Repeat("{},", maxRules+1), ",") + "]":             "there are 101 routes; 100 are the most",
		`[{"types":[` + strings.TrimSuffix(strings.Repeat(`"x",`, maxList+1), ",") + `]}]`: "more than 1000",
	} {
		var v any
		if err := model.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		_, err := Parse(v)
		if err == nil || !strings.Contains(err.Error(), want) || model.KindOf(err) != model.Invalid || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.80s: %v, want %q", text, err, want)
		}
	}
}

func TestGroups(t *testing.T) {
	r := table(t, `[{"mode":"digest","group_by":["command","principal"],"group_wait":"5s","window":"2m"}]`).rules[0]
	a, b := notice.Notice{Command: "poweron", Principal: "ada", Machine: "m1"}, notice.Notice{Command: "poweron", Principal: "ada", Machine: "m2"}
	other := notice.Notice{Command: "poweron", Principal: "bob"}
	if r.Group(&a) != r.Group(&b) || r.Group(&a) == r.Group(&other) || r.Wait() != 5*time.Second || r.Over() != 2*time.Minute {
		t.Errorf("groups %q, %q, %q; %v, %v", r.Group(&a), r.Group(&b), r.Group(&other), r.Wait(), r.Over())
	}
	if Value("severity", &a) != "info" || Value("none", &a) != "" {
		t.Error("values of a notice")
	}
}

func TestQuietHours(t *testing.T) {
	for _, c := range []struct{ hours, now, want string }{
		{`{"from":"22:00","to":"07:00"}`, "2026-11-20 21:59", ""},
		{`{"from":"22:00","to":"07:00"}`, "2026-11-20 22:00", "2026-11-21 07:00"},
		{`{"from":"22:00","to":"07:00"}`, "2026-11-21 06:59", "2026-11-21 07:00"},
		{`{"from":"22:00","to":"07:00"}`, "2026-11-21 07:00", ""},
		{`{"from":"12:00","to":"13:30"}`, "2026-11-21 13:29", "2026-11-21 13:30"},
		{`{"from":"12:00","to":"13:30"}`, "2026-11-21 13:30", ""},
		{`{"from":"12:00","to":"13:30"}`, "2026-11-21 11:59", ""},
		{`{"from":"22:00","to":"07:00","zone":"Europe/Berlin"}`, "2026-11-20 21:30", "2026-11-21 06:00"},
	} {
		r := table(t, `[{"quiet_hours":`+c.hours+`}]`).rules[0]
		now, err := time.Parse("2006-01-02 15:04", c.now)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if at := r.NotBefore(&notice.Notice{Severity: notice.Error}, now); !at.IsZero() {
			got = at.UTC().Format("2006-01-02 15:04")
		}
		if got != c.want || !r.NotBefore(&notice.Notice{Severity: notice.Critical}, now).IsZero() {
			t.Errorf("%s at %s: until %q, want %q", c.hours, c.now, got, c.want)
		}
	}
	if r := table(t, `[{}]`).rules[0]; !r.NotBefore(&notice.Notice{}, time.Now()).IsZero() {
		t.Error("quiet without quiet hours")
	}
}

func TestTemplates(t *testing.T) {
	n := &notice.Notice{Icon: ":x:", Title: "m1 poweron failed", Machine: "m1", Severity: notice.Error}
	for text, want := range map[string]string{
		``:                               ":x: m1 poweron failed",
		`{{.Severity}} on {{.Machine}}`:  "error on m1",
		"{{.Machine}}\n\n  {{.Command}}": "m1",
	} {
		out, err := New([]Rule{{Template: text}})
		if err != nil {
			t.Fatal(err)
		}
		if got := out.rules[0].Line(n); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	long := &notice.Notice{Title: "t", Detail: strings.Repeat("x", maxWords+1)}
	out, err := New([]Rule{{Template: "{{.Detail}}"}})
	if err != nil || out.rules[0].Line(long) != "t" {
		t.Errorf("a template that makes too much: %v", err)
	}
}

func FuzzRoutes(f *testing.F) {
	f.Add(`[{"mode":"digest","group_by":["command"],"quiet_hours":{"from":"22:00","to":"07:00"}}]`)
	f.Add(`[{"template":"{{.Machine}}","machines":["a*"]}]`)
	f.Fuzz(func(t *testing.T, text string) {
		var v any
		if model.Unmarshal([]byte(text), &v) != nil {
			return
		}
		out, err := Parse(v)
		if err != nil {
			return
		}
		n := &notice.Notice{Machine: "m1", Uuid: "u1"}
		for _, r := range out.Match(n, &world{}) {
			if strings.Contains(r.Line(n), "\n") {
				t.Error("a line of several")
			}
			r.NotBefore(n, time.Unix(1e9, 0))
		}
	})
}
