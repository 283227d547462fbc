package redfish

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stmcginnis/gofish/schemas"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/sim/redfish"
)

// TestResetIsProven: a reset that the BMC carries out is verified by the time of the
// last reset, and one that it only says to have carried out is not.
func TestResetIsProven(t *testing.T) {
	f, b := startBMC(t, redfish.Options{On: true})
	s := mustOpen(t, poolOf(t, f), targetOf(b))
	if b.SetPower(false); s.SetPower(t.Context(), true) != nil { // so that there is a time
		t.Fatal("cannot switch it on")
	}
	before, err := s.RestartSigns(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(before) == 0 {
		t.Fatal("the simulator tells no time of the last reset")
	}
	if before[0].Value != resetNot || before[0].Proof != resetLater {
		t.Errorf("before: %+v", before)
	}
	b.SetFaults(redfish.Faults{PowerStuck: true})
	if err := s.PowerReset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, err := s.RestartSigns(t.Context(), signReset); err != nil || after[0].Value != resetNot {
		t.Errorf("a reset that does nothing: %+v, %v", after, err)
	}
	b.SetFaults(redfish.Faults{})
	until(t, "the restart is told", func() bool { // times are told in whole seconds
		if err := s.PowerReset(t.Context()); err != nil {
			t.Fatal(err)
		}
		after, err := s.RestartSigns(t.Context(), signReset)
		return err == nil && after[0].Value == resetLater
	})
	if again, err := s.RestartSigns(t.Context()); err != nil || again[0].Value != resetNot {
		t.Errorf("the next plan begins with %+v, %v", again, err)
	}
}

// TestPick: the first reset type that the system takes, and none other.
func TestPick(t *testing.T) {
	for _, tc := range []struct {
		takes []string
		types []schemas.ResetType
		want  string
	}{
		{nil, typesOn, "On"},
		{[]string{"On", "ForceOn"}, typesOn, "On"},
		{[]string{"ForceOn", "ForceOff"}, typesOn, "ForceOn"},
		{[]string{"PushPowerButton", "ForceRestart"}, typesOn, ""},
		{[]string{"PushPowerButton", "GracefulShutdown"}, typesOff, ""},
		{[]string{"GracefulRestart", "PowerCycle"}, typesReset, ""},
		{[]string{"PushPowerButton"}, typesSoft, ""},
	} {
		s := &Session{bmc: &bmc{}, resets: tc.takes}
		got, err := s.pick(tc.types)
		if got != tc.want || (err == nil) != (tc.want != "") || err != nil && model.KindOf(err) != model.Unsupported {
			t.Errorf("%v of %v: %q, %v", tc.types, tc.takes, got, err)
		}
	}
}

// TestCyclingOnlyWhereTaken: a system that does not cycle by itself is cycled by off
// and on.
func TestCyclingOnlyWhereTaken(t *testing.T) {
	for name, native := range map[string]bool{"idrac": true, "ilo": false} {
		f, b := startBMC(t, redfish.Options{Dialect: name, On: true})
		s, err := poolOf(t, f).Open(t.Context(), targetOf(b))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := s.(driver.Cycler); ok != native {
			t.Errorf("%s cycles by itself: %v, want %v", name, ok, native)
		}
		_ = s.Close(t.Context())
	}
}

// TestPowerWords: a word that nobody knows is neither on nor off.
func TestPowerWords(t *testing.T) {
	f, b := startBMC(t, redfish.Options{On: true})
	s := mustOpen(t, poolOf(t, f), targetOf(b))
	for word, want := range map[string]model.PowerState{
		"On": model.StateOn, "Off": model.StateOff, "PoweringOn": model.StateTransition, "PoweringOff": model.StateTransition,
		"Paused": model.StateUnknown, "ON": model.StateUnknown, "Sleeping": model.StateUnknown,
	} {
		b.SetFaults(redfish.Faults{PowerWord: word})
		if got, err := s.PowerState(t.Context()); err != nil || got.State != want || got.Raw != word {
			t.Errorf("%s: %+v, %v", word, got, err)
		}
	}
}

// TestBootTargets: what the system cannot be booted from is refused before it is sent.
func TestBootTargets(t *testing.T) {
	f, b := startBMC(t, redfish.Options{On: true})
	s := mustOpen(t, poolOf(t, f), targetOf(b))
	if err := s.SetBoot(t.Context(), model.BootOther, false); model.KindOf(err) != model.Unsupported {
		t.Errorf("another device: %v", err)
	}
	if n := b.Executed("set boot"); n != 0 {
		t.Errorf("it was set %d times", n)
	}
	got, err := s.Boot(t.Context())
	if err != nil || got.Valid || got.Device != model.BootNone {
		t.Errorf("without an override: %+v, %v", got, err)
	}
	if d := (*Session)(nil).BootDevices(true); !slices.Equal(d, []model.BootDevice{model.BootPXE, model.BootDisk}) {
		t.Errorf("for every boot: %v", d)
	}
}

// TestIdentity: the system tells the same of itself each time, and another one tells
// something else.
func TestIdentity(t *testing.T) {
	f, _ := startBMC(t, redfish.Options{Count: 2})
	p := poolOf(t, f)
	seen := map[string]bool{}
	for i := range 2 {
		s := mustOpen(t, p, targetOf(f.BMC(i)))
		first, err := s.Identity(t.Context())
		if err != nil || first.ID == "" || first.Source == "" {
			t.Fatalf("%+v, %v", first, err)
		}
		if again, err := s.Identity(t.Context()); err != nil || again.ID != first.ID {
			t.Errorf("%+v, then %+v, %v", first, again, err)
		}
		seen[first.ID] = true
	}
	if len(seen) != 2 {
		t.Error("two BMCs tell the same identity")
	}
}

// TestTasks: a task is followed to its end, wherever the BMC says that it is.
func TestTasks(t *testing.T) {
	for name, tc := range map[string]struct {
		location, body, end string
		want                model.Kind
	}{
		"a monitor that is gone":     {"/odd", "", `{}`, ""},
		"a task in the body":         {"", `{"@odata.id":"/odd"}`, `{"TaskState":"Completed"}`, ""},
		"its monitor in the body":    {"", `{"@odata.id":"/x","TaskMonitor":"/odd"}`, `{"TaskState":"Completed"}`, ""},
		"a whole URL":                {"https://bmc.example/odd", "", `{"TaskState":"Completed"}`, ""},
		"nothing to follow":          {"", "", "", ""},
		"one that failed":            {"/odd", "", `{"TaskState":"Exception","Messages":[{"Message":"no\nway"}]}`, model.UnknownOutcome},
		"one that was killed":        {"/odd", "", `{"TaskState":"Killed"}`, model.UnknownOutcome},
		"one that goes on":           {"/odd", "", `{"TaskState":"Running"}`, model.UnknownOutcome},
		"one that cannot be read":    {"/odd", "", `<html>`, model.UnknownOutcome},
		"one that is somewhere else": {"/elsewhere", "", "", model.UnknownOutcome},
	} {
		_, target := newOdd(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				_, _ = io.WriteString(w, tc.end)
				return
			}
			if tc.location != "" {
				w.Header().Set("Location", tc.location)
			}
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, tc.body)
		})
		s := mustOpen(t, anyone(t), target)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		err := s.PowerReset(ctx)
		cancel()
		if (err == nil) != (tc.want == "") || err != nil && model.KindOf(err) != tc.want {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than one line: %q", name, err)
		}
	}
}

