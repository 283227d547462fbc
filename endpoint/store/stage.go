package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	// memoryDir is a file system in memory, on Linux.
	memoryDir = "/dev/shm"
	// stagePrefix begins the names of the store's folders in it.
	stagePrefix = "oob-batches-"
	// stageRoom is the room that has to be there: that of a batch for each stream,
	// with one write of any size in it. An engine that finds it full would have to be
	// started again.
	stageRoom = 4 * MaxValue
	// batchesName is the engine's folder for the messages of a batch, in that of the
	// stream, until the last one is there and all are written.
	batchesName = "batches"
)

// stage is a folder in memory where the engine gathers the messages of batches.
// They need not be on the disk until they are written to their stream, and putting
// them there costs ten times what the batch does. What a crash leaves in the middle
// of a batch was not acknowledged, and each message of it stands for itself.
//
// A lock in it tells that its process lives: a copy of the data directory of one that
// runs has the links to this folder too.
type stage struct {
	dir  string
	lock *os.File
}

// stagesIn are the folders of stages in a file system in memory that are this user's,
// of processes that live and of such that were killed.
func stagesIn(memory string) []string {
	named, _ := filepath.Glob(filepath.Join(memory, stagePrefix+"*")) // it fails for bad patterns alone
	var out []string
	for _, dir := range named {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == os.Getuid() {
			out = append(out, dir)
		}
	}
	return out
}

// stageClaims is how often a folder is made anew that another process took for one that
// was left: each time it has to look between its making and its locking.
const stageClaims = 10

// claimStage makes a folder in memory and locks it.
func claimStage(memory string) (*stage, error) {
	var err error
	for range stageClaims {
		st := &stage{}
		if st.dir, err = os.MkdirTemp(memory, stagePrefix); err != nil {
			return nil, err
		}
		st.lock, err = lockIn(st.dir)
		if err == nil && st.held() {
			return st, nil
		}
		if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) || err == nil {
			err = errors.Join(fmt.Errorf("%s was removed at once", st.dir), unlock(st.lock))
			continue
		}
		return nil, errors.Join(err, os.RemoveAll(st.dir))
	}
	return nil, err
}

// held reports whether the lock is still that of the folder.
func (st *stage) held() bool {
	mine, err := st.lock.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(filepath.Join(st.dir, lockFileName))
	return err == nil && os.SameFile(mine, there)
}

// newStage has batches gathered in memory, where there is a file system of that
// kind. Without one it returns nil: they are then gathered on the disk.
func newStage(dir, memory string, space func(dir string) (Space, error)) (*stage, error) {
	st, err := claimStage(memory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if room, err := space(memory); err != nil || room.Free < stageRoom {
		return nil, errors.Join(fmt.Errorf("%s has %d MiB left, want %d", memory, room.Free>>20, stageRoom>>20), err, st.remove(dir))
	}
	for _, name := range []string{bucketName, recordsName} {
		link, target := filepath.Join(streamDir(dir, name), batchesName), filepath.Join(st.dir, name)
		err := os.Mkdir(target, 0o700)
		if err == nil {
			err = os.RemoveAll(link)
		}
		if err == nil {
			err = os.Symlink(target, link)
		}
		if err != nil {
			return nil, errors.Join(err, st.remove(dir))
		}
	}
	return st, nil
}

// remove removes the folder and the links to it. A nil stage has none.
func (st *stage) remove(dir string) error {
	if st == nil {
		return nil
	}
	var errs []error
	for _, name := range []string{bucketName, recordsName} {
		link := filepath.Join(streamDir(dir, name), batchesName)
		if target, err := os.Readlink(link); err != nil || filepath.Dir(target) != st.dir {
			continue // not ours, or gone
		}
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, removeStage(st.dir), unlock(st.lock))
	st.lock = nil // an engine may be stopped twice
	return errors.Join(errs...)
}

// removeLeft removes a folder in memory, unless its process lives.
func removeLeft(dir string) error {
	lock, err := lockIn(dir)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(removeStage(dir), unlock(lock))
}

// removeStage removes a folder by who has its lock. Once the lock is removed another
// may take the rest for what was left: it is he who removes it then.
func removeStage(dir string) error {
	if err := os.RemoveAll(dir); !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	return nil
}
