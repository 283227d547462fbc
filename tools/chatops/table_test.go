package chatops

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	simslack "provision-plugins/sim/slack"
)

// row is something that people do, what of it is executed, and what is written
// down of it: action and person, sorted.
type row struct {
	name     string
	machines []string
	do       func(w *world, uuids []string)
	executed []string
	audited  []string
}

const (
	confirm = "oob_confirm"
	cancel  = "oob_cancel"
)

// rows are the authorisation table. Ops (U1, U2) are operators on r*, U4 looks, U5
// and U6 need each other for prod*, U7 is admin, U9 is nobody.
func rows() []row {
	return slices.Concat(asking(), clicking(), changing(), secondPerson())
}

// asking are the rows of who may ask for what, and where.
func asking() []row {
	once := func(user, channel, text string) func(*world, []string) {
		return func(w *world, _ []string) { w.slash(user, channel, text) }
	}
	return []row{
		{"an operator switches on", []string{"ra1"}, once("U1", "C1", "power on ra1"), []string{"poweron ra1"}, []string{"done U1", "requested U1"}},
		{"a stranger", []string{"ra2"}, once("U9", "C1", "power on ra2"), nil, []string{"refused U9"}},
		{"a stranger looks", []string{"ra3"}, once("U9", "C1", "power status ra3"), nil, []string{"refused U9"}},
		{"a viewer switches on", []string{"ra4"}, once("U4", "C1", "power on ra4"), nil, []string{"refused U4"}},
		{"a viewer looks", []string{"ra5"}, once("U4", "C1", "power status ra5"), []string{"powerstatus ra5"}, nil},
		{"another's machine", []string{"xa6"}, once("U1", "C1", "power on xa6"), nil, []string{"refused U1"}},
		{"one of two is another's", []string{"ra7", "xa7"}, once("U1", "C1", "power on ra7,xa7"), nil, []string{"refused U1"}},
		{"a machine that is not there", nil, once("U1", "C1", "power on ra8"), nil, []string{"refused U1"}},
		{"another channel", []string{"ra9"}, once("U1", "C3", "power on ra9"), nil, []string{"refused U1"}},
		{"an NMI by an operator", []string{"rb1"}, once("U1", "C1", "power nmi rb1"), nil, []string{"refused U1"}},
		{"too many", nil, once("U1", "C1", "power on r[1-9]"), nil, []string{"refused U1"}},
		{"a protected machine", []string{"rb2!"}, once("U1", "C1", "power cycle rb2"), nil, []string{"refused U1"}},
		{"an operator overrides", []string{"rb3!"}, once("U1", "C1", "power off --override-protected rb3"), nil, []string{"refused U1"}},
		{"not understood", []string{"rb4"}, once("U1", "C1", "power explode rb4"), nil, nil},
		{"the same envelope twice", []string{"rb5"}, func(w *world, _ []string) {
			w.sim.SetSocketFaults(simslack.SocketFaults{Copies: 2})
			w.slash("U1", "C1", "power on rb5")
			w.sim.SetSocketFaults(simslack.SocketFaults{})
		}, []string{"poweron rb5"}, []string{"done U1", "requested U1"}},
	}
}

// cycle asks for a power cycle of a machine by U1, and returns the question.
func (w *world) cycle(name string) simslack.Message {
	w.t.Helper()
	w.slash("U1", "C1", "power cycle "+name+" because stuck")
	return w.question(name)
}

// confirmed is what is written down of what was asked for by U1 and done.
var confirmed = []string{"confirmed U1", "done U1", "requested U1"}

