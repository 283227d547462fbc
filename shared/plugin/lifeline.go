package plugin

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"
)

// hostWatch finds out that the host died.
type hostWatch struct {
	lifeline *os.File // nil where the host passed none
	out      *Outbound
	now      func() int // tells the present parent
	parent   int        // the parent at the start
	timing   timing
}

// died closes the channel it returns when the host has died. The watching ends
// with ctx.
func (h *hostWatch) died(ctx context.Context) (dead <-chan struct{}, ended <-chan struct{}) {
	d, e := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(e)
		if h.lifeline != nil && watchLifeline(ctx, h.lifeline) ||
			h.lifeline == nil && h.watchParent(ctx) {
			close(d)
		}
	}()
	return d, e
}

// openLifeline opens the lifeline that a host of ours passes: a pipe whose
// other end only the host holds, so that it reads end of file when the host
// dies. nil means that no host passed one.
func openLifeline(value string) (*os.File, error) { return inherited(EnvLifeline, value) }

// readKey reads the key that a host of ours passes through a pipe, where
// neither the process's children nor its environment show it. nil means that no
// host passed one.
func readKey(value string) ([]byte, error) {
	f, err := inherited(EnvPrincipalKey, value)
	if f == nil || err != nil {
		return nil, err
	}
	defer f.Close()
	_ = f.SetReadDeadline(time.Now().Add(time.Second)) // what has no deadlines does not block either
	key := make([]byte, keySize)
	if _, err := io.ReadFull(f, key); err != nil {
		return nil, fmt.Errorf("cannot read the key that %s tells of: %w", EnvPrincipalKey, err)
	}
	return key, nil
}

// inherited opens a file descriptor that an environment variable tells of, nil
// if it tells of none.
func inherited(name, value string) (*os.File, error) {
	if value == "" {
		return nil, nil
	}
	fd, err := strconv.Atoi(value)
	if err != nil || fd <= 2 {
		return nil, fmt.Errorf("cannot use %s: %q is not a file descriptor", name, value)
	}
	// Non-blocking, so that a read of it can be ended by closing it; and not for
	// the plugin's own children.
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("cannot use %s, file descriptor %d: %w", name, fd, err)
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name), nil
}

// watchLifeline returns when the lifeline says that the host died (true), or
// when ctx ends (false).
func watchLifeline(ctx context.Context, lifeline *os.File) bool {
	stop := context.AfterFunc(ctx, func() { lifeline.Close() })
	defer stop()
	var buf [64]byte
	for {
		if _, err := lifeline.Read(buf[:]); err != nil {
			return ctx.Err() == nil
		}
	}
}

// watchParent watches a host that passed no lifeline. It returns true when the
// process has another parent than at its start and the host's socket was
// refused for a while; false when ctx ends.
func (h *hostWatch) watchParent(ctx context.Context) bool {
	ticker := time.NewTicker(h.timing.parentPoll)
	defer ticker.Stop()
	var refusedSince time.Time
	for {
		select {
		case <-ctx.Done():
			return false
		case now := <-ticker.C:
			switch {
			case h.now() == h.parent || !h.out.refused(ctx):
				refusedSince = time.Time{}
			case refusedSince.IsZero():
				refusedSince = now
			case now.Sub(refusedSince) >= h.timing.parentGone:
				return true
			}
		}
	}
}
