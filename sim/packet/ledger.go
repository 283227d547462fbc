package packet

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Always is a Fault.Times that does not end.
const Always = -1

// Fault is something that goes wrong with requests. The first that fits a request
// hits it.
type Fault struct {
	// On is the operation that it hits: "get", "create", "power_on", …, as the
	// ledger names them; "read" and "change" are all of a kind, "" is all.
	On string
	// Device is the device that it hits; "" is all.
	Device string
	// Times is how many requests it hits; Always does not end.
	Times int

	// Status answers in place of the service. The body is Body, else an error of
	// the service's own.
	Status int
	Body   string
	// Type is the content type of the body; JSON by default.
	Type string
	// Headers are set on the answer.
	Headers map[string]string
	// Executed tells that the request is executed all the same.
	Executed bool
	// LoseReply executes the request and closes the connection; LoseRequest only
	// closes it.
	LoseReply, LoseRequest bool
	// Truncate cuts the answer off in its middle.
	Truncate bool
	// Slow is how long the answer takes; Silent never answers, and executes nothing
	// unless Executed is set.
	Slow   time.Duration
	Silent bool
	// Hold is what the answer waits for.
	Hold <-chan struct{}
}

// html is what a proxy before the service answers.
const html = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"

// BadGateway is the fault of a proxy that answers html.
func BadGateway(on string, times int) Fault {
	return Fault{On: on, Times: times, Status: 502, Body: html, Type: "text/html"}
}

// Oops is the fault of a service that has an error of its own.
func Oops(on string, times int) Fault {
	return Fault{On: on, Times: times, Status: 500}
}

// TooMany is the fault of a service that wants fewer requests; after is what
// Retry-After says.
func TooMany(on string, times int, after string) Fault {
	return Fault{On: on, Times: times, Status: 429, Headers: map[string]string{"Retry-After": after}}
}

// Ill is what is wrong with one device.
type Ill struct {
	// Stuck devices take orders, and stay as they are.
	Stuck bool
	// Fails tells that provisioning ends in failed.
	Fails bool
	// Tells is a state that is told in place of the true one.
	Tells string
	// NoDiagnostics tells that its diagnostics are not there.
	NoDiagnostics bool
	// Health is what its rollup says; ok by default.
	Health string
}

// ledger counts.
type ledger struct {
	requests int
	hits     int                       // of faults
	refused  int                       // logins
	executed map[string]map[string]int // by device ("" for all), operation
}

// newLedger returns an empty one.
func newLedger() ledger { return ledger{executed: map[string]map[string]int{}} }

// count records an operation that was executed on a device.
func (l *ledger) count(device, op string) {
	for _, id := range slices.Compact([]string{"", device}) {
		if l.executed[id] == nil {
			l.executed[id] = map[string]int{}
		}
		l.executed[id][op]++
	}
}

// SetFaults puts faults in place of those before.
func (s *Server) SetFaults(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.Clone(faults)
}

// SetIll says what is wrong with a device.
func (s *Server) SetIll(device string, ill Ill) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ills[device] = ill
}

// isRead reports whether an operation changes nothing.
func isRead(op string) bool {
	return op == "get" || op == "events" || strings.HasPrefix(op, "list") || strings.HasPrefix(op, "read")
}

// fault takes the fault that hits a request, if any.
func (s *Server) fault(op, device string) (Fault, bool) {
	for i := range s.faults {
		f := &s.faults[i]
		kind := map[bool]string{true: "read", false: "change"}[isRead(op)]
		if f.Times == 0 || f.On != "" && f.On != op && f.On != kind || f.Device != "" && f.Device != device {
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return *f, true
	}
	return Fault{}, false
}

// Executed counts how often an operation was executed on a device, or on all for
// "". What was refused does not count.
func (s *Server) Executed(device, op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.executed[device][op]
}

// AllExecuted counts all operations on a device, or on all for "".
func (s *Server) AllExecuted(device string) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.ledger.executed[device])
}

// Requests counts the requests that arrived.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.requests
}

// Hits counts the requests that a fault has hit.
func (s *Server) Hits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.hits
}

// Refused counts the requests whose key was refused.
func (s *Server) Refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.refused
}

// Connections counts the connections that were opened.
func (s *Server) Connections() int { return int(s.conns.Load()) }

// PeakConnections is the most connections that were open at a time.
func (s *Server) PeakConnections() int { return int(s.peak.Load()) }

// Device returns a device as it is now.
func (s *Server) Device(id string) (Device, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	d := s.device(id)
	if d == nil {
		return Device{}, false
	}
	return d.clone(), true
}

// Devices returns all devices as they are now.
func (s *Server) Devices() []Device {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	out := make([]Device, 0, len(s.state.Devices))
	for _, d := range s.state.Devices {
		out = append(out, d.clone())
	}
	return out
}

// clone copies a device with what it refers to.
func (d *Device) clone() Device {
	out := *d
	out.Tags, out.Events, out.Boots, out.Steps = slices.Clone(d.Tags), slices.Clone(d.Events), slices.Clone(d.Boots), slices.Clone(d.Steps)
	return out
}

// Project names a project.
type Project struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Projects lists the projects.
func (s *Server) Projects() []Project {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Project, 0, len(s.state.Projects))
	for _, p := range s.state.Projects {
		out = append(out, Project{p.ID, p.Name})
	}
	return out
}

// ProjectID is the id of the project of a name, "" if there is none.
func (s *Server) ProjectID(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.state.Projects {
		if p.Name == name {
			return p.ID
		}
	}
	return ""
}

// Add puts devices into a project, active and as if they had always been there,
// and returns their ids. Fields of like that are empty get defaults.
func (s *Server) Add(project string, n int, like Device) []string {
	id := s.ProjectID(project)
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for range n {
		d := like.clone()
		d.Project = id
		s.fill(&d)
		d.State = Active
		if like.State != "" {
			d.State = like.State
		}
		s.state.Devices = append(s.state.Devices, &d)
		ids = append(ids, d.ID)
	}
	return ids
}

// Change changes a device at once, as its console or somebody else would.
func (s *Server) Change(id string, change func(d *Device)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	if d := s.device(id); d != nil {
		change(d)
	}
}

// Remove takes a device away at once.
func (s *Server) Remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Devices = slices.DeleteFunc(s.state.Devices, func(d *Device) bool { return d.ID == id })
}
