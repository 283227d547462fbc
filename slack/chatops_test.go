package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	simslack "provision-plugins/sim/slack"
	"provision-plugins/slack/chat"
	"provision-plugins/slack/layout"
)

// The buttons that incidents show are those that the room takes.
func TestButtonsOfIncidentsAreTaken(t *testing.T) {
	t.Parallel()
	for shown, takes := range map[string]string{
		layout.ButtonAck: chat.ActionAck, layout.ButtonSilence1: chat.ActionSilence1, layout.ButtonSilence8: chat.ActionSilence8, layout.ButtonCycle: chat.ActionCycle,
	} {
		if shown != takes {
			t.Errorf("%s is shown, %s is taken", shown, takes)
		}
	}
}

func TestBadCommandsAreErrorsOfConfig(t *testing.T) {
	t.Parallel()
	for want, value := range map[string]any{
		`param slack/commands: rule 1 (ops): users: "ann" is no id`: map[string]any{"rules": []any{map[string]any{"name": "ops", "users": []any{"ann"}, "role": "viewer"}}},
		"param slack/commands: cannot read the rules":               "x",
	} {
		_, err := parseConfig(model.Params{paramToken: token, paramChannel: "C1", paramCommands: value})
		if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	if _, err := parseConfig(model.Params{paramToken: token, paramChannel: "C1", paramApp: 5}); model.KindOf(err) != model.Invalid {
		t.Errorf("%v", err)
	}
}

// posted are the requests to an endpoint that takes everything.
type posted struct {
	mu   sync.Mutex // guards list
	list []string
}

// ServeHTTP notes a request, and for whom it is.
func (p *posted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.list = append(p.list, r.Method+" "+r.URL.Path+" "+r.Header.Get(client.PersonHeader))
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	// Who went away does not want the answer.
	_, _ = w.Write([]byte("{}"))
}

// has tells whether a request came.
func (p *posted) has(line string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.list, line)
}

// The plugin takes commands while it is configured to, and says how that stands.
func TestThePluginTakesCommands(t *testing.T) {
	t.Parallel()
	sim, err := simslack.New(simslack.Options{Token: token, AppToken: "xapp-1", Channels: []string{"C1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	got := &posted{}
	endpoint := httptest.NewServer(got)
	defer endpoint.Close()
	c, err := client.New(client.Options{Endpoint: endpoint.URL, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n := newNotifier()
	n.pace = time.Millisecond
	with := params(t, sim.URL())
	with[paramApp] = "xapp-1"
	if err := n.Config(t.Context(), c, with); err != nil {
		t.Fatal(err)
	}
	eventually(t, "connected", func() bool { return sim.Sockets() == 1 && n.commands().status().Connected })
	if _, err := sim.Slash(t.Context(), simslack.SlashCommand{User: "U9", Channel: "C1", Command: "/metal", Text: "power off m1"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a refusal", func() bool { return len(sim.Ephemerals("U9")) == 1 })
	if said := sim.Ephemerals("U9")[0].Text; strings.Contains(said, "m1") || !strings.Contains(said, "U9") {
		t.Errorf("said %q", said)
	}
	if !got.has("POST /api/v3/events U9") {
		t.Error("it was not written down")
	}

	sim.RevokeAppToken("token_revoked")
	eventually(t, "the token is refused", func() bool { return n.commands().status().Refused })
	answer, err := n.Action(t.Context(), &model.Action{Command: actionStatus})
	if s, ok := answer.(status); err != nil || !ok || !s.Commands.Refused || s.Commands.Error != "token_revoked" {
		t.Errorf("%+v, %v", answer, err)
	}

	sim.RevokeAppToken("")
	if err := n.Config(t.Context(), c, with); err != nil { // another token, say
		t.Fatal(err)
	}
	eventually(t, "connected again", func() bool { return sim.Sockets() == 1 })
	delete(with, paramApp)
	if err := n.Config(t.Context(), c, with); err != nil {
		t.Fatal(err)
	}
	eventually(t, "disconnected", func() bool { return sim.Sockets() == 0 })
	if n.commands() != nil {
		t.Error("commands are taken without an app token")
	}
	if err := stop(t, n); err != nil {
		t.Error(err)
	}
}

// Without an endpoint there is nobody to ask for actions.
func TestNoCommandsWithoutAnEndpoint(t *testing.T) {
	t.Parallel()
	n := newNotifier()
	if _, err := n.openChat(config{app: "xapp-1"}, nil); model.KindOf(err) != model.Invalid {
		t.Errorf("%v", err)
	}
}
