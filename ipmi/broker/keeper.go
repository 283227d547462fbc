package broker

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// keeper keeps the file of refused logins, which other processes may share. The
// zero value keeps nothing. Whoever waits while it is written shares the next
// writing.
type keeper struct {
	mu      sync.Mutex // guards the rest, and the file in this process; taken before breaker.mu
	dir     string
	log     *slog.Logger
	written uint64      // the changes that are in the file
	seen    os.FileInfo // of the file as it was last read or written
}

// begin sets where to write.
func (k *keeper) begin(dir string, log *slog.Logger) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dir, k.log, k.written, k.seen = dir, log, 0, nil
}

// save returns when the file holds at least so many changes, or cannot. merge
// takes what others wrote, and returns what is to be written with the number of
// the changes in it. The result is how many it wrote; 0 if nothing had to be, or
// could be.
func (k *keeper) save(changes uint64, merge func(theirs map[refusalKey]refusals) ([]byte, uint64)) uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dir == "" || k.written >= changes {
		return 0
	}
	unlock := lockDir(k.dir)
	defer unlock()
	data, changes := merge(readState(k.dir, k.log))
	path := filepath.Join(k.dir, stateName)
	if err := writeFile(path, data, os.Rename); err != nil {
		k.log.Warn("cannot keep which logins were refused: a restart may try them once more", "file", path, "error", err)
		return 0
	}
	k.written = changes
	k.seen, _ = os.Stat(path) // without it, it is read once more than needed
	return changes
}

// refresh hands over what another process wrote since the file was last read or
// written, if anything. It waits for nobody.
func (k *keeper) refresh(merge func(theirs map[refusalKey]refusals)) {
	if !k.mu.TryLock() {
		return // whoever has it is about to know
	}
	defer k.mu.Unlock()
	if k.dir == "" {
		return
	}
	now, err := os.Stat(filepath.Join(k.dir, stateName))
	if err != nil || k.seen != nil && os.SameFile(k.seen, now) && k.seen.ModTime().Equal(now.ModTime()) {
		return
	}
	k.seen = now
	merge(readState(k.dir, k.log))
}

// lockDir keeps other processes from the file until it is unlocked, or this
// process ends. A lock that cannot be had costs no more than what two lose who
// write at the same moment.
func lockDir(dir string) (unlock func()) {
	f, err := os.Open(filepath.Join(dir, keyName))
	if err != nil {
		return func() {}
	}
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	return func() {
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) // a process being started has a copy of f until its exec
		_ = f.Close()
	}
}

// readKey reads the key of the hashes in dir, or makes one. Of two who make one
// at once the first counts.
func readKey(dir string) (key [32]byte, err error) {
	path := filepath.Join(dir, keyName)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		rand.Read(key[:]) // never fails
		if err = writeFile(path, key[:], os.Link); !errors.Is(err, fs.ErrExist) {
			return key, err
		}
		raw, err = os.ReadFile(path)
	}
	if err != nil || len(raw) == len(key) {
		copy(key[:], raw)
		return key, err
	}
	rand.Read(key[:]) // what is there is not a key
	return key, writeFile(path, key[:], os.Rename)
}

// writeFile writes a file as a whole, for its owner only; place puts it where it
// belongs.
func writeFile(path string, data []byte, place func(from, to string) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = place(f.Name(), path)
	}
	if removeErr := os.Remove(f.Name()); !errors.Is(removeErr, fs.ErrNotExist) { // it is gone when it was renamed
		err = errors.Join(err, removeErr)
	}
	return err
}
