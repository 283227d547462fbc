package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The collectors of BMC metrics, as ipmi_exporter calls them.
const (
	CollectChassis = "chassis"
	CollectBMC     = "bmc"
	CollectDCMI    = "dcmi"
)

// BMC is what one machine's BMC told when it was asked for its metrics. Their
// names are those of prometheus-community/ipmi_exporter, so that its dashboards
// and alerts go on.
type BMC struct {
	// Up tells for each collector whether the BMC answered.
	Up   map[string]bool
	Took time.Duration
	// Power is whether the machine is on; nil: it is not known.
	Power *bool
	// Info is what the BMC is; nil: it is not known.
	Info *BMCInfo
	// Watts is what the machine takes now; nil: it is not known.
	Watts *float64
}

// BMCInfo is what a BMC is.
type BMCInfo struct{ FirmwareRevision, ManufacturerID, SystemFirmware string }

// Handler answers with the metrics of one BMC, and with nothing of the endpoint.
func (b BMC) Handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(b.collectors()...)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// collectors are the metrics that there are.
func (b BMC) collectors() []prometheus.Collector {
	var out []prometheus.Collector
	gauge := func(value float64, name, help string, labels ...string) {
		var names, values []string
		for i := 0; i+1 < len(labels); i += 2 {
			names, values = append(names, labels[i]), append(values, labels[i+1])
		}
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, names)
		g.WithLabelValues(values...).Set(value)
		out = append(out, g)
	}
	up := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ipmi_up", Help: "Whether the BMC answered, by what it was asked for."}, []string{"collector"})
	for name, answered := range b.Up {
		up.WithLabelValues(name).Set(number(answered))
	}
	out = append(out, up)
	gauge(b.Took.Seconds(), "ipmi_scrape_duration_seconds", "How long asking the BMC took.")
	if b.Power != nil {
		gauge(number(*b.Power), "ipmi_chassis_power_state", "Whether the machine is on.")
	}
	if b.Info != nil {
		gauge(1, "ipmi_bmc_info", "What the BMC is; always 1.", "firmware_revision", valid(b.Info.FirmwareRevision),
			"manufacturer_id", valid(b.Info.ManufacturerID), "system_firmware_version", valid(b.Info.SystemFirmware))
	}
	if b.Watts != nil {
		gauge(*b.Watts, "ipmi_dcmi_power_consumption_current_watts", "What the machine takes now.")
	}
	return out
}

// number is 1 for what is so.
func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
