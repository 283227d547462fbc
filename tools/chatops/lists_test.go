package chatops

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"provision-plugins/slack/chat"
)

// told waits for the next answer that a user alone sees.
func (w *world) told(user string, do func()) string {
	w.t.Helper()
	before := len(w.sim.Ephemerals(user))
	do()
	w.until("an answer to "+user, func() bool { return len(w.sim.Ephemerals(user)) > before })
	return w.sim.Ephemerals(user)[before].Text
}

// The buttons of an incident do what could be typed, for who could type it.
func TestButtonsOfIncidents(t *testing.T) {
	w := newWorld(t)
	uuid, other := w.machine("ra1"), w.machine("xa1")
	for _, c := range []struct {
		user, action, value, said string
	}{
		{"U1", chat.ActionAck, "machine:" + uuid, "1 acknowledged"},
		{"U1", chat.ActionAck, "machine:" + other, "not among the machines that you may ack: xa1"},
		{"U1", chat.ActionAck, "machine:nosuch", "not there any more"},
		{"U1", chat.ActionAck, "plugin:ipmi", "1 acknowledged"},
		{"U1", chat.ActionSilence1, "plugin:ipmi", "you may not do that"},
		{"U9", chat.ActionAck, "machine:" + uuid, "you may not do that here"},
		{"U4", chat.ActionAck, "machine:" + uuid, "you may not ack here"},
		{"U4", chat.ActionAck, "plugin:ipmi", "you may not do that"},
		{"U1", chat.ActionSilence8, "machine:" + uuid, "`ra1` silenced until"},
		{"U4", chat.ActionSilence1, "machine:" + uuid, "you may not silence here"},
		{"U4", chat.ActionCycle, "machine:" + uuid, "you may not power cycle here"},
	} {
		m := w.withButton("C1", c.action, c.value)
		if got := w.told(c.user, func() { w.click(c.user, m, c.action, "") }); !strings.Contains(got, c.said) {
			t.Errorf("%s clicks %s of %s: %q, want %q", c.user, c.action, c.value, got, c.said)
		}
	}
	if got := w.desk.acks; !slices.Equal(got, []string{"machine:" + uuid + " U1", "plugin:ipmi U1"}) {
		t.Errorf("acknowledged: %q", got)
	}
	if got := w.desk.Silences(); len(got) != 1 || got[0].By != "U1" || got[0].Machines[0] != "ra1" {
		t.Errorf("silences: %+v", got)
	}
	w.click("U1", w.withButton("C1", chat.ActionCycle, "machine:"+uuid), chat.ActionCycle, "")
	w.click("U1", w.question("ra1"), "oob_confirm", "")
	w.until("it is cycled", func() bool { return slices.Contains(w.executed(), "powercycle ra1") })
}

// What people are told of machines, runs and silences is theirs to know.
func TestListsAreOfWhatOneMay(t *testing.T) {
	w := newWorld(t)
	w.machine("ra1")
	w.machine("xa1")
	w.slash("U1", "C1", "power on ra1 because dark")
	w.slash("U7", "C1", "power on xa1")
	w.until("both are on", func() bool { return len(w.executed()) == 2 })
	w.until("both are done", func() bool {
		n := 0
		for _, line := range w.audited() {
			if strings.HasPrefix(line, "done") {
				n++
			}
		}
		return n == 2
	})
	for _, c := range []struct{ user, text, says, not string }{
		{"U1", "list", "`ra1`", "xa1"},
		{"U4", "list", "`ra1,xa1`", ""},
		{"U5", "list", "no machines that you may", "ra1"},
		{"U1", "list xa1", "not among the machines", ""},
		{"U1", "runs", "`ra1` poweron: *done*, by slack:U1 _(dark)_", "xa1"},
		{"U4", "runs xa1", "`xa1` poweron", "ra1"},
		{"U5", "runs", "Nothing was done yet", "ra1"},
		{"U1", "who", "*ops*: operator, on some machines", "root"},
		{"U7", "who", "*root*: admin", "ops"},
		{"U4", "help", "`power status MACHINES`", "power off"},
		{"U1", "help", "`power off MACHINES`", "power nmi"},
		{"U7", "help", "`power nmi MACHINES`", "frob"},
		{"U1", "silence 2h ra1 because loud", "silenced until", ""},
		{"U1", "silence list", "`s1` ra1 until", ""},
		{"U7", "silence list", "by U1 _(loud)_", ""},
		{"U5", "silence list", "There are no silences", "ra1"},
		{"U5", "silence end s1", "no silence \"s1\" that you may end", ""},
		{"U1", "silence end s1", "silence `s1` ended", ""},
		{"U4", "silence 1h ra1", "you may not silence here", ""},
		{"U1", "ack ra1", "1 acknowledged", ""},
		{"U1", "frobnicate", "no command", ""},
		{"U9", "list", "you may not do that here; your id is U9", "ra1"},
	} {
		got := w.told(c.user, func() { w.slash(c.user, "C1", c.text) })
		if !strings.Contains(got, c.says) || c.not != "" && strings.Contains(got, c.not) {
			t.Errorf("%s: %s: %q, want %q and not %q", c.user, c.text, got, c.says, c.not)
		}
	}
}

// One person cannot keep all others from being heard.
func TestAFloodOfCommands(t *testing.T) {
	w := newWorld(t)
	busy := false
	for range 40 {
		if r := w.slash("U4", "C1", "who"); r.Message != nil && strings.Contains(r.Message.Text, "too much at once") {
			busy = true
		}
	}
	if !busy {
		t.Error("everything was taken")
	}
	if got := w.told("U7", func() { w.slash("U7", "C1", "who") }); !strings.Contains(got, "root") {
		t.Errorf("another is told %q", got)
	}
}

// What was being done when the plugin was killed is told to be cut short, and not
// begun again.
func TestAKillInTheMiddle(t *testing.T) {
	w := newWorld(t)
	uuid := w.machine("ra1")
	m := w.withButton("C1", confirm, "x")
	w.close()
	now := w.clock.now().UTC()
	raw, err := json.Marshal(map[string]any{
		"ID": "cut1", "State": "taken", "Command": map[string]any{"Name": "power cycle", "Action": "powercycle", "Machines": []string{"ra1"}},
		"Machines": []any{map[string]string{"Uuid": uuid, "Name": "ra1"}}, "User": "U1", "Team": "T1", "Channel": "C1", "TS": m.TS,
		"Asked": now, "Expires": now.Add(time.Minute), "By": "U1",
	})
	w.must(err)
	w.must(os.WriteFile(filepath.Join(w.dir, "state", "requests", "cut1.json"), raw, 0o600))
	w.open()
	w.until("it is told", func() bool { return strings.Contains(w.sim.Text("C1"), "cut short") })
	w.until("it is written down", func() bool { return slices.Contains(w.audited(), "interrupted U1") })
	w.again()
	if got := w.audited(); len(got) != 1 || len(w.executed()) != 0 {
		t.Errorf("written down %q, executed %q", got, w.executed())
	}
}
