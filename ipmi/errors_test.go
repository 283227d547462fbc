package main

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/broker"
	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/model"
)

var peer = netip.MustParseAddrPort("10.0.0.1:623")

// TestExplain holds kinds and texts of the failures of sessions.
func TestExplain(t *testing.T) {
	t.Parallel()
	for want, tc := range map[string]struct {
		err   error
		class model.Class
		kind  model.Kind
	}{
		"BMC 10.0.0.1:623: connection refused (Open Session); nothing listens there; check ipmi/address, ipmi/port-ipmitool, and that IPMI over LAN is enabled": {
			&rmcp.Error{Reason: rmcp.Refused, Step: "Open Session"}, model.Once, model.Unreachable},
		"BMC 10.0.0.1:623: k_g invalid (RAKP 3); check ipmi/kg": {
			&rmcp.Error{Reason: rmcp.BadKg, Step: "RAKP 3"}, model.Read, model.DeviceAuth},
		"BMC 10.0.0.1:623: the BMC proved that it knows the password, and refused it: datagrams crossed on the way (RAKP 3); the network doubles or delays them; mend it, or try again": {
			&rmcp.Error{Reason: rmcp.Crossed, Step: "RAKP 3"}, model.Read, model.Unreachable},
		"BMC 10.0.0.1:623: login not tried again (Open Session: the BMC proved that it knows the password, and refused it: datagrams crossed on the way; refused 2 times, last at 2026-11-20T12:00:00Z; tried once more after 2026-11-20T12:15:00Z, or at once with other credentials); mend the network, which doubles or delays datagrams; then run doctor with ipmi/try-again=true": {
			&rmcp.Error{Reason: broker.Suspended, Step: "Open Session", Err: &broker.Suspension{
				Refusals: 2, Reason: rmcp.Crossed, At: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), Until: time.Date(2026, 11, 20, 12, 15, 0, 0, time.UTC),
			}}, model.Read, model.Unreachable},
		"BMC 10.0.0.1:623: no session slot free (Open Session); close other sessions with the BMC, or wait a minute for it to do so": {
			&rmcp.Error{Reason: rmcp.NoSlot, Step: "Open Session"}, model.Read, model.Busy},
		"BMC 10.0.0.1:623: connection timeout (Chassis Control); the command may have been executed": {
			&rmcp.Error{Reason: rmcp.Silent, Step: "Chassis Control", Sent: true}, model.Once, model.UnknownOutcome},
		"BMC 10.0.0.1:623: cancelled (Chassis Control); the command may have been executed": {
			&rmcp.Error{Reason: rmcp.Cancelled, Step: "Chassis Control", Sent: true}, model.Idempotent, model.UnknownOutcome},
		"BMC 10.0.0.1:623: cancelled (Get Chassis Status)": {
			&rmcp.Error{Reason: rmcp.Cancelled, Step: "Get Chassis Status", Sent: true}, model.Read, model.Timeout},
		"BMC 10.0.0.1:623: something new (step)": {
			&rmcp.Error{Reason: "something new", Step: "step"}, model.Read, model.Internal},
		"BMC 10.0.0.1:623: no error of ours": {
			errors.New("no error of ours"), model.Read, model.Internal},
		"BMC 10.0.0.1:623: Chassis Control refused with completion code D5h, not supported in the present state": {
			&rmcp.Refusal{Command: types.CommandChassisControl, Code: 0xd5}, model.Once, model.Conflict},
		"BMC 10.0.0.1:623: Chassis Control refused with completion code C0h, node busy; try again": {
			&rmcp.Refusal{Command: types.CommandChassisControl, Code: 0xc0}, model.Once, model.Busy},
		"BMC 10.0.0.1:623: Chassis Control refused with completion code C3h, timeout while processing the command; the command may have been executed": {
			&rmcp.Refusal{Command: types.CommandChassisControl, Code: 0xc3}, model.Once, model.UnknownOutcome},
		"BMC 10.0.0.1:623: Get Chassis Status refused with completion code C3h, timeout while processing the command": {
			&rmcp.Refusal{Command: types.CommandGetChassisStatus, Code: 0xc3}, model.Read, model.Timeout},
		"BMC 10.0.0.1:623: Chassis Control refused with completion code 7Eh, code not in IPMI 2.0; the command may have been executed": {
			&rmcp.Refusal{Command: types.CommandChassisControl, Code: 0x7e}, model.Once, model.UnknownOutcome},
	} {
		got := model.AsError(explain(peer, tc.err, tc.class))
		if got.Text() != want || got.Kind() != tc.kind {
			t.Errorf("%s: %q\nwant %s: %q", got.Kind(), got.Text(), tc.kind, want)
		}
		if !errors.Is(got, tc.err) {
			t.Errorf("%q lost its cause", want)
		}
		if tc.kind == model.Busy && strings.Contains(want, "slot") && got.RetryAfter != slotWait {
			t.Errorf("%q: come again after %v", want, got.RetryAfter)
		}
	}
}

