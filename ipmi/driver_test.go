package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// TestDefinition holds what define says of the actions and of the params.
func TestDefinition(t *testing.T) {
	t.Parallel()
	def := definition(driver.NewProvider(patientDriver(), driver.Options{}))
	var want, got []string
	for _, info := range model.Actions() {
		want = append(want, info.Command)
	}
	for _, e := range patientDriver().Extras() {
		want = append(want, e.Command)
	}
	for _, a := range def.AvailableActions {
		got = append(got, a.Command)
		if a.Provider != name || a.Model != "machines" || len(a.RequiredParams) < 3 {
			t.Errorf("%+v", a)
		}
		for _, param := range slices.Concat(a.RequiredParams, a.OptionalParams) {
			if strings.HasPrefix(param, "ipmi/") && !strings.Contains(def.Content, param+":") {
				t.Errorf("%s uses %s, which the content does not declare", a.Command, param)
			}
		}
	}
	if slices.Sort(want); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("actions %v, want %v", got, want)
	}
	for _, key := range []string{model.MetaColumns, model.MetaTargets} {
		if !json.Valid([]byte(def.Meta[key])) {
			t.Errorf("Meta %s is %q", key, def.Meta[key])
		}
	}
}

// TestBoot sets each override and looks at it on the device.
func TestBoot(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]model.BootOverride{
		model.NextBootPXE:   {Device: model.BootPXE, Valid: true},
		model.NextBootDisk:  {Device: model.BootDisk, Valid: true},
		model.NextBootCD:    {Device: model.BootCD, Valid: true},
		model.NextBootBIOS:  {Device: model.BootBIOS, Valid: true},
		model.ForceBootPXE:  {Device: model.BootPXE, Persistent: true, Valid: true},
		model.ForceBootDisk: {Device: model.BootDisk, Persistent: true, Valid: true},
	} {
		for _, mode := range []string{"", "legacy-bios", "uefi"} {
			t.Run(command+"/"+mode, func(t *testing.T) {
				t.Parallel()
				b := startBMC(t, bmc.Options{On: true})
				p := newProvider(t)
				res := mustAct(t, p, command, b.Addr(), model.Params{paramBIOSMode: mode})
				want := want
				want.UEFI = mode == "uefi"
				if got := override(b.Boot()); got != want {
					t.Errorf("the device has %+v, want %+v", got, want)
				}
				if res.Outcome != model.Verified {
					t.Errorf("%+v, want verified", res)
				}
				if b.Executed(bmc.SetBootTimer) != 1 {
					t.Error("the timer that clears the flags was not switched off")
				}
				read := mustAct(t, p, model.BootStatus, b.Addr()).Boot
				raw := b.Boot().Raw
				want.Raw = fmt.Sprintf("% x", raw[:])
				if read == nil || *read != want {
					t.Errorf("bootstatus %+v, want %+v", read, want)
				}
			})
		}
	}
}

// TestBootOverride reads answers of other makers, too.
func TestBootOverride(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		data    []byte
		invalid bool
		want    model.BootOverride
	}{
		"nothing set":   {[]byte{0, 0, 0, 0, 0}, false, model.BootOverride{Device: model.BootNone, Raw: "00 00 00 00 00"}},
		"remote CD":     {[]byte{0x80, 0x20, 0, 0, 0}, false, model.BootOverride{Device: model.BootCD, Valid: true, Raw: "80 20 00 00 00"}},
		"floppy":        {[]byte{0xe0, 0x3c, 0, 0, 0}, false, model.BootOverride{Device: model.BootOther, Valid: true, Persistent: true, UEFI: true, Raw: "e0 3c 00 00 00"}},
		"marked locked": {[]byte{0x80, 0x04, 0, 0, 0}, true, model.BootOverride{Device: model.BootPXE, Raw: "80 04 00 00 00"}},
	} {
		got, err := bootOverride(&chassis.GetSystemBootOptionsParamResponse{ParamData: tc.data, ParameterInValid: tc.invalid})
		if err != nil || got != tc.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, tc.want)
		}
	}
	if _, err := bootOverride(&chassis.GetSystemBootOptionsParamResponse{ParamData: []byte{1}}); model.KindOf(err) != model.Unsupported {
		t.Errorf("too short: %v", err)
	}
}

