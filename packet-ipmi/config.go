package main

import (
	"log/slog"
	"strings"
	"time"

	"provision-plugins/packet-ipmi/metal"
	"provision-plugins/packet-ipmi/once"
	"provision-plugins/shared/model"
)

// The params of the plugin, of its machines and of requests.
const (
	paramKey         = "packet/api-key"
	paramURL         = "packet/api-url" // of the plugin alone
	paramProject     = "packet/project-id"
	paramImport      = "packet/import-existing"
	paramPrune       = "packet/prune"
	paramUUID        = "packet/uuid"
	paramName        = "packet/name"
	paramPlan        = "packet/plan"
	paramFacility    = "packet/facility"
	paramMetro       = "packet/metro"
	paramSystem      = "packet/operating-system"
	paramTags        = "packet/tags"
	paramUserdata    = "packet/userdata"
	paramAlwaysPXE   = "packet/always-pxe"
	paramScript      = "packet/ipxe-script-url"
	paramSOS         = "packet/sos"
	paramState       = "packet/state"
	paramProblem     = "packet/problem"
	paramSettle      = "packet/boot-settle"
	paramPoll        = "packet/poll-interval"
	paramRate        = "packet/request-rate"
	paramSync        = "packet/sync-interval"
	paramStateDir    = "packet-ipmi/state-dir" // read by plugin.StateDir
	paramConfirm     = "oob/confirm"
	paramProtected   = "oob/protected"
	paramMachinePlug = "machine-plugin"
)

// config is what the plugin's params say.
type config struct {
	name    string
	url     string
	key     model.Secret
	project string
	rate    float64
	settle  time.Duration
	poll    time.Duration
	sync    time.Duration
	imports bool
	prune   bool
	params  model.Params // of all, as defaults of machines
}

// The defaults and bounds of the times of a config.
const (
	defaultPoll = 5 * time.Second
	defaultSync = 5 * time.Minute
	maxTime     = 24 * time.Hour
	maxRate     = 10_000
)

// parseConfig checks the plugin's params. Its errors name the param.
func parseConfig(p model.Params) (*config, error) {
	c := &config{params: p}
	var key, address string
	for name, to := range map[string]*string{"Name": &c.name, paramKey: &key, paramURL: &address, paramProject: &c.project} {
		text, err := p.String(name, "")
		if err != nil {
			return nil, err
		}
		*to = strings.TrimSpace(text)
	}
	c.key = model.Secret(key)
	if c.name == "" {
		c.name = name
	}
	if c.project != "" {
		if err := metal.CheckID(paramProject, c.project); err != nil {
			return nil, err
		}
	}
	for name, to := range map[string]*bool{paramImport: &c.imports, paramPrune: &c.prune} {
		var err error
		if *to, err = p.Bool(name, false); err != nil {
			return nil, err
		}
	}
	if err := c.times(p); err != nil {
		return nil, err
	}
	return c, c.address(address)
}

// times reads how long and how often.
func (c *config) times(p model.Params) (err error) {
	for _, row := range []struct {
		name string
		to   *time.Duration
		def  time.Duration
	}{{paramSettle, &c.settle, 10 * time.Minute}, {paramPoll, &c.poll, defaultPoll}, {paramSync, &c.sync, defaultSync}} {
		if *row.to, err = p.Seconds(row.name, row.def, maxTime); err != nil {
			return err
		}
		*row.to = max(*row.to, 10*time.Millisecond)
	}
	n, err := p.Int(paramRate, 20, 1, maxRate)
	c.rate = float64(n)
	return err
}

// address checks where the API is. Without an address nothing is sent anywhere: the
// one that packngo has as its default is of a service that closed.
func (c *config) address(text string) error {
	if text == "" {
		return nil
	}
	address, err := metal.NormalizeURL(text)
	if err != nil {
		return model.Errorf(model.Invalid, "param %s: %w", paramURL, err)
	}
	c.url = address
	return nil
}

// noAddress is the error of everything while there is no address.
func noAddress() error {
	return model.Errorf(model.Invalid, "param %s of the plugin is not set, and its default is closed: Equinix Metal was shut down on 2026-06-30; set %s to a service that speaks its API, such as http://127.0.0.1:PORT/metal/v1/ of `oob sim packet`",
		paramURL, paramURL)
}

// client makes the client that a config asks for, nil without an address.
func (c *config) client(log *slog.Logger) *metal.Client {
	if c.url == "" {
		return nil
	}
	return metal.New(metal.Options{URL: c.url, Rate: c.rate, Burst: max(600, int(30*c.rate)), Logger: log})
}

// boots are the times of boot overrides.
func (c *config) boots(log *slog.Logger) once.Options {
	return once.Options{Settle: c.settle, Poll: min(3*c.poll, time.Minute), Logger: log}
}
