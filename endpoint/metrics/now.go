package metrics

import (
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Now is what is read when somebody asks for the metrics.
type Now struct {
	Site    string
	Plugins []Plugin
	// StoreBytes is how much is stored, StoreLimit how much may be.
	StoreBytes, StoreLimit uint64
	// AuditDropped is the number of the last record that the audit trail has
	// dropped for its age, and AuditHash its hash; 0 and empty: none.
	AuditDropped uint64
	AuditHash    string
}

// Plugin is the state of one plugin.
type Plugin struct {
	Name    string
	Up      bool
	Waiting int // events that wait for it
	// Counts are its own counters.
	Counts []Count
}

// Count is a counter of a plugin's own.
type Count struct {
	Name   string
	Labels map[string]string
	Value  float64
}

// The series that are read when somebody asks for them.
var (
	pluginUp      = prometheus.NewDesc("oob_plugin_up", "Whether a plugin takes actions.", []string{"plugin"}, nil)
	queueLength   = prometheus.NewDesc("oob_event_queue_length", "Events that wait for a plugin.", []string{"plugin"}, nil)
	storeBytes    = prometheus.NewDesc("oob_store_bytes", "How much is stored.", nil, nil)
	storeLimit    = prometheus.NewDesc("oob_store_limit_bytes", "How much may be stored; nothing new begins above nine tenths of it.", nil, nil)
	auditDropped  = prometheus.NewDesc("oob_audit_dropped_records", "Number of the last record that the audit trail has dropped for its age or its size.", nil, nil)
	auditInfo     = prometheus.NewDesc("oob_audit_dropped_info", "Hash of the last record that the audit trail has dropped; always 1.", []string{"hash"}, nil)
	engineLeader  = prometheus.NewDesc("oob_engine_leader", "Whether this process decides on writes: always 1 for one process.", nil, nil)
	engineReplica = prometheus.NewDesc("oob_engine_replica_lag", "Writes that this process's replica is behind: always 0 for one process.", nil, nil)
	siteUp        = prometheus.NewDesc("oob_site_up", "Whether a site answers: this one does.", []string{"site"}, nil)
)

// counterOfPlugins is one of the counters that plugins may have, and no others:
// a plugin does not choose what the endpoint's metrics are called.
type counterOfPlugins struct {
	name, help string
	labels     []string
}

// countersOfPlugins lists them.
var countersOfPlugins = []counterOfPlugins{
	{"oob_bmc_retransmits_total", "Datagrams that were sent to a BMC again because no answer came.", nil},
	{"oob_bmc_timeouts_total", "Commands and logins that a BMC did not answer at all.", nil},
	{"oob_bmc_auth_failures_total", "Logins that a BMC refused.", nil},
	{"oob_slack_requests_total", "Calls of the Slack Web API, by status code; 0 where none came.", []string{"code"}},
}

// maxCounts bounds the counters of one plugin.
const maxCounts = 100

// Observe has what look returns shown with the metrics. It is called once.
func (s *Set) Observe(look func() Now) { s.registry.MustRegister(&observed{look}) }

// observed collects what is read at the time.
type observed struct{ look func() Now }

// Describe names no series: which there are depends on the plugins.
func (o *observed) Describe(chan<- *prometheus.Desc) {}

// Collect reads the series.
func (o *observed) Collect(out chan<- prometheus.Metric) {
	now := o.look()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	gauge(storeBytes, float64(now.StoreBytes))
	gauge(storeLimit, float64(now.StoreLimit))
	gauge(auditDropped, float64(now.AuditDropped))
	if now.AuditHash != "" {
		gauge(auditInfo, 1, now.AuditHash)
	}
	gauge(engineLeader, 1)
	gauge(engineReplica, 0)
	gauge(siteUp, 1, now.Site)
	if len(now.Plugins) > maxPlugins {
		now.Plugins = now.Plugins[:maxPlugins]
	}
	for _, p := range now.Plugins {
		gauge(pluginUp, number(p.Up), p.Name)
		gauge(queueLength, float64(p.Waiting), p.Name)
		collectCounts(p, out)
	}
}

// collectCounts shows those counters of a plugin that are known, each once.
func collectCounts(p Plugin, out chan<- prometheus.Metric) {
	shown := map[string]bool{}
	for _, known := range countersOfPlugins {
		desc := prometheus.NewDesc(known.name, known.help, append([]string{"plugin"}, known.labels...), nil)
		for _, c := range p.Counts {
			if c.Name != known.name || !slices.Equal(slices.Sorted(maps.Keys(c.Labels)), known.labels) || c.Value < 0 || len(shown) >= maxCounts {
				continue
			}
			values := []string{p.Name}
			for _, label := range known.labels {
				values = append(values, valid(c.Labels[label]))
			}
			series := known.name + "\x00" + strings.Join(values, "\x00")
			if shown[series] {
				continue
			}
			shown[series] = true
			out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, c.Value, values...)
		}
	}
}
