package bmc

import (
	"context"

	ipmibmc "github.com/bougou/go-ipmi/pkg/bmc"
	ipmichassis "github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/types"
)

// defaultIdentify is how long the locator is lit when no interval is given
// (IPMI 2.0 §28.5).
const defaultIdentify = 15

// handler executes one command on b, whose mutex is held.
type handler func(b *BMC, r *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode)

// newRegistry returns the commands all BMCs of a fleet share. It holds no
// state: a handler finds its BMC in its context. go-ipmi's handlers serve what
// they serve as a real BMC does; the rest is replaced.
func newRegistry() *handlers.Registry {
	stock := handlers.NewRegistry()
	handlers.RegisterAppHandlers(stock)
	handlers.RegisterSessionHandlers(stock)
	handlers.RegisterChassisHandlers(stock)
	handlers.RegisterUserHandlers(stock)

	own := handlers.NewRegistry()
	own.Merge(stock)
	for _, h := range []struct {
		command types.Command
		handle  handler
	}{
		{types.CommandGetChassisStatus, chassisStatus},
		{types.CommandChassisControl, withStock(stock, chassisControl)},
		{types.CommandChassisIdentify, identify},
		{types.CommandGetSystemRestartCause, restartCause},
		{types.CommandSetSystemBootOptions, withStock(stock, setBootOptions)},
		{types.CommandGetSystemBootOptions, withStock(stock, getBootOptions)},
		{types.CommandColdReset, resetBMC},
		{types.CommandWarmReset, resetBMC},
		{types.CommandGetSystemGUID, systemGUID},
		{types.CommandGetChannelAuthCapabilities, withStock(stock, authCapabilities)},
		{types.CommandGetChannelCipherSuites, withStock(stock, cipherSuites)},
		{types.CommandGetChannelAccess, channelAccess},
		{types.CommandGetSELInfo, selInfo},
		{types.CommandReserveSEL, selReserve},
		{types.CommandGetSELEntry, selEntry},
		{types.CommandAddSELEntry, selAdd},
		{types.CommandClearSEL, selClear},
		{types.CommandGetSELTime, selTime},
		{types.CommandGetSDRRepoInfo, sdrInfo},
		{types.CommandReserveSDRRepo, sdrReserve},
		{types.CommandGetSDR, sdrGet},
		{types.CommandGetSensorReading, sensorReading},
		{types.CommandGetSensorReadingFactors, sensorFactors},
		{types.CommandGetSensorThresholds, sensorThresholds},
		{types.CommandGetFRUInventoryAreaInfo, fruInfo},
		{types.CommandReadFRUData, fruRead},
		{types.CommandGetDCMIPowerReading, powerReading},
		{types.CommandGetDCMIPowerLimit, powerLimit},
		{types.CommandSetPowerRestorePolicy, setRestorePolicy},
		{types.CommandSetUserPassword, withStock(stock, setUserPassword)},
		{types.CommandSetSessionPrivilegeLevel, setPrivilege},
	} {
		own.RegisterFunc(h.command, adapt(h.handle))
	}
	return own
}

// adapt turns h into a handler of go-ipmi.
func adapt(h handler) handlers.HandlerFunc {
	return func(_ context.Context, r *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode, error) {
		hw, ok := r.BMC.HAL().(hardware)
		if !ok {
			return nil, types.CodeUnspecifiedError, nil
		}
		resp, cc := h(hw.bmc, r, data)
		return resp, cc, nil
	}
}

// withStock gives h go-ipmi's own handlers to fall back on.
func withStock(stock *handlers.Registry, h func(next handler) handler) handler {
	return h(func(_ *BMC, r *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
		resp, cc, _ := stock.Dispatch(context.Background(), r, uint8(r.Command.NetFn), r.Command.ID, data)
		return resp, cc
	})
}

// chassisStatus is Get Chassis Status (IPMI 2.0 §28.2).
func chassisStatus(b *BMC, _ *handlers.HandlerContext, _ []byte) ([]byte, types.CompletionCode) {
	c := &b.chassis
	status := ipmichassis.GetChassisStatusResponse{
		PowerIsOn:                c.reported(),
		PowerRestorePolicy:       ipmichassis.PowerRestorePolicy(b.restore),
		LastPowerOnByCommand:     c.byCommand,
		ChassisIdentifySupported: !c.told.NoLocator,
	}
	switch l := c.told.light(c.locator()); {
	case l.Forced:
		status.ChassisIdentifyState = ipmichassis.ChassisIdentifyStateIndefiniteOn
	case l.On:
		status.ChassisIdentifyState = ipmichassis.ChassisIdentifyStateTemporaryOn
	}
	return status.Pack(), types.CodeOK
}

