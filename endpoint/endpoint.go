package endpoint

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"provision-plugins/endpoint/audit"
	"provision-plugins/endpoint/auth"
	"provision-plugins/endpoint/events"
	"provision-plugins/endpoint/metrics"
	"provision-plugins/endpoint/query"
	"provision-plugins/endpoint/runs"
	"provision-plugins/endpoint/secret"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// The bounds of the steps of a stop, outermost last. Together they stay below
// what a service manager gives (45 s).
const (
	stopQuick   = 5 * time.Second
	stopPlugins = 30 * time.Second
)

// Endpoint is one endpoint. Make it with New; it can be started once.
type Endpoint struct {
	opts   Options
	log    *slog.Logger
	timing timing
	down   teardown

	started sync.Once
	addr    string

	ring      *logRing
	count     *metrics.Set
	token     string
	master    *secret.Master
	access    *access
	trail     *audit.Trail
	contents  *contents
	now       func() time.Time // the wall clock, by which tokens expire
	hashCost  auth.Cost        // of passwords
	store     *store.Store
	indexes   map[string]*query.Index[store.Object] // that the store keeps, by prefix
	runs      *runs.Manager
	hub       *events.Hub
	cat       *catalog
	objects   *objects
	sup       *supervisor
	discovery *discovery
	api       *api
}

// New checks the options and makes an endpoint. Nothing runs before Start.
func New(o Options) (*Endpoint, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	e := &Endpoint{opts: o, timing: defaultTiming(), now: time.Now, hashCost: auth.DefaultCost()}
	e.log, e.ring = keepLog(o.Logger)
	e.count = metrics.New(metrics.Build{Version: o.Version, Revision: revision()})
	return e, nil
}

// Start brings the endpoint up. When it returns without an error the API
// answers; when it returns an error nothing is left behind. ctx bounds only
// the start.
func (e *Endpoint) Start(ctx context.Context) error {
	err := error(model.Errorf(model.Conflict, "cannot start the endpoint: it was started before"))
	e.started.Do(func() { err = e.start(ctx) })
	return err
}

// start takes the steps of Start in order; a failed one undoes those before.
func (e *Endpoint) start(ctx context.Context) error {
	steps := []func(context.Context) error{e.openStore, e.openTrail, e.openContent, e.openAccess, e.openRuns, e.openPlugins, e.openAPI, e.startBackups, e.startPlugins}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return errors.Join(err, e.down.unwind(context.WithoutCancel(ctx)))
		}
	}
	e.log.Info("endpoint started", "listen", e.addr, "socket", e.opts.Socket, "data", e.opts.DataDir, "plugins", e.opts.PluginDir)
	return nil
}

// Stop ends plugins politely, writes the outcomes of their runs and closes
// everything, in the reverse order of Start. It is bounded, and a second call
// does nothing.
func (e *Endpoint) Stop(ctx context.Context) error { return e.down.unwind(ctx) }

