package vbox

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"provision-plugins/shared/model"
)

// lockGap is the pause between two looks at a lock that another process holds.
const lockGap = 20 * time.Millisecond

// locks are the locks of virtual machines: one change at a time, among the
// goroutines of this process and among processes.
type locks struct {
	dir string

	mu   sync.Mutex // guards held
	held map[string]*held
}

// held is the lock of one virtual machine in this process.
type held struct {
	turn    chan struct{} // holds one element while somebody has the lock
	wanting int           // those who have it or wait for it; guarded by locks.mu
}

// lockKey marks a context whose owner has the lock of a virtual machine.
type lockKey struct{ vm string }

// Lock waits until nobody else changes the virtual machine, in this process or
// another, and keeps it so until unlock is called, once. Commands run with the
// context it returns do not wait for the lock again; nor does Lock. The virtual
// machine should be named by its UUID: a name is another lock.
func (m *Manager) Lock(ctx context.Context, vm string) (locked context.Context, unlock func(), err error) {
	vm = strings.ToLower(vm)
	if ctx.Value(lockKey{vm}) != nil {
		return ctx, func() {}, nil
	}
	l := &m.locks
	h := l.want(vm)
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		l.leave(vm)
		return nil, nil, model.Errorf(model.Timeout, "cannot lock virtual machine %s: another change of it runs: %w", vm, context.Cause(ctx))
	}
	file, err := l.lockFile(ctx, vm)
	if err != nil {
		<-h.turn
		l.leave(vm)
		return nil, nil, err
	}
	var released sync.Once
	return context.WithValue(ctx, lockKey{vm}, true), func() {
		released.Do(func() {
			// A process that is being started holds a copy of the descriptor for a
			// moment, so closing alone would release too late.
			_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
			_ = file.Close()
			<-h.turn
			l.leave(vm)
		})
	}, nil
}

// want counts one more who wants the lock.
func (l *locks) want(vm string) *held {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.held[vm]
	if h == nil {
		h = &held{turn: make(chan struct{}, 1)}
		l.held[vm] = h
	}
	h.wanting++
	return h
}

// leave counts one less, and forgets the lock after the last.
func (l *locks) leave(vm string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.held[vm]
	if h.wanting--; h.wanting == 0 {
		delete(l.held, vm)
	}
}

// lockFile locks the file of a virtual machine. The file stays when the lock is
// given up: removing it would let two hold locks of one name.
func (l *locks) lockFile(ctx context.Context, vm string) (*os.File, error) {
	dir, err := l.folder()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, fileName(vm)+".lock")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock virtual machine %s: %w", vm, err)
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("cannot lock virtual machine %s: %w", vm, err), file.Close())
		}
		if !pause(ctx, lockGap) {
			_ = file.Close()
			return nil, model.Errorf(model.Timeout, "cannot lock virtual machine %s: another process changes it (%s): %w", vm, path, context.Cause(ctx))
		}
	}
}

// folder makes the folder of the lock files, which must be ours alone.
func (l *locks) folder() (string, error) {
	dir := l.dir
	if dir == "" {
		dir = filepath.Join(os.TempDir(), "oob-vbox-"+strconv.Itoa(os.Getuid()))
	}
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return "", fmt.Errorf("cannot make the folder of locks: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("cannot look at the folder of locks: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm()&0o022 != 0 || ok && int(stat.Uid) != os.Getuid() {
		return "", fmt.Errorf("cannot use the folder of locks %s: it is not a folder that only we can write", dir)
	}
	return dir, nil
}

// maxFileName is how long a name is written out.
const maxFileName = 60

// fileName is a name that is a file's: what is neither letter nor digit is
// written as its number, and a long one as its hash.
func fileName(s string) string {
	if len(s) > maxFileName {
		return fmt.Sprintf("=%x", sha256.Sum256([]byte(s)))
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "=%02x", c)
	}
	return b.String()
}
