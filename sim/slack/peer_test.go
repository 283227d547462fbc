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

// TestPeerView has slack-go open a view at a click on a button, refuse what is typed,
// and take it.
func TestPeerView(t *testing.T) {
	view := api.ModalViewRequest{
		Type: api.VTModal, CallbackID: "confirm", PrivateMetadata: "p1",
		Title: api.NewTextBlockObject("plain_text", "Power off 20 machines", false, false), Submit: api.NewTextBlockObject("plain_text", "Power off", false, false),
		Blocks: api.Blocks{BlockSet: []api.Block{api.NewInputBlock("b1", api.NewTextBlockObject("plain_text", "Type the number", false, false), nil,
			api.NewPlainTextInputBlockElement(nil, "number"))}},
	}
	opened := make(chan error, 1)
	p := connect(t, slack.Options{AckTimeout: patience}, func(p *peer, e socketmode.Event) {
		switch data := e.Data.(type) {
		case api.SlashCommand:
			p.Ack(*e.Request)
			_, err := p.OpenViewContext(t.Context(), data.TriggerID, view)
			opened <- err
		case api.InteractionCallback:
			if data.View.PrivateMetadata != "p1" || data.View.CallbackID != "confirm" {
				t.Errorf("slack-go read the view as %+v", data.View)
			}
			if data.View.State.Values["b1"]["number"].Value == "20" {
				p.Ack(*e.Request)
				return
			}
			p.Ack(*e.Request, api.NewErrorsViewSubmissionResponse(map[string]string{"b1": "That is not the number."}))
		}
	})
	if r, err := p.sim.Slash(t.Context(), slack.SlashCommand{User: "U7", Channel: "C1", Command: "/metal", Text: "power off @all"}); err != nil || r.Error != "" {
		t.Fatalf("replied %+v, %v", r, err)
	}
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	id := p.sim.Views("U7")[0].ID
	for value, wrong := range map[string]string{"": "Please complete this required field.", "19": "That is not the number."} {
		r, err := p.sim.Submit(t.Context(), slack.Submission{User: "U7", View: id, Values: map[string]string{"number": value}})
		if err != nil || r.Errors["b1"] != wrong || len(p.sim.Views("U7")) != 1 {
			t.Errorf("%q: %+v, %v", value, r, err)
		}
	}
	r, err := p.sim.Submit(t.Context(), slack.Submission{User: "U7", View: id, Values: map[string]string{"number": "20"}})
	if err != nil || r.Error != "" || len(p.sim.Views("U7")) != 0 {
		t.Errorf("replied %+v, %v", r, err)
	}
}

