// Package peer tells who is at the other end of a unix socket, by what the kernel
// says and not by what the client does.
package peer

// Peer is a client of a unix socket.
type Peer struct {
	UID int
	// Confined tells that it was started within a sandbox by this process, or by
	// who was: a plugin, or what came of one.
	Confined bool
}
