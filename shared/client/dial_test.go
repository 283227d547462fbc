package client

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A full backlog is waited for; nothing else is.
func TestDialUnixWaitsForABacklog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	conns := make(chan net.Conn, 8)
	var wg sync.WaitGroup
	for range cap(conns) {
		wg.Go(func() {
			if conn, err := DialUnix(ctx, path); err == nil {
				conns <- conn
			} else if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	for range cap(conns) { // it takes them one after the other
		nfd, _, err := syscall.Accept(fd)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(nfd)
	}
	wg.Wait()
	for range cap(conns) {
		(<-conns).Close()
	}
	if _, err := DialUnix(ctx, path+"x"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("where nobody is: %v", err)
	}
}

func TestDialUnixEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for { // until the backlog is full
		conn, err := DialUnix(ctx, path)
		if err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the end: %v", err)
			}
			return
		}
		defer conn.Close()
	}
}
