package auth

import (
	"strings"

	"provision-plugins/shared/model"
)

// Need is what a request must be allowed: one action, on objects of one scope,
// on one key. An empty Specific stands for all keys or a new one, and is
// allowed only by a claim on every key.
type Need struct{ Scope, Action, Specific string }

// String renders the need as messages show it.
func (n Need) String() string {
	if n.Specific == "" {
		return n.Scope + " " + n.Action
	}
	return n.Scope + " " + n.Action + " " + n.Specific
}

// Everything is the need that only a superuser meets.
func Everything() Need { return Need{"*", "*", ""} }

// Claims are what one role, user or token may do.
type Claims []model.Claim

// Allow reports whether one of the claims meets the need.
func (c Claims) Allow(n Need) bool {
	for _, claim := range c {
		if inList(claim.Scope, n.Scope) && coversAction(claim.Action, n.Action) && inList(claim.Specific, n.Specific) {
			return true
		}
	}
	return false
}

// inList reports whether a list with commas holds a word, or * for all.
func inList(list, word string) bool {
	for item := range strings.SplitSeq(list, ",") {
		switch strings.TrimSpace(item) {
		case "*":
			return true
		case "":
		case word:
			return true
		}
	}
	return false
}

// coversAction is inList for actions, where "action" covers "action:poweron".
func coversAction(list, action string) bool {
	whole, _, part := strings.Cut(action, ":")
	return inList(list, action) || part && inList(list, whole)
}

// Grant is a chain of limits, each of which must allow what is done: what a
// user's roles allow, what a token is limited to, what its issuer was.
type Grant []Claims

// Allow reports whether all limits meet the need. No limit at all is no grant.
func (g Grant) Allow(n Need) bool {
	for _, claims := range g {
		if !claims.Allow(n) {
			return false
		}
	}
	return len(g) > 0
}

// All are the claims of a superuser.
func All() Claims { return Claims{{Scope: "*", Action: "*", Specific: "*"}} }

// AllGrant is the grant of a superuser.
func AllGrant() Grant { return Grant{All()} }

// readScopes are what a viewer may look at.
const readScopes = "info,machines,profiles,params,plugins,plugin_providers,contents,stages,tasks,templates,workflows,bootenvs," +
	"roles,runs,events,logs,prefs,indexes,objects,power,files,system,metrics"

// Viewer are the claims of one who may look and do nothing else. Secure values
// and users are not for viewers.
func Viewer() Claims { return Claims{{Scope: readScopes, Action: "list,get,actions", Specific: "*"}} }

// Operator are the claims of one who may have things done to machines, and
// change nothing that is stored.
func Operator() Claims {
	return append(Viewer(),
		model.Claim{Scope: "machines,plugins,system", Action: "action", Specific: "*"},
		model.Claim{Scope: "runs", Action: "cancel", Specific: "*"},
		model.Claim{Scope: "events", Action: "create", Specific: "*"},
	)
}

// Roles are the roles that every endpoint has. They cannot be changed.
func Roles() []model.Role {
	return []model.Role{
		role("superuser", "May do everything (the reference's name of admin)", All()),
		role("admin", "May do everything", All()),
		role("operator", "May look, and run actions on machines and plugins; sees no secrets, overrides no protection, changes no objects", Operator()),
		role("viewer", "May look; sees no secrets and no users", Viewer()),
	}
}

// role makes a role.
func role(name, description string, claims Claims) model.Role {
	return model.Role{
		Validation: model.Validation{Validated: true, Available: true, Errors: []string{}},
		MetaData:   model.MetaData{Meta: map[string]string{}},
		Name:       name, Description: description, Claims: claims,
	}
}
