package driver_test

import (
	"testing"
	"testing/synctest"
	"time"

	"provision-plugins/shared/driver/internal/toy"
	"provision-plugins/shared/model"
)

// planRow is one action on a device, its whole answer, and what was executed.
type planRow struct {
	name    string
	mode    string
	off     bool // the machine starts off
	device  func(d *toy.Device)
	command string
	params  model.Params
	want    string // the result as JSON
	kind    model.Kind
	text    string // the error
	done    map[string]int
}

// runPlans runs rows, each in a bubble of its own.
func runPlans(t *testing.T, rows []planRow) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, row.mode, nil)
				r.device.SetPower(!row.off)
				if row.device != nil {
					row.device(r.device)
				}
				res, err := r.run(row.command, row.params)
				if row.want != "" {
					wantResult(t, res, err, row.want)
				} else {
					wantErr(t, err, row.kind, row.text)
				}
				r.wantExecuted(row.done)
				if n := r.device.Refused(); n > 1 {
					t.Errorf("%d logins were refused", n)
				}
				if n := r.device.Sessions(); n != 0 {
					synctest.Wait()
					if n = r.device.Sessions(); n != 0 {
						t.Errorf("%d sessions stay open", n)
					}
				}
			})
		})
	}
}

// fault returns a device setup.
func fault(f, command string) func(*toy.Device) {
	return func(d *toy.Device) { d.SetFault(f, command) }
}

// slow returns a device setup.
func slow(power time.Duration) func(*toy.Device) {
	return func(d *toy.Device) { d.PowerDelay = power }
}

func TestSwitching(t *testing.T) {
	runPlans(t, []planRow{
		{
			name: "on when on", mode: toy.Native, command: model.PowerOn,
			want: `{"power":"on","raw":"power is on","changed":false,"outcome":"verified","evidence":"state on at 0.0s","tookMs":50,"driver":"toy","note":"it was on already; nothing was sent"}`,
		},
		{
			name: "on when off", mode: toy.Native, off: true, device: slow(5 * time.Second), command: model.PowerOn,
			want: `{"power":"on","raw":"power is on","changed":true,"outcome":"verified","evidence":"state on at 5.0s","attempts":1,"tookMs":5089,"driver":"toy"}`,
			done: map[string]int{model.PowerOn: 1},
		},
		{
			name: "off when on", mode: toy.Steps, command: model.PowerOff,
			want: `{"power":"off","raw":"power is off","changed":true,"outcome":"verified","evidence":"state off at 0.1s","attempts":1,"tookMs":100,"driver":"toy"}`,
			done: map[string]int{model.PowerOff: 1},
		},
		{
			name: "stuck", mode: toy.Native, device: fault(toy.Stuck, ""), command: model.PowerOff, params: model.Params{"oob/timeout": 3},
			kind: model.Timeout, text: `cannot poweroff m1: the order "power off" was taken, but off was not seen within 3s; last state on ("power is on")`,
			done: map[string]int{model.PowerOff: 1},
		},
		{
			name: "refused", mode: toy.Native, device: fault(toy.Refuse, model.PowerOff), command: model.PowerOff,
			kind: model.Conflict, text: `cannot poweroff m1: power off: the device answers "refused"; last state on ("power is on")`,
		},
	})
}

func TestSoft(t *testing.T) {
	runPlans(t, []planRow{
		{
			name: "shuts down", mode: toy.Native, device: slow(8 * time.Second), command: model.PowerSoft,
			want: `{"power":"off","raw":"power is off","changed":true,"outcome":"verified","evidence":"state off at 8.1s","attempts":1,"tookMs":8139,"driver":"toy"}`,
			done: map[string]int{model.PowerSoft: 1},
		},
		{
			name: "does not", mode: toy.Native, device: slow(time.Hour), command: model.PowerSoft,
			kind: model.Timeout, text: `cannot powersoft m1: the operating system did not shut down within 3m0s (asked once); last state on ("power is on")`,
			done: map[string]int{model.PowerSoft: 1},
		},
		{
			name: "no reply and off", mode: toy.Native, device: fault(toy.LoseReply, model.PowerSoft), command: model.PowerSoft,
			want: `{"power":"off","raw":"power is off","changed":true,"outcome":"verified","evidence":"state off at 10.1s","attempts":1,"tookMs":10100,"driver":"toy","note":"no reply to \"soft off\""}`,
			done: map[string]int{model.PowerSoft: 1},
		},
		{
			name: "never arrives", mode: toy.Native, device: fault(toy.LoseRequest, model.PowerSoft), command: model.PowerSoft,
			kind: model.UnknownOutcome,
			text: `cannot powersoft m1: no reply to "soft off" and off not seen within 3m0s; last state on ("power is on"); another press may switch it on`,
		},
		{
			name: "force after", mode: toy.Native, command: model.PowerSoft, params: model.Params{"oob/force-after": 5},
			device: func(d *toy.Device) { d.SetFault(toy.LoseRequest, model.PowerSoft) },
			want:   `{"power":"off","raw":"power is off","changed":true,"outcome":"verified","evidence":"state off at 5.2s","attempts":1,"tookMs":5275,"driver":"toy","note":"no reply to \"soft off\"; the operating system did not shut down in 5s; switched off"}`,
			done:   map[string]int{model.PowerOff: 1},
		},
		{
			name: "from off", mode: toy.Native, off: true, command: model.PowerSoft,
			want: `{"power":"off","raw":"power is off","changed":false,"outcome":"verified","evidence":"state off at 0.0s","tookMs":50,"driver":"toy","note":"it was off already; nothing was sent"}`,
		},
	})
}

