package bmc

// The names of commands, in the ledger and in Faults.
const (
	PowerOff   = "power off"
	PowerOn    = "power on"
	PowerCycle = "power cycle"
	PowerReset = "power reset"
	PowerDiag  = "power diag"
	PowerSoft  = "power soft"

	ChassisStatus       = "chassis status"
	ChassisCapabilities = "chassis capabilities"
	ChassisIdentify     = "identify"
	RestartCause        = "restart cause"
	SetBoot             = "set boot"          // Set System Boot Options, parameter 5
	SetBootTimer        = "set boot timer"    // parameter 3
	SetBootAck          = "set boot ack"      // parameter 4
	SetBootProgress     = "set boot progress" // parameter 0
	SetBootOther        = "set boot other"    // any other parameter
	GetBoot             = "get boot"

	DeviceID   = "device id"
	DeviceGUID = "device guid"
	SystemGUID = "system guid"
	ColdReset  = "bmc cold reset"
	WarmReset  = "bmc warm reset"

	SELInfo       = "sel info"
	SELReserve    = "sel reserve"
	SELEntry      = "sel entry" // Get SEL Entry
	SELAdd        = "sel add"
	SELClear      = "sel clear" // also asks how far an erasure is
	SELTime       = "sel time"
	SDRInfo       = "sdr info" // Get SDR Repository Info
	SDRReserve    = "sdr reserve"
	SDRGet        = "sdr get"
	SensorRead    = "sensor reading"
	SensorFactors = "sensor reading factors"
	SensorBounds  = "sensor thresholds"
	UserAccess    = "user access" // Get User Access
	SetUserAccess = "set user access"
	UserName      = "user name" // Get User Name
	SetUserName   = "set user name"
	SetPassword   = "set user password"
	RestorePolicy = "set power restore policy"
	PowerLimit    = "power limit" // of DCMI
	FRUInfo       = "fru info"    // Get FRU Inventory Area Info
	FRURead       = "fru read"
	PowerReading  = "power reading" // of DCMI
	ChannelAccess = "channel access"

	AuthCapabilities = "auth capabilities"
	CipherSuites     = "cipher suites"
	SessionRequest   = "session request" // RMCP+ Open Session Request
	RAKP1            = "rakp1"
	RAKP3            = "rakp3"
	SetPrivilege     = "set privilege"
	SessionInfo      = "session info"
	SessionClose     = "session close"
	Ping             = "ping"  // RMCP presence ping
	Other            = "other" // whatever has no name above

	// SessionOpen counts the logins that succeeded, LoginRefused those that
	// did not, Reboot the reboots. They are in the ledger only: no datagram
	// carries them.
	SessionOpen  = "session open"
	LoginRefused = "login refused"
	Reboot       = "reboot"
)

// NetFns and commands (IPMI 2.0 Appendix G).
const (
	netFnChassis = 0x00
	netFnSensor  = 0x04
	netFnApp     = 0x06
	netFnStorage = 0x0a
	netFnGroup   = 0x2c
	noNetFn      = 0xff // not an IPMI message

	cmdChassisControl = 0x02
	cmdSetBootOptions = 0x08
	cmdGetBootOptions = 0x09
)

// anySub is a row for whatever the first data byte is.
const anySub = -1

// noSession is the privilege needed by what may be sent outside a session.
const noSession Privilege = 0

// op is the index of a command in the table below.
type op int

// command is one row of the table of commands.
type command struct {
	name       string
	netFn, cmd uint8
	sub        int       // what the first data byte must be, or anySub
	need       Privilege // the least privilege of the session; noSession needs none
}

