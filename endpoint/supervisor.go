package endpoint

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"provision-plugins/endpoint/events"
	"provision-plugins/endpoint/metrics"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

// pluginDirs are the folders of plugin processes.
type pluginDirs struct {
	runtime string // sockets; short
	state   string // a durable folder per plugin object
	scratch string // a working directory per plugin object
	webroot string // what unpack writes to
}

// supervisor keeps one unit per plugin object.
type supervisor struct {
	log     *slog.Logger
	objects *objects
	cat     *catalog
	hub     *events.Hub
	tokens  *tokens
	timing  timing
	dirs    pluginDirs
	// unread reports whether the plugin directory holds a file that has not been
	// asked yet: any provider may come out of it.
	unread func() bool
	// baseEnv is the environment of every plugin process, without its token.
	baseEnv []string
	// outside has all plugins run outside the sandbox; paths are directories that
	// those inside may use beside their own.
	outside bool
	paths   []string

	tails *tails // of the runs
	hush  hush   // what must not be logged, of the machines that are acted on

	plugged plugged
	count   *metrics.Set
	traffic *traffic

	changes atomic.Uint64 // of binaries, so far

	wake   chan struct{} // holds a token when plugins must be looked at
	cancel context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex // guards all below
	binaries map[string]*binary
	units    map[string]*unit
	stopped  bool
}

// start begins to keep the processes of plugin objects.
func (s *supervisor) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.done = cancel, make(chan struct{})
	go func() {
		defer close(s.done)
		for {
			select {
			case <-s.wake:
				s.reconcile()
			case <-ctx.Done():
				return
			}
		}
	}()
}

// look has the plugin objects looked at soon. It never blocks.
func (s *supervisor) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// install takes a provider's binary into use, in place of its earlier one.
func (s *supervisor) install(b *binary) {
	s.mu.Lock()
	s.binaries[b.provider.Name] = b
	s.changes.Add(1)
	s.mu.Unlock()
	s.look()
}

// retire takes a provider's binary out of use: its processes end.
func (s *supervisor) retire(provider string) {
	s.mu.Lock()
	delete(s.binaries, provider)
	s.changes.Add(1)
	s.mu.Unlock()
	s.look()
}

// reconcile compares the plugin objects with the units.
func (s *supervisor) reconcile() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	stored := s.objects.store.List("plugins") // under the lock: the newest list is applied last
	wanted, there := map[string]bool{}, map[string]bool{}
	for _, o := range stored {
		there[o.ID] = true
		object, err := s.objects.opened(s.objects.kinds.get("plugins"), o)
		if err != nil {
			s.log.Error("cannot read plugin object", "plugin", o.ID, "error", err)
			continue
		}
		p := object.(*model.Plugin)
		want := s.desire(p, o.Rev)
		if want == nil {
			continue
		}
		wanted[p.Name] = true
		switch u := s.units[p.Name]; {
		case u == nil:
			s.units[p.Name] = newUnit(s, p.Name, want)
		case u.ctx.Err() == nil:
			u.set(want)
		} // else one of that name is still ending, and has this looked at again
	}
	for name, u := range s.units {
		switch {
		case !there[name]:
			u.end()
		case !wanted[name]: // its provider is away, perhaps for a moment only
			u.set(nil)
		}
	}
}

// ended forgets a unit whose loop has ended: nothing is left of it.
func (s *supervisor) ended(u *unit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.units[u.name] == u {
		delete(s.units, u.name)
	}
	s.look()
}

// desire works out what a plugin object asks for; nil if its provider is not
// there. The caller holds the lock.
func (s *supervisor) desire(p *model.Plugin, rev uint64) *desired {
	b := s.binaries[p.Provider]
	if b == nil {
		return nil
	}
	want := &desired{binary: b, params: model.Params{}, trusted: s.trusted(p.Provider)}
	from := s.objects.pluginChain(p)
	for _, name := range b.provider.RequiredParams {
		v, ok := s.cat.value(name, nil, from)
		if !ok && want.problem == "" {
			want.problem = fmt.Sprintf("missing param %s: set it on the plugin", name)
		}
		want.params[name] = v
	}
	for _, name := range b.provider.OptionalParams {
		if v, ok := s.cat.value(name, nil, from); ok {
			want.params[name] = v
		}
	}
	for name, v := range p.Params {
		want.params[name] = v
	}
	raw, err := model.Marshal(want.params)
	if err != nil {
		want.problem = "its params cannot be encoded: " + err.Error()
	}
	want.revision = fmt.Sprintf("%d %x", rev, sha256.Sum256(raw))
	return want
}

// stop ends the units that the filter selects, all at once, and waits for
// them. Each is stopped within the bounds of its process.
func (s *supervisor) stop(ctx context.Context, only func(*unit) bool) error {
	s.mu.Lock()
	s.stopped = true
	var chosen []*unit
	for _, u := range s.units {
		if only(u) {
			chosen = append(chosen, u)
		}
	}
	s.mu.Unlock()
	for _, u := range chosen {
		u.end()
	}
	var errs []error
	for _, u := range chosen {
		select {
		case <-u.done:
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("plugin %s has not ended: %w", u.name, context.Cause(ctx)))
		}
	}
	return errors.Join(errs...)
}

