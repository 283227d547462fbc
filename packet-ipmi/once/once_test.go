package once

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packethost/packngo"
	"go.uber.org/goleak"

	"provision-plugins/packet-ipmi/metal"
	"provision-plugins/shared/model"
	"provision-plugins/sim/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a device and a Keeper of its boots.
type rig struct {
	*Keeper
	t   testing.TB
	sim *packet.Server
	api *metal.Client
	key *metal.Key
	id  string
	dir string
}

// quick are times that a test has.
var quick = Options{Settle: 20 * time.Millisecond, Poll: 5 * time.Millisecond, Lost: 50 * time.Millisecond}

// newRig makes one; its Keeper is not started.
func newRig(t testing.TB) *rig {
	t.Helper()
	sim, err := packet.New(packet.Options{Accounts: []packet.Account{{Key: "good"}}})
	if err != nil {
		t.Fatal(err)
	}
	api := metal.New(metal.Options{URL: sim.URL(), Rate: 10_000, Wait: time.Millisecond})
	r := &rig{Keeper: New(), t: t, sim: sim, api: api, key: api.Key("good"), id: sim.Add("default", 1, packet.Device{})[0], dir: filepath.Join(t.TempDir(), "boots")}
	t.Cleanup(func() {
		r.Stop()
		api.Close()
		sim.Close()
	})
	return r
}

// start starts the Keeper.
func (r *rig) start(key *metal.Key, o Options) {
	r.t.Helper()
	if err := r.Start(r.dir, key, o); err != nil {
		r.t.Fatal(err)
	}
}

// set sets an override for the next boot.
func (r *rig) set(key *metal.Key, pxe bool) error {
	d, err := r.key.Device(r.t.Context(), r.id)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.Set(r.t.Context(), Order{Key: key, Device: d, PXE: pxe})
}

// always is always_pxe of the device.
func (r *rig) always() bool {
	d, _ := r.sim.Device(r.id)
	return d.AlwaysPXE
}

// kept counts the notes on disk.
func (r *rig) kept() int {
	list, err := filepath.Glob(filepath.Join(r.dir, "*.json"))
	if err != nil {
		r.t.Fatal(err)
	}
	return len(list)
}

// until waits for a condition.
func (r *rig) until(what string, cond func() bool) {
	r.t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-limit.C:
			r.t.Fatalf("did not come: %s", what)
		}
	}
}

// Without a folder nothing is set that nobody would restore.
func TestRefusedWithoutAFolder(t *testing.T) {
	r := newRig(t)
	if err := r.set(r.key, true); model.KindOf(err) != model.Conflict || !strings.Contains(err.Error(), "packet-ipmi/state-dir") || r.always() {
		t.Errorf("%v", err)
	}
	r.start(r.key, quick)
	if err := os.RemoveAll(r.dir); err != nil {
		t.Fatal(err)
	}
	if err := r.set(r.key, true); model.KindOf(err) != model.Conflict || r.always() || r.Note(r.id) != nil {
		t.Errorf("%v", err)
	}
	if err := r.Start("/dev/null/x", r.key, quick); err == nil {
		t.Error("started without a folder")
	}
}

