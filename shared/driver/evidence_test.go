package driver_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/internal/toy"
	"provision-plugins/shared/model"
)

// TestProofsAreComplete: each action that changes a machine has its row, and no
// other has.
func TestProofsAreComplete(t *testing.T) {
	var rows []string
	for _, p := range driver.Proofs() {
		if p.Otherwise == "" || slices.Contains(rows, p.Command) {
			t.Errorf("row of %s: %+v", p.Command, p)
		}
		rows = append(rows, p.Command)
	}
	for _, a := range model.Actions() {
		if want := a.Class != model.Read; slices.Contains(rows, a.Command) != want {
			t.Errorf("%s is of class %s, and has a row: %v", a.Command, a.Class, !want)
		}
	}
}

// TestVerifiedInOnePlace: no plan gives that outcome by itself. The reason: what
// proves an action stands in one table, which the documentation shows.
func TestVerifiedInOnePlace(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		if name == "evidence.go" {
			want = 1
		}
		if n := strings.Count(string(raw), "model.Verified"); n != want {
			t.Errorf("%s names model.Verified %d times, want %d: only the table of proofs gives it", name, n, want)
		}
	}
}

// told is a session that tells other states than the device's.
type told struct {
	*toy.NativeSession
	tell func(real driver.Reading) driver.Reading
}

func (s told) PowerState(ctx context.Context) (driver.Reading, error) {
	r, err := s.NativeSession.PowerState(ctx)
	if err != nil {
		return r, err
	}
	return s.tell(r), nil
}

// telling makes sessions that tell what a function makes of each reading.
func telling(tell func(real driver.Reading) driver.Reading) func(int, *toy.NativeSession) (driver.Session, error) {
	return func(_ int, s *toy.NativeSession) (driver.Session, error) { return told{s, tell}, nil }
}

// flapping tells on and off in turn, whatever is true, beginning with first.
func flapping(first model.PowerState) func(int, *toy.NativeSession) (driver.Session, error) {
	next := first
	return telling(func(driver.Reading) driver.Reading {
		now := next
		next = map[model.PowerState]model.PowerState{model.StateOn: model.StateOff, model.StateOff: model.StateOn}[now]
		return driver.Reading{State: now}
	})
}

// TestAFlappingStateProvesNothing: a state that never reads the same twice is
// no evidence, and nothing is left out because of it.
func TestAFlappingStateProvesNothing(t *testing.T) {
	for _, row := range []struct {
		command string
		first   model.PowerState
		kind    model.Kind
		says    string
		done    map[string]int
	}{
		{model.PowerOn, model.StateOn, model.Timeout, `the order "power on" was taken, but on was not seen`, map[string]int{model.PowerOn: 1}},
		{model.PowerOff, model.StateOff, model.Timeout, `the order "power off" was taken, but off was not seen`, map[string]int{model.PowerOff: 1}},
		{model.PowerSoft, model.StateOff, model.Conflict, "one reading of the state says", nil},
		{model.PowerSoft, model.StateOn, model.Conflict, "one reading of the state says", nil},
		{model.PowerCycle, model.StateOff, "", "off was not seen", map[string]int{model.PowerCycle: 1}},
		{model.PowerReset, model.StateOff, "", "", map[string]int{model.PowerReset: 1}},
	} {
		withQuirk(t, flapping(row.first), func(r *rig) {
			r.device.SetFault(toy.Stuck, "")
			res, err := r.run(row.command, nil)
			r.wantExecuted(row.done)
			if res.Outcome == model.Verified || res.Evidence != "" {
				r.Errorf("%s: verified by a state that flaps: %+v", row.command, res)
			}
			text := res.Note
			if err != nil {
				text = err.Error()
			}
			if model.KindOf(err) != row.kind && (err != nil || row.kind != "") || !strings.Contains(text, row.says) {
				r.Errorf("%s: %+v, %v", row.command, res, err)
			}
		})
	}
}

