package slack

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// The types of envelopes.
const (
	typeSlash    = "slash_commands"
	typeInteract = "interactive"
	typeEvent    = "events_api"
)

// The names of what there is one of.
const (
	appID   = "A1"
	teamID  = "T1"
	botUser = "U0BOT"
	botName = "oob"
	botID   = "B0BOT"
)

// SlashCommand is what a user types.
type SlashCommand struct {
	// User and Channel are who types it, and where: ids, or a channel's name.
	User, Channel string

	// Command is its first word, with the slash, and Text the rest.
	Command, Text string
}

// Click is a user's click on a button.
type Click struct {
	// User is who clicks.
	User string

	// Channel and TS name the message.
	Channel, TS string

	// ActionID is the button's; BlockID is that of its block, where several blocks
	// have such a button.
	ActionID, BlockID string

	// Value is taken from the button if it is empty; a test that forges one sets it.
	Value string
}

// Reply is how the app answered a user.
type Reply struct {
	// Envelope is the id of what was sent to the app.
	Envelope string

	// Error is what the user sees in place of an answer: NotConnected, NoAck, or
	// empty.
	Error string

	// Payload is what came with the acknowledgement.
	Payload json.RawMessage

	// Message is the message that the payload of a command made, nil if it made none.
	Message *Message

	// Errors are those of a view's fields, by block_id; the view stays open.
	Errors map[string]string
}

// Slash types a command and waits until the app has acknowledged it, or its time is
// over. The error is one of the caller.
func (s *Server) Slash(ctx context.Context, c SlashCommand) (Reply, error) {
	s.mu.Lock()
	user, ok := s.user(c.User)
	ch, found := s.channelNamed(c.Channel)
	s.mu.Unlock()
	if !ok || !found {
		return Reply{}, fmt.Errorf("cannot type %s: there is no user %q or no channel %q", c.Command, c.User, c.Channel)
	}
	h := s.newHook(hook{channel: ch.ID, user: user.ID})
	e := &Envelope{Type: typeSlash, answers: true}
	seen, err := s.dispatch(ctx, e, map[string]any{
		"token": "sim", "team_id": teamID, "team_domain": "sim", "is_enterprise_install": "false", "api_app_id": appID,
		"channel_id": ch.ID, "channel_name": ch.label(), "user_id": user.ID, "user_name": user.Name,
		"command": c.Command, "text": c.Text, "response_url": h.url, "trigger_id": h.trigger,
	})
	r := Reply{Envelope: e.ID, Error: seen}
	if err != nil || seen != "" {
		s.tell(ch.ID, user.ID, c.Command+" failed: the app did not respond ("+seen+")")
		return r, err
	}
	r.Payload = s.answerOf(e)
	r.Message, err = s.immediate(h, r.Payload)
	return r, err
}

// Click clicks a button of a message and waits until the app has acknowledged it,
// or its time is over. The error is one of the caller: there is no such button.
func (s *Server) Click(ctx context.Context, c Click) (Reply, error) {
	s.mu.Lock()
	user, ok := s.user(c.User)
	ch, _ := s.channelNamed(c.Channel)
	var m Message
	if seen := s.visible(ch.ID, c.TS, c.User); seen != nil {
		m = *seen
	}
	s.mu.Unlock()
	if !ok || m.TS == "" {
		return Reply{}, fmt.Errorf("cannot click %s: there is no user %q, or no message %s that they see", c.ActionID, c.User, c.TS)
	}
	b, found := m.button(c.ActionID, c.BlockID)
	if !found {
		return Reply{}, fmt.Errorf("cannot click: message %s has no button %q", c.TS, c.ActionID)
	}
	h := s.newHook(hook{channel: ch.ID, user: user.ID, message: m.TS})
	e := &Envelope{Type: typeInteract}
	action := map[string]any{
		"type": "button", "action_id": b.ActionID, "block_id": b.block, "text": b.Text,
		"value": cmp.Or(c.Value, b.Value), "action_ts": s.stamp(),
	}
	if b.Style != "" {
		action["style"] = b.Style
	}
	payload := s.interaction("block_actions", user, h)
	payload["actions"], payload["response_url"] = []any{action}, h.url
	payload["channel"] = map[string]any{"id": ch.ID, "name": ch.label()}
	payload["container"] = map[string]any{"type": "message", "message_ts": m.TS, "channel_id": ch.ID, "is_ephemeral": m.User != ""}
	payload["state"] = map[string]any{"values": map[string]any{}}
	if m.User == "" {
		payload["message"] = m.object(false)
	}
	seen, err := s.dispatch(ctx, e, payload)
	if seen != "" {
		s.tell(ch.ID, user.ID, "The app did not respond to the button ("+seen+")")
	}
	return Reply{Envelope: e.ID, Error: seen, Payload: s.answerOf(e)}, err
}

