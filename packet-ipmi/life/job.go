package life

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/packethost/packngo"

	"provision-plugins/packet-ipmi/metal"
	"provision-plugins/shared/model"
)

// Phase is how far a job is.
type Phase string

// The phases of a job.
const (
	Wanted   Phase = "wanted"   // nothing was sent
	Creating Phase = "creating" // the API was told, and the outcome is not known
	Created  Phase = "created"  // the device is there, and on its way
	Deleting Phase = "deleting"
)

// Job is a device to make or to take away, as it is written down.
type Job struct {
	Machine, Name string
	Phase         Phase
	Device        string
	Project       string
	At            time.Time // when the phase began
}

// work is a job that is carried out, in one goroutine.
type work struct {
	manager *Manager
	opts    Options
	told    string // the problem that the machine has been told

	mu      sync.Mutex // guards the below
	job     Job
	failure error         // why it ended without a device
	over    bool          // it has ended
	changed chan struct{} // closed and replaced at every change
}

// change changes the job, writes it down, and tells who waits.
func (w *work) change(change func(j *Job)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.put(change)
}

// put is change for who holds mu.
func (w *work) put(change func(j *Job)) error {
	j := w.job
	change(&j)
	j.At = time.Now()
	if err := w.manager.store.Put(j.Machine, j); err != nil {
		return model.Errorf(model.Internal, "%w", err)
	}
	w.job = j
	w.tell()
	return nil
}

// tell wakes who waits. The caller holds mu.
func (w *work) tell() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// now is the job as it is.
func (w *work) now() Job {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.job
}

// turn makes a job that creates one that deletes. One that has ended cannot be
// turned.
func (w *work) turn() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.job.Phase == Deleting || w.over {
		return nil
	}
	return w.put(func(j *Job) { j.Phase = Deleting })
}

// isOver reports whether the job has ended.
func (w *work) isOver() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}

// finish ends a job that is done with a phase, unless it was turned meanwhile; why is
// set if its device was not made.
func (w *work) finish(phase Phase, why error) (ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.job.Phase == Deleting && phase != Deleting {
		return false
	}
	if err := w.manager.store.Delete(w.job.Machine); err != nil {
		w.opts.Logger.Warn("a job that is done is done again at the next start", "error", err)
	}
	w.failure, w.over = why, true
	w.tell()
	return true
}

// leave tells who waits that nobody carries the job out any more, for now.
func (w *work) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.failure = model.Errorf(model.UnknownOutcome, "the plugin stops; the device of machine %s is made when it is started again", w.job.Name)
		w.tell()
	}
}

// await waits for the device.
func (w *work) await(ctx context.Context) (string, error) {
	for {
		w.mu.Lock()
		job, failure, over, changed := w.job, w.failure, w.over, w.changed
		w.mu.Unlock()
		switch {
		case job.Phase == Created:
			return job.Device, nil
		case failure != nil:
			return "", failure
		case over || job.Phase == Deleting:
			return "", model.Errorf(model.NotFound, "machine %s was deleted before it had a device", job.Name)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", model.Errorf(model.UnknownOutcome, "the device of machine %s is not made yet, and is being made: %w", job.Name, context.Cause(ctx))
		}
	}
}

// run carries the job out, step by step, until it is done or ctx ends. What fails is
// tried again, ever more slowly.
func (w *work) run(ctx context.Context) {
	defer w.manager.ended(w)
	defer w.leave()
	for failures := 0; ctx.Err() == nil; {
		before := w.now()
		done, err := w.step(ctx)
		if done && w.finish(before.Phase, err) {
			return
		}
		wait := w.opts.Poll
		if err == nil {
			failures = 0
		} else if ctx.Err() == nil {
			failures = min(failures+1, 6)
			wait = w.opts.Poll << (failures - 1)
			w.trouble(ctx, err)
		}
		if now := w.now(); now.Phase != before.Phase && err == nil {
			continue
		}
		w.rest(ctx, wait)
	}
}

// rest waits, but not where the job was turned meanwhile.
func (w *work) rest(ctx context.Context, d time.Duration) {
	w.mu.Lock()
	changed := w.changed
	w.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-ctx.Done():
	}
}

// trouble says why a job does not get on: to the log, and to the machine.
func (w *work) trouble(ctx context.Context, err error) {
	job := w.now()
	w.opts.Logger.WarnContext(ctx, "a device does not get on; it is tried again", "machine", job.Name, "phase", string(job.Phase), "error", err)
	if job.Phase != Deleting {
		w.mark(ctx, map[string]any{paramProblem: model.AsError(err).Text()})
	}
}

// mark sets params of the machine, if it can be done: they are for people.
func (w *work) mark(ctx context.Context, params map[string]any) {
	problem, _ := params[paramProblem].(string)
	if problem != "" && problem == w.told {
		return
	}
	w.told = problem
	if err := w.opts.setParams(ctx, w.now().Machine, params); err != nil && ctx.Err() == nil {
		w.opts.Logger.Debug("a machine cannot be told of its device", "machine", w.now().Name, "error", err)
	}
}

