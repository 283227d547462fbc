// Package bmc simulates fleets of BMCs at wire level: IPMI 2.0 over RMCP+ on
// UDP, thousands of them in one process, each with its own address or port,
// its own power, boot flags, sessions and faults.
//
// Every BMC keeps a ledger of the commands it executed, as opposed to those it
// answered, so that a test asserts what happened and not what was said. Faults
// are data, per BMC, and can be switched at any time; they are counted, or drawn
// from a seeded generator, so that a run can be repeated.
//
// Users, channels, session slots, the RAKP handshake and the decoding of
// commands are those of github.com/bougou/go-ipmi. The hardware, the datagram
// layer, the privilege and replay rules and the faults are this package's own.
package bmc
