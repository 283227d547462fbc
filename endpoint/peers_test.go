package endpoint

import (
	"testing"

	"provision-plugins/endpoint/auth"
	"provision-plugins/endpoint/peer"
)

// At the unix socket root and the endpoint's own user are admins, and nobody else is
// anything; nor is a plugin's process, whoever's it is.
func TestWhoIsAtTheSocket(t *testing.T) {
	const own = 1000
	for _, c := range []struct {
		who  peer.Peer
		own  int
		lets bool
	}{
		{peer.Peer{UID: 0}, own, true}, {peer.Peer{UID: own}, own, true}, {peer.Peer{UID: 0}, 0, true},
		{peer.Peer{UID: own + 1}, own, false}, {peer.Peer{UID: 1}, own, false}, {peer.Peer{UID: own}, 0, false}, {peer.Peer{UID: 65534}, own, false}, {peer.Peer{UID: -1}, own, false},
		{peer.Peer{UID: 0, Confined: true}, own, false}, {peer.Peer{UID: own, Confined: true}, own, false}, {peer.Peer{UID: 0, Confined: true}, 0, false},
	} {
		got := peerCaller(c.who, c.own)
		if lets := got.may(auth.Everything()); lets != c.lets || !lets && len(got.grant) != 0 || got.name == "" {
			t.Errorf("%+v beside uid %d: %+v", c.who, c.own, got)
		}
	}
}