func TestCycle(t *testing.T) {
	fast := func(d *toy.Device) { d.PowerDelay, d.CycleOff = 2*time.Second, 4*time.Second }
	lost := func(f string) func(*toy.Device) {
		return func(d *toy.Device) { fast(d); d.SetFault(f, model.PowerCycle) }
	}
	const evidence = `"outcome":"verified","evidence":"state off at 2.`
	runPlans(t, []planRow{
		{
			name: "native", mode: toy.Native, device: fast, command: model.PowerCycle,
			want: `{"power":"on","raw":"power is on","changed":true,` + evidence + `2s, on at 6.2s","attempts":1,"tookMs":6295,"driver":"toy"}`,
			done: map[string]int{model.PowerCycle: 1},
		},
		{
			name: "native, reply lost", mode: toy.Native, device: lost(toy.LoseReply), command: model.PowerCycle,
			want: `{"power":"on","raw":"power is on","changed":true,"outcome":"verified","evidence":"state off at 3.0s, on at 6.1s","attempts":1,"tookMs":6139,"driver":"toy","note":"the reply to \"cycle\" was lost; it was sent once and the cycle was seen"}`,
			done: map[string]int{model.PowerCycle: 1},
		},
		{
			name: "native, request lost", mode: toy.Native, device: lost(toy.LoseRequest), command: model.PowerCycle,
			kind: model.UnknownOutcome,
			text: `cannot powercycle m1: no reply to "cycle", which was sent once, and off was not seen; last state on ("power is on")`,
		},
		{
			name: "native, off never seen", mode: toy.Native, device: fault(toy.Stuck, ""), command: model.PowerCycle,
			want: `{"power":"on","raw":"power is on","outcome":"acknowledged","attempts":1,"tookMs":74906,"driver":"toy","note":"the device confirmed the cycle, but off was not seen; last state on (\"power is on\")"}`,
			done: map[string]int{model.PowerCycle: 1},
		},
		{
			name: "native, stays off", mode: toy.Native, command: model.PowerCycle, params: model.Params{"oob/timeout": "30"},
			kind: model.Invalid, text: `cannot powercycle m1: param oob/timeout must be a number of seconds, not a string`,
		},
		{
			name: "native, on too late", mode: toy.Native, command: model.PowerCycle, params: model.Params{"oob/timeout": 30},
			device: func(d *toy.Device) { d.CycleOff = time.Hour },
			kind:   model.Timeout, text: `cannot powercycle m1: off was seen after "cycle", but not on within 30s; last state off ("power is off")`,
			done: map[string]int{model.PowerCycle: 1},
		},
		{
			name: "native, from off", mode: toy.Native, off: true, command: model.PowerCycle,
			want: `{"power":"on","raw":"power is on","changed":true,"outcome":"verified","evidence":"state on at 0.1s","attempts":1,"tookMs":150,"driver":"toy","note":"it was off: switched on instead of cycled"}`,
			done: map[string]int{model.PowerOn: 1},
		},
		{
			name: "steps", mode: toy.Steps, device: slow(2 * time.Second), command: model.PowerCycle,
			want: `{"power":"on","raw":"power is on","changed":true,` + evidence + `2s, on at 4.2s","attempts":1,"tookMs":4295,"driver":"toy"}`,
			done: map[string]int{model.PowerOff: 1, model.PowerOn: 1},
		},
		{
			name: "steps, from off", mode: toy.Steps, off: true, command: model.PowerCycle,
			want: `{"power":"on","raw":"power is on","changed":true,"outcome":"verified","evidence":"state on at 0.1s","attempts":1,"tookMs":150,"driver":"toy","note":"it was off: switched on instead of cycled"}`,
			done: map[string]int{model.PowerOn: 1},
		},
		{
			name: "steps, refused", mode: toy.Steps, device: fault(toy.Refuse, model.PowerOff), command: model.PowerCycle,
			kind: model.Conflict, text: `cannot powercycle m1: power off: the device answers "refused"`,
		},
		{
			name: "steps, off has no effect", mode: toy.Steps, device: fault(toy.Stuck, ""), command: model.PowerCycle,
			kind: model.Timeout, text: `cannot powercycle m1: off was taken, but not seen in time; on was sent; last state on ("power is on")`,
			done: map[string]int{model.PowerOff: 1, model.PowerOn: 1},
		},
	})
}

