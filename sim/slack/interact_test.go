package slack

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// asked is a message with buttons in blocks, in a section and in an attachment.
const (
	askedBlocks = `[{"type":"section","block_id":"s","text":{"type":"mrkdwn","text":"m1 is down"},"accessory":{"type":"button","action_id":"more","value":"v0","text":{"type":"plain_text","text":"More"}}},` +
		`{"type":"actions","block_id":"a","elements":[{"type":"button","action_id":"go","style":"danger","value":"v1","text":{"type":"plain_text","text":"Go"}}]},` +
		`{"type":"actions","block_id":"b","elements":[{"type":"button","action_id":"go","value":"v2","text":{"type":"plain_text","text":"Go too"}}]}]`
	askedMore = `[{"color":"#ff0000","blocks":[{"type":"actions","elements":[{"type":"button","action_id":"ack","value":"v3","text":{"type":"plain_text","text":"Ack"}}]}]}]`
)

// click clicks beside the test.
func click(t *testing.T, s *Server, c Click) <-chan answered {
	t.Helper()
	out := make(chan answered, 1)
	go func() {
		r, err := s.Click(t.Context(), c)
		out <- answered{r, err}
	}()
	return out
}

// clicked is the payload of a click.
type clicked struct {
	Type    string
	User    struct{ ID string }
	Channel struct{ ID string }
	Message struct{ TS string }
	Actions []struct {
		ActionID    string `json:"action_id"`
		BlockID     string `json:"block_id"`
		Value, Type string
		Text        text
	}
	ResponseURL string `json:"response_url"`
	Container   struct {
		TS    string `json:"message_ts"`
		Alone bool   `json:"is_ephemeral"`
	}
}

