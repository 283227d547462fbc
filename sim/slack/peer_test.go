package slack_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"
	"time"

	api "github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"provision-plugins/sim/slack"
)

// peer is slack-go's client, connected to a workspace.
type peer struct {
	*socketmode.Client
	sim *slack.Server
}

// patience bounds every wait of these tests.
const patience = 30 * time.Second

// connect runs a workspace and has slack-go's client connect to it; handle gets
// what comes.
func connect(t *testing.T, o slack.Options, handle func(*peer, socketmode.Event)) *peer {
	t.Helper()
	sim, err := slack.New(o)
	if err != nil {
		t.Fatal(err)
	}
	p := dial(t, sim, handle)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := sim.Until(ctx, func() bool { return sim.Sockets() == 1 }); err != nil {
		t.Fatalf("slack-go did not connect: %v", err)
	}
	return p
}

// dial has slack-go's client connect to a workspace, which is closed with it.
func dial(t *testing.T, sim *slack.Server, handle func(*peer, socketmode.Event)) *peer {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	web := api.New("xoxb-1", api.OptionAppLevelToken("xapp-1"), api.OptionAPIURL(sim.URL()), api.OptionHTTPClient(client))
	p := &peer{Client: socketmode.New(web, socketmode.OptionLog(log.New(io.Discard, "", 0))), sim: sim}
	ctx, cancel := context.WithCancel(t.Context())
	ran, handled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ran)
		// It ends with ctx, or by the refusal a test provokes.
		_ = p.RunContext(ctx)
	}()
	go func() {
		defer close(handled)
		for {
			select {
			case e := <-p.Events:
				handle(p, e)
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
		<-ran
		<-handled
		client.CloseIdleConnections()
	})
	return p
}

// TestPeerCommandAndClick has slack-go answer a command with a button, and the
// click on it by an edit.
func TestPeerCommandAndClick(t *testing.T) {
	clicked := make(chan api.InteractionCallback, 1)
	p := connect(t, slack.Options{Channels: []string{"C1=ops"}}, func(p *peer, e socketmode.Event) {
		switch data := e.Data.(type) {
		case api.SlashCommand:
			p.Ack(*e.Request, map[string]any{"response_type": "in_channel", "text": "for " + data.UserID + ": " + data.Text, "blocks": []any{
				map[string]any{"type": "actions", "block_id": "b1", "elements": []any{
					map[string]any{"type": "button", "action_id": "go", "value": "v1", "text": map[string]any{"type": "plain_text", "text": "Go"}},
				}},
			}})
		case api.InteractionCallback:
			p.Ack(*e.Request)
			clicked <- data
		}
	})
	r, err := p.sim.Slash(t.Context(), slack.SlashCommand{User: "U7", Channel: "#ops", Command: "/metal", Text: "status a b"})
	if err != nil || r.Error != "" || r.Message == nil || r.Message.Text != "for U7: status a b" || r.Message.Channel != "C1" {
		t.Fatalf("replied %+v, %v", r, err)
	}
	r, err = p.sim.Click(t.Context(), slack.Click{User: "U8", Channel: "C1", TS: r.Message.TS, ActionID: "go"})
	if err != nil || r.Error != "" {
		t.Fatalf("replied %+v, %v", r, err)
	}
	data := <-clicked
	action := data.ActionCallback.BlockActions[0]
	if data.User.ID != "U8" || action.ActionID != "go" || action.Value != "v1" || action.BlockID != "b1" || data.Message.Text != "for U7: status a b" {
		t.Errorf("slack-go read %+v", data)
	}
	_, _, err = p.PostMessageContext(t.Context(), "", api.MsgOptionReplaceOriginal(data.ResponseURL), api.MsgOptionText("done", false))
	if got := p.sim.Messages(); err != nil || len(got) != 1 || got[0].Text != "done" || got[0].Edits != 1 {
		t.Errorf("posted %+v, %v", got, err)
	}
	if told := p.sim.Complaints(); len(told) != 0 {
		t.Errorf("complained: %s", strings.Join(told, "; "))
	}
}
