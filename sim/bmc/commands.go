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
	// did not. They are in the ledger only: no datagram carries them.
	SessionOpen  = "session open"
	LoginRefused = "login refused"
)
