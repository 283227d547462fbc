package endpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"provision-plugins/endpoint/backup"
	"provision-plugins/shared/model"
)

const (
	privateDir  fs.FileMode = 0o700
	privateFile fs.FileMode = 0o600
	// maxSocketPath is what a unix socket's address holds, with its end mark.
	maxSocketPath = 107
)

// defaultDataDir is where root, or a user, keeps the endpoint's data.
func defaultDataDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/oob", nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "oob"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", model.Errorf(model.Invalid, "cannot find a data directory: %w; name one with --data-dir", err)
	}
	return filepath.Join(home, ".local", "state", "oob"), nil
}

// cause strips the operation and the path, which the message names already.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	var linkErr *os.LinkError
	if errors.As(err, &linkErr) {
		return linkErr.Err
	}
	return err
}

// runtimeNote holds, in the data directory, the path of the runtime directory
// that was made for a process.
const runtimeNote = "runtime"

// makeRuntimeDir returns a private directory for sockets and what removes it.
// One that a killed process left is removed first; the data directory must be
// held.
func makeRuntimeDir(dir, data string) (string, func() error, error) {
	if dir != "" {
		err := os.MkdirAll(dir, privateDir)
		if err == nil {
			err = trusted(dir)
		}
		if err != nil {
			return "", nil, model.Errorf(model.Invalid, "cannot use runtime directory %s: %w", dir, cause(err))
		}
		return dir, func() error { return nil }, nil
	}
	note := filepath.Join(data, runtimeNote)
	err := removeStale(note)
	if err == nil {
		dir, err = os.MkdirTemp("", runtimePrefix)
	}
	if err == nil {
		err = writePrivate(note, []byte(dir))
	}
	if err != nil {
		return "", nil, model.Errorf(model.Invalid, "cannot make a runtime directory: %w", err)
	}
	return dir, func() error { return errors.Join(os.RemoveAll(dir), os.Remove(note)) }, nil
}

// runtimePrefix begins the names of runtime directories.
const runtimePrefix = "oob-"

// removeStale removes the runtime directory that a note names, if it looks like
// one.
func removeStale(note string) error {
	raw, err := os.ReadFile(note)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	dir := string(raw)
	if !filepath.IsAbs(dir) || !strings.HasPrefix(filepath.Base(dir), runtimePrefix) {
		return nil
	}
	return os.RemoveAll(dir)
}

// trusted refuses a file or directory that somebody else could change.
func trusted(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return trustedInfo(path, info)
}

// trustedPath is trusted for a file and the directory that it is in.
func trustedPath(path string) error {
	if err := trusted(path); err != nil {
		return err
	}
	return trusted(filepath.Dir(path))
}

// trustedInfo is trusted for a file that was looked at already.
func trustedInfo(path string, info fs.FileInfo) error {
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return fmt.Errorf("%s is writable by others (mode %04o): chmod go-w it", path, perm)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to uid %d, neither to root nor to uid %d", path, st.Uid, os.Geteuid())
	}
	return nil
}

// writePrivate writes a 0600 file in one step: a reader sees all of it or none.
func writePrivate(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(privateFile), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return backup.SyncDir(filepath.Dir(path))
}
