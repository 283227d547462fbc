package endpoint

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"provision-plugins/endpoint/allow"
	"provision-plugins/shared/model"
)

// binary is a plugin binary that has told what it is.
type binary struct {
	path     string
	provider *model.PluginProvider
	// meta is what the provider's listing shows as Meta.
	meta map[string]string
}

// The states of a file in the plugin directory.
const (
	stateSettling = "settling" // it was changed a moment ago
	stateDefining = "defining" // it is being asked what it is
	stateLoaded   = "loaded"
	stateFailed   = "failed"
	stateRefused  = "refused" // others could change it
)

// entry is one file in the plugin directory.
type entry struct {
	path  string
	stamp stamp
	since time.Time // when this stamp was first seen
	state string
	err   string
	// loaded is what was loaded last: still in use while a newer file fails.
	loaded *binary
	tries  int
	retry  time.Time // when a failed file is asked again
}

// discovery watches the plugin directory.
type discovery struct {
	dir      string
	interval time.Duration
	log      *slog.Logger
	timing   timing
	load     func(ctx context.Context, path string, was *binary) (*binary, error)
	unload   func(b *binary)
	define   func(ctx context.Context, path string) (*model.PluginProvider, error)
	// holds reports whether a loaded file is still the one that is used for its
	// provider, and otherwise which is.
	holds func(b *binary) (other string, ok bool)
	// trusted tells of which provider an admin said that it is.
	trusted func(provider string) bool
	// confined describes how a provider's plugins are confined.
	confined func(p *model.PluginProvider) string
	allowed  *allow.List // what may be run; nil: everything
	uploads  bool        // whether binaries are taken by https

	cancel  context.CancelFunc
	done    chan struct{}
	results chan result
	hurry   chan string // names of files that are known to be whole
	workers sync.WaitGroup
	// blind notes that the directory cannot be read, so that it is logged once.
	blind bool
	// settled is closed when all that was there at the start has been asked.
	settled chan struct{}

	mu      sync.Mutex // guards entries, which only the loop changes, and moved
	entries map[string]*entry
	moved   chan struct{} // closed and replaced when a file was asked or is gone
}

// result is what a worker found out about a file.
type result struct {
	file   string
	stamp  stamp
	loaded *binary
	err    error
}

// newDiscovery makes the watcher of a directory. It can be asked at once, and
// knows of nothing before start.
func newDiscovery(o Options, load *loader) *discovery {
	return &discovery{
		dir: o.PluginDir, interval: o.ScanInterval, log: load.log, timing: load.timing,
		load: load.load, unload: load.unload, define: load.define, holds: load.holds, trusted: load.sup.trusted, confined: load.sup.confined,
		allowed: allow.Open(o.PluginSums, trustedPath), uploads: o.AllowUpload,
		hurry: make(chan string), moved: make(chan struct{}),
		done: make(chan struct{}), results: make(chan result), settled: make(chan struct{}),
		entries: map[string]*entry{},
	}
}

// start begins to watch.
func (d *discovery) start() {
	d.dropParts()
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	go d.loop(ctx)
}

// stop ends watching and waits for what is being asked.
func (d *discovery) stop() {
	d.cancel()
	<-d.done
	d.workers.Wait()
}

// loop scans at every tick and takes the workers' results.
func (d *discovery) loop(ctx context.Context) {
	defer close(d.done)
	tick := time.NewTicker(d.interval)
	defer tick.Stop()
	d.scan(ctx)
	first := d.settled
	for {
		if first != nil && !d.busy() {
			close(first)
			first = nil
		}
		select {
		case <-ctx.Done():
			return
		case r := <-d.results:
			d.finish(r)
		case name := <-d.hurry:
			d.scan(ctx)
			d.hasten(ctx, name)
		case <-tick.C:
			d.scan(ctx)
		}
	}
}

// hasten has a file asked without waiting for it to hold still.
func (d *discovery) hasten(ctx context.Context, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.entries[name]; e != nil && (e.state == stateSettling || e.state == stateFailed) {
		e.state = stateDefining
		d.ask(ctx, name, *e)
	}
}

