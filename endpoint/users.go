package endpoint

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"provision-plugins/endpoint/auth"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

const (
	// passwordFile holds the first user's password, from the first start until
	// the password is changed.
	passwordFile = "admin.password"
	// usersPrefix and rolesPrefix are where users and roles are stored.
	usersPrefix, rolesPrefix = "users", "roles"
	// superuserRole is the first user's role, by its name in the reference.
	superuserRole = "superuser"
)

// access knows the users: what they may do, their passwords and their tokens.
type access struct {
	log     *slog.Logger
	dir     string // the data directory
	objects *objects
	hasher  *auth.Hasher
	logins  *auth.Logins
	book    *tokenBook
}

// openAccess makes the roles that every endpoint has, and on the first start the
// first user.
func (e *Endpoint) openAccess(ctx context.Context) error {
	hasher := auth.NewHasher(e.hashCost)
	e.access = &access{
		log: e.log, dir: e.opts.DataDir, objects: e.objects, hasher: hasher,
		logins: auth.NewLogins(hasher, e.now),
		book:   &tokenBook{store: e.store, log: e.log, now: e.now, signer: auth.Signer{Key: e.master.Derive("tokens")}, limit: maxTokens},
	}
	e.objects.ended = func(ctx context.Context, user string) error { return e.access.book.revokeAll(ctx, user, "") }
	return e.access.firstUser(ctx)
}

// roleSection are the built-in roles as a section of a content layer.
func roleSection() (map[string]map[string]any, error) {
	section := map[string]map[string]any{}
	for _, r := range auth.Roles() {
		var object map[string]any
		if err := model.Remarshal(r, &object); err != nil {
			return nil, err
		}
		section[r.Name] = object
	}
	return section, nil
}

// firstUser makes the admin of an endpoint without users, with a password of
// chance in a private file.
func (x *access) firstUser(ctx context.Context) error {
	if len(x.objects.store.List(usersPrefix)) > 0 {
		return nil
	}
	password := newToken()[:24]
	path := filepath.Join(x.dir, passwordFile)
	if err := writePrivate(path, []byte(password+"\n")); err != nil {
		return model.Errorf(model.Internal, "cannot write %s: %w", path, cause(err))
	}
	hash, err := x.hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	k := x.objects.kinds.get(usersPrefix)
	r := k.fresh().(*record)
	r.key = adminName
	r.values["Description"] = "The first user; its password is in " + passwordFile + " of the data directory until it is changed"
	r.values["Roles"], r.values["PasswordHash"], r.values["Secret"] = []any{superuserRole}, hash, newToken()
	k.tidy(r)
	raw, err := model.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := x.objects.store.Create(ctx, store.Object{Prefix: usersPrefix, ID: adminName, Value: raw}, nil); err != nil {
		return err
	}
	x.log.Info("made the first user", "user", adminName, "password", path)
	return nil
}

// user returns a user with its hidden fields.
func (x *access) user(name string) (*record, error) {
	k := x.objects.kinds.get(usersPrefix)
	found, err := x.objects.find(k, name)
	if err != nil {
		return nil, err
	}
	r := k.fresh().(*record)
	err = model.Unmarshal(found.Value, r)
	return r, err
}

// claims are what a user's roles allow. A role that is not there allows nothing.
func (x *access) claims(user *record) auth.Claims {
	var out auth.Claims
	for _, name := range user.list("Roles") {
		raw, ok := x.objects.cat.object(rolesPrefix, name)
		if !ok {
			found, err := x.objects.store.Get(rolesPrefix, name)
			if err != nil {
				continue
			}
			raw = found.Value
		}
		var role model.Role
		if err := model.Unmarshal(raw, &role); err != nil {
			x.log.Error("cannot read a role", "role", name, "error", err)
			continue
		}
		out = append(out, role.Claims...)
	}
	return out
}

