package metrics

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scrape reads the metrics as Prometheus does.
func scrape(t *testing.T, s *Set) string {
	t.Helper()
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v: %s", resp.StatusCode, err, raw)
	}
	http.DefaultClient.CloseIdleConnections()
	return string(raw)
}

// wantLines checks that each line stands in what was scraped.
func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	have := strings.Split(text, "\n")
	for _, line := range lines {
		if !slices.Contains(have, line) {
			name, _, _ := strings.Cut(line, "{")
			name, _, _ = strings.Cut(name, " ")
			near := slices.DeleteFunc(slices.Clone(have), func(l string) bool { return !strings.HasPrefix(l, name) })
			t.Errorf("no %s in\n%s", line, strings.Join(near, "\n"))
		}
	}
}

// full is a set to which everything has happened once.
func full() *Set {
	s := New(Build{Version: "v1.2.3", Revision: "abc"})
	s.Plugin("ipmi")
	s.Acted("ipmi", "poweron", "done", 3*time.Second)
	s.Acted("ipmi", "poweron", "unreachable", 70*time.Millisecond)
	s.Begin("ipmi")
	s.Begin("ipmi")()
	s.Conflict()
	s.Interrupted(Lost)
	s.Crashed("ipmi")
	s.LineDropped("ipmi")
	s.EventDropped("slack")
	s.EventDropped("")
	s.Event("machines")
	s.Served(Request{Code: 200, Method: "GET", Route: "/api/v3/machines", Took: time.Millisecond})
	s.Served(Request{Code: 404, Method: "BREW", Route: "/", Took: time.Millisecond})
	s.Served(Request{Code: 101, Method: "GET", Route: "/api/v3/ws", Took: time.Hour, Streamed: true})
	s.Login(LoginRefused)
	s.Unaudited()
	s.Written(300 * time.Microsecond)
	s.Observe(func() Now {
		return Now{
			Site: "local", StoreBytes: 10, StoreLimit: 100, AuditDropped: 7, AuditHash: "beef",
			Plugins: []Plugin{{Name: "ipmi", Up: true, Waiting: 3, Counts: []Count{
				{Name: "oob_bmc_retransmits_total", Value: 5},
				{Name: "oob_slack_requests_total", Labels: map[string]string{"code": "429"}, Value: 2},
			}}, {Name: "slack"}},
		}
	})
	return s
}

func TestEachMetricCountsWhatItSays(t *testing.T) {
	t.Parallel()
	text := scrape(t, full())
	wantLines(t, text,
		`oob_actions_total{command="poweron",plugin="ipmi",result="done"} 1`,
		`oob_actions_total{command="poweron",plugin="ipmi",result="unreachable"} 1`,
		`oob_action_duration_seconds_bucket{command="poweron",plugin="ipmi",le="0.1"} 1`,
		`oob_action_duration_seconds_bucket{command="poweron",plugin="ipmi",le="5"} 2`,
		`oob_actions_in_flight{plugin="ipmi"} 1`,
		`oob_action_conflicts_total 1`,
		`oob_actions_interrupted_total{reason="plugin"} 1`,
		`oob_actions_interrupted_total{reason="restart"} 0`,
		`oob_plugin_up{plugin="ipmi"} 1`, `oob_plugin_up{plugin="slack"} 0`,
		`oob_plugin_restarts_total{plugin="ipmi"} 1`,
		`oob_plugin_log_dropped_total{plugin="ipmi"} 1`,
		`oob_events_total{type="machines"} 1`,
		`oob_event_queue_length{plugin="ipmi"} 3`,
		`oob_events_dropped_total{plugin=""} 1`, `oob_events_dropped_total{plugin="slack"} 1`, `oob_events_dropped_total{plugin="ipmi"} 0`,
		`oob_bmc_retransmits_total{plugin="ipmi"} 5`,
		`oob_slack_requests_total{code="429",plugin="ipmi"} 2`,
		`oob_http_requests_total{code="200",method="GET",route="/api/v3/machines"} 1`,
		`oob_http_requests_total{code="404",method="other",route="/"} 1`,
		`oob_http_request_duration_seconds_count{route="/api/v3/machines"} 1`,
		`oob_logins_total{result="refused"} 1`, `oob_logins_total{result="ok"} 0`,
		`oob_audit_failures_total 1`, `oob_audit_dropped_records 7`, `oob_audit_dropped_info{hash="beef"} 1`,
		`oob_store_write_seconds_bucket{le="0.0005"} 1`, `oob_store_bytes 10`, `oob_store_limit_bytes 100`,
		`oob_engine_leader 1`, `oob_engine_replica_lag 0`, `oob_site_up{site="local"} 1`,
	)
	if !regexp.MustCompile(`(?m)^oob_build_info\{goversion="go1[^"]*",revision="abc",version="v1.2.3"\} 1$`).MatchString(text) {
		t.Error("no build info")
	}
	if strings.Contains(text, `http_request_duration_seconds_count{route="/api/v3/ws"}`) {
		t.Error("a stream's life is no latency")
	}
	if !strings.Contains(text, "\nprocess_open_fds ") || !strings.Contains(text, "\ngo_goroutines ") {
		t.Error("nothing of the process")
	}
}

