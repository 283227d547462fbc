package redfish_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/schemas"

	"provision-plugins/sim/redfish"
)

// connect logs in with gofish.
func connect(t *testing.T, p *peer) *gofish.APIClient {
	t.Helper()
	c, err := gofish.ConnectContext(t.Context(), gofish.ClientConfig{
		Endpoint: p.b.URL(), Username: p.name, Password: p.pass, HTTPClient: p.http, NoModifyTransport: true, ReuseConnections: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Logout)
	return c
}

// theSystem is the only computer system as gofish reads it.
func theSystem(t *testing.T, c *gofish.APIClient) *schemas.ComputerSystem {
	t.Helper()
	systems, err := c.Service.Systems()
	if err != nil || len(systems) != 1 {
		t.Fatalf("systems: %v, %v", systems, err)
	}
	return systems[0]
}

// statusOf is the HTTP status of an error of gofish.
func statusOf(err error) int {
	var e *schemas.Error
	if errors.As(err, &e) {
		return e.HTTPReturnedStatusCode
	}
	return 0
}

// eachDialect runs a test with gofish against a BMC of each dialect.
func eachDialect(t *testing.T, o redfish.Options, test func(t *testing.T, b *redfish.BMC, c *gofish.APIClient)) {
	t.Helper()
	t.Parallel()
	for _, dialect := range redfish.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			o := o
			o.Dialect = dialect
			b, p, _ := one(t, o)
			test(t, b, connect(t, p))
		})
	}
}

// TestGofishSessions opens and closes a session.
func TestGofishSessions(t *testing.T) {
	eachDialect(t, redfish.Options{}, func(t *testing.T, b *redfish.BMC, c *gofish.APIClient) {
		executed(t, b, "session open", 1)
		if _, err := c.Service.Systems(); err != nil {
			t.Error(err)
		}
		sessions, err := c.Service.SessionService()
		if err != nil || !sessions.ServiceEnabled {
			t.Errorf("session service: %+v, %v", sessions, err)
		}
		if b.Sessions() != 1 {
			t.Errorf("%d sessions are open", b.Sessions())
		}
		c.Logout()
		executed(t, b, "session close", 1)
		if b.Sessions() != 0 {
			t.Errorf("%d sessions are open after the logout", b.Sessions())
		}
	})
}

// TestGofishReads reads what a system, a chassis and a manager have.
func TestGofishReads(t *testing.T) {
	eachDialect(t, redfish.Options{On: true}, func(t *testing.T, b *redfish.BMC, c *gofish.APIClient) {
		s := theSystem(t, c)
		if s.ID != b.SystemID(0) || s.PowerState != schemas.OnPowerState || s.UUID == "" || s.SerialNumber == "" {
			t.Errorf("system: %s %s %q %q", s.ID, s.PowerState, s.UUID, s.SerialNumber)
		}
		if s.Status.Health != schemas.OKHealth || s.Status.HealthRollup != schemas.OKHealth {
			t.Errorf("health: %+v", s.Status)
		}
		cpus, err := s.Processors()
		if err != nil || len(cpus) != 2 || cpus[0].Model != "Simulated CPU" {
			t.Errorf("processors: %v, %v", cpus, err)
		}
		memory, err := s.Memory()
		if err != nil || len(memory) != 2 || *memory[0].CapacityMiB != 32768 {
			t.Errorf("memory: %v, %v", memory, err)
		}
		bios, err := s.Bios()
		if err != nil || bios.Attributes["BootMode"] != "Uefi" {
			t.Errorf("bios: %v, %v", bios, err)
		}
		storage, err := s.Storage()
		if err != nil || len(storage) != 1 || storage[0].Status.Health != schemas.OKHealth {
			t.Fatalf("storage: %v, %v", storage, err)
		}
		drives, err := storage[0].Drives()
		if err != nil || len(drives) != 2 || drives[0].MediaType != "SSD" {
			t.Errorf("drives: %v, %v", drives, err)
		}
		volumes, err := storage[0].Volumes()
		if err != nil || len(volumes) != 1 {
			t.Errorf("volumes: %v, %v", volumes, err)
		}
	})
}

