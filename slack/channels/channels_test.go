package channels

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	api "github.com/slack-go/slack"
	"go.uber.org/goleak"

	"provision-plugins/shared/model"
	simslack "provision-plugins/sim/slack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "xoxb-channels"

// look looks for a channel in a workspace.
func look(t *testing.T, o simslack.Options, name string, faults ...simslack.Fault) (id string, calls int, err error) {
	t.Helper()
	o.Token = token
	sim, err := simslack.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	sim.Fail("conversations.list", faults...)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	id, err = Find(t.Context(), api.New(token, api.OptionAPIURL(sim.URL()), api.OptionHTTPClient(client)), name)
	return id, sim.Calls("conversations.list"), err
}

func TestNamed(t *testing.T) {
	for channel, want := range map[string]bool{"#ops": true, "C0123": false, "ops": false, "": false} {
		if Named(channel) != want {
			t.Errorf("%q: %v", channel, !want)
		}
	}
}

func TestFind(t *testing.T) {
	var many []string
	for i := range 2*pageSize + 5 {
		many = append(many, fmt.Sprintf("C%d=room%d", i, i))
	}
	two := []string{"C1=ops", "C2=ops-lab"}
	for _, c := range []struct {
		name, channel string
		options       simslack.Options
		faults        []simslack.Fault
		id            string
		calls         int
		kind          model.Kind
	}{
		{"the name whole", "#ops-lab", simslack.Options{Channels: two}, nil, "C2", 1, ""},
		{"not a part of it", "#op", simslack.Options{Channels: two}, nil, "", 1, model.NotFound},
		{"on a later page", "#room2004", simslack.Options{Channels: many}, nil, "C2004", 3, ""},
		{"public ones only", "#ops", simslack.Options{Channels: two}, []simslack.Fault{{Error: "missing_scope"}}, "C1", 2, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, calls, err := look(t, c.options, c.channel, c.faults...)
			if id != c.id || calls != c.calls || err != nil && model.KindOf(err) != c.kind || (err != nil) != (c.kind != "") {
				t.Errorf("%q after %d calls, %v", id, calls, err)
			}
		})
	}
}

// What Slack refuses is told as Slack words it.
func TestWhatSlackRefuses(t *testing.T) {
	var refused api.SlackErrorResponse
	if _, calls, err := look(t, simslack.Options{Scopes: []string{"chat:write"}}, "#ops"); !errors.As(err, &refused) || refused.Err != "missing_scope" || calls != 2 {
		t.Errorf("after %d calls: %v", calls, err)
	}
	if _, calls, err := look(t, simslack.Options{}, "#ops", simslack.Fault{Error: "invalid_auth"}); !errors.As(err, &refused) || refused.Err != "invalid_auth" || calls != 1 {
		t.Errorf("after %d calls: %v", calls, err)
	}
}
