package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/app"
	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/command/storage"
	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/quirks"
	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/model"
)

// unread is the check of a reading that is not vital and did not come: a refusal
// means that the BMC does not have it.
func unread(what string, err error) model.Check {
	var refusal *rmcp.Refusal
	if errors.As(err, &refusal) {
		return untold(fmt.Sprintf("the BMC does not tell %s (completion code %02Xh)", what, uint8(refusal.Code)))
	}
	if model.KindOf(err) == model.Unsupported {
		return untold(model.AsError(err).Text())
	}
	check := failure(err)
	return warning("", "cannot read "+what+": "+check.Cause, check.Mend)
}

// lookPrivilege raises the session.
func lookPrivilege(ctx context.Context, x *examination) model.Check {
	err := x.session.handle.Prepare(ctx, 0)
	if err == nil {
		return good("OPERATOR, enough for power and boot")
	}
	check := failure(err)
	if check.Kind == model.DeviceAuth {
		check.Found = "USER"
		check.Cause = "the user does not get OPERATOR: it can read, and change nothing"
	}
	return check
}

// lookSlots reads how many sessions are open (IPMI 2.0 §22.20).
func lookSlots(ctx context.Context, x *examination) model.Check {
	var res app.GetSessionInfoResponse
	if err := x.session.read(ctx, false, &app.GetSessionInfoRequest{}, &res); err != nil {
		return unread("its session slots", err)
	}
	used, slots := res.CurrentActiveSessions, res.PossibleActiveSessions
	found := fmt.Sprintf("%d of %d in use, this one among them", used, slots)
	if used >= slots {
		return warning(found, "the next session will be refused", "close other tools' sessions with the BMC, or wait a minute for it to do so")
	}
	return good("%s", found)
}

// maxSkew is how far a BMC's clock may be from ours without a word.
const maxSkew = time.Minute

// lookClock compares the clock of the event log with ours (IPMI 2.0 §31.10). A
// time in its first years, or the reserved one, was never set (§37).
func lookClock(ctx context.Context, x *examination) model.Check {
	const initial = 0x20000000 // up to there a clock counts from power on
	var raw seconds
	began := time.Now()
	if err := x.session.read(ctx, false, &storage.GetSELTimeRequest{}, &raw); err != nil {
		return unread("its time", err)
	}
	if raw <= initial || raw == math.MaxUint32 {
		return warning("not set", "the times in the event log mean nothing", "give the BMC a time server")
	}
	now := began.Add(time.Since(began) / 2)
	skew := time.Unix(int64(raw), 0).Sub(now).Round(time.Second)
	switch {
	case skew > maxSkew:
		return warning(skew.String()+" ahead", offset(skew), "give the BMC a time server")
	case skew < -maxSkew:
		return warning((-skew).String()+" behind", offset(skew), "give the BMC a time server")
	}
	return good("within a minute of this computer's")
}

// offset says what a skew looks like.
func offset(skew time.Duration) string {
	const quarter, widest = 15 * time.Minute, 14 * time.Hour
	if off := skew - skew.Round(quarter); skew.Abs() <= widest+maxSkew && off.Abs() <= maxSkew && skew.Abs() > quarter {
		return "it may keep local time in place of UTC, and the times in the event log are off by that"
	}
	return "the times in the event log are off by that"
}

// seconds is a time of the event log.
type seconds uint32

// Unpack reads it.
func (s *seconds) Unpack(data []byte) error {
	const size = 4
	if len(data) < size {
		return fmt.Errorf("a time has %d bytes, not %d", size, len(data))
	}
	n, _, err := types.UnpackUint32L(data, 0)
	*s = seconds(n)
	return err
}

// Format is the time for people.
func (s *seconds) Format() string { return time.Unix(int64(*s), 0).UTC().Format(time.RFC3339) }

// lookPower reads what the machine takes.
func lookPower(ctx context.Context, x *examination) model.Check {
	watts, err := x.session.watts(ctx)
	if err != nil {
		return unread("what power the machine takes", err)
	}
	return good("%d W", watts)
}

// lookBoot reads the boot flags, and whether a timer will clear them (IPMI 2.0
// §28.13).
func lookBoot(ctx context.Context, x *examination) model.Check {
	over, err := x.session.Boot(ctx)
	if err != nil {
		return unread("its boot flags", err)
	}
	what := string(over.Device)
	if over.UEFI {
		what += " by UEFI"
	}
	switch {
	case over.Device == model.BootNone:
		return good("no override")
	case !over.Valid:
		return good("no override in effect: %s is marked as not valid", what)
	case over.Persistent:
		return good("%s at every boot", what)
	}
	found := what + " at the next boot"
	if x.keepsFlags(ctx) {
		return warning(found, "it stays until the machine boots, whoever set it and when", "nothing, if it is meant; otherwise set another, or reset the machine")
	}
	return warning(found, "the BMC drops it within 60 seconds", "reset the machine before that, or set it right before the reset")
}

// keepsFlags reports whether the timer that clears the flags is switched off.
func (x *examination) keepsFlags(ctx context.Context) bool {
	var res chassis.GetSystemBootOptionsParamResponse
	req := &chassis.GetSystemBootOptionsParamRequest{ParamSelector: types.BootOptionParamSelector_BMCBootFlagValidBitClear}
	if err := x.session.read(ctx, true, req, &res); err != nil {
		return false
	}
	var timer types.BootOptionParam_BMCBootFlagValidBitClear
	return timer.Unpack(res.ParamData) == nil && timer.DontClearOnCommandReceivedTimeout
}

// lookQuirks asks the BMC what it is, and says what is known of such.
func lookQuirks(ctx context.Context, x *examination) model.Check {
	dev, err := x.session.device(ctx)
	if err != nil {
		return unread("what it is", err)
	}
	of, all := quirks.Of(dev), x.quirks()
	parts := []string{dev.String()}
	for _, row := range []struct {
		set  quirks.Set
		text string
	}{
		{all & of, "quirks of its product: "},
		{all &^ of, "quirks set by " + paramQuirks + ": "},
		{of &^ all, "taken away by " + paramQuirks + ": "},
	} {
		if row.set != 0 {
			parts = append(parts, row.text+row.set.String())
		}
	}
	if all|of == 0 {
		parts = append(parts, "no quirk is known")
	}
	return good("%s", strings.Join(parts, "; "))
}

// lookIdentity compares the identity with what the machine is pinned to.
func lookIdentity(ctx context.Context, x *examination) model.Check {
	id, err := x.session.Identity(ctx)
	switch {
	case err != nil && x.pin != "":
		return failed(model.Conflict, fmt.Sprintf("%s says %s, and the BMC does not tell its identity: %s", model.ParamIdentity, x.pin, model.AsError(err).Text()),
			"unset "+model.ParamIdentity+" if it is the right machine")
	case err != nil:
		return unread("its identity", err)
	case x.pin == "":
		return good("%s, not pinned", id)
	case !id.Is(x.pin):
		return failed(model.Conflict, fmt.Sprintf("%s says %s, and the BMC is %s: another machine has its address", model.ParamIdentity, x.pin, id),
			"correct "+paramAddress+", or pin the machine anew if its board was replaced")
	}
	return good("%s, as pinned", id)
}
