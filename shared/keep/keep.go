// Package keep keeps small records in a folder, one file each, so that what a
// plugin has begun outlives its process: a record is there as a whole, and on the
// disk, when Put returns.
package keep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// maxRecord bounds a record.
const maxRecord = 1 << 20

// suffix is that of the files of records.
const suffix = ".json"

// unfinished is how the names of files begin that are being written.
const unfinished = ".record-"

// names are the ids that records can have: they become names of files.
var names = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z-]{0,99}$`)

// Store is a folder of records of one kind. One process writes to it at a time, and
// in it one goroutine to a record.
type Store[T any] struct{ dir string }

// Open returns the store in a folder, which is made if it is not there, for its
// owner only.
func Open[T any](dir string) (*Store[T], error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot keep records: %w", err)
	}
	return &Store[T]{dir: dir}, nil
}

// Put writes a record.
func (s *Store[T]) Put(id string, v T) error {
	if !names.MatchString(id) {
		return fmt.Errorf("cannot keep record %.80q: that is no id", id)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("cannot keep record %s: %w", id, err)
	}
	if err := File(filepath.Join(s.dir, id+suffix), raw); err != nil {
		return fmt.Errorf("cannot keep record %s: %w", id, err)
	}
	return nil
}

// File writes a file for its owner alone. Its name stands for the old content or for
// all of the new one, whatever happens; when File returns, for the new one for good.
func File(path string, raw []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), unfinished) // which is of mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return Folder(filepath.Dir(path))
}

// Folder makes the names of a folder's files last.
func Folder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Delete removes a record; one that is not there is no error.
func (s *Store[T]) Delete(id string) error {
	if !names.MatchString(id) {
		return nil
	}
	err := os.Remove(filepath.Join(s.dir, id+suffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = Folder(s.dir)
	}
	if err != nil {
		return fmt.Errorf("cannot forget record %s: %w", id, err)
	}
	return nil
}

// All reads every record. Files that are no record, or cannot be read, are told of
// and left where they are; what a process left half written is removed.
func (s *Store[T]) All() (map[string]T, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read records: %w", err)
	}
	out := map[string]T{}
	var problems []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), unfinished) {
			problems = append(problems, os.Remove(filepath.Join(s.dir, e.Name())))
			continue
		}
		id, isRecord := strings.CutSuffix(e.Name(), suffix)
		if !isRecord || !names.MatchString(id) {
			continue
		}
		v, err := s.read(e.Name())
		if err != nil {
			problems = append(problems, fmt.Errorf("cannot read record %s: %w", e.Name(), err))
			continue
		}
		out[id] = v
	}
	return out, errors.Join(problems...)
}

// read reads one record.
func (s *Store[T]) read(name string) (v T, err error) {
	f, err := os.Open(filepath.Join(s.dir, name))
	if err != nil {
		return v, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(raw, &v)
}
