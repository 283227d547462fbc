package plugin

import (
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// TestListeningLeavesTheUmask listens on many sockets at once: the process's
// umask is afterwards what it was.
func TestListeningLeavesTheUmask(t *testing.T) {
	before := umask()
	dir := t.TempDir()
	var (
		wg        sync.WaitGroup
		listeners = make([]net.Listener, 64)
	)
	for i := range listeners {
		wg.Go(func() {
			l, err := listenPrivate(filepath.Join(dir, strconv.Itoa(i)))
			if err != nil {
				t.Error(err)
				return
			}
			listeners[i] = l
		})
	}
	wg.Wait()
	for _, l := range listeners {
		if l != nil {
			_ = l.Close()
		}
	}
	if after := umask(); after != before {
		t.Errorf("the umask is %#o, was %#o", after, before)
	}
}

// umask reads the process's umask, which can only be read by setting it.
func umask() int {
	now := syscall.Umask(0o022)
	syscall.Umask(now)
	return now
}
