// Package scope knows what the Slack app has to be allowed, prints a manifest that
// asks for it, and tells of given tokens what works and what is missing.
package scope

// Scope is one thing that a token may be allowed.
type Scope struct {
	// Name is Slack's name of it.
	Name string

	// For says what it is needed for.
	For string

	// Needed says that nothing works without it.
	Needed bool
}

// Bot lists the scopes of the bot token, those that are needed first.
func Bot() []Scope {
	return []Scope{
		{"chat:write", "post and edit messages", true},
		{"chat:write.public", "post to public channels that the bot was not invited to", false},
		{"channels:history", "look a message up in a public channel before it is sent again", false},
		{"groups:history", "look a message up in a private channel before it is sent again", false},
		{"metadata.message:read", "know a message by its metadata when it is looked up", false},
		{"channels:read", "find a public channel by its name, and tell whether it is there", false},
		{"groups:read", "find a private channel by its name, and tell whether it is there", false},
		{"files:write", "attach a log that is too long for a message", false},
		{"commands", "take commands", false},
		{"users:read", "know who gives a command", false},
		{"usergroups:read", "allow commands to a user group", false},
	}
}

// App lists the scopes of the app-level token.
func App() []Scope {
	return []Scope{{"connections:write", "connect by Socket Mode, to take commands and clicks", true}}
}
