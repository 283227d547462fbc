package packet

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The states of a device.
const (
	Queued         = "queued"
	Provisioning   = "provisioning"
	Deprovisioning = "deprovisioning"
	Reinstalling   = "reinstalling"
	Active         = "active"
	Inactive       = "inactive"
	Failed         = "failed"
	PoweringOn     = "powering_on"
	PoweringOff    = "powering_off"
	Deleted        = "deleted"
)

// state is everything that is kept, in the form in which it is.
type state struct {
	Seq      uint64 // of ids
	Projects []*project
	Keys     []*sshKey
	Devices  []*Device
}

// project is one project.
type project struct {
	ID, Name string
	Created  time.Time
}

// sshKey is one SSH key, of a project or of the user.
type sshKey struct {
	ID, Label, Key, Project string
	Created, Updated        time.Time
}

// Device is one device as it is, not as it is told.
type Device struct {
	ID, ShortID   string
	Project       string // its id
	Hostname      string
	Description   string
	State         string
	Plan          string
	Facility      string
	Metro         string
	OS            string
	Tags          []string
	Locked        bool
	AlwaysPXE     bool
	IPXEScriptURL string
	UserData      string
	CustomData    any
	BillingCycle  string
	Reservation   string
	Termination   string
	Created       time.Time
	Updated       time.Time
	Number        int // addresses derive from it
	Events        []Event
	Boots         []Boot
	Steps         []Step // what is still to come
}

// Event is something that happened to a device.
type Event struct {
	ID, Type, Body string
	At             time.Time
}

// Boot is one start of a device and what it started from.
type Boot struct {
	At    time.Time
	PXE   bool
	First bool // after an installation
}

// Step is what happens to a device at a time.
type Step struct {
	Wait  time.Duration // since the step before
	At    time.Time
	State string // to go into; "" stays
	Event string // type of the event
	Body  string
	Boots bool // the firmware chooses what to boot from
	First bool // it is the first boot after an installation
}

// begin loads the state, or makes the first one.
func (s *Server) begin() error {
	raw, err := os.ReadFile(s.opts.StateFile)
	switch {
	case s.opts.StateFile == "", errors.Is(err, fs.ErrNotExist):
		now := s.opts.Now()
		for _, name := range s.opts.Projects {
			s.state.Projects = append(s.state.Projects, &project{ID: s.newID(), Name: name, Created: now})
		}
		return nil
	case err != nil:
		return err
	}
	if err := json.Unmarshal(raw, &s.state); err != nil {
		return fmt.Errorf("the state in %s cannot be read: %w", s.opts.StateFile, err)
	}
	return nil
}

// save keeps the state on disk, if it is to be kept. The file is there as a whole
// or not at all.
func (s *Server) save() error {
	if s.opts.StateFile == "" {
		return nil
	}
	raw, err := json.Marshal(&s.state)
	if err != nil {
		return fmt.Errorf("cannot encode the state: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(s.opts.StateFile), ".packet-")
	if err != nil {
		return fmt.Errorf("cannot keep the state: %w", err)
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.opts.StateFile)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot keep the state: %w", err), os.Remove(f.Name()))
	}
	return nil
}

// newID makes an id of the form that clients check for.
func (s *Server) newID() string {
	s.state.Seq++
	r := rand.New(rand.NewPCG(s.opts.Seed, s.state.Seq))
	a, b := r.Uint64(), r.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>52, b&0xffffffffffff)
}

// settle does what has become due on all devices.
func (s *Server) settle() {
	now := s.opts.Now()
	for _, d := range s.state.Devices {
		s.settleDevice(d, now)
	}
	s.state.Devices = slices.DeleteFunc(s.state.Devices, func(d *Device) bool { return d.State == Deleted })
}

// settleDevice does what has become due on one.
func (s *Server) settleDevice(d *Device, now time.Time) {
	for len(d.Steps) > 0 && !d.Steps[0].At.After(now) && !s.ills[d.ID].Stuck {
		step := d.Steps[0]
		d.Steps = d.Steps[1:]
		if step.State == Active && d.State == Provisioning && s.ills[d.ID].Fails {
			step.State, step.Event, step.Body = Failed, "provisioning.failed", "Provisioning failed"
			step.Boots = false
		}
		d.State = cmp.Or(step.State, d.State)
		if step.Event != "" {
			s.tell(d, step.At, step.Event, step.Body)
		}
		if step.Boots {
			pxe := d.OS == customIPXE && (d.AlwaysPXE || step.First)
			d.Boots = append(d.Boots, Boot{At: step.At, PXE: pxe, First: step.First})
		}
	}
}

// tell adds an event to a device.
func (s *Server) tell(d *Device, at time.Time, kind, body string) {
	d.Events = append(d.Events, Event{ID: s.newID(), Type: kind, Body: body, At: at})
	d.Updated = at
}

// plan makes a device go through steps, one after the other. What was still to
// come before does not come any more.
func (d *Device) plan(from time.Time, steps ...Step) {
	d.Steps = nil
	for _, st := range steps {
		from = from.Add(st.Wait)
		st.At = from
		d.Steps = append(d.Steps, st)
	}
}

// device finds a device.
func (s *Server) device(id string) *Device {
	for _, d := range s.state.Devices {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// project finds a project.
func (s *Server) project(id string) *project {
	for _, p := range s.state.Projects {
		if p.ID == id {
			return p
		}
	}
	return nil
}