// What it was before the first override is what is restored, however many follow.
func TestFirstCounts(t *testing.T) {
	r := newRig(t)
	r.sim.Change(r.id, func(d *packet.Device) { d.AlwaysPXE = true })
	r.start(r.key, quick)
	for _, pxe := range []bool{false, false} {
		if err := r.set(r.key, pxe); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.Note(r.id); n == nil || n.Target || !n.Restore {
		t.Errorf("note %+v", n)
	}
	r.Started(r.id)
	r.until("it is restored", func() bool { return r.always() && r.kept() == 0 })
	if r.Note(r.id) != nil {
		t.Error("the note stays")
	}
	r.Started(r.id) // without a note nothing follows
	if err := r.Before(t.Context(), r.id); err != nil {
		t.Error(err)
	}
}

// An order that the API refuses leaves what was before it.
func TestRefusedOrder(t *testing.T) {
	r := newRig(t)
	r.start(r.key, quick)
	r.sim.SetFaults(packet.Fault{On: "update", Times: 1, Status: 422, Body: `{"errors":["no"]}`})
	if err := r.set(r.key, true); model.KindOf(err) != model.Conflict || r.kept() != 0 {
		t.Errorf("%v, %d notes", err, r.kept())
	}
	if err := r.set(r.key, true); err != nil {
		t.Fatal(err)
	}
	r.sim.SetFaults(packet.Fault{On: "update", Times: 1, Status: 422, Body: `{"errors":["no"]}`})
	if err := r.set(r.key, false); err == nil {
		t.Error("no error")
	}
	if n := r.Note(r.id); n == nil || !n.Target || n.Restore || n.Phase != Armed {
		t.Errorf("the note before is lost: %+v", n)
	}
	r.sim.SetFaults(packet.Fault{On: "events", Times: packet.Always, Status: 500}) // the Keeper asks for them too
	if err := r.set(r.key, true); err == nil || r.Note(r.id) == nil {
		t.Errorf("%v, %v", err, r.Note(r.id))
	}
	r.sim.SetFaults()
	r.Started(r.id)
	r.until("it is restored", func() bool { return !r.always() && r.kept() == 0 })
}

// A note whose order never arrived is forgotten, and one whose device is gone.
func TestForgotten(t *testing.T) {
	r := newRig(t)
	r.start(r.key, quick)
	r.sim.SetFaults(packet.Fault{On: "update", Times: 1, LoseRequest: true})
	if err := r.set(r.key, true); !metal.MaybeDone(err) || r.kept() != 1 {
		t.Errorf("%v, %d notes", err, r.kept())
	}
	r.until("it is forgotten", func() bool { return r.kept() == 0 })
	for _, phase := range []Phase{Armed, Booted} {
		if err := r.set(r.key, true); err != nil {
			t.Fatal(err)
		}
		r.Stop()
		if phase == Booted {
			r.Started(r.id)
		}
		r.sim.Remove(r.id)
		r.start(r.key, quick)
		r.until("it is forgotten", func() bool { return r.kept() == 0 })
		r.id = r.sim.Add("default", 1, packet.Device{})[0]
	}
}

// A device with a key of its own is restored with it, after a restart as soon as
// somebody asks for the device: keys are never written down.
func TestKeyOfItsOwn(t *testing.T) {
	r := newRig(t)
	wrong := r.api.Key("wrong")
	r.start(wrong, quick)
	if err := r.set(r.key, true); err != nil {
		t.Fatal(err)
	}
	r.Stop()
	files, err := filepath.Glob(filepath.Join(r.dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if raw, err := os.ReadFile(files[0]); err != nil || strings.Contains(string(raw), "good") {
		t.Errorf("%s, %v", raw, err)
	}
	r.Keeper = New()
	r.start(wrong, quick)
	refused := r.sim.Refused()
	r.until("the plugin's key is tried", func() bool { return r.sim.Refused() > refused })
	r.Use(r.id, r.key)
	r.Started(r.id)
	r.until("it is restored", func() bool { return !r.always() && r.kept() == 0 })
	r.Use(r.id, r.key) // without a note nothing is remembered
}

// What tells that a device has started since its note was written.
func TestStarted(t *testing.T) {
	events := func(types ...string) []packngo.Event {
		var out []packngo.Event
		for _, kind := range types {
			out = append(out, packngo.Event{ID: kind, Type: kind})
		}
		return out
	}
	for name, row := range map[string]struct {
		seen, state string
		events      []packngo.Event
		want        bool
	}{
		"on all the time":   {metal.Active, metal.Active, nil, false},
		"off, then on":      {metal.Inactive, metal.Active, nil, true},
		"off, then on soon": {metal.Inactive, metal.PoweringOn, nil, false},
		"seen on its way":   {metal.PoweringOn, metal.Active, nil, true},
		"a reboot":          {metal.Active, metal.Active, events("instance.rebooted", "mark"), true},
		"a reboot before":   {metal.Active, metal.Active, events("mark", "instance.rebooted"), false},
		"something else":    {metal.Active, metal.Active, events("user.login", "mark"), false},
	} {
		if got := started(Note{Seen: row.seen, Mark: "mark"}, row.state, row.events); got != row.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
