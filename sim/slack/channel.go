package slack

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// Channel is a conversation.
type Channel struct {
	// ID names it for ever, as "C1"; that of a direct message begins with D.
	ID string

	// Name is what people see, without the #; the id in lower case by default.
	Name string

	// Private tells that only members see it.
	Private bool

	// Archived tells that nobody may post any more.
	Archived bool

	// Outside tells that the bot is no member.
	Outside bool

	// Members are the ids of the people in it; empty means all.
	Members []string
}

// SetChannel exchanges the channel of an id, or adds it.
func (s *Server) SetChannel(c Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.channels, func(other Channel) bool { return other.ID == c.ID })
	if i < 0 {
		s.channels = append(s.channels, c)
		return
	}
	s.channels[i] = c
}

// label is the channel's name, or what stands for it.
func (c Channel) label() string { return cmp.Or(c.Name, strings.ToLower(c.ID)) }

// object is a channel as the API tells it.
func (c Channel) object() map[string]any {
	return map[string]any{
		"id": c.ID, "name": c.label(), "is_channel": !c.Private, "is_group": c.Private, "is_private": c.Private, "is_im": c.direct(),
		"is_member": !c.Outside, "is_archived": c.Archived,
	}
}

// direct tells that it is a direct message.
func (c Channel) direct() bool { return strings.HasPrefix(c.ID, "D") }

// has tells whether a user is in the channel.
func (c Channel) has(user string) bool {
	return len(c.Members) == 0 || slices.Contains(c.Members, user)
}

// channelNamed is the channel of an id or a name; the id of a user names the
// direct messages with them. It is called with mu held.
func (s *Server) channelNamed(text string) (Channel, bool) {
	for _, c := range s.channels {
		if text == c.ID || c.Name != "" && strings.TrimPrefix(text, "#") == c.Name {
			return c, true
		}
	}
	if u, ok := s.user(text); ok {
		return Channel{ID: "D" + u.ID[1:], Name: u.Name, Private: true, Members: []string{u.ID}}, true
	}
	if u, ok := s.user("U" + strings.TrimPrefix(text, "D")); ok && strings.HasPrefix(text, "D") {
		return Channel{ID: text, Name: u.Name, Private: true, Members: []string{u.ID}}, true
	}
	return Channel{ID: text}, s.anyChannel && text != ""
}

// channelOf is the channel that a call names; code is Slack's refusal to let the
// bot into it. It is called with mu held.
func (s *Server) channelOf(form url.Values) (c Channel, code string) {
	c, ok := s.channelNamed(form.Get("channel"))
	if !ok || c.Outside && c.Private {
		return c, "channel_not_found"
	}
	return c, ""
}

// readable is the channel whose messages a call asks for.
func (s *Server) readable(form url.Values) (c Channel, code string) {
	if c, code = s.channelOf(form); code == "" && c.Outside {
		code = "not_in_channel"
	}
	return c, code
}

// writable is the channel a call posts to. Without being a member, that needs a
// scope of its own.
func (s *Server) writable(form url.Values) (c Channel, code string) {
	c, code = s.channelOf(form)
	switch {
	case code != "":
	case c.Archived:
		code = "is_archived"
	case c.Outside && !s.may("chat:write.public"):
		code = "not_in_channel"
	}
	return c, code
}

// may tells whether the bot's token has a scope.
func (s *Server) may(scope string) bool {
	return len(s.opts.Scopes) == 0 || slices.Contains(s.opts.Scopes, scope)
}

// list lists the channels that the bot may know of, of the types that are asked
// for: by default those that are public.
func (s *Server) list(form url.Values) map[string]any {
	types := words(form, "types")
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []any{}
	for _, c := range s.channels {
		kind := "public_channel"
		if c.Private {
			kind = "private_channel"
		}
		asked := kind == "public_channel" && len(types) == 0 || slices.Contains(types, kind)
		if asked && !(c.Private && c.Outside) && !(c.Archived && yes(form, "exclude_archived")) {
			out = append(out, c.object())
		}
	}
	return listed(form, "channels", out)
}

// info tells of one channel.
func (s *Server) info(form url.Values) map[string]any {
	return s.about(form, func(c Channel) map[string]any { return c.object() })
}

// about answers with something of a channel that is named by its id.
func (s *Server) about(form url.Values, tell func(Channel) map[string]any) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, code := s.channelOf(form)
	if code == "" && c.ID != form.Get("channel") {
		code = "channel_not_found"
	}
	if code != "" {
		return refuse(code)
	}
	return map[string]any{"ok": true, "channel": tell(c)}
}

// joinChannel makes the bot a member of a public channel.
func (s *Server) joinChannel(form url.Values) map[string]any {
	return s.about(form, func(c Channel) map[string]any {
		for i := range s.channels {
			if s.channels[i].ID == c.ID {
				s.channels[i].Outside = false
				c = s.channels[i]
			}
		}
		return c.object()
	})
}

// members lists who is in a channel.
func (s *Server) members(form url.Values) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, code := s.channelOf(form)
	if code != "" {
		return refuse(code)
	}
	all := []any{}
	for _, id := range c.Members {
		all = append(all, id)
	}
	for _, u := range s.opts.Users {
		if len(c.Members) == 0 {
			all = append(all, u.ID)
		}
	}
	return listed(form, "members", all)
}

// openDirect tells which channel holds the direct messages with a user.
func (s *Server) openDirect(form url.Values) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.user(form.Get("users"))
	if !ok {
		return refuse("user_not_found")
	}
	c, _ := s.channelNamed(u.ID)
	return map[string]any{"ok": true, "channel": map[string]any{"id": c.ID}}
}
