package slack

import (
	"encoding/json"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"
)

// asks is a view with two fields, one of which may stay empty.
const asks = `{"type":"modal","callback_id":"cb","private_metadata":"pm","notify_on_close":true,` +
	`"title":{"type":"plain_text","text":"Sure?"},"submit":{"type":"plain_text","text":"Yes"},"close":{"type":"plain_text","text":"No"},"blocks":[` +
	`{"type":"section","text":{"type":"mrkdwn","text":"Type the *name*"}},` +
	`{"type":"input","block_id":"b1","label":{"type":"plain_text","text":"Name"},"element":{"type":"plain_text_input","action_id":"name","min_length":2,"max_length":4}},` +
	`{"type":"input","block_id":"b2","optional":true,"label":{"type":"plain_text","text":"Why"},"element":{"type":"plain_text_input","action_id":"why"}}]}`

// withView runs a workspace in which a user has a view before them.
func withView(t *testing.T) (*Server, *app, View) {
	t.Helper()
	s, call := start(t, Options{AckTimeout: patience})
	a, _ := join(t, opened(t, call))
	_, trigger, _ := commanded(t, s, a, nil)
	_, body := call("views.open", url.Values{"token": {"xoxb-1"}, "trigger_id": {trigger}, "view": {asks}})
	views := s.Views("U7")
	if body["ok"] != true || len(views) != 1 {
		t.Fatalf("answered %v, views %+v", body, views)
	}
	return s, a, views[0]
}

// submitted submits beside the test.
func submitted(t *testing.T, s *Server, v View, values map[string]string) <-chan answered {
	t.Helper()
	out := make(chan answered, 1)
	go func() {
		r, err := s.Submit(t.Context(), Submission{User: "U7", View: v.ID, Values: values})
		out <- answered{r, err}
	}()
	return out
}

func TestViewIsSubmitted(t *testing.T) {
	s, a, v := withView(t)
	if v.Title != "Sure?" || v.Submit != "Yes" || v.Close != "No" || v.CallbackID != "cb" || v.PrivateMetadata != "pm" || strings.Join(v.Fields(), " ") != "name why" {
		t.Errorf("opened %+v", v)
	}
	got := submitted(t, s, v, map[string]string{"name": "m1"})
	var p struct {
		Type string
		View struct {
			ID, PrivateMetadata string
			State               struct {
				Values map[string]map[string]struct{ Type, Value string }
			}
		}
	}
	e := a.take()
	if err := json.Unmarshal(e.Payload, &p); err != nil || !e.Answers || e.Type != "interactive" || p.Type != "view_submission" || p.View.ID != v.ID {
		t.Errorf("sent %s, %v", e.Payload, err)
	}
	if field := p.View.State.Values["b1"]["name"]; field.Value != "m1" || field.Type != "plain_text_input" || p.View.State.Values["b2"]["why"].Value != "" {
		t.Errorf("sent %+v", p.View.State)
	}
	a.ack(e.ID, nil)
	if r := <-got; r.err != nil || r.reply.Error != "" || len(r.reply.Errors) != 0 || len(s.Views("U7")) != 0 {
		t.Errorf("replied %+v, %v, views %+v", r.reply, r.err, s.Views(""))
	}
}

// TestViewChecksItsFields looks at what does not leave the view.
func TestViewChecksItsFields(t *testing.T) {
	s, _, v := withView(t)
	for value, want := range map[string]string{"": "required", "m": "At least 2", "m1234": "At most 4"} {
		r, err := s.Submit(t.Context(), Submission{User: "U7", View: v.ID, Values: map[string]string{"name": value}})
		if err != nil || !strings.Contains(r.Errors["b1"], want) || r.Envelope != "" {
			t.Errorf("%q: %+v, %v", value, r, err)
		}
	}
	for _, sub := range []Submission{{User: "U8", View: v.ID}, {User: "U7", View: "V0"}} {
		if _, err := s.Submit(t.Context(), sub); err == nil {
			t.Errorf("%+v was submitted", sub)
		}
	}
}

// TestViewAnswers has the app answer a view in each way.
func TestViewAnswers(t *testing.T) {
	other := strings.Replace(asks, "Sure?", "Really?", 1)
	for name, c := range map[string]struct {
		payload any
		titles  string // of the views that are open then
		errors  map[string]string
		err     string
	}{
		"nothing": {nil, "", nil, ""},
		"clear":   {map[string]any{"response_action": "clear"}, "", nil, ""},
		"errors":  {map[string]any{"response_action": "errors", "errors": map[string]string{"b1": "no"}}, "Sure?", map[string]string{"b1": "no"}, ""},
		"update":  {map[string]any{"response_action": "update", "view": json.RawMessage(other)}, "Really?", nil, ""},
		"push":    {map[string]any{"response_action": "push", "view": json.RawMessage(other)}, "Sure? Really?", nil, ""},
		"no view": {map[string]any{"response_action": "push", "view": map[string]any{}}, "Sure?", nil, "it is not one"},
		"unknown": {map[string]any{"response_action": "dance"}, "Sure?", nil, "which is nothing"},
		"words":   {"words", "Sure?", nil, "cannot read"},
	} {
		s, a, v := withView(t)
		got := submitted(t, s, v, map[string]string{"name": "m1"})
		a.ack(a.take().ID, c.payload)
		r := <-got
		var titles []string
		for _, v := range s.Views("U7") {
			titles = append(titles, v.Title)
		}
		if strings.Join(titles, " ") != c.titles || !maps.Equal(r.reply.Errors, c.errors) {
			t.Errorf("%s: views %q, errors %v", name, titles, r.reply.Errors)
		}
		if (r.err == nil) != (c.err == "") || r.err != nil && !strings.Contains(r.err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", name, r.err, c.err)
		}
	}
}

