// Package rekey takes a data directory from one master key to another. Every key
// that is sealed with the old one is sealed with the new one, one by one; from
// the first to the last of them both master keys open everything, so that a
// process that is killed in between loses nothing, whichever it is given next.
package rekey

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"provision-plugins/endpoint/secret"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// The records that are kept about the master key, and the names that what is
// sealed in them is bound to.
const (
	prefix   = "seen"
	known    = "master key"        // what only the master key opens
	changing = "master key change" // both keys, each sealed with the other
	auditKey = "audit key"         // that of the trail, which outlives master keys
	oldKey   = "old master key"
	newKey   = "new master key"

	// tokens are where the tokens of users are: their signatures are of the key
	// that goes.
	tokens = "tokens"
)

// change is a change of master keys that has begun and not ended.
type change struct {
	Old []byte // sealed with the new key
	New []byte // sealed with the old key
}

// Open checks that a store was written with a master key, and notes it in a new
// one. A change of keys that was cut off is ended if the key is the new one; with
// the old one everything opens too, and the log says what to do.
func Open(ctx context.Context, s *store.Store, m *secret.Master, log *slog.Logger) error {
	found, err := s.Get(prefix, known)
	if model.KindOf(err) == model.NotFound {
		return seal(ctx, s, m, known, []byte("known"))
	}
	if err != nil {
		return err
	}
	c, err := pending(s)
	if err != nil {
		return err
	}
	if c == nil {
		if _, err := unseal(found, m, known); err != nil {
			return model.Errorf(model.Invalid, "cannot use the master key of %s: the data was written with another one", m.Source)
		}
		return nil
	}
	switch other, isNew := c.other(m); {
	case other == nil:
		return model.Errorf(model.Invalid, "cannot use the master key of %s: the data was written with another one", m.Source)
	case isNew:
		m.Beside(other)
		log.Warn("a change of the master key was not ended; it is now", "key", m.Source)
		return end(ctx, s, m)
	default:
		m.Beside(other)
		log.Warn("a change of the master key was begun and not ended; hand over the new key, or run oob rekey again", "key", m.Source)
		return nil
	}
}

// AuditKey is the key of the audit trail. It stays when the master key changes, or
// the trail could not be checked any more.
func AuditKey(s *store.Store, m *secret.Master) ([sha256.Size]byte, error) {
	found, err := s.Get(prefix, auditKey)
	if model.KindOf(err) == model.NotFound {
		return m.Derive("audit"), nil
	}
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	raw, err := unseal(found, m, auditKey)
	if err != nil || len(raw) != sha256.Size {
		return [sha256.Size]byte{}, model.Errorf(model.Internal, "cannot open the key of the audit trail: it is damaged")
	}
	return [sha256.Size]byte(raw), nil
}

// pending reads the change that has begun, nil if there is none.
func pending(s *store.Store) (*change, error) {
	found, err := s.Get(prefix, changing)
	if model.KindOf(err) == model.NotFound {
		return nil, nil
	}
	c := &change{}
	if err == nil {
		err = model.Unmarshal(found.Value, c)
	}
	return c, err
}

// other is the other one of the two keys, nil if the given one is neither, and
// whether the given one is the new one.
func (c *change) other(m *secret.Master) (other *secret.Master, isNew bool) {
	for _, row := range []struct {
		name   string
		sealed []byte
		isNew  bool
	}{{oldKey, c.Old, true}, {newKey, c.New, false}} {
		raw, err := m.Alone().Open(row.name, row.sealed)
		if err != nil {
			continue
		}
		if other, err := secret.NewMaster(raw, "the change of keys"); err == nil {
			return other, row.isNew
		}
	}
	return nil, false
}

// unseal opens what a record holds.
func unseal(found store.Object, m *secret.Master, name string) ([]byte, error) {
	var sealed []byte
	if err := model.Unmarshal(found.Value, &sealed); err != nil {
		return nil, err
	}
	return m.Open(name, sealed)
}

