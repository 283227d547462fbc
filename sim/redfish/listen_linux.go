package redfish

import (
	"context"
	"fmt"
	"net"
	"syscall"
)

// listenLoopback opens one listener for all addresses of 127.0.0.0/8. It is bound
// to the loopback device, so that no other network reaches it.
func listenLoopback(port uint16) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if ctlErr := raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptString(int(fd), syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, "lo")
		}); ctlErr != nil {
			return ctlErr
		}
		return err
	}}
	return lc.Listen(context.Background(), "tcp4", fmt.Sprintf("0.0.0.0:%d", port))
}
