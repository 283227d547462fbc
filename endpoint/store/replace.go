package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"

	"provision-plugins/shared/model"
)

const (
	// newDir is where a store is made that is to take the place of the present one,
	// and oldName is what that one is called for a moment.
	newDir  = "restoring"
	oldName = "replaced"
)

// Replace puts another store in the place of the one in a data directory, which
// nobody may have open: the store that fill has filled, all of it or, after an
// error or a crash at any moment, nothing. What else is in the directory stays.
func Replace(ctx context.Context, o Options, fill func(context.Context, *Store) error) (err error) {
	lock, err := openDir(o.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	if err := tidy(o.Dir); err != nil {
		return dirError(o.Dir, err)
	}
	next := o
	next.Dir = filepath.Join(o.Dir, newDir)
	err = fillNew(ctx, next, fill)
	if err == nil {
		err = swap(o.Dir)
	}
	return errors.Join(err, tidy(o.Dir))
}

// fillNew makes a store, has it filled, and makes all of it durable.
func fillNew(ctx context.Context, o Options, fill func(context.Context, *Store) error) error {
	s, err := Open(ctx, o)
	if err != nil {
		return err
	}
	if err := errors.Join(fill(ctx, s), s.Close()); err != nil {
		return err
	}
	// The engine has synced what it wrote, but not every folder's list of names.
	err = filepath.WalkDir(o.Dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncPath(path)
	})
	if err != nil {
		return dirError(o.Dir, err)
	}
	return nil
}

// swap puts the new store in the place of the present one. A crash between its
// steps is made good by tidy.
func swap(dir string) error {
	now, old := filepath.Join(dir, server.JetStreamStoreDir), filepath.Join(dir, oldName)
	err := os.Rename(now, old)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.Rename(filepath.Join(dir, newDir, server.JetStreamStoreDir), now)
	}
	if err == nil {
		err = syncPath(dir)
	}
	if err != nil {
		return model.Errorf(model.Internal, "cannot put the new store into %s: %w", dir, err)
	}
	return nil
}

// tidy brings a directory in order that a replacement was cut off in: the new
// store counts once it has its place, else the old one does.
func tidy(dir string) error {
	now, old := filepath.Join(dir, server.JetStreamStoreDir), filepath.Join(dir, oldName)
	if _, err := os.Lstat(now); errors.Is(err, fs.ErrNotExist) {
		if err := os.Rename(old, now); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	} else if err := os.RemoveAll(old); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(dir, newDir)); err != nil {
		return err
	}
	return syncPath(dir)
}

// syncPath makes a file, or the names in a folder, durable.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
