// Package once makes a device of the Packet API boot from somewhere once. The API
// has only always_pxe, which lasts: so it is set for one boot and restored after
// it. A note on disk says what is to be restored, and is written before anything is
// sent: a plugin that is killed at any moment restores the right thing when it is
// started again.
package once

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/packethost/packngo"

	"provision-plugins/packet-ipmi/metal"
	"provision-plugins/shared/keep"
	"provision-plugins/shared/model"
)

// Phase is how far a boot override is.
type Phase string

// The phases of a note.
const (
	Setting Phase = "setting" // written; the API may have been told, or not
	Armed   Phase = "armed"   // the API has it, the boot is still to come
	Booted  Phase = "booted"  // the boot has begun; it is restored when the boot has had its time
)

// Note is a boot override that is to be restored.
type Note struct {
	Device string // id
	// Target is always_pxe for the boot, Restore what it is to be afterwards.
	Target, Restore bool
	Phase           Phase
	// Seen is the state of the device when it was last looked at, Mark its newest
	// event when the override was set.
	Seen, Mark string
	// At is when the phase began.
	At time.Time
}

// Options are the settings of a Keeper. The zero value works.
type Options struct {
	// Settle is how long after its start a device may take to have chosen what to
	// boot from; default 10 minutes.
	Settle time.Duration
	// Poll is how often devices with a note are looked at; default 15 s.
	Poll time.Duration
	// Lost is how long after a note was written the API may still carry out what it
	// was told by a plugin that was killed; default 2 minutes.
	Lost time.Duration
	// Logger gets its lines; nil discards.
	Logger *slog.Logger
}

