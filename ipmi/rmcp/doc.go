// Package rmcp is the session layer of IPMI 2.0 over LAN (RMCP+, IPMI 2.0 §13):
// opening a session, proving and encrypting every message, and retransmission.
// The commands themselves are typed by go-ipmi's request and response structs.
//
// A Transport owns one UDP socket per address family and one goroutine per
// socket, whatever the number of sessions. Where commands come one after another,
// and nothing else waits, they read their answers themselves (see socket). Every datagram that comes in is
// checked (peer address, session id, HMAC, sequence, encryption, request it
// answers) before anybody waiting hears of it; one that fails is dropped and
// counted, and the wait goes on.
//
// What some BMCs get wrong needs no switch here. The same privilege stands in
// Open Session and RAKP 1, so a BMC that hashes the wrong one of the two still
// agrees. The session-less Get Channel Authentication Capabilities and Get
// Channel Cipher Suites are never sent. The checksums inside a message are not
// looked at, because its HMAC covers the same bytes.
package rmcp
