package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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

// leftStages are the folders in memory that a process before has left. It must be
// called before the engine starts, which removes the links to them.
func leftStages(dir string) []string {
	var out []string
	for _, name := range streamNames {
		target, err := os.Readlink(filepath.Join(streamDir(dir, name), batchesName))
		if err == nil && strings.HasPrefix(target, filepath.Join(memoryDir, stagePrefix)) {
			out = append(out, filepath.Dir(target))
		}
	}
	return out
}

// newStage has batches gathered in memory, where there is a file system of that
// kind. Without one it returns nil: they are then gathered on the disk.
func newStage(dir, memory string, space func(dir string) (Space, error)) (*stage, error) {
	made, err := os.MkdirTemp(memory, stagePrefix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	st := &stage{dir: made}
	if st.lock, err = lockIn(made); err != nil {
		return nil, errors.Join(err, st.remove(dir))
	}
	if room, err := space(memory); err != nil || room.Free < stageRoom {
		return nil, errors.Join(fmt.Errorf("%s has %d MiB left, want %d", memory, room.Free>>20, stageRoom>>20), err, st.remove(dir))
	}
	for _, name := range []string{bucketName, recordsName} {
		link, target := filepath.Join(streamDir(dir, name), batchesName), filepath.Join(made, name)
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
	errs = append(errs, os.RemoveAll(st.dir), unlock(st.lock))
	st.lock = nil // an engine may be stopped twice
	return errors.Join(errs...)
}

// removeLeft removes a folder in memory, unless its process lives.
func removeLeft(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := lockIn(dir)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil
	}
	return errors.Join(err, os.RemoveAll(dir), unlock(lock))
}
