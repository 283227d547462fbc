package slack

import (
	"net/url"
	"slices"
	"strings"
)

// User is a person of the workspace, or a bot.
type User struct {
	// ID names the user for ever, as "U1".
	ID string

	// Name is what others see; the id in lower case by default.
	Name string

	// Email is the address, empty for none.
	Email string `json:",omitempty"`

	// Bot tells that it is no person.
	Bot bool `json:",omitempty"`

	// Deleted tells that the account is deactivated.
	Deleted bool `json:",omitempty"`
}

// Group is a user group.
type Group struct {
	// ID names the group for ever, as "S1".
	ID string

	// Handle is what it is mentioned by, without the @.
	Handle string

	// Users are the ids of its members.
	Users []string

	// Disabled tells that it is switched off.
	Disabled bool `json:",omitempty"`
}

// SetUsers exchanges the people.
func (s *Server) SetUsers(users ...User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.Users = users
}

// SetGroups exchanges the user groups.
func (s *Server) SetGroups(groups ...Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.Groups = groups
}

// user is the user of an id. It is called with mu held.
func (s *Server) user(id string) (User, bool) {
	for _, u := range s.opts.Users {
		if u.ID == id {
			return u.named(), true
		}
	}
	known := len(s.opts.Users) == 0 && id != "" && strings.Trim(id[:1], "UW") == ""
	return User{ID: id}.named(), known || id == botUser
}

// named is the user with a name.
func (u User) named() User {
	if u.Name == "" {
		u.Name = strings.ToLower(u.ID)
	}
	return u
}

// object is a user as the API tells it; an address takes a scope of its own.
func (u User) object(address bool) map[string]any {
	profile := map[string]any{"display_name": u.Name, "real_name": u.Name}
	if address && u.Email != "" {
		profile["email"] = u.Email
	}
	return map[string]any{
		"id": u.ID, "team_id": teamID, "name": u.Name, "real_name": u.Name, "deleted": u.Deleted, "is_bot": u.Bot, "profile": profile,
	}
}

// userInfo tells of one user.
func (s *Server) userInfo(form url.Values) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.user(form.Get("user"))
	if !ok {
		return refuse("user_not_found")
	}
	return map[string]any{"ok": true, "user": u.object(s.may("users:read.email"))}
}

// listUsers lists the users, the bot among them.
func (s *Server) listUsers(form url.Values) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []any{User{ID: botUser, Name: botName, Bot: true}.object(false)}
	for _, u := range s.opts.Users {
		all = append(all, u.named().object(s.may("users:read.email")))
	}
	return listed(form, "members", all)
}

// userByEmail tells of the user with an address.
func (s *Server) userByEmail(form url.Values) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.opts.Users {
		if u.Email != "" && strings.EqualFold(u.Email, form.Get("email")) && !u.Deleted {
			return map[string]any{"ok": true, "user": u.named().object(true)}
		}
	}
	return refuse("users_not_found")
}

// object is a user group as the API tells it.
func (g Group) object(members bool) map[string]any {
	out := map[string]any{"id": g.ID, "team_id": teamID, "is_usergroup": true, "name": g.Handle, "handle": g.Handle, "date_delete": 0, "user_count": len(g.Users)}
	if g.Disabled {
		out["date_delete"] = 1
	}
	if members {
		out["users"] = g.Users
	}
	return out
}

// listGroups lists the user groups.
func (s *Server) listGroups(form url.Values) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []any{}
	for _, g := range s.opts.Groups {
		if !g.Disabled || yes(form, "include_disabled") {
			all = append(all, g.object(yes(form, "include_users")))
		}
	}
	return map[string]any{"ok": true, "usergroups": all}
}

// groupUsers lists who is in a user group.
func (s *Server) groupUsers(form url.Values) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.opts.Groups {
		if g.ID == form.Get("usergroup") && (!g.Disabled || yes(form, "include_disabled")) {
			return map[string]any{"ok": true, "users": slices.Clone(g.Users)}
		}
	}
	return refuse("no_such_subteam")
}
