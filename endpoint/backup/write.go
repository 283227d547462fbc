package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// Source is what a snapshot is taken of, and what its head says.
type Source struct {
	Store *store.Store
	Site  string
	// Version is that of the program.
	Version string
	// KeyID tells the master key from another one. See secret.Master.
	KeyID string
	// Key is the master key, nil to leave it out.
	Key []byte
	// Now tells the time.
	Now func() time.Time
}

// Write writes a snapshot.
func Write(ctx context.Context, w io.Writer, src Source) (Counts, error) {
	var counts Counts
	cut, err := src.Store.Cut(ctx)
	if err != nil {
		return counts, err
	}
	out := newWriter(w)
	err = out.write(typeHead, Head{
		Schema: store.SchemaVersion, Time: src.Now().UTC(), Site: src.Site, Version: src.Version,
		Revision: cut.Revision, Sequence: cut.Sequence, MasterKey: src.KeyID,
	})
	if err == nil && src.Key != nil {
		err = out.write(typeKey, keyLine{src.Key})
	}
	if err != nil {
		return counts, unwritten(err)
	}
	for _, o := range cut.Objects() {
		if err := ctx.Err(); err != nil {
			return counts, unwritten(err)
		}
		counts.Objects++
		if err := out.write(typeObject, objectLine{Prefix: o.Prefix, ID: o.ID, Unique: o.Unique, Key: o.Key, Value: o.Value}); err != nil {
			return counts, unwritten(err)
		}
	}
	err = cut.Records(ctx, func(r store.Record) error {
		counts.Records++
		return out.write(typeRecord, recordLine{Prefix: r.Prefix, ID: r.ID, Data: r.Data})
	})
	if err == nil {
		err = cut.Audit(ctx, func(data []byte) error {
			counts.Audit++
			return out.write(typeAudit, auditLine{data})
		})
	}
	if err == nil {
		err = out.end(counts)
	}
	if err != nil {
		return counts, unwritten(err)
	}
	return counts, nil
}

// unwritten says that there is no snapshot.
func unwritten(err error) error {
	if e := (*model.Error)(nil); errors.As(err, &e) {
		return err
	}
	return model.Errorf(model.Internal, "cannot write the snapshot: %w", err)
}

// WriteFile writes a snapshot into a file that is readable by its owner alone. The
// file is there whole or not at all; one of that name is replaced.
func WriteFile(ctx context.Context, path string, src Source) (Counts, error) {
	var counts Counts
	err := Replace(path, func(w io.Writer) (err error) {
		counts, err = Write(ctx, w, src)
		return err
	})
	return counts, err
}

// Replace writes a file of the owner's alone by way of another one beside it, so
// that the name stands for the old content or for all of the new one, whatever
// happens.
func Replace(path string, write func(io.Writer) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".")
	if err != nil {
		return model.Errorf(model.Invalid, "cannot write %s: %w", path, cause(err))
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = SyncDir(dir)
	}
	if err == nil {
		return nil
	}
	_ = os.Remove(f.Name()) // the first error tells what went wrong
	if e := (*model.Error)(nil); errors.As(err, &e) {
		return err
	}
	return model.Errorf(model.Internal, "cannot write %s: %w", path, cause(err))
}

// SyncDir makes the names in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// cause strips what a message names already.
func cause(err error) error {
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}

// Check reads a snapshot and tells what it has, or what is wrong with it and in
// which line.
func Check(in io.Reader) (Head, Counts, error) { return read(in, content{}) }

// refuseSchema is the refusal of another layout.
func (r *reader) refuseSchema(h Head) error {
	return r.refuse(fmt.Sprintf("its layout is version %d, of oob %s; this program knows version %d", h.Schema, h.Version, store.SchemaVersion))
}
