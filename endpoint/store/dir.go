package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"provision-plugins/shared/model"
)

const (
	dirMode      = 0o700
	lockFileName = "lock"
	// pidLimit bounds what is read back from the lock file.
	pidLimit = 32
)

// dirLock holds a data directory until it is released or the process ends.
type dirLock struct {
	file *os.File
}

// openDir makes dir if need be, sees that nobody else may look into it, and
// takes its lock.
func openDir(dir string) (*dirLock, error) {
	if dir == "" {
		return nil, model.Errorf(model.Invalid, "cannot open data directory: no directory was named")
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, dirError(dir, err)
	}
	if err := closeToOthers(dir); err != nil {
		return nil, err
	}
	return takeLock(dir)
}

// closeToOthers sets mode 0700. A directory that others can write to and that
// is not empty may be anything, such as /tmp: it is refused instead.
func closeToOthers(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return dirError(dir, err)
	}
	mode := info.Mode()
	if mode.Perm()&0o077 == 0 {
		return nil
	}
	if mode.Perm()&0o022 != 0 {
		ours, err := emptyOrOurs(dir)
		if err != nil {
			return dirError(dir, err)
		}
		if !ours {
			return model.Errorf(model.Invalid,
				"cannot open data directory %s: not empty, and open to other users (mode %#o); choose a directory of its own", dir, mode.Perm())
		}
	}
	if err := os.Chmod(dir, dirMode); err != nil {
		return dirError(dir, err)
	}
	return nil
}

// emptyOrOurs reports whether dir holds nothing, or has been a data directory.
func emptyOrOurs(dir string) (bool, error) {
	if _, err := os.Lstat(filepath.Join(dir, lockFileName)); err == nil {
		return true, nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if _, err := f.Readdirnames(1); errors.Is(err, io.EOF) {
		return true, nil
	} else if err != nil {
		return false, err
	}
	return false, nil
}

// takeLock takes the lock file of dir and writes this process's id into it.
// The kernel drops the lock with the process, so a crash leaves nothing behind.
func takeLock(dir string) (*dirLock, error) {
	f, err := lockIn(dir)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, model.Errorf(model.Conflict, "cannot open data directory %s: in use by %s", dir, holderOf(dir))
	}
	if err != nil {
		return nil, dirError(dir, err)
	}
	if err := writePID(f); err != nil {
		f.Close()
		return nil, dirError(dir, err)
	}
	return &dirLock{file: f}, nil
}

// lockIn takes the lock file of a folder, which is made if need be. One that another
// has is EWOULDBLOCK.
func lockIn(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFileName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// unlock gives a lock file up; a nil one was not taken. Closing alone would not do: a
// process that this one is starting at that moment holds a copy of the descriptor
// until its exec.
func unlock(f *os.File) error {
	if f == nil {
		return nil
	}
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}

// writePID replaces the content of the lock file.
func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holderOf names the process that has the lock of a directory.
func holderOf(dir string) string {
	f, err := os.Open(filepath.Join(dir, lockFileName))
	if err != nil {
		return "another process"
	}
	defer f.Close()
	return holder(f)
}

// holder names the process that wrote its id into the lock file.
func holder(f io.Reader) string {
	raw, err := io.ReadAll(io.LimitReader(f, pidLimit))
	pid, convErr := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || convErr != nil {
		return "another process"
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("process %d (%s)", pid, bytes.TrimSpace(name))
}

// release gives the lock up. The file stays: removing it would let two
// processes hold locks on two files of one name.
func (l *dirLock) release() error { return unlock(l.file) }

// dirError says what is wrong with the data directory and what to do.
func dirError(dir string, err error) error {
	cause := err
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		cause = pathErr.Err
	}
	kind, advice := model.Internal, "see to the disk it is on"
	switch {
	case errors.Is(cause, fs.ErrPermission), errors.Is(cause, syscall.EROFS):
		kind, advice = model.Forbidden, "run as its owner, or choose another directory"
	case errors.Is(cause, syscall.ENOTDIR), errors.Is(cause, fs.ErrExist), errors.Is(cause, fs.ErrNotExist),
		errors.Is(cause, syscall.ENAMETOOLONG), errors.Is(cause, syscall.EINVAL):
		kind, advice = model.Invalid, "choose another directory"
	}
	return model.Errorf(kind, "cannot open data directory %s: %w; %s", dir, cause, advice)
}
