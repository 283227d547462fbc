package endpoint

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"strings"

	"provision-plugins/endpoint/auth"
	"provision-plugins/endpoint/peer"
	"provision-plugins/shared/model"
)

// caller is who sent a request.
type caller struct {
	name  string     // the principal of records and events
	user  string     // the user object it is; empty for peers of the socket and plugins
	grant auth.Grant // what it may do; empty: nothing
	token string     // the id of the user's token that it sent, or empty
	renew int64      // until when tokens may be had for that one, Unix time; 0: not from a token

	plugin string // the plugin object whose process it is; empty for all others
	via    string // the principal of the plugin by which a person asks; empty for all others
	of     string // that plugin's provider, whose type of events it may post
}

// may reports whether the caller is allowed what a request needs. All users may
// have tokens and a password of their own, but not by a token that is limited
// to something else.
func (c caller) may(n auth.Need) bool {
	own := c.user != "" && n.Scope == usersPrefix && n.Specific == c.user
	if own && (n.Action == actToken || n.Action == actPassword) && len(c.grant) == 1 {
		return true
	}
	return c.grant.Allow(n)
}

// callerKey is where a request's context keeps its caller.
type callerKey struct{}

// withCaller notes who a request is from.
func withCaller(ctx context.Context, c caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// callerOf answers who a request is from; the endpoint itself may do everything.
func callerOf(ctx context.Context) caller {
	if c, ok := ctx.Value(callerKey{}).(caller); ok {
		return c
	}
	return caller{name: "system", grant: auth.AllGrant()}
}

// principal names who a request is from; the endpoint itself is "system".
func principal(ctx context.Context) string { return callerOf(ctx).name }

// allowed reports whether who a request is from may do something that the
// request's route does not tell: the table of routes has asked for that already.
func allowed(ctx context.Context, scope, action, specific string) bool {
	return callerOf(ctx).may(auth.Need{Scope: scope, Action: action, Specific: specific})
}

// denied is the refusal of what a caller may not do.
func denied(c caller, n auth.Need) *model.Error {
	return model.Errorf(model.Forbidden, "Access Denied: %s may not: %s", c.name, n)
}

// unknownPeer is the caller of a connection that says nothing about its client.
func unknownPeer(net.Conn) (caller, bool) { return caller{}, false }

// socketPeer knows the client of a unix socket: our own user and root are
// admins, nobody else is let in, nor is a plugin's process, which is our user's
// too.
func socketPeer(conn net.Conn) (caller, bool) {
	w, ok := conn.(*watchedConn)
	if !ok {
		return caller{}, false
	}
	unix, ok := w.Conn.(*net.UnixConn)
	if !ok {
		return caller{}, false
	}
	who, err := peer.Of(unix)
	if err != nil {
		return caller{name: "a process that has ended"}, true
	}
	return peerCaller(who, os.Geteuid()), true
}

// peerCaller is what a process may that runs beside an endpoint of that user.
func peerCaller(who peer.Peer, own int) caller {
	switch {
	case who.UID != 0 && who.UID != own:
		return caller{name: "uid:" + strconv.Itoa(who.UID)}
	case who.Confined: // it has a token of its own, for less
		return caller{name: "a plugin's process"}
	}
	name := strconv.Itoa(who.UID)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return caller{name: "user:" + name, grant: auth.AllGrant()}
}

// authenticate tells who a request is from: a person, if a plugin asks for one.
func (a *api) authenticate(r *http.Request) (caller, *model.Error) {
	who, denied := a.identify(r)
	if denied != nil {
		return who, denied
	}
	return a.inNameOf(who, r)
}

// identify tells who has sent a request.
func (a *api) identify(r *http.Request) (caller, *model.Error) {
	if who, ok := r.Context().Value(peerKey{}).(caller); ok {
		if len(who.grant) == 0 {
			return who, model.Errorf(model.Forbidden, "Access Denied: the socket is for the endpoint's own user and root, not %s", who.name)
		}
		return who, nil
	}
	who, err := a.prove(r)
	a.countLogin(r, err)
	if err == nil {
		return who, nil
	}
	if who, ok := localScrape(r); ok {
		return who, nil
	}
	refusal := *model.AsError(err)
	if refusal.Kind() == model.Forbidden {
		refusal.Code = http.StatusUnauthorized
	}
	return caller{}, &refusal
}

// authorize refuses what a caller may not do. It is the one place that does,
// for every route: what a route needs stands in the table of rules.go.
func (a *api) authorize(who caller, r *http.Request) *model.Error {
	_, pattern := a.lookup(r)
	for _, n := range needsOf(pattern, pathValues(pattern, r.URL.EscapedPath()), r.URL.Query()) {
		n.Specific = a.specific(n)
		if !who.may(n) {
			return denied(who, n)
		}
	}
	return nil
}

// specific returns the key of the object that a request names, by whatever
// index: claims name keys.
func (a *api) specific(n auth.Need) string {
	if !strings.Contains(n.Specific, ":") {
		return n.Specific
	}
	k := a.objects.kinds.get(n.Scope)
	if k == nil {
		return n.Specific
	}
	found, err := a.objects.find(k, n.Specific)
	if err != nil {
		return n.Specific // the route says that it is not there
	}
	return found.ID
}

// pathValues are the named parts of a path, as the pattern that it matched
// names them.
func pathValues(pattern, escaped string) map[string]string {
	path := pattern[strings.Index(pattern, " ")+1:]
	have := strings.Split(escaped, "/")
	values := map[string]string{}
	for i, part := range strings.Split(path, "/") {
		name, isName := strings.CutPrefix(part, "{")
		if !isName || i >= len(have) {
			continue
		}
		name = strings.TrimSuffix(name, "}")
		text := have[i]
		if rest, multi := strings.CutSuffix(name, "..."); multi {
			name, text = rest, strings.Join(have[i:], "/")
		}
		// The server has parsed the path, so it unescapes; a wrong one matches no claim.
		if plain, err := url.PathUnescape(text); err == nil {
			text = plain
		}
		values[name] = text
	}
	return values
}

// decode reports whether a request wants secrets in clear. That it may have
// them stands in the table of rules.go.
func decode(r *http.Request) bool { return r.URL.Query().Get("decode") == "true" }