// await has a file looked at now, and waits until it was asked as it is on disk,
// or is gone.
func (d *discovery) await(ctx context.Context, name string) (state, fault string, err error) {
	more, hurry := (<-chan struct{})(nil), d.hurry
	for {
		select {
		case hurry <- name:
			hurry = nil
		case <-more:
		case <-d.done:
			return "", "", model.Errorf(model.Busy, "the endpoint is stopping")
		case <-ctx.Done():
			return "", "", model.Errorf(model.Timeout, "plugin file %s has not been taken up yet: %w", name, context.Cause(ctx))
		}
		d.mu.Lock()
		e := d.entries[name]
		more = d.moved
		info, there := candidate(filepath.Join(d.dir, name))
		asked := e != nil && there && e.stamp == stampOf(info) && e.state != stateSettling && e.state != stateDefining
		if asked {
			state, fault = e.state, e.err
		}
		d.mu.Unlock()
		if asked || e == nil && !there {
			return state, fault, nil
		}
	}
}

// stir tells who waits that something has changed; the caller holds the lock.
func (d *discovery) stir() {
	close(d.moved)
	d.moved = make(chan struct{})
}

// busy reports whether a file is being asked.
func (d *discovery) busy() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.entries {
		if e.state == stateDefining {
			return true
		}
	}
	return false
}

// scan looks at the directory once.
func (d *discovery) scan(ctx context.Context) {
	files, err := os.ReadDir(d.dir)
	if err != nil {
		if !d.blind {
			d.log.Error("cannot read the plugin directory", "dir", d.dir, "error", cause(err))
		}
		d.blind = true
		return
	}
	d.blind = false
	here := d.candidates(files)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(here)) {
		d.see(ctx, filepath.Join(d.dir, name), here[name])
	}
	for name, e := range d.entries {
		if _, there := here[name]; !there && e.state != stateDefining {
			d.drop(e)
			d.allowed.Forget(e.path)
			delete(d.entries, name)
			d.log.Info("plugin binary removed", "file", e.path)
			d.stir()
		}
	}
}

// unread reports whether a file is there that has not been asked yet: it holds
// still, is being asked, or was put there since the last look.
func (d *discovery) unread() bool {
	files, err := os.ReadDir(d.dir)
	if err != nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range files {
		info, ok := candidate(filepath.Join(d.dir, f.Name()))
		if !ok {
			continue
		}
		e := d.entries[f.Name()]
		if e == nil || e.state == stateSettling || e.state == stateDefining || e.state != stateRefused && e.stamp != stampOf(info) {
			return true
		}
	}
	return false
}

// see takes notice of one file and has it asked when it is time.
func (d *discovery) see(ctx context.Context, path string, now found) {
	name := filepath.Base(path)
	e := d.entries[name]
	if e == nil {
		e = &entry{path: path, state: stateSettling}
		d.entries[name] = e
	}
	if e.state == stateDefining {
		return
	}
	if now.fault != nil {
		d.refuse(e, now.fault)
		return
	}
	at := time.Now()
	if s := stampOf(now.info); e.stamp != s || e.state == stateRefused {
		e.stamp, e.since, e.state, e.tries = s, at, stateSettling, 0
	}
	// A file that was not touched for a while need not be watched for one.
	old := at.Sub(e.stamp.mod) > 2*d.interval
	held := at.Sub(e.since) >= d.interval
	switch {
	case e.state == stateSettling && (old || held):
	case e.state == stateFailed && at.After(e.retry):
	default:
		return
	}
	e.state = stateDefining
	d.ask(ctx, name, *e)
}

// refuse lists a file as refused and takes it out of use.
func (d *discovery) refuse(e *entry, fault error) {
	text := model.AsError(fault).Text()
	if e.state == stateRefused && e.err == text {
		return
	}
	d.log.Warn("plugin binary refused", "file", e.path, "error", text)
	d.drop(e)
	e.state, e.err = stateRefused, text
	d.stir()
}

// drop takes what a file brought out of use.
func (d *discovery) drop(e *entry) {
	if e.loaded == nil {
		return
	}
	d.unload(e.loaded)
	e.loaded = nil
	for _, other := range d.entries { // one of them may be of the same provider
		if other.state == stateFailed {
			other.retry = time.Time{}
		}
	}
}

// ask has a worker run the file; the others go on meanwhile.
func (d *discovery) ask(ctx context.Context, name string, e entry) {
	d.workers.Go(func() {
		loaded, err := d.load(ctx, e.path, e.loaded)
		select {
		case d.results <- result{name, e.stamp, loaded, err}:
		case <-ctx.Done():
		}
	})
}