// clicking are the rows of who clicks, what, how often and when.
func clicking() []row {
	return []row{
		{"confirmed", []string{"rc1"}, func(w *world, _ []string) { w.click("U1", w.cycle("rc1"), confirm, "") }, []string{"powercycle rc1"}, confirmed},
		{"confirmed in the last second", []string{"rc2"}, func(w *world, _ []string) {
			q := w.cycle("rc2")
			w.clock.move(119 * time.Second)
			w.click("U1", q, confirm, "")
		}, []string{"powercycle rc2"}, confirmed},
		{"another operator clicks", []string{"rc3"}, func(w *world, _ []string) { w.click("U2", w.cycle("rc3"), confirm, "") }, nil, []string{"refused U2", "requested U1"}},
		{"a stranger clicks", []string{"rc4"}, func(w *world, _ []string) { w.click("U9", w.cycle("rc4"), confirm, "") }, nil, []string{"refused U9", "requested U1"}},
		{"a stranger cancels", []string{"rc5"}, func(w *world, _ []string) { w.click("U9", w.cycle("rc5"), cancel, "") }, nil, []string{"refused U9", "requested U1"}},
		{"cancelled", []string{"rc6"}, func(w *world, _ []string) {
			w.click("U1", w.cycle("rc6"), cancel, "")
			w.pending--
		}, nil, []string{"cancelled U1", "requested U1"}},
		{"clicked twice", []string{"rc7"}, func(w *world, _ []string) {
			q := w.cycle("rc7")
			w.sim.SetSocketFaults(simslack.SocketFaults{Delay: 20 * time.Millisecond})
			done := make(chan struct{})
			go func() { // not w.click: only the test's goroutine may end the test
				defer close(done)
				_, _ = w.sim.Click(w.t.Context(), simslack.Click{User: "U1", Channel: q.Channel, TS: q.TS, ActionID: confirm})
			}()
			w.click("U1", q, confirm, "")
			<-done
			w.sim.SetSocketFaults(simslack.SocketFaults{})
		}, []string{"powercycle rc7"}, nil}, // which of the two was first is written down by either
		{"the click's envelope three times", []string{"rc8"}, func(w *world, _ []string) {
			q := w.cycle("rc8")
			w.sim.SetSocketFaults(simslack.SocketFaults{Copies: 2})
			w.click("U1", q, confirm, "")
			w.sim.SetSocketFaults(simslack.SocketFaults{})
		}, []string{"powercycle rc8"}, confirmed},
		{"clicked after a restart", []string{"rc9"}, func(w *world, _ []string) {
			q := w.cycle("rc9")
			w.again()
			w.click("U1", q, confirm, "")
		}, []string{"powercycle rc9"}, confirmed},
		{"clicked again after it was done, and a restart", []string{"rd1"}, func(w *world, _ []string) {
			q := w.cycle("rd1")
			value := valueOf(w, q, confirm)
			w.click("U1", q, confirm, "")
			w.until("it is done", func() bool { return slices.Contains(w.executed(), "powercycle rd1") })
			w.again()
			w.click("U1", w.stolen("C1", value), confirm, "")
		}, []string{"powercycle rd1"}, nil},
		{"clicked too late", []string{"rd2"}, func(w *world, _ []string) {
			q := w.cycle("rd2")
			w.clock.move(120 * time.Second)
			w.click("U1", q, confirm, "")
			w.until("it has expired", func() bool { n, _ := w.room.Waiting(); return n == 0 })
			w.pending = 0
		}, nil, nil}, // who is first, the click or the clock, is written down; both too
		{"a tampered value", []string{"rd3"}, func(w *world, _ []string) {
			q := w.cycle("rd3")
			value := valueOf(w, q, confirm)
			w.click("U1", q, confirm, value[:len(value)-2]+"AA")
		}, nil, []string{"refused U1", "requested U1"}},
		{"a cancel's value to confirm", []string{"rd4"}, func(w *world, _ []string) {
			q := w.cycle("rd4")
			w.click("U1", q, confirm, valueOf(w, q, cancel))
		}, nil, []string{"refused U1", "requested U1"}},
		{"no value of ours", []string{"rd5"}, func(w *world, _ []string) { w.click("U1", w.cycle("rd5"), confirm, "yes") }, nil, []string{"refused U1", "requested U1"}},
		{"another's value", []string{"rd6", "rd7"}, func(w *world, _ []string) {
			w.click("U1", w.cycle("rd6"), confirm, valueOf(w, w.cycle("rd7"), confirm))
		}, nil, []string{"refused U1", "requested U1", "requested U1"}},
		{"in another message", []string{"rd8"}, func(w *world, _ []string) {
			w.click("U1", w.stolen("C1", valueOf(w, w.cycle("rd8"), confirm)), confirm, "")
		}, nil, []string{"refused U1", "requested U1"}},
		{"in another channel", []string{"rd9"}, func(w *world, _ []string) {
			w.click("U1", w.stolen("C2", valueOf(w, w.cycle("rd9"), confirm)), confirm, "")
		}, nil, []string{"refused U1", "requested U1"}},
	}
}

