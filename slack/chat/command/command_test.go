package command

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Command{
		"":                      {Name: Help},
		"  help ":               {Name: Help},
		"power cycle m1":        {Name: "power cycle", Action: model.PowerCycle, Machines: []string{"m1"}},
		"POWER On m[1-3]":       {Name: "power on", Action: model.PowerOn, Machines: []string{"m1", "m2", "m3"}},
		"power on m1 m2, m3 m1": {Name: "power on", Action: model.PowerOn, Machines: []string{"m1", "m2", "m3"}},
		"power status <http://m1.x.org|m1.x.org>":   {Name: "power status", Action: model.PowerStatus, Machines: []string{"m1.x.org"}},
		"power off m1 --reason it <burns> & smells": {Name: "power off", Action: model.PowerOff, Machines: []string{"m1"}, Reason: "it burns & smells"},
		"power off m1 --reason=“hot day”":           {Name: "power off", Action: model.PowerOff, Machines: []string{"m1"}, Reason: "hot day"},
		"power off m1 because it burns":             {Name: "power off", Action: model.PowerOff, Machines: []string{"m1"}, Reason: "it burns"},
		"power off —reason hot":                     {},
		"power off m1 —reason hot":                  {Name: "power off", Action: model.PowerOff, Machines: []string{"m1"}, Reason: "hot"},
		"power off --override-protected m1":         {Name: "power off", Action: model.PowerOff, Machines: []string{"m1"}, Override: true},
		"boot pxe m1":                               {Name: "boot pxe", Action: model.NextBootPXE, Machines: []string{"m1"}},
		"boot pxe --always m1":                      {Name: "boot pxe", Action: model.ForceBootPXE, Machines: []string{"m1"}},
		"identify --off m1":                         {Name: "identify", Action: model.Identify, Machines: []string{"m1"}, Params: model.Params{"ipmi/identify-duration": 0}},
		"list":                                      {Name: List},
		"list m1":                                   {Name: List, Machines: []string{"m1"}},
		"runs m1":                                   {Name: Runs, Machines: []string{"m1"}},
		"silence 2h m1 because why":                 {Name: Silence, For: 2 * time.Hour, Machines: []string{"m1"}, Reason: "why"},
		"silence 3d m1":                             {Name: Silence, For: 72 * time.Hour, Machines: []string{"m1"}},
		"silence list":                              {Name: "silence list"},
		"silence end abc":                           {Name: "silence end", ID: "abc"},
		"ack m1":                                    {Name: Ack, Machines: []string{"m1"}},
		"who":                                       {Name: Who},
	} {
		got, err := Parse(text)
		if want.Name == "" {
			if err == nil {
				t.Errorf("%q is %+v", text, got)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestErrorsSayWhatToType(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"frobnicate m1":                      `there is no command "frobnicate"; try help`,
		"power":                              "power: say which: status, on, off, soft, cycle, reset, nmi",
		"power explode m1":                   "power: say which: status, on",
		"power on":                           "power on: name machines: power on MACHINES",
		"power on --always m1":               `"--always" is no option of it`,
		"power on --off m1":                  `"--off" is no option of it`,
		"power on -x m1":                     `"-x" is no option of it`,
		"power on m[1-":                      "host list",
		"power on m[1-1001]":                 "that are 1001 machines; 1000 are the most",
		"power off m1 --reason":              "say why in 1 to 300 characters",
		"power off m1 because":               "say why",
		"power off m1 --reason " + long(301): "say why",
		"silence":                            "say for how long",
		"silence soon m1":                    `"soon" is no time`,
		"silence 1s m1":                      "is no time",
		"silence 31d m1":                     "is no time",
		"silence -2h m1":                     `"-2h" is no option`,
		"silence 2h":                         "name machines",
		"silence end":                        "name one silence",
		"silence list m1":                    "it takes nothing more",
		"who m1":                             "it takes nothing more",
		"list --override-protected":          "is no option of it",
		long(maxText + 1):                    "too long",
		"power on \xff":                      "no text",
	} {
		c, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("%.60q: %v, %v; want %q", text, c, err, want)
		}
	}
}

// long is a text of n letters.
func long(n int) string { return strings.Repeat("x", n) }

func TestWhatIsConfirmed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"power status m[1-9]": false, "status m[1-9]": false, "identify m[1-9]": false, "list": false,
		"power on m1": false, "power on m[1-2]": true, "boot pxe m1": false, "boot pxe m[1-2]": true,
		"power off m1": true, "power soft m1": true, "power cycle m1": true, "power reset m1": true, "power nmi m1": true,
		"power on --override-protected m1": true,
	} {
		c, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Confirmed(len(c.Machines)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// Every row of the table is read as itself, and every action is one of the
// vocabulary.
func TestForms(t *testing.T) {
	t.Parallel()
	for _, f := range Forms() {
		text := f.Name + " " + strings.NewReplacer("[--always] ", "", "[--off] ", "", "[MACHINES]", "m1", "MACHINES", "m1").Replace(f.Usage)
		c, err := Parse(text)
		if err != nil || c.Name != f.Name || c.Action != f.Action || !Known(f.Name) {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
		if f.Action != "" && c.Info().Summary == "" {
			t.Errorf("%s is no action", f.Action)
		}
	}
	if Known("power") || Known("") {
		t.Error("half a name is known")
	}
}

func FuzzParse(f *testing.F) {
	for _, form := range Forms() {
		f.Add(form.Name + " m[1-3] --reason x")
	}
	f.Add("power on <http://a|b> —reason “x”")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 500 {
				t.Errorf("%q: %q", text, err)
			}
			return
		}
		if !Known(c.Name) || len(c.Machines) > maxNames || c.Action != "" && len(c.Machines) == 0 {
			t.Errorf("%q is %+v", text, c)
		}
	})
}
