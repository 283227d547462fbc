package endpoint

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"provision-plugins/endpoint/audit"
	"provision-plugins/endpoint/health"
	"provision-plugins/endpoint/loglevel"
	"provision-plugins/endpoint/metrics"
	"provision-plugins/shared/model"
)

// countsWait bounds how long a plugin is asked for its own counters.
const countsWait = 500 * time.Millisecond

// revision is the commit that the program was built from, where the build knows.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

// readiness tells whether requests should come here.
func (e *Endpoint) readiness() health.Report {
	h := e.store.Health()
	failed, fault := e.trail.Fault()
	return health.Readiness(health.State{
		Now: time.Now(), Written: h.Beat, WriteFault: h.Err, Used: h.Used, Limit: h.Limit,
		AuditFault: fault, AuditFailed: failed, Stopping: e.runs.Refusing(),
	})
}

// observe reads what metrics show of this moment.
func (e *Endpoint) observe() metrics.Now {
	h := e.store.Health()
	now := metrics.Now{Site: e.opts.Site, StoreBytes: h.Used, StoreLimit: h.Limit, Plugins: e.sup.plugins()}
	ctx, cancel := context.WithTimeout(context.Background(), countsWait)
	defer cancel()
	if raw, err := e.store.FirstAudit(ctx); err == nil && raw != nil {
		var first audit.Batch
		if model.Unmarshal(raw, &first) == nil && len(first.Records) > 0 && first.Records[0].N > 1 {
			now.AuditDropped, now.AuditHash = first.Records[0].N-1, first.Before
		}
	}
	return now
}

// plugins are the units, with what their plugins count themselves.
func (s *supervisor) plugins() []metrics.Plugin {
	s.mu.Lock()
	var units []*unit
	for _, u := range s.units {
		units = append(units, u)
	}
	s.mu.Unlock()
	out := make([]metrics.Plugin, len(units))
	var asked sync.WaitGroup
	for i, u := range units {
		asked.Go(func() { out[i] = u.observed() })
	}
	asked.Wait()
	return out
}

// observed is how a plugin does.
func (u *unit) observed() metrics.Plugin {
	at, proc, _, _ := u.look()
	p := metrics.Plugin{Name: u.name, Up: at == ready}
	u.mu.Lock()
	waiting, want := u.waiting, u.want
	u.mu.Unlock()
	if waiting != nil {
		p.Waiting = waiting()
	}
	if !p.Up || want == nil || want.binary.provider.Meta[model.MetaCounts] != "true" {
		return p
	}
	ctx, cancel := context.WithTimeout(u.ctx, countsWait)
	defer cancel()
	counts, err := proc.Counts(ctx)
	if err != nil { // the next scrape asks again
		u.sup.log.Debug("plugin did not tell its counters", "plugin", u.name, "error", err)
	}
	for _, c := range counts {
		p.Counts = append(p.Counts, metrics.Count{Name: c.Name, Labels: c.Labels, Value: c.Value})
	}
	return p
}

// countRun counts a run, or a read, that has ended.
func countRun(count *metrics.Set, old, updated *model.Run) {
	if !updated.State.Terminal() || old != nil && old.State.Terminal() {
		return
	}
	result := "done"
	if updated.Error != nil {
		result = string(updated.Error.Kind())
	}
	began := updated.Sent
	if began.IsZero() {
		began = updated.Ended // it was never sent
	}
	count.Acted(updated.Plugin, updated.Command, result, max(0, updated.Ended.Sub(began)))
	if updated.State == model.RunUnknown {
		count.Interrupted(interruption(updated))
	}
}

// interruptions tell from the words of a run's error why it is unknown.
var interruptions = [...]struct{ words, reason string }{
	{"the endpoint stopped", metrics.Restarted},
	{"no answer came", metrics.Deadline},
	{" was lost", metrics.Lost},
}

// interruption is why it is not known what became of a run.
func interruption(run *model.Run) string {
	for _, i := range interruptions {
		if run.Error != nil && strings.Contains(run.Error.Text(), i.words) {
			return i.reason
		}
	}
	return metrics.Device
}

// countLogin counts a request that was refused for its credentials, and each that
// came with a password.
func (a *api) countLogin(r *http.Request, err error) {
	c := credentialsOf(r)
	switch {
	case a.count == nil || c.user == "" && (c.token == "" || err == nil):
	case err == nil:
		a.count.Login(metrics.LoginOK)
	case model.KindOf(err) == model.RateLimited || model.KindOf(err) == model.Busy:
		a.count.Login(metrics.LoginLimited)
	default:
		a.count.Login(metrics.LoginRefused)
	}
}

// counted serves a request and counts it.
func (a *api) counted(w http.ResponseWriter, r *http.Request) {
	r = a.direct(r)
	if a.count == nil { // as in some tests
		a.serve(w, r)
		return
	}
	began, seen := time.Now(), &seenWriter{ResponseWriter: w}
	defer func() {
		route := "/" // there is none
		if _, pattern := a.lookup(r); pattern != "" {
			route = pattern[strings.IndexByte(pattern, ' ')+1:]
		}
		if probes[r.URL.Path] {
			route = r.URL.Path
		}
		a.count.Served(metrics.Request{
			Code: seen.status(), Method: r.Method, Route: route, Took: time.Since(began),
			Streamed: seen.hijacked || strings.HasPrefix(route, apisRoot),
		})
	}()
	a.serve(seen, r)
}

// seenWriter notes the status of a reply.
type seenWriter struct {
	http.ResponseWriter
	code     int
	hijacked bool
}

// status is that of the reply.
func (w *seenWriter) status() int {
	switch {
	case w.code != 0:
		return w.code
	case w.hijacked:
		return http.StatusSwitchingProtocols
	}
	return http.StatusOK
}

// WriteHeader notes the status; those of 1xx are not the last one.
func (w *seenWriter) WriteHeader(code int) {
	if w.code == 0 && code >= http.StatusOK || code == http.StatusSwitchingProtocols {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController find the server's own writer.
func (w *seenWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush is for those who ask the writer itself.
func (w *seenWriter) Flush() {
	_ = http.NewResponseController(w.ResponseWriter).Flush() // what is wrong shows at the next write
}

// Hijack hands the connection over, to a websocket.
func (w *seenWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.hijacked = true
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// shownLevel is the level of the endpoint's own log.
type shownLevel struct{ Level string }

// getLevel tells the level of the endpoint's own log.
func (a *api) getLevel() (*reply, error) {
	if a.level == nil {
		return nil, model.Errorf(model.Unsupported, "the level of this endpoint's log cannot be changed")
	}
	return ok(shownLevel{loglevel.Name(a.level.Level())}), nil
}

// putLevel changes the level of the endpoint's own log until it ends.
func (a *api) putLevel(r *http.Request) (*reply, error) {
	var want shownLevel
	if err := json.Unmarshal(body(r), &want); err != nil {
		return nil, model.Errorf(model.Invalid, "cannot set the log level: %w", err)
	}
	level, err := loglevel.Parse(want.Level)
	if err != nil || a.level == nil {
		if err == nil {
			_, err = a.getLevel()
		}
		return nil, err
	}
	a.level.Set(level)
	a.log.Info("log level changed", "level", want.Level, "by", principal(r.Context()))
	return a.getLevel()
}