// TestGofishOptionalReads reads what not all dialects have: a collection that a
// system does not link to is empty.
func TestGofishOptionalReads(t *testing.T) {
	has := map[string]struct{ nics, networks, simple, secure int }{
		"generic":    {2, 1, 1, 1},
		"idrac":      {2, 1, 1, 1},
		"ilo":        {2, 1, 0, 1},
		"openbmc":    {0, 0, 0, 0},
		"supermicro": {2, 1, 1, 1},
	}
	for _, dialect := range redfish.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			_, p, _ := one(t, redfish.Options{Dialect: dialect})
			s, want := theSystem(t, connect(t, p)), has[dialect]
			nics, err := s.EthernetInterfaces()
			if err != nil || len(nics) != want.nics {
				t.Errorf("ethernet interfaces: %v, %v", nics, err)
			}
			networks, err := s.NetworkInterfaces()
			if err != nil || len(networks) != want.networks {
				t.Errorf("network interfaces: %v, %v", networks, err)
			}
			simple, err := s.SimpleStorage()
			if err != nil || len(simple) != want.simple {
				t.Errorf("simple storage: %v, %v", simple, err)
			}
			secure, err := s.SecureBoot()
			if err != nil || (secure != nil) != (want.secure == 1) {
				t.Errorf("secure boot: %v, %v", secure, err)
			}
		})
	}
}

// TestGofishResets switches a system on and off.
func TestGofishResets(t *testing.T) {
	eachDialect(t, redfish.Options{}, func(t *testing.T, b *redfish.BMC, c *gofish.APIClient) {
		s := theSystem(t, c)
		types, err := s.GetSupportedResetTypes()
		if err != nil || !slices.Contains(types, schemas.ForceOffResetType) {
			t.Fatalf("reset types: %v, %v", types, err)
		}
		for _, step := range []struct {
			kind schemas.ResetType
			on   bool
		}{{schemas.OnResetType, true}, {schemas.ForceRestartResetType, true}, {schemas.GracefulShutdownResetType, false}} {
			if _, err := s.Reset(step.kind); err != nil {
				t.Fatalf("%s: %v", step.kind, err)
			}
			executed(t, b, "reset "+string(step.kind), 1)
			if b.Power() != step.on {
				t.Errorf("power after %s: %v", step.kind, b.Power())
			}
			if again := theSystem(t, c); (again.PowerState == schemas.OnPowerState) != step.on {
				t.Errorf("after %s it says %s", step.kind, again.PowerState)
			}
		}
		if b.System(0).Boots != 2 {
			t.Errorf("it has started %d times", b.System(0).Boots)
		}
	})
}

// TestGofishBoot sets the next boot, and reads it back.
func TestGofishBoot(t *testing.T) {
	eachDialect(t, redfish.Options{}, func(t *testing.T, b *redfish.BMC, c *gofish.APIClient) {
		s := theSystem(t, c)
		err := s.SetBoot(&schemas.Boot{BootSourceOverrideEnabled: schemas.OnceBootSourceOverrideEnabled, BootSourceOverrideTarget: schemas.PxeBootSource})
		if err != nil {
			t.Fatal(err)
		}
		executed(t, b, "set boot", 1)
		again := theSystem(t, c)
		if again.Boot.BootSourceOverrideEnabled != "Once" || again.Boot.BootSourceOverrideTarget != "Pxe" {
			t.Errorf("boot: %+v", again.Boot)
		}
		if _, err = again.Reset(schemas.OnResetType); err != nil {
			t.Fatal(err)
		}
		now := b.System(0)
		if now.Booted != "Pxe" || now.BootEnabled != "Disabled" || now.BootTarget != "None" {
			t.Errorf("after the start: %+v", now)
		}
	})
}

// allMedia lists the virtual media of a BMC, wherever the dialect has them.
func allMedia(t *testing.T, c *gofish.APIClient) []*schemas.VirtualMedia {
	t.Helper()
	media, err := theSystem(t, c).VirtualMedia()
	if err != nil {
		t.Fatal(err)
	}
	managers, err := c.Service.Managers()
	if err != nil || len(managers) != 1 {
		t.Fatalf("managers: %v, %v", managers, err)
	}
	more, err := managers[0].VirtualMedia()
	if err != nil {
		t.Fatal(err)
	}
	media = append(media, more...)
	slices.SortFunc(media, func(a, b *schemas.VirtualMedia) int { return strings.Compare(a.ID, b.ID) })
	return media
}

// TestGofishMedia inserts an image into a virtual CD and ejects it.
func TestGofishMedia(t *testing.T) {
	const image = "https://files.example/boot.iso"
	eachDialect(t, redfish.Options{}, func(t *testing.T, b *redfish.BMC, c *gofish.APIClient) {
		media := allMedia(t, c)
		i := slices.IndexFunc(media, func(m *schemas.VirtualMedia) bool {
			return slices.Contains(m.MediaTypes, schemas.CDVirtualMediaType)
		})
		if i < 0 {
			t.Fatalf("no CD among %d media", len(media))
		}
		cd := media[i]
		if _, err := cd.InsertMedia(&schemas.VirtualMediaInsertMediaParameters{Image: image}); err != nil {
			t.Fatal(err)
		}
		executed(t, b, "insert media", 1)
		if got := b.Media(); len(got) != 1 || got[cd.ID] != image {
			t.Errorf("media: %v", got)
		}
		if again := allMedia(t, c)[i]; !*again.Inserted || again.Image != image || again.ImageName != "boot.iso" {
			t.Errorf("inserted: %+v", again)
		}
		if _, err := cd.EjectMedia(); err != nil {
			t.Fatal(err)
		}
		executed(t, b, "eject media", 1)
		if again := allMedia(t, c)[i]; *again.Inserted || len(b.Media()) != 0 {
			t.Errorf("after the ejection: %+v, %v", again, b.Media())
		}
	})
}