// step does what the phase asks for. A job that is done ends; its error is then why
// there is no device.
func (w *work) step(ctx context.Context) (done bool, err error) {
	switch w.now().Phase {
	case Wanted, Creating:
		return w.create(ctx)
	case Created:
		return w.follow(ctx)
	case Deleting:
		return w.remove(ctx)
	}
	return true, nil // written by a version that is not this one
}

// lateFactor is how many times Poll an order may be late whose reply was lost.
const lateFactor = 6

// create makes the device, unless it is there: an order that was given, and whose
// outcome is not known, may still be carried out.
func (w *work) create(ctx context.Context) (bool, error) {
	job := w.now()
	mc, err := w.opts.Endpoint.Machines().Get(ctx, job.Machine)
	if model.KindOf(err) == model.NotFound && err != nil {
		return false, w.turn() // deleted while nobody looked
	}
	if err != nil {
		return false, err
	}
	req, err := w.opts.request(ctx, mc)
	if err != nil {
		return w.hopeless(ctx, err)
	}
	mine, err := w.opts.find(ctx, req.ProjectID, job.Machine)
	if err != nil {
		return w.hopeless(ctx, err)
	}
	if mine != nil {
		return false, w.advance(Created, req.ProjectID, mine.ID)
	}
	if job.Phase == Creating && time.Since(job.At) < lateFactor*w.opts.Poll {
		return false, nil
	}
	if err := w.advance(Creating, req.ProjectID, ""); err != nil {
		return false, err
	}
	d, err := w.opts.API.Create(ctx, req)
	if err == nil {
		w.opts.Logger.InfoContext(ctx, "device created", "machine", job.Name, "device", d.ID)
		return false, w.advance(Created, req.ProjectID, d.ID)
	}
	if metal.MaybeDone(err) {
		return false, err
	}
	if err := w.advance(Wanted, req.ProjectID, ""); err != nil {
		return false, err
	}
	return w.hopeless(ctx, err)
}

// advance goes into a phase, but not where the job was turned: then only the device
// is noted.
func (w *work) advance(to Phase, project, device string) error {
	return w.change(func(j *Job) {
		if j.Phase != Deleting {
			j.Phase = to
		}
		j.Project = project
		if device != "" {
			j.Device = device
		}
	})
}

// hopeless ends a job whose order is refused and always will be; its machine says
// why.
func (w *work) hopeless(ctx context.Context, err error) (bool, error) {
	if kind := model.KindOf(err); kind != model.Invalid && kind != model.Unsupported {
		return false, err
	}
	w.opts.Logger.WarnContext(ctx, "no device is made", "machine", w.now().Name, "error", err)
	w.mark(ctx, map[string]any{paramState: metal.Failed, paramProblem: model.AsError(err).Text()})
	return true, err
}

// follow looks at the device until it is there for good.
func (w *work) follow(ctx context.Context) (bool, error) {
	job := w.now()
	d, err := w.opts.API.Device(ctx, job.Device)
	if metal.IsGone(err) {
		w.mark(ctx, map[string]any{paramState: stateGone, paramProblem: "the device went away while it was provisioned"})
		return true, err
	}
	if err != nil {
		return false, err
	}
	err = w.opts.link(ctx, job.Machine, d)
	if model.KindOf(err) == model.NotFound && err != nil {
		return false, w.turn()
	}
	if err != nil {
		return false, err
	}
	switch d.State {
	case metal.Active, metal.Inactive:
		w.opts.Logger.InfoContext(ctx, "device is ready", "machine", job.Name, "device", d.ID)
		return true, nil
	case metal.Failed:
		why := model.Errorf(model.Conflict, "the device failed: %s", Story(d.ProvisionEvents))
		w.mark(ctx, map[string]any{paramProblem: why.Text()})
		return true, why
	}
	return false, nil
}

// remove takes the device away, if it was made for the machine.
func (w *work) remove(ctx context.Context) (bool, error) {
	job := w.now()
	d, err := w.toRemove(ctx, job)
	if err != nil || d == nil {
		late := time.Since(job.At) < lateFactor*w.opts.Poll // an order to create may still be carried out
		return err == nil && (job.Device != "" || !late), err
	}
	if !slices.Contains(d.Tags, tagOf(job.Machine)) {
		w.opts.Logger.InfoContext(ctx, "the device of a deleted machine stays: it was not made for it", "machine", job.Name, "device", d.ID)
		return true, nil
	}
	if d.State == metal.Deprovisioning || d.State == metal.Deleted {
		return true, nil
	}
	err = w.opts.API.Delete(ctx, d.ID)
	if metal.IsGone(err) {
		return true, nil
	}
	if err == nil {
		w.opts.Logger.InfoContext(ctx, "device deleted", "machine", job.Name, "device", d.ID)
	}
	return err == nil, err
}

// toRemove finds the device of a job, nil if there is none.
func (w *work) toRemove(ctx context.Context, job Job) (*packngo.Device, error) {
	if job.Device != "" {
		d, err := w.opts.API.Device(ctx, job.Device)
		if metal.IsGone(err) {
			return nil, nil
		}
		return d, err
	}
	project := job.Project
	if project == "" {
		var err error
		if project, err = w.opts.project(ctx, ""); err != nil {
			return nil, err
		}
	}
	return w.opts.find(ctx, project, job.Machine)
}
