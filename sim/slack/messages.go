package slack

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
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

	// Metadata is what the client tied to it.
	Metadata json.RawMessage `json:",omitempty"`

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
	if m.Metadata != nil && !json.Valid(m.Metadata) {
		return m, "invalid_metadata_format"
	}
	return m, checkLayout(m.Blocks, m.Attachments)
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
	return s.keep(form, func(m *Message) string {
		m.ThreadTS = form.Get("thread_ts")
		if root := s.find(m.Channel, m.ThreadTS); m.ThreadTS != "" && root == nil {
			return "thread_not_found"
		}
		return ""
	})
}

// postEphemeral keeps a message that one user sees.
func (s *Server) postEphemeral(form url.Values) map[string]any {
	body := s.keep(form, func(m *Message) string {
		if m.User = form.Get("user"); m.User == "" {
			return "user_not_found"
		}
		m.ThreadTS = form.Get("thread_ts")
		return ""
	})
	if body["ok"] == true {
		body = map[string]any{"ok": true, "message_ts": body["ts"]}
	}
	return body
}

// keep keeps the message of a call, unless check refuses it.
func (s *Server) keep(form url.Values, check func(m *Message) (code string)) map[string]any {
	id := s.channelOf(form)
	if id == "" {
		return refuse("channel_not_found")
	}
	m, code := content(form)
	if code != "" {
		return refuse(code)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m.Channel = id
	if code := check(&m); code != "" {
		return refuse(code)
	}
	m.TS = s.nextTS()
	s.messages = append(s.messages, &m)
	s.changedNow()
	return map[string]any{"ok": true, "channel": id, "ts": m.TS, "message": m.object(true)}
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
	id := s.channelOf(form)
	if id == "" {
		return refuse("channel_not_found")
	}
	next, code := content(form)
	if code != "" {
		return refuse(code)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.find(id, form.Get("ts"))
	if m == nil {
		return refuse("message_not_found")
	}
	m.edit(next)
	s.changedNow()
	return map[string]any{"ok": true, "channel": id, "ts": m.TS, "text": m.Text}
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
	id := s.channelOf(form)
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.find(id, form.Get("ts"))
	if m == nil {
		return refuse("message_not_found")
	}
	s.forget(m)
	s.changedNow()
	return map[string]any{"ok": true, "channel": id, "ts": m.TS}
}

// history lists the messages of a channel that are in no thread, newest first.
func (s *Server) history(form url.Values) map[string]any {
	return s.page(form, true, func(m *Message) bool { return m.ThreadTS == "" || m.ThreadTS == m.TS })
}

// replies lists a thread, its root first.
func (s *Server) replies(form url.Values) map[string]any {
	root, id := form.Get("ts"), s.channelOf(form)
	s.mu.Lock()
	there := s.find(id, root) != nil
	s.mu.Unlock()
	if !there {
		return refuse("thread_not_found")
	}
	return s.page(form, false, func(m *Message) bool { return m.ThreadTS == root || m.TS == root })
}

// page answers with some of the messages that match, between oldest and latest,
// from where the cursor points.
func (s *Server) page(form url.Values, newestFirst bool, match func(m *Message) bool) map[string]any {
	id := s.channelOf(form)
	if id == "" {
		return refuse("channel_not_found")
	}
	oldest, latest, inclusive := form.Get("oldest"), form.Get("latest"), yes(form, "inclusive")
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []*Message{}
	for _, m := range s.messages {
		inside := (oldest == "" || m.TS > oldest || inclusive && m.TS == oldest) && (latest == "" || m.TS < latest || inclusive && m.TS == latest)
		if m.Channel == id && m.User == "" && inside && match(m) {
			found = append(found, m)
		}
	}
	if newestFirst {
		slices.Reverse(found)
	}
	limit, _ := strconv.Atoi(cmp.Or(form.Get("limit"), "100"))
	from, _ := strconv.Atoi(form.Get("cursor")) // a cursor that is none is the first
	from = min(max(from, 0), len(found))
	to := min(from+min(max(limit, 1), 999), len(found))
	out, next := []any{}, ""
	for _, m := range found[from:to] {
		out = append(out, m.object(yes(form, "include_all_metadata")))
	}
	if to < len(found) {
		next = strconv.Itoa(to)
	}
	return map[string]any{"ok": true, "messages": out, "has_more": next != "", "response_metadata": map[string]any{"next_cursor": next}}
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
	if m.ThreadTS != "" {
		out["thread_ts"] = m.ThreadTS
	}
	if m.ClientMsgID != "" {
		out["client_msg_id"] = m.ClientMsgID
	}
	return out
}
