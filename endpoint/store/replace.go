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
	// or its bucket that of the present bucket.
	newDir = "restoring"
	// oldName is what the present store is called for a moment, oldBucket what its
	// bucket is.
	oldName   = "replaced"
	oldBucket = "replaced-objects"
)

// place is where something stands that is replaced: where the new one is made, where
// it is put, and where the present one waits meanwhile.
type place struct{ made, now, old string }

// storePlace is that of the whole store of a data directory.
func storePlace(dir string) place {
	return place{
		made: filepath.Join(dir, newDir, server.JetStreamStoreDir),
		now:  filepath.Join(dir, server.JetStreamStoreDir),
		old:  filepath.Join(dir, oldName),
	}
}

// bucketPlace is that of the objects alone.
func bucketPlace(dir string) place {
	return place{
		made: streamDir(filepath.Join(dir, newDir), bucketName),
		now:  streamDir(dir, bucketName),
		old:  filepath.Join(dir, oldBucket),
	}
}

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
		err = storePlace(o.Dir).swap(o.Dir)
	}
	return errors.Join(err, tidy(o.Dir))
}

// fillNew makes a store, has it filled, and makes all of it durable.
func fillNew(ctx context.Context, o Options, fill func(context.Context, *Store) error) error {
	o.Indexes = nil // they are those of the store that is open
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

// swap puts what was made in the place of what is there. A crash between its steps
// is made good by tidy.
func (p place) swap(dir string) error {
	err := os.Rename(p.now, p.old)
	if err == nil {
		err = errors.Join(syncPath(filepath.Dir(p.now)), syncPath(dir))
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.Rename(p.made, p.now)
	}
	if err == nil {
		err = syncPath(filepath.Dir(p.now))
	}
	if err != nil {
		return model.Errorf(model.Internal, "cannot put the new store into %s: %w", dir, err)
	}
	return nil
}

// tidy ends a swap that was cut off: the new one counts once it has its place, else
// the old one does.
func (p place) tidy() error {
	if _, err := os.Lstat(p.now); !errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(p.old)
	}
	if err := os.Rename(p.old, p.now); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// tidy brings a directory in order in which a replacement was cut off.
func tidy(dir string) error {
	for _, p := range []place{storePlace(dir), bucketPlace(dir)} {
		if err := p.tidy(); err != nil {
			return err
		}
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
