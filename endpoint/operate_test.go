package endpoint

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"provision-plugins/endpoint/audit"
	"provision-plugins/endpoint/loglevel"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// series reads the endpoint's metrics over the socket: series to value.
func (r *rig) series() map[string]float64 {
	r.t.Helper()
	out := map[string]float64{}
	for line := range strings.Lines(r.scrape("/metrics")) {
		name, value, found := strings.Cut(strings.TrimSpace(line), "} ")
		if found {
			name += "}"
		} else if name, value, found = strings.Cut(strings.TrimSpace(line), " "); !found {
			continue
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil && !strings.HasPrefix(line, "#") {
			out[name] = n
		}
	}
	return out
}

// scrape reads a text over the socket.
func (r *rig) scrape(path string) string {
	r.t.Helper()
	resp, raw := r.localGet(path)
	if resp.StatusCode != http.StatusOK {
		r.t.Fatalf("%s: %d: %s", path, resp.StatusCode, raw)
	}
	return raw
}

// localGet sends a GET over the socket, for a path that need not be the API's.
func (r *rig) localGet(path string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://socket"+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", r.e.Socket())
	}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp, string(raw)
}

// moved waits until a series has grown by at least so much.
func (r *rig) moved(before map[string]float64, series string, by float64) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%s grown by %v, from %v", series, by, before[series]), func() bool {
		return r.series()[series]-before[series] >= by
	})
}

// Each metric moves when what it counts happens.
func TestMetricsMove(t *testing.T) {
	t.Parallel()
	r := start(t, "toy", "listener")
	r.put("state", "on")
	r.ready("listener")
	r.machine("m1", nil)
	before := r.series()
	if before[`oob_plugin_up{plugin="toy"}`] != 1 || before["oob_store_bytes"] <= 0 || before["oob_store_limit_bytes"] <= before["oob_store_bytes"] {
		t.Errorf("at the start: up %v, %v of %v bytes", before[`oob_plugin_up{plugin="toy"}`], before["oob_store_bytes"], before["oob_store_limit_bytes"])
	}
	for _, command := range []string{"poweron", "powerstatus"} {
		if _, err := r.act("m1", command, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.act("m1", "poweroff", model.Params{"toy/address": "192.0.2.9"}); err == nil {
		t.Error("a target without its credential was taken")
	}
	for _, series := range []string{
		`oob_actions_total{command="poweron",plugin="toy",result="done"}`, `oob_actions_total{command="powerstatus",plugin="toy",result="done"}`,
		`oob_action_duration_seconds_count{command="poweron",plugin="toy"}`,
		`oob_events_total{type="runs"}`, `oob_events_total{type="machines"}`, `oob_store_write_seconds_count`,
		`oob_http_requests_total{code="200",method="POST",route="/api/v3/machines/{key}/actions/{command}"}`,
		`oob_http_request_duration_seconds_count{route="/api/v3/machines/{key}/actions/{command}"}`,
	} {
		r.moved(before, series, 1)
	}
	u := r.e.sup.unit("toy")
	for range 2 * lineBurst {
		newHandler(u).Log(&model.Line{Level: "debug", Message: "x"})
	}
	r.moved(before, `oob_plugin_log_dropped_total{plugin="toy"}`, 1)
	for range 2 * eventBurst {
		newHandler(u).Publish(&model.Event{Type: "flood", Action: "x", Key: "k"})
	}
	r.moved(before, `oob_events_dropped_total{plugin="toy"}`, 1)
	r.moved(before, `oob_events_total{type="flood"}`, eventBurst)
}

// What goes wrong is counted where it belongs.
func TestMetricsOfFailures(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	before := r.series()
	if _, err := r.act("m1", "crash", nil); model.KindOf(err) != model.UnknownOutcome {
		t.Errorf("a crash in the middle: %v", err)
	}
	r.moved(before, `oob_actions_interrupted_total{reason="plugin"}`, 1)
	r.moved(before, `oob_actions_total{command="crash",plugin="toy",result="unknown-outcome"}`, 1)
	r.moved(before, `oob_plugin_restarts_total{plugin="toy"}`, 1)
	r.ready("toy")
	if _, err := r.act("m1", "powercycle", nil); model.KindOf(err) != model.Conflict {
		t.Errorf("after an unknown outcome: %v", err)
	}
	r.moved(before, `oob_action_conflicts_total`, 1)
	r.user("ann", "viewer")
	if resp, _ := r.basic("GET", "/info", "ann", "wrong"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong password: %d", resp.StatusCode)
	}
	r.moved(before, `oob_logins_total{result="refused"}`, 1)
	if resp, _ := r.ask("GET", apiRoot+"/info", "forged", ""); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a forged token: %d", resp.StatusCode)
	}
	r.moved(before, `oob_logins_total{result="refused"}`, 2)
	r.login("ann", "")
	r.moved(before, `oob_logins_total{result="ok"}`, 1)
	r.moved(before, `oob_http_requests_total{code="401",method="GET",route="/api/v3/info"}`, 2)
	for range 30 {
		r.basic("GET", "/info", "ann", "wrong")
	}
	r.moved(before, `oob_logins_total{result="limited"}`, 1)
	after := r.series()
	if after[`oob_plugin_up{plugin="toy"}`] != 1 || after[`oob_actions_in_flight{plugin="toy"}`] != 0 {
		t.Errorf("afterwards: up %v, %v in flight", after[`oob_plugin_up{plugin="toy"}`], after[`oob_actions_in_flight{plugin="toy"}`])
	}
}

// A plugin that does not take its events has a queue that is bounded and seen.
func TestMetricsOfAHungListener(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	sub, err := r.e.hub.Subscribe("*.*.*")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	u := r.e.sup.unit("toy")
	sub.OnMissed(func() { r.e.count.EventDropped(u.name) })
	u.mu.Lock()
	u.waiting = sub.Waiting
	u.mu.Unlock()
	for range 1500 {
		r.e.hub.Publish(&model.Event{Type: "x", Action: "y", Key: "z"})
	}
	got := r.series()
	if got[`oob_event_queue_length{plugin="toy"}`] != 1000 || got[`oob_events_dropped_total{plugin="toy"}`] < 500 {
		t.Errorf("%v wait, %v dropped", got[`oob_event_queue_length{plugin="toy"}`], got[`oob_events_dropped_total{plugin="toy"}`])
	}
}

// The metrics hold neither machines nor secrets, and are for those who may see them.
func TestWhoSeesTheMetrics(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("a-machine-name", nil)
	if _, err := r.act("a-machine-name", "poweron", nil); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"a-machine-name", uuid, "s3cr3t-pw", r.e.token, "192.0.2.1"} {
		if strings.Contains(r.scrape("/metrics"), secret) {
			t.Errorf("%s is in the metrics", secret)
		}
	}
	r.user("ann", "viewer")
	r.user("bob")
	for _, c := range []struct {
		name, query, token string
		header             http.Header
		want               int
	}{
		{"from this machine", "", "", nil, 200},
		{"a viewer", "", r.login("ann", ""), nil, 200},
		{"who may nothing", "", r.login("bob", ""), nil, 403},
		{"with a wrong token", "", "forged", nil, 401},
		{"through a proxy", "", "", http.Header{"X-Forwarded-For": {"192.0.2.7"}}, 401},
		{"through another", "", "", http.Header{"Forwarded": {"for=192.0.2.7"}}, 401},
		{"with a query", "?token=x", "", nil, 401},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+r.e.Addr()+"/metrics"+c.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range c.header {
			req.Header[name] = values
		}
		if resp, raw := r.do(req, c.token); resp.StatusCode != c.want {
			t.Errorf("%s: %d, want %d: %.200s", c.name, resp.StatusCode, c.want, raw)
		}
	}
	for _, path := range []string{"/ipmi?target=a-machine-name", "/debug/pprof/heap"} {
		if resp, raw := r.ask("GET", path, "", ""); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d: %s", path, resp.StatusCode, raw)
		}
	}
}

