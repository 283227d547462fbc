package main

import (
	"context"
	"log/slog"
	"net"
)

// The words of sd_notify(3).
const (
	notifyReady    = "READY=1"
	notifyStopping = "STOPPING=1"
)

// notify tells who has started the daemon how it does, where that has asked to be
// told: systemd, for a unit of Type=notify. What cannot be told is logged only: the
// endpoint works all the same.
func (a *app) notify(ctx context.Context, log *slog.Logger, state string) {
	path := a.getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(context.WithoutCancel(ctx), "unixgram", path) // @ begins an abstract name for Go too
	if err == nil {
		defer func() { _ = conn.Close() }() // a datagram is sent or not by then
		_, err = conn.Write([]byte(state))
	}
	if err != nil {
		log.Warn("cannot tell systemd", "state", state, "error", err)
	}
}