// withDefaults fills what is not set.
func (o Options) withDefaults() Options {
	o.Settle = cmp.Or(o.Settle, 10*time.Minute)
	o.Poll = cmp.Or(o.Poll, 15*time.Second)
	o.Lost = cmp.Or(o.Lost, 2*time.Minute)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Keeper keeps the notes and restores what they say. It works only while there are
// notes.
type Keeper struct {
	mu      sync.Mutex // guards the below
	opts    Options
	store   *keep.Store[Note]
	api     *metal.Key            // that of the plugin
	keys    map[string]*metal.Key // of devices with a key of their own
	notes   map[string]*entry
	running bool
	stopped bool
	wake    chan struct{}
	stop    context.CancelFunc
	ended   chan struct{} // closed when the goroutine that runs has ended
}

// entry is a note in memory.
type entry struct {
	mu   sync.Mutex // held while something is done with the note; taken before Keeper.mu
	note Note
	gone bool
}

// New returns a Keeper that keeps nothing until Start.
func New() *Keeper {
	return &Keeper{opts: Options{}.withDefaults(), keys: map[string]*metal.Key{}, notes: map[string]*entry{}, wake: make(chan struct{}, 1)}
}

// Start takes the folder of the notes and goes on with those that are in it. It may
// be called again, with another key or other times.
func (k *Keeper) Start(dir string, api *metal.Key, o Options) error {
	store, err := keep.Open[Note](dir)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	first := k.store == nil
	k.opts, k.store, k.api, k.stopped = o.withDefaults(), store, api, false
	clear(k.keys) // they are of the client before
	if first {
		notes, err := store.All()
		if err != nil {
			k.opts.Logger.Warn("a boot override that was set for one boot may stay", "error", err)
		}
		for id, n := range notes {
			if n.Device == id {
				k.notes[id] = &entry{note: n}
			}
		}
	}
	k.run()
	return nil
}

// Stop ends what is going on. Notes stay, for the next Start.
func (k *Keeper) Stop() {
	k.mu.Lock()
	k.stopped = true
	running, stop, ended := k.running, k.stop, k.ended
	k.mu.Unlock()
	if running {
		stop()
		<-ended
	}
}

// run starts the goroutine that restores, if there is something to restore. The
// caller holds mu.
func (k *Keeper) run() {
	if k.running || k.stopped || len(k.notes) == 0 || k.api == nil && len(k.keys) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	k.running, k.stop, k.ended = true, cancel, make(chan struct{})
	go k.loop(ctx, k.ended)
}

// loop looks at the devices with notes until there are none, or ctx ends.
func (k *Keeper) loop(ctx context.Context, ended chan struct{}) {
	defer close(ended)
	for {
		k.mu.Lock()
		if len(k.notes) == 0 || ctx.Err() != nil {
			k.running = false
			k.mu.Unlock()
			return
		}
		var due []*entry
		for _, e := range k.notes {
			due = append(due, e)
		}
		poll := min(k.opts.Poll, max(k.opts.Settle/4, 10*time.Millisecond))
		k.mu.Unlock()
		for _, e := range due {
			k.step(ctx, e)
		}
		timer := time.NewTimer(poll)
		select {
		case <-timer.C:
		case <-k.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// keyOf is the key of a device. The caller holds mu.
func (k *Keeper) keyOf(id string) *metal.Key {
	if own := k.keys[id]; own != nil {
		return own
	}
	return k.api
}

// Use remembers the key of a device with a note, which is never written down: after
// a restart it is that of the plugin until the device is asked for.
func (k *Keeper) Use(id string, key *metal.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.notes[id] != nil {
		k.keys[id] = key
		k.run()
	}
}

// Note returns the note of a device, nil if it has none.
func (k *Keeper) Note(id string) *Note {
	k.mu.Lock()
	e := k.notes[id]
	k.mu.Unlock()
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone {
		return nil
	}
	n := e.note
	return &n
}

// entryOf is the entry of a device, made if need be.
func (k *Keeper) entryOf(id string) (*entry, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.store == nil {
		return nil, model.Errorf(model.Conflict, "nobody would restore it after the boot: it takes a plugin that goes on running, and a folder to note in what is to be restored (packet-ipmi/state-dir)")
	}
	if k.notes[id] == nil {
		k.notes[id] = &entry{}
	}
	return k.notes[id], nil
}

// put writes a note down.
func (k *Keeper) put(e *entry, n Note) error {
	n.At = time.Now()
	if err := k.storeOf().Put(n.Device, n); err != nil {
		return model.Errorf(model.Conflict, "what is to be restored after the boot cannot be noted: %w", err)
	}
	e.note, e.gone = n, false
	return nil
}

// storeOf is the store, of which there is one by now.
func (k *Keeper) storeOf() *keep.Store[Note] {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.store
}

// drop forgets a note.
func (k *Keeper) drop(e *entry, id string) error {
	if err := k.storeOf().Delete(id); err != nil {
		return model.Errorf(model.Internal, "%w", err)
	}
	e.gone = true
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.notes[id] == e {
		delete(k.notes, id)
		delete(k.keys, id)
	}
	return nil
}

// Order is a boot override: always_pxe for the next boot, or for all of them.
type Order struct {
	Key    *metal.Key
	Device *packngo.Device
	PXE    bool
	URL    string // of the script; "" leaves it
	Always bool
}

// update is what the API is told.
func (o *Order) update() *packngo.DeviceUpdateRequest {
	in := &packngo.DeviceUpdateRequest{AlwaysPXE: &o.PXE}
	if o.URL != "" {
		in.IPXEScriptURL = &o.URL
	}
	return in
}

// Set sets an override. What it was before the first override that is not restored
// yet is what is restored.
func (k *Keeper) Set(ctx context.Context, o Order) error {
	id := o.Device.ID
	if o.Always && k.Note(id) == nil {
		_, err := o.Key.Update(ctx, id, o.update())
		return err
	}
	e, err := k.entryOf(id)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	n := Note{Device: id, Target: o.PXE, Restore: o.Device.AlwaysPXE, Phase: Setting, Seen: o.Device.State}
	before := e.note
	noted := !e.gone && before.Device == id
	if noted {
		n.Restore = before.Restore
	}
	if o.Always {
		n.Restore = o.PXE
	}
	if n.Mark, err = newest(ctx, o.Key, id); err == nil {
		err = k.put(e, n)
	}
	if err != nil {
		return errors.Join(err, k.unlessNoted(e, id))
	}
	k.remember(id, e, o.Key)
	if _, err := o.Key.Update(ctx, id, o.update()); err != nil {
		switch {
		case metal.MaybeDone(err):
			return err
		case noted: // it is still to be restored
			return errors.Join(err, k.put(e, before))
		}
		return errors.Join(err, k.drop(e, id))
	}
	if o.Always {
		return k.drop(e, id)
	}
	n.Phase = Armed
	return k.put(e, n)
}

// unlessNoted takes an entry away again that has no note.
func (k *Keeper) unlessNoted(e *entry, id string) error {
	if e.note.Device != "" && !e.gone {
		return nil
	}
	return k.drop(e, id)
}

// remember has the note of a device looked after, with a key.
func (k *Keeper) remember(id string, e *entry, key *metal.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.notes[id], k.keys[id] = e, key
	k.run()
}

// newest is the id of the newest event of a device, "" without any.
func newest(ctx context.Context, key *metal.Key, id string) (string, error) {
	events, err := key.Events(ctx, id)
	if err != nil || len(events) == 0 {
		return "", err
	}
	return events[0].ID, nil
}

// Before is called before a device is told to start. An override whose boot has
// begun already, whoever began it, is restored first: it was for that one.
func (k *Keeper) Before(ctx context.Context, id string) error {
	k.mu.Lock()
	e, key, lost := k.notes[id], k.keyOf(id), k.opts.Lost
	k.mu.Unlock()
	if e == nil || key == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.gone && e.note.Device != "" && e.note.Phase != Booted {
		if err := k.watch(ctx, e, key, lost); err != nil {
			return err
		}
	}
	if e.gone || e.note.Phase != Booted {
		return nil
	}
	return k.restore(ctx, e, key)
}

// Started is called after a device was told to start, or may have been.
func (k *Keeper) Started(id string) {
	k.mu.Lock()
	e, log := k.notes[id], k.opts.Logger
	k.mu.Unlock()
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone || e.note.Phase != Armed {
		return
	}
	n := e.note
	n.Phase = Booted
	if err := k.put(e, n); err != nil {
		log.Warn("that a device boots cannot be noted; its events tell it later", "device", id, "error", err)
	}
	select {
	case k.wake <- struct{}{}:
	default:
	}
}