// The metrics of a BMC are asked for when somebody wants them, by those who may
// ask that machine.
func TestMetricsOfABMC(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.put("state", "on")
	uuid := r.machine("m1", nil)
	for _, target := range []string{"m1", uuid} {
		text := r.scrape("/ipmi?target=" + target)
		for _, line := range []string{`ipmi_up{collector="chassis"} 1`, "ipmi_chassis_power_state 1"} {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("%s: no %q in %s", target, line, text)
			}
		}
		if !regexp.MustCompile(`(?m)^ipmi_scrape_duration_seconds [0-9.e-]+$`).MatchString(text) || strings.Contains(text, "oob_") {
			t.Errorf("%s: %s", target, text)
		}
	}
	for query, want := range map[string]int{"": 400, "?target=nobody": 404} {
		if resp, raw := r.localGet("/ipmi" + query); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d: %s", query, resp.StatusCode, want, raw)
		}
	}
	r.user("ann", "viewer")
	if resp, raw := r.ask("GET", "/ipmi?target=m1", r.login("ann", ""), ""); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a viewer acts on no machine: %d: %s", resp.StatusCode, raw)
	}
}

// Anybody may ask whether the endpoint is well, and learns nothing else.
func TestProbes(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		if resp, raw := r.ask("GET", path, "", ""); resp.StatusCode != 200 {
			t.Errorf("%s: %d: %s", path, resp.StatusCode, raw)
		}
		if resp, raw := r.ask("POST", path, r.e.token, "{}"); resp.StatusCode != 404 {
			t.Errorf("POST %s: %d: %s", path, resp.StatusCode, raw)
		}
	}
	r.e.runs.Refuse()
	resp, raw := r.ask("GET", "/readyz", "", "")
	var report struct {
		Ready   bool
		Reasons []struct{ Check, Why string }
	}
	if err := json.Unmarshal(raw, &report); err != nil || resp.StatusCode != 503 || report.Ready || len(report.Reasons) != 1 || report.Reasons[0].Check != "lifecycle" {
		t.Errorf("while it stops: %d: %s", resp.StatusCode, raw)
	}
	if resp, raw := r.ask("GET", "/healthz", "", ""); resp.StatusCode != 200 {
		t.Errorf("its process is up: %d: %s", resp.StatusCode, raw)
	}
}

