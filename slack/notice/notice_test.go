package notice

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// run is the event of a run.
func run(action string, r model.Run) *model.Event {
	r.ID = "r1"
	r.Created = time.Unix(1000, 0)
	if r.State.Terminal() {
		r.Ended = r.Created.Add(1400 * time.Millisecond)
	}
	return &model.Event{Type: "runs", Action: action, Key: r.ID, Object: r}
}

// raw is JSON of a value.
func raw(v any) json.RawMessage {
	out, _ := model.Marshal(v)
	return out
}

func TestTell(t *testing.T) {
	no := false
	change := func(was, now model.PowerState) *model.Event {
		return &model.Event{Type: "machines", Action: "power", Key: "u1", Object: model.PowerChange{Name: "m1", Uuid: "u1", Was: was, Power: now}}
	}
	for name, c := range map[string]struct {
		event    *model.Event
		line     string
		severity Severity
		incident string
		resolved bool
	}{
		"done": {
			run("update", model.Run{Key: "u1", Prefix: "machines", Name: "m1", Command: "powercycle", State: model.RunDone, Principal: "admin", Reason: "stuck",
				Result: raw(model.Result{Power: model.StateOn, Outcome: model.Verified, Evidence: "off at 0.3s, on at 1.1s", Note: "late"})}),
			":white_check_mark: m1 powercycle: verified; off at 0.3s, on at 1.1s; late (admin, stuck, 1.4s)", Info, "machine:u1", true,
		},
		"done, unchanged": {
			run("update", model.Run{Key: "u1", Name: "m1", Command: "poweron", State: model.RunDone, Result: raw(model.Result{Outcome: model.Verified, Changed: &no})}),
			":white_check_mark: m1 poweron: verified; nothing to change (1.4s)", Info, "machine:u1", true,
		},
		"done, of a driver": {
			run("update", model.Run{Key: "u1", Name: "m1", Command: "createVm", State: model.RunDone, Result: raw(map[string]string{"id": "x"})}),
			":white_check_mark: m1 createVm: done (1.4s)", Info, "machine:u1", true,
		},
		"unknown": {
			run("update", model.Run{Key: "u1", Name: "m1", Command: "powercycle", State: model.RunUnknown, Error: model.Errorf(model.UnknownOutcome, "no reply")}),
			":warning: m1 powercycle: outcome unknown, look before you act: unknown-outcome: no reply (1.4s)", Critical, "machine:u1", false,
		},
		"failed": {
			run("update", model.Run{Key: "u1", Name: "m1", Command: "poweron", State: model.RunFailed, Error: model.Errorf(model.Unreachable, "no\nroute")}),
			":x: m1 poweron failed: unreachable: no route (1.4s)", Error, "machine:u1", false,
		},
		"refused": {
			run("update", model.Run{Key: "u1", Name: "m1", Command: "poweron", State: model.RunFailed, Error: model.Errorf(model.Conflict, "protected")}),
			":x: m1 poweron failed: conflict: protected (1.4s)", Warning, "machine:u1", false,
		},
		"failed without a cause": {
			run("create", model.Run{Key: "u1", Name: "m1", Command: "poweron", State: model.RunFailed}),
			":x: m1 poweron failed: no cause given (1.4s)", Error, "machine:u1", false,
		},
		"of a plugin": {
			run("update", model.Run{Key: "slack", Prefix: "plugins", Name: "slack", Command: "retryDead", State: model.RunDone}),
			":white_check_mark: slack retryDead: done (1.4s)", Info, "", true,
		},
		"started":      {run("create", model.Run{Key: "u1", Name: "m1", Command: "poweron", State: model.RunSent}), ":hourglass_flowing_sand: m1 poweron", Info, "", false},
		"sent":         {event: run("update", model.Run{Key: "u1", Name: "m1", Command: "poweron", State: model.RunSent})},
		"no run":       {event: &model.Event{Type: "runs", Action: "update", Object: []int{1}}},
		"off":          {change(model.StateOn, model.StateOff), ":electric_plug: m1 is now off (was on)", Warning, "machine:u1", false},
		"on":           {change(model.StateOff, model.StateOn), ":electric_plug: m1 is now on (was off)", Info, "machine:u1", true},
		"first seen":   {change("", model.StateOff), ":electric_plug: m1 is off", Info, "machine:u1", false},
		"no change":    {event: change(model.StateOn, "")},
		"added":        {&model.Event{Type: "machines", Action: "create", Object: model.NewMachine("m1"), Principal: "ada"}, ":card_index: m1 was added (ada)", Info, "", false},
		"removed":      {&model.Event{Type: "machines", Action: "delete", Object: map[string]any{"Name": "m1"}}, ":card_index: m1 was removed", Info, "", false},
		"nobody":       {event: &model.Event{Type: "machines", Action: "delete", Object: 5}},
		"saved":        {event: &model.Event{Type: "machines", Action: "save", Object: model.NewMachine("m1")}},
		"plugin fault": {&model.Event{Type: "plugins", Action: "fault", Key: "ipmi", Object: map[string]string{"Error": "crashed"}}, ":rotating_light: plugin ipmi: crashed", Error, "plugin:ipmi", false},
		"fault, bare":  {&model.Event{Type: "plugins", Action: "fault", Key: "ipmi", Object: "crashed"}, ":rotating_light: plugin ipmi: crashed", Error, "plugin:ipmi", false},
		"fault, odd":   {&model.Event{Type: "plugins", Action: "fault", Key: "ipmi", Object: 5}, ":rotating_light: plugin ipmi: see oob plugin show ipmi", Error, "plugin:ipmi", false},
		"recovered":    {&model.Event{Type: "plugins", Action: "recovered", Key: "ipmi"}, ":white_check_mark: plugin ipmi works again", Info, "plugin:ipmi", true},
		"missed":       {&model.Event{Type: "events", Action: "missed", Key: "12"}, ":warning: 12 events were missed: they came faster than they were taken", Warning, "", false},
		"plugin saved": {event: &model.Event{Type: "plugins", Action: "save", Key: "ipmi"}},
		"asked":        {&model.Event{Type: "machines", Action: "poweron", Key: "u1", Principal: "user:x", Object: map[string]any{"Name": "m1"}}, ":arrow_right: m1 poweron (user:x)", Info, "", false},
		"asked, bare":  {&model.Event{Type: "machines", Action: "poweron", Key: "u1", Object: map[string]any{}}, ":arrow_right: u1 poweron", Info, "", false},
		"read":         {event: &model.Event{Type: "machines", Action: "powerstatus", Key: "u1", Object: map[string]any{"Name": "m1"}}},
		"another kind": {event: &model.Event{Type: "profiles", Action: "create", Key: "p"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := NewTeller(nil).Tell(c.event)
			if n == nil || c.line == "" {
				if n != nil || c.line != "" {
					t.Errorf("told %+v, want %q", n, c.line)
				}
				return
			}
			if n.Line() != c.line || n.Severity != c.severity || n.Incident != c.incident || n.Resolved != c.resolved || n.Type != c.event.Type {
				t.Errorf("told %q\n%+v\nwant %q", n.Line(), n, c.line)
			}
		})
	}
}