// commands is every command that has a name. Of rows that fit, the first
// counts.
var commands = [...]command{
	{PowerOff, netFnChassis, cmdChassisControl, 0, Operator},
	{PowerOn, netFnChassis, cmdChassisControl, 1, Operator},
	{PowerCycle, netFnChassis, cmdChassisControl, 2, Operator},
	{PowerReset, netFnChassis, cmdChassisControl, 3, Operator},
	{PowerDiag, netFnChassis, cmdChassisControl, 4, Operator},
	{PowerSoft, netFnChassis, cmdChassisControl, 5, Operator},
	{Other, netFnChassis, cmdChassisControl, anySub, Operator},
	{ChassisCapabilities, netFnChassis, 0x00, anySub, User},
	{ChassisStatus, netFnChassis, 0x01, anySub, User},
	{ChassisIdentify, netFnChassis, 0x04, anySub, Operator},
	{RestartCause, netFnChassis, 0x07, anySub, User},
	{SetBootProgress, netFnChassis, cmdSetBootOptions, 0, Operator},
	{SetBootTimer, netFnChassis, cmdSetBootOptions, 3, Operator},
	{SetBootAck, netFnChassis, cmdSetBootOptions, 4, Operator},
	{SetBoot, netFnChassis, cmdSetBootOptions, 5, Operator},
	{SetBootOther, netFnChassis, cmdSetBootOptions, anySub, Operator},
	{GetBoot, netFnChassis, cmdGetBootOptions, anySub, Operator},
	{DeviceID, netFnApp, 0x01, anySub, User},
	{ColdReset, netFnApp, 0x02, anySub, Administrator},
	{WarmReset, netFnApp, 0x03, anySub, Administrator},
	{DeviceGUID, netFnApp, 0x08, anySub, User},
	{SystemGUID, netFnApp, 0x37, anySub, noSession},
	{AuthCapabilities, netFnApp, 0x38, anySub, noSession},
	{CipherSuites, netFnApp, 0x54, anySub, noSession},
	{SetPrivilege, netFnApp, 0x3b, anySub, User},
	{SessionClose, netFnApp, 0x3c, anySub, User},
	{SessionInfo, netFnApp, 0x3d, anySub, User},
	{ChannelAccess, netFnApp, 0x41, anySub, User},
	{SetUserAccess, netFnApp, 0x43, anySub, Administrator},
	{UserAccess, netFnApp, 0x44, anySub, Operator},
	{SetUserName, netFnApp, 0x45, anySub, Administrator},
	{UserName, netFnApp, 0x46, anySub, Operator},
	{SetPassword, netFnApp, 0x47, anySub, Administrator},
	{RestorePolicy, netFnChassis, 0x06, anySub, Operator},
	{PowerLimit, netFnGroup, 0x03, anySub, User},
	{SELInfo, netFnStorage, 0x40, anySub, User},
	{SELReserve, netFnStorage, 0x42, anySub, User},
	{SELEntry, netFnStorage, 0x43, anySub, User},
	{SELAdd, netFnStorage, 0x44, anySub, Operator},
	{SELClear, netFnStorage, 0x47, anySub, Operator},
	{SELTime, netFnStorage, 0x48, anySub, User},
	{SDRInfo, netFnStorage, 0x20, anySub, User},
	{SDRReserve, netFnStorage, 0x22, anySub, User},
	{SDRGet, netFnStorage, 0x23, anySub, User},
	{SensorRead, netFnSensor, 0x2d, anySub, User},
	{SensorFactors, netFnSensor, 0x23, anySub, User},
	{SensorBounds, netFnSensor, 0x27, anySub, User},
	{FRUInfo, netFnStorage, 0x10, anySub, User},
	{FRURead, netFnStorage, 0x11, anySub, User},
	{PowerReading, netFnGroup, 0x02, anySub, User},
	{SessionRequest, noNetFn, 0, anySub, noSession},
	{RAKP1, noNetFn, 0, anySub, noSession},
	{RAKP3, noNetFn, 0, anySub, noSession},
	{Ping, noNetFn, 0, anySub, noSession},
	{SessionOpen, noNetFn, 0, anySub, noSession},
	{LoginRefused, noNetFn, 0, anySub, noSession},
	{Reboot, noNetFn, 0, anySub, noSession},
	{Other, noNetFn, 0, anySub, User},
}

// find returns the row of an IPMI message.
func find(m *message) op {
	sub := anySub
	if len(m.data) > 0 {
		sub = int(m.data[0] & subMask(m))
	}
	for i, c := range commands {
		if c.netFn == m.netFn && c.cmd == m.cmd && (c.sub == anySub || c.sub == sub) {
			return op(i)
		}
	}
	return op(len(commands) - 1)
}

// subMask returns the bits of the first data byte that tell commands apart:
// the low nibble of Chassis Control (IPMI 2.0 §28.3), the parameter of the boot
// options (§28.12).
func subMask(m *message) byte {
	if m.netFn == netFnChassis && m.cmd == cmdChassisControl {
		return 0x0f
	}
	return 0x7f
}

// named returns the first row of that name; ok says whether there is one.
func named(name string) (o op, ok bool) {
	for i, c := range commands {
		if c.name == name {
			return op(i), true
		}
	}
	return 0, false
}

// ledger counts what one BMC executed.
type ledger [len(commands)]uint32

// add counts one execution of the named command.
func (l *ledger) add(name string) {
	if o, ok := named(name); ok {
		l[o]++
	}
}

// count returns how often the named command was executed.
func (l *ledger) count(name string) int {
	n := 0
	for i, c := range commands {
		if c.name == name {
			n += int(l[i])
		}
	}
	return n
}

// all returns the counts that are not 0.
func (l *ledger) all() map[string]int {
	counts := map[string]int{}
	for i, c := range commands {
		if l[i] > 0 {
			counts[c.name] += int(l[i])
		}
	}
	return counts
}
