//go:build !linux

package redfish

import (
	"errors"
	"net"
)

// listenLoopback is not possible here: each BMC gets a listener of its own.
func listenLoopback(uint16) (net.Listener, error) {
	return nil, errors.New("no listener can be bound to the loopback device")
}