// seal writes a record that only the key opens.
func seal(ctx context.Context, s *store.Store, m *secret.Master, name string, plain []byte) error {
	sealed, err := m.Seal(name, plain)
	if err != nil {
		return err
	}
	return put(ctx, s, name, sealed)
}

// put writes a record, new or in the place of another.
func put(ctx context.Context, s *store.Store, name string, value any) error {
	raw, err := model.Marshal(value)
	if err != nil {
		return err
	}
	found, err := s.Get(prefix, name)
	if model.KindOf(err) == model.NotFound {
		_, err = s.Create(ctx, store.Object{Prefix: prefix, ID: name, Value: raw}, nil)
		return err
	}
	if err == nil {
		found.Value = raw
		_, err = s.Update(ctx, found, nil)
	}
	return err
}

// Options are those of a change of keys.
type Options struct {
	Dir  string // the data directory
	Site string
	// KeyFile holds the new key. Empty: one is made in Dir, if that is where the
	// old one is.
	KeyFile string
	// Getenv is os.Getenv.
	Getenv func(string) string
	Logger *slog.Logger

	step func(name string) error // of tests: called after each step
}

// Result tells what a change of keys has done.
type Result struct {
	Objects int // whose keys were sealed anew
	// HandOver tells that the new key must be put where the old one came from; the
	// old one works until the endpoint has started with the new one.
	HandOver bool
	Source   string // where the old key came from
}

