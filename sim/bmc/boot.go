package bmc

import (
	"fmt"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"
)

// flagTimeout is after how long without a Chassis Control the boot flags lose
// their valid bit, unless parameter 3 says otherwise (IPMI 2.0 §28.13).
const flagTimeout = 60 * time.Second

// The parameters of the boot options that are this package's own; parameter 5
// goes through go-ipmi. The rest is not supported, as on most BMCs.
const (
	paramProgress = 0
	paramTimer    = 3
	paramAck      = 4
	paramFlags    = 5

	paramVersion  = 0x01
	keepOnTimeout = 0x08 // bit 3 of parameter 3: do not clear on timeout
	timerMask     = 0x1f

	progressComplete = 0
	progressSetting  = 1
	progressReserved = 3
)

// bootOptions is the boot override of a machine. Its zero value is that of a
// BMC just powered up.
type bootOptions struct {
	flags    types.BootOptionParam_BootFlags
	deadline time.Time // when the valid bit is cleared; zero if no timer runs

	progress uint8
	timer    uint8 // parameter 3
	ack      uint8
}

// set replaces the flags.
func (o *bootOptions) set(flags *types.BootOptionParam_BootFlags, now time.Time) {
	o.flags = *flags
	o.deadline = now.Add(flagTimeout)
}

// restartTimer is called at every Chassis Control.
func (o *bootOptions) restartTimer(now time.Time) {
	if !o.deadline.IsZero() {
		o.deadline = now.Add(flagTimeout)
	}
}

// expire clears the valid bit if its time was over at t.
func (o *bootOptions) expire(t time.Time) {
	if o.timer&keepOnTimeout != 0 || o.deadline.IsZero() || t.Before(o.deadline) {
		return
	}
	o.flags.BootFlagsValid = false
	o.deadline = time.Time{}
}

// consume returns the flags a boot finds. Those for one boot are gone then;
// firmware has taken over persistent ones, so that no timer threatens them.
func (o *bootOptions) consume() types.BootOptionParam_BootFlags {
	o.deadline = time.Time{}
	if !o.flags.BootFlagsValid {
		return types.BootOptionParam_BootFlags{}
	}
	found := o.flags
	o.flags.BootFlagsValid = found.Persist
	return found
}

// get returns the value of a parameter; ok is false if there is no such.
func (o *bootOptions) get(param uint8) (value []byte, ok bool) {
	switch param {
	case paramProgress:
		return []byte{o.progress}, true
	case paramTimer:
		return []byte{o.timer}, true
	case paramAck:
		return []byte{0, o.ack}, true // the write mask reads as 0
	default:
		return nil, false
	}
}

// put sets a parameter to data and returns the completion code.
func (o *bootOptions) put(param uint8, data []byte) types.CompletionCode {
	setters := map[uint8]struct {
		size int
		set  func([]byte) types.CompletionCode
	}{
		paramProgress: {1, o.setProgress},
		paramTimer:    {1, o.setTimer},
		paramAck:      {2, o.setAck},
	}
	s, ok := setters[param]
	switch {
	case !ok:
		return types.CodeParameterNotSupported
	case len(data) == 0: // only the lock bit of the parameter, which is not kept
		return types.CodeOK
	case len(data) != s.size:
		return types.CodeRequestDataLengthInvalid
	default:
		return s.set(data)
	}
}

// setProgress takes or releases the right to set: who finds it taken is told
// so, but may set all the same, as on real BMCs.
func (o *bootOptions) setProgress(data []byte) types.CompletionCode {
	want := data[0] & progressReserved
	switch {
	case want == progressReserved:
		return types.CodeRequestDataFieldInvalid
	case want == progressSetting && o.progress == progressSetting:
		return types.CodeParamConfigSetInProgressConflict
	case want == progressSetting:
		o.progress = progressSetting
	default: // set complete, or commit write
		o.progress = progressComplete
	}
	return types.CodeOK
}

// setTimer sets when the valid bit is cleared. A timer that runs goes on.
func (o *bootOptions) setTimer(data []byte) types.CompletionCode {
	o.timer = data[0] & timerMask
	return types.CodeOK
}

// setAck sets the acknowledge bits that the mask names.
func (o *bootOptions) setAck(data []byte) types.CompletionCode {
	o.ack = o.ack&^data[0] | data[1]&data[0]
	return types.CodeOK
}

// bootDevices names the boot devices.
var bootDevices = map[types.BootDeviceSelector]string{
	types.BootDeviceSelectorNoOverride:               "none",
	types.BootDeviceSelectorForcePXE:                 "pxe",
	types.BootDeviceSelectorForceHardDrive:           "disk",
	types.BootDeviceSelectorForceHardDriveSafe:       "safe",
	types.BootDeviceSelectorForceDiagnosticPartition: "diag",
	types.BootDeviceSelectorForceCDROM:               "cd",
	types.BootDeviceSelectorForceBIOSSetup:           "bios",
	types.BootDeviceSelectorForceRemoteFloppy:        "remote-floppy",
	types.BootDeviceSelectorForceRemoteCDROM:         "remote-cd",
	types.BootDeviceSelectorForceRemoteMedia:         "remote-media",
	types.BootDeviceSelectorForceRemoteHardDrive:     "remote-disk",
	types.BootDeviceSelectorForceFloppy:              "floppy",
}

// view returns the flags in this package's words.
func view(f *types.BootOptionParam_BootFlags) BootFlags {
	name, ok := bootDevices[f.BootDeviceSelector]
	if !ok {
		name = fmt.Sprintf("0x%02x", uint8(f.BootDeviceSelector))
	}
	v := BootFlags{
		Valid: f.BootFlagsValid, Persistent: f.Persist, EFI: bool(f.BIOSBootType),
		Device: name,
	}
	copy(v.Raw[:], f.Pack())
	return v
}
