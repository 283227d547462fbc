package metrics

import (
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// How many values the labels have that others choose.
const (
	maxTypes    = 200 // of events
	maxCommands = 500 // of actions
	maxPlugins  = 100
)

// The buckets of the histograms, in seconds.
var (
	actionBuckets  = []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30, 60, 120}
	requestBuckets = []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10, 30, 120}
	writeBuckets   = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .05, .1, .5, 1, 10}
)

// Build is what the program is.
type Build struct{ Version, Revision string }

// Set is the metrics of one endpoint. Its methods may be called concurrently.
type Set struct {
	registry *prometheus.Registry
	types    *names
	commands *names
	plugins  *names

	actions     *prometheus.CounterVec
	durations   *prometheus.HistogramVec
	inFlight    *prometheus.GaugeVec
	conflicts   prometheus.Counter
	interrupted *prometheus.CounterVec

	restarts      *prometheus.CounterVec
	linesDropped  *prometheus.CounterVec
	eventsDropped *prometheus.CounterVec
	events        *prometheus.CounterVec

	requests  *prometheus.CounterVec
	latencies *prometheus.HistogramVec
	logins    *prometheus.CounterVec
	unaudited prometheus.Counter
	writes    prometheus.Histogram
}

// New makes the metrics of an endpoint, all of them at zero.
func New(b Build) *Set {
	s := &Set{registry: prometheus.NewRegistry(), types: newNames(maxTypes), commands: newNames(maxCommands), plugins: newNames(maxPlugins)}
	s.ofActions()
	s.ofPlugins()
	s.ofRequests()
	info := s.gauge("oob_build_info", "What the program is; always 1.", "version", "revision", "goversion")
	info.WithLabelValues(b.Version, b.Revision, runtime.Version()).Set(1)
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return s
}

// counter makes a counter with labels.
func (s *Set) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	s.registry.MustRegister(c)
	return c
}

// gauge makes a gauge with labels.
func (s *Set) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	s.registry.MustRegister(g)
	return g
}

// histogram makes a histogram with labels.
func (s *Set) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	s.registry.MustRegister(h)
	return h
}

// ofActions makes what counts actions.
func (s *Set) ofActions() {
	s.actions = s.counter("oob_actions_total", "Actions that have ended, by their result: done, or the kind of the error.", "plugin", "command", "result")
	s.durations = s.histogram("oob_action_duration_seconds", "How long actions took, from being sent to their end.", actionBuckets, "plugin", "command")
	s.inFlight = s.gauge("oob_actions_in_flight", "Actions that are with a plugin now.", "plugin")
	s.conflicts = s.counter("oob_action_conflicts_total", "Actions that were refused because another one was at the machine, or had left its state unknown.").WithLabelValues()
	s.interrupted = s.counter("oob_actions_interrupted_total", "Changes of which it is not known whether they were made.", "reason")
	for _, reason := range reasons {
		s.interrupted.WithLabelValues(reason)
	}
}

// ofPlugins makes what counts what plugins do of their own accord, and events.
func (s *Set) ofPlugins() {
	s.restarts = s.counter("oob_plugin_restarts_total", "Times that a plugin's process ended by itself or could not be started.", "plugin")
	s.linesDropped = s.counter("oob_plugin_log_dropped_total", "Log lines of a plugin that were too many.", "plugin")
	s.eventsDropped = s.counter("oob_events_dropped_total", "Events that a plugin did not get because its queue was full, or that it published too fast. Those of event streams are under no plugin.", "plugin")
	s.events = s.counter("oob_events_total", "Events by type.", "type")
	s.eventsDropped.WithLabelValues("")
}

// ofRequests makes what counts requests, and what they have written.
func (s *Set) ofRequests() {
	s.requests = s.counter("oob_http_requests_total", "Requests to the API by their answer.", "code", "method", "route")
	s.latencies = s.histogram("oob_http_request_duration_seconds", "How long requests to the API took.", requestBuckets, "route")
	s.logins = s.counter("oob_logins_total", "Logins with a password or a token, by result: ok, refused, limited.", "result")
	for _, result := range []string{LoginOK, LoginRefused, LoginLimited} {
		s.logins.WithLabelValues(result)
	}
	s.unaudited = s.counter("oob_audit_failures_total", "Requests that were refused because the audit trail could not be written.").WithLabelValues()
	writes := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "oob_store_write_seconds", Help: "How long durable writes took.", Buckets: writeBuckets})
	s.registry.MustRegister(writes)
	s.writes = writes
}

