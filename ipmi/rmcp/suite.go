package rmcp

import (
	"crypto/sha1" //nolint:gosec // suite 3 is HMAC-SHA1; older BMCs have nothing newer
	"crypto/sha256"
	"hash"
	"slices"
)

// suite is a cipher suite (IPMI 2.0 Table 22-20): the algorithm numbers on the
// wire and what they stand for. Every suite here authenticates, protects and
// encrypts; there is no other to fall to.
type suite struct {
	id              uint8
	auth            uint8 // RAKP authentication algorithm
	integrity       uint8
	confidentiality uint8
	hash            func() hash.Hash
	macLen          int // of the truncated HMAC in packets and in RAKP 4
}

// aesCBC128 is the confidentiality algorithm of both suites.
const aesCBC128 = 0x01

// suites is the order in which they are offered.
var suites = [...]suite{
	{id: 17, auth: 0x03, integrity: 0x04, confidentiality: aesCBC128, hash: sha256.New, macLen: 16},
	{id: 3, auth: 0x01, integrity: 0x01, confidentiality: aesCBC128, hash: sha1.New, macLen: 12},
}

// suiteOrder lists the suites to offer: the one that worked before first, or
// none but only, unless that is 0.
func suiteOrder(known, only uint8) []*suite {
	order := make([]*suite, 0, len(suites))
	for i := range suites {
		if suites[i].id == known {
			order = append(order, &suites[i])
		}
	}
	for i := range suites {
		if suites[i].id != known {
			order = append(order, &suites[i])
		}
	}
	if only == 0 {
		return order
	}
	return slices.DeleteFunc(order, func(s *suite) bool { return s.id != only })
}