// changing are the rows of what changes between the question and the click.
func changing() []row {
	after := func(name string, change func(w *world, uuid string)) func(*world, []string) {
		return func(w *world, uuids []string) {
			q := w.cycle(name)
			change(w, uuids[0])
			w.click("U1", q, confirm, "")
		}
	}
	refused := []string{"refused U1", "requested U1"}
	return []row{
		{"the machine is removed", []string{"re1"}, after("re1", func(w *world, uuid string) {
			w.must(w.admin.Delete(w.t.Context(), "machines/"+uuid, nil))
		}), nil, refused},
		{"another takes its name", []string{"re2"}, after("re2", func(w *world, uuid string) {
			w.must(w.admin.Delete(w.t.Context(), "machines/"+uuid, nil))
			w.machine("re2")
		}), nil, refused},
		{"it is renamed", []string{"re3"}, after("re3", func(w *world, uuid string) {
			w.patch(uuid, "/Name", "re3new")
		}), nil, refused},
		{"it is protected", []string{"re4"}, after("re4", func(w *world, uuid string) {
			w.must(w.admin.Post(w.t.Context(), "machines/"+uuid+"/params/oob/protected", true, nil))
		}), nil, refused},
		{"the clicker leaves the group", []string{"re5"}, after("re5", func(w *world, _ string) {
			w.sim.SetGroups(simslack.Group{ID: "S1", Handle: "ops", Users: []string{"U2"}})
		}), nil, refused},
		{"the rules change", []string{"re6"}, after("re6", func(w *world, _ string) {
			w.policy = strings.Replace(policy, `["r*"]`, `["q*"]`, 1)
			w.again()
		}), nil, refused},
		{"the delegation is taken back", []string{"re7"}, after("re7", func(w *world, _ string) {
			w.must(w.admin.Delete(w.t.Context(), "plugins/slack/delegation", nil))
		}), nil, []string{"requested U1"}},
	}
}

// secondPerson are the rows of what needs another person, or is typed.
func secondPerson() []row {
	ask := func(w *world, name string) simslack.Message {
		w.slash("U5", "C1", "power off "+name)
		return w.question(name)
	}
	typed := func(w *world, list, text string) {
		w.slash("U1", "C1", "power off "+list)
		w.click("U1", w.question(list), confirm, "")
		w.until("a view", func() bool { return len(w.sim.Views("U1")) > 0 })
		views := w.sim.Views("U1")
		_, err := w.sim.Submit(w.t.Context(), simslack.Submission{User: "U1", View: views[len(views)-1].ID, Values: map[string]string{"text": text}})
		w.must(err)
	}
	return []row{
		{"the requester approves", []string{"prod1"}, func(w *world, _ []string) { w.click("U5", ask(w, "prod1"), confirm, "") }, nil, []string{"refused U5", "requested U5"}},
		{"another approves", []string{"prod2"}, func(w *world, _ []string) { w.click("U6", ask(w, "prod2"), confirm, "") }, []string{"poweroff prod2"}, []string{"confirmed U6", "done U5", "requested U5"}},
		{"who may not approves", []string{"prod3"}, func(w *world, _ []string) { w.click("U4", ask(w, "prod3"), confirm, "") }, nil, []string{"refused U4", "requested U5"}},
		{"who may not on these machines approves", []string{"prod4"}, func(w *world, _ []string) { w.click("U1", ask(w, "prod4"), confirm, "") }, nil, []string{"refused U1", "requested U5"}},
		{"who asked may not any more", []string{"prod5"}, func(w *world, _ []string) {
			q := ask(w, "prod5")
			w.policy = strings.Replace(policy, `["U5","U6"]`, `["U6"]`, 1)
			w.again()
			w.click("U6", q, confirm, "")
		}, nil, []string{"refused U6", "requested U5"}},
		{"an admin overrides", []string{"rf9!"}, func(w *world, _ []string) {
			w.slash("U7", "C1", "power off --override-protected rf9")
			w.click("U7", w.question("rf9"), confirm, "")
		}, []string{"poweroff rf9"}, []string{"confirmed U7", "done U7", "requested U7"}},
		{"something else is typed", []string{"rf1", "rf2", "rf3", "rf4"}, func(w *world, _ []string) {
			typed(w, "rf[1-4]", "3")
			_, err := w.sim.Dismiss(w.t.Context(), "U1", w.sim.Views("U1")[0].ID)
			w.must(err)
			q := w.question2("rf[1-4]")
			w.click("U1", q, cancel, "")
		}, nil, []string{"cancelled U1", "refused U1", "requested U1"}},
		{"their number is typed", []string{"rg1", "rg2", "rg3", "rg4"}, func(w *world, _ []string) { typed(w, "rg[1-4]", " 4 ") },
			[]string{"poweroff rg1", "poweroff rg2", "poweroff rg3", "poweroff rg4"}, confirmed},
	}
}

