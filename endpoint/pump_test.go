package endpoint

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// A provider that says which events it wants gets these, and again what its
// process may have seen when it died: a number of times, and then the next ones.
func TestAPluginThatChoosesItsEvents(t *testing.T) {
	t.Parallel()
	r := start(t, "choosy")
	r.ready("choosy")
	for _, e := range []model.Event{{Action: "b", Key: "unasked"}, {Action: "a", Key: "first"}, {Action: "kill", Key: "poison"}, {Action: "a", Key: "last"}} {
		e.Type = "t"
		if err := r.c.Post(t.Context(), "events", e, nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "published", func() bool {
		return slices.Contains(r.lines("published"), "t.a.last") && slices.Contains(r.lines("published"), "plugins.recovered.choosy")
	})
	got := slices.DeleteFunc(r.lines("published"), func(line string) bool { return line == "plugins.recovered.choosy" })
	want := []string{"t.a.first"}
	for range handTries {
		want = append(want, "t.kill.poison")
	}
	if want = append(want, "t.a.last"); !slices.Equal(got, want) {
		t.Errorf("published %v, want %v", got, want)
	}
}

// A wish that cannot be read is none.
func TestAWishThatIsNone(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	sup := r.e.sup
	u := &unit{name: "wishing", sup: sup, changed: make(chan struct{})}
	for text, again := range map[string]bool{``: false, `{`: false, `["a.b.*"]`: true} {
		p := startPump(u, &model.PluginProvider{MetaData: model.MetaData{Meta: map[string]string{model.MetaEvents: text}}})
		if p == nil || p.again != again {
			t.Fatalf("%q gives %+v", text, p)
		}
		p.stop()
	}
	if p := startPump(u, &model.PluginProvider{MetaData: model.MetaData{Meta: map[string]string{model.MetaEvents: `["nothing"]`}}}); p != nil {
		t.Errorf("a pattern that is none gives %+v", p)
	}
}

// What a bulk operation on thousands of machines tells waits for a plugin that
// says which events it wants, also while the plugin is away.
func TestABulkWaitsForAPlugin(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	sup := r.e.sup
	u := &unit{name: "away", sup: sup, changed: make(chan struct{})}
	p := startPump(u, &model.PluginProvider{MetaData: model.MetaData{Meta: map[string]string{model.MetaEvents: `["bulk.*.*"]`}}})
	if p == nil {
		t.Fatal("there is no pump")
	}
	defer p.stop()
	const machines = 5_000
	missed := 0
	p.sub.OnMissed(func() { missed++ })
	for range machines {
		for _, action := range []string{"create", "update", "power"} {
			sup.hub.Publish(&model.Event{Type: "bulk", Action: action, Object: json.RawMessage(`"` + strings.Repeat("x", 1500) + `"`)})
		}
	}
	if waiting := p.sub.Waiting(); missed > 0 || waiting < 3*machines-1 {
		t.Errorf("%d wait of %d, %d were missed", waiting, 3*machines, missed)
	}
}
