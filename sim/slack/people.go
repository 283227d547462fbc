package slack

import "strings"

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