// TestGofishLogs reads the log of events and clears it.
func TestGofishLogs(t *testing.T) {
	eachDialect(t, redfish.Options{}, func(t *testing.T, b *redfish.BMC, c *gofish.APIClient) {
		b.AddEntry(false, "Critical", "Fan 1 has failed")
		services, err := theSystem(t, c).LogServices()
		if err != nil {
			t.Fatal(err)
		}
		managers, err := c.Service.Managers()
		if err != nil {
			t.Fatal(err)
		}
		more, err := managers[0].LogServices()
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, l := range append(services, more...) {
			entries, err := l.Entries()
			if err != nil {
				t.Fatal(err)
			}
			if len(entries) == 0 {
				continue
			}
			found++
			if entries[0].Message != "Fan 1 has failed" || entries[0].Severity != "Critical" {
				t.Errorf("entry: %+v", entries[0])
			}
			if _, err = l.ClearLog(""); err != nil {
				t.Fatal(err)
			}
			if left, err := l.Entries(); err != nil || len(left) != 0 {
				t.Errorf("after the clearing: %v, %v", left, err)
			}
		}
		if found != 1 {
			t.Errorf("%d logs have the entry", found)
		}
		executed(t, b, "clear log", 1)
	})
}

// TestGofishChassis reads sensors: by Power and Thermal, or by Sensors.
func TestGofishChassis(t *testing.T) {
	eachDialect(t, redfish.Options{On: true}, func(t *testing.T, _ *redfish.BMC, c *gofish.APIClient) {
		all, err := c.Service.Chassis()
		if err != nil || len(all) != 1 {
			t.Fatalf("chassis: %v, %v", all, err)
		}
		power, err := all[0].Power()
		if err != nil {
			t.Fatal(err)
		}
		thermal, err := all[0].Thermal()
		if err != nil {
			t.Fatal(err)
		}
		sensors, err := all[0].Sensors()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case power == nil && len(sensors) == 0:
			t.Error("neither Power nor Sensors")
		case power != nil && (*power.PowerControl[0].PowerConsumedWatts != 236 || len(power.PowerSupplies) != 2):
			t.Errorf("power: %+v", power)
		case thermal != nil && (len(thermal.Fans) != 2 || len(thermal.Temperatures) != 2):
			t.Errorf("thermal: %+v", thermal)
		}
	})
}

// TestGofishIsRefused sees the status and the message of a refusal.
func TestGofishIsRefused(t *testing.T) {
	eachDialect(t, redfish.Options{}, func(t *testing.T, b *redfish.BMC, c *gofish.APIClient) {
		path := "/redfish/v1/Systems/" + b.SystemID(0)
		if _, err := c.Post(path+"/Actions/ComputerSystem.Reset", map[string]any{"ResetType": "Suspend"}); statusOf(err) != http.StatusBadRequest {
			t.Errorf("reset Suspend: %v", err)
		}
		executed(t, b, "reset Suspend", 0)
		b.DropSessions()
		if _, err := c.Get(path); statusOf(err) != http.StatusUnauthorized {
			t.Errorf("without a session: %v", err)
		}
	})
}

// TestGofishTasks follows the task of a reset.
func TestGofishTasks(t *testing.T) {
	t.Parallel()
	b, p, clk := one(t, redfish.Options{})
	c := connect(t, p)
	b.SetFaults(redfish.Faults{Requests: []redfish.Fault{{On: "reset", Task: true}}})
	info, err := theSystem(t, c).Reset(schemas.OnResetType)
	if err != nil || info == nil || info.TaskMonitor == "" {
		t.Fatalf("task: %+v, %v", info, err)
	}
	service, err := c.Service.Tasks()
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := service.Tasks()
	if err != nil || len(tasks) != 1 || tasks[0].TaskState != schemas.RunningTaskState {
		t.Fatalf("tasks: %v, %v", tasks, err)
	}
	clk.pass(patience)
	tasks, err = service.Tasks()
	if err != nil || tasks[0].TaskState != schemas.CompletedTaskState || !b.Power() {
		t.Fatalf("tasks: %v, %v; on: %v", tasks, err, b.Power())
	}
}