// TestOneStrayReading: a single wrong reading neither proves nor stops anything.
func TestOneStrayReading(t *testing.T) {
	for _, row := range []struct {
		command string
		stray   int // which reading is the opposite of the truth
		done    map[string]int
	}{
		{model.PowerOff, 1, map[string]int{model.PowerOff: 1}},
		{model.PowerReset, 1, map[string]int{model.PowerReset: 1}},
		{model.PowerCycle, 1, map[string]int{model.PowerCycle: 1}},
		{model.PowerOff, 2, map[string]int{model.PowerOff: 1}},
	} {
		n := 0
		open := telling(func(real driver.Reading) driver.Reading {
			if n++; n == row.stray {
				real.State = model.StateOff
			}
			return real
		})
		withQuirk(t, open, func(r *rig) {
			r.device.PowerDelay = 3 * time.Second
			res, err := r.run(row.command, nil)
			if err != nil {
				r.Errorf("%s: %v", row.command, err)
			}
			if row.stray == 1 && row.command == model.PowerOff && res.Changed != nil {
				r.Errorf("%s: what it was before is not known: %+v", row.command, res)
			}
			if strings.Contains(res.Evidence, "0.0s") || strings.Contains(res.Evidence, "0.1s") {
				r.Errorf("%s: a reading that was wrong is evidence: %+v", row.command, res)
			}
			r.wantExecuted(row.done)
		})
	}
}

// TestAStateThatIsBehind: a device that shows for a minute what was is waited
// for, by default, and believed when it has come round.
func TestAStateThatIsBehind(t *testing.T) {
	for command, want := range map[string]string{
		model.PowerOff:   "state off at 60.",
		model.PowerCycle: "state off at 60.",
		model.PowerSoft:  "state off at 60.",
	} {
		var begin time.Time
		var history []struct {
			at    time.Time
			state driver.Reading
		}
		open := telling(func(real driver.Reading) driver.Reading {
			const behind = time.Minute
			now := time.Now()
			history = append(history, struct {
				at    time.Time
				state driver.Reading
			}{now, real})
			old := history[0].state
			for _, h := range history {
				if now.Sub(h.at) >= behind {
					old = h.state
				}
			}
			return old
		})
		withQuirk(t, open, func(r *rig) {
			begin = time.Now()
			r.device.CycleOff = 3 * time.Second
			res, err := r.run(command, nil)
			if err != nil || res.Outcome != model.Verified || !strings.HasPrefix(res.Evidence, want) {
				r.Errorf("%s: %+v, %v after %v", command, res, err, time.Since(begin))
			}
			r.wantExecuted(map[string]int{command: 1})
		})
	}
}

// contrary refuses orders in the state the machine is in, and tells that state
// late.
type contrary struct {
	told
	device *toy.Device
}

func (c contrary) SetPower(ctx context.Context, on bool) error {
	if c.device.Power() == on {
		return model.Errorf(model.Conflict, "not in the present state")
	}
	return c.NativeSession.SetPower(ctx, on)
}

// TestRefusedInThePresentState: the state is read again before it is said what
// the refusal means.
func TestRefusedInThePresentState(t *testing.T) {
	var r *rig
	n := 0
	open := func(_ int, s *toy.NativeSession) (driver.Session, error) {
		return contrary{told{s, func(real driver.Reading) driver.Reading {
			if n++; n < 5 { // still what it was before
				real.State = map[model.PowerState]model.PowerState{model.StateOn: model.StateOff, model.StateOff: model.StateOn}[real.State]
			}
			return real
		}}, r.device}, nil
	}
	withQuirk(t, open, func(made *rig) {
		r = made
		r.device.SetPower(false)
		res, err := r.run(model.PowerOff, nil)
		if err != nil || res.Outcome != model.Verified || !strings.Contains(res.Note, `the device refused "power off", and is off`) || res.Changed != nil {
			r.Errorf("%+v, %v", res, err)
		}
		r.wantExecuted(nil)
	})
	withQuirk(t, func(_ int, s *toy.NativeSession) (driver.Session, error) { return s, nil }, func(r *rig) {
		r.device.SetFault(toy.Refuse, model.PowerOff)
		res, err := r.run(model.PowerOff, nil)
		wantErr(r.T, err, model.Conflict, `cannot poweroff m1: power off: the device answers "refused"; last state on ("power is on")`)
		if res.Outcome == model.Verified {
			r.Errorf("a refusal is success: %+v", res)
		}
	})
}

// brisk goes off by itself just before a reset arrives.
type brisk struct {
	*toy.NativeSession
	device *toy.Device
}