// secretSum stands for a user's Secret in its tokens.
func secretSum(user *record) string {
	sum := sha256.Sum256([]byte("secret of " + user.key + "\x00" + user.text("Secret")))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// newSecret reports whether a user has another Secret than it had.
func (o *objects) newSecret(k *kind, before store.Object, user *record) bool {
	was, ok := o.decoded(k, before).(*record)
	return !ok || secretSum(was) != secretSum(user)
}

// login is the caller of a name and a password.
func (x *access) login(ctx context.Context, in auth.Login) (caller, error) {
	user, err := x.user(in.User)
	if err == nil { // a user has one count of failed logins, by whatever index it is named
		in.User, in.Hash = user.key, user.text("PasswordHash")
	}
	if err := x.logins.Check(ctx, in); err != nil {
		return caller{}, err
	}
	return x.callerOf(user), nil
}

// callerOf is the caller that a user is who is not limited by a token.
func (x *access) callerOf(user *record) caller {
	return caller{name: "user:" + user.key, user: user.key, grant: auth.Grant{x.claims(user)}}
}

// bearer is the caller of a token.
func (x *access) bearer(text string) (caller, error) {
	t, err := x.book.open(text)
	if err != nil {
		return caller{}, err
	}
	user, err := x.user(t.User)
	if err != nil || secretSum(user) != t.Secret {
		return caller{}, auth.ErrForged
	}
	return caller{
		name: "user:" + user.key, user: user.key, token: t.ID, renew: t.Renew,
		grant: append(auth.Grant{x.claims(user)}, t.Limits...),
	}, nil
}

// setPassword gives a user a new password, and ends the user's other sessions.
func (x *access) setPassword(ctx context.Context, name, password string) (store.Object, error) {
	if err := auth.CheckPassword(password); err != nil {
		return store.Object{}, err
	}
	hash, err := x.hasher.Hash(ctx, password)
	if err != nil {
		return store.Object{}, err
	}
	k := x.objects.kinds.get(usersPrefix)
	found, err := x.objects.find(k, name)
	if err != nil {
		return found, err
	}
	unlock := x.objects.locks.lock(usersPrefix, found.ID, principal(ctx))
	defer unlock()
	if found, err = x.objects.find(k, found.ID); err != nil {
		return found, err
	}
	r := k.fresh().(*record)
	if err := model.Unmarshal(found.Value, r); err != nil {
		return found, err
	}
	r.values["PasswordHash"] = hash
	if found.Value, err = model.Marshal(r); err != nil {
		return found, err
	}
	if found, err = x.objects.store.Update(ctx, found, nil); err != nil {
		return found, err
	}
	if found.ID == adminName {
		if err := os.Remove(filepath.Join(x.dir, passwordFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			x.log.Warn("cannot remove the first password's file", "error", err)
		}
	}
	return found, x.book.revokeAll(ctx, found.ID, callerOf(ctx).token)
}

// guardUser keeps from a writer what is not for it to set: the password has a
// route of its own. A user without a Secret gets one.
func guardUser(user *record, stored any) {
	delete(user.values, "PasswordHash")
	was, _ := stored.(*record)
	if was != nil && was.text("PasswordHash") != "" {
		user.values["PasswordHash"] = was.text("PasswordHash")
	}
	if user.text("Secret") != "" {
		return
	}
	user.values["Secret"] = newToken()
	if was != nil && was.text("Secret") != "" {
		user.values["Secret"] = was.text("Secret")
	}
}

// validateAccess checks what a user's roles and a role's claims say.
func (o *objects) validateAccess(k *kind, r *record) error {
	switch k.prefix {
	case usersPrefix:
		for _, name := range r.list("Roles") {
			if o.cat.owns(rolesPrefix, name) != "" {
				continue
			}
			if _, err := o.store.Get(rolesPrefix, name); err != nil {
				return model.Errorf(model.Invalid, "Role %s does not exist", name).On(k.prefix, r.key)
			}
		}
	case rolesPrefix:
		var role model.Role
		if err := model.Remarshal(r, &role); err != nil {
			return model.Errorf(model.Invalid, "Invalid Claims: %w", err).On(k.prefix, r.key)
		}
		for i, c := range role.Claims {
			if c.Scope == "" || c.Action == "" || c.Specific == "" {
				return model.Errorf(model.Invalid, "Invalid Claims: claim %d needs a scope, an action and a specific; * means all", i+1).On(k.prefix, r.key)
			}
		}
	}
	return nil
}

// roleUnused refuses to delete a role that a user has.
func (o *objects) roleUnused(name string) error {
	k := o.kinds.get(usersPrefix)
	for _, s := range o.store.List(usersPrefix) {
		r := k.fresh().(*record)
		if err := model.Unmarshal(s.Value, r); err != nil {
			return err
		}
		if slices.Contains(r.list("Roles"), name) {
			return model.Errorf(model.Conflict, "cannot delete: user %s has it", r.key).On(rolesPrefix, name)
		}
	}
	return nil
}