// What a run told is not told again by what the machine was seen to do, and once
// runs are told the bare actions are not.
func TestToldOnce(t *testing.T) {
	teller := NewTeller(nil)
	on := &model.Event{Type: "machines", Action: "power", Object: model.PowerChange{Name: "m1", Uuid: "u1", Was: model.StateOff, Power: model.StateOn}}
	asked := &model.Event{Type: "machines", Action: "poweron", Key: "u1", Object: map[string]any{"Name": "m1"}}
	if teller.Tell(asked) == nil {
		t.Error("without runs an action is told")
	}
	done := run("update", model.Run{Key: "u1", Name: "m1", Command: "poweron", State: model.RunDone, Result: raw(model.Result{Power: model.StateOn, Outcome: model.Verified})})
	if teller.Tell(done) == nil || teller.Tell(on) != nil || teller.Tell(asked) != nil {
		t.Error("told twice")
	}
	off := &model.Event{Type: "machines", Action: "power", Object: model.PowerChange{Name: "m1", Uuid: "u1", Was: model.StateOn, Power: model.StateOff}}
	if teller.Tell(off) == nil || teller.Tell(off) != nil || teller.Tell(on) == nil {
		t.Error("changes are told once each")
	}
	for range maxTold + 1 {
		teller.remember(strings.Repeat("x", len(teller.told)%7)+time.Now().String(), model.StateOn)
	}
	if len(teller.told) > maxTold {
		t.Errorf("%d states are remembered", len(teller.told))
	}
}

// powered is what is told of a machine that is seen to be in a state.
func powered(teller *Teller, now model.PowerState) *Notice {
	was := map[model.PowerState]model.PowerState{model.StateOn: model.StateOff, model.StateOff: model.StateOn}[now]
	return teller.Tell(&model.Event{Type: "machines", Action: "power", Object: model.PowerChange{Name: "m1", Uuid: "u1", Was: was, Power: now}})
}

// A machine that is off because somebody asked for it is in no trouble, until it is
// on again.
func TestOffAsAsked(t *testing.T) {
	for _, command := range offCommands {
		teller := NewTeller(nil)
		r := model.Run{Key: "u1", Name: "m1", Command: command, State: model.RunSent, Principal: "ada"}
		teller.Tell(run("create", r))
		if n := powered(teller, model.StateOff); n != nil {
			t.Errorf("%s is under way: %+v", command, n)
		}
		teller.told = map[string]model.PowerState{}
		r.State, r.Result = model.RunDone, raw(model.Result{Outcome: model.Accepted})
		teller.Tell(run("update", r))
		if n := powered(teller, model.StateOff); n == nil || n.Severity != Info || n.Line() != ":electric_plug: m1 is now off, as was asked for (ada)" {
			t.Errorf("after %s: %+v", command, n)
		}
		if n := powered(teller, model.StateOn); n == nil || n.Severity != Info {
			t.Errorf("on: %+v", n)
		}
		if n := powered(teller, model.StateOff); n == nil || n.Severity != Warning {
			t.Errorf("off by itself: %+v", n)
		}
	}
}

