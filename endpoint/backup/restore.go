package backup

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"provision-plugins/endpoint/secret"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// Target is where a snapshot goes.
type Target struct {
	// Dir is the data directory. No endpoint may have it open.
	Dir string
	// Site is that of the endpoint; empty: that of the snapshot.
	Site string
	// Logger takes the store's lines; default: none.
	Logger *slog.Logger
}

// Restored is what was done.
type Restored struct {
	Head
	Counts
	// KeyWritten says that the master key was in the snapshot and is in the
	// directory now.
	KeyWritten bool
	// KeyMissing says that the directory has no master key: without the one of the
	// snapshot's MasterKey the secrets in it do not open.
	KeyMissing bool
}

// Restore puts a snapshot in the place of what a data directory stores: all of it,
// or, if anything is wrong with it or happens meanwhile, nothing.
func Restore(ctx context.Context, path string, t Target) (*Restored, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot read the snapshot %s: %w", path, cause(err))
	}
	defer f.Close()
	out := &Restored{}
	var key []byte
	// All of it is checked before anything is touched.
	out.Head, out.Counts, err = read(f, content{key: func(k keyLine) error { key = k.Master; return nil }})
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, model.Errorf(model.Invalid, "cannot read the snapshot %s twice: %w", path, cause(err))
	}
	if err := out.checkKey(t.Dir, key); err != nil {
		return nil, err
	}
	o := store.Options{Dir: t.Dir, Site: t.Site, Logger: t.Logger}
	if o.Site == "" {
		o.Site = out.Site
	}
	err = store.Replace(ctx, o, func(ctx context.Context, s *store.Store) error {
		if err := fill(ctx, s, f); err != nil {
			return err
		}
		return out.putKey(t.Dir, key)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// checkKey refuses a snapshot whose secrets would not open with the directory's
// master key.
func (r *Restored) checkKey(dir string, key []byte) error {
	path := filepath.Join(dir, secret.KeyFile)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.KeyWritten, r.KeyMissing = key != nil, key == nil
		return nil
	case err != nil:
		return model.Errorf(model.Invalid, "cannot read the master key %s: %w", path, cause(err))
	}
	raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil {
		return model.Errorf(model.Invalid, "cannot use the master key %s: it is damaged; move it away", path)
	}
	master, err := secret.NewMaster(raw, path)
	if err != nil {
		return err
	}
	if r.MasterKey != "" && master.ID() != r.MasterKey {
		return model.Errorf(model.Conflict,
			"cannot restore: %s is not the master key that the snapshot was made with, so its secrets would not open; move it away, and put the right one there unless the snapshot has it", path)
	}
	return nil
}

// putKey writes the master key where there is none. The new store is not in its
// place yet: the old one had none either.
func (r *Restored) putKey(dir string, key []byte) error {
	if !r.KeyWritten {
		return nil
	}
	return Replace(filepath.Join(dir, secret.KeyFile), func(w io.Writer) error {
		_, err := io.WriteString(w, base64.StdEncoding.EncodeToString(key)+"\n")
		return err
	})
}

// fill writes a snapshot into an empty store.
func fill(ctx context.Context, s *store.Store, in io.Reader) error {
	l := newLanes(ctx)
	last := make([]map[[2]string]uint64, writers) // of the records of each lane
	var lastAudit uint64
	_, _, err := read(in, content{
		head: func(h Head) error { return s.Continue(ctx, h.Revision, h.Sequence) },
		object: func(o objectLine) error {
			return l.do(o.Prefix, o.ID, func(ctx context.Context, _ int) error {
				_, err := s.Create(ctx, store.Object{Prefix: o.Prefix, ID: o.ID, Value: o.Value, Key: o.Key}, o.Unique)
				return err
			})
		},
		record: func(r recordLine) error {
			return l.do(r.Prefix, r.ID, func(ctx context.Context, lane int) (err error) {
				if last[lane] == nil {
					last[lane] = map[[2]string]uint64{}
				}
				name := [2]string{r.Prefix, r.ID}
				last[lane][name], err = s.PutRecord(ctx, store.Record{Prefix: r.Prefix, ID: r.ID, Seq: last[lane][name], Data: r.Data})
				return err
			})
		},
		audit: func(a auditLine) (err error) {
			lastAudit, err = s.AppendAudit(ctx, a.Data, lastAudit)
			return err
		},
	})
	if err != nil {
		l.cancel(err)
	}
	return l.wait()
}