// What promtool would complain of.
func TestTheExpositionIsClean(t *testing.T) {
	t.Parallel()
	problems, err := promlint.New(strings.NewReader(scrape(t, full()))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Neither a machine nor a path is in a label: a fleet costs what one machine does.
func TestNoLabelIsOfAMachine(t *testing.T) {
	t.Parallel()
	allowed := []string{"plugin", "command", "result", "reason", "type", "code", "method", "route", "site", "hash", "version", "revision", "goversion", "le", "quantile"}
	for _, m := range regexp.MustCompile(`[{,]([a-z_]+)="`).FindAllStringSubmatch(scrape(t, full()), -1) {
		if !slices.Contains(allowed, m[1]) {
			t.Errorf("label %s", m[1])
		}
	}
}

// Who makes up names makes no series without end.
func TestNamesFromOutsideAreBounded(t *testing.T) {
	t.Parallel()
	s := New(Build{})
	s.Event(strings.Repeat("x", 1000))
	var many sync.WaitGroup
	for part := range 4 {
		many.Go(func() {
			for i := range 2 * maxTypes {
				s.Event(fmt.Sprint("type", part, "-", i))
				s.Acted(fmt.Sprint("plugin", part, i), fmt.Sprint("command", i), "done", 0)
			}
		})
	}
	many.Wait()
	s.Event("bad\xffname")
	text := scrape(t, s)
	if n := strings.Count(text, "\noob_events_total{"); n != maxTypes+1 {
		t.Errorf("%d types of events", n)
	}
	if strings.Contains(text, "xxxxxx") {
		t.Error("a name without bound")
	}
	if !strings.Contains(text, `oob_events_total{type="other"}`) {
		t.Error("the rest are not counted")
	}
	plugins := map[string]bool{}
	for _, m := range regexp.MustCompile(`oob_actions_total\{[^}]*plugin="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		plugins[m[1]] = true
	}
	if len(plugins) > maxPlugins+1 {
		t.Errorf("%d plugins", len(plugins))
	}
}

// A plugin's own counters are the known ones, each once, whatever it sends.
func TestAPluginDoesNotChooseTheNames(t *testing.T) {
	t.Parallel()
	s := New(Build{})
	s.Observe(func() Now {
		return Now{Plugins: []Plugin{{Name: "p", Counts: []Count{
			{Name: "oob_logins_total", Value: 777},
			{Name: "made_up", Value: 1},
			{Name: "oob_bmc_timeouts_total", Value: 4},
			{Name: "oob_bmc_timeouts_total", Value: 5},
			{Name: "oob_bmc_retransmits_total", Value: -1},
			{Name: "oob_bmc_auth_failures_total", Labels: map[string]string{"machine": "m1"}, Value: 1},
			{Name: "oob_slack_requests_total", Labels: map[string]string{"code": "20\xff0"}, Value: 1},
			{Name: "oob_slack_requests_total", Value: 1},
		}}}}
	})
	text := scrape(t, s)
	wantLines(t, text, `oob_bmc_timeouts_total{plugin="p"} 4`, `oob_slack_requests_total{code="200",plugin="p"} 1`)
	for _, no := range []string{"made_up", "} 777", "total 777", "machine=", "retransmits", "auth_failures"} {
		if strings.Contains(text, no) {
			t.Errorf("%s is shown", no)
		}
	}
}