// TestIdentify lights the locator and puts it out.
func TestIdentify(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true})
	p := newProvider(t)
	mustAct(t, p, model.Identify, b.Addr(), model.Params{paramIdentify: 90})
	if l := b.Identify(); !l.On || l.Forced || l.Left > 90*time.Second || l.Left < 60*time.Second {
		t.Errorf("the locator is %+v", l)
	}
	mustAct(t, p, model.Identify, b.Addr(), model.Params{paramIdentify: 0})
	if l := b.Identify(); l.On {
		t.Errorf("the locator is %+v, want off", l)
	}
	req := firstByte{&chassis.ChassisIdentifyRequest{IdentifyInterval: 9, ForceIdentifyOn: true}}
	if !bytes.Equal(req.Pack(), []byte{9}) || req.Command().Key() != types.CommandChassisIdentify.Key() {
		t.Errorf("short form % x", req.Pack())
	}
}

// TestWarmSession: a second action within seconds is one round trip.
func TestWarmSession(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true})
	p := newProvider(t)
	mustAct(t, p, model.PowerStatus, b.Addr())
	in, _ := b.Datagrams()
	if in != 4 {
		t.Errorf("a cold status took %d requests, want 4", in)
	}
	mustAct(t, p, model.PowerStatus, b.Addr())
	if warm, _ := b.Datagrams(); warm-in != 1 {
		t.Errorf("a warm status took %d requests, want 1", warm-in)
	}
}

// TestManyAtOnce runs reads and changes of a fleet side by side, several of each
// machine.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	const n = 40
	f := startFleet(t, bmc.Options{Count: n})
	p := newProvider(t)
	var wg sync.WaitGroup
	for i := range n {
		b := f.BMC(i)
		for range 4 {
			wg.Go(func() {
				if _, err := act(p, model.PowerStatus, b.Addr()); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() { // the second joins the first, or finds it done
				if _, err := act(p, model.PowerOn, b.Addr()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for i := range n {
		b := f.BMC(i)
		if !b.Power() || b.Executed(bmc.PowerOn) != 1 || b.Executed(bmc.SessionOpen) != 1 {
			t.Errorf("BMC %d: on %v, executed %v", i, b.Power(), b.Ledger())
		}
	}
}

// TestBusyBMC is asked again until it is not.
func TestBusyBMC(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{})
	b.SetFaults(bmc.Faults{Busy: map[string]int{bmc.ChassisStatus: 2, bmc.PowerOn: 2}})
	p := newProvider(t)
	if res := mustAct(t, p, model.PowerOn, b.Addr()); res.Outcome != model.Verified {
		t.Errorf("%+v", res)
	}
	if b.Executed(bmc.PowerOn) != 1 {
		t.Errorf("executed %d times", b.Executed(bmc.PowerOn))
	}
}

// TestRefusedBecauseSoAlready: a BMC that refuses off because the machine is off
// has nothing to be told; one that refuses it while the machine is on has failed.
func TestRefusedBecauseSoAlready(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{})
	b.SetFaults(bmc.Faults{Refuse: map[string]int{bmc.PowerOn: bmc.Always, bmc.PowerOff: bmc.Always}})
	d := patientDriver()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	opened, err := d.Open(ctx, &driver.Target{Name: "m1", Params: paramsOf(b.Addr())})
	if err != nil {
		t.Fatal(err)
	}
	s, ok := opened.(driver.PowerSetter)
	if !ok {
		t.Fatalf("a %T cannot switch power", opened)
	}
	if err := s.SetPower(ctx, false); err != nil {
		t.Errorf("off when off: %v", err)
	}
	if err := s.SetPower(ctx, true); model.KindOf(err) != model.Conflict {
		t.Errorf("on when off: %v, want %s", err, model.Conflict)
	}
	if err := errors.Join(opened.Close(ctx), d.Stop(ctx)); err != nil {
		t.Error(err)
	}
}

// BenchmarkWarmStatus reads one machine again and again.
func BenchmarkWarmStatus(b *testing.B) {
	sim := startBMC(b, bmc.Options{On: true})
	p := newProvider(b)
	mustAct(b, p, model.PowerStatus, sim.Addr())
	b.ReportAllocs()
	for b.Loop() {
		mustAct(b, p, model.PowerStatus, sim.Addr())
	}
}

// BenchmarkColdStatus reads a fleet with no session open, 128 at a time, and
// reports the time of one read.
func BenchmarkColdStatus(b *testing.B) {
	const fleet, atOnce = 512, 128
	f := startFleet(b, bmc.Options{Count: fleet, On: true})
	b.ReportAllocs()
	for b.Loop() {
		p := driver.NewProvider(patientDriver(), driver.Options{})
		todo := make(chan int)
		var wg sync.WaitGroup
		for range atOnce {
			wg.Go(func() {
				for i := range todo {
					if _, err := act(p, model.PowerStatus, f.BMC(i).Addr()); err != nil {
						b.Error(err)
					}
				}
			})
		}
		for i := range fleet {
			todo <- i
		}
		close(todo)
		wg.Wait()
		stop(b, p)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*fleet), "ns/status")
}