// Change takes a data directory, whose endpoint must not run, to a new master key.
// It is safe to run again after it was cut off.
func Change(ctx context.Context, o Options) (*Result, error) {
	// Elsewhere a key would be made, and somebody believe that the endpoint has it.
	if _, err := os.Stat(filepath.Join(o.Dir, "lock")); errors.Is(err, fs.ErrNotExist) {
		return nil, model.Errorf(model.NotFound, "cannot change the master key: no endpoint has stored anything in %s; name its directory with --data-dir", o.Dir)
	}
	old, err := secret.LoadMaster(o.Dir, o.Getenv)
	if err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, store.Options{Dir: o.Dir, Site: o.Site, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	out, err := o.change(ctx, s, old)
	return out, errors.Join(err, s.Close())
}

// change makes the change in an open store.
func (o Options) change(ctx context.Context, s *store.Store, old *secret.Master) (*Result, error) {
	if err := Open(ctx, s, old, o.Logger); err != nil {
		return nil, err
	}
	inDir := old.Source == filepath.Join(o.Dir, secret.KeyFile)
	next, err := o.next(s, old, inDir)
	if err != nil {
		return nil, err
	}
	if err := o.done("new key"); err != nil {
		return nil, err
	}
	if err := begin(ctx, s, old, next); err != nil {
		return nil, err
	}
	if err := o.done("begun"); err != nil {
		return nil, err
	}
	next.Beside(old)
	n, err := o.rewrap(ctx, s, next)
	if err != nil {
		return nil, err
	}
	out := &Result{Objects: n, HandOver: !inDir, Source: old.Source}
	if !inDir {
		return out, nil
	}
	if err := replaceFile(o.Dir, next); err != nil {
		return nil, err
	}
	if err := o.done("file replaced"); err != nil {
		return nil, err
	}
	return out, end(ctx, s, next)
}

// done is called after each step.
func (o Options) done(step string) error {
	if o.step == nil {
		return nil
	}
	return o.step(step)
}

// next is the new key: that of a change that has begun, else that of the file that
// was named, else one that is made.
func (o Options) next(s *store.Store, old *secret.Master, inDir bool) (*secret.Master, error) {
	c, err := pending(s)
	if err != nil {
		return nil, err
	}
	if c != nil {
		if next, _ := c.other(old); next != nil {
			return next, nil
		}
	}
	switch {
	case o.KeyFile != "":
		next, err := secret.LoadFile(o.KeyFile)
		if err == nil && next.ID() == old.ID() {
			err = model.Errorf(model.Invalid, "cannot change the master key: %s holds the one that is used already", o.KeyFile)
		}
		return next, err
	case !inDir:
		return nil, model.Errorf(model.Invalid, "cannot make a new master key: the one in use comes from %s; make the new one there and name its file with --key-file", old.Source)
	}
	path := filepath.Join(o.Dir, secret.KeyFile+".new")
	if err := drop(path); err != nil { // of a try that was cut off before anything was sealed with it
		return nil, err
	}
	return secret.MakeFile(path)
}

// begin notes both keys, each sealed with the other: from then on either opens
// everything.
func begin(ctx context.Context, s *store.Store, old, next *secret.Master) error {
	if c, err := pending(s); c != nil || err != nil {
		return err
	}
	var c change
	var err error
	if c.Old, err = next.Seal(oldKey, old.Bytes()); err != nil {
		return err
	}
	if c.New, err = old.Seal(newKey, next.Bytes()); err != nil {
		return err
	}
	return put(ctx, s, changing, c)
}

// rewrap seals every key with the new master key, which opens what the old one
// has sealed too.
func (o Options) rewrap(ctx context.Context, s *store.Store, next *secret.Master) (int, error) {
	key, err := AuditKey(s, auditOwner(s, next))
	if err != nil {
		return 0, err
	}
	if err := seal(ctx, s, next, auditKey, key[:]); err != nil {
		return 0, err
	}
	cut, err := s.Cut(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, found := range cut.Objects() {
		if len(found.Key) == 0 {
			continue
		}
		owner := found.Prefix + "/" + found.ID
		raw, err := next.Open(owner, found.Key)
		if err != nil {
			return n, model.AsError(err).On(found.Prefix, found.ID)
		}
		if found.Key, err = next.Seal(owner, raw); err != nil {
			return n, err
		}
		if _, err := s.Update(ctx, found.Object, found.Unique); err != nil {
			return n, err
		}
		n++
		if err := o.done("object"); err != nil {
			return n, err
		}
	}
	if err := seal(ctx, s, next, known, []byte("known")); err != nil {
		return n, err
	}
	return n, o.done("rewrapped")
}

// auditOwner is the key that the trail's is derived from, where it was never
// sealed: the old one.
func auditOwner(s *store.Store, next *secret.Master) *secret.Master {
	if c, err := pending(s); err == nil && c != nil {
		if old, isNew := c.other(next); old != nil && isNew {
			old.Beside(next)
			return old
		}
	}
	return next
}

// replaceFile puts the new key in the place of the old one's file.
func replaceFile(dir string, next *secret.Master) error {
	made := filepath.Join(dir, secret.KeyFile+".new")
	if there, err := secret.LoadFile(made); err != nil || there.ID() != next.ID() {
		if err := drop(made); err != nil {
			return err
		}
		if err := secret.WriteFile(made, next); err != nil {
			return err
		}
	}
	return secret.ReplaceFile(filepath.Join(dir, secret.KeyFile), made)
}

// drop removes a file, if it is there.
func drop(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return model.Errorf(model.Internal, "cannot remove %s: %w", path, err)
	}
	return nil
}

// end seals what the old key has sealed meanwhile, and forgets that key. The
// tokens of users end with it.
func end(ctx context.Context, s *store.Store, next *secret.Master) error {
	if _, err := (Options{}).rewrap(ctx, s, next); err != nil {
		return err
	}
	for _, token := range s.List(tokens) {
		if _, err := s.Delete(ctx, tokens, token.ID, 0); err != nil && model.KindOf(err) != model.NotFound {
			return err
		}
	}
	_, err := s.Delete(ctx, prefix, changing, 0)
	if model.KindOf(err) == model.NotFound {
		return nil
	}
	return err
}
