package content_test

import (
	"maps"
	"slices"
	"testing"

	"provision-plugins/content"
	shared "provision-plugins/shared/content"
	"provision-plugins/shared/model"
)

// keys lists what a bundle holds, as section/key.
func keys(c *model.Content) []string {
	var out []string
	for section, objects := range c.Sections {
		for key := range objects {
			out = append(out, section+"/"+key)
		}
	}
	slices.Sort(out)
	return out
}

func TestBase(t *testing.T) {
	c, err := content.Base()
	if err != nil {
		t.Fatal(err)
	}
	if err := shared.Validate(c); err != nil {
		t.Error(err)
	}
	want := []string{"bootenvs/local", "params/detected-bios-mode", "params/machine-plugin", "profiles/global", "stages/none"}
	if got := keys(c); !slices.Equal(got, want) {
		t.Errorf("base holds %v", got)
	}
	if c.Meta.Name != "base" || c.Meta.Version != "" {
		t.Errorf("meta is %+v", c.Meta)
	}
	// A new machine refers to what base holds.
	m := model.NewMachine("m1")
	if c.Sections["stages"][m.Stage] == nil || c.Sections["bootenvs"][m.BootEnv] == nil || c.Sections["profiles"][model.GlobalProfile] == nil {
		t.Errorf("a new machine has stage %s and boot environment %s, which base lacks", m.Stage, m.BootEnv)
	}
}

func TestOOB(t *testing.T) {
	c, err := content.OOB()
	if err != nil {
		t.Fatal(err)
	}
	if err := shared.Validate(c); err != nil {
		t.Error(err)
	}
	params, err := shared.Params(c)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"oob/after-unknown", "oob/confirm", "oob/driver", "oob/force-after", "oob/identity", "oob/protected", "oob/reason", "oob/timeout", "oob/wait"}
	if got := slices.Sorted(maps.Keys(params)); !slices.Equal(got, want) {
		t.Errorf("oob declares %v", got)
	}
	for _, tc := range []struct {
		name  string
		value any
		ok    bool
	}{
		{"oob/timeout", 3, true}, {"oob/timeout", 0.5, true}, {"oob/timeout", 0, false}, {"oob/timeout", "3", false},
		{"oob/wait", false, true}, {"oob/wait", "false", false},
		{"oob/force-after", 0, true}, {"oob/force-after", -1, false},
		{"oob/protected", true, true}, {"oob/reason", "disk swap", true}, {"oob/driver", "ipmi", true},
	} {
		if err := shared.CheckValue(params[tc.name], tc.value); (err == nil) != tc.ok {
			t.Errorf("%s = %v: %v", tc.name, tc.value, err)
		}
	}
}

// No two of the suite's bundles declare the same object, since endpoints
// refuse that; and each call gives a bundle of its own.
func TestLayersAreDisjoint(t *testing.T) {
	owner := map[string]string{}
	for _, c := range allBundles(t) {
		for _, key := range keys(c) {
			if other, ok := owner[key]; ok {
				t.Errorf("%s is in both %s and %s", key, other, c.Meta.Name)
			}
			owner[key] = c.Meta.Name
		}
	}
	one, err := content.Base()
	if err != nil {
		t.Fatal(err)
	}
	delete(one.Sections, "params")
	two, err := content.Base()
	if err != nil || two.Sections["params"] == nil {
		t.Errorf("a change to one result shows in the next: %v", err)
	}
}
