package redfish

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/drivertest"
	"provision-plugins/shared/model"
	"provision-plugins/sim/redfish"
)

const (
	testUser     = "operator"
	testPassword = "a-Bittern-in-the-reeds"
)

// The params of the driver of these tests.
const (
	paramPassword = "test/password"
	paramPort     = "test/port"
)

// TestMain lets more tests run side by side than there are processors: they wait for
// BMCs, and compute little.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// startBMC runs one simulated BMC until the test ends.
func startBMC(tb testing.TB, o redfish.Options) (*redfish.Fleet, *redfish.BMC) {
	tb.Helper()
	o.Username, o.Password = testUser, testPassword
	if o.CycleOff == 0 {
		o.CycleOff = 800 * time.Millisecond
	}
	if o.TaskTime == 0 {
		o.TaskTime = 300 * time.Millisecond
	}
	f, err := redfish.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	})
	return f, f.BMC(0)
}

// admission lets in whom the BMC has not refused twice.
type admission struct {
	mu      sync.Mutex // guards refused
	refused map[string]int
}

var errSuspended = errors.New("login not tried again")

// admit gives leave.
func (a *admission) admit(t *Target) (Leave, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := t.Peer.String() + string(t.Password)
	if a.refused[id] >= 2 {
		return nil, model.Errorf(model.DeviceAuth, "%w", errSuspended)
	}
	return &permission{a, id}, nil
}

// permission is leave for one login.
type permission struct {
	a  *admission
	id string
}

// Refused counts.
func (p *permission) Refused() {
	p.a.mu.Lock()
	defer p.a.mu.Unlock()
	p.a.refused[p.id]++
}

// Settle forgets what was refused before a login that was not.
func (p *permission) Settle(err error) {
	p.a.mu.Lock()
	defer p.a.mu.Unlock()
	if err == nil {
		delete(p.a.refused, p.id)
	}
}

// newPool returns a pool that trusts a fleet's certificates. Who made it stops it.
func newPool(f *redfish.Fleet) *Pool {
	a := &admission{refused: map[string]int{}}
	return NewPool(Options{Admit: a.admit, Roots: f.Roots()})
}

// poolOf is newPool that is stopped with the test.
func poolOf(tb testing.TB, f *redfish.Fleet) *Pool {
	tb.Helper()
	p := newPool(f)
	tb.Cleanup(func() { stop(tb, p) })
	return p
}

// stop ends a pool.
func stop(tb testing.TB, p *Pool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		tb.Error(err)
	}
}

// targetOf reaches a simulated BMC.
func targetOf(b *redfish.BMC) *Target {
	return &Target{Peer: b.Addr(), Host: b.Addr().Addr().String(), Username: testUser, Password: testPassword}
}

// reach is a driver of one target.
type reach struct {
	pool   *Pool
	target *Target
}

// Name is its name.
func (*reach) Name() string { return "redfish" }

// Modes lists the one it has.
func (*reach) Modes() []driver.Mode {
	return []driver.Mode{{Name: "redfish", Session: &Cycling{&Session{}}}}
}

// Open opens a session.
func (d *reach) Open(ctx context.Context, t *driver.Target) (driver.Session, error) {
	target := *d.target
	password, err := t.Params.String(paramPassword, testPassword)
	if err != nil {
		return nil, err
	}
	port, err := t.Params.Int(paramPort, int64(target.Peer.Port()), 1, 65535)
	if err != nil {
		return nil, err
	}
	target.Password = model.Secret(password)
	target.Peer = netipPort(target.Peer, port)
	return d.pool.Open(ctx, &target)
}

// Stop stops its pool.
func (d *reach) Stop(ctx context.Context) error { return d.pool.Stop(ctx) }

// simName is a command of the vocabulary as the simulator counts it.
var simName = map[string]string{
	model.PowerOn: "reset On", model.PowerOff: "reset ForceOff", model.PowerSoft: "reset GracefulShutdown",
	model.PowerCycle: "reset PowerCycle", model.PowerReset: "reset ForceRestart", model.PowerNMI: "reset Nmi",
	model.Identify: "led", drivertest.SetBoot: "set boot",
}

