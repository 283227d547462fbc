package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// maxText is where Slack cuts a text, in characters.
const maxText = 40_000

// Message is one message.
type Message struct {
	// Channel is the id of where it is.
	Channel string

	// Text, Blocks and Attachments are what it says now.
	Text string

	// TS names it; it is unique within the workspace.
	TS string

	// ThreadTS is the message it is in the thread of, empty for none.
	ThreadTS string `json:",omitempty"`

	// ClientMsgID is what the client called it.
	ClientMsgID string `json:",omitempty"`

	Blocks      json.RawMessage `json:",omitempty"`
	Attachments json.RawMessage `json:",omitempty"`

	// Broadcast tells that a reply is shown in the channel too.
	Broadcast bool `json:",omitempty"`

	// Metadata is what the client tied to it.
	Metadata json.RawMessage `json:",omitempty"`

	// Files are those it shares.
	Files []File `json:",omitempty"`

	// Reactions are the names of the app's, without colons.
	Reactions []string `json:",omitempty"`

	// Edits counts its edits.
	Edits int `json:",omitempty"`

	// User is who alone sees it, empty for all.
	User string `json:",omitempty"`

	// Author is who says it: empty for the app, slackbot for Slack itself.
	Author string `json:",omitempty"`
}

// slackbot is the author of what Slack itself says.
const slackbot = "slackbot"

// Messages returns what is posted, in order.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.copies()
}

// Ephemerals returns the messages that a user alone sees, in order.
func (s *Server) Ephemerals(user string) []Message {
	return slices.DeleteFunc(s.Messages(), func(m Message) bool { return m.User != user })
}

// copies are the messages, as they are now. It is called with mu held.
func (s *Server) copies() []Message {
	out := make([]Message, 0, len(s.messages))
	for _, m := range s.messages {
		out = append(out, *m)
	}
	return out
}

// Calls returns how often a method was called, refused calls included.
func (s *Server) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// Wait returns when the messages satisfy enough, or with ctx's error.
func (s *Server) Wait(ctx context.Context, enough func([]Message) bool) error {
	if err := s.Until(ctx, func() bool { return enough(s.Messages()) }); err != nil {
		return fmt.Errorf("waited for messages, %d came: %w", len(s.Messages()), err)
	}
	return nil
}

