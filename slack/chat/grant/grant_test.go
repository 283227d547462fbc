package grant

import (
	"strings"
	"testing"

	"provision-plugins/shared/model"
	"provision-plugins/slack/chat/command"
)

// parsed is a policy written as JSON.
func parsed(t *testing.T, text string) (*Policy, error) {
	t.Helper()
	var value any
	if err := model.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return Parse(value)
}

// typed is a command.
func typed(t *testing.T, text string) *command.Command {
	t.Helper()
	c, err := command.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const site = `{"team":"T1","channels":["C1","C2"],"typed_above":2,"max_machines":5,"rules":[
 {"name":"ops","groups":["S1"],"role":"operator","machines":{"names":["rack1*"]}},
 {"name":"one","users":["U2"],"role":"operator","commands":["power on"],"channels":["C2"]},
 {"name":"look","users":["U2","U3"],"role":"viewer"},
 {"name":"prod","users":["U4"],"role":"operator","machines":{"profiles":["prod"],"params":{"row":7}},"typed":true,"second_person":true},
 {"name":"root","users":["U5"],"role":"admin"}]}`

func TestWhoMayWhatWhere(t *testing.T) {
	t.Parallel()
	p, err := parsed(t, site)
	if err != nil {
		t.Fatal(err)
	}
	rack, other := Machine{Name: "rack1n1"}, Machine{Name: "spare"}
	prod := Machine{Name: "db", Profiles: []string{"x", "prod"}, Params: model.Params{"row": 7.0}}
	in := func(user, channel string, groups ...string) Who { return Who{user, "T1", channel, groups} }
	for _, c := range []struct {
		name string
		who  Who
		text string
		on   Machine
		may  bool
	}{
		{"a group", in("U1", "C1", "S1"), "power cycle x", rack, true},
		{"a group, elsewhere", in("U1", "C1", "S1"), "power cycle x", other, false},
		{"not in the group", in("U1", "C1"), "power cycle x", rack, false},
		{"another group", in("U1", "C1", "S2"), "power status x", rack, false},
		{"nobody", in("U9", "C1"), "power status x", rack, false},
		{"another team", Who{"U5", "T2", "C1", nil}, "power status x", rack, false},
		{"no team", Who{"U5", "", "C1", nil}, "power status x", rack, false},
		{"another channel", in("U5", "C3"), "power status x", rack, false},
		{"a direct message", in("U5", "D1"), "power status x", rack, false},
		{"one command", in("U2", "C2"), "power on x", other, true},
		{"one command, in another channel", in("U2", "C1"), "power on x", other, false},
		{"another command", in("U2", "C2"), "power off x", other, false},
		{"two rules", in("U2", "C2"), "status x", other, true},
		{"a viewer looks", in("U3", "C1"), "power status x", other, true},
		{"a viewer", in("U3", "C1"), "power on x", other, false},
		{"a viewer's locator", in("U3", "C1"), "identify x", other, false},
		{"by profile and param", in("U4", "C1"), "power off x", prod, true},
		{"without them", in("U4", "C1"), "power off x", rack, false},
		{"an operator's NMI", in("U1", "C1", "S1"), "power nmi x", rack, false},
		{"an operator overrides", in("U1", "C1", "S1"), "power off --override-protected x", rack, false},
		{"an admin's NMI", in("U5", "C1"), "power nmi x", rack, true},
		{"an admin overrides", in("U5", "C1"), "power off --override-protected x", rack, true},
		{"lower case is another id", in("u5", "C1"), "power status x", rack, false},
	} {
		v := p.Judge(c.who, typed(t, c.text), []Machine{c.on})
		if may := len(v.Refused) == 0; may != c.may {
			t.Errorf("%s: %v", c.name, may)
		}
	}
}

func TestHowItIsConfirmed(t *testing.T) {
	t.Parallel()
	p, err := parsed(t, site)
	if err != nil {
		t.Fatal(err)
	}
	list := []Machine{{Name: "rack1n1"}, {Name: "rack1n2"}, {Name: "rack1n3"}}
	prod := Machine{Name: "db", Profiles: []string{"prod"}, Params: model.Params{"row": 7.0}}
	for name, c := range map[string]struct {
		who  Who
		on   []Machine
		want Verdict
	}{
		"few":    {Who{"U5", "T1", "C1", nil}, list[:2], Verdict{}},
		"many":   {Who{"U5", "T1", "C1", nil}, list, Verdict{Typed: true}},
		"strict": {Who{"U4", "T1", "C1", nil}, []Machine{prod}, Verdict{Typed: true, Second: true}},
	} {
		got := p.Judge(c.who, typed(t, "power off x"), c.on)
		if got.Typed != c.want.Typed || got.Second != c.want.Second || len(got.Refused) > 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	half := p.Judge(Who{"U1", "T1", "C1", []string{"S1"}}, typed(t, "power off x"), append(list[:1:1], prod))
	if len(half.Refused) != 1 || half.Refused[0].Name != "db" {
		t.Errorf("%+v", half)
	}
}

func TestDenyByDefault(t *testing.T) {
	t.Parallel()
	for _, value := range []any{nil, map[string]any{}, map[string]any{"rules": []any{}}} {
		p, err := Parse(value)
		if err != nil {
			t.Fatal(err)
		}
		if p.May(Who{User: "U1", Team: "T1", Channel: "C1"}, typed(t, "help")) {
			t.Errorf("%v lets everybody in", value)
		}
		if p.Max != defaultMachines || p.TypedAbove != defaultTyped {
			t.Errorf("%+v", p)
		}
	}
	p, err := parsed(t, site)
	if err != nil || strings.Join(p.Groups(), ",") != "S1" || !p.May(Who{"U2", "T1", "C2", nil}, typed(t, "who")) {
		t.Errorf("%v, %v", p.Groups(), err)
	}
}

func TestErrorsNameTheRule(t *testing.T) {
	t.Parallel()
	rule := func(more string) string {
		return `{"rules":[{"users":["U1"],"role":"viewer"},{"name":"ops",` + more + `}]}`
	}
	for text, want := range map[string]string{
		`[]`:                                     "cannot read the rules",
		`{"rule":[]}`:                            `unknown field "rule"`,
		`{"team":"acme"}`:                        `team: "acme" is no id`,
		`{"channels":["#a"]}`:                    `channels: "#a" is no id such as C0123ABC`,
		`{"max_machines":-1}`:                    "max_machines",
		`{"max_machines":9999}`:                  "max_machines",
		rule(`"users":["@ann"],"role":"viewer"`): `rule 2 (ops): users: "@ann" is no id such as U0123ABC`,
		rule(`"groups":["ops"],"role":"viewer"`): `rule 2 (ops): groups: "ops" is no id`,
		rule(`"role":"viewer"`):                  "rule 2 (ops): users, groups: name at least one id",
		rule(`"users":["U1"]`):                   `role: "" is none of viewer, operator, admin`,
		rule(`"users":["U1"],"role":"god"`):      `role: "god"`,
		rule(`"users":["U1"],"role":"viewer","commands":["fly"]`):          `there is no command "fly"`,
		rule(`"users":["U1"],"role":"viewer","commands":["power off"]`):    "the role viewer has no power off",
		rule(`"users":["U1"],"role":"operator","commands":["power nmi"]`):  "the role operator has no power nmi",
		rule(`"users":["U1"],"role":"viewer","machines":{"names":["[a"]}`): `machines: "[a"`,
		rule(`"users":["U1"],"role":"viewer","machines":{"names":[""]}`):   "no pattern",
		rule(`"users":["U1"],"role":"viewer","channels":["general"]`):      `channels: "general"`,
		rule(`"users":["U1"],"role":"viewer","machines":{"tag":1}`):        `unknown field "tag"`,
		`{"rules":[` + strings.Repeat(`{},`, maxRules) + `{}]}`:            "100 are the most",
	} {
		_, err := parsed(t, text)
		if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.80s: %v; want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(site))
	f.Add([]byte(`{"rules":[{"users":["U1"],"role":"viewer","machines":{"params":{"a":{"b":[1]}}}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var value any
		if model.Unmarshal(raw, &value) != nil {
			return
		}
		p, err := Parse(value)
		if err != nil {
			return
		}
		c := &command.Command{Name: "power nmi", Action: model.PowerNMI}
		if v := p.Judge(Who{User: "nobody", Team: p.Team}, c, []Machine{{Name: "m"}}); len(v.Refused) == 0 {
			t.Errorf("%s gives something to who is no user", raw)
		}
	})
}