// TestCollections: pages are followed, and one that never ends is not.
func TestCollections(t *testing.T) {
	pages := 0
	_, target := newOdd(t, func(w http.ResponseWriter, r *http.Request) {
		pages++
		next := `,"Members@odata.nextLink":"/odd?endless"`
		if r.URL.RawQuery == "" {
			next = `,"Members@odata.nextLink":"/odd?2"`
		}
		if r.URL.RawQuery == "2" {
			next = ""
		}
		fmt.Fprintf(w, `{"Members":[{"@odata.id":"/m/%d"}]%s}`, pages, next)
	})
	s := mustOpen(t, anyone(t), target)
	if got, err := s.bmc.members(t.Context(), "/odd"); err != nil || !slices.Equal(got, []string{"/m/1", "/m/2"}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := s.bmc.members(t.Context(), "/odd?endless"); model.KindOf(err) != model.Unsupported {
		t.Errorf("pages without end: %v", err)
	}
	if pages > maxPages+5 {
		t.Errorf("%d pages were read", pages)
	}
}

// TestActionInfo: reset types that stand in a resource of their own are found there.
func TestActionInfo(t *testing.T) {
	_, target := newOdd(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"Parameters":[{"Name":"Other","AllowableValues":["x"]},{"Name":"ResetType","AllowableValues":["On","ForceOff"]}]}`)
	})
	s := mustOpen(t, anyone(t), target)
	var sys system
	sys.Actions.Reset.Info = "/odd"
	if got, err := s.bmc.allowed(t.Context(), &sys); err != nil || !slices.Equal(got, []string{"On", "ForceOff"}) {
		t.Errorf("%v, %v", got, err)
	}
}
