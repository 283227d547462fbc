package endpoint

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"provision-plugins/endpoint/auth"
	"provision-plugins/endpoint/metrics"
	"provision-plugins/shared/model"
)

// What monitoring asks for, beside the API.
const (
	healthPath   = "/healthz"
	readyPath    = "/readyz"
	metricsPath  = "/metrics"
	bmcPath      = "/ipmi"
	profilesPath = "/debug/pprof/"

	// profileTime bounds a profile.
	profileTime = 5 * time.Minute
	// bmcPatience bounds the reads of one BMC: less than what Prometheus waits.
	bmcPatience = 8 * time.Second
)

// probes are what anybody may ask: it tells nothing but whether the endpoint is
// well.
var probes = map[string]bool{healthPath: true, readyPath: true}

// probe answers a request for the endpoint's health, and reports whether it was
// one.
func (a *api) probe(w http.ResponseWriter, r *http.Request) bool {
	if !probes[r.URL.Path] {
		return false
	}
	dismiss(w, r)
	a.leaveBody(w, r)
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		a.write(w, r, failure(noSuchRoute(r)))
	case r.URL.Path == healthPath:
		a.write(w, r, ok(map[string]string{"status": "up"}))
	default:
		rep := ok(a.ready())
		if report := a.ready(); !report.Ready {
			rep = &reply{status: http.StatusServiceUnavailable, body: report}
		}
		a.write(w, r, rep)
	}
	return true
}

// operationRoutes are those for who runs the endpoint, by their whole pattern.
func (a *api) operationRoutes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET " + metricsPath:                a.getMetrics,
		"GET " + bmcPath:                    a.getBMC,
		"GET " + profilesPath + "{name...}": a.getProfile,
	}
}

// localScrape is the caller of a request for the metrics from this machine, which
// needs no token: a Prometheus beside the endpoint. One that came through a proxy
// may be from anywhere, and one with credentials that are wrong is not let in by
// their lack.
func localScrape(r *http.Request) (caller, bool) {
	if r.URL.Path != metricsPath || r.Method != http.MethodGet || r.URL.RawQuery != "" || r.Header.Get("Authorization") != "" {
		return caller{}, false
	}
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(header) != "" {
			return caller{}, false
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || !net.ParseIP(host).IsLoopback() {
		return caller{}, false
	}
	return caller{name: "local", grant: auth.Grant{{{Scope: "metrics", Action: "get", Specific: "*"}}}}, true
}

// getMetrics answers the endpoint's own metrics.
func (a *api) getMetrics(w http.ResponseWriter, r *http.Request) {
	a.bounded(w, writeTimeout)
	a.count.Handler().ServeHTTP(w, r)
}

// bounded gives a reply that is not written by write its time.
func (a *api) bounded(w http.ResponseWriter, within time.Duration) {
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(within)); err != nil {
		a.log.Debug("cannot bound a reply", "error", err)
	}
}

// getBMC answers the metrics of one machine's BMC, which is asked for them now.
// A BMC that does not answer is an answer too; a machine that is not there, or
// that the caller may not ask, is none.
func (a *api) getBMC(w http.ResponseWriter, r *http.Request) {
	b, err := a.askBMC(r)
	if err != nil {
		a.write(w, r, failure(err))
		return
	}
	a.bounded(w, writeTimeout)
	b.Handler().ServeHTTP(w, r)
}

// askBMC reads what a BMC tells.
func (a *api) askBMC(r *http.Request) (*metrics.BMC, error) {
	target := r.URL.Query().Get("target")
	if target == "" {
		return nil, model.Errorf(model.Invalid, "cannot tell which BMC: name a machine by its name or its Uuid, as in %s?target=m1", bmcPath)
	}
	key := target
	if _, err := a.objects.find(a.objects.kinds.get("machines"), key); err != nil {
		key = "Name:" + target
	}
	began, b := time.Now(), &metrics.BMC{Up: map[string]bool{}}
	ask := func(command string) (json.RawMessage, error) {
		return a.askedOf(r.Context(), invocation{prefix: "machines", key: key, command: command, body: model.Params{"oob/timeout": bmcPatience.Seconds()}})
	}
	raw, err := ask(model.PowerStatus)
	switch model.KindOf(err) {
	case model.NotFound, model.Forbidden, model.Invalid:
		return nil, err
	}
	b.Up[metrics.CollectChassis] = err == nil
	if state, _, known := powerIn(raw); err == nil && known {
		on := state == model.StateOn
		if on || state == model.StateOff {
			b.Power = &on
		}
	}
	if err == nil {
		a.askMore(b, ask)
	}
	b.Took = time.Since(began)
	return b, nil
}

// bmcReading is what getInfo of a BMC's driver answers, as far as metrics show it.
type bmcReading struct {
	FirmwareRevision string   `json:"firmwareRevision"`
	ManufacturerID   string   `json:"manufacturerId"`
	SystemFirmware   string   `json:"systemFirmware"`
	Watts            *float64 `json:"watts"`
}

// askMore asks a BMC that answers for what not every driver can tell.
func (a *api) askMore(b *metrics.BMC, ask func(string) (json.RawMessage, error)) {
	raw, err := ask("getInfo")
	var info bmcReading
	if err != nil || json.Unmarshal(raw, &info) != nil {
		if kind := model.KindOf(err); kind != model.Unsupported && kind != model.NotFound {
			b.Up[metrics.CollectBMC] = false
		}
		return
	}
	b.Up[metrics.CollectBMC] = true
	b.Info = &metrics.BMCInfo{FirmwareRevision: info.FirmwareRevision, ManufacturerID: info.ManufacturerID, SystemFirmware: info.SystemFirmware}
	b.Watts = info.Watts
	if info.Watts != nil {
		b.Up[metrics.CollectDCMI] = true
	}
}

// profiles are those that need more than their name.
var profiles = map[string]http.HandlerFunc{
	"cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
}

// getProfile answers a profile of the running program, on the unix socket only:
// a memory dump has secrets in it.
func (a *api) getProfile(w http.ResponseWriter, r *http.Request) {
	if _, local := r.Context().Value(peerKey{}).(caller); !local {
		a.write(w, r, failure(model.Errorf(model.Forbidden, "Access Denied: %s may not: see profiles but on the endpoint's own socket", principal(r.Context()))))
		return
	}
	a.bounded(w, profileTime)
	if h := profiles[strings.TrimPrefix(r.URL.Path, profilesPath)]; h != nil {
		h(w, r)
		return
	}
	pprof.Index(w, r)
}
