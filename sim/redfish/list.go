package redfish

import (
	"slices"
	"strings"
)

// list is a collection whose members come and go.
type list struct {
	ids  func(v *view) []string
	find func(v *view, id string) (any, bool)
}

// lists is the collections whose members come and go, by their names in the
// templates.
var lists = map[string]list{
	"session": {sessionIDs, findSession},
	"account": {accountIDs, findAccount},
	"task":    {taskIDs, findTask},
	"monitor": {taskIDs, findTask},
	"entry":   {entryIDs, findEntry},
}

// changes is what adds to such a collection (POST), and what takes a member out
// (DELETE), where that can be done.
var changes = map[string]struct{ add, drop func(*exchange) answer }{
	"session": {(*exchange).openSession, (*exchange).closeSession},
	"account": {(*exchange).addAccount, (*exchange).dropAccount},
	"task":    {nil, (*exchange).dropTask},
	"monitor": {nil, (*exchange).dropTask},
}

// sessionIDs lists the sessions.
func sessionIDs(v *view) []string {
	ids := make([]string, len(v.b.sessions))
	for i, s := range v.b.sessions {
		ids[i] = s.id
	}
	return ids
}

// findSession finds a session.
func findSession(v *view, id string) (any, bool) {
	for _, s := range v.b.sessions {
		if s.id == id {
			return s, true
		}
	}
	return nil, false
}

// accountIDs lists the accounts.
func accountIDs(v *view) []string {
	ids := make([]string, len(v.b.accounts))
	for i, a := range v.b.accounts {
		ids[i] = a.id
	}
	slices.SortFunc(ids, strings.Compare)
	return ids
}

// findAccount finds an account.
func findAccount(v *view, id string) (any, bool) {
	if a := v.b.accountByID(id); a != nil {
		return *a, true
	}
	return nil, false
}

// taskIDs lists the tasks.
func taskIDs(v *view) []string {
	ids := make([]string, len(v.b.tasks))
	for i, t := range v.b.tasks {
		ids[i] = t.id
	}
	return ids
}

// findTask finds a task.
func findTask(v *view, id string) (any, bool) {
	if t := v.b.task(id); t != nil {
		return *t, true
	}
	return nil, false
}