// question2 is a question that was waited for before.
func (w *world) question2(about string) simslack.Message {
	w.t.Helper()
	w.pending-- // it is no further one
	return w.question(about)
}

// must ends the test if something failed.
func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// patch changes a field of a machine.
func (w *world) patch(uuid, path string, value any) {
	w.t.Helper()
	_, err := w.admin.Machines().Patch(w.t.Context(), uuid, client.Op{Op: "replace", Path: path, Value: value})
	w.must(err)
}

// valueOf is the value of a message's button.
func valueOf(w *world, m simslack.Message, action string) string {
	w.t.Helper()
	var blocks []struct {
		Elements []struct {
			ID    string `json:"action_id"`
			Value string `json:"value"`
		} `json:"elements"`
	}
	w.must(json.Unmarshal(m.Blocks, &blocks))
	for _, b := range blocks {
		for _, e := range b.Elements {
			if e.ID == action {
				return e.Value
			}
		}
	}
	w.t.Fatalf("no button %s: %s", action, m.Blocks)
	return ""
}

// stolen posts a message with a button of a value that is another's.
func (w *world) stolen(channel, value string) simslack.Message {
	w.t.Helper()
	return w.withButton(channel, confirm, value)
}

// withButton posts a message with a button.
func (w *world) withButton(channel, action, value string) simslack.Message {
	w.t.Helper()
	blocks, err := json.Marshal([]any{map[string]any{"type": "actions", "elements": []any{
		map[string]any{"type": "button", "action_id": action, "value": value, "text": map[string]any{"type": "plain_text", "text": "x"}},
	}}})
	w.must(err)
	resp, err := w.http.PostForm(w.sim.URL()+"chat.postMessage", url.Values{"token": {"xoxb-1"}, "channel": {channel}, "text": {"stolen"}, "blocks": {string(blocks)}})
	w.must(err)
	w.must(resp.Body.Close())
	all := w.sim.Messages()
	return all[len(all)-1]
}

// TestWhoMayWhat goes through the authorisation table: what the plugin executed and
// what was written down is compared, not what people were told.
func TestWhoMayWhat(t *testing.T) {
	w := newWorld(t)
	for _, r := range rows() {
		var uuids []string
		for _, name := range r.machines {
			uuid := w.machine(strings.TrimSuffix(name, "!"))
			if strings.HasSuffix(name, "!") {
				w.must(w.admin.Post(t.Context(), "machines/"+uuid+"/params/oob/protected", true, nil))
			}
			uuids = append(uuids, uuid)
		}
		executed, audited := len(w.executed()), len(w.audited())
		before := w.executed()
		r.do(w, uuids)
		w.until(r.name+": executed", func() bool { return len(w.executed()) >= executed+len(r.executed) })
		w.until(r.name+": written down", func() bool { return len(w.audited()) >= audited+len(r.audited) })
		w.close() // whatever goes on ends
		if got := without(w.executed(), before); !slices.Equal(got, r.executed) {
			t.Fatalf("%s: executed %q, want %q", r.name, got, r.executed)
		}
		got := w.audited()[audited:]
		slices.Sort(got)
		if r.audited != nil && !slices.Equal(got, r.audited) {
			t.Fatalf("%s: written down %q, want %q", r.name, got, r.audited)
		}
		w.restore()
	}
}

// without are the lines of a list that are not in another, which is part of it.
func without(list, part []string) []string {
	var out []string
	for _, line := range list {
		if i := slices.Index(part, line); i >= 0 {
			part = slices.Delete(slices.Clone(part), i, i+1)
			continue
		}
		out = append(out, line)
	}
	return out
}

// restore undoes what a row has changed for all, and opens the room again.
func (w *world) restore() {
	w.t.Helper()
	w.policy = policy
	w.sim.SetGroups(simslack.Group{ID: "S1", Handle: "ops", Users: []string{"U1", "U2"}})
	claims := []model.Claim{{Scope: "machines", Action: "action,override", Specific: "*"}}
	w.must(w.admin.Put(w.t.Context(), "plugins/slack/delegation", map[string]any{"Claims": claims}, nil))
	w.open()
	w.pending, _ = w.room.Waiting()
}