func (b brisk) PowerReset(ctx context.Context) error {
	b.device.SetPower(false)
	return b.NativeSession.PowerReset(ctx)
}

func TestResetOfAMachineThatJustWentOff(t *testing.T) {
	var r *rig
	withQuirk(t, func(_ int, s *toy.NativeSession) (driver.Session, error) { return brisk{s, r.device}, nil }, func(made *rig) {
		r = made
		_, err := r.run(model.PowerReset, nil)
		wantErr(r.T, err, model.Conflict, `cannot powerreset m1: reset: the device answers "refused"; the machine is off; switch it on instead`)
		r.wantExecuted(nil)
	})
}

// witness is a session that tells signs of a restart.
type witness struct {
	*toy.NativeSession
	signs func() ([]driver.Sign, error)
}

func (w witness) RestartSigns(context.Context, ...string) ([]driver.Sign, error) { return w.signs() }

// sign is a sign that reads was, and after so many readings is.
func sign(name, was, is, proof string, after int) func() ([]driver.Sign, error) {
	n := 0
	return func() ([]driver.Sign, error) {
		value := was
		if n++; n > after {
			value = is
		}
		return []driver.Sign{{Name: name, Value: value, Proof: proof, Within: 5 * time.Second}}, nil
	}
}

// lastMoment is a sign that changes when its time is about to be over, so that
// the reading that confirms it comes later.
func lastMoment(took string) func() ([]driver.Sign, error) {
	var begin time.Time
	return func() ([]driver.Sign, error) {
		if begin.IsZero() {
			begin = time.Now()
		}
		value := "unknown"
		if time.Since(begin) > 4550*time.Millisecond {
			value = took
		}
		return []driver.Sign{{Name: "cause", Value: value, Proof: took, Within: 5 * time.Second}}, nil
	}
}

// TestSignsOfARestart: a reset is verified by a sign that took the value of a
// restart by command, and by no other.
func TestSignsOfARestart(t *testing.T) {
	const took = "took"
	for _, row := range []struct {
		name     string
		signs    func() ([]driver.Sign, error)
		fault    string
		outcome  model.Outcome
		evidence string
		note     string
	}{
		{"changed", sign("cause", "unknown", took, took, 2), "", model.Verified, "cause unknown, then took at 0.1s", ""},
		{"changed late", sign("cause", "unknown", took, took, 9), "", model.Verified, "cause unknown, then took at 2.", ""},
		{"changed in the last reading in time", lastMoment(took), "", model.Verified, "cause unknown, then took at 5.", ""},
		{"never changed", sign("cause", "unknown", "unknown", took, 1), "", model.Acknowledged, "", "the device confirmed the reset, but cause still reads unknown"},
		{"was so before", sign("cause", took, took, took, 1), "", model.Acknowledged, "", ""},
		{"changed otherwise", sign("cause", "unknown", "watchdog", took, 2), "", model.Acknowledged, "", "still reads unknown"},
		{"proves nothing", sign("cause", "unknown", "", "", 1), "", model.Acknowledged, "", ""},
		{"cannot be read", func() ([]driver.Sign, error) { return nil, model.Errorf(model.Unsupported, "no") }, "", model.Acknowledged, "", ""},
		{"reply lost", sign("cause", "unknown", took, took, 2), toy.LoseReply, model.Verified, "cause unknown, then took at 10.", "the reply to \"reset\" was lost"},
		{"reply lost, no sign", sign("cause", "unknown", "unknown", took, 1), toy.LoseReply, "", "", ""},
		{"request lost", sign("cause", "unknown", "unknown", took, 1), toy.LoseRequest, "", "", ""},
		{"request lost, and the first reading was wrong", sign("cause", "unknown", took, took, 1), toy.LoseRequest, "", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			open := func(_ int, s *toy.NativeSession) (driver.Session, error) { return witness{s, row.signs}, nil }
			withQuirk(t, open, func(r *rig) {
				r.device.SetFault(row.fault, model.PowerReset)
				res, err := r.run(model.PowerReset, nil)
				if row.outcome == "" {
					if model.KindOf(err) != model.UnknownOutcome {
						t.Errorf("want unknown-outcome: %+v, %v", res, err)
					}
				} else if err != nil || res.Outcome != row.outcome || !strings.HasPrefix(res.Evidence, row.evidence) || !strings.Contains(res.Note, row.note) {
					t.Errorf("%+v, %v", res, err)
				}
				done := map[string]int{model.PowerReset: 1}
				if row.fault == toy.LoseRequest {
					done = nil
				}
				r.wantExecuted(done)
			})
		})
	}
}