func TestJolts(t *testing.T) {
	runPlans(t, []planRow{
		{
			name: "reset", mode: toy.Native, command: model.PowerReset,
			want: `{"power":"on","raw":"power is on","outcome":"acknowledged","attempts":1,"tookMs":0,"driver":"toy"}`,
			done: map[string]int{model.PowerReset: 1},
		},
		{
			name: "reset, reply lost", mode: toy.Native, device: fault(toy.LoseReply, model.PowerReset), command: model.PowerReset,
			kind: model.UnknownOutcome,
			text: `cannot powerreset m1: no reply to "reset", which was sent once, and nothing shows whether it was done; last state on ("power is on")`,
			done: map[string]int{model.PowerReset: 1},
		},
		{
			name: "reset of what is off", mode: toy.Native, off: true, command: model.PowerReset,
			kind: model.Conflict, text: `cannot powerreset m1: the machine is off; nothing was sent; switch it on instead`,
		},
		{
			name: "interrupt", mode: toy.Steps, command: model.PowerNMI,
			want: `{"power":"on","raw":"power is on","outcome":"acknowledged","attempts":1,"tookMs":0,"driver":"toy"}`,
			done: map[string]int{model.PowerNMI: 1},
		},
		{
			name: "interrupt, refused", mode: toy.Steps, device: fault(toy.Refuse, model.PowerNMI), command: model.PowerNMI,
			kind: model.Conflict, text: `cannot powernmi m1: interrupt: the device answers "refused"`,
		},
	})
}

func TestBootAndLocator(t *testing.T) {
	runPlans(t, []planRow{
		{
			name: "next boot", mode: toy.Native, command: model.NextBootPXE,
			want: `{"boot":{"device":"pxe","persistent":false,"uefi":false,"valid":true,"raw":"pxe once"},"outcome":"verified","evidence":"override reads pxe, next boot only (\"pxe once\")","attempts":1,"tookMs":50,"driver":"toy"}`,
			done: map[string]int{"setboot": 1},
		},
		{
			name: "every boot, from off", mode: toy.Steps, off: true, command: model.ForceBootDisk,
			want: `{"boot":{"device":"disk","persistent":true,"uefi":false,"valid":true,"raw":"disk always"},"outcome":"verified","evidence":"override reads disk, every boot (\"disk always\")","attempts":1,"tookMs":50,"driver":"toy"}`,
			done: map[string]int{"setboot": 1},
		},
		{
			name: "reply lost", mode: toy.Native, device: fault(toy.LoseReply, "setboot"), command: model.NextBootCD,
			want: `{"boot":{"device":"cd","persistent":false,"uefi":false,"valid":true,"raw":"cd once"},"outcome":"verified","evidence":"override reads cd, next boot only (\"cd once\")","attempts":1,"tookMs":-1,"driver":"toy","note":"the reply to \"set boot\" was lost"}`,
			done: map[string]int{"setboot": 1},
		},
		{
			name: "identify", mode: toy.Native, command: model.Identify, params: model.Params{"toy/identify-duration": 30},
			want: `{"outcome":"acknowledged","attempts":1,"tookMs":0,"driver":"toy","note":"locator lit for 30s"}`,
			done: map[string]int{model.Identify: 1},
		},
		{
			name: "identify, end", mode: toy.Native, command: model.Identify, params: model.Params{"toy/identify-duration": 0},
			want: `{"outcome":"acknowledged","attempts":1,"tookMs":0,"driver":"toy","note":"locator off"}`,
			done: map[string]int{model.Identify: 1},
		},
		{
			name: "identify, too long", mode: toy.Native, command: model.Identify, params: model.Params{"toy/identify-duration": 3600},
			kind: model.Invalid, text: `cannot identify m1: param toy/identify-duration: 3600 seconds is outside 0..60`,
		},
	})
}

func TestReadsOfASickDevice(t *testing.T) {
	runPlans(t, []planRow{
		{
			name: "silent", mode: toy.Native, device: fault(toy.Silent, ""), command: model.PowerStatus,
			kind: model.Unreachable, text: `cannot powerstatus m1: open session: no answer from pipe`,
		},
		{
			name: "silent after login", mode: toy.Native, device: fault(toy.LoseRequest, "power"), command: model.PowerStatus,
			kind: model.Unreachable, text: `cannot powerstatus m1: read power state: no answer from pipe`,
		},
		{
			name: "wrong password", mode: toy.Native, command: model.PowerStatus, params: model.Params{"toy/password": "not it at all"},
			kind: model.DeviceAuth, text: `cannot powerstatus m1: open session: pipe refused the login of operator`,
		},
		{
			name: "nothing listens", mode: toy.Native, device: (*toy.Device).Close, command: model.PowerStatus,
			kind: model.Unreachable, text: `cannot powerstatus m1: open session: cannot reach pipe: connection refused`,
		},
	})
}
