package secret

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"

	"provision-plugins/shared/model"
)

// disk writes keys so that a power cut leaves them whole: a key that is lost takes
// with it all that it has sealed.
type disk struct {
	sync func(f *os.File) error // of tests; else (*os.File).Sync
}

// durable is the disk as it is.
func durable() disk { return disk{(*os.File).Sync} }

// WriteFile writes a key to a new file.
func WriteFile(path string, m *Master) error { return durable().write(path, m) }

// ReplaceFile puts a key's file in the place of another's, durably.
func ReplaceFile(path, by string) error { return durable().replace(path, by) }

// write is WriteFile.
func (d disk) write(path string, m *Master) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = f.WriteString(base64.StdEncoding.EncodeToString(m.key[:]) + "\n")
		err = errors.Join(err, d.sync(f), f.Close())
	}
	if err == nil {
		err = d.syncDir(filepath.Dir(path))
	}
	if err != nil {
		return model.Errorf(model.Internal, "cannot write the master key %s: %w", path, pathCause(err))
	}
	return nil
}

// replace is ReplaceFile.
func (d disk) replace(path, by string) error {
	err := os.Rename(by, path)
	if err == nil {
		err = d.syncDir(filepath.Dir(path))
	}
	if err != nil {
		return model.Errorf(model.Internal, "cannot replace the master key %s: %w", path, pathCause(err))
	}
	return nil
}

// syncDir makes a new file's name durable.
func (d disk) syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.sync(f), f.Close())
}
