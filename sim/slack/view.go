package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"
)

const (
	// triggerLife is how long a trigger_id opens a view.
	triggerLife = 3 * time.Second

	maxViewBlocks = 100
	maxViewTitle  = 24
	maxCallbackID = 255
	maxPrivate    = 3000
	maxStack      = 3 // views over one another
)

// View is a modal that a user has before them.
type View struct {
	// ID names it.
	ID string

	// User is who has it before them.
	User string

	// Title, Submit and Close are the texts of its frame.
	Title, Submit, Close string

	// CallbackID and PrivateMetadata are the app's own.
	CallbackID, PrivateMetadata string

	// Blocks are what is in it.
	Blocks json.RawMessage

	// Errors are what the app said of its fields, by block_id.
	Errors map[string]string

	notify bool   // the app wants to know when it is closed
	under  string // the view it was pushed upon
}

// viewArgument is a view as the app gives it.
type viewArgument struct {
	Type            string          `json:"type"`
	Title           *text           `json:"title"`
	Submit          *text           `json:"submit"`
	Close           *text           `json:"close"`
	Blocks          json.RawMessage `json:"blocks"`
	CallbackID      string          `json:"callback_id"`
	PrivateMetadata string          `json:"private_metadata"`
	NotifyOnClose   bool            `json:"notify_on_close"`
}

// parseView reads a view and holds it against the documented limits.
func parseView(raw []byte) (v View, ok bool) {
	var a viewArgument
	if json.Unmarshal(raw, &a) != nil || a.Type != "modal" || a.Title == nil {
		return View{}, false
	}
	for _, t := range []*text{a.Title, a.Submit, a.Close} {
		if t == nil {
			continue
		}
		if _, ok := t.check(maxViewTitle); !ok || t.Type != plainText {
			return View{}, false
		}
	}
	blocks, good := parseBlocks(a.Blocks, maxViewBlocks)
	inputs := slices.ContainsFunc(blocks, func(b block) bool { return b.Type == "input" })
	if !good || inputs && a.Submit == nil || utf8.RuneCountInString(a.CallbackID) > maxCallbackID || utf8.RuneCountInString(a.PrivateMetadata) > maxPrivate {
		return View{}, false
	}
	v = View{Title: a.Title.Text, CallbackID: a.CallbackID, PrivateMetadata: a.PrivateMetadata, Blocks: a.Blocks, notify: a.NotifyOnClose}
	if a.Submit != nil {
		v.Submit = a.Submit.Text
	}
	if a.Close != nil {
		v.Close = a.Close.Text
	}
	return v, true
}

// Views returns the views a user has before them, the top one last; without a user
// those of all.
func (s *Server) Views(user string) []View {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []View
	for _, v := range s.views {
		if user == "" || v.User == user {
			out = append(out, *v)
		}
	}
	return out
}