// Until returns when a condition holds, or with ctx's error. The condition is asked
// at first and after each change of the workspace: a message, a socket, an
// envelope, a view.
func (s *Server) Until(ctx context.Context, holds func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if holds() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// content is what a call says, checked; code is Slack's refusal of it.
func content(form url.Values) (m Message, code string) {
	m = Message{Text: form.Get("text"), ClientMsgID: form.Get("client_msg_id")}
	for name, to := range map[string]*json.RawMessage{"blocks": &m.Blocks, "attachments": &m.Attachments, "metadata": &m.Metadata} {
		if text := form.Get(name); text != "" {
			*to = json.RawMessage(text)
		}
	}
	if m.Text == "" && len(m.Blocks) == 0 && len(m.Attachments) == 0 {
		return m, "no_text"
	}
	if runes := []rune(m.Text); len(runes) > maxText {
		m.Text = string(runes[:maxText])
	}
	if code := checkMetadata(m.Metadata); code != "" {
		return m, code
	}
	return m, checkLayout(m.Blocks, m.Attachments)
}

// checkMetadata returns Slack's refusal of a message's metadata, empty if it is
// good or there is none.
func checkMetadata(raw json.RawMessage) (code string) {
	var m struct {
		Type    *string                     `json:"event_type"`
		Payload *map[string]json.RawMessage `json:"event_payload"`
	}
	switch {
	case raw == nil:
		return ""
	case json.Unmarshal(raw, &m) != nil:
		return "invalid_metadata_format"
	case (m.Type == nil || *m.Type == "") && m.Payload == nil:
		return "" // as slack-go writes that there is none
	case m.Type == nil || *m.Type == "" || m.Payload == nil:
		return "invalid_metadata_schema"
	}
	return ""
}

// changedNow wakes those who wait. It is called with mu held.
func (s *Server) changedNow() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// find is a message of a channel, nil if it is not there. It is called with mu
// held.
func (s *Server) find(channel, ts string) *Message {
	i := slices.IndexFunc(s.messages, func(m *Message) bool { return m.Channel == channel && m.TS == ts && m.User == "" })
	if i < 0 {
		return nil
	}
	return s.messages[i]
}

// postMessage keeps a message.
func (s *Server) postMessage(form url.Values) map[string]any {
	return s.keep(form, func(m *Message, _ Channel) string {
		m.ThreadTS = form.Get("thread_ts")
		if root := s.find(m.Channel, m.ThreadTS); m.ThreadTS != "" && root == nil {
			return "thread_not_found"
		}
		m.Broadcast = m.ThreadTS != "" && yes(form, "reply_broadcast")
		s.twice(m)
		return ""
	})
}

// postEphemeral keeps a message that one user sees.
func (s *Server) postEphemeral(form url.Values) map[string]any {
	body := s.keep(form, func(m *Message, c Channel) string {
		u, ok := s.user(form.Get("user"))
		switch {
		case !ok:
			return "user_not_found"
		case !c.has(u.ID):
			return "user_not_in_channel"
		}
		m.User, m.ThreadTS = u.ID, form.Get("thread_ts")
		return ""
	})
	if body["ok"] == true {
		body = map[string]any{"ok": true, "message_ts": body["ts"]}
	}
	return body
}

// keep keeps the message of a call, unless check refuses it.
func (s *Server) keep(form url.Values, check func(m *Message, c Channel) (code string)) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, code := s.writable(form)
	if code != "" {
		return refuse(code)
	}
	m, code := content(form)
	if code != "" {
		return refuse(code)
	}
	m.Channel = c.ID
	if code := check(&m, c); code != "" {
		return refuse(code)
	}
	m.TS = s.nextTS()
	s.messages = append(s.messages, &m)
	s.changedNow()
	return map[string]any{"ok": true, "channel": c.ID, "ts": m.TS, "message": m.object(true)}
}

// nextTS is a timestamp no message has. It is called with mu held.
func (s *Server) nextTS() string {
	now := s.opts.Now().Unix()
	if s.seq++; now > s.lastTS {
		s.lastTS = now
	}
	return fmt.Sprintf("%d.%06d", s.lastTS, s.seq)
}

// update edits a message.
func (s *Server) update(form url.Values) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, code := s.channelOf(form)
	if code != "" {
		return refuse(code)
	}
	next, code := content(form)
	if code != "" {
		return refuse(code)
	}
	m := s.find(c.ID, form.Get("ts"))
	switch {
	case m == nil:
		return refuse("message_not_found")
	case c.Archived:
		return refuse("is_archived")
	case m.Author != "":
		return refuse("cant_update_message")
	}
	m.edit(m.retained(next))
	s.changedNow()
	return map[string]any{"ok": true, "channel": c.ID, "ts": m.TS, "text": m.Text}
}

// retained is next with what an edit leaves as it was because it says nothing of
// it: attachments until an empty list comes for them, blocks unless there is a text
// in their place.
func (m *Message) retained(next Message) Message {
	if next.Attachments == nil {
		next.Attachments = m.Attachments
	}
	if next.Text == "" && next.Blocks == nil {
		next.Blocks = m.Blocks
	}
	for _, list := range []*json.RawMessage{&next.Blocks, &next.Attachments} {
		if string(*list) == "[]" {
			*list = nil
		}
	}
	return next
}

// edit has a message say what next says.
func (m *Message) edit(next Message) {
	m.Text, m.Blocks, m.Attachments = next.Text, next.Blocks, next.Attachments
	if next.Metadata != nil {
		m.Metadata = next.Metadata
	}
	m.Edits++
}

// forget deletes a message. It is called with mu held.
func (s *Server) forget(m *Message) {
	s.messages = slices.DeleteFunc(s.messages, func(other *Message) bool { return other == m })
}

