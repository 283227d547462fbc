// Package life makes devices for the machines of an endpoint and takes them away
// again. What is wanted is written down before anything is sent, and carried out in
// the background: an event is handled at once, however long its device takes, and a
// plugin that is killed goes on where it was. A device has its machine's UUID among
// its tags, so that none is made twice, and none deleted that was not made here.
package life

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"provision-plugins/packet-ipmi/metal"
	"provision-plugins/shared/client"
	"provision-plugins/shared/keep"
	"provision-plugins/shared/model"
)

// The params that are read from machines and written to them.
const (
	paramPlugin    = "machine-plugin"
	paramUUID      = "packet/uuid"
	paramProject   = "packet/project-id"
	paramName      = "packet/name"
	paramPlan      = "packet/plan"
	paramFacility  = "packet/facility"
	paramMetro     = "packet/metro"
	paramSystem    = "packet/operating-system"
	paramTags      = "packet/tags"
	paramUserdata  = "packet/userdata"
	paramAlwaysPXE = "packet/always-pxe"
	paramScript    = "packet/ipxe-script-url"
	paramSOS       = "packet/sos"
	paramState     = "packet/state"
	paramProblem   = "packet/problem"
)

// consoleProfile is the profile of machines with a device.
const consoleProfile = "packet-console"

// Options are what a Manager works with.
type Options struct {
	// Plugin is the plugin object's name, which machines have in machine-plugin.
	Plugin string
	// Project is the project to create in, and the only one to look at; the first of
	// the account, and all, if it is "".
	Project string
	// Defaults are params that a machine may lack.
	Defaults model.Params
	// Endpoint is where the machines are, API where the devices are.
	Endpoint *client.Client
	API      *metal.Key
	// Poll is how often a device is looked at that is on its way; default 5 s.
	Poll time.Duration
	// Sync is how often machines and devices are compared; default 5 minutes.
	Sync time.Duration
	// Import adds machines for devices without one, Prune deletes the machines of
	// devices that are gone.
	Import, Prune bool
	// FileServer is where the endpoint's iPXE script is.
	FileServer string
	// Logger gets the lines; nil discards.
	Logger *slog.Logger
}

// withDefaults fills what is not set.
func (o Options) withDefaults() Options {
	o.Poll = cmp.Or(o.Poll, 5*time.Second)
	o.Sync = cmp.Or(o.Sync, 5*time.Minute)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Manager carries out what is wanted. The zero value is one that was not started.
type Manager struct {
	gate sync.RWMutex // held for reading while an event is taken, for writing by Start; taken before mu

	mu      sync.Mutex // guards the below
	opts    Options
	store   *keep.Store[Job]
	jobs    map[string]*work // by machine
	ctx     context.Context  // of all that goes on
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// Start takes the folder of the jobs and goes on with those that are in it, and
// begins to compare machines and devices. It may be called again, with other
// options: what goes on goes on with them.
func (m *Manager) Start(dir string, o Options) error {
	store, err := keep.Open[Job](dir)
	if err != nil {
		return err
	}
	m.gate.Lock() // an event that comes meanwhile waits
	defer m.gate.Unlock()
	m.Stop()
	jobs, err := store.All()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opts, m.store, m.jobs = o.withDefaults(), store, map[string]*work{}
	if err != nil {
		m.opts.Logger.Warn("a device may have been asked for that nobody looks after", "error", err)
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	for _, job := range jobs {
		m.begin(job)
	}
	ctx, opts := m.ctx, m.opts
	m.running.Go(func() { m.compareOften(ctx, opts) })
	return nil
}

// Stop ends what goes on. Jobs stay, for the next Start.
func (m *Manager) Stop() {
	m.mu.Lock()
	cancel := m.cancel
	m.cancel = nil
	m.mu.Unlock()
	if cancel != nil {
		cancel()
		m.running.Wait()
	}
}

// options is what is worked with now; ok is false if nothing is started.
func (m *Manager) options() (o Options, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.opts, m.cancel != nil
}

// begin starts to carry out a job, unless its machine has one. The caller holds mu.
func (m *Manager) begin(job Job) {
	if w := m.jobs[job.Machine]; w != nil && !w.isOver() {
		return
	}
	w := &work{manager: m, opts: m.opts, job: job, changed: make(chan struct{})}
	m.jobs[job.Machine] = w
	ctx := m.ctx
	m.running.Go(func() { w.run(ctx) })
}

// ended forgets a job that has come to its end.
func (m *Manager) ended(w *work) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.jobs[w.job.Machine] == w {
		delete(m.jobs, w.job.Machine)
	}
}

// busy reports whether a machine has a job.
func (m *Manager) busy(machine string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.jobs[machine]
	return w != nil && !w.isOver()
}

// ours reports whether a machine is one for this plugin to make a device for, also
// by a profile of it.
func (o Options) ours(ctx context.Context, mc *model.Machine) (bool, error) {
	if own, set := mc.Params[paramPlugin]; set {
		return own == o.Plugin, nil
	}
	got, err := o.Endpoint.Machines().Param(ctx, mc.Uuid, paramPlugin, client.View{Aggregate: true})
	if model.KindOf(err) == model.NotFound {
		err = nil // the machine is gone again, and nobody's
	}
	return err == nil && got == o.Plugin, err
}

// Created takes a machine that was made. When it returns without an error its device
// will be made, if it is to have one.
func (m *Manager) Created(ctx context.Context, mc *model.Machine) error {
	m.gate.RLock()
	defer m.gate.RUnlock()
	o, on := m.options()
	if !on || mc.Uuid == "" || mc.Params.Has(paramUUID) {
		return nil
	}
	ours, err := o.ours(ctx, mc)
	if err != nil || !ours {
		return err
	}
	return m.want(Job{Machine: mc.Uuid, Name: mc.Name, Phase: Wanted})
}

// want writes a job down and begins it.
func (m *Manager) want(job Job) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cancel == nil {
		return model.Errorf(model.Busy, "the plugin is stopping")
	}
	if w := m.jobs[job.Machine]; w != nil && !w.isOver() {
		return nil
	}
	job.At = time.Now()
	if err := m.store.Put(job.Machine, job); err != nil {
		return model.Errorf(model.Internal, "cannot note that a device is wanted: %w", err)
	}
	m.begin(job)
	return nil
}

// Deleted takes a machine that was deleted. Its device is deleted if it was made for
// it.
func (m *Manager) Deleted(_ context.Context, mc *model.Machine) error {
	m.gate.RLock()
	defer m.gate.RUnlock()
	o, on := m.options()
	if !on || mc.Uuid == "" {
		return nil
	}
	m.mu.Lock()
	w := m.jobs[mc.Uuid]
	m.mu.Unlock()
	if w != nil {
		if err := w.turn(); err != nil || !w.isOver() {
			return err
		}
	}
	device, err := mc.Params.String(paramUUID, "")
	if err != nil || device == "" && mc.Params[paramPlugin] != o.Plugin {
		return nil // nothing of ours
	}
	if device != "" && metal.CheckID(paramUUID, device) != nil {
		return nil
	}
	return m.want(Job{Machine: mc.Uuid, Name: mc.Name, Phase: Deleting, Device: device})
}

// Await returns the device of a machine as soon as it is made, or why it is not.
func (m *Manager) Await(ctx context.Context, machine string) (string, error) {
	m.mu.Lock()
	w := m.jobs[machine]
	m.mu.Unlock()
	if w == nil {
		return "", model.Errorf(model.NotFound, "nothing is made for machine %s", machine)
	}
	return w.await(ctx)
}