// close ends the supervisor's own goroutine.
func (s *supervisor) close() {
	s.cancel()
	<-s.done
}

// unit returns the unit of a plugin object, or nil.
func (s *supervisor) unit(name string) *unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.units[name]
}

// process returns the process of a plugin if it takes actions now.
func (s *supervisor) process(name string) (*plugin.Process, error) {
	if u := s.unit(name); u != nil {
		return u.process()
	}
	return nil, model.Errorf(model.Unreachable, "plugin %s is not running; nothing was sent", name).On("plugins", name)
}

// settled reports whether waiting for a plugin is of no use: it is ready, or it
// will not be.
func (s *supervisor) settled(name string) bool {
	u := s.unit(name)
	return u != nil && u.settled()
}

// await waits, for a bounded time, for a plugin that is starting.
func (s *supervisor) await(ctx context.Context, name string) (*plugin.Process, error) {
	u := s.unit(name)
	if u != nil {
		if proc, ok := u.ready(); ok {
			return proc, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timing.readyWait)
	defer cancel()
	if u == nil { // a plugin object may have been made a moment ago
		s.reconcile()
		u = s.unit(name)
	}
	if u != nil {
		return u.await(ctx)
	}
	return s.process(name)
}

// overlay adds to a plugin object whether its process is well. It counts as
// validated once that is known.
func (s *supervisor) overlay(object any) {
	p, ok := object.(*model.Plugin)
	if !ok {
		return
	}
	fault, settled := s.faultOf(p)
	p.Validated, p.Available = settled, fault == ""
	p.PluginErrors = []string{}
	if fault != "" {
		p.PluginErrors = []string{fault}
	}
}

// faultOf says why a plugin takes no actions, empty if it does, and whether
// waiting for it is of no use.
func (s *supervisor) faultOf(p *model.Plugin) (fault string, settled bool) {
	s.mu.Lock()
	u, b := s.units[p.Name], s.binaries[p.Provider]
	s.mu.Unlock()
	if b == nil {
		fault = fmt.Sprintf("plugin provider %s is not loaded: see plugin_providers", p.Provider)
		return fault, !s.unread()
	}
	if u == nil {
		return "it is starting", false
	}
	at, _, fault, _ := u.look()
	if at != ready && fault == "" {
		fault = "it is starting"
	}
	return fault, at != starting
}

// offers lists the plugins that offer a command on objects of a prefix, by
// name; an empty command means all.
func (s *supervisor) offers(prefix, command string) []offer {
	var out []offer
	for _, p := range s.plugged.of(s.objects.store.Snapshot("plugins")) {
		s.mu.Lock()
		b := s.binaries[p.Provider]
		s.mu.Unlock()
		if b == nil {
			continue
		}
		for _, row := range b.provider.AvailableActions {
			if row.Model == prefix && (command == "" || row.Command == command) {
				row.Provider = b.provider.Name
				out = append(out, offer{plugin: p.Name, provider: b.provider, action: row})
			}
		}
	}
	return out
}

// fault tells everybody that a plugin is out of order.
func (s *supervisor) fault(name, why string) {
	s.log.Error("plugin fault", "plugin", name, "error", why)
	s.hub.Publish(&model.Event{
		Time: time.Now(), Type: "plugins", Action: "fault", Key: name, Principal: "system",
		Object: map[string]string{"Name": name, "Error": why},
	})
}

// recovered tells everybody that a plugin which was out of order works again.
func (s *supervisor) recovered(name string) {
	s.log.Info("plugin works again", "plugin", name)
	s.hub.Publish(&model.Event{
		Time: time.Now(), Type: "plugins", Action: "recovered", Key: name, Principal: "system", Object: map[string]string{"Name": name},
	})
}

// env is the environment of one plugin process.
func (s *supervisor) env(token string) []string {
	return append(s.baseEnv[:len(s.baseEnv):len(s.baseEnv)], "RS_TOKEN="+token)
}

// pluginLevel is the least level of lines that is worth a plugin's while: that of
// the endpoint's own log. A request may ask for more.
func pluginLevel(log *slog.Logger) string {
	for _, row := range [...]struct {
		level slog.Level
		word  string
	}{{slog.LevelDebug, "debug"}, {slog.LevelInfo, "info"}, {slog.LevelWarn, "warn"}} {
		if log.Enabled(context.Background(), row.level) {
			return row.word
		}
	}
	return "error"
}

// pluginEnv is the environment that all plugin processes share: nothing of this
// process's own, but for the variables that its options name.
func pluginEnv(addr, webroot string, more []string, log *slog.Logger) []string {
	env := []string{
		plugin.EnvLog + "=" + pluginLevel(log),
		"RS_ENDPOINT=https://" + addr,
		"RS_FILESERVER=https://" + addr + "/files",
		"RS_WEBROOT=" + webroot,
	}
	for _, name := range more {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}
