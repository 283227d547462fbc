package silence

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// noon is the time of the tests.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// book is a book in dir whose clock stands at noon, moved by what is added to it.
func book(t *testing.T, dir string, fixed ...Silence) (*Book, *time.Time) {
	t.Helper()
	b, err := Open(dir, fixed)
	if err != nil {
		t.Fatal(err)
	}
	now := noon
	b.now = func() time.Time { return now }
	return b, &now
}

// add adds a silence of an hour.
func add(t *testing.T, b *Book, machines ...string) string {
	t.Helper()
	id, err := b.Add(Silence{Machines: machines, Until: noon.Add(time.Hour), By: "U1", Reason: "work"})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestWhoIsSilent(t *testing.T) {
	b, _ := book(t, t.TempDir(),
		Silence{ID: "config-1", Machines: []string{"lab*"}},
		Silence{ID: "config-2", Machines: []string{"later"}, From: noon.Add(time.Hour), Until: noon.Add(2 * time.Hour)})
	add(t, b, "rack1n0[1-3]", "db1")
	for _, c := range []struct {
		machine string
		after   time.Duration
		want    bool
	}{
		{"lab7", 0, true}, {"lab7", 1000 * time.Hour, true}, {"lab7", -time.Hour, true}, {"mylab", 0, false},
		{"later", 0, false}, {"later", time.Hour, true}, {"later", 2 * time.Hour, false},
		{"rack1n02", 0, true}, {"rack1n02", -time.Second, false}, {"rack1n02", time.Hour, false}, {"rack1n04", 0, false},
		{"db1", 0, true}, {"", 0, false}, {"plugin:ipmi", 0, false},
	} {
		if got := b.Silent(c.machine, noon.Add(c.after)); got != c.want {
			t.Errorf("%q after %v: silent %v", c.machine, c.after, got)
		}
	}
}

// Nothing matches the pattern of everything but what has a name.
func TestAllAndPlugins(t *testing.T) {
	b, _ := book(t, t.TempDir(), Silence{Machines: []string{"plugin:ip*"}})
	if !b.Silent("plugin:ipmi", noon) || b.Silent("ipmi", noon) {
		t.Error("a plugin is named with its kind")
	}
	add(t, b, "*")
	if !b.Silent("any", noon) || b.Silent("", noon) {
		t.Error("* is everything that has a name")
	}
}

// The longest counts, of those that are now.
func TestOf(t *testing.T) {
	b, _ := book(t, t.TempDir(), Silence{ID: "config-1", Machines: []string{"m1"}, Until: noon.Add(30 * time.Minute)})
	id := add(t, b, "m*")
	if s, ok := b.Of("m1", noon); !ok || s.ID != id || s.By != "U1" || s.Reason != "work" {
		t.Errorf("%+v, %v", s, ok)
	}
	if s, ok := b.Of("x", noon); ok {
		t.Errorf("%+v", s)
	}
	ever, _ := book(t, t.TempDir(), Silence{ID: "config-1", Machines: []string{"m1"}})
	add(t, ever, "m1")
	if s, ok := ever.Of("m1", noon); !ok || s.ID != "config-1" {
		t.Errorf("for ever is longest: %+v", s)
	}
}

// A silence outlives its book, until it is over.
func TestKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "silences")
	b, _ := book(t, dir)
	first, second := add(t, b, "m1"), add(t, b, "m2")
	again, now := book(t, dir)
	if !again.Silent("m1", noon) || len(again.List()) != 2 {
		t.Errorf("kept %+v", again.List())
	}
	if s, err := again.End(first); err != nil || s.Machines[0] != "m1" || again.Silent("m1", noon) {
		t.Errorf("ended %+v, %v", s, err)
	}
	if _, err := again.End(first); model.KindOf(err) != model.NotFound {
		t.Errorf("ended twice: %v", err)
	}
	*now = noon.Add(2 * time.Hour)
	if len(again.List()) != 0 || again.Silent("m2", *now) {
		t.Errorf("it is over: %+v", again.List())
	}
	if _, err := again.End(second); model.KindOf(err) != model.NotFound {
		t.Errorf("ended what is over: %v", err)
	}
	if _, err := again.Add(Silence{Machines: []string{"m3"}, Until: noon.Add(3 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%d files, %v: what is over is forgotten", len(files), err)
	}
}

func TestListIsInOrder(t *testing.T) {
	b, _ := book(t, t.TempDir(), Silence{ID: "config-1", Machines: []string{"a"}}, Silence{ID: "config-2", Machines: []string{"b"}, Until: noon.Add(time.Minute)},
		Silence{ID: "config-3", Machines: []string{"c"}})
	id := add(t, b, "d")
	var got []string
	for _, s := range b.List() {
		got = append(got, s.ID)
	}
	if want := "config-2 " + id + " config-1 config-3"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	if _, err := b.End("config-1"); model.KindOf(err) != model.Conflict {
		t.Errorf("ended one of the configuration: %v", err)
	}
}

func TestRefused(t *testing.T) {
	b, _ := book(t, t.TempDir())
	soon := noon.Add(time.Hour)
	for want, s := range map[string]Silence{
		"name at least one":       {Until: soon},
		"1000 are the most":       {Until: soon, Machines: make([]string, maxGlobs+1)},
		"no name and no pattern":  {Until: soon, Machines: []string{"rack[1"}},
		`" " is no name`:          {Until: soon, Machines: []string{" "}},
		"until is not after":      {Machines: []string{"m"}, Until: noon.Add(-time.Hour)},
		"within the next 30 days": {Machines: []string{"m"}, Until: noon.Add(31 * 24 * time.Hour)},
		"cannot silence until 00": {Machines: []string{"m"}},
		"more than 500":           {Until: soon, Machines: []string{"m"}, Reason: strings.Repeat("x", 501)},
	} {
		if _, err := b.Add(s); err == nil || !strings.Contains(err.Error(), want) || model.KindOf(err) != model.Invalid {
			t.Errorf("%.60v: %v, want %q", s, err, want)
		}
	}
	for range maxSilences {
		b.asked[time.Now().String()+strings.Repeat("x", len(b.asked))] = Silence{Until: soon}
	}
	if _, err := b.Add(Silence{Machines: []string{"m"}, Until: soon}); model.KindOf(err) != model.Busy {
		t.Errorf("one too many: %v", err)
	}
}

// What cannot be written does not count.
func TestDiskFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "silences")
	b, _ := book(t, dir)
	id := add(t, b, "m1")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Add(Silence{Machines: []string{"m2"}, Until: noon.Add(time.Hour)}); err == nil || b.Silent("m2", noon) {
		t.Errorf("added: %v", err)
	}
	if _, err := b.End(id); err == nil || !b.Silent("m1", noon) {
		t.Errorf("ended: %v", err)
	}
	if _, err := Open(dir, nil); err == nil {
		t.Error("opened where a file is")
	}
}