// TestViewStack pushes more views than may be over one another.
func TestViewStack(t *testing.T) {
	s, a, _ := withView(t)
	for n := 1; n <= maxStack; n++ {
		views := s.Views("U7")
		got := submitted(t, s, views[len(views)-1], map[string]string{"name": "m1"})
		a.ack(a.take().ID, map[string]any{"response_action": "push", "view": json.RawMessage(asks)})
		r := <-got
		if (r.err == nil) != (n < maxStack) {
			t.Errorf("push %d: %v", n, r.err)
		}
	}
	if n := len(s.Views("U7")); n != maxStack {
		t.Errorf("%d views are open", n)
	}
}

func TestViewIsDismissed(t *testing.T) {
	s, a, v := withView(t)
	done := make(chan answered, 1)
	go func() {
		r, err := s.Dismiss(t.Context(), "U7", v.ID)
		done <- answered{r, err}
	}()
	e := a.take()
	if !strings.Contains(string(e.Payload), `"type":"view_closed"`) || e.Answers {
		t.Errorf("sent %s", e.Payload)
	}
	a.ack(e.ID, nil)
	if r := <-done; r.err != nil || r.reply.Error != "" || len(s.Views("")) != 0 {
		t.Errorf("replied %+v, %v", r.reply, r.err)
	}
	if _, err := s.Dismiss(t.Context(), "U7", v.ID); err == nil {
		t.Error("it was dismissed twice")
	}
}

func TestViewsOpenOnce(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s, call := start(t, Options{AckTimeout: patience, Now: func() time.Time { return now }})
	a, _ := join(t, opened(t, call))
	_, trigger, _ := commanded(t, s, a, nil)
	_, late, _ := commanded(t, s, a, nil)
	open := func(trigger, view string) string {
		_, body := call("views.open", url.Values{"token": {"xoxb-1"}, "trigger_id": {trigger}, "view": {view}})
		code, _ := body["error"].(string)
		return code
	}
	if got := open(trigger, "{}"); got != "invalid_arguments" {
		t.Errorf("no view: %q", got)
	}
	if got := open(trigger, asks); got != "" {
		t.Errorf("a good one: %q", got)
	}
	if got := open(trigger, asks); got != "exchanged_trigger_id" {
		t.Errorf("again: %q", got)
	}
	if got := open("other", asks); got != "invalid_trigger_id" {
		t.Errorf("another trigger: %q", got)
	}
	now = now.Add(triggerLife)
	if got := open(late, asks); got != "expired_trigger_id" {
		t.Errorf("a late one: %q", got)
	}
	update := url.Values{"token": {"xoxb-1"}, "view_id": {s.Views("")[0].ID}, "view": {strings.Replace(asks, "Sure?", "Now?", 1)}}
	if _, body := call("views.update", update); body["ok"] != true || s.Views("U7")[0].Title != "Now?" {
		t.Errorf("answered %v, views %+v", body, s.Views(""))
	}
	update.Set("view_id", "V0")
	if _, body := call("views.update", update); body["error"] != "not_found" {
		t.Errorf("answered %v", body)
	}
	update.Set("view", "[]")
	if _, body := call("views.update", update); body["error"] != "invalid_arguments" {
		t.Errorf("answered %v", body)
	}
}

func TestViewLimits(t *testing.T) {
	change := func(old, text string) string { return strings.Replace(asks, old, text, 1) }
	long := func(n int) string { return strings.Repeat("x", n) }
	for name, c := range map[string]struct {
		view string
		good bool
	}{
		"as it is":         {asks, true},
		"title 24":         {change("Sure?", long(24)), true},
		"title 25":         {change("Sure?", long(25)), false},
		"submit 25":        {change(`"Yes"`, `"`+long(25)+`"`), false},
		"callback 256":     {change(`"cb"`, `"`+long(256)+`"`), false},
		"private 3000":     {change(`"pm"`, `"`+long(3000)+`"`), true},
		"private 3001":     {change(`"pm"`, `"`+long(3001)+`"`), false},
		"home":             {change(`"modal"`, `"home"`), false},
		"markup in title":  {change(`"title":{"type":"plain_text"`, `"title":{"type":"mrkdwn"`), false},
		"no submit":        {change(`"submit":{"type":"plain_text","text":"Yes"},`, ""), false},
		"same block twice": {change(`"b2"`, `"b1"`), false},
		"bad block":        {change(`"section"`, `"video"`), false},
		"no JSON":          {"{", false},
		"label 2001":       {change(`"text":"Name"`, `"text":"`+long(2001)+`"`), false},
		"long maximum":     {change(`"max_length":4`, `"max_length":3001`), false},
	} {
		if _, ok := parseView([]byte(c.view)); ok != c.good {
			t.Errorf("%s: good is %v", name, ok)
		}
	}
	many := strings.Repeat(`{"type":"divider"},`, maxViewBlocks)
	for n, good := range map[int]bool{maxViewBlocks: true, maxViewBlocks + 1: false} {
		blocks := "[" + many[:len(many)-1] + strings.Repeat(`,{"type":"divider"}`, n-maxViewBlocks) + "]"
		if _, ok := parseView([]byte(`{"type":"modal","title":{"type":"plain_text","text":"x"},"blocks":` + blocks + `}`)); ok != good {
			t.Errorf("%d blocks: good is %v", n, ok)
		}
	}
}
