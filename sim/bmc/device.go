package bmc

import (
	"encoding/binary"
	"time"

	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/types"
)

// Device is what a BMC says it is (IPMI 2.0 §20.1).
type Device struct {
	// Manufacturer is the IANA enterprise number. Default: the IPMI forum's.
	Manufacturer uint32
	// Product is the manufacturer's own number.
	Product uint16
	// Major and Minor are the firmware's version. Default 1.00.
	Major, Minor uint8
}

// withDefaults fills in what is not given.
func (d Device) withDefaults() Device {
	if d.Manufacturer == 0 {
		d.Manufacturer = forum
	}
	if d.Major == 0 && d.Minor == 0 {
		d.Major = 1
	}
	return d
}

// bcd is a number below 100 in binary coded decimals.
func bcd(n uint8) uint8 { return n/10<<4 | n%10 }

// The bits of Get Channel Authentication Capabilities that a fault clears
// (IPMI 2.0 Table 22-15).
const (
	authExtended     = 0x80 // in the second byte: there is a fourth
	authExtendedAt   = 1
	connectionsAt    = 3
	connections20    = 0x02
	leastAuthAnswer  = 4
	connectionsIn15  = 0x01
	nullSuiteRecord  = 0x00
	standardSuite    = 0xc0
	suiteRecordStart = 1
)

// authCapabilities is Get Channel Authentication Capabilities (IPMI 2.0
// §22.13).
func authCapabilities(next handler) handler {
	return func(b *BMC, r *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
		resp, cc := next(b, r, data)
		if b.faults.Odd.AuthCapabilities && len(resp) >= leastAuthAnswer {
			resp[authExtendedAt] &^= authExtended
			resp[connectionsAt] = resp[connectionsAt]&^connections20 | connectionsIn15
		}
		return resp, cc
	}
}

// cipherSuites is Get Channel Cipher Suites (IPMI 2.0 §22.15). A BMC that offers
// no protection at all says so in the first record.
func cipherSuites(next handler) handler {
	return func(b *BMC, r *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
		const indexAt, indexMask = 2, 0x3f
		resp, cc := next(b, r, data)
		first := len(data) <= indexAt || data[indexAt]&indexMask == 0
		if !b.faults.Odd.OffersSuite0 || !first || len(resp) < suiteRecordStart {
			return resp, cc
		}
		record := []byte{standardSuite, nullSuiteRecord, 0x00, 0x40, 0x80}
		return append(append([]byte{resp[0]}, record...), resp[suiteRecordStart:]...), cc
	}
}

// selTime is Get SEL Time (IPMI 2.0 §31.10).
func selTime(b *BMC, _ *handlers.HandlerContext, _ []byte) ([]byte, types.CompletionCode) {
	return binary.LittleEndian.AppendUint32(nil, b.selClock(b.opts.Clock.Now())), types.CodeOK
}

// powerReading is DCMI's Get Power Reading (DCMI 1.5 §6.6.1). A machine that is
// off takes a tenth.
func powerReading(b *BMC, _ *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
	const period, active = time.Second, 0x40
	switch {
	case b.opts.Watts == 0:
		return nil, types.CodeInvalidCommand
	case len(data) < 4 || data[0] != types.GroupExtensionDCMI:
		return nil, types.CodeRequestDataLengthInvalid
	}
	watts := b.opts.Watts
	if !b.chassis.on {
		watts /= 10
	}
	resp := []byte{types.GroupExtensionDCMI}
	for range 4 { // now, least, most, average
		resp = binary.LittleEndian.AppendUint16(resp, watts)
	}
	resp = binary.LittleEndian.AppendUint32(resp, uint32(b.opts.Clock.Now().Unix()))
	resp = binary.LittleEndian.AppendUint32(resp, uint32(period.Milliseconds()))
	return append(resp, active), types.CodeOK
}

// powerLimit is DCMI's Get Power Limit (DCMI 1.5 §6.6.2). 80h tells that none is
// set.
func powerLimit(b *BMC, _ *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
	const noLimit, correction, sampling = types.CompletionCode(0x80), 1000, 1
	switch {
	case b.opts.Watts == 0:
		return nil, types.CodeInvalidCommand
	case len(data) < 3 || data[0] != types.GroupExtensionDCMI:
		return nil, types.CodeRequestDataLengthInvalid
	case b.opts.WattsLimit == 0:
		return nil, noLimit
	}
	resp := []byte{types.GroupExtensionDCMI, 0, 0, 0} // exceeded, nothing is done
	resp = binary.LittleEndian.AppendUint16(resp, b.opts.WattsLimit)
	resp = binary.LittleEndian.AppendUint32(resp, correction)
	return append(resp, 0, 0, sampling, 0), types.CodeOK
}

// channelAccess is Get Channel Access (IPMI 2.0 §22.23): always available, with
// the account's limit.
func channelAccess(b *BMC, _ *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
	const alwaysAvailable = 0x02
	if len(data) < 2 {
		return nil, types.CodeRequestDataLengthInvalid
	}
	return []byte{alwaysAvailable, uint8(b.opts.Limit)}, types.CodeOK
}
