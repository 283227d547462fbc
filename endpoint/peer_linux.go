package endpoint

import (
	"fmt"
	"net"
	"syscall"
)

// peerUID asks the kernel who is at the other end of a unix socket.
func peerUID(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("cannot ask for the peer: %w", err)
	}
	var cred *syscall.Ucred
	var asked error
	if err := raw.Control(func(fd uintptr) {
		cred, asked = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return 0, fmt.Errorf("cannot ask for the peer: %w", err)
	}
	if asked != nil {
		return 0, fmt.Errorf("cannot ask for the peer: %w", asked)
	}
	return int(cred.Uid), nil
}