// TestAnInterruptIsNeverVerified: nothing that is read proves one, also not
// what proves a reset.
func TestAnInterruptIsNeverVerified(t *testing.T) {
	open := func(_ int, s *toy.NativeSession) (driver.Session, error) {
		return witness{s, sign("cause", "unknown", "took", "took", 0)}, nil
	}
	withQuirk(t, open, func(r *rig) {
		res, err := r.run(model.PowerNMI, nil)
		if err != nil || res.Outcome != model.Acknowledged || res.Evidence != "" {
			r.Errorf("%+v, %v", res, err)
		}
	})
}

// TestASignThatFlapsProvesNothing: one that shows the proof in every other
// reading only, from the first on or from the reset on.
func TestASignThatFlapsProvesNothing(t *testing.T) {
	flapsFrom(t, 0)
	flapsFrom(t, 3)
}

// flapsFrom resets a machine whose sign flaps from a reading on.
func flapsFrom(t *testing.T, from int) {
	n := 0
	open := func(_ int, s *toy.NativeSession) (driver.Session, error) {
		return witness{s, func() ([]driver.Sign, error) {
			n++
			value := "unknown"
			if n >= from && n%2 == 0 {
				value = "took"
			}
			return []driver.Sign{{Name: "cause", Value: value, Proof: "took", Within: 5 * time.Second}}, nil
		}}, nil
	}
	withQuirk(t, open, func(r *rig) {
		res, err := r.run(model.PowerReset, nil)
		if err != nil || res.Outcome != model.Acknowledged {
			r.Errorf("%+v, %v", res, err)
		}
	})
}

// shifting is a session whose boot override is told by a function.
type shifting struct {
	*toy.NativeSession
	tell func(real model.BootOverride) model.BootOverride
}

func (s shifting) Boot(ctx context.Context) (model.BootOverride, error) {
	b, err := s.NativeSession.Boot(ctx)
	return s.tell(b), err
}

// TestBootReadBackHolds: an override that is told once, or in every other
// reading, is none; also where the time is over after the first reading.
func TestBootReadBackHolds(t *testing.T) {
	read := 0
	for name, tell := range map[string]func(model.BootOverride) model.BootOverride{
		"told once": func(b model.BootOverride) model.BootOverride { b.Valid = read == 1; return b },
		"flapping":  func(b model.BootOverride) model.BootOverride { b.Valid = read%2 == 1; return b },
	} {
		open := func(_ int, s *toy.NativeSession) (driver.Session, error) {
			return shifting{s, func(b model.BootOverride) model.BootOverride { read++; return tell(b) }}, nil
		}
		read = 0
		withQuirk(t, open, func(r *rig) {
			res, err := r.run(model.NextBootPXE, nil)
			wantErr(r.T, err, model.Timeout, "cannot nextbootpxe m1: the override pxe, next boot only was taken, but reads back as pxe, next boot only, not valid (\"pxe once\")")
			if res.Outcome == model.Verified {
				r.Errorf("%s: %+v", name, res)
			}
		})
	}
	open := func(_ int, s *toy.NativeSession) (driver.Session, error) {
		return shifting{s, func(b model.BootOverride) model.BootOverride {
			<-time.After(60 * time.Millisecond)
			return b
		}}, nil
	}
	withQuirk(t, open, func(r *rig) {
		_, err := r.run(model.NextBootPXE, model.Params{"oob/timeout": 0.1})
		wantErr(r.T, err, model.Timeout, `cannot nextbootpxe m1: the override pxe, next boot only was taken, but reads back as pxe, next boot only ("pxe once"), once only`)
		if res, err := r.run(model.NextBootPXE, model.Params{"oob/timeout": 0.2}); err != nil || res.Outcome != model.Verified {
			r.Errorf("the second reading did not come in time: %+v, %v", res, err)
		}
	})
}