// chassisControl is Chassis Control (IPMI 2.0 §28.3): go-ipmi has all of it
// but the diagnostic interrupt.
func chassisControl(next handler) handler {
	return func(b *BMC, r *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
		var req ipmichassis.ChassisControlRequest
		if req.Unpack(data) != nil {
			return nil, types.CodeRequestDataLengthInvalid
		}
		if req.ChassisControl != ipmichassis.ChassisControlDiagnosticInterrupt {
			return next(b, r, data)
		}
		if b.chassis.diag() != nil {
			return nil, types.CodeNotSupported
		}
		return nil, types.CodeOK
	}
}

// identify is Chassis Identify (IPMI 2.0 §28.5).
func identify(b *BMC, _ *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
	seconds, forced := uint8(defaultIdentify), false
	if len(data) > 0 {
		seconds = data[0]
	}
	if len(data) > 1 {
		forced = data[1]&1 != 0
	}
	b.chassis.identify(seconds, forced)
	return nil, types.CodeOK
}

// restartCause is Get System Restart Cause (IPMI 2.0 §28.11).
func restartCause(b *BMC, _ *handlers.HandlerContext, _ []byte) ([]byte, types.CompletionCode) {
	if b.faults.Odd.StuckCause {
		return []byte{restartByCommand, lanChannel}, types.CodeOK
	}
	return []byte{b.chassis.cause, lanChannel}, types.CodeOK
}

// setBootOptions is Set System Boot Options (IPMI 2.0 §28.12).
func setBootOptions(next handler) handler {
	return func(b *BMC, r *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
		if len(data) == 0 {
			return nil, types.CodeRequestDataLengthInvalid
		}
		param := data[0] & 0x7f // bit 7 locks the parameter, which is not kept
		if param == paramFlags {
			return next(b, r, data)
		}
		return nil, b.chassis.boot.put(param, data[1:])
	}
}

// getBootOptions is Get System Boot Options (IPMI 2.0 §28.13).
func getBootOptions(next handler) handler {
	return func(b *BMC, r *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
		if len(data) == 0 {
			return nil, types.CodeRequestDataLengthInvalid
		}
		param := data[0] & 0x7f
		if param == paramFlags {
			return next(b, r, data)
		}
		value, ok := b.chassis.boot.get(param)
		if !ok {
			return nil, types.CodeParameterNotSupported
		}
		return append([]byte{paramVersion, param}, value...), types.CodeOK
	}
}

// resetBMC is Cold Reset and Warm Reset (IPMI 2.0 §20.2, §20.3): the BMC
// forgets its sessions and what it keeps until it is powered up, and the
// machine notices nothing.
func resetBMC(b *BMC, _ *handlers.HandlerContext, _ []byte) ([]byte, types.CompletionCode) {
	b.ipmi.Sessions = b.newSessions()
	clear(b.sessions)
	o := &b.chassis.boot
	o.progress, o.timer, o.ack = progressComplete, 0, 0
	return nil, types.CodeOK
}

// systemGUID is Get System GUID (IPMI 2.0 §22.14).
func systemGUID(b *BMC, _ *handlers.HandlerContext, _ []byte) ([]byte, types.CompletionCode) {
	if b.faults.Odd.NilGUID {
		return make([]byte, len(b.ipmi.GUID)), types.CodeOK
	}
	return b.ipmi.GUID[:], types.CodeOK
}

// setPrivilege is Set Session Privilege Level (IPMI 2.0 §22.18).
func setPrivilege(_ *BMC, r *handlers.HandlerContext, data []byte) ([]byte, types.CompletionCode) {
	if len(data) == 0 || r.Session == nil {
		return nil, types.CodeRequestDataLengthInvalid
	}
	switch want := ipmibmc.PrivilegeLevel(data[0] & 0x0f); {
	case want == 0: // asks for the present level
	case want == ipmibmc.PrivilegeLevelCallback || want > ipmibmc.PrivilegeLevelOEM:
		return nil, types.CodeRequestDataFieldInvalid
	case want > r.Session.MaxPrivilege:
		return nil, types.CodeSetSessionPrivilegeLevelExceedsLimit
	default:
		r.Session.PrivilegeLevel = want
	}
	return []byte{uint8(r.Session.PrivilegeLevel)}, types.CodeOK
}
