// Package delegate says for whom a plugin may act, and how far: an admin lets a
// plugin that speaks with people, in a chat say, ask for actions in their names.
// What it asks in nobody's name stays within its own claims.
package delegate

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"provision-plugins/endpoint/auth"
	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

const (
	// Header names the person for whom a plugin asks.
	Header = client.PersonHeader

	// maxPerson bounds a person's id, maxClaims the claims of a delegation.
	maxPerson = 64
	maxClaims = 50
)

// Delegation is an admin's word that a plugin may do some things for people.
type Delegation struct {
	Plugin   string
	Provider string // of the plugin then: the word is not for another's
	Claims   []model.Claim
	By       string
	Time     time.Time
}

// ours begin the principals of the endpoint's own: no provider of these names
// speaks for people.
var ours = []string{"user", "uid", "plugin", "system", "local"}

// may are the scopes of what can be delegated, with the actions on each. Objects,
// users and secrets are not among them: nobody changes these by a chat.
var may = map[string][]string{
	"machines": {"action", "override"},
	"runs":     {"cancel"},
}

// named is what an action is called: a claim on anything else would allow nothing,
// while who gives it believes that it does.
var named = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

// Check refuses claims that cannot be delegated. Each names what it allows: a *
// would grow with the endpoint.
func (d *Delegation) Check() error {
	switch {
	case slices.Contains(ours, d.Provider) || d.Provider == "":
		return model.Errorf(model.Invalid, "cannot let plugin %s act for people: its provider %q is called like the endpoint's own principals", d.Plugin, d.Provider)
	case len(d.Claims) == 0 || len(d.Claims) > maxClaims:
		return model.Errorf(model.Invalid, "cannot let plugin %s act for people: want 1 to %d claims", d.Plugin, maxClaims)
	}
	for _, c := range d.Claims {
		if err := check(c); err != nil {
			return model.Errorf(model.Invalid, "cannot let plugin %s act for people: %w", d.Plugin, err)
		}
	}
	return nil
}

// check refuses one claim.
func check(c model.Claim) error {
	if strings.TrimSpace(c.Specific) == "" {
		return model.Errorf(model.Invalid, "a claim on %s has no specific: name keys, or * for all", c.Scope)
	}
	for scope := range strings.SplitSeq(c.Scope, ",") {
		actions, ok := may[strings.TrimSpace(scope)]
		if !ok {
			return model.Errorf(model.Invalid, "scope %q is none of machines and runs", scope)
		}
		for action := range strings.SplitSeq(c.Action, ",") {
			whole, part, divided := strings.Cut(strings.TrimSpace(action), ":")
			switch {
			case !slices.Contains(actions, whole):
				return model.Errorf(model.Invalid, "action %q on %s is none of %s", action, scope, strings.Join(actions, " and "))
			case divided && !named.MatchString(part):
				return model.Errorf(model.Invalid, "action %q on %s names no action: want action:poweron, say, or action for all", action, scope)
			}
		}
	}
	return nil
}

// Grant is what a person may do by the plugin: what is delegated, and to say what
// was asked and decided.
func (d *Delegation) Grant() auth.Grant {
	return auth.Grant{append(auth.Claims{{Scope: "events", Action: "create", Specific: "*"}}, d.Claims...)}
}

// Principal is a person's name in runs, events and the audit trail: the provider
// and the id that the person has there, as in slack:U0123. An id is plain, so that
// no two are read as one.
func (d *Delegation) Principal(person string) (string, error) {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r)
	}
	if person == "" || len(person) > maxPerson || strings.ContainsFunc(person, func(r rune) bool { return !plain(r) }) {
		return "", model.Errorf(model.Invalid, "%s: %.80q is no id: want 1 to %d letters, digits, - _ and .", Header, person, maxPerson)
	}
	return d.Provider + ":" + person, nil
}

// Person is the person that a request is asked for, if it names one; two of them
// are an error.
func Person(h http.Header) (person string, named bool, err error) {
	switch values := h.Values(Header); len(values) {
	case 0:
		return "", false, nil
	case 1:
		return values[0], true, nil
	}
	return "", true, model.Errorf(model.Invalid, "%s is there more than once", Header)
}
