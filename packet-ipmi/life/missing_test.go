package life

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"provision-plugins/packet-ipmi/metal"
	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/sim/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ledger is an endpoint with one machine, which notes what is done to it.
type ledger struct {
	mu      sync.Mutex // guards the below
	machine model.Machine
	fails   bool // the list of machines cannot be had
	patches []string
	deleted int
	added   int
}

// ServeHTTP answers as an endpoint would.
func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out any = l.machine
	switch r.Method {
	case http.MethodGet:
		if l.fails {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		out = []model.Machine{l.machine}
		if r.URL.Query().Has(paramUUID) {
			out = []model.Machine{}
		}
	case http.MethodPatch:
		raw, _ := io.ReadAll(r.Body)
		l.patches = append(l.patches, string(raw))
	case http.MethodDelete:
		l.deleted++
	case http.MethodPost:
		l.added++
		w.WriteHeader(http.StatusCreated)
	}
	_ = json.NewEncoder(w).Encode(out) // who left gets no answer
}

// What becomes of a machine whose device is not in the listing: nothing where there is
// any doubt, a mark where the device is gone, and an end only where that was asked for
// and the API says 404 for it.
func TestMissingDevice(t *testing.T) {
	const machine, device = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
	always := func(on string, status int) packet.Fault {
		return packet.Fault{On: on, Times: packet.Always, Status: status, Body: `{"errors":["You are not authorized to view this device"]}`}
	}
	for _, row := range []struct {
		name    string
		prune   bool
		faults  []packet.Fault
		project string // of the machine: "ours", "theirs", or none
		empty   bool   // the account has no other device
		fails   bool   // the endpoint does not list machines
		marked  bool
		deleted bool
	}{
		{name: "gone", project: "ours", marked: true},
		{name: "gone, of no project that is known", marked: true},
		{name: "not to be seen", project: "ours", faults: []packet.Fault{always("get", 403)}, marked: true},
		{name: "gone for good", project: "ours", faults: []packet.Fault{always("get", 410)}, marked: true},
		{name: "pruned", prune: true, project: "ours", deleted: true},
		{name: "pruned, of no project that is known", prune: true, marked: true},
		{name: "pruned, not to be seen", prune: true, project: "ours", faults: []packet.Fault{always("get", 403)}, marked: true},
		{name: "pruned, gone for good", prune: true, project: "ours", faults: []packet.Fault{always("get", 410)}, marked: true},
		{name: "pruned, and the account is empty", prune: true, project: "ours", empty: true, marked: true},
		{name: "pruned, of another account", prune: true, project: "theirs"},
		{name: "pruned, the devices are not listed", prune: true, project: "ours", faults: []packet.Fault{always("list", 500)}},
		{name: "pruned, the devices are not listed for a while", prune: true, project: "ours", faults: []packet.Fault{{On: "list", Times: 1, Status: 500}}, deleted: true},
		{name: "pruned, the list is cut off", prune: true, project: "ours", faults: []packet.Fault{{On: "list", Times: packet.Always, Truncate: true}}},
		{name: "pruned, a page in place of the list", prune: true, project: "ours", faults: []packet.Fault{packet.BadGateway("list", packet.Always)}},
		{name: "pruned, an empty page in place of the list", prune: true, project: "ours", faults: []packet.Fault{{On: "list", Times: packet.Always, Status: 200, Body: "{}"}}},
		{name: "pruned, the projects are not listed", prune: true, project: "ours", faults: []packet.Fault{always("list projects", 401)}},
		{name: "pruned, the device is not read", prune: true, project: "ours", faults: []packet.Fault{always("get", 500)}},
		{name: "pruned, the key is refused", prune: true, project: "ours", faults: []packet.Fault{always("get", 401)}},
		{name: "pruned, too many requests", prune: true, project: "ours", faults: []packet.Fault{packet.TooMany("get", packet.Always, "3600")}},
		{name: "pruned, the machines are not listed", prune: true, project: "ours", fails: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			sim, err := packet.New(packet.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer sim.Close()
			if !row.empty {
				sim.Add("default", 1, packet.Device{})
			}
			sim.SetFaults(row.faults...)
			params := model.Params{paramPlugin: "metal", paramUUID: device, paramState: packet.Active}
			switch row.project {
			case "ours":
				params[paramProject] = sim.ProjectID("default")
			case "theirs":
				params[paramProject] = "00000000-0000-4000-8000-000000000003"
			}
			l := &ledger{machine: *model.NewMachine("m1"), fails: row.fails}
			l.machine.Uuid, l.machine.Params = machine, params
			endpoint := httptest.NewServer(l)
			defer endpoint.Close()
			c, err := client.New(client.Options{Endpoint: endpoint.URL, Token: "t"})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			api := metal.New(metal.Options{URL: sim.URL(), Wait: time.Millisecond})
			defer api.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
			defer cancel()
			m, o := &Manager{}, Options{Plugin: "metal", Endpoint: c, API: api.Key("k"), Prune: row.prune}.withDefaults()
			err = m.compare(ctx, o)
			if doubt := !row.marked && !row.deleted && row.project != "theirs"; doubt != (err != nil) {
				t.Errorf("error %v", err)
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			marks := strings.Count(strings.Join(l.patches, ""), `"gone"`)
			if (marks == 1) != row.marked || len(l.patches) != marks || (l.deleted == 1) != row.deleted || l.added != 0 {
				t.Errorf("marked %v, deleted %d, added %d", l.patches, l.deleted, l.added)
			}
			if n := sim.AllExecuted(""); len(n) != 0 {
				t.Errorf("executed %v", n)
			}
		})
	}
}
