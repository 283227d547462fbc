package outbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"provision-plugins/shared/model"
)

const (
	lockName = "outbox.lock"
	// lockPoll is how often a lock that somebody has is tried again.
	lockPoll = 100 * time.Millisecond
)

// dirLock keeps other processes from a journal. The kernel drops it with the
// process.
type dirLock struct{ file *os.File }

// takeLock takes the lock of dir, as soon as nobody else has it.
func takeLock(ctx context.Context, dir string) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the outbox: %w", err)
	}
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return &dirLock{f}, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("cannot lock the outbox: %w", err), f.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(model.Errorf(model.Conflict, "cannot open the outbox in %s: another process has it", dir), f.Close())
		}
	}
}

// release gives the lock up. Closing alone would not do: a process that is being
// started holds a copy of the descriptor until its exec.
func (l *dirLock) release() error {
	return errors.Join(syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN), l.file.Close())
}