// What was refused switches nothing off; what failed on its way may have.
func TestOffThoughRefused(t *testing.T) {
	for kind, want := range map[model.Kind]Severity{model.Conflict: Warning, model.Timeout: Info, model.UnknownOutcome: Info} {
		teller := NewTeller(nil)
		teller.Tell(run("update", model.Run{Key: "u1", Name: "m1", Command: "powersoft", State: model.RunFailed, Error: model.Errorf(kind, "no")}))
		if n := powered(teller, model.StateOff); n == nil || n.Severity != want {
			t.Errorf("%s: %+v, want %v", kind, n, want)
		}
	}
	teller := NewTeller(nil)
	teller.Tell(&model.Event{Type: "machines", Action: "poweroff", Key: "u1", Principal: "bea", Object: map[string]any{"Name": "m1", "Uuid": "u1"}})
	if n := powered(teller, model.StateOff); n == nil || n.Severity != Info || n.Principal != "bea" {
		t.Errorf("where no runs are told: %+v", n)
	}
	for range maxTold + 1 {
		teller.ask(&model.Run{Key: time.Now().String() + strings.Repeat("x", len(teller.asked)%7), Command: "poweroff"})
	}
	if len(teller.asked) > maxTold {
		t.Errorf("%d are remembered", len(teller.asked))
	}
}

// Secrets are masked before texts are cut: half a secret is one.
func TestRedactedBeforeCut(t *testing.T) {
	teller := NewTeller(func(text string) string { return strings.ReplaceAll(text, "SECRET", "***") })
	for shift := range 60 {
		n := teller.Tell(run("update", model.Run{
			Key: "u1", Name: "m1", Command: "poweron", State: model.RunFailed, Principal: "SECRET ada", Reason: "SECRET",
			Log:   "SECRET" + strings.Repeat("x", maxDetail-shift%10),
			Error: model.Errorf(model.Internal, "%sSECRET and more of it", strings.Repeat("y", maxTitle-60+shift)),
		}))
		for _, text := range []string{n.Title, n.Detail, n.Principal, n.Reason} {
			for _, part := range []string{"SE", "ET"} {
				if strings.Contains(text, part) {
					t.Fatalf("%s in %.600q of %d", part, text, len(text))
				}
			}
		}
	}
	long := teller.Tell(run("update", model.Run{Name: "m1", Command: "poweron", State: model.RunFailed, Log: strings.Repeat("a line\n", maxDetail)}))
	if !strings.HasPrefix(long.Detail, "…\na line\n") || len([]rune(long.Detail)) > maxDetail {
		t.Errorf("%d characters: %.20q", len([]rune(long.Detail)), long.Detail)
	}
}

// Names of any length make keys that Slack takes for ids of blocks.
func TestKeys(t *testing.T) {
	long := strings.Repeat("ü", 10_000)
	n := NewTeller(nil).Tell(run("update", model.Run{Key: long, Name: long, Command: long, State: model.RunFailed, Principal: long, Reason: long}))
	other := NewTeller(nil).Tell(run("update", model.Run{Key: long + "x", Name: "m1", Command: "poweron", State: model.RunFailed}))
	if len(n.Incident) > maxKey || n.Incident == other.Incident || !strings.HasPrefix(n.Incident, "machine:") {
		t.Errorf("keys %q, %q", n.Incident, other.Incident)
	}
	for _, word := range []string{n.Machine, n.Uuid, n.Command, n.Principal, n.Reason} {
		if len([]rune(word)) > maxWord {
			t.Errorf("a name of %d characters", len([]rune(word)))
		}
	}
}

func TestSeverities(t *testing.T) {
	for s := Info; s <= Critical; s++ {
		if got, err := ParseSeverity(s.String()); got != s || err != nil {
			t.Errorf("%v: %v, %v", s, got, err)
		}
	}
	if _, err := ParseSeverity("bad"); err == nil || Severity(9).String() != "severity(9)" {
		t.Errorf("got %v, %s", err, Severity(9))
	}
}

func FuzzTell(f *testing.F) {
	f.Add("runs", "update", `{"ID":"1","Name":"m","Command":"poweron","State":"done","Result":{"outcome":"verified"}}`)
	f.Add("machines", "power", `{"Name":"m","Uuid":"u","Power":"on"}`)
	f.Add("machines", "poweron", `[1]`)
	f.Add("plugins", "fault", `"x"`)
	f.Fuzz(func(t *testing.T, kind, action, object string) {
		var v any
		if json.Unmarshal([]byte(object), &v) != nil {
			v = object
		}
		n := NewTeller(nil).Tell(&model.Event{Type: kind, Action: action, Object: v})
		if n == nil {
			return
		}
		if line := n.Line(); strings.ContainsAny(line, "\n\r") || len([]rune(line)) > maxTitle || len([]rune(n.Detail)) > maxDetail {
			t.Errorf("told %q", line)
		}
	})
}
