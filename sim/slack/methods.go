package slack

import (
	"net/url"
	"strconv"
	"strings"
)

// method is one method of the API. Its answer is the body of a success, or what
// refuse makes.
type method struct {
	scopes []string // one of them is needed
	answer func(s *Server, form url.Values) map[string]any
	app    bool // it takes the app's token, not the bot's
}

// methods are those that are served, each with the scopes that Slack documents.
func methods() map[string]method {
	read := []string{"channels:read", "groups:read"}
	history := []string{"channels:history", "groups:history"}
	write := []string{"chat:write", "chat:write.public"}
	users, groups, files := []string{"users:read"}, []string{"usergroups:read"}, []string{"files:write"}
	return map[string]method{
		"apps.connections.open":        {scopes: []string{"connections:write"}, answer: (*Server).openConnection, app: true},
		"auth.test":                    {answer: (*Server).authTest},
		"chat.delete":                  {scopes: write, answer: (*Server).remove},
		"chat.getPermalink":            {answer: (*Server).permalink},
		"chat.postEphemeral":           {scopes: write, answer: (*Server).postEphemeral},
		"chat.postMessage":             {scopes: write, answer: (*Server).postMessage},
		"chat.update":                  {scopes: write, answer: (*Server).update},
		"conversations.history":        {scopes: history, answer: (*Server).history},
		"conversations.info":           {scopes: read, answer: (*Server).info},
		"conversations.join":           {scopes: []string{"channels:join"}, answer: (*Server).joinChannel},
		"conversations.list":           {scopes: read, answer: (*Server).list},
		"conversations.members":        {scopes: read, answer: (*Server).members},
		"conversations.open":           {scopes: []string{"im:write"}, answer: (*Server).openDirect},
		"conversations.replies":        {scopes: history, answer: (*Server).replies},
		"files.completeUploadExternal": {scopes: files, answer: (*Server).completeUpload},
		"files.getUploadURLExternal":   {scopes: files, answer: (*Server).uploadURL},
		"reactions.add":                {scopes: []string{"reactions:write"}, answer: (*Server).react},
		"usergroups.list":              {scopes: groups, answer: (*Server).listGroups},
		"usergroups.users.list":        {scopes: groups, answer: (*Server).groupUsers},
		"users.info":                   {scopes: users, answer: (*Server).userInfo},
		"users.list":                   {scopes: users, answer: (*Server).listUsers},
		"users.lookupByEmail":          {scopes: []string{"users:read.email"}, answer: (*Server).userByEmail},
		"views.open":                   {answer: (*Server).viewsOpen},
		"views.update":                 {answer: (*Server).viewsUpdate},
	}
}

// authTest tells who the bot is.
func (s *Server) authTest(url.Values) map[string]any {
	return map[string]any{"ok": true, "url": s.URL(), "team": "Simulated", "team_id": teamID, "user": botName, "user_id": botUser, "bot_id": botID}
}

// refuse is the body of a refused call.
func refuse(code string) map[string]any { return map[string]any{"ok": false, "error": code} }

// part is which of n things a call asks for, by its cursor and limit; next is the
// cursor of those that follow, empty for none.
func part(form url.Values, n int) (from, to int, next string) {
	const usual, most = 100, 999
	limit, err := strconv.Atoi(form.Get("limit"))
	if err != nil || limit < 1 {
		limit = usual
	}
	from, _ = strconv.Atoi(form.Get("cursor")) // a cursor that is none is the first
	from = min(max(from, 0), n)
	to = min(from+min(limit, most), n)
	if to < n {
		next = strconv.Itoa(to)
	}
	return from, to, next
}

// listed is the body of a list of which a part is asked for.
func listed(form url.Values, name string, all []any) map[string]any {
	from, to, next := part(form, len(all))
	return map[string]any{"ok": true, name: all[from:to], "response_metadata": map[string]any{"next_cursor": next}}
}

// words are those of an argument that is a list with commas.
func words(form url.Values, name string) []string {
	return strings.FieldsFunc(form.Get(name), func(r rune) bool { return r == ',' || r == ' ' })
}
