package endpoint

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"provision-plugins/endpoint/auth"
	"provision-plugins/shared/model"
)

// userRoutes are those of passwords and tokens.
func (a *api) userRoutes() []route {
	return []route{
		{"GET /users/{key}/token", a.issueToken},
		{"GET /users/{key}/tokens", a.listTokens},
		{"DELETE /users/{key}/tokens", a.revokeTokens},
		{"DELETE /users/{key}/tokens/{id}", a.revokeToken},
		{"PUT /users/{key}/password", a.setPassword},
	}
}

// issueToken makes a token for a user. It allows no more than the user may, no
// more than who asks may, and no more than is asked for.
func (a *api) issueToken(r *http.Request) (*reply, error) {
	user, err := a.access.user(r.PathValue("key"))
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	life, err := lifeOf(query.Get("ttl"))
	if err != nil {
		return nil, model.AsError(err).On(usersPrefix, user.key)
	}
	by := callerOf(r.Context())
	limits := slices.Clone(by.grant)
	if by.user == user.key { // the user's own claims are looked up at each use
		limits = limits[1:]
	}
	if asked := claimOf(query); asked != nil {
		limits = append(limits, auth.Claims{*asked})
	}
	limits = slices.DeleteFunc(limits, func(c auth.Claims) bool { return c.Allow(auth.Everything()) })
	token, err := a.access.book.issue(r.Context(), wanted{user: user, by: by, life: life, limits: limits})
	if err != nil {
		return nil, err
	}
	return ok(&model.UserToken{Token: token, Info: *a.info()}), nil
}

// lifeOf reads a ttl in seconds.
func lifeOf(text string) (time.Duration, error) {
	if text == "" {
		return defaultTokenLife, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if limit := int64(maxTokenLife / time.Second); err != nil || n < 1 || n > limit {
		return 0, model.Errorf(model.Invalid, "ttl=%q: want seconds from 1 to %d", text, limit)
	}
	return time.Duration(n) * time.Second, nil
}

// claimOf is the claim that a token is asked to be limited to, nil for none.
func claimOf(query url.Values) *model.Claim {
	c := model.Claim{Scope: query.Get("scope"), Action: query.Get("action"), Specific: query.Get("specific")}
	if c == (model.Claim{}) {
		return nil
	}
	for _, field := range []*string{&c.Scope, &c.Action, &c.Specific} {
		setDefault(field, "*")
	}
	return &c
}

// listTokens lists a user's tokens, without what would let anybody use them.
func (a *api) listTokens(r *http.Request) (*reply, error) {
	user, err := a.access.user(r.PathValue("key"))
	if err != nil {
		return nil, err
	}
	return ok(a.access.book.list(user.key)), nil
}

// revokeTokens voids all tokens of a user and answers which they were.
func (a *api) revokeTokens(r *http.Request) (*reply, error) {
	user, err := a.access.user(r.PathValue("key"))
	if err != nil {
		return nil, err
	}
	were := a.access.book.list(user.key)
	return ok(were), a.access.book.revokeAll(r.Context(), user.key, "")
}

// revokeToken voids one token of a user.
func (a *api) revokeToken(r *http.Request) (*reply, error) {
	user, err := a.access.user(r.PathValue("key"))
	if err != nil {
		return nil, err
	}
	was, err := a.access.book.revoke(r.Context(), user.key, r.PathValue("id"))
	return ok(was), err
}

// setPassword changes a user's password.
func (a *api) setPassword(r *http.Request) (*reply, error) {
	var in model.UserPassword
	if err := model.Unmarshal(body(r), &in); err != nil {
		return nil, err
	}
	user, err := a.access.setPassword(r.Context(), r.PathValue("key"), in.Password)
	if err != nil {
		e := *model.AsError(err)
		return nil, e.On(usersPrefix, r.PathValue("key"))
	}
	raw, err := a.objects.show(a.objects.kinds.get(usersPrefix), user, false)
	return ok(raw), err
}

// credentials are what a request proves its caller with.
type credentials struct{ token, user, password string }

// credentialsOf reads them from the header, or where a browser cannot set one,
// on streams, from the query: a token, or user:password.
func credentialsOf(r *http.Request) credentials {
	if user, password, basic := r.BasicAuth(); basic {
		return credentials{user: user, password: password}
	}
	header := r.Header.Get("Authorization")
	if token, bearer := strings.CutPrefix(header, "Bearer "); bearer {
		return credentials{token: token}
	}
	if header != "" || !inQuery(r) {
		return credentials{}
	}
	text := r.URL.Query().Get("token")
	if user, password, basic := strings.Cut(text, ":"); basic {
		return credentials{user: user, password: password}
	}
	return credentials{token: text}
}

// inQuery reports whether a request may have its credentials in the query.
func inQuery(r *http.Request) bool {
	return r.URL.Path == apiRoot+"/ws" || strings.HasPrefix(r.URL.Path, "/plugin-apis/")
}

// prove tells who has the credentials.
func (a *api) prove(r *http.Request) (caller, error) {
	c := credentialsOf(r)
	switch {
	case c.user != "":
		source, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return caller{}, model.Errorf(model.Internal, "cannot tell where a login is from: %w", err)
		}
		return a.access.login(r.Context(), auth.Login{User: c.user, Password: c.password, Source: source.Addr()})
	case c.token == "":
		return caller{}, model.Errorf(model.Forbidden, "Access Denied: send a token (%s has the admin's) as a bearer token, or log in with a name and a password", tokenFile)
	}
	if who, known := a.tokens.who(c.token); known {
		return who, nil
	}
	who, err := a.access.bearer(c.token)
	if err != nil {
		return caller{}, model.Errorf(model.Forbidden, "Access Denied: %w; %s has the admin's", err, tokenFile)
	}
	return who, nil
}