// remove deletes a message.
func (s *Server) remove(form url.Values) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, code := s.channelOf(form)
	if code != "" {
		return refuse(code)
	}
	m := s.find(c.ID, form.Get("ts"))
	if m == nil {
		return refuse("message_not_found")
	}
	s.forget(m)
	s.changedNow()
	return map[string]any{"ok": true, "channel": c.ID, "ts": m.TS}
}

// react adds a reaction of the app's to a message.
func (s *Server) react(form url.Values) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, code := s.channelOf(form)
	if code != "" {
		return refuse(code)
	}
	m, name := s.find(c.ID, form.Get("timestamp")), form.Get("name")
	switch {
	case m == nil:
		return refuse("message_not_found")
	case name == "" || strings.ContainsAny(name, ": "):
		return refuse("invalid_name")
	case slices.Contains(m.Reactions, name):
		return refuse("already_reacted")
	}
	// The slice may be shared with a copy that was given out.
	m.Reactions = append(slices.Clone(m.Reactions), name)
	s.changedNow()
	return map[string]any{"ok": true}
}

// permalink tells the address of a message.
func (s *Server) permalink(form url.Values) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, code := s.channelOf(form)
	m := s.find(c.ID, form.Get("message_ts"))
	switch {
	case code != "":
		return refuse(code)
	case m == nil:
		return refuse("message_not_found")
	}
	at := "http://" + s.addr + "/archives/" + c.ID + "/p" + strings.ReplaceAll(m.TS, ".", "")
	return map[string]any{"ok": true, "channel": c.ID, "permalink": at}
}

// history lists the messages of a channel that are in no thread, and the replies
// that were shown there too, newest first.
func (s *Server) history(form url.Values) map[string]any {
	return s.page(form, true, func(m *Message) bool { return m.ThreadTS == "" || m.ThreadTS == m.TS || m.Broadcast })
}

// replies lists a thread, its root first.
func (s *Server) replies(form url.Values) map[string]any {
	root := form.Get("ts")
	s.mu.Lock()
	c, code := s.readable(form)
	there := s.find(c.ID, root) != nil
	s.mu.Unlock()
	switch {
	case code != "":
		return refuse(code)
	case !there:
		return refuse("thread_not_found")
	}
	return s.page(form, false, func(m *Message) bool { return m.ThreadTS == root || m.TS == root })
}

// page answers with some of the messages that match, between oldest and latest,
// from where the cursor points.
func (s *Server) page(form url.Values, newestFirst bool, match func(m *Message) bool) map[string]any {
	oldest, latest, inclusive := form.Get("oldest"), form.Get("latest"), yes(form, "inclusive")
	s.mu.Lock()
	defer s.mu.Unlock()
	c, code := s.readable(form)
	if code != "" {
		return refuse(code)
	}
	metadata := yes(form, "include_all_metadata") && s.may("metadata.message:read")
	found := []any{}
	for _, m := range s.messages {
		inside := (oldest == "" || m.TS > oldest || inclusive && m.TS == oldest) && (latest == "" || m.TS < latest || inclusive && m.TS == latest)
		if m.Channel == c.ID && m.User == "" && inside && match(m) {
			found = append(found, m.object(metadata))
		}
	}
	if newestFirst {
		slices.Reverse(found)
	}
	body := listed(form, "messages", found)
	_, _, next := part(form, len(found))
	body["has_more"] = next != ""
	return body
}

// object is a message as the API tells it.
func (m *Message) object(metadata bool) map[string]any {
	out := map[string]any{"type": "message", "user": botUser, "bot_id": botID, "text": m.Text, "ts": m.TS}
	for name, raw := range map[string]json.RawMessage{"blocks": m.Blocks, "attachments": m.Attachments} {
		if raw != nil {
			out[name] = raw
		}
	}
	if metadata && m.Metadata != nil {
		out["metadata"] = m.Metadata
	}
	if len(m.Files) > 0 {
		files := []any{}
		for _, f := range m.Files {
			files = append(files, f.object())
		}
		out["subtype"], out["files"] = "file_share", files
	}
	if m.ThreadTS != "" {
		out["thread_ts"] = m.ThreadTS
	}
	if m.ClientMsgID != "" {
		out["client_msg_id"] = m.ClientMsgID
	}
	return out
}