// viewsOpen opens a view for who has just interacted.
func (s *Server) viewsOpen(form url.Values) map[string]any {
	next, ok := parseView([]byte(form.Get("view")))
	if !ok {
		return refuse("invalid_arguments")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var from *hook
	for _, h := range s.hooks {
		if h.trigger == form.Get("trigger_id") {
			from = h
		}
	}
	switch {
	case from == nil:
		return refuse("invalid_trigger_id")
	case from.viewed:
		return refuse("exchanged_trigger_id")
	case s.opts.Now().Sub(from.born) >= triggerLife:
		return refuse("expired_trigger_id")
	}
	from.viewed = true
	return map[string]any{"ok": true, "view": s.show(next, from.user).object(nil)}
}

// viewsUpdate exchanges what is in a view.
func (s *Server) viewsUpdate(form url.Values) map[string]any {
	next, ok := parseView([]byte(form.Get("view")))
	if !ok {
		return refuse("invalid_arguments")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.viewOf(form.Get("view_id"), "")
	if v == nil {
		return refuse("not_found")
	}
	v.become(next)
	s.changedNow()
	return map[string]any{"ok": true, "view": v.object(nil)}
}

// show puts a view before a user. It is called with mu held.
func (s *Server) show(v View, user string) *View {
	s.seq++
	v.ID, v.User = fmt.Sprintf("V%d", s.seq), user
	s.views = append(s.views, &v)
	s.changedNow()
	return &v
}

// become exchanges what is in a view.
func (v *View) become(next View) {
	next.ID, next.User, next.under = v.ID, v.User, v.under
	*v = next
}

// viewOf is a view by its id, nil if there is none that the user has before them;
// no user is any. It is called with mu held.
func (s *Server) viewOf(id, user string) *View {
	for _, v := range s.views {
		if v.ID == id && (user == "" || v.User == user) {
			return v
		}
	}
	return nil
}

// object is a view as the API tells it.
func (v *View) object(state map[string]any) map[string]any {
	if state == nil {
		state = map[string]any{}
	}
	out := map[string]any{
		"id": v.ID, "type": "modal", "team_id": teamID, "app_id": appID, "bot_id": botID, "hash": v.ID + ".hash",
		"title": plain(v.Title), "blocks": v.Blocks, "callback_id": v.CallbackID, "private_metadata": v.PrivateMetadata,
		"notify_on_close": v.notify, "state": map[string]any{"values": state}, "root_view_id": v.ID, "previous_view_id": nil,
		"submit": nil, "close": nil,
	}
	if v.Submit != "" {
		out["submit"] = plain(v.Submit)
	}
	if v.Close != "" {
		out["close"] = plain(v.Close)
	}
	if v.under != "" {
		out["previous_view_id"] = v.under
	}
	return out
}

// plain is a text object.
func plain(words string) map[string]any {
	return map[string]any{"type": plainText, "text": words, "emoji": true}
}

// Submission is what a user enters into a view.
type Submission struct {
	// User is who submits it, and View the view's id.
	User, View string

	// Values are what the user entered, by action_id.
	Values map[string]string
}

// Submit submits a view and waits until the app has acknowledged it, or its time is
// over. What the view itself does not let pass is in Errors, and not sent. The
// error is one of the caller.
func (s *Server) Submit(ctx context.Context, sub Submission) (Reply, error) {
	s.mu.Lock()
	user, ok := s.user(sub.User)
	v := s.viewOf(sub.View, sub.User)
	if !ok || v == nil {
		s.mu.Unlock()
		return Reply{}, fmt.Errorf("cannot submit: user %q has no view %q before them", sub.User, sub.View)
	}
	state, faults := v.entered(sub.Values)
	object := v.object(state)
	s.mu.Unlock()
	if len(faults) > 0 {
		return Reply{Errors: faults}, nil
	}
	e := &Envelope{Type: typeInteract, answers: true}
	payload := s.interaction("view_submission", user, s.newHook(hook{user: user.ID}))
	payload["view"], payload["response_urls"] = object, []any{}
	seen, err := s.dispatch(ctx, e, payload)
	r := Reply{Envelope: e.ID, Error: seen, Payload: s.answerOf(e)}
	if err != nil || seen != "" {
		return r, err
	}
	r.Errors, err = s.submitted(v, r.Payload)
	return r, err
}

// submitted does with a view what the app's acknowledgement asks for: by default
// it closes. What it returns are errors of its fields.
func (s *Server) submitted(v *View, payload json.RawMessage) (map[string]string, error) {
	var a struct {
		Action string            `json:"response_action"`
		Errors map[string]string `json:"errors"`
		View   json.RawMessage   `json:"view"`
	}
	if len(payload) > 0 {
		if err := json.Unmarshal(payload, &a); err != nil {
			return nil, fmt.Errorf("cannot read the answer to the view: %w", err)
		}
	}
	next, good := parseView(a.View)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.changedNow()
	switch a.Action {
	case "":
		s.closed(func(other *View) bool { return other == v })
	case "clear":
		s.closed(func(other *View) bool { return other.User == v.User })
	case "errors":
		v.Errors = a.Errors
		return a.Errors, nil
	case "update", "push":
		if !good {
			return nil, fmt.Errorf("cannot %s the view: it is not one", a.Action)
		}
		if a.Action == "update" {
			v.become(next)
			return nil, nil
		}
		if s.depth(v.User) >= maxStack {
			return nil, fmt.Errorf("cannot push a view: %d are open", maxStack)
		}
		next.under = v.ID
		s.show(next, v.User)
	default:
		return nil, fmt.Errorf("the app answered the view with %q, which is nothing", a.Action)
	}
	return nil, nil
}

// closed takes views away. It is called with mu held.
func (s *Server) closed(which func(*View) bool) { s.views = slices.DeleteFunc(s.views, which) }

// depth counts the views a user has before them. It is called with mu held.
func (s *Server) depth(user string) (n int) {
	for _, v := range s.views {
		if v.User == user {
			n++
		}
	}
	return n
}

// Dismiss closes a view without submitting it, and tells the app if it wants to
// know.
func (s *Server) Dismiss(ctx context.Context, user, view string) (Reply, error) {
	s.mu.Lock()
	who, _ := s.user(user)
	v := s.viewOf(view, user)
	s.closed(func(other *View) bool { return other == v })
	s.changedNow()
	s.mu.Unlock()
	if v == nil {
		return Reply{}, fmt.Errorf("cannot close: user %q has no view %q before them", user, view)
	}
	if !v.notify {
		return Reply{}, nil
	}
	e := &Envelope{Type: typeInteract}
	payload := s.interaction("view_closed", who, s.newHook(hook{user: user}))
	payload["view"], payload["is_cleared"] = v.object(nil), false
	seen, err := s.dispatch(ctx, e, payload)
	return Reply{Envelope: e.ID, Error: seen, Payload: s.answerOf(e)}, err
}

// Fields returns the action_ids of a view's fields, in order.
func (v *View) Fields() []string {
	var out []string
	blocks, _ := parseBlocks(v.Blocks, maxViewBlocks) // they were good when it was opened
	for _, b := range blocks {
		if b.Type == "input" {
			out = append(out, b.Element.ActionID)
		}
	}
	return out
}

// entered is the state of a view with values in its fields, by block and action;
// faults are what the view itself says of them, by block.
func (v *View) entered(values map[string]string) (state map[string]any, faults map[string]string) {
	state, faults = map[string]any{}, map[string]string{}
	blocks, _ := parseBlocks(v.Blocks, maxViewBlocks) // they were good when it was opened
	for _, b := range blocks {
		if b.Type != "input" {
			continue
		}
		field := b.Element
		value, n := values[field.ActionID], utf8.RuneCountInString(values[field.ActionID])
		switch {
		case n == 0 && !b.Optional:
			faults[b.BlockID] = "Please complete this required field."
		case n > 0 && n < field.MinLength:
			faults[b.BlockID] = fmt.Sprintf("At least %d characters are required.", field.MinLength)
		case field.MaxLength > 0 && n > field.MaxLength:
			faults[b.BlockID] = fmt.Sprintf("At most %d characters are allowed.", field.MaxLength)
		}
		entry := map[string]any{"type": field.Type, "value": value}
		if n == 0 {
			entry["value"] = nil
		}
		state[b.BlockID] = map[string]any{field.ActionID: entry}
	}
	return state, faults
}