// breakIt arranges a fault that hits a command.
func breakIt(b *redfish.BMC, f drivertest.Fault, command string) {
	on := "patch *"
	if strings.HasPrefix(command, "power") {
		on = "reset"
	}
	always := redfish.Fault{On: on, Count: redfish.Always}
	lost, never, refused := always, always, always
	lost.Close, lost.Acts = true, true
	never.Close = true
	refused.Status = 409
	b.SetFaults(map[drivertest.Fault]redfish.Faults{
		drivertest.LoseReply:   {Requests: []redfish.Fault{lost}},
		drivertest.LoseRequest: {Requests: []redfish.Fault{never}},
		drivertest.Refuse:      {Requests: []redfish.Fault{refused}},
		drivertest.Silent:      {Silent: true},
		drivertest.Stuck:       {PowerStuck: true},
		drivertest.Strange:     {PowerWord: "Dozing"},
	}[f])
}

// override is the simulator's boot override in the words of the model.
func override(s redfish.System) model.BootOverride {
	o := model.BootOverride{Device: model.BootNone, Persistent: s.BootEnabled == always, Valid: s.BootEnabled != disabled, UEFI: s.BootMode == modeUEFI}
	for _, row := range bootTargets {
		if string(row.target) == s.BootTarget {
			o.Device = row.device
		}
	}
	return o
}

// rigOf is one simulated BMC of a dialect and a driver of its own.
func rigOf(tb testing.TB, o redfish.Options) *drivertest.Rig {
	o.On = true
	f, b := startBMC(tb, o)
	return &drivertest.Rig{
		Driver: &reach{newPool(f), targetOf(b)}, Params: model.Params{paramPassword: testPassword},
		Device: drivertest.Renamed(b, maps.Clone(simName)),
		Fault:  func(f drivertest.Fault, command string) { breakIt(b, f, command) },
		Meets: map[drivertest.Fault]model.Params{
			drivertest.Credentials: {paramPassword: "not-the-Bittern-at-all"},
			drivertest.Unreachable: {paramPort: int64(drivertest.ClosedPort(tb, "tcp"))},
		},
		Boot:     func() model.BootOverride { return override(b.System(0)) },
		Refused:  func() int { return b.Executed("session refused") },
		Sessions: b.Sessions,
	}
}

// waiting are the cases that wait for a time to be over: what they hold does not
// depend on the dialect.
func waiting() map[string]string {
	out := map[string]string{"silent": "", "force-after/powersoft": ""}
	for _, command := range []string{model.PowerOn, model.PowerOff, model.PowerSoft, model.PowerCycle, model.PowerReset, model.PowerNMI, model.NextBootPXE, model.Identify} {
		out["lost-request/"+command] = ""
		if command != model.PowerReset && command != model.PowerNMI && strings.HasPrefix(command, "power") {
			out["stuck/"+command] = ""
		}
	}
	for name := range out {
		out[name] = "waits, and is the same in each dialect; all of them with OOB_NIGHTLY=1"
	}
	return out
}

// TestConformance judges the sessions by the suite that all drivers pass, against
// each dialect.
func TestConformance(t *testing.T) {
	for _, dialect := range redfish.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			skip := waiting()
			if dialect == "generic" || os.Getenv("OOB_NIGHTLY") == "1" {
				skip = nil
			}
			drivertest.Run(t, drivertest.Config{
				Skip: skip,
				New: func(tb testing.TB, _ *slog.Logger) *drivertest.Rig {
					return rigOf(tb, redfish.Options{Dialect: dialect})
				},
				Short: 4 * time.Second, Told: 10 * time.Second, // a login is several round trips of TLS
				Without: map[string]string{
					model.Doctor: "the doctor is the plugin's",
				},
			})
		})
	}
}