// interaction is what every interaction tells.
func (s *Server) interaction(kind string, user User, h *hook) map[string]any {
	return map[string]any{
		"type": kind, "token": "sim", "api_app_id": appID, "enterprise": nil, "is_enterprise_install": false,
		"team": map[string]any{"id": teamID, "domain": "sim"}, "trigger_id": h.trigger,
		"user": map[string]any{"id": user.ID, "username": user.Name, "name": user.Name, "team_id": teamID},
	}
}

// answerOf is the payload of an envelope's acknowledgement.
func (s *Server) answerOf(e *Envelope) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return e.Answer
}

// stamp is a timestamp of its own.
func (s *Server) stamp() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nextTS()
}

// tell shows a user a message of Slack's own.
func (s *Server) tell(channel, user, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, &Message{Channel: channel, User: user, Text: text, TS: s.nextTS(), Author: slackbot})
	s.changedNow()
}

// visible is a message that a user sees, nil if there is none. It is called with mu
// held.
func (s *Server) visible(channel, ts, user string) *Message {
	for _, m := range s.messages {
		if m.Channel == channel && m.TS == ts && (m.User == "" || m.User == user) {
			return m
		}
	}
	return nil
}

// Button is a button that people see on a message.
type Button struct {
	// Label is what is written on it.
	Label string

	// ActionID and BlockID are what the app calls it and its block.
	ActionID, BlockID string

	// Value is what the app tied to it.
	Value string
}

// Buttons returns the buttons of a message, in order.
func (m *Message) Buttons() []Button {
	var out []Button
	for _, b := range m.buttons() {
		out = append(out, Button{Label: readText(b.Text).Text, ActionID: b.ActionID, BlockID: b.block, Value: b.Value})
	}
	return out
}

// button is a button of a message.
type button struct {
	piece
	block string
}

// button is the button of an action, in the block of an id unless that is empty.
func (m *Message) button(action, blockID string) (button, bool) {
	for _, b := range m.buttons() {
		if b.ActionID == action && (blockID == "" || b.block == blockID) {
			return b, true
		}
	}
	return button{}, false
}

// buttons are those of a message, in its blocks and in those of its attachments.
func (m *Message) buttons() []button {
	var out []button
	for _, layout := range m.layouts() {
		for _, b := range layout.blocks {
			parts := b.Parts
			if b.Accessory != nil {
				parts = append(slices.Clone(parts), *b.Accessory)
			}
			for _, p := range parts {
				if p.Type == "button" {
					out = append(out, button{p, b.BlockID})
				}
			}
		}
	}
	return out
}

// layout is a list of blocks, in a message or in an attachment.
type layout struct {
	attachment
	blocks []block
}

// layouts are those of a message: its own blocks, then its attachments.
func (m *Message) layouts() []layout {
	var more []attachment
	if m.Attachments != nil {
		// They were checked when it was posted.
		_ = json.Unmarshal(m.Attachments, &more)
	}
	own, _ := parseBlocks(m.Blocks, maxBlocks)
	out := []layout{{blocks: own}}
	for _, a := range more {
		blocks, _ := parseBlocks(a.Blocks, maxBlocks)
		out = append(out, layout{a, blocks})
	}
	return out
}
