package targetstest

import (
	"fmt"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// recorder takes what a check says.
type recorder struct {
	testing.TB
	said []string
}

// Helper does nothing.
func (*recorder) Helper() {}

// Errorf notes a failure.
func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

const bundle = `
meta: {Name: car}
sections:
  params:
    car/address: {Name: car/address, Schema: {type: string}}
    car/port: {Name: car/port, Schema: {type: integer}}
    car/colour: {Name: car/colour, Schema: {type: string}}
    car/password: {Name: car/password, Secure: true, Schema: {type: string}}
`

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		meta   string
		others map[string]string
		action string
		want   string // in what is said; empty: nothing is
	}{
		"all":                {meta: `{"car/password":["car/address","car/port"]}`},
		"a port left out":    {meta: `{"car/password":["car/address"]}`, want: "car/port may be"},
		"with a reason":      {meta: `{"car/password":["car/address"]}`, others: map[string]string{"car/port": "a harbour"}},
		"nothing":            {want: "car/password may be"},
		"no such credential": {meta: `{"car/key":["car/address","car/port"]}`, want: "car/key is no Secure param"},
		"an open one":        {meta: `{"car/colour":["car/address","car/port"]}`, want: "car/colour is no Secure param"},
		"no such target":     {meta: `{"car/password":["car/address","car/port","car/url"]}`, want: "car/url is no param"},
		"an action's":        {meta: `{"car/password":["car/address","car/port"]}`, action: "car/proxy", want: "car/proxy may be"},
		"both":               {meta: `{"car/password":["car/address","car/port"]}`, others: map[string]string{"car/port": "x"}, want: "among the others"},
	} {
		def := &model.PluginProvider{Name: "car", Content: bundle}
		def.Meta = map[string]string{model.MetaTargets: c.meta}
		if c.action != "" {
			def.AvailableActions = []model.AvailableAction{{Command: "go", OptionalParams: []string{c.action}}}
		}
		r := &recorder{TB: t}
		Check(r, def, c.others)
		said := strings.Join(r.said, "\n")
		if (said == "") != (c.want == "") || !strings.Contains(said, c.want) {
			t.Errorf("%s: said %q, want %q", name, said, c.want)
		}
	}
}