// Handler answers with all metrics.
func (s *Set) Handler() http.Handler {
	return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// The reasons why it is not known whether a change was made.
const (
	Restarted = "restart"  // the endpoint ended meanwhile
	Deadline  = "deadline" // no answer came in time
	Lost      = "plugin"   // its plugin was lost
	Device    = "device"   // the plugin says so
)

// reasons lists them.
var reasons = [...]string{Restarted, Deadline, Lost, Device}

// The results of logins.
const (
	LoginOK      = "ok"
	LoginRefused = "refused"
	LoginLimited = "limited"
)

// Acted counts an action that has ended.
func (s *Set) Acted(plugin, command, result string, took time.Duration) {
	plugin, command = s.plugins.of(plugin), s.commands.of(command)
	s.actions.WithLabelValues(plugin, command, result).Inc()
	s.durations.WithLabelValues(plugin, command).Observe(took.Seconds())
}

// Begin counts an action that is with a plugin until what it returns is called.
func (s *Set) Begin(plugin string) (end func()) {
	g := s.inFlight.WithLabelValues(s.plugins.of(plugin))
	g.Inc()
	return g.Dec
}

// Conflict counts an action that was refused for another one's sake.
func (s *Set) Conflict() { s.conflicts.Inc() }

// Interrupted counts a change of which it is not known whether it was made.
func (s *Set) Interrupted(reason string) { s.interrupted.WithLabelValues(reason).Inc() }

// Plugin has a plugin's counters shown, at zero, before anything happens to it.
func (s *Set) Plugin(name string) {
	name = s.plugins.of(name)
	for _, c := range []*prometheus.CounterVec{s.restarts, s.linesDropped, s.eventsDropped} {
		c.WithLabelValues(name)
	}
	s.inFlight.WithLabelValues(name)
}

// Crashed counts the end of a plugin's process that nobody had asked for.
func (s *Set) Crashed(plugin string) { s.restarts.WithLabelValues(s.plugins.of(plugin)).Inc() }

// LineDropped counts a log line of a plugin that was one too many.
func (s *Set) LineDropped(plugin string) { s.linesDropped.WithLabelValues(s.plugins.of(plugin)).Inc() }

// EventDropped counts an event that did not reach a plugin, or did not come from
// it; an empty name stands for the event streams.
func (s *Set) EventDropped(plugin string) {
	if plugin != "" {
		plugin = s.plugins.of(plugin)
	}
	s.eventsDropped.WithLabelValues(plugin).Inc()
}

// Event counts an event of a type.
func (s *Set) Event(kind string) { s.events.WithLabelValues(s.types.of(kind)).Inc() }

// methods are those of requests that are kept apart.
var methods = map[string]bool{"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "OPTIONS": true}

// Request is one that was answered.
type Request struct {
	Code          int
	Method, Route string // the route's pattern, not the path
	Took          time.Duration
	// Streamed requests go on for as long as the client likes: they are counted
	// and not timed.
	Streamed bool
}

// Served counts a request.
func (s *Set) Served(r Request) {
	if !methods[r.Method] {
		r.Method = Other
	}
	s.requests.WithLabelValues(strconv.Itoa(r.Code), r.Method, r.Route).Inc()
	if !r.Streamed {
		s.latencies.WithLabelValues(r.Route).Observe(r.Took.Seconds())
	}
}

// Login counts a login by its result.
func (s *Set) Login(result string) { s.logins.WithLabelValues(result).Inc() }

// Unaudited counts a request that the audit trail could not take.
func (s *Set) Unaudited() { s.unaudited.Inc() }

// Written counts a durable write.
func (s *Set) Written(took time.Duration) { s.writes.Observe(took.Seconds()) }
