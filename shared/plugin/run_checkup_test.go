package plugin

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"provision-plugins/shared/inventory"
	"provision-plugins/shared/model"
)

// reporter answers each machine with what it is told.
type reporter map[string]any

func (r reporter) Action(_ context.Context, a *model.Action) (any, error) {
	m, ok := a.Model.(*model.Machine)
	if !ok {
		return nil, model.Errorf(model.Invalid, "no machine")
	}
	return r[m.Name], nil
}

// checkup is a ladder with one check.
func checkup(v model.Verdict, k model.Kind) *model.Checkup {
	var c model.Checkup
	c.Add(model.Check{Name: "login", Verdict: v, Kind: k, Cause: "so it is"})
	return &c
}

// An answer that reports a failure is printed as it is, and counts as one that
// failed.
func TestRunOfCheckups(t *testing.T) {
	for name, tc := range map[string]struct {
		answers reporter
		exit    int
	}{
		"well":    {reporter{"m1": checkup(model.VerdictOK, "")}, 0},
		"warning": {reporter{"m1": checkup(model.VerdictWarning, "")}, 0},
		"failed":  {reporter{"m1": checkup(model.VerdictFailed, model.DeviceAuth)}, 8},
		"worst": {reporter{
			"m1": checkup(model.VerdictFailed, model.Unsupported), "m2": checkup(model.VerdictFailed, model.Unreachable), "m3": checkup(model.VerdictOK, ""),
		}, 9},
		"no ladder": {reporter{"m1": []string{"failed"}, "m2": nil}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var rows []inventory.Row
			for machine := range tc.answers {
				rows = append(rows, inventory.Row{Name: machine})
			}
			r := &runner{program: &program{def: &model.PluginProvider{}}, actor: tc.answers, command: model.Doctor, concurrency: 2}
			var out bytes.Buffer
			sum := r.run(t.Context(), t.Context(), &out, rows)
			if got := sum.exitCode(); got != tc.exit {
				t.Errorf("exit %d, want %d", got, tc.exit)
			}
			if n := strings.Count(out.String(), `"result":`); n != len(rows) {
				t.Errorf("%d results of %d: %s", n, len(rows), out.String())
			}
		})
	}
}