// A damaged record is told, and the others count.
func TestDamagedRecord(t *testing.T) {
	dir := t.TempDir()
	b, _ := book(t, dir)
	add(t, b, "m1")
	if err := os.WriteFile(filepath.Join(dir, "bad.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir, nil)
	if err == nil || again == nil || !again.Silent("m1", time.Now().Add(-time.Hour)) && len(again.asked) != 1 {
		t.Errorf("%v, %+v", err, again)
	}
}

func TestParse(t *testing.T) {
	var value any
	if err := model.Unmarshal([]byte(`[{"machines":["lab*"],"reason":"moving"},{"machines":["db1"],"from":"2026-12-24T18:00:00Z","until":"2026-12-27T06:00:00+01:00"}]`), &value); err != nil {
		t.Fatal(err)
	}
	got, err := Parse(value)
	if err != nil || len(got) != 2 || got[0].ID != "config-1" || got[0].Reason != "moving" || got[1].Until.UTC().Hour() != 5 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := Parse(nil); got != nil || err != nil {
		t.Errorf("nothing gives %+v, %v", got, err)
	}
	for text, want := range map[string]string{
		`5`:                         "no list of",
		`[{"machine":["x"]}]`:       `unknown field "machine"`,
		`[{"machines":[]}]`:         "silence 1: machines",
		`[{"machines":["a"]},{}]`:   "silence 2: machines",
		`[{"machines":["rack[1"]}]`: "no pattern",
		`[{"machines":["a"],"until":"tomorrow"}]`:                                           "times such as",
		`[{"machines":["a"],"from":"2026-12-24T18:00:00Z","until":"2026-12-24T17:00:00Z"}]`: "until is not after from",
		`[` + strings.Repeat(`{},`, maxSilences) + `{}]`:                                    "1001 silences",
	} {
		var value any
		if err := model.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(value); err == nil || !strings.Contains(err.Error(), want) || model.KindOf(err) != model.Invalid {
			t.Errorf("%.40s: %v, want %q", text, err, want)
		}
	}
	if _, err := Parse(func() {}); model.KindOf(err) != model.Invalid {
		t.Errorf("a value that is none: %v", err)
	}
}

// Any text is parsed or refused, and what is parsed can be asked.
func FuzzParse(f *testing.F) {
	f.Add(`[{"machines":["lab*"],"from":"2026-12-24T18:00:00Z"}]`, "lab1")
	f.Add(`[{"machines":["[a-"]}]`, "a")
	f.Fuzz(func(t *testing.T, text, machine string) {
		var value any
		if model.Unmarshal([]byte(text), &value) != nil {
			return
		}
		list, err := Parse(value)
		if err != nil {
			return
		}
		b := &Book{now: time.Now, fixed: list}
		if b.Silent(machine, noon) && machine == "" {
			t.Error("what has no name is silent")
		}
	})
}
