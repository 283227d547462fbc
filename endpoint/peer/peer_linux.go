package peer

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"provision-plugins/shared/plugin/sandbox"
)

// peerPIDFD is the socket option SO_PEERPIDFD of Linux 6.5.
const peerPIDFD = 77

// Of asks the kernel who is at the other end of a unix socket. Who has ended since
// it connected is an error: another process may have its number by now.
func Of(conn *net.UnixConn) (Peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return Peer{}, fmt.Errorf("cannot ask for the peer: %w", err)
	}
	var p Peer
	var asked error
	if err := raw.Control(func(fd uintptr) { p, asked = of(int(fd)) }); err != nil {
		return Peer{}, fmt.Errorf("cannot ask for the peer: %w", err)
	}
	if asked != nil {
		return p, fmt.Errorf("cannot ask for the peer: %w", asked)
	}
	return p, nil
}

// of asks for the peer of a descriptor.
func of(fd int) (Peer, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, err
	}
	return look(fd, cred, os.Geteuid(), sandbox.Marked)
}

// look completes what the kernel says of a peer: marked tells of a process whether
// it is confined. Only one of our own user can be one that we have started and is
// somebody here; others may be hidden from us, as systemd's ProtectProc does.
func look(fd int, cred *unix.Ucred, own int, marked func(pid int) (bool, error)) (Peer, error) {
	p := Peer{UID: int(cred.Uid)}
	if p.UID != own || cred.Pid == 0 { // pid 0 is outside the namespace that this process sees: none of its children
		return p, nil
	}
	held, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, peerPIDFD)
	switch {
	case err == nil:
		defer func() { _ = unix.Close(held) }() // nothing was written
	case !errors.Is(err, unix.ENOPROTOOPT): // else a kernel without
		return p, err
	default:
		held = -1
	}
	if p.Confined, err = marked(int(cred.Pid)); err != nil {
		return p, err
	}
	if held >= 0 { // it was this very process that was looked at
		if err := unix.PidfdSendSignal(held, 0, nil, 0); err != nil && !errors.Is(err, unix.EPERM) {
			return p, err
		}
	}
	return p, nil
}