// Profiles are on the socket alone.
func TestProfilesAreLocal(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, name := range []string{"goroutine?debug=1", "cmdline", "symbol"} {
		if text := r.scrape("/debug/pprof/" + name); text == "" && name != "symbol" {
			t.Errorf("nothing of %s", name)
		}
	}
	if resp, raw := r.ask("GET", "/debug/pprof/heap", r.e.token, ""); resp.StatusCode != http.StatusForbidden {
		t.Errorf("over https, by an admin: %d: %s", resp.StatusCode, raw)
	}
}

// The level of the log changes while the endpoint runs, by those who may.
func TestTheLogLevelChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	level := &slog.LevelVar{}
	r.opts.Level = level
	r.opts.Logger = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: level}))
	r.start()
	var got struct{ Level string }
	if err := r.c.Get(t.Context(), "log-level", &got); err != nil || got.Level != "info" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, want := range []string{"debug", "5"} {
		if err := r.c.Put(t.Context(), "log-level", map[string]string{"Level": want}, &got); err != nil {
			t.Error(err)
		}
	}
	if level.Level() != loglevel.Traffic || got.Level != "traffic" || !strings.Contains(r.log.String(), "log level changed") {
		t.Errorf("%v, %+v", level.Level(), got)
	}
	for _, bad := range []any{map[string]string{"Level": "loud"}, map[string]int{"Level": 3}, map[string]string{}} {
		if err := r.c.Put(t.Context(), "log-level", bad, nil); model.KindOf(err) != model.Invalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
	fixed := start(t)
	err := fixed.c.Put(t.Context(), "log-level", map[string]string{"Level": "debug"}, nil)
	wantError(t, err, model.Unsupported, "cannot be changed")
}

// What has become of a run is told apart by why it is not known.
func TestWhyARunIsUnknown(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"cannot tell whether x was executed: the endpoint stopped before an answer came, after it was sent": "restart",
		"cannot tell whether x was executed: no answer came by its deadline, after":                         "deadline",
		"cannot tell whether x was executed: no answer came, after":                                         "deadline",
		"cannot tell whether x was executed: plugin p was lost: EOF":                                        "plugin",
		"cannot tell whether it was cycled: the reply was not seen":                                         "device",
	} {
		if got := interruption(&model.Run{Error: model.Errorf(model.UnknownOutcome, "%s", text)}); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if got := interruption(&model.Run{}); got != "device" {
		t.Errorf("without an error: %s", got)
	}
}

// The number and the hash of what the audit trail has dropped are shown.
func TestMetricsOfTheAuditTrail(t *testing.T) {
	t.Parallel()
	whole := start(t)
	whole.machine("m1", nil)
	if got := whole.series(); got["oob_audit_dropped_records"] != 0 {
		t.Errorf("%v dropped of a new trail", got["oob_audit_dropped_records"])
	}
	r := newRig(t) // one that has outlived its first records
	s, err := store.Open(t.Context(), store.Options{Dir: r.opts.DataDir})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := model.Marshal(audit.Batch{Before: "beef", Records: []audit.Record{{N: 8, Hash: "cafe"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AppendAudit(t.Context(), raw, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r.start()
	if got := r.series(); got["oob_audit_dropped_records"] != 7 || got[`oob_audit_dropped_info{hash="beef"}`] != 1 {
		t.Errorf("%v dropped", got["oob_audit_dropped_records"])
	}
}

// Metrics are read while everything happens.
func TestMetricsWhileActionsRun(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.put("state", "on")
	uuid := r.machine("m1", nil)
	done := make(chan error, 1)
	go func() {
		var err error
		for range 20 {
			if _, e := r.c.Invoke(t.Context(), client.ActionRequest{Prefix: "machines", Key: uuid, Command: "powerstatus"}); e != nil {
				err = e
			}
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
			r.series()
		}
	}
}