// TestEveryReasonIsExplained: a reason without a row would be a defect of ours.
func TestEveryReasonIsExplained(t *testing.T) {
	t.Parallel()
	for _, r := range []rmcp.Reason{
		rmcp.Silent, rmcp.Refused, rmcp.NoRoute, rmcp.Unsent, rmcp.Cancelled, rmcp.Closed, rmcp.BadUsername,
		rmcp.BadPassword, rmcp.BadKg, rmcp.Privilege, rmcp.NoSuite, rmcp.NoSlot, rmcp.LostSession, rmcp.Protocol,
		rmcp.TooLong, broker.Waiting, broker.TimeOver, broker.Suspended,
	} {
		if _, ok := reasons[r]; !ok {
			t.Errorf("%q is not explained", r)
		}
	}
}

// TestCodes: a code that tells nothing about execution is in doubt, and what a
// BMC certainly did not do is not.
func TestCodes(t *testing.T) {
	t.Parallel()
	for cc, row := range codes {
		if row.text == "" || row.kind == "" {
			t.Errorf("%02Xh has no text or kind", uint8(cc))
		}
		if row.doubt != (row.kind == model.Timeout) {
			t.Errorf("%02Xh: kind %s and doubt %v", uint8(cc), row.kind, row.doubt)
		}
	}
}

func TestModeOf(t *testing.T) {
	t.Parallel()
	for in, want := range map[any]model.Kind{
		nil: "", "": "", "ipmitool": "", 5: model.Invalid, "telnet": model.Invalid,
		"redfish": "", "auto": "", "racadm": model.Unsupported,
		"racadmn": model.Unsupported, "lpar": model.Unsupported,
	} {
		_, err := modeOf(model.Params{paramMode: in})
		if (err == nil) != (want == "") || err != nil && model.KindOf(err) != want {
			t.Errorf("%v: %v, want %q", in, err, want)
		}
		if want == model.Unsupported && !strings.Contains(err.Error(), "; use ") {
			t.Errorf("%v: %v does not say what to use", in, err)
		}
	}
}

// TestOpenErrors: what is wrong with the params is said before anything is sent.
func TestOpenErrors(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	for want, params := range map[string]model.Params{
		"cannot powerstatus m1: open session: param ipmi/mode is lpar":           {paramMode: "lpar"},
		"cannot powerstatus m1: open session: param ipmi/address is not set":     {paramAddress: ""},
		"too long for IPMI 2.0: the password has 21 bytes, at most 20 fit":       {paramPassword: "123456789012345678901"},
		"too long for IPMI 2.0: the user name has 17 bytes, at most 16 fit":      {paramUsername: "12345678901234567"},
		"open session: BMC 127.0.0.1:623: too long for IPMI 2.0: the k_g has 30": {paramKg: strings.Repeat("k", 30)},
	} {
		_, err := act(p, model.PowerStatus, netip.MustParseAddrPort("127.0.0.1:0"), params)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.Action(ctx, &model.Action{Command: model.PowerOn, Model: &model.Machine{Name: "m1"}}); err == nil {
		t.Error("an action of a caller that is gone succeeds")
	}
}