// TestPeerConnectsAnew has slack-go's sockets be refreshed and broken, and its token
// revoked.
func TestPeerConnectsAnew(t *testing.T) {
	p := connect(t, slack.Options{AckTimeout: patience}, func(p *peer, e socketmode.Event) {
		if _, ok := e.Data.(api.SlashCommand); ok {
			p.Ack(*e.Request)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for n, end := range []func(){func() { p.sim.Disconnect("refresh_requested") }, p.sim.Drop, func() { p.sim.Disconnect("warning") }} {
		end()
		if err := p.sim.Until(ctx, func() bool { return p.sim.Opened() >= n+2 && p.sim.Sockets() == 1 }); err != nil {
			t.Fatalf("end %d: slack-go did not connect again: %v", n, err)
		}
		if r, err := p.sim.Slash(ctx, slack.SlashCommand{User: "U7", Channel: "C1", Command: "/metal"}); err != nil || r.Error != "" {
			t.Errorf("end %d: replied %+v, %v", n, r, err)
		}
	}
	p.sim.RevokeAppToken("token_revoked")
	if _, _, err := p.OpenContext(ctx); err == nil || err.Error() != "token_revoked" {
		t.Errorf("slack-go read %v", err)
	}
}

// TestPeerWeb calls the methods of the Web API by slack-go.
func TestPeerWeb(t *testing.T) {
	sim, err := slack.New(slack.Options{
		Channels: []string{"C1=ops"}, Users: []slack.User{{ID: "U1", Name: "alice", Email: "alice@example.com"}},
		Groups: []slack.Group{{ID: "S1", Handle: "oncall", Users: []string{"U1"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := dial(t, sim, func(*peer, socketmode.Event) {})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if who, err := p.AuthTestContext(ctx); err != nil || who.UserID == "" || who.TeamID != "T1" {
		t.Errorf("auth.test: %+v, %v", who, err)
	}
	channel, ts, err := p.PostMessageContext(ctx, "#ops", api.MsgOptionText("root", false), api.MsgOptionMetadata(api.SlackMetadata{EventType: "oob", EventPayload: map[string]any{"id": "e1"}}))
	if err != nil || channel != "C1" {
		t.Fatalf("posted in %q, %v", channel, err)
	}
	if _, _, _, err := p.UpdateMessageContext(ctx, "C1", ts, api.MsgOptionText("edited", false)); err != nil {
		t.Errorf("chat.update: %v", err)
	}
	if _, err := p.PostEphemeralContext(ctx, "C1", "U1", api.MsgOptionText("psst", false)); err != nil {
		t.Errorf("chat.postEphemeral: %v", err)
	}
	if _, err := p.UploadFileContext(ctx, api.UploadFileParameters{Channel: "C1", ThreadTimestamp: ts, Filename: "sel.txt", FileSize: 5, Content: "lines", Title: "Event log"}); err != nil {
		t.Errorf("upload: %v", err)
	}
	h, err := p.GetConversationHistoryContext(ctx, &api.GetConversationHistoryParameters{ChannelID: "C1", IncludeAllMetadata: true})
	if err != nil || len(h.Messages) != 1 || h.Messages[0].Text != "edited" || h.Messages[0].Metadata.EventPayload["id"] != "e1" {
		t.Errorf("history: %+v, %v", h, err)
	}
	thread, _, _, err := p.GetConversationRepliesContext(ctx, &api.GetConversationRepliesParameters{ChannelID: "C1", Timestamp: ts})
	if err != nil || len(thread) != 2 || len(thread[1].Files) != 1 || thread[1].Files[0].Title != "Event log" {
		t.Errorf("replies: %+v, %v", thread, err)
	}
	if err := p.AddReactionContext(ctx, "eyes", api.NewRefToMessage("C1", ts)); err != nil {
		t.Errorf("reactions.add: %v", err)
	}
	if list, _, err := p.GetConversationsContext(ctx, &api.GetConversationsParameters{}); err != nil || len(list) != 1 || list[0].Name != "ops" || !list[0].IsMember {
		t.Errorf("conversations.list: %+v, %v", list, err)
	}
	if u, err := p.GetUserByEmailContext(ctx, "alice@example.com"); err != nil || u.ID != "U1" {
		t.Errorf("users.lookupByEmail: %+v, %v", u, err)
	}
	if u, err := p.GetUserInfoContext(ctx, "U9"); err == nil || err.Error() != "user_not_found" {
		t.Errorf("users.info: %+v, %v", u, err)
	}
	if all, err := p.GetUsersContext(ctx); err != nil || len(all) != 2 {
		t.Errorf("users.list: %+v, %v", all, err)
	}
	if groups, err := p.GetUserGroupsContext(ctx, api.GetUserGroupsOptionIncludeUsers(true)); err != nil || len(groups) != 1 || groups[0].Handle != "oncall" || len(groups[0].Users) != 1 {
		t.Errorf("usergroups.list: %+v, %v", groups, err)
	}
	if members, err := p.GetUserGroupMembersContext(ctx, "S1"); err != nil || len(members) != 1 || members[0] != "U1" {
		t.Errorf("usergroups.users.list: %v, %v", members, err)
	}
	want := "    file Event log (5 bytes)\n        | lines\n"
	if text := sim.Text("ops"); !strings.Contains(text, want) || len(sim.Complaints()) != 0 {
		t.Errorf("reads\n%s\ncomplaints %q", text, sim.Complaints())
	}
}