// finish notes what a worker found out.
func (d *discovery) finish(r result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.stir()
	e := d.entries[r.file]
	if r.err != nil {
		d.failed(e, r.err)
		return
	}
	e.loaded, e.state, e.err, e.tries = r.loaded, stateLoaded, "", 0
	d.log.Info("plugin provider loaded", "provider", r.loaded.provider.Name, "version", r.loaded.provider.Version, "file", e.path)
	for _, e := range d.entries { // one of two files of a provider gives way
		if e.loaded == nil {
			continue
		}
		if other, ok := d.holds(e.loaded); !ok {
			d.failed(e, duplicate(e.loaded.provider.Name, e.path, other))
			e.loaded = nil
		}
	}
}

// failed notes that a file cannot be used, and when it is asked again. The caller
// holds the lock.
func (d *discovery) failed(e *entry, err error) {
	e.state, e.err = stateFailed, model.AsError(err).Text()
	e.retry = time.Now().Add(d.timing.retry << min(e.tries, 4))
	e.tries++
	d.log.Error("plugin binary failed", "file", e.path, "error", e.err)
}

// wait waits, for a bounded time, until all that was there at the start has
// been asked.
func (d *discovery) wait(ctx context.Context) {
	select {
	case <-d.settled: // mostly long ago
		return
	default:
	}
	bound := time.NewTimer(d.timing.firstScan)
	defer bound.Stop()
	select {
	case <-d.settled:
	case <-d.done:
	case <-bound.C:
	case <-ctx.Done():
	}
}

// The keys that a provider's listing adds to its Meta.
const (
	metaState = "oob/state"
	metaError = "oob/error"
	metaPath  = "oob/path"
	// metaTrusted is "true" where an admin said that the provider may do all.
	metaTrusted = "oob/trusted"
)

// providers lists what is in the plugin directory: providers, and the files
// that are none yet or never, each with its state.
func (d *discovery) providers() []*model.PluginProvider {
	files, err := os.ReadDir(d.dir)
	if err != nil { // the scan says so
		files = nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	all := maps.Clone(d.entries)
	for _, f := range files {
		path := filepath.Join(d.dir, f.Name())
		if _, ok := candidate(path); ok && all[f.Name()] == nil { // put there since the last look
			all[f.Name()] = &entry{path: path, state: stateSettling}
		}
	}
	var out []*model.PluginProvider
	for _, name := range slices.Sorted(maps.Keys(all)) {
		e := all[name]
		p := &model.PluginProvider{Name: name}
		p.Meta = map[string]string{}
		if e.loaded != nil {
			copied := *e.loaded.provider
			p = &copied
			p.Meta, p.Content = maps.Clone(e.loaded.meta), ""
		}
		p.Meta[metaState], p.Meta[metaPath] = e.state, e.path
		if e.loaded != nil {
			p.Meta[metaConfined] = d.confined(e.loaded.provider)
			if d.trusted(p.Name) {
				p.Meta[metaTrusted] = "true"
			}
		}
		if e.err != "" && e.state != stateLoaded {
			p.Meta[metaError] = e.err
		}
		p.AvailableActions = shownActions(p)
		p.RequiredParams, p.OptionalParams = orEmpty(p.RequiredParams), orEmpty(p.OptionalParams)
		out = append(out, p)
	}
	return out
}

// shownActions fills an action list as the reference shows it.
func shownActions(p *model.PluginProvider) []model.AvailableAction {
	out := make([]model.AvailableAction, len(p.AvailableActions))
	for i, a := range p.AvailableActions {
		out[i] = shownAction(p.Name, a)
	}
	return out
}

// shownAction is one action as the reference shows it.
func shownAction(provider string, a model.AvailableAction) model.AvailableAction {
	a.Provider = provider
	a.RequiredParams, a.OptionalParams = orEmpty(a.RequiredParams), orEmpty(a.OptionalParams)
	return a
}

// duplicate is the error of a second file for one provider.
func duplicate(provider, path, other string) error {
	return model.Errorf(model.Conflict, "plugin provider %s is in %s too: %s is not loaded", provider, other, filepath.Base(path))
}
