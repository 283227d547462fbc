package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/broker"
	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/model"
)

// cause is what a reason or a completion code means to a caller.
type cause struct {
	kind model.Kind
	// mend is what to do about it.
	mend string
}

// reasons says so of the failures of sessions.
var reasons = map[rmcp.Reason]cause{
	rmcp.Silent:      {model.Unreachable, "check ipmi/address, that IPMI over LAN is enabled, and that UDP is let through"},
	rmcp.Refused:     {model.Unreachable, "nothing listens there; check ipmi/address, ipmi/port-ipmitool, and that IPMI over LAN is enabled"},
	rmcp.NoRoute:     {model.Unreachable, "check ipmi/address and the network between"},
	rmcp.Unsent:      {model.Unreachable, "check the network of this computer"},
	rmcp.Cancelled:   {model.Timeout, ""},
	rmcp.Closed:      {model.Unreachable, ""},
	rmcp.BadUsername: {model.DeviceAuth, "check ipmi/username, and that the user is enabled on the BMC's LAN channel"},
	rmcp.BadPassword: {model.DeviceAuth, "check ipmi/username and ipmi/password"},
	rmcp.BadKg:       {model.DeviceAuth, "check ipmi/kg"},
	rmcp.Crossed:     {model.Unreachable, "the network doubles or delays them; mend it, or try again"},
	rmcp.Privilege:   {model.DeviceAuth, "give the user the OPERATOR privilege on the BMC's LAN channel"},
	rmcp.NoSuite:     {model.Unsupported, "enable cipher suite 17 or 3 on the BMC"},
	rmcp.NoSlot:      {model.Busy, "close other sessions with the BMC, or wait a minute for it to do so"},
	rmcp.LostSession: {model.Unreachable, "try again"},
	rmcp.Protocol:    {model.Unreachable, "the BMC does not speak IPMI 2.0 as it should"},
	rmcp.OtherHash:   {model.Unsupported, "set ipmi/quirks to opensesspriv"},
	rmcp.Checksum:    {model.Unreachable, "set ipmi/quirks to nochecksumcheck"},
	rmcp.TooLong:     {model.Invalid, "shorten it on the BMC"},
	broker.Waiting:   {model.Busy, "try again"},
	broker.Reopened:  {model.Unreachable, "try again"},
	broker.TimeOver:  {model.Timeout, ""},
	broker.Suspended: {model.DeviceAuth, "check ipmi/username, ipmi/password and ipmi/kg; where the account was mended on the BMC, run doctor with ipmi/try-again=true"},
}

// code is a completion code (IPMI 2.0 Table 5-2).
type code struct {
	text string
	cause
	// doubt marks a code that does not tell whether the command was executed.
	doubt bool
}

// codes says what completion codes mean.
var codes = map[types.CompletionCode]code{
	0xC0: {"node busy", cause{model.Busy, "try again"}, false},
	0xC1: {"invalid command", cause{model.Unsupported, "the BMC does not have it"}, false},
	0xC2: {"command invalid for the LUN", cause{model.Unsupported, "the BMC does not have it"}, false},
	0xC3: {"timeout while processing the command", cause{model.Timeout, ""}, true},
	0xC4: {"out of space", cause{model.Busy, "try again"}, false},
	0xC5: {"reservation cancelled", cause{model.Busy, "try again"}, false},
	0xC6: {"request data truncated", cause{model.Unsupported, ""}, false},
	0xC7: {"request data length invalid", cause{model.Unsupported, ""}, false},
	0xC8: {"request data field length limit exceeded", cause{model.Unsupported, ""}, false},
	0xC9: {"parameter out of range", cause{model.Unsupported, "the BMC does not have it"}, false},
	0xCB: {"requested data not present", cause{model.Unsupported, "the BMC does not have it"}, false},
	0xCC: {"invalid data field in the request", cause{model.Unsupported, "the BMC does not have it"}, false},
	0xCD: {"command illegal for the record or sensor", cause{model.Unsupported, ""}, false},
	0xCE: {"response could not be provided", cause{model.Timeout, ""}, true},
	0xCF: {"duplicated request", cause{model.Timeout, ""}, true},
	0xD0: {"SDR repository in update mode", cause{model.Busy, "try again"}, false},
	0xD1: {"firmware in update mode", cause{model.Busy, "wait for the BMC's firmware update"}, false},
	0xD2: {"BMC initialization in progress", cause{model.Busy, "try again"}, false},
	0xD3: {"destination unavailable", cause{model.Busy, "try again"}, false},
	0xD4: {"insufficient privilege level", cause{model.DeviceAuth, "give the user the OPERATOR privilege on the BMC's LAN channel"}, false},
	0xD5: {"not supported in the present state", cause{model.Conflict, ""}, false},
	0xD6: {"command disabled", cause{model.Unsupported, "enable it on the BMC"}, false},
	0x80: {"parameter not supported", cause{model.Unsupported, "the BMC does not have it"}, false},
	0xFF: {"unspecified error", cause{model.Timeout, ""}, true},
}

// slotWait is when to try again after all session slots were taken.
const slotWait = 10 * time.Second

// explain turns the failure of a command of the class into an error of one
// line. It names the BMC, the step, the cause and what to do.
func explain(peer netip.AddrPort, err error, class model.Class) error {
	var refusal *rmcp.Refusal
	if errors.As(err, &refusal) {
		return explainRefusal(peer, refusal, class)
	}
	var e *rmcp.Error
	if !errors.As(err, &e) {
		return model.Errorf(model.Internal, "BMC %s: %w", peer, err)
	}
	if e.Reason == broker.TimeOver { // no cause: the one of an earlier try counts
		return fmt.Errorf("BMC %s: %w", peer, err)
	}
	c, ok := reasons[e.Reason]
	if !ok {
		c.kind = model.Internal
	}
	var suspended *broker.Suspension
	if errors.As(err, &suspended) && suspended.Reason == rmcp.Crossed {
		c = cause{model.Unreachable, "mend the network, which doubles or delays datagrams; then run doctor with ipmi/try-again=true"}
	}
	if e.Sent && class != model.Read {
		return model.Errorf(model.UnknownOutcome, "BMC %s: %w; the command may have been executed", peer, err)
	}
	out := model.Errorf(c.kind, "BMC %s: %w%s", peer, err, advice(c.mend))
	switch {
	case e.Reason == rmcp.NoSlot:
		out.RetryAfter = slotWait
	case errors.As(err, &suspended):
		out.RetryAfter = suspended.Left
	}
	return out
}

// explainRefusal is explain for a completion code.
func explainRefusal(peer netip.AddrPort, r *rmcp.Refusal, class model.Class) error {
	c, ok := codes[r.Code]
	if !ok {
		c = code{"code not in IPMI 2.0", cause{model.Timeout, ""}, true}
	}
	if c.doubt && class != model.Read {
		c.kind, c.mend = model.UnknownOutcome, "the command may have been executed"
	}
	return model.Errorf(c.kind, "BMC %s: %w, %s%s", peer, r, c.text, advice(c.mend))
}

// advice puts what to do at the end of a message.
func advice(mend string) string {
	if mend == "" {
		return ""
	}
	return fmt.Sprintf("; %s", mend)
}