// TestOffInTheLastMoment: a machine that shuts down just when its time to do so
// is over was shut down, and not off already.
func TestOffInTheLastMoment(t *testing.T) {
	for _, force := range []float64{0.7, 1.04, 1.06, 1.08, 1.54, 1.58} { // with and without time for a second reading
		bubble(t, toy.Native, func(r *rig) {
			r.device.PowerDelay = time.Duration(force*1000-60) * time.Millisecond
			res, err := r.run(model.PowerSoft, model.Params{"oob/force-after": force})
			if err != nil || res.Outcome != model.Verified || res.Changed == nil || !*res.Changed || strings.Contains(res.Note, "already") {
				r.Errorf("%v s: %+v, %v", force, res, err)
			}
			if n := r.device.Executed(model.PowerSoft); n != 1 {
				r.Errorf("%v s: asked %d times", force, n)
			}
		})
	}
}

// fitted sets boot overrides for a firmware.
type fitted struct {
	booter
	uefi, told bool
}

func (f fitted) BootUEFI() (uefi, told bool) { return f.uefi, f.told }

// TestBootFirmware: an override for the other kind of firmware is a failure if
// the kind was asked for, and a remark if not.
func TestBootFirmware(t *testing.T) {
	for _, row := range []struct {
		uefi, told, got bool
		text            string // of the error
		note            string
	}{
		{true, true, true, "", ""},
		{true, true, false, "cannot nextbootpxe m1: the override pxe, next boot only, for UEFI was taken, but reads back as pxe, next boot only", ""},
		{false, true, true, "cannot nextbootpxe m1: the override pxe, next boot only was taken, but reads back as pxe, next boot only, for UEFI", ""},
		{false, false, true, "", "it was set as legacy and reads UEFI; set detected-bios-mode to say which is right"},
		{false, false, false, "", ""},
	} {
		open := func(_ int, s *toy.NativeSession) (driver.Session, error) {
			return fitted{booter{s, model.BootOverride{Device: model.BootPXE, Valid: true, UEFI: row.got}, nil}, row.uefi, row.told}, nil
		}
		withQuirk(t, open, func(r *rig) {
			res, err := r.run(model.NextBootPXE, nil)
			if row.text != "" {
				wantErr(r.T, err, model.Timeout, row.text)
				return
			}
			if err != nil || res.Outcome != model.Verified || res.Note != row.note {
				r.Errorf("%+v: %+v, %v", row, res, err)
			}
		})
	}
}

// lamp is a session that tells the locator.
type lamp struct {
	*toy.NativeSession
	lit func() (bool, error)
}

func (l lamp) Locator(context.Context) (bool, error) { return l.lit() }

func TestLocatorReadBack(t *testing.T) {
	n, flips := 0, 0
	for _, row := range []struct {
		name     string
		seconds  int
		lit      func() (bool, error)
		outcome  model.Outcome
		evidence string
		note     string
	}{
		{"on", 30, func() (bool, error) { return true, nil }, model.Verified, "locator reads on", "locator lit for 30s"},
		{"off", 0, func() (bool, error) { return false, nil }, model.Verified, "locator reads off", "locator off"},
		{"flapping", 30, func() (bool, error) { flips++; return flips%2 == 1, nil }, model.Acknowledged, "", "locator lit for 30s"},
		{"late", 30, func() (bool, error) { n++; return n > 3, nil }, model.Verified, "locator reads on", "locator lit for 30s"},
		{"contrary", 30, func() (bool, error) { return false, nil }, model.Acknowledged, "", "the device confirmed it, and tells that the locator is off"},
		{"untold", 30, func() (bool, error) { return false, model.Errorf(model.Unsupported, "no") }, model.Acknowledged, "", "locator lit for 30s"},
		{"gone", 30, func() (bool, error) { return false, model.Errorf(model.Unreachable, "no") }, model.Acknowledged, "", "locator lit for 30s"},
	} {
		t.Run(row.name, func(t *testing.T) {
			open := func(_ int, s *toy.NativeSession) (driver.Session, error) { return lamp{s, row.lit}, nil }
			withQuirk(t, open, func(r *rig) {
				res, err := r.run(model.Identify, model.Params{"toy/identify-duration": row.seconds})
				if err != nil || res.Outcome != row.outcome || res.Evidence != row.evidence || !strings.Contains(res.Note, row.note) {
					t.Errorf("%+v, %v", res, err)
				}
				r.wantExecuted(map[string]int{model.Identify: 1})
			})
		})
	}
}