// Run is Start, waiting for ctx to end, and Stop.
func (e *Endpoint) Run(ctx context.Context) error {
	if err := e.Start(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	e.log.Info("endpoint stops")
	return e.Stop(context.WithoutCancel(ctx))
}

// Addr is the address the https API listens on, after Start.
func (e *Endpoint) Addr() string { return e.addr }

// Socket is the path of the unix socket.
func (e *Endpoint) Socket() string { return e.opts.Socket }

// openStore takes the data directory.
func (e *Endpoint) openStore(ctx context.Context) error {
	var err error
	var indexes map[string]store.Index
	e.indexes, indexes = newIndexes()
	e.store, err = store.Open(ctx, store.Options{Dir: e.opts.DataDir, Site: e.opts.Site, Logger: e.log.With("part", "store"), Written: e.count.Written, Upgrade: e.beforeUpgrade, Indexes: indexes})
	if err != nil {
		return err
	}
	e.down.push("the store", stopQuick, func(context.Context) error { return e.store.Close() })
	if e.token, err = adminToken(e.opts.DataDir); err != nil {
		return err
	}
	return e.openMaster(ctx)
}

// openRuns settles what an earlier process left unfinished.
func (e *Endpoint) openRuns(ctx context.Context) error {
	emit := &emitter{log: e.log, hub: e.hub, objects: e.objects, power: &powerBook{}, tails: newTails(), count: e.count}
	e.runs = runs.New(runs.Options{Store: e.store, Site: e.opts.Site, Logger: e.log.With("part", "runs"), OnRun: emit.runChanged})
	e.objects.runs = e.runs
	e.down.push("the runs", stopQuick, e.runs.Close)
	if err := e.runs.Recover(ctx); err != nil {
		return err
	}
	e.store.OnChange(func(c store.Change) { e.changed(emit, c) })
	e.prefChanged()
	e.api = &api{log: e.log, snapshot: e.snapshotSource, master: e.master, count: e.count, ready: e.readiness, level: e.opts.Level, access: e.access, trail: e.trail, contents: e.contents, objects: e.objects, hub: e.hub, power: emit.power, info: e.info, ids: e.ids, ring: e.ring, files: filepath.Join(e.opts.DataDir, "webroot", "files")}
	e.api.actions = &actions{
		objects: e.objects, cat: e.cat, runs: e.runs, emit: emit, digest: newDigester(e.token), tails: emit.tails, count: e.count,
	}
	return nil
}

// changed tells everybody of a committed write.
func (e *Endpoint) changed(emit *emitter, c store.Change) {
	object := c.New
	if object == nil {
		object = c.Old
	}
	switch {
	case object.Prefix == "params":
		e.cat.stored(c)
	case object.Prefix == "prefs":
		e.prefChanged()
	case object.Prefix == "machines" && c.New == nil:
		emit.power.forget(object.ID)
	}
	if c.Old == nil || c.New == nil || !bytes.Equal(c.Old.Value, c.New.Value) { // else it has got a key
		emit.objectChanged(c)
	}
	if object.Prefix != "machines" && e.sup != nil {
		e.sup.look() // a plugin's params may come from a profile or a default
	}
}

// openPlugins prepares the plugins' surroundings.
func (e *Endpoint) openPlugins(context.Context) error {
	runtimeDir, remove, err := makeRuntimeDir(e.opts.RuntimeDir, e.opts.DataDir)
	if err != nil {
		return err
	}
	e.down.push("the runtime directory", stopQuick, func(context.Context) error { return remove() })
	dirs := pluginDirs{
		runtime: runtimeDir,
		state:   filepath.Join(e.opts.DataDir, "state"),
		scratch: filepath.Join(e.opts.DataDir, "scratch"),
		webroot: filepath.Join(e.opts.DataDir, "webroot"),
	}
	for _, dir := range []string{dirs.state, dirs.scratch, dirs.webroot} {
		if err := os.MkdirAll(dir, privateDir); err != nil {
			return model.Errorf(model.Invalid, "cannot make %s: %w", dir, cause(err))
		}
	}
	// Not writable by others, or every binary in it would be refused.
	if err := os.MkdirAll(e.opts.PluginDir, 0o755); err != nil {
		return model.Errorf(model.Invalid, "cannot make plugin directory %s: %w; choose another with --plugin-dir", e.opts.PluginDir, cause(err))
	}
	e.sup = &supervisor{
		log: e.log, objects: e.objects, cat: e.cat, hub: e.hub, tokens: newTokens(e.token), timing: e.timing, dirs: dirs, tails: e.api.actions.tails,
		outside: e.opts.NoSandbox, paths: e.opts.PluginPaths, count: e.count, wake: make(chan struct{}, 1), binaries: map[string]*binary{}, units: map[string]*unit{},
	}
	e.api.traffic = &traffic{log: e.log, secure: e.cat.secure, redact: e.sup.hush.redact}
	e.sup.traffic = e.api.traffic
	e.objects.overlay, e.contents.changed = e.sup.overlay, e.sup.look
	load := &loader{log: e.log, cat: e.cat, sup: e.sup, objects: e.objects, contents: e.contents, timing: e.timing, dirs: dirs, files: map[string]string{}, kinds: map[string]brought{}}
	e.discovery = newDiscovery(e.opts, load)
	e.sup.unread = e.discovery.unread
	e.api.tokens, e.api.discovery = e.sup.tokens, e.discovery
	e.api.actions.sup, e.api.actions.discovery = e.sup, e.discovery
	e.count.Observe(e.observe)
	return nil
}

// startPlugins looks for plugins and runs them. They are stopped in two steps:
// those that act first, so that the outcomes of their runs reach those that
// only listen.
func (e *Endpoint) startPlugins(context.Context) error {
	e.sup.baseEnv = pluginEnv(e.addr, e.sup.dirs.webroot, e.opts.PluginEnv, e.log)
	e.sup.start()
	e.down.push("the plugin supervisor", stopQuick, func(context.Context) error {
		e.sup.close()
		return nil
	})
	e.down.push("listening plugins", stopPlugins, func(ctx context.Context) error {
		return e.sup.stop(ctx, func(*unit) bool { return true })
	})
	e.down.push("the runs' outcomes", stopQuick, e.runs.Close)
	e.down.push("plugins", stopPlugins, func(ctx context.Context) error {
		return e.sup.stop(ctx, func(u *unit) bool { return !u.onlyListens() })
	})
	e.discovery.start()
	e.down.push("discovery", stopQuick, func(context.Context) error {
		e.discovery.stop()
		return nil
	})
	e.down.push("new actions", stopQuick, func(context.Context) error {
		e.runs.Refuse()
		return nil
	})
	return nil
}