func TestClicks(t *testing.T) {
	s, call := start(t, Options{AckTimeout: patience})
	a, _ := join(t, opened(t, call))
	form := post("C1", "m1 is down")
	form.Set("blocks", askedBlocks)
	form.Set("attachments", askedMore)
	_, body := call("chat.postMessage", form)
	ts, _ := body["ts"].(string)
	for _, c := range []struct {
		click        Click
		block, value string
		label        string
	}{
		{Click{ActionID: "more"}, "s", "v0", "More"},
		{Click{ActionID: "go"}, "a", "v1", "Go"},
		{Click{ActionID: "go", BlockID: "b"}, "b", "v2", "Go too"},
		{Click{ActionID: "ack"}, "sim0", "v3", "Ack"},
		{Click{ActionID: "ack", Value: "forged"}, "sim0", "forged", "Ack"},
	} {
		c.click.User, c.click.Channel, c.click.TS = "U7", "C1", ts
		got := click(t, s, c.click)
		e := a.take()
		var p clicked
		if err := json.Unmarshal(e.Payload, &p); err != nil || e.Type != "interactive" || e.Answers {
			t.Fatalf("sent %+v, %v", e, err)
		}
		a.ack(e.ID, nil)
		if r := <-got; r.err != nil || r.reply.Error != "" {
			t.Errorf("replied %+v, %v", r.reply, r.err)
		}
		if p.Type != "block_actions" || p.User.ID != "U7" || p.Channel.ID != "C1" || p.Message.TS != ts || p.Container.TS != ts || p.Container.Alone || len(p.Actions) != 1 {
			t.Errorf("sent %s", e.Payload)
			continue
		}
		if action := p.Actions[0]; action.ActionID != c.click.ActionID || action.BlockID != c.block || action.Value != c.value || action.Text.Text != c.label || action.Type != "button" {
			t.Errorf("%+v: sent %+v", c.click, action)
		}
	}
	for _, c := range []Click{
		{User: "U7", Channel: "C1", TS: ts, ActionID: "other"},
		{User: "U7", Channel: "C1", TS: ts, ActionID: "go", BlockID: "s"},
		{User: "U7", Channel: "C1", TS: "1.0", ActionID: "go"},
		{User: "X7", Channel: "C1", TS: ts, ActionID: "go"},
	} {
		if _, err := s.Click(t.Context(), c); err == nil || !strings.HasPrefix(err.Error(), "cannot click") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestClickOnWhatOneSees clicks a button that one user alone has, and answers by
// taking it away.
func TestClickOnWhatOneSees(t *testing.T) {
	s, call := start(t, Options{AckTimeout: patience})
	a, _ := join(t, opened(t, call))
	form := post("C1", "sure?")
	form.Set("user", "U7")
	form.Set("blocks", askedBlocks)
	_, body := call("chat.postEphemeral", form)
	ts, _ := body["message_ts"].(string)
	if _, err := s.Click(t.Context(), Click{User: "U8", Channel: "C1", TS: ts, ActionID: "go"}); err == nil {
		t.Error("another user clicked it")
	}
	got := click(t, s, Click{User: "U7", Channel: "C1", TS: ts, ActionID: "go"})
	e := a.take()
	var p clicked
	if err := json.Unmarshal(e.Payload, &p); err != nil || !p.Container.Alone || p.Message.TS != "" {
		t.Errorf("sent %s, %v", e.Payload, err)
	}
	a.ack(e.ID, nil)
	if r := <-got; r.err != nil {
		t.Error(r.err)
	}
	if code, body := respond(t, p.ResponseURL, `{"replace_original":true,"text":"done"}`); code != 200 || s.Ephemerals("U7")[0].Text != "done" {
		t.Errorf("answered %d %s, kept %+v", code, body, s.Messages())
	}
	if code, body := respond(t, p.ResponseURL, `{"delete_original":"true"}`); code != 200 || len(s.Messages()) != 0 {
		t.Errorf("answered %d %s, kept %+v", code, body, s.Messages())
	}
}

// TestClickThatNobodyTakes has the user see an error.
func TestClickThatNobodyTakes(t *testing.T) {
	s, call := start(t, Options{})
	form := post("C1", "x")
	form.Set("blocks", askedBlocks)
	_, body := call("chat.postMessage", form)
	ts, _ := body["ts"].(string)
	r, err := s.Click(t.Context(), Click{User: "U7", Channel: "C1", TS: ts, ActionID: "go"})
	if err != nil || r.Error != NotConnected || len(s.Ephemerals("U7")) != 1 {
		t.Errorf("replied %+v, %v; told %+v", r, err, s.Ephemerals("U7"))
	}
}

func TestPeople(t *testing.T) {
	s, call := start(t, Options{
		Users:  []User{{ID: "U1", Name: "alice", Email: "Alice@example.com"}, {ID: "U2", Deleted: true, Email: "bob@example.com"}, {ID: "U3", Bot: true}},
		Groups: []Group{{ID: "S1", Handle: "oncall", Users: []string{"U1", "U3"}}, {ID: "S2", Handle: "old", Users: []string{"U2"}, Disabled: true}},
	})
	for _, c := range []struct {
		method, form string
		want         string // somewhere in the answer
	}{
		{"users.info", "user=U1", `"name":"alice"`},
		{"users.info", "user=U1", `"email":"Alice@example.com"`},
		{"users.info", "user=U2", `"deleted":true`},
		{"users.info", "user=U3", `"is_bot":true`},
		{"users.info", "user=" + botUser, `"id":"` + botUser + `"`},
		{"users.info", "user=U9", `"error":"user_not_found"`},
		{"users.lookupByEmail", "email=alice@example.com", `"id":"U1"`},
		{"users.lookupByEmail", "email=bob@example.com", `"error":"users_not_found"`},
		{"users.list", "", `"id":"U3"`},
		{"users.list", "limit=2", `"next_cursor":"2"`},
		{"users.list", "limit=2&cursor=2", `"id":"U2"`},
		{"usergroups.list", "", `"usergroups":[{"date_delete":0`},
		{"usergroups.list", "include_users=true", `"users":["U1","U3"]`},
		{"usergroups.list", "include_disabled=1", `"handle":"old"`},
		{"usergroups.users.list", "usergroup=S1", `"users":["U1","U3"]`},
		{"usergroups.users.list", "usergroup=S2", `"error":"no_such_subteam"`},
		{"usergroups.users.list", "usergroup=S2&include_disabled=true", `"users":["U2"]`},
		{"chat.postEphemeral", "channel=C1&text=x&user=U9", `"error":"user_not_found"`},
	} {
		form, err := url.ParseQuery(c.form)
		if err != nil {
			t.Fatal(err)
		}
		form.Set("token", "xoxb-1")
		_, body := call(c.method, form)
		raw, _ := json.Marshal(body)
		if !strings.Contains(string(raw), c.want) {
			t.Errorf("%s %s: %s, want %s", c.method, c.form, raw, c.want)
		}
	}
	s.SetUsers(User{ID: "U5"})
	s.SetGroups()
	if _, body := call("users.info", url.Values{"token": {"x"}, "user": {"U1"}}); body["ok"] != false {
		t.Errorf("answered %v", body)
	}
	if _, err := s.Slash(t.Context(), SlashCommand{User: "U1", Channel: "C1", Command: "/x"}); err == nil {
		t.Error("a user that is not there typed")
	}
}

func TestAddressesTakeAScope(t *testing.T) {
	_, call := start(t, Options{Scopes: []string{"users:read", "usergroups:read"}, Users: []User{{ID: "U1", Email: "a@example.com"}}})
	for _, method := range []string{"users.info", "users.list"} {
		_, body := call(method, url.Values{"token": {"x"}, "user": {"U1"}})
		if raw, _ := json.Marshal(body); strings.Contains(string(raw), "example.com") || body["ok"] != true {
			t.Errorf("%s: %s", method, raw)
		}
	}
	if _, body := call("users.lookupByEmail", url.Values{"token": {"x"}, "email": {"a@example.com"}}); body["needed"] != "users:read.email" {
		t.Errorf("answered %v", body)
	}
}
